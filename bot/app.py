"""The composition root: from settings to a running bot."""

import logging
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.reread import Reread, SettingsFile
from bot.version import own_version
from config.values import Cluster, Settings
from handlers.app import build_app
from handlers.commands.dispatcher import CommandDispatcher, HandlerContext
from handlers.interactions.buttons import Buttons, approvers
from handlers.interactions.home_tab import Home
from handlers.interactions.menu import Menus
from handlers.interactions.overview import ClusterOverviews
from handlers.interactions.submissions import Forms
from handlers.slack.client import SlackClient
from handlers.slack.user_groups import Groups
from handlers.updates.announcements import Announcements
from handlers.updates.closed_channels import ClosedChannelWatch
from handlers.updates.escalations import Escalations
from handlers.updates.operator_alerts import OperatorAlerts
from handlers.updates.reporter import Reporter
from services.access.clusters import ManagedCluster
from services.access.policy import EVERYONE, Decision, Impact, Rules
from services.access.user_groups import UserGroupCache
from services.cloud.clients.digitalocean import DigitalOcean
from services.cloud.clients.http import Http
from services.cloud.clients.livekit import Livekit
from services.cloud.clients.oncall import OnCall, Webhook
from services.cloud.clients.spaces import Spaces
from services.cloud.clients.ssh import HostKeys as Pins
from services.cloud.clients.ssh import Ssh
from services.cloud.listings import Account
from services.cloud.secrets_bucket import Objects
from services.cloud.world import ClusterWorld, People, Place, Shell
from services.cluster.model import Timings
from services.common.bulkheads import Work
from services.common.clock import Clock
from services.common.command import CommandClass
from services.common.errors import Refused
from services.common.tasks import Tasks
from services.memory.closed_channels import ClosedChannels
from services.memory.escalations import EscalationNotes
from services.memory.home_viewers import HomeViewers
from services.memory.host_keys import HostKeys
from services.memory.inbox import CommandInbox
from services.operations.assembly import SWEEP, Operations, assemble
from services.operations.continuity import Continuity
from services.operations.retention import DAY, Policy, Retention
from services.runs.request import Request
from services.schedule.alerts import AutoscalerAlerts
from services.schedule.calendar_sync import Calendar, CalendarSync
from services.schedule.scheduler import WindowScheduler
from services.store import Store
from services.store.gate import Gate
from services.store.port import new_id
from services.windows import Window, parse_hours, parse_window
from services.windows.sources import CalendarKind

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Adapters:
    """The ways out of the process. Tests hand in their own; nothing else differs between them and a real bot."""

    clock: Clock
    store: Store
    http: Http
    transport: Any = None  # of pydo
    shell: Callable[[Cluster, Pins], Shell] | None = None
    bucket: Callable[[Cluster], Objects | None] | None = None


