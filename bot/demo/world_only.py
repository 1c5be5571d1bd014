"""`openvidu-bot demo --world-only`: the simulated world alone, to which a bot can be connected."""

import asyncio
import json
import logging
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from bot.demo.starting import say_end, start_on
from bot.demo.world import OPERATORS, OPS, STACK, DemoWorld
from bot.init.questions import QUESTIONS, STANDINS
from bot.settings_files import CONFIG_VARIABLE, ENV_FILE_VARIABLE, NO_FILE, SETTINGS
from simulators.clock import ScaledClock
from simulators.environment import find_free_port

ENTER = "Enter"


def run_world(port: int | None, speed: float, *, kind: str = "pool") -> int:
    """Run until Ctrl-C. The tokens that it writes are valid in this world only."""
    # A bot that still runs may write into the folder while it is deleted.
    with tempfile.TemporaryDirectory(
        prefix="openvidu-bot-world-", ignore_cleanup_errors=True
    ) as folder:
        logging.basicConfig(filename=Path(folder, "world.log"), level=logging.WARNING)
        return asyncio.run(_play(Path(folder), port, speed, kind=kind))


async def _play(folder: Path, port: int | None, speed: float, *, kind: str) -> int:
    # At speed 1 its time is real time, and a bot needs no `--clock`.
    world = DemoWorld(folder / "world", ScaledClock(speed), kind=kind)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if problem := await start_on(world, port):
        sys.stderr.write(f"{problem}\n")
        return 1
    meetings = asyncio.create_task(world.run_meetings())
    try:
        script = folder / "env.sh"
        script.write_text("\n".join(environment(world, folder / SETTINGS)) + "\n", "utf-8")
        sys.stdout.write(introduction(world, script))
        sys.stdout.flush()
        await stop.wait()
        return 0
    finally:
        meetings.cancel()
        await asyncio.gather(meetings, return_exceptions=True)
        await world.stop()
        say_end("The world has ended; nothing is left of it.")


def environment(world: DemoWorld, settings: Path) -> Iterator[str]:
    """Yield the lines that a shell reads: the tokens of this world, and where its settings go."""
    values = {
        name: value
        for name, value in world.bot_environment().items()
        if name.startswith(("SLACK_", "DIGITALOCEAN_", "SPACES_", "LIVEKIT_"))
        and name != "SLACK_SIGNING_SECRET"
    }
    values |= {CONFIG_VARIABLE: str(settings), ENV_FILE_VARIABLE: NO_FILE}
    values[STANDINS] = json.dumps(_standins(world))
    for name, value in values.items():
        yield f"export {name}={shlex.quote(value)}"
    # Always: the terminal that reads this may lack what the one of this process has.
    command = Path(sys.executable).with_name("openvidu-bot")
    if os.access(command, os.X_OK):
        yield f'export PATH={shlex.quote(str(command.parent))}:"$PATH"'


def _standins(world: DemoWorld) -> Mapping[str, str | int]:
    """Return the addresses that `init` would otherwise take from the real services."""
    at = world.addresses
    return {
        "digitalocean_api": at.digitalocean,
        "slack_api": world.slack.api_url.rstrip("/"),
        "spaces_endpoint": at.spaces,
        "health_url": world.health_url(),
        "ssh_port": at.ssh_port,
        "health_port": find_free_port(),
    }


def introduction(world: DemoWorld, script: Path) -> str:
    """Return what to type in a second terminal, and the answers to the questions of `init`."""
    front = world.addresses.fronts[STACK]
    typed = {
        "public_url": f"{front}/",
        "operators": ", ".join(OPERATORS),
        "key_file": str(world.key_file),
        "me": OPERATORS[0],
    }
    found = {
        "stack": STACK,
        "name": STACK,
        "channel": OPS,
        "livekit_url": front,
        "bucket": world.cluster.bucket,
    }
    enter = {key: f"{ENTER} ({value})" for key, value in found.items()}
    widest = max(len(question.asks) for question in QUESTIONS)
    # The region is not asked for: it is where the stack was found.
    answers = "\n".join(
        f"    {question.asks:<{widest}}  {(typed | enter).get(question.key, ENTER)}"
        for question in QUESTIONS
        if question.key != "region"
    )
    clock = ""
    if world.clock.speed != 1:
        clock = f" --clock {world.clock.speed}:{world.clock.origin}:{world.clock.started}"
    return f"""\
A pretend Slack, DigitalOcean and OpenVidu cluster run on this machine, without a bot.
Ctrl-C ends them, and nothing stays. Slack's page: {world.slack.url}

In a second terminal:

    . {script}
    openvidu-bot init
    openvidu-bot doctor{clock}
    openvidu-bot serve{clock}

The first line sets throw-away tokens and a folder for the settings, both of this world only.
init asks what it cannot find out. In this world:

{answers}

Then type /openvidu status in the pretend Slack. In a third terminal, after the same first line:
openvidu-bot status{clock}
"""
