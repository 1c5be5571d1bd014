"""Tells systemd how the bot is, and ends a process that hangs where nothing else would.

Fed only while the event loop turns and rounds end: what a restart can help. Without food systemd kills the process (WatchdogSec= of the
unit); in a container OPENVIDU_BOT_WATCHDOG says after how many seconds the process ends itself, with a traceback of every thread.
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
FEEDINGS = 4  # in the time that systemd, or the process itself, waits for one


@dataclass(frozen=True)
class Supervisor:
    """Who watches over this process: where systemd listens, after how long it loses patience, and when the process ends itself."""

    address: str = ""
    systemd_seconds: float = 0.0
    own_seconds: float = 0.0

    @property
    def every(self) -> float:
        """Seconds from one feeding to the next; 0: nobody waits for any."""
        waiting = [seconds for seconds in (self.systemd_seconds, self.own_seconds) if seconds > 0]
        return min(waiting) / FEEDINGS if waiting else 0.0


def supervisor_of(environment: Mapping[str, str]) -> Supervisor:
    """As the environment says. What is not a number of seconds counts as absent, and is logged."""
    address = environment.get("NOTIFY_SOCKET", "")
    meant = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
    systemd = _seconds(environment, "WATCHDOG_USEC") / 1e6 if address and meant else 0.0
    return Supervisor(address, systemd, _seconds(environment, "OPENVIDU_BOT_WATCHDOG"))


def _seconds(environment: Mapping[str, str], name: str) -> float:
    text = environment.get(name, "") or "0"
    if text.isascii() and text.isdigit():
        return float(text)
    log.warning("%s: found %s; allowed: a whole number; there is no watchdog", name, text)
    return 0.0


class Watchdog:
    """Reports to whoever supervises this process. `stuck`: why a restart would help, in sentences; none means well."""

    def __init__(self, supervisor: Supervisor, stuck: Callable[[], list[str]]) -> None:
        self._supervisor = supervisor
        self._stuck = stuck
        self._task: asyncio.Task[None] | None = None
        self._reported: list[str] = []

    def ready(self) -> None:
        """Report that the bot serves, and begin to feed."""
        self._notify("READY=1", "STATUS=serving")
        if self._supervisor.systemd_seconds:
            faulthandler.enable(
                sys.__stderr__ or sys.stderr
            )  # systemd ends what hangs by SIGABRT: the journal shows where
        if self._supervisor.every:
            self._feed()
            self._task = asyncio.create_task(self._keep_feeding(), name="feed the watchdog")

    def stopping(self) -> None:
        """Report that it stops; from here on the stop has its own deadlines."""
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
                log.error("the watchdog is not fed: %s", "; ".join(problems))
        if problems:
            return
        if self._supervisor.systemd_seconds:
            self._notify("WATCHDOG=1")
        if self._supervisor.own_seconds:
            # A thread of the interpreter's own, in C: it works also when Python code holds everything up.
            faulthandler.dump_traceback_later(
                self._supervisor.own_seconds, exit=True, file=sys.__stderr__ or sys.stderr
            )

    def _notify(self, *lines: str) -> None:
        address = self._supervisor.address
        if not address:
            return
        # @: a name in Linux' abstract namespace. Never waits, and a report that does not arrive stops nothing.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as door,
        ):
            door.setblocking(False)  # noqa: FBT003 - the socket's own way of saying it
            door.connect("\0" + address[1:] if address.startswith("@") else address)
            door.send("\n".join(lines).encode())
