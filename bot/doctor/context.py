"""What the checks are handed: the settings, and the ways to the outside that they name. Nothing of it changes anything."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.app import Adapters, bucket_of, http_of, people_of, site_of
from bot.serve import slack_client
from bot.state import Unusable, open_store
from config.values import Cluster, Settings
from services.cloud.clients.http import Http
from services.cloud.clients.spaces import Spaces
from services.cloud.clients.ssh import Ssh
from services.cloud.clients.tls import trust
from services.cloud.listings import Account
from services.cloud.nodes import Shell
from services.cloud.secrets_bucket import Objects
from services.cloud.world import ClusterWorld, People
from services.cluster.model import Droplet
from services.common.causes import cause_of
from services.common.clock import Clock
from services.common.errors import Unreachable
from services.store import Commit, Store
from services.store.keys import host_key_key


@dataclass(frozen=True)
class Patient:
    """One cluster, and what it is reached with."""

    name: str
    settings: Cluster
    world: ClusterWorld
    shell: Shell
    http: Http
    pins: "Pins"
    people: People | None
    bucket: Objects | None

    async def aclose(self) -> None:
        """Let go of connections and threads."""
        if isinstance(self.shell, Ssh):
            await self.shell.aclose()
        if isinstance(self.bucket, Spaces):
            await self.bucket.aclose()
        await self.world.aclose()

    def address_of(self, droplet: Droplet) -> str:
        """Where the bot reaches a node."""
        return droplet.private_address if self.settings.ssh.use_private_address else droplet.address


@dataclass(frozen=True)
class Case:
    """Everything to look at. `wall` is this machine's own time, `clock` the bot's, which the nodes' clocks are compared with."""

    settings: Settings
    clock: Clock
    session: (
        aiohttp.ClientSession
    )  # as DigitalOcean's client goes out: proxies of the environment, digitalocean.ca_file
    slack: AsyncWebClient
    store: Store
    patients: tuple[Patient, ...]
    accounts: tuple[Account, ...]  # one for each DigitalOcean token
    write_probe: bool = False
    wall: Callable[[], float] = field(default=time.time)


class Pins:
    """The host keys that the bot has pinned. Looking at a host pins nothing. `unknown`: why none could be read."""

    def __init__(self, pinned: Callable[[int], Awaitable[str | None]]) -> None:
        self._pinned = pinned
        self.seen: dict[int, str] = {}
        self.unknown = ""

    async def get(self, droplet_id: int) -> str | None:
        try:
            return await self._pinned(droplet_id)
        except Unreachable as error:
            self.unknown = str(error)
            return None

    async def put(self, droplet_id: int, key: str) -> None:
        self.seen[droplet_id] = key


