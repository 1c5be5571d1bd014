"""What supervisors get: systemd by its socket; and a process that ends itself when it hangs."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.watchdog import FEEDINGS, Supervisor, Watchdog, supervisor_of
from tests.support import virtual
from tests.support.patience import HANG

ROOT = Path(__file__).resolve().parents[2]


class Systemd:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        lines: list[str] = []
        while True:
            try:
                lines += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return lines


@contextmanager
def systemd(address: str) -> Iterator[Systemd]:
    end = Systemd(address)
    try:
        yield end
    finally:
        end.socket.close()


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_when_the_bot_serves_and_is_fed_while_it_is_well(
    tmp_path: Path, abstract: bool
) -> None:
    name = f"{tmp_path.name}-{os.getpid()}"
    problems: list[str] = []

    async def story(end: Systemd, address: str) -> None:
        dog = Watchdog(Supervisor(address, systemd_seconds=60.0), lambda: list(problems))
        assert end.heard() == []
        dog.ready()
        assert end.heard() == ["READY=1", "STATUS=serving", "WATCHDOG=1"]
        await asyncio.sleep(60.5)
        assert end.heard() == ["WATCHDOG=1"] * FEEDINGS
        problems.append("no round has ended for 301 s")
        await asyncio.sleep(600)
        assert end.heard() == ["STATUS=no round has ended for 301 s"], "told once, and not fed"
        problems.clear()
        await asyncio.sleep(15)
        assert end.heard() == ["STATUS=serving", "WATCHDOG=1"]
        dog.stopping()
        assert end.heard() == ["STOPPING=1", "STATUS=stopping"]
        await asyncio.sleep(600)
        assert end.heard() == []

    if abstract:
        with systemd(f"\0{name}") as end:
            virtual.run(story(end, f"@{name}"))
    else:
        # pytest's own folder may be too long for the name of a socket.
        path = f"/tmp/ovb-{os.getpid()}-{tmp_path.name[-8:]}.sock"
        try:
            with systemd(path) as end:
                virtual.run(story(end, path))
        finally:
            Path(path).unlink(missing_ok=True)


def test_a_supervisor_that_went_away_stops_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        dog = Watchdog(Supervisor(str(tmp_path / "gone"), systemd_seconds=60.0), list)
        dog.ready()
        await asyncio.sleep(600)
        dog.stopping()

    virtual.run(story())


def test_who_supervises_stands_in_the_environment() -> None:
    systemd_of = {
        "NOTIFY_SOCKET": "/run/systemd/notify",
        "WATCHDOG_USEC": "60000000",
        "WATCHDOG_PID": str(os.getpid()),
    }
    assert supervisor_of(systemd_of) == Supervisor("/run/systemd/notify", 60.0, 0.0)
    assert supervisor_of(systemd_of | {"WATCHDOG_PID": "1"}) == Supervisor(
        "/run/systemd/notify", 0.0, 0.0
    ), "another process is meant"
    assert supervisor_of({"OPENVIDU_BOT_WATCHDOG": "60"}) == Supervisor("", 0.0, 60.0)
    assert supervisor_of({"OPENVIDU_BOT_WATCHDOG": "1m"}) == Supervisor()
    assert supervisor_of({}).every == 0
    assert Supervisor("", 60.0, 20.0).every == 20.0 / FEEDINGS


HANGS = """
import asyncio, sys, time
from bot.watchdog import Supervisor, Watchdog

async def stuck_here():
    time.sleep(600)  # what a library might do

async def story():
    Watchdog(Supervisor(own_seconds=1.0), list).ready()
    await asyncio.sleep(1.5)  # longer than that, and fed all the while
    print("well", flush=True)
    await stuck_here()

asyncio.run(story())
"""


def test_a_process_that_hangs_ends_itself_and_shows_where() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "well\n")
    assert "Timeout" in done.stderr
    assert "stuck_here" in done.stderr