@dataclass
class Bot:
    """Everything put together. `start` of the sockets is serve.py's part."""

    settings: Settings
    ways: Adapters
    operations: Operations
    inbox: CommandInbox
    hours: WindowScheduler
    calendars: CalendarSync
    lookout: AutoscalerAlerts
    notices: Announcements
    counter: CommandDispatcher
    voice: SlackClient
    groups: Groups
    reporter: Reporter
    doors: ClosedChannelWatch
    home: Home
    alarms: OperatorAlerts
    escalations: Escalations
    continuity: Continuity
    gate: Gate
    retention: Retention
    app: AsyncApp
    accounts: list[Account]
    shells: list[Shell]
    worker: str
    seeds: Mapping[str, tuple[Window, ...]]
    reread: Reread
    _seeded: set[str] = field(default_factory=set)

    def is_of(self, team: str, enterprise: str = "") -> None:
        """The workspace and organisation whose people count, unless the settings name others."""
        self.voice.is_of(team, enterprise)
        self.operations.user_groups.is_of(team, enterprise)

    @property
    def parts(self) -> Mapping[str, Work]:
        """Everything that is looked after in a round, in order, by the name that its trouble has."""
        return {
            "memory": self.continuity.sweep,
            "settings": self.reread.sweep,
            "groups": self.groups.sweep,
            "channels": self.doors.sweep,
            "desk": self.operations.round.sweep,
            "audit": self.operations.anchors.sweep,
            "windows of the settings": self._seed,
            "calendars": self.calendars.sweep,
            "hours": self.hours.tick,
            "lookouts": self.lookout.tick,
            "announcements": self.notices.sweep,
            "escalations": self.escalations.sweep,
            "cards": self.reporter.sweep,
            "commands": self.counter.sweep,
            "homes": self.home.sweep,
            "retention": self.retention.sweep,
            "alarms": self.alarms.sweep,
        }

    async def sweep(self) -> bool:
        """One round. Each part on its own, whatever it raises or however long it takes. False: it was not a whole round."""
        whole = [
            await self.operations.bulkheads.keep(part, work) for part, work in self.parts.items()
        ]
        return all(whole)

    async def _seed(self) -> None:
        """Windows of the settings file, for clusters whose book has not taken them yet."""
        left = [
            n for n in self.operations.clusters.ours if n in self.seeds and n not in self._seeded
        ]
        await self.operations.bulkheads.each("windows of the settings", left, self._seed_one)

    async def _seed_one(self, name: str) -> None:
        await self.hours.books.seed(name)
        self._seeded.add(name)

    async def keep_sweeping(self) -> None:
        """A round at once, and then every ten seconds."""
        while True:
            await self.sweep()
            await self.ways.clock.sleep(SWEEP)

    async def aclose(self) -> None:
        """No new work, answers in flight go out, runs are handed over."""
        self.counter.closing = True
        await self.operations.bulkheads.aclose()
        await self.counter.tasks.settle(2.5)
        await self.groups.aclose()
        await self.hours.aclose()
        await self.operations.aclose()
        await self.reporter.aclose()
        await self.home.aclose()
        await self.operations.tasks.settle(0.5)
        for shell in self.shells:
            if isinstance(shell, Ssh):
                await shell.aclose()
        for site in self.operations.clusters.values():
            if isinstance(site.world, ClusterWorld):
                await site.world.aclose()
        for account in self.accounts:
            await account.api.aclose()
        await self.ways.http.aclose()
        await self.ways.store.aclose()


def build(
    settings: Settings, ways: Adapters, client: AsyncWebClient, file: SettingsFile | None = None
) -> Bot:
    """Put a bot together. `file`: where the settings came from, so that its channels can change while the bot runs."""
    gate = Gate(ways.store)
    worker = f"{socket.gethostname()}:{os.getpid()}:{new_id()[:6]}"
    keys = HostKeys(gate, ways.clock)
    accounts: dict[str, Account] = {}
    shells: list[Shell] = []
    sites = {
        name: site_of(name, cluster, settings, ways, keys, accounts, shells)
        for name, cluster in settings.clusters.items()
    }
    teams = frozenset(settings.slack.teams)
    voice = SlackClient(client, ways.clock, teams)
    groups_cache = UserGroupCache(teams)
    tasks = Tasks()
    parts = assemble(sites, gate, ways.clock, worker, groups_cache, voice.known, tasks)
    service, reader, clusters = parts.service, parts.reader, parts.clusters
    cards, once = parts.cards, parts.once
    bulkheads, subscribers = parts.bulkheads, parts.subscribers
    inbox = CommandInbox(gate)
    hours = WindowScheduler(
        parts,
        ways.clock,
        {
            n: c.people_per_node
            for n, c in settings.clusters.items()
            if c.people_per_node is not None
        },
    )
    calendars = CalendarSync(calendars_of(settings), hours.books, ways.clock, bulkheads, clusters)
    zones = {name: cluster.timezone for name, cluster in settings.clusters.items()}
    channels, meant = (
        news_channels(settings),
        dict(settings.channels),
    )  # one of each for all parts: `Reread` changes them in place
    counter = CommandDispatcher(
        service,
        inbox,
        once,
        hours,
        voice,
        ways.clock,
        HandlerContext(settings.slack.command, meant, zones, channels),
        tasks.part(),
    )
    notices = Announcements(
        clusters, parts.anchors, once, bulkheads, hours, voice, ways.clock, channels
    )

    def who_approves(request: Request) -> str:
        return approvers(clusters, request.plan.cluster, request.requester, everybody=request.glass)

    reporter = Reporter(
        reader,
        cards,
        once,
        bulkheads,
        subscribers,
        voice,
        ways.clock,
        channels,
        who_approves,
        tasks.part(),
    )
    overviews = ClusterOverviews(reader, bulkheads, hours, ways.clock)
    viewers = HomeViewers(gate)
    home = Home(
        service, viewers, bulkheads, subscribers, overviews, voice, ways.clock, who_approves, tasks
    )
    alarms = OperatorAlerts(bulkheads, once, voice, ways.clock, channels)
    menus = Menus(service, voice, counter, channels)
    secret = settings.slack.signing_secret
    escalations = Escalations(
        reader,
        EscalationNotes(gate),
        cards,
        bulkheads,
        hours,
        voice,
        ways.clock,
        channels,
        oncall_of(settings, ways),
    )
    buttons = Buttons(service, hours, voice, counter, menus, home, reporter, escalations)
    forms = Forms(service, voice, counter)
    app = build_app(
        client,
        secret.get_secret_value() if secret else "",
        settings.slack.command,
        counter,
        buttons,
        forms,
        menus,
        home,
    )
    seeds = _seeds(settings)
    hours.books.seeds, hours.books.clock = seeds, ways.clock.now
    kept = Policy(settings.state.keep_days * DAY, settings.state.keep_audit_days * DAY)
    continuity = Continuity(parts, gate, ways.clock, own_version(), seeds)
    continuity.listeners.append(reporter.lost)
    continuity.listeners.append(hours.forget)
    groups = Groups(
        clusters,
        groups_cache,
        parts.memory.groups,
        once,
        bulkheads,
        voice,
        ways.clock,
        tasks.part(),
    )
    retention = Retention(parts, gate, ways.clock, kept)
    assembled = (
        settings,
        ways,
        parts,
        inbox,
        hours,
        calendars,
        AutoscalerAlerts(parts, ways.clock),
        notices,
        counter,
        voice,
        groups,
        reporter,
    )
    doors = ClosedChannelWatch(clusters, ClosedChannels(gate), once, voice, ways.clock, channels)
    reread = Reread(file, settings, meant, channels, news_channels, ways.clock)
    shown = (doors, home, alarms, escalations)
    return Bot(
        *assembled,
        *shown,
        continuity,
        gate,
        retention,
        app,
        list(accounts.values()),
        shells,
        worker,
        seeds,
        reread,
    )


