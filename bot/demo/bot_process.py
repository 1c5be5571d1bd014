"""Keeps a bot running as a process of its own, so that killing it is part of the story."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

AGAIN = 1.0  # seconds until a dead bot is started again
QUICK = 3.0  # a bot that dies sooner than that, this often in a row, will not live
TOO_OFTEN = 3
LAST_WORDS = 2000
STOPS_WITHIN = 12.0


class Child:
    """One bot process at a time."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.starts = 0
        self._process: asyncio.subprocess.Process | None = None
        self._stopped = False

    @property
    def alive(self) -> bool:
        """Whether a bot runs now."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None, "it was started"
        return self._process.pid

    async def keep(self, command: Callable[[], Sequence[str]], env: Mapping[str, str]) -> None:
        """Start it, and again whenever it dies or was stopped. Returns when it keeps dying at once."""
        quick = 0
        while quick < TOO_OFTEN:
            began = time.monotonic()
            await self.start(command(), env)
            await self.wait()
            quick = quick + 1 if time.monotonic() - began < QUICK and not self._stopped else 0
            await asyncio.sleep(AGAIN)

    async def start(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start it once."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                env=dict(env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which then stops the bot in order
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        self.starts += 1
        self._stopped = False

    async def wait(self) -> int:
        """Its exit code, once it is over."""
        return await self._process.wait() if self._process is not None else 0

    def kill(self) -> bool:
        """kill -9, in the middle of whatever it does. False: there was none."""
        if self._process is None or self._process.returncode is not None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        return True

    async def stop(self) -> int:
        """Ask it to stop; kill it if it does not."""
        self._stopped = True
        if self._process is None or self._process.returncode is not None:
            return self._process.returncode or 0 if self._process is not None else 0
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            return await asyncio.wait_for(self.wait(), STOPS_WITHIN)
        except TimeoutError:
            self.kill()
            return await self.wait()

    def last_words(self) -> str:
        """The end of what it wrote."""
        return self.log.read_text("utf-8", "replace")[-LAST_WORDS:] if self.log.is_file() else ""


def _die_with_parent() -> None:
    # If the demo itself is killed, nobody is left to stop the bot.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
