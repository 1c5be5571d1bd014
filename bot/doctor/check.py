"""What a check is: something to look at, and what was found there. Checks run side by side, each with a deadline of its own."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.common.causes import cause_of
from services.common.errors import BotError, Unreachable

PATIENCE = 20.0


class Verdict(StrEnum):
    """What can be said of something that was looked at."""

    FINE = "fine"
    WRONG = "wrong"
    UNKNOWN = "could not check"
    SKIPPED = "not checked"  # nothing that reads could tell; the reason is said


@dataclass(frozen=True)
class Finding:
    """What was found. `remedy`: what a person does about it."""

    name: str
    verdict: Verdict
    said: str
    remedy: str = ""


@dataclass(frozen=True)
class Check:
    """Something to look at. It changes nothing. One about many things (each node, each scope) has a finding for each."""

    name: str
    look: Callable[[], Awaitable[Sequence[Finding]]]
    seconds: float = PATIENCE


def fine(name: str, said: str) -> Finding:
    """It is as it should be."""
    return Finding(name, Verdict.FINE, said)


def wrong(name: str, said: str, remedy: str) -> Finding:
    """It is not, and this is what to do."""
    return Finding(name, Verdict.WRONG, said, remedy)


def unknown(name: str, said: str, remedy: str = "") -> Finding:
    """It should have been looked at, and could not be."""
    return Finding(name, Verdict.UNKNOWN, said, remedy)


def skipped(name: str, because: str) -> Finding:
    """It is not looked at, and this is why."""
    return Finding(name, Verdict.SKIPPED, f"because {because}")


async def examine(checks: Sequence[Check]) -> AsyncIterator[Finding]:
    """Run all side by side; yield what was found in the order of the checks, as soon as that order allows."""
    running = [
        (check, asyncio.create_task(_within(check), name=f"check {check.name}")) for check in checks
    ]
    for _, task in running:
        for finding in await task:
            yield finding


async def _within(check: Check) -> Sequence[Finding]:
    """One that hangs is left behind: nobody waits for it, not even for its end."""
    task = asyncio.ensure_future(check.look())
    await asyncio.wait({task}, timeout=check.seconds)
    if not task.done():
        task.cancel()
        return [
            unknown(
                check.name,
                f"no answer within {check.seconds:.0f} s",
                "see whether a firewall or proxy stands in between",
            )
        ]
    error = task.exception()
    return task.result() if error is None else [failed(check.name, error)]


def failed(name: str, error: BaseException) -> Finding:
    """What an error says about the thing that was looked at, with its cause and its remedy."""
    match error:
        case Unreachable():
            return unknown(
                name,
                str(error),
                error.remedy
                or "try again; if it stays so, look at the network between here and there",
            )
        case BotError():
            return wrong(
                name, str(error), error.remedy or "see what it names, and run the doctor again"
            )
        case OSError():
            why = cause_of(error)
            return unknown(name, why.said, why.remedy)
        case _:
            return unknown(
                name,
                f"the check itself failed: {whereabouts(error)}",
                "this is the bot's own fault; report it",
            )


def whereabouts(error: BaseException) -> str:
    """Name an unexpected error by class and line, for a bug report. Its own text may quote a secret."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = "".join(
        f" in {'/'.join(frame.filename.split('/')[-2:])}, line {frame.lineno}" for frame in last
    )
    return f"{type(error).__name__}{place}"


def exit_code(findings: Sequence[Finding]) -> int:
    """0: all is fine. 1: something is wrong. 2: nothing is known to be wrong, but something could not be checked."""
    verdicts = {f.verdict for f in findings}
    return 1 if Verdict.WRONG in verdicts else 2 if Verdict.UNKNOWN in verdicts else 0
