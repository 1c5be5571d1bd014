"""`openvidu-bot demo --world-only`: the pretend world without a bot, so that one can be connected to it as to the real one."""

import asyncio
import logging
import signal
import sys
import tempfile
from pathlib import Path

from bot.demo.world import OPS, STACK, World
from simulators.clock import ScaledClock
from simulators.town import free_port


def run_world(port: int, speed: float, *, kind: str = "pool") -> int:
    """Play until Ctrl-C. What it prints names throw-away tokens: they open nothing but this world."""
    with tempfile.TemporaryDirectory(prefix="openvidu-bot-world-") as folder:
        logging.basicConfig(filename=Path(folder, "world.log"), level=logging.WARNING)
        return asyncio.run(_play(Path(folder), port, speed, kind=kind))


async def _play(folder: Path, port: int, speed: float, *, kind: str) -> int:
    # With a speed of 1 its time is this machine's: a bot that is started by hand needs to know nothing of it.
    world = World(folder, ScaledClock(speed), kind=kind)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await world.start(port)
    except OSError as error:
        sys.stderr.write(
            f"port {port} cannot be listened on ({error.strerror}); try --port 0 for a free one\n"
        )
        return 1
    life = asyncio.create_task(world.town_life())
    try:
        sys.stdout.write(introduction(world))
        sys.stdout.flush()
        await stop.wait()
        return 0
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        await world.stop()


def introduction(world: World) -> str:
    """Where everything is, as lines for a shell; and what the questions of `init` are answered with here."""
    env, at = world.bot_environment(), world.addresses
    names = [
        name
        for name in env
        if name.startswith(("SLACK_", "DIGITALOCEAN_", "SPACES_", "LIVEKIT_"))
        and name != "SLACK_SIGNING_SECRET"
    ]
    exports = "\n".join(f"    export {name}={env[name]}" for name in names)
    clock = (
        ""
        if world.clock.speed == 1
        else f" --clock {world.clock.speed}:{world.clock.origin}:{world.clock.started}"
    )
    standins = (
        f"--digitalocean-api {at.digitalocean} --slack-api {world.slack.api_url.rstrip('/')} --spaces-endpoint {at.spaces} "
        f"--health-url 'http://{{address}}:{at.health_port}/health/caddy' --ssh-port {at.ssh_port} --health-port {free_port()}"
    )
    return f"""\
A pretend Slack, DigitalOcean and OpenVidu cluster listen on this machine, and no bot. Ctrl-C ends them, and nothing stays.
Slack's page: {world.slack.url} (Ana, Ben and Carla are operators; the channel is #ops)

In a second terminal, first the throw-away tokens of this world:

{exports}

then a settings file. The addresses are flags, because real ones need none; the rest is asked:

    openvidu-bot init --config pretend.yaml --env-file - {standins}

    the stack               {STACK} (it is found)
    its public address      {at.fronts[STACK]}/
    who may ask             UANA, UBEN, UCARLA
    the channel             {OPS}
    the SSH key             {world.key_file}
    the bucket              {world.cluster.bucket}
    your own member id      UANA

and then, as with a real one:

    openvidu-bot doctor --config pretend.yaml{clock}
    openvidu-bot serve --config pretend.yaml{clock}

In Slack's page, type /openvidu status. In a third terminal, with the same tokens: openvidu-bot status --config pretend.yaml{clock}
"""
