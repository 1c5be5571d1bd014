"""This machine's clock, against what the answers of others are dated with."""

from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from functools import partial

import aiohttp

from bot.doctor.case import Case
from bot.doctor.check import Check, Finding, fine, unknown, wrong
from services.steps.base import duration

APART = 5.0  # seconds
ANSWER = 10.0


def checks(case: Case) -> Iterator[Check]:
    """Slack refuses signatures that are five minutes off, LiveKit tokens that are not valid yet; windows are late by as much."""
    yield Check("clock: against Slack", partial(_against, case, "Slack", f"{case.settings.slack.api_url}/api.test"))
    yield Check("clock: against DigitalOcean", partial(_against, case, "DigitalOcean", f"{case.settings.digitalocean.api_url}/v2/account"))


def apart(seconds: float) -> str:
    """`5 min ahead of`."""
    return f"{duration(abs(seconds))} {'ahead of' if seconds > 0 else 'behind'}"


async def _against(case: Case, who: str, url: str) -> Sequence[Finding]:
    """Any answer is dated, a refusal too: no token is sent."""
    name = f"clock: against {who}"
    try:
        began = case.wall()
        async with case.session.get(url, timeout=aiohttp.ClientTimeout(total=ANSWER), allow_redirects=False) as got:
            dated = parsedate_to_datetime(got.headers["Date"]).timestamp()
        ended = case.wall()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return [unknown(name, f"{who} does not answer ({type(error).__name__})", "see what is said about it above")]
    except (KeyError, ValueError):
        return [unknown(name, f"{who}'s answer is not dated", "compare the clock by hand")]
    off = began - dated - 1 if began > dated + 1 else min(0.0, ended - dated)
    if abs(off) > APART:
        return [wrong(name, f"this machine's clock is {apart(off)} {who}'s", "run a time service here (chrony, systemd-timesyncd)")]
    return [fine(name, "the same, to the second or nearly so")]

