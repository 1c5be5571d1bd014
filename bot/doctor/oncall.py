"""The on-call service: whether there is a way to its address. No one is called."""

from collections.abc import Iterator, Sequence
from functools import partial

from bot.doctor.check import Check, Finding, fine, unknown, wrong
from bot.doctor.context import Case
from config.values import OnCall
from services.cloud.clients.http import Http
from services.cloud.clients.oncall import ADDRESSES
from services.common.errors import Unreachable

NAME = "on-call"
WITHIN = 5.0


def checks(case: Case) -> Iterator[Check]:
    """Where the settings name one."""
    if case.settings.oncall is not None:
        yield Check(NAME, partial(_reachable, case.settings.oncall))


async def _reachable(oncall: OnCall) -> Sequence[Finding]:
    """A page is asked for there, which calls no one: whatever it answers, it was reached. Whether it takes the secret is not known so."""
    url = oncall.url or ADDRESSES[oncall.kind]
    http = Http()
    try:
        reply = await http.get(url, timeout=WITHIN)
    except Unreachable as error:
        return [
            wrong(
                NAME,
                f"{oncall.kind} at {url} is not reached: {error.cause or error}",
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
                "try again later; events are tried three times",
            )
        ]
    return [
        fine(
            NAME,
            f"{oncall.kind} at {url} is reached; no one was called, so whether it takes ONCALL_SECRET is not known",
        )
    ]