class FileLook:
    """The state file, opened for reading only: a bot may be running on it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def get(self, *keys: str) -> list[str | None]:
        try:
            return await asyncio.to_thread(self._read, keys)
        except sqlite3.OperationalError:
            why, remedy = (
                f"{self.path} cannot be opened or is held by another program",
                "run the doctor as the user that the bot runs as",
            )
        except sqlite3.DatabaseError:
            why, remedy = (
                f"{self.path} is no state of the bot, or damaged",
                "name another file in state.path, or bring back a backup",
            )
        except OSError as trouble:
            why, remedy = f"{self.path}: {cause_of(trouble).said}", cause_of(trouble).remedy
        raise Unreachable(why, cause=why, remedy=remedy)

    def _read(self, keys: tuple[str, ...]) -> list[str | None]:
        if not self.path.is_file():
            return [None] * len(keys)
        with contextlib.closing(
            sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)
        ) as db:
            rows = [
                db.execute("select text from value where key = ?", (key,)).fetchone()
                for key in keys
            ]
        return [row[0] if row else None for row in rows]

    async def commit(self, commit: Commit) -> bool:
        raise AssertionError(
            f"the doctor writes nothing, and this would write {sorted(commit.puts)}"
        )

    async def read(self, log: str, start: int = 0, count: int | None = None) -> list[str]:  # noqa: ARG002 - the port's own words
        return []

    async def tail(self, log: str, count: int) -> list[str]:  # noqa: ARG002 - the port's own words
        return []

    async def length(self, log: str) -> int:  # noqa: ARG002 - the port's own words
        return 0

    async def names(self, start: str) -> list[str]:  # noqa: ARG002 - the port's own words
        return []

    async def logs(self, start: str) -> list[str]:  # noqa: ARG002 - the port's own words
        return []

    async def tidy(self) -> None:
        return None

    async def aclose(self) -> None:
        return None


class NoStore:
    """Replaces a state store whose settings are wrong: every call fails with the reason."""

    def __init__(self, why: str, remedy: str) -> None:
        self.why, self.remedy = why, remedy

    def _refuse(self) -> Unreachable:
        return Unreachable(
            f"the state store cannot be read: {self.why}", cause=self.why, remedy=self.remedy
        )

    async def get(self, *keys: str) -> list[str | None]:  # noqa: ARG002 - the port's own words
        raise self._refuse()

    async def commit(self, commit: Commit) -> bool:  # noqa: ARG002 - the port's own words
        raise self._refuse()

    async def read(self, log: str, start: int = 0, count: int | None = None) -> list[str]:  # noqa: ARG002 - the port's own words
        raise self._refuse()

    async def tail(self, log: str, count: int) -> list[str]:  # noqa: ARG002 - the port's own words
        raise self._refuse()

    async def length(self, log: str) -> int:  # noqa: ARG002 - the port's own words
        raise self._refuse()

    async def names(self, start: str) -> list[str]:  # noqa: ARG002 - the port's own words
        raise self._refuse()

    async def logs(self, start: str) -> list[str]:  # noqa: ARG002 - the port's own words
        raise self._refuse()

    async def tidy(self) -> None:
        raise self._refuse()

    async def aclose(self) -> None:
        return None


def _store(settings: Settings, clock: Clock) -> Store:
    if settings.state.redis_url is None:
        return FileLook(settings.state.path)
    try:
        return open_store(settings.state, clock)
    except Unusable as error:
        return NoStore(
            str(error),
            "correct REDIS_URL, where it is set (environment, or the file that REDIS_URL_FILE names)",
        )


@contextlib.asynccontextmanager
async def open_case(
    settings: Settings, clock: Clock, *, write_probe: bool = False
) -> AsyncIterator[Case]:
    """Open the ways that the settings name, for as long as the examination lasts. Nothing is connected yet."""
    store = _store(settings, clock)

    async def pinned(droplet_id: int) -> str | None:
        return (await store.get(host_key_key(droplet_id)))[0]

    ways = Adapters(clock, store, Http())
    shells: list[Shell] = []
    accounts: dict[str, Account] = {}
    patients = []
    for name, cluster in settings.clusters.items():
        pins = Pins(pinned)
        site = site_of(name, cluster, settings, ways, pins, accounts, shells)
        assert isinstance(site.world, ClusterWorld), "what the composition root makes"
        http = http_of(name, cluster, ways)
        people, bucket = people_of(cluster, ways, http), bucket_of(cluster, ways)
        patients.append(Patient(name, cluster, site.world, shells[-1], http, pins, people, bucket))
    async with contextlib.AsyncExitStack() as sessions:
        ca_file = settings.digitalocean.ca_file
        connector = aiohttp.TCPConnector(ssl=trust(str(ca_file) if ca_file else None))
        jar = aiohttp.DummyCookieJar()
        session = await sessions.enter_async_context(
            aiohttp.ClientSession(connector=connector, trust_env=True, cookie_jar=jar)
        )
        for_slack = await sessions.enter_async_context(
            aiohttp.ClientSession(cookie_jar=jar)
        )  # as in bot/serve.py
        try:
            slack = slack_client(settings, for_slack)
            yield Case(
                settings,
                clock,
                session,
                slack,
                store,
                tuple(patients),
                tuple(accounts.values()),
                write_probe,
            )
        finally:
            for patient in patients:
                await patient.aclose()
            for account in accounts.values():
                await account.api.aclose()
            await ways.http.aclose()
            await store.aclose()
