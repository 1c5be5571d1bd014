"""The composition root: from settings to a running bot."""

import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.clusters import Adapters, calendars_of, configured_windows, news_channels, site_of
from bot.reread import Reread, SettingsFile
from bot.version import own_version
from config.values import Settings
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
from services.access.user_groups import UserGroupCache
from services.cloud.clients.oncall import OnCall, Webhook
from services.cloud.clients.ssh import Ssh
from services.cloud.listings import Account
from services.cloud.node_access import Shell
from services.cloud.world import ClusterWorld
from services.common.bulkheads import Work
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
from services.schedule.calendar_sync import CalendarSync
from services.schedule.scheduler import WindowScheduler
from services.store.gate import Gate
from services.store.port import new_id
from services.windows import Window

log = logging.getLogger(__name__)
ANSWERS_WITHIN = 2.5  # seconds for answers in flight when the bot is closed


@dataclass
class Bot:
    """Every part of a bot. `serve.py` adds the sockets and the ticker."""

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
        """Set the workspace and organisation whose members count, unless the settings name them."""
        self.voice.is_of(team, enterprise)
        self.operations.user_groups.is_of(team, enterprise)

    @property
    def parts(self) -> Mapping[str, Work]:
        """The parts of one round, in order, by the name that /healthz shows when one fails."""
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
        """Run one round; a part that fails or hangs does not stop the others. False: one failed."""
        complete = [
            await self.operations.bulkheads.keep(part, work) for part, work in self.parts.items()
        ]
        return all(complete)

    async def _seed(self) -> None:
        """Write the windows of the settings for clusters whose schedule does not have them yet."""
        pending = [
            n for n in self.operations.clusters.ours if n in self.seeds and n not in self._seeded
        ]
        await self.operations.bulkheads.each("windows of the settings", pending, self._seed_one)

    async def _seed_one(self, name: str) -> None:
        await self.hours.books.seed(name)
        self._seeded.add(name)

    async def keep_sweeping(self) -> None:
        """Run a round at once and then every ten seconds."""
        while True:
            await self.sweep()
            await self.ways.clock.sleep(SWEEP)

    async def aclose(self) -> None:
        """Take no new work, finish answers in flight, hand runs over, close all connections."""
        self.counter.closing = True
        await self.operations.bulkheads.aclose()
        await self.counter.tasks.settle(ANSWERS_WITHIN)
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
    """Build a bot.

    `file` is where the settings came from: its channels can change while the bot runs.
    """
    clock, store = ways.clock, Gate(ways.store)
    worker = worker_name()
    keys = HostKeys(store, clock)
    accounts: dict[str, Account] = {}
    shells: list[Shell] = []
    sites = {
        name: site_of(name, cluster, settings, ways, keys, accounts, shells)
        for name, cluster in settings.clusters.items()
    }
    teams = frozenset(settings.slack.teams)
    slack = SlackClient(client, clock, teams)
    tasks, user_groups = Tasks(), UserGroupCache(teams)
    parts = assemble(sites, store, clock, worker, user_groups, slack.known, tasks)
    service, reader, clusters = parts.service, parts.reader, parts.clusters
    cards, once, inbox = parts.cards, parts.once, CommandInbox(store)
    bulkheads, subscribers = parts.bulkheads, parts.subscribers
    scheduler = WindowScheduler(parts, clock, _people_per_node(settings))
    seeds = configured_windows(settings)
    scheduler.books.seeds, scheduler.books.clock = seeds, clock.now
    # One dictionary of each for all parts: `Reread` changes them in place.
    channels, default_clusters = news_channels(settings), dict(settings.channels)
    zones = {name: cluster.timezone for name, cluster in settings.clusters.items()}
    context = HandlerContext(settings.slack.command, default_clusters, zones, channels)
    dispatcher = CommandDispatcher(
        service, inbox, once, scheduler, slack, clock, context, tasks.part()
    )

    def who_approves(request: Request) -> str:
        return approvers(clusters, request.plan.cluster, request.requester, everybody=request.glass)

    reporter = Reporter(
        reader,
        cards,
        once,
        bulkheads,
        subscribers,
        slack,
        clock,
        channels,
        who_approves,
        tasks.part(),
    )
    home = Home(
        service,
        HomeViewers(store),
        bulkheads,
        subscribers,
        ClusterOverviews(reader, bulkheads, scheduler, clock),
        slack,
        clock,
        who_approves,
        tasks,
    )
    menus = Menus(service, slack, dispatcher, channels)
    escalations = Escalations(
        reader,
        EscalationNotes(store),
        cards,
        bulkheads,
        scheduler,
        slack,
        clock,
        channels,
        oncall_of(settings, ways),
    )
    buttons = Buttons(service, scheduler, slack, dispatcher, menus, home, reporter, escalations)
    secret = settings.slack.signing_secret
    app = build_app(
        client,
        secret.get_secret_value() if secret else "",
        settings.slack.command,
        dispatcher,
        buttons,
        Forms(service, slack, dispatcher),
        menus,
        home,
    )
    continuity = Continuity(parts, store, clock, own_version(), seeds)
    continuity.listeners.append(reporter.lost)
    continuity.listeners.append(scheduler.forget)
    keep = Policy(settings.state.keep_days * DAY, settings.state.keep_audit_days * DAY)
    return Bot(
        settings=settings,
        ways=ways,
        operations=parts,
        inbox=inbox,
        hours=scheduler,
        calendars=CalendarSync(calendars_of(settings), scheduler.books, clock, bulkheads, clusters),
        lookout=AutoscalerAlerts(parts, clock),
        notices=Announcements(
            clusters, parts.anchors, once, bulkheads, scheduler, slack, clock, channels
        ),
        counter=dispatcher,
        voice=slack,
        groups=Groups(
            clusters,
            user_groups,
            parts.memory.groups,
            once,
            bulkheads,
            slack,
            clock,
            tasks.part(),
        ),
        reporter=reporter,
        doors=ClosedChannelWatch(clusters, ClosedChannels(store), once, slack, clock, channels),
        home=home,
        alarms=OperatorAlerts(bulkheads, once, slack, clock, channels),
        escalations=escalations,
        continuity=continuity,
        gate=store,
        retention=Retention(parts, store, clock, keep),
        app=app,
        accounts=list(accounts.values()),
        shells=shells,
        worker=worker,
        seeds=seeds,
        reread=Reread(file, settings, default_clusters, channels, news_channels, clock),
    )


def worker_name() -> str:
    """Return a new name for this process: host, process id, random suffix."""
    return f"{socket.gethostname()}:{os.getpid()}:{new_id()[:6]}"


def oncall_of(settings: Settings, ways: Adapters) -> OnCall | None:
    """Return the on-call service; None when the settings name none."""
    oncall = settings.oncall
    if oncall is None or oncall.oncall_secret is None:
        return None
    secret = oncall.oncall_secret.get_secret_value()
    return Webhook(oncall.kind, secret, ways.http, ways.clock, oncall.url or "")


def _people_per_node(settings: Settings) -> dict[str, int]:
    return {
        name: cluster.people_per_node
        for name, cluster in settings.clusters.items()
        if cluster.people_per_node is not None
    }
