"""What the checks work with: the settings and read-only access to everything that they name."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient
from typing_extensions import override

from bot.clusters import ClusterAdapters, bucket_of, cluster_of, guarded, http_of, people_of
from bot.serve import slack_client
from bot.state import Unusable, open_store
from config.values import ClusterSettings, Settings
from services.cloud.clients.exchanges import Listener
from services.cloud.clients.heard import HeardShell
from services.cloud.clients.http import HttpClient
from services.cloud.clients.read_only import ReadingBucket, ReadingShell
from services.cloud.clients.spaces import SpacesClient
from services.cloud.clients.ssh import SshClient
from services.cloud.clients.tls import trust
from services.cloud.listings import SharedAccount
from services.cloud.node_access import Shell
from services.cloud.secrets_bucket import ObjectStore
from services.cloud.world import ClusterWorld, MeetingSource
from services.cluster.model import Droplet
from services.common.causes import cause_of
from services.common.clock import Clock
from services.common.errors import Unreachable
from services.store.keys import host_key_key


class StateReader(Protocol):
    """The part of a state store that the doctor uses: it only reads. A store is one too."""

    async def get(self, *keys: str) -> list[str | None]: ...
    async def aclose(self) -> None: ...


@dataclass(frozen=True)
class Target:
    """One cluster with its clients."""

    name: str
    settings: ClusterSettings
    world: ClusterWorld
    shell: Shell
    http: HttpClient
    pins: "Pins"
    people: MeetingSource | None
    bucket: ObjectStore | None

    async def aclose(self) -> None:
        """Close connections and threads."""
        if isinstance(self.shell, SshClient | HeardShell | ReadingShell):
            await self.shell.aclose()
        if isinstance(self.bucket, SpacesClient | ReadingBucket):
            await self.bucket.aclose()
        await self.world.aclose()

    def address_of(self, droplet: Droplet) -> str:
        """Return the address at which the bot reaches a node."""
        if self.settings.ssh.use_private_address:
            return droplet.private_address
        return droplet.address


@dataclass(frozen=True)
class DoctorContext:
    """Everything that is checked.

    `wall` is this machine's own time; `clock` is the bot's, with which nodes' clocks are compared.
    `session` connects as the DigitalOcean client does: with the environment's proxies and
    digitalocean.ca_file. `accounts` has one entry for each DigitalOcean token.
    """

    settings: Settings
    clock: Clock
    session: aiohttp.ClientSession
    slack: AsyncWebClient
    store: StateReader
    targets: tuple[Target, ...]
    accounts: tuple[SharedAccount, ...]
    write_probe: bool = False
    wall: Callable[[], float] = field(default=time.time)


class Pins:
    """Host keys that the bot has pinned; the doctor pins none. `unknown`: why none can be read."""

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


class ReadOnlyFile(StateReader):
    """The state file, opened read-only: a bot may be running on it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @override
    async def get(self, *keys: str) -> list[str | None]:
        try:
            return await asyncio.to_thread(self._read, keys)
        except sqlite3.OperationalError:
            why = f"{self.path} cannot be opened, or another program has it locked"
            remedy = "run doctor as the user of the bot"
        except sqlite3.DatabaseError:
            why = f"{self.path} is not a state file of the bot, or it is damaged"
            remedy = "set state.path to another file, or restore a backup"
        except OSError as error:
            cause = cause_of(error)
            why, remedy = f"{self.path}: {cause.text}", cause.remedy
        raise Unreachable(why, cause=why, remedy=remedy)

    def _read(self, keys: tuple[str, ...]) -> list[str | None]:
        if not self.path.is_file():
            return [None] * len(keys)
        with contextlib.closing(
            sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)
        ) as db:
            rows = (
                db.execute("select text from value where key = ?", (key,)).fetchone()
                for key in keys
            )
            return [None if row is None else row[0] for row in rows]

    @override
    async def aclose(self) -> None:
        return None


class UnusableStore(StateReader):
    """Replaces a state store whose settings are wrong: every call fails with the reason."""

    def __init__(self, why: str, remedy: str) -> None:
        self.why, self.remedy = why, remedy

    @override
    async def get(self, *keys: str) -> list[str | None]:
        raise Unreachable(
            f"the state store cannot be read: {self.why}",
            cause=self.why,
            remedy=self.remedy,
        )

    @override
    async def aclose(self) -> None:
        return None


def _store(settings: Settings, clock: Clock) -> StateReader:
    if settings.state.redis_url is None:
        return ReadOnlyFile(settings.state.path)
    try:
        return open_store(settings.state, clock)
    except Unusable as error:
        return UnusableStore(
            str(error),
            "correct REDIS_URL (in the environment, bot.env, or the file of REDIS_URL_FILE)",
        )


@contextlib.asynccontextmanager
async def open_context(
    settings: Settings,
    clock: Clock,
    *,
    write_probe: bool = False,
    listener: Listener | None = None,
) -> AsyncIterator[DoctorContext]:
    """Open the clients that the settings call for. Nothing connects before the first check.

    `listener` hears every exchange.
    """
    store = _store(settings, clock)

    async def pinned(droplet_id: int) -> str | None:
        return (await store.get(host_key_key(droplet_id)))[0]

    adapters = guarded(settings, ClusterAdapters(clock, HttpClient(), listener=listener))
    shells: list[Shell] = []
    accounts: dict[str, SharedAccount] = {}
    targets = []
    for name, cluster in settings.clusters.items():
        pins = Pins(pinned)
        site = cluster_of(name, cluster, settings, adapters, pins, accounts, shells)
        assert isinstance(site.world, ClusterWorld), "what the composition root makes"
        http = http_of(name, cluster, adapters)
        people, bucket = people_of(cluster, adapters, http), bucket_of(cluster, adapters)
        targets.append(Target(name, cluster, site.world, shells[-1], http, pins, people, bucket))
    async with contextlib.AsyncExitStack() as sessions:
        ca_file = settings.digitalocean.ca_file
        connector = aiohttp.TCPConnector(ssl=trust(str(ca_file) if ca_file else None))
        jar = aiohttp.DummyCookieJar()
        session = await sessions.enter_async_context(
            aiohttp.ClientSession(connector=connector, trust_env=True, cookie_jar=jar)
        )
        # As in bot/serve.py.
        slack_session = await sessions.enter_async_context(aiohttp.ClientSession(cookie_jar=jar))
        try:
            yield DoctorContext(
                settings,
                clock,
                session,
                slack_client(settings, slack_session, listener),
                store,
                tuple(targets),
                tuple(accounts.values()),
                write_probe,
            )
        finally:
            for target in targets:
                await target.aclose()
            for account in accounts.values():
                await account.api.aclose()
            await adapters.http.aclose()
            await store.aclose()
