"""Checks whether the on-call service is reachable. No one is called."""

from collections.abc import Iterator, Sequence
from functools import partial

from bot.doctor.check import Check, CheckFinding, fine, unknown, wrong
from bot.doctor.context import DoctorContext
from config.values import OnCallSettings
from services.cloud.clients.http import HttpClient
from services.cloud.clients.oncall import ADDRESSES
from services.common.errors import Unreachable

NAME = "on-call"
WITHIN = 5.0


def checks(context: DoctorContext) -> Iterator[Check]:
    """Yield a check if the settings name a service."""
    if context.settings.oncall is not None:
        yield Check(NAME, partial(_reachable, context.settings.oncall))


async def _reachable(oncall: OnCallSettings) -> Sequence[CheckFinding]:
    """Send a GET, which calls no one. Any answer proves only that the service is reachable."""
    url = oncall.url or ADDRESSES[oncall.kind]
    http = HttpClient()
    try:
        reply = await http.get(url, timeout=WITHIN)
    except Unreachable as error:
        return [
            wrong(
                NAME,
                f"{oncall.kind} at {url} cannot be reached: {error.cause or error}",
                error.remedy or "check oncall.url",
            )
        ]
    finally:
        await http.aclose()
    if reply.status >= 500:
        return [
            unknown(
                NAME,
                f"{oncall.kind} at {url} answers {reply.status}",
                "try again later",
            )
        ]
    reached = f"{oncall.kind} at {url} can be reached"
    untested = "no event was sent, so ONCALL_SECRET is not verified"
    return [fine(NAME, f"{reached}; {untested}")]