def oncall_of(settings: Settings, ways: Adapters) -> OnCall | None:
    """Whoever is called outside of Slack; None where the settings name nobody."""
    found = settings.oncall
    if found is None or found.oncall_secret is None:
        return None
    return Webhook(
        found.kind, found.oncall_secret.get_secret_value(), ways.http, ways.clock, found.url or ""
    )


def _seeds(settings: Settings) -> dict[str, tuple[Window, ...]]:
    """The windows that the settings name. Refused with the cluster and what is wrong, before anything is started."""
    seeds = {}
    for name, cluster in settings.clusters.items():
        try:
            seeds[name] = tuple(parse_window(text, cluster.timezone) for text in cluster.windows)
        except Refused as error:
            raise Refused(f"clusters.{name}.windows: {error}") from None
    return {name: windows for name, windows in seeds.items() if windows}


def calendars_of(settings: Settings) -> dict[str, tuple[Calendar, ...]]:
    """The calendar files that the settings name, by cluster. One that cannot be read is told, and refuses nothing."""
    found: dict[str, tuple[Calendar, ...]] = {}
    for name, cluster in settings.clusters.items():
        files: dict[CalendarKind, Path | None] = {
            "holidays": cluster.holidays,
            "freezes": cluster.freezes,
            "meetings": cluster.meetings,
        }
        found[name] = tuple(
            Calendar(kind, file, cluster.timezone)
            for kind, file in files.items()
            if file is not None
        )
    return found


def news_channels(settings: Settings) -> dict[str, str]:
    """Where a cluster's news go when nobody asked in a channel: its own channel, else the first that has it as default."""
    found = {name: channel for channel, name in reversed(settings.channels.items())}
    return found | {name: c.channel for name, c in settings.clusters.items() if c.channel}


