"""Checks and their findings. Checks run concurrently, each with its own timeout."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from services.common.causes import cause_of
from services.common.errors import BotError, Unreachable

CHECK_SECONDS = 20.0


class CheckVerdict(StrEnum):
    """The result of a check."""

    FINE = "fine"
    WRONG = "wrong"
    UNKNOWN = "could not check"
    SKIPPED = "not checked"  # reading cannot tell; the finding gives the reason


@dataclass(frozen=True)
class CheckFinding:
    """One result, in a sentence. `remedy`: what a person does about it.

    `notable`: the sentence is worth reading although all is fine. `no_access`: the check got no
    answer, so its cause may be another finding. `needs`: the findings that may be that cause.
    `blocked_by`: the finding that is.
    """

    name: str
    verdict: CheckVerdict
    said: str
    remedy: str = ""
    notable: bool = False
    no_access: bool = False
    needs: tuple[str, ...] = ()
    blocked_by: str = ""


@dataclass(frozen=True)
class Check:
    """A named, read-only check. One about many nodes or scopes returns a finding for each."""

    name: str
    look: Callable[[], Awaitable[Sequence[CheckFinding]]]
    seconds: float = CHECK_SECONDS
    needs: tuple[str, ...] = ()


def fine(name: str, said: str, *, notable: bool = False) -> CheckFinding:
    """Return a finding: correct."""
    return CheckFinding(name, CheckVerdict.FINE, said, notable=notable)


def wrong(name: str, said: str, remedy: str) -> CheckFinding:
    """Return a finding: wrong, with what to do."""
    return CheckFinding(name, CheckVerdict.WRONG, said, remedy)


def unknown(name: str, said: str, remedy: str = "") -> CheckFinding:
    """Return a finding: could not be checked."""
    return CheckFinding(name, CheckVerdict.UNKNOWN, said, remedy)


def skipped(name: str, because: str) -> CheckFinding:
    """Return a finding: deliberately not checked, with the reason."""
    return CheckFinding(name, CheckVerdict.SKIPPED, f"because {because}")


async def examine(
    checks: Sequence[Check], done: Callable[[], None] = lambda: None
) -> AsyncIterator[CheckFinding]:
    """Run all checks concurrently; yield findings in the order of the checks as they complete.

    `done` is called after each check.
    """
    running = [
        (check, asyncio.create_task(_within(check), name=f"check {check.name}")) for check in checks
    ]
    for _, task in running:
        task.add_done_callback(lambda _: done())
    for check, task in running:
        for finding in await task:
            yield replace(finding, needs=check.needs)


def attributed(findings: Sequence[CheckFinding]) -> list[CheckFinding]:
    """Return the findings, those that got no answer because of another one as not checked.

    So a token that is refused is one problem, not one for each check that uses it.
    """
    causes: dict[str, str] = {}
    result = []
    for finding in findings:
        troubled = finding.verdict in (CheckVerdict.WRONG, CheckVerdict.UNKNOWN)
        cause = next((causes[name] for name in finding.needs if name in causes), "")
        if cause == finding.name or not _could_not_see(finding):
            cause = ""
        if troubled:
            causes.setdefault(finding.name, cause or finding.name)
        result.append(_blocked(finding, cause))
    return result


def _blocked(finding: CheckFinding, cause: str) -> CheckFinding:
    if not cause:
        return finding
    said = f"because of {cause}"
    verdict = CheckVerdict.SKIPPED
    return replace(finding, verdict=verdict, said=said, remedy="", blocked_by=cause)


def _could_not_see(finding: CheckFinding) -> bool:
    if finding.verdict is CheckVerdict.WRONG:
        return finding.no_access
    return finding.verdict is CheckVerdict.UNKNOWN


async def _within(check: Check) -> Sequence[CheckFinding]:
    """Run one check. One that hangs is abandoned, without waiting for its cancellation."""
    task = asyncio.ensure_future(check.look())
    await asyncio.wait({task}, timeout=check.seconds)
    if not task.done():
        task.cancel()
        return [
            unknown(
                check.name,
                f"no answer within {check.seconds:.0f} s",
                "check whether a firewall or proxy is in between",
            )
        ]
    error = task.exception()
    if error is not None:
        return [failed(check.name, error)]
    return task.result()


def failed(name: str, error: BaseException) -> CheckFinding:
    """Return the finding for an error, with its cause and its remedy."""
    return replace(_failure(name, error), no_access=True)


def _failure(name: str, error: BaseException) -> CheckFinding:
    match error:
        case Unreachable():
            return unknown(
                name,
                str(error),
                error.remedy or "try again; if it persists, check the network in between",
            )
        case BotError():
            return wrong(
                name, str(error), error.remedy or "fix what it names, then run doctor again"
            )
        case OSError():
            cause = cause_of(error)
            return unknown(name, cause.text, cause.remedy)
        case _:
            return unknown(
                name,
                f"the check itself failed: {whereabouts(error)}",
                "this is a bug of openvidu-bot: report it",
            )


def whereabouts(error: BaseException) -> str:
    """Return class and line of an unexpected error. Its text may quote a secret: left out."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = "".join(
        f" in {'/'.join(frame.filename.split('/')[-2:])}, line {frame.lineno}" for frame in last
    )
    return f"{type(error).__name__}{place}"


def exit_code(findings: Sequence[CheckFinding]) -> int:
    """Return 0: all fine, 1: something is wrong, 2: nothing wrong, but something not checked."""
    verdicts = {f.verdict for f in findings}
    if CheckVerdict.WRONG in verdicts:
        return 1
    if CheckVerdict.UNKNOWN in verdicts:
        return 2
    return 0
