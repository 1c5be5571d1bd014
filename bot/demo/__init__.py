"""`openvidu-bot demo`: a pretend world in this process, the real bot in another, and a page to watch and disturb both."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
import webbrowser
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from bot.demo.bot_process import Child
from bot.demo.panel import Panel
from bot.demo.world import World
from bot.demo.world_only import run_world as run_world
from simulators.clock import ScaledClock

BEGINS = (18, 10)  # an evening in Madrid: cards speak of times of day, and these read well
LISTENS_WITHIN = (
    30.0  # the page is announced once the bot listens, so that nobody's first command fails
)
ZONE = ZoneInfo("Europe/Madrid")


def run(port: int, speed: float, *, browser: bool, kind: str = "pool") -> int:
    """Play until Ctrl-C. Everything listens on loopback, and everything that is written is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="openvidu-bot-demo-") as folder:
        logging.basicConfig(filename=Path(folder, "world.log"), level=logging.WARNING)
        return asyncio.run(_play(Path(folder), port, speed, browser=browser, kind=kind))


async def _play(folder: Path, port: int, speed: float, *, browser: bool, kind: str) -> int:
    hour, minute = BEGINS
    evening = datetime.now(ZONE).replace(hour=hour, minute=minute, second=0, microsecond=0)
    world = World(folder, ScaledClock(speed, evening.timestamp()), kind=kind)
    child = Child(folder / "bot.log")
    panel = Panel(world, child)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await world.start(port, panel)
    except OSError as error:
        sys.stderr.write(
            f"port {port} cannot be listened on ({error.strerror}); try --port 0 for a free one\n"
        )
        return 1
    tasks = [
        asyncio.create_task(child.keep(world.bot_command, world.bot_environment())),
        asyncio.create_task(world.town_life()),
    ]
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(world.slack.sockets.until(bool), LISTENS_WITHIN)
        _invite(world.slack.url, browser=browser)
        ended = asyncio.create_task(stop.wait())
        await asyncio.wait({ended, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            sys.stderr.write(
                f"the bot does not stay up; the end of what it wrote:\n{child.last_words()}\n"
            )
        return 0 if stop.is_set() else 1
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await child.stop()
        await world.stop()


def _invite(url: str, *, browser: bool) -> None:
    sys.stdout.write(f"openvidu-bot demo: open {url} (Ctrl-C ends it)\n")
    sys.stdout.flush()
    # Without a screen, webbrowser would open one of those that draw in this terminal.
    if browser and (
        sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        webbrowser.open(url)
