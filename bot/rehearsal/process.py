"""Rehearsals in a process of their own: one at a time, limited, and never left behind."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence

from typing_extensions import override

from bot.rehearsal.limits import MEMORY
from services.common.errors import Refused
from services.common.serialize import read, write
from services.operations.rehearsal import (
    CLASSES,
    RefusedPlan,
    Rehearsal,
    RehearsalStage,
    Scenario,
)

log = logging.getLogger(__name__)
DEADLINE = 20.0  # seconds of an answer
BUDGET = 17.0  # of these, what the process may use for itself
# -P: nothing of the folder in which the bot was started counts.
MODULE = ("-P", "-m", "bot.rehearsal")
NEEDS_MORE_MEMORY = 3  # its exit code
TAIL = 300  # characters of a complaint in the log
UNCHANGED = "Nothing was changed"


class RehearsalProcess(RehearsalStage):
    """Starts a process for each rehearsal, and ends it at the deadline or when the bot stops."""

    def __init__(
        self,
        command: Sequence[str] = (sys.executable, *MODULE),
        *,
        budget: float = BUDGET,
        deadline: float = DEADLINE,
        memory: int = MEMORY,
    ) -> None:
        self._command = tuple(command)
        self._budget = budget
        self._deadline = deadline
        self._memory = memory
        self._playing = False
        self._process: asyncio.subprocess.Process | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Return the id of the process that plays now; None where none does."""
        return self._process.pid if self._process is not None else None

    @override
    async def play(self, scenario: Scenario) -> Rehearsal:
        if self._playing:
            # Not of which cluster: who asks may have no role there.
            raise Refused(f"another rehearsal is running; try again in {self._deadline:.0f} s")
        self._playing = True
        try:
            return _result(await self._answer(write(scenario, CLASSES)))
        finally:
            self._playing = False

    async def _answer(self, text: str) -> str:
        words = (*self._command, str(self._budget), str(self._memory))
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(),
            # Its workers are of its group, and end with it.
            start_new_session=True,
        )
        self._process = process
        try:
            async with asyncio.timeout(self._deadline):
                out, complaint = await self._communicate(process, text)
        except TimeoutError:
            raise Refused(self._too_slow()) from None
        finally:
            self._process = None
            await _end(process)
        return self._checked(process.returncode, out, complaint)

    async def _communicate(
        self, process: asyncio.subprocess.Process, text: str
    ) -> tuple[bytes, bytes]:
        if self._closed:
            raise Refused("the bot is restarting; type it again in a minute")
        return await process.communicate(text.encode())

    def _too_slow(self) -> str:
        return (
            f"the rehearsal has no result after {self._deadline:.0f} s and was ended. {UNCHANGED}"
        )

    def _checked(self, code: int | None, out: bytes, complaint: bytes) -> str:
        """Return what it printed. Refused where it did not end well."""
        if code == 0:
            return out.decode()
        said = complaint.decode(errors="replace")[-TAIL:].strip()
        log.warning("a rehearsal ended with %s: %s", code, said)
        if code == NEEDS_MORE_MEMORY:
            megabytes = self._memory // (1024 * 1024)
            raise Refused(f"the rehearsal needs more than its {megabytes} MB. {UNCHANGED}")
        if code == -signal.SIGALRM:
            raise Refused(self._too_slow())
        raise Refused(f"the rehearsal ended without a result. {UNCHANGED}")

    @override
    async def aclose(self) -> None:
        self._closed = True
        if self._process is not None:
            await _end(self._process)


def _result(text: str) -> Rehearsal:
    result = read(text, CLASSES, "the result of the rehearsal")
    if isinstance(result, RefusedPlan):
        raise Refused(result.reason)
    assert isinstance(result, Rehearsal), "a process returns one of the two"
    return result


def _environment() -> dict[str, str]:
    """Return what a rehearsal needs of the environment: none of the bot's secrets."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process and all of its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
