"""The composition root: from settings to a running bot."""

import logging
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from config.values import Cluster, Settings
from handlers.actions import Buttons, approvers
from handlers.app import build_app
from handlers.commands import Counter, Office
from handlers.modals import Forms
from handlers.notices import Notices
from handlers.reporter import Reporter
from handlers.voice import Voice
from services.clients.digitalocean import DigitalOcean
from services.clients.http import Http
from services.clients.livekit import Livekit
from services.clients.spaces import Spaces
from services.clients.ssh import Ssh
from services.clock import Clock
from services.cluster import Timings
from services.desk import SWEEP, Desk, Site
from services.errors import BotError, Refused
from services.hours import Hours
from services.memory import HostKeys
from services.policy import EVERYONE, Rules
from services.store import Store
from services.store.port import new_id
from services.vault import Objects
from services.windows import Window, parse_window
from services.world import Account, ClusterWorld, People, Place, Shell

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ways:
    """The ways out of the process. Tests hand in their own; nothing else differs between them and a real bot."""

    clock: Clock
    store: Store
    http: Http
    transport: Any = None  # of pydo
    shell: Callable[[Cluster, HostKeys], Shell] | None = None
    bucket: Callable[[Cluster], Objects | None] | None = None


@dataclass
class Bot:
    """Everything put together. `start` of the sockets is serve.py's part."""

    settings: Settings
    ways: Ways
    desk: Desk
    hours: Hours
    notices: Notices
    counter: Counter
    voice: Voice
    reporter: Reporter
    app: AsyncApp
    accounts: list[Account]
    shells: list[Shell]
    worker: str
    seeds: Mapping[str, tuple[Window, ...]]
    _seeded: bool = False

    async def sweep(self) -> None:
        """One round of looking after what nobody looks after. Each part on its own: one that fails holds up no other."""
        for work in (self.desk.sweep, self._seed, self.hours.tick, self.notices.sweep, self.reporter.sweep, self.counter.sweep):
            try:
                await work()
            except BotError as error:
                log.warning("sweep: %s", error)

    async def _seed(self) -> None:
        """Windows of the settings file, for clusters that have no book of hours yet."""
        if self._seeded:
            return
        for name, windows in self.seeds.items():
            await self.hours.books.seed(name, windows, self.ways.clock.now())
        self._seeded = True

    async def keep_sweeping(self) -> None:
        """A round at once, and then every ten seconds."""
        while True:
            await self.sweep()
            await self.ways.clock.sleep(SWEEP)

    async def aclose(self) -> None:
        """No new work, answers in flight go out, runs are handed over."""
        self.counter.closing = True
        await self.counter.tasks.settle(2.5)
        await self.hours.aclose()
        await self.desk.aclose()
        await self.reporter.aclose()
        for shell in self.shells:
            if isinstance(shell, Ssh):
                await shell.aclose()
        for site in self.desk.sites.values():
            if isinstance(site.world, ClusterWorld):
                await site.world.aclose()
        for account in self.accounts:
            await account.api.aclose()
        await self.ways.http.aclose()
        await self.ways.store.aclose()


def build(settings: Settings, ways: Ways, client: AsyncWebClient) -> Bot:
    """Put a bot together."""
    worker = f"{socket.gethostname()}:{os.getpid()}:{new_id()[:6]}"
    keys = HostKeys(ways.store)
    accounts: dict[str, Account] = {}
    shells: list[Shell] = []
    sites = {name: _site(name, cluster, settings, ways, keys, accounts, shells) for name, cluster in settings.clusters.items()}
    desk = Desk(sites, ways.store, ways.clock, worker)
    voice = Voice(client, ways.clock, frozenset(settings.slack.teams))
    hours = Hours(desk, ways.clock)
    zones = {name: cluster.timezone for name, cluster in settings.clusters.items()}
    counter = Counter(desk, hours, voice, ways.clock, Office(settings.slack.command, dict(settings.channels), zones))
    channels = _news_channels(settings)
    notices = Notices(desk, hours, voice, ways.clock, channels)
    reporter = Reporter(desk, voice, ways.clock, channels, lambda r: approvers(desk, r.plan.cluster, r.requester))
    secret = settings.slack.signing_secret
    buttons = Buttons(desk, hours, voice, counter)
    forms = Forms(desk, voice, counter)
    app = build_app(client, secret.get_secret_value() if secret else "", settings.slack.command, counter, buttons, forms)
    seeds = _seeds(settings)
    return Bot(settings, ways, desk, hours, notices, counter, voice, reporter, app, list(accounts.values()), shells, worker, seeds)


