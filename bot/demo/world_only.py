"""`openvidu-bot demo --world-only`: the simulated world alone, to which a bot can be connected."""

import asyncio
import logging
import signal
import sys
import tempfile
from pathlib import Path

from bot.demo.world import OPS, STACK, DemoWorld
from simulators.clock import ScaledClock
from simulators.environment import find_free_port


def run_world(port: int, speed: float, *, kind: str = "pool") -> int:
    """Run until Ctrl-C. The tokens that it prints are valid in this world only."""
    with tempfile.TemporaryDirectory(prefix="openvidu-bot-world-") as folder:
        logging.basicConfig(filename=Path(folder, "world.log"), level=logging.WARNING)
        return asyncio.run(_play(Path(folder), port, speed, kind=kind))


async def _play(folder: Path, port: int, speed: float, *, kind: str) -> int:
    # At speed 1 its time is real time, and a bot needs no `--clock`.
    world = DemoWorld(folder, ScaledClock(speed), kind=kind)
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
    meetings = asyncio.create_task(world.run_meetings())
    try:
        sys.stdout.write(introduction(world))
        sys.stdout.flush()
        await stop.wait()
        return 0
    finally:
        meetings.cancel()
        await asyncio.gather(meetings, return_exceptions=True)
        await world.stop()


def introduction(world: DemoWorld) -> str:
    """Return the addresses as shell commands, and the answers to the questions of `init`."""
    env, at = world.bot_environment(), world.addresses
    names = [
        name
        for name in env
        if name.startswith(("SLACK_", "DIGITALOCEAN_", "SPACES_", "LIVEKIT_"))
        and name != "SLACK_SIGNING_SECRET"
    ]
    exports = "\n".join(f"    export {name}={env[name]}" for name in names)
    clock = ""
    if world.clock.speed != 1:
        clock = f" --clock {world.clock.speed}:{world.clock.origin}:{world.clock.started}"
    standins = " ".join(
        (
            f"--digitalocean-api {at.digitalocean} --slack-api {world.slack.api_url.rstrip('/')}",
            f"--spaces-endpoint {at.spaces}",
            f"--health-url 'http://{{address}}:{at.health_port}/health/caddy'",
            f"--ssh-port {at.ssh_port} --health-port {find_free_port()}",
        )
    )
    return f"""\
A pretend Slack, DigitalOcean and OpenVidu cluster listen on this machine, and no bot. Ctrl-C ends \
them, and nothing stays.
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

In Slack's page, type /openvidu status. In a third terminal, with the same tokens: \
openvidu-bot status --config pretend.yaml{clock}
"""
