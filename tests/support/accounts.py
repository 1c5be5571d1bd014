"""Many DigitalOcean accounts, each a world with its own token, network and rate limit.

One bot for all of them.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from bot.app import Bot, build
from bot.clusters import Adapters
from bot.rehearsal.in_process import InProcessHttp, InProcessShell
from config.settings import load
from services.cloud.clients.http import HttpClient, Reply
from services.cloud.clients.ssh import Host, Output
from services.cluster.certificates import CertificateSeen
from services.common.clock import loop_clock
from services.store.sqlite import SqliteStore
from simulators.clock import LoopClock
from simulators.environment import SimulatedEnvironment
from simulators.slack.fake_slack import FakeSlack
from simulators.slack.inprocess import InProcessWebClient, bolt_receiver
from simulators.slack.workspace import SlackWorkspace
from tests.support.pydo_transport import InProcessTransport
from tests.support.scene import MANIFEST

APART = 10_000_000  # Between the ids of two accounts.
CHANNEL = "COPS"


class SharedWorlds(HttpClient):
    """The worlds, with an HTTP client and a shell into them."""

    def __init__(self, number: int, stacks: int, origin: float) -> None:
        super().__init__()
        self.towns = [self._town(n, stacks, origin) for n in range(number)]
        self._webs = [InProcessHttp(t) for t in self.towns]
        self._shells = [InProcessShell(t) for t in self.towns]
        self._domains = {
            c.domain: n for n, t in enumerate(self.towns) for c in t.estate.clusters.values()
        }

    @staticmethod
    def _town(number: int, stacks: int, origin: float) -> SimulatedEnvironment:
        town = SimulatedEnvironment(LoopClock(origin), number, token=f"token{number}")
        town.estate._numbers += number * APART
        town.estate.droplet_limit = stacks * 6
        for stack in range(stacks):
            town.build_cluster(f"a{number}c{stack}", media=1)
        return town

    def digitalocean(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        headers: Mapping[str, str],
        body: bytes,
        /,
    ) -> Any:
        """Return one API: the account whose token a request carries answers it."""
        token = {k.lower(): v for k, v in headers.items()}["authorization"]
        return self.towns[int(token.partition("token")[2])].digitalocean.handle(
            method, path, query, headers, body
        )

    def trusting(self, ca_file: str | None, setting: str) -> HttpClient:
        return self

    async def certificate_of(self, url: str) -> CertificateSeen:
        return await self._web(url).certificate_of(url)

    async def get(self, url: str, *, headers: Any = None, timeout: float = 10.0) -> Reply:
        return await self._web(url).get(url, headers=headers, timeout=timeout)

    async def post(
        self, url: str, json: object, *, headers: Any = None, timeout: float = 10.0
    ) -> Reply:
        return await self._web(url).post(url, json, headers=headers, timeout=timeout)

    def _web(self, url: str) -> HttpClient:
        host = urlsplit(url).hostname or ""
        return self._webs[
            self._domains[host] if host in self._domains else int(host.split(".")[1]) - 20
        ]

    async def run(self, host: Host, command: str, *, stdin: str = "", timeout: float) -> Output:
        first = min(self.towns[0].estate.droplets)
        return await self._shells[(host.droplet_id - first) // APART].run(
            host, command, stdin=stdin, timeout=timeout
        )

    def settings(self, windows: Sequence[str], folder: Path) -> Any:
        """Return settings with one cluster for each stack, under its account's token."""
        env = {"SLACK_BOT_TOKEN": "xoxb-sim", "SLACK_APP_TOKEN": "xapp-sim"}
        clusters = {}
        for n, town in enumerate(self.towns):
            env[f"TOKEN_{n}"] = f"token{n}"
            for stack, cluster in town.estate.clusters.items():
                face, name = town.livekit[stack], stack.upper()
                env |= {f"KEY_{name}": face.api_key, f"SECRET_{name}": face.api_secret}
                secrets = {
                    "digitalocean_token": f"TOKEN_{n}",
                    "livekit_api_key": f"KEY_{name}",
                    "livekit_api_secret": f"SECRET_{name}",
                }
                clusters[stack] = {
                    "stack": stack,
                    "region": "ams3",
                    "public_url": f"https://{cluster.domain}/",
                    "livekit_url": f"https://{cluster.domain}",
                    "windows": list(windows),
                    "secrets": secrets,
                }
        path = folder / "settings.yaml"
        path.write_text(
            yaml.safe_dump(
                {"clusters": clusters, "state": {"path": str(folder / "unused.sqlite3")}}
            )
        )
        return load(path, env)

    def busiest_minute(self, origin: float) -> int:
        """Return the requests of the busiest minute of any account."""
        found = [Counter(int((r[3] - origin) // 60) for r in t.estate.requests) for t in self.towns]
        return max(n for minutes in found for n in minutes.values())


@contextlib.asynccontextmanager
async def looked_after(
    accounts: SharedWorlds, windows: Sequence[str], origin: float, folder: Path
) -> AsyncIterator[Bot]:
    """Return a bot for all of them. It sends no messages: Slack's own limits are another story."""
    clock = loop_clock(origin)
    place = SlackWorkspace(LoopClock(origin))
    place.add_user("UANA", "ana", "Ana")
    place.add_channel(CHANNEL, "ops", ["UANA"])
    slack = FakeSlack(place, MANIFEST)
    ways = Adapters(
        clock=clock,
        store=SqliteStore(None, clock, threaded=False),
        http=accounts,
        transport=InProcessTransport(accounts.digitalocean),
        shell=lambda _cluster, _keys: accounts,
    )
    bot = build(accounts.settings(windows, folder), ways, InProcessWebClient(slack.webapi))
    slack.connect(bolt_receiver(bot.app, slack.webapi))
    bot.operations.subscribers.runs.remove(bot.reporter.run_changed)
    sweeping = asyncio.create_task(bot.keep_running_rounds())
    try:
        yield bot
    finally:
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
        await bot.aclose()
