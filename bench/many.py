"""A pretend world with many clusters, and several bots as processes that share a real Redis."""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import yaml
from typing_extensions import override

import config
from bench.figures import Unmeasured
from bot.demo.bot_process import BotProcess
from bot.demo.world import OPERATORS, OPS, PEOPLE, ZONE, DemoWorld, SidePanel
from simulators.clock import ScaledClock
from simulators.environment import find_free_port
from simulators.listeners import HttpListener, listen_http
from simulators.node import SshServers
from simulators.slack.server import SlackServer
from simulators.slack.workspace import SlackWorkspace

NIGHTS = f"nights Mon-Fri 20:00-07:30 {ZONE}"
HEALTH = re.compile(r"health on (http://\S+)/healthz")
TICKS = os.sysconf("SC_CLK_TCK")
STARTS_WITHIN = 120.0


def ten_in_the_morning() -> float:
    """Return a moment at which no window is due for hours."""
    return datetime(2026, 11, 25, 10, tzinfo=ZoneInfo(ZONE)).timestamp()


class ManyClusters(DemoWorld):
    """So many clusters under one token, each with a window."""

    def __init__(self, folder: Path, number: int, redis_url: str) -> None:
        clock = ScaledClock(1.0, origin=ten_in_the_morning())
        super().__init__(folder, clock, media=1, redis_url=redis_url)
        self.names = [f"c{n}" for n in range(number)]
        self.estate.droplet_limit = 10 * number
        for name in self.names:
            self.environment.build_cluster(name, media=1)
        self._listeners: tuple[HttpListener, ...] = ()
        ssh, health = find_free_port(), find_free_port()
        self._ssh_port, self._health_port = ssh, health
        self._doors = (
            SshServers(self.estate, self.environment.shell, ssh),
            self.environment.web.masters(health),
        )

    @override
    async def start(self, port: int = 0, page: SidePanel | None = None) -> None:
        """Start what idle bots ask: DigitalOcean, the nodes and Slack; write the settings."""
        assert page is None, "there is no page here"
        manifest = yaml.safe_load(
            Path(config.__file__).with_name("slack-manifest.yaml").read_text("utf-8")
        )
        place = SlackWorkspace(self.clock)
        for user, (name, full_name) in PEOPLE.items():
            place.add_user(user, name, full_name)
        place.add_channel(OPS, "ops", list(PEOPLE))
        self.slack = SlackServer(place, manifest, self.clock, port=port)
        await self.slack.start()
        for door in self._doors:
            await door.start()
        api = await listen_http(self.environment.digitalocean.app(), "127.0.0.1")
        # One public address for all of them: that of the cluster that no bot knows.
        livekit = self.environment.livekit[self.cluster.stack]
        front = await self.environment.web.open_front(self.cluster, livekit, "127.0.0.1", 0)
        self._listeners = (api, front)
        settings = self._settings_of(api.url, front.url)
        self.settings_file.write_text(yaml.safe_dump(settings), "utf-8")

    @override
    async def stop(self) -> None:
        """Stop all of it."""
        for listener in self._listeners:
            await listener.close()
        for door in self._doors:
            await door.stop()
        await self.slack.stop()

    def _settings_of(self, api: str, front: str) -> dict[str, Any]:
        common = {
            "region": self.cluster.region,
            "roles": {"operators": OPERATORS},
            "channel": OPS,
            "timezone": ZONE,
            "windows": [NIGHTS],
            "health_url": f"http://{{address}}:{self._health_port}/health/caddy",
            "ssh": {"port": self._ssh_port, "key_file": str(self.key_file)},
        }
        return {
            "clusters": {
                name: {"stack": name, "public_url": f"{front}/", **common} for name in self.names
            },
            "channels": {OPS: self.names[0]},
            "slack": {"api_url": self.slack.api_url},
            "state": {"path": str(self.folder / "state.sqlite3")},
            "digitalocean": {"api_url": api},
            "health": {"port": 0},
        }


class RunningBot:
    """A bot process, and what it says of itself."""

    def __init__(self, process: BotProcess, http: aiohttp.ClientSession) -> None:
        self.process = process
        self._http = http

    def processor_seconds(self) -> float:
        """Return how long it has computed since its start."""
        return processor_seconds(self.process.pid)

    async def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels. Unmeasured if it is not there."""
        async with self._http.get(f"{self._address()}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        found = [line for line in lines if line.split("{")[0].split(" ")[0] == name]
        if not found:
            raise Unmeasured(f"{name} is not among the metrics")
        return sum(float(line.rpartition(" ")[2]) for line in found)

    async def is_up(self) -> bool:
        """Return whether its health page answers yet."""
        with contextlib.suppress(Unmeasured, aiohttp.ClientError):
            await self.metric("openvidu_bot_ready")
            return True
        return False

    def _address(self) -> str:
        found = HEALTH.search(self.process.log.read_text("utf-8", "replace"))
        if found is None:
            raise Unmeasured(f"the bot does not listen: {self.process.log_tail()}")
        return found[1]


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process, from its start."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextlib.asynccontextmanager
async def running_bots(world: ManyClusters, number: int) -> AsyncIterator[list[RunningBot]]:
    """Run so many bots, one started after the other."""
    bots: list[RunningBot] = []
    async with aiohttp.ClientSession() as http:
        try:
            for n in range(number):
                process = BotProcess(world.folder / f"bot-{n}.log")
                bots.append(RunningBot(process, http))
                await process.start(world.bot_command(), world.bot_environment())
                await until_up(bots[-1])
            yield bots
        finally:
            await asyncio.gather(*(bot.process.stop() for bot in bots))


async def until_up(bot: RunningBot) -> None:
    """Wait until a bot listens. Unmeasured if it does not."""
    async with asyncio.timeout(STARTS_WITHIN):
        while not await bot.is_up():
            if not bot.process.alive:
                raise Unmeasured(f"the bot has ended: {bot.process.log_tail()}")
            await asyncio.sleep(0.2)
