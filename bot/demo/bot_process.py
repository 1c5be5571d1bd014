"""Runs the bot as a child process, and restarts it when it dies: the demo can kill it."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

RESTART_AFTER = 1.0  # seconds
# A bot that dies within QUICK seconds, MAX_QUICK_DEATHS times in a row, is given up.
QUICK = 3.0
MAX_QUICK_DEATHS = 3
LOG_TAIL = 2000  # characters
STOPS_WITHIN = 12.0


class ChildProcess(Protocol):
    """What is used of an `asyncio.subprocess.Process`."""

    pid: int

    @property
    def returncode(self) -> int | None: ...
    async def wait(self) -> int: ...
    def terminate(self) -> None: ...


class BotProcess:
    """The bot process; at most one at a time."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.starts = 0
        self._process: ChildProcess | None = None
        self._stopped = False

    @property
    def alive(self) -> bool:
        """Return whether a bot runs now."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """Return the id of the process that runs now."""
        assert self._process is not None, "it was started"
        return self._process.pid

    async def keep(self, command: Callable[[], Sequence[str]], env: Mapping[str, str]) -> None:
        """Start it, and restart it when it ends. Return if it keeps dying quickly."""
        quick = 0
        while quick < MAX_QUICK_DEATHS:
            began = time.monotonic()
            await self.start(command(), env)
            await self.wait()
            quick += 1
            if self._stopped or time.monotonic() - began >= QUICK:
                quick = 0
            await asyncio.sleep(RESTART_AFTER)

    async def start(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start it once."""
        with self.log.open("ab") as log:
            self._process = await self._launched(command, env, log)
        self.starts += 1
        self._stopped = False

    async def _launched(
        self, command: Sequence[str], env: Mapping[str, str], log: BinaryIO
    ) -> ChildProcess:
        return await asyncio.create_subprocess_exec(
            *command,
            env=dict(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches the demo only, which then stops the bot
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )

    async def wait(self) -> int:
        """Wait for it to exit; return the exit code."""
        if self._process is None:
            return 0
        return await self._process.wait()

    def kill(self) -> bool:
        """Send SIGKILL. False: no bot was running."""
        if self._process is None or self._process.returncode is not None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        return True

    async def stop(self) -> int:
        """Ask it to stop; kill it if it does not."""
        self._stopped = True
        if self._process is None:
            return 0
        if self._process.returncode is not None:
            return self._process.returncode
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            return await asyncio.wait_for(self.wait(), STOPS_WITHIN)
        except TimeoutError:
            self.kill()
            return await self.wait()

    def log_tail(self) -> str:
        """Return the end of its log."""
        if not self.log.is_file():
            return ""
        return self.log.read_text("utf-8", "replace")[-LOG_TAIL:]


def _die_with_parent() -> None:
    # A demo that is killed cannot stop the bot any more.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
