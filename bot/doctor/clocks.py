"""This machine's clock, against what the answers of others are dated with."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from email.utils import parsedate_to_datetime
from functools import partial

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.doctor.check import Check, Finding, fine, unknown, wrong
from bot.doctor.context import Case
from services.common.causes import cause_of
from services.common.text import duration

APART = 5.0  # seconds
ANSWER = 10.0


def checks(case: Case) -> Iterator[Check]:
    """Slack refuses signatures that are five minutes off, LiveKit tokens that are not valid yet; windows are late by as much."""
    yield Check(
        "clock: against Slack",
        partial(_against, case, "Slack", partial(_slacks, case), "SSL_CERT_FILE"),
    )
    yield Check(
        "clock: against DigitalOcean",
        partial(_against, case, "DigitalOcean", partial(_clouds, case), "digitalocean.ca_file"),
    )


def apart(seconds: float) -> str:
    """`5 min ahead of`."""
    return f"{duration(abs(seconds))} {'ahead of' if seconds > 0 else 'behind'}"


async def _slacks(case: Case) -> str:
    try:
        headers = (await case.slack.api_call("api.test")).headers
    except SlackApiError as error:
        headers = getattr(error.response, "headers", {})  # a refusal is dated, too
    return {name.lower(): str(value) for name, value in headers.items()}["date"]


async def _clouds(case: Case) -> str:
    """Any answer is dated, a refusal too: no token is sent."""
    url = f"{case.settings.digitalocean.api_url}/v2/account"
    async with case.session.get(
        url, timeout=aiohttp.ClientTimeout(total=ANSWER), allow_redirects=False
    ) as got:
        return got.headers["Date"]


async def _against(
    case: Case, who: str, ask: Callable[[], Awaitable[str]], ca: str
) -> Sequence[Finding]:
    name = f"clock: against {who}"
    try:
        began = case.wall()
        dated = parsedate_to_datetime(await ask()).timestamp()
        ended = case.wall()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        why = cause_of(error, ca)
        return [unknown(name, f"{who} does not answer: {why.said}", why.remedy)]
    except (KeyError, ValueError):
        return [unknown(name, f"{who}'s answer is not dated", "compare the clock by hand")]
    off = began - dated - 1 if began > dated + 1 else min(0.0, ended - dated)
    if abs(off) > APART:
        return [
            wrong(
                name,
                f"this machine's clock is {apart(off)} {who}'s",
                "run a time service here (chrony, systemd-timesyncd)",
            )
        ]
    return [fine(name, "the same, to the second or nearly so")]