def _seeds(settings: Settings) -> dict[str, tuple[Window, ...]]:
    """The windows that the settings name. Refused with the cluster and what is wrong, before anything is started."""
    seeds = {}
    for name, cluster in settings.clusters.items():
        try:
            seeds[name] = tuple(parse_window(text, cluster.timezone) for text in cluster.windows)
        except Refused as error:
            raise Refused(f"clusters.{name}.windows: {error}") from None
    return {name: windows for name, windows in seeds.items() if windows}


def _news_channels(settings: Settings) -> dict[str, str]:
    """Where a cluster's news go when nobody asked in a channel: its own channel, else the first that has it as default."""
    found = {name: channel for channel, name in reversed(settings.channels.items())}
    return found | {name: c.channel for name, c in settings.clusters.items() if c.channel}


def _site(
    name: str,
    cluster: Cluster,
    settings: Settings,
    ways: Ways,
    keys: HostKeys,
    accounts: dict[str, Account],
    shells: list[Shell],
) -> Site:
    secrets = cluster.secrets
    token = secrets.digitalocean_token.get_secret_value() if secrets.digitalocean_token else ""
    if token not in accounts:
        api = DigitalOcean(
            token,
            endpoint=settings.digitalocean.api_url,
            ca_file=_text(settings.digitalocean.ca_file),
            transport=ways.transport,
            clock=ways.clock,
        )
        accounts[token] = Account(api, ways.clock)
    shell = ways.shell(cluster, keys) if ways.shell else _ssh(cluster, keys)
    if shell is not None:
        shells.append(shell)
    world = ClusterWorld(
        _place(name, cluster), accounts[token], shell, ways.http, _people(cluster, ways), ways.clock, _bucket(cluster, ways)
    )
    return Site(name, world, _rules(cluster))


def _ssh(cluster: Cluster, keys: HostKeys) -> Shell | None:
    ssh = cluster.ssh
    return Ssh(ssh.user, ssh.port, _text(ssh.key_file), _text(ssh.known_hosts), keys)


def _bucket(cluster: Cluster, ways: Ways) -> Objects | None:
    if cluster.spaces is None:
        return None
    if ways.bucket is not None:
        return ways.bucket(cluster)
    key, secret = cluster.secrets.spaces_access_key_id, cluster.secrets.spaces_secret_access_key
    if not (key and secret):
        return None
    spaces = cluster.spaces
    return Spaces(spaces.endpoint, spaces.bucket, key.get_secret_value(), secret.get_secret_value(), spaces.region)


def _people(cluster: Cluster, ways: Ways) -> People | None:
    key, secret = cluster.secrets.livekit_api_key, cluster.secrets.livekit_api_secret
    if not (cluster.livekit_url and key and secret):
        return None
    return Livekit(cluster.livekit_url, key.get_secret_value(), secret.get_secret_value(), ways.http, ways.clock)


def _place(name: str, cluster: Cluster) -> Place:
    timings = Timings(
        **cluster.timings.model_dump(),
        drain_deadline=cluster.drain.deadline_minutes * 60,
        drain_reminder=cluster.drain.reminder_minutes * 60,
    )
    return Place(
        name=name,
        stack=cluster.stack,
        region=cluster.region,
        health_url=cluster.health_url,
        public_url=cluster.public_url,
        private_addresses=cluster.ssh.use_private_address,
        zero_policy=cluster.policy.zero_refused,
        drain_method=cluster.drain.method,
        keep_backups=cluster.policy.keep_backups,
        zone=cluster.timezone,
        timings=timings,
    )


def _rules(cluster: Cluster) -> Rules:
    roles, policy = cluster.roles, cluster.policy
    viewers = frozenset({EVERYONE}) if roles.viewers == "everyone" else frozenset(roles.viewers)
    return Rules(
        operators=frozenset(roles.operators),
        approvers=frozenset(roles.who_approves),
        viewers=viewers,
        approvals=policy.approvals,
        single_operator=policy.single_operator,
        scale_up_to=policy.scale_up_without_approval_to,
        approval_seconds=policy.approval_minutes * 60,
        growth=policy.growth,
    )


def _text(path: Path | None) -> str | None:
    return str(path) if path else None
