"""Reports the bot's health to systemd, and ends a process that hangs.

The watchdog is fed only while the event loop runs and rounds end: conditions that a restart can
fix. If it is not fed, systemd kills the process (WatchdogSec= of the unit). In a container,
OPENVIDU_BOT_WATCHDOG is the number of seconds after which the process ends itself with a traceback
of every thread.
"""

import asyncio
import contextlib
import faulthandler
import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

log = logging.getLogger(__name__)
FEEDINGS = 4  # within each timeout


@dataclass(frozen=True)
class Supervisor:
    """What supervises this process: address and timeout of systemd, and its own timeout."""

    address: str = ""
    systemd_seconds: float = 0.0
    own_seconds: float = 0.0

    @property
    def every(self) -> float:
        """Return seconds between feedings; 0: there is no watchdog."""
        timeouts = [seconds for seconds in (self.systemd_seconds, self.own_seconds) if seconds > 0]
        return min(timeouts, default=0.0) / FEEDINGS


def supervisor_of(environment: Mapping[str, str]) -> Supervisor:
    """Read the supervisor from the environment. An invalid number is logged and ignored."""
    address = environment.get("NOTIFY_SOCKET", "")
    systemd = 0.0
    if address and environment.get("WATCHDOG_PID", "") in ("", str(os.getpid())):
        systemd = _seconds(environment, "WATCHDOG_USEC") / 1e6
    return Supervisor(address, systemd, _seconds(environment, "OPENVIDU_BOT_WATCHDOG"))


def _seconds(environment: Mapping[str, str], name: str) -> float:
    text = environment.get(name, "") or "0"
    if text.isascii() and text.isdigit():
        return float(text)
    log.warning("%s: found %s; allowed: a whole number; no watchdog is used", name, text)
    return 0.0


class Watchdog:
    """Feeds the supervisor while `stuck` returns no problem that a restart would fix."""

    def __init__(self, supervisor: Supervisor, stuck: Callable[[], list[str]]) -> None:
        self._supervisor = supervisor
        self._stuck = stuck
        self._task: asyncio.Task[None] | None = None
        self._reported: list[str] = []

    def ready(self) -> None:
        """Report that the bot is running, and start feeding."""
        self._notify("READY=1", "STATUS=serving")
        if self._supervisor.systemd_seconds:
            # systemd ends a hanging process by SIGABRT: the journal then shows where it hung.
            faulthandler.enable(sys.__stderr__ or sys.stderr)
        if self._supervisor.every:
            self._feed()
            self._task = asyncio.create_task(self._keep_feeding(), name="feed the watchdog")

    def stopping(self) -> None:
        """Report that the bot stops; stopping has its own timeouts."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._supervisor.own_seconds:
            faulthandler.cancel_dump_traceback_later()
        self._notify("STOPPING=1", "STATUS=stopping")

    async def _keep_feeding(self) -> None:
        while True:
            await asyncio.sleep(self._supervisor.every)
            self._feed()

    def _feed(self) -> None:
        problems = self._stuck()
        if problems != self._reported:
            self._reported = problems
            self._notify("STATUS=" + ("; ".join(problems) or "serving"))
            if problems:
                log.error("not reporting to the watchdog: %s", "; ".join(problems))
        if problems:
            return
        if self._supervisor.systemd_seconds:
            self._notify("WATCHDOG=1")
        if self._supervisor.own_seconds:
            # A C thread of the interpreter: it works even when Python code blocks everything.
            faulthandler.dump_traceback_later(
                self._supervisor.own_seconds, exit=True, file=sys.__stderr__ or sys.stderr
            )

    def _notify(self, *lines: str) -> None:
        address = self._supervisor.address
        if not address:
            return
        if address.startswith("@"):
            address = "\0" + address[1:]
        # @: a name in Linux' abstract namespace. Never blocks; a lost report stops nothing.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client,
        ):
            client.settimeout(0)
            client.connect(address)
            client.send("\n".join(lines).encode())
