"""Compares this machine's clock with the dates of the answers of Slack and DigitalOcean."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from email.utils import parsedate_to_datetime
from functools import partial

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.doctor.check import Check, CheckFinding, fine, unknown, wrong
from bot.doctor.context import DoctorContext
from services.common.causes import cause_of
from services.common.text import duration

MAX_OFFSET = 5.0  # seconds
ANSWER_WITHIN = 10.0


def checks(context: DoctorContext) -> Iterator[Check]:
    """Yield a check for each service.

    Slack refuses signatures that are five minutes off, LiveKit refuses tokens that are not valid
    yet, and windows are late by the same offset.
    """
    yield Check(
        "clock: against Slack",
        partial(_compare, context, "Slack", partial(_slack_date, context), "SSL_CERT_FILE"),
        needs=("Slack: bot token",),
    )
    yield Check(
        "clock: against DigitalOcean",
        partial(
            _compare,
            context,
            "DigitalOcean",
            partial(_digitalocean_date, context),
            "digitalocean.ca_file",
        ),
        needs=("DigitalOcean: token", "DigitalOcean 1: token"),
    )


def offset_text(seconds: float) -> str:
    """Return `5 min ahead of` or `5 min behind`."""
    if seconds > 0:
        return f"{duration(seconds)} ahead of"
    return f"{duration(-seconds)} behind"


async def _slack_date(context: DoctorContext) -> str:
    try:
        headers = (await context.slack.api_call("api.test")).headers
    except SlackApiError as error:
        headers = getattr(error.response, "headers", {})  # a refusal has a date too
    return {name.lower(): str(value) for name, value in headers.items()}["date"]


async def _digitalocean_date(context: DoctorContext) -> str:
    """Return the date of an answer; a refusal has one too, so no token is sent."""
    url = f"{context.settings.digitalocean.api_url}/v2/account"
    async with context.session.get(
        url, timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN), allow_redirects=False
    ) as answer:
        return answer.headers["Date"]


async def _compare(
    context: DoctorContext, who: str, ask: Callable[[], Awaitable[str]], ca: str
) -> Sequence[CheckFinding]:
    name = f"clock: against {who}"
    try:
        began = context.wall()
        dated = parsedate_to_datetime(await ask()).timestamp()
        ended = context.wall()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        cause = cause_of(error, ca)
        return [unknown(name, f"{who} does not answer: {cause.text}", cause.remedy)]
    except (KeyError, ValueError):
        return [unknown(name, f"the answer of {who} has no date", "compare the clocks yourself")]
    # The date has whole seconds, and was set between the two readings of the clock.
    off = min(0.0, ended - dated)
    if began > dated + 1:
        off = began - dated - 1
    if abs(off) > MAX_OFFSET:
        return [
            wrong(
                name,
                f"this machine's clock is {offset_text(off)} {who}'s",
                "run a time service on this machine (chrony, systemd-timesyncd)",
            )
        ]
    return [fine(name, f"within {MAX_OFFSET:.0f} s")]