def site_of(
    name: str,
    cluster: Cluster,
    settings: Settings,
    ways: Adapters,
    keys: Pins,
    accounts: dict[str, Account],
    shells: list[Shell],
) -> ManagedCluster:
    """One cluster that the bot operates. Those under one token share an account; every shell that is made is added to `shells`."""
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
    shell = ways.shell(cluster, keys) if ways.shell else ssh_of(cluster, keys)
    if shell is not None:
        shells.append(shell)
    http = http_of(name, cluster, ways)
    people, bucket = people_of(cluster, ways, http), bucket_of(cluster, ways)
    world = ClusterWorld(
        _place(name, cluster), accounts[token], shell, http, people, ways.clock, bucket
    )
    whose = partial(accounts[token].owner.since, float("-inf"))
    return ManagedCluster(
        name, world, _rules(name, cluster), partial(http.certificate_of, cluster.public_url), whose
    )


def http_of(name: str, cluster: Cluster, ways: Adapters) -> Http:
    """HTTP to a cluster's own addresses, with the certificates that its settings trust."""
    return ways.http.trusting(_text(cluster.ca_file), f"clusters.{name}.ca_file")


def ssh_of(cluster: Cluster, keys: Pins) -> Shell:
    """The way to a cluster's nodes."""
    ssh = cluster.ssh
    return Ssh(ssh.user, ssh.port, _text(ssh.key_file), _text(ssh.known_hosts), keys)


def bucket_of(cluster: Cluster, ways: Adapters) -> Objects | None:
    """A cluster's bucket; None when none is configured."""
    if cluster.spaces is None:
        return None
    if ways.bucket is not None:
        return ways.bucket(cluster)
    key, secret = cluster.secrets.spaces_access_key_id, cluster.secrets.spaces_secret_access_key
    if not (key and secret):
        return None
    spaces = cluster.spaces
    # botocore has a list of authorities of its own, and does not read OpenSSL's variable.
    ca_file = os.environ.get("SSL_CERT_FILE") or None
    return Spaces(
        spaces.endpoint,
        spaces.bucket,
        key.get_secret_value(),
        secret.get_secret_value(),
        spaces.region,
        ca_file=ca_file,
    )


def people_of(cluster: Cluster, ways: Adapters, http: Http) -> People | None:
    """A cluster's LiveKit; None when none is configured."""
    key, secret = cluster.secrets.livekit_api_key, cluster.secrets.livekit_api_secret
    if not (cluster.livekit_url and key and secret):
        return None
    return Livekit(
        cluster.livekit_url, key.get_secret_value(), secret.get_secret_value(), http, ways.clock
    )


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
        min_serving=cluster.drain.min_serving,
        keep_backups=cluster.policy.keep_backups,
        zone=cluster.timezone,
        declared=cluster.autoscaler.minimum,
        timings=timings,
    )


def _approval_hours(name: str, cluster: Cluster) -> tuple[Window, ...]:
    """The hours in which approvals count. Refused with the cluster and what is wrong, before anything is started."""
    try:
        return tuple(parse_hours(text, cluster.timezone) for text in cluster.policy.approvals_when)
    except Refused as error:
        raise Refused(f"clusters.{name}.policy.approvals_when: {error}") from None


def _rules(name: str, cluster: Cluster) -> Rules:
    roles, policy = cluster.roles, cluster.policy
    viewers = frozenset({EVERYONE}) if roles.viewers == "everyone" else frozenset(roles.viewers)
    return Rules(
        operators=frozenset(roles.operators),
        approvers=frozenset(cluster.who_approves),
        viewers=viewers,
        breakers=frozenset(roles.break_glass),
        wakers=frozenset(roles.wakers),
        wake_seconds=cluster.wake.hours * 3600,
        wakes_each=cluster.wake.per_person,
        wakes_all=cluster.wake.per_cluster,
        only=tuple(
            (CommandClass(name), frozenset(people)) for name, people in roles.classes.items()
        ),
        approvals=policy.approvals,
        approvals_for=tuple(
            (Impact(name), needed) for name, needed in policy.approvals_for.items()
        ),
        approvals_from=policy.approvals_from,
        single_operator=policy.single_operator,
        scale_up_to=policy.scale_up_without_approval_to,
        approvals_when=_approval_hours(name, cluster),
        approval_seconds=policy.approval_minutes * 60,
        confirm_seconds=policy.confirm_windows_days * 86400.0,
        growth=policy.growth,
        reasons_for=frozenset(map(Decision, policy.reasons_for)),
    )


def _text(path: Path | None) -> str | None:
    return str(path) if path else None
