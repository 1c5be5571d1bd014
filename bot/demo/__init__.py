"""`openvidu-bot demo`: a simulated world in this process, the real bot in another, one web page."""

import argparse
import asyncio
import logging
import os
import signal
import sys
import tempfile
import webbrowser
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from bot.demo.bot_process import BotProcess
from bot.demo.history import remember_meetings
from bot.demo.panel import Panel
from bot.demo.starting import say_end, start_on
from bot.demo.world import STACK, DemoWorld
from bot.demo.world import ZONE as WORLD_ZONE
from bot.demo.world_only import run_world
from simulators.clock import ScaledClock

BEGINS = (18, 10)  # an evening in Madrid, so that the times of day in messages read well
SPEED = 12.0
SPEED_WITHOUT_BOT = 1.0
ZONE = ZoneInfo("Europe/Madrid")


def run(options: argparse.Namespace) -> int:
    """Run `openvidu-bot demo`; return the exit code."""
    if options.world_only:
        speed = options.speed or SPEED_WITHOUT_BOT
        return run_world(options.port, speed, kind=options.kind)
    speed = options.speed or SPEED
    return run_demo(
        options.port,
        speed,
        browser=not options.no_browser,
        kind=options.kind,
        second=options.second,
    )


def run_demo(
    port: int | None, speed: float, *, browser: bool, kind: str = "pool", second: bool = False
) -> int:
    """Run until Ctrl-C. Everything listens on loopback; all files are deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="openvidu-bot-demo-") as folder:
        logging.basicConfig(filename=Path(folder, "world.log"), level=logging.WARNING)
        world = partial(_world, Path(folder), speed, kind, second=second)
        return asyncio.run(_play(world, port, browser=browser))


def _world(folder: Path, speed: float, kind: str, *, second: bool) -> DemoWorld:
    hour, minute = BEGINS
    evening = datetime.now(ZONE).replace(hour=hour, minute=minute, second=0, microsecond=0)
    return DemoWorld(folder, ScaledClock(speed, evening.timestamp()), kind=kind, second=second)


async def _play(build: Callable[[], DemoWorld], port: int | None, *, browser: bool) -> int:
    world = build()
    child = BotProcess(world.folder / "bot.log")
    panel = Panel(world, child)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if problem := await start_on(world, port, panel):
        sys.stderr.write(f"{problem}\n")
        return 1
    await remember_meetings(world.folder / "state.sqlite3", world.clock.now(), STACK, WORLD_ZONE)
    tasks = [
        asyncio.create_task(child.keep(world.bot_command, world.bot_environment())),
        asyncio.create_task(world.run_meetings()),
    ]
    try:
        # The page is there before the bot is connected, and shows it.
        _announce(world.slack.url, browser=browser)
        ended = asyncio.create_task(stop.wait())
        await asyncio.wait({ended, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            return 0
        sys.stderr.write(
            f"the bot does not stay up; the end of what it wrote:\n{child.log_tail()}\n"
        )
        return 1
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await child.stop()
        await world.stop()
        say_end("The demo has ended; nothing is left of it.")


def _announce(url: str, *, browser: bool) -> None:
    sys.stdout.write(f"openvidu-bot demo: open {url} (Ctrl-C ends it)\n")
    sys.stdout.flush()
    # Without a screen, webbrowser would open a text browser in this terminal.
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if browser and (screen or sys.platform == "darwin"):
        webbrowser.open(url)
