"""The composition root: from settings to a running bot."""

import asyncio
import logging
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.clusters import (
    Adapters,
    ConnectedClusters,
    calendars_of,
    configured_windows,
    connect,
    guarded,
    news_channels,
)
from bot.reread import Reread, SettingsFile
from bot.version import own_version
from config.values import Settings
from handlers.app import build_slack_app
from handlers.commands.dispatcher import CommandDispatcher
from handlers.commands.targets import HandlerContext
from handlers.interactions.button_actions import describe_approvers
from handlers.interactions.buttons import ButtonHandler
from handlers.interactions.home_tab import HomeTab
from handlers.interactions.menu import MenuHandler
from handlers.interactions.notifications import NotificationForm
from handlers.interactions.overview import ClusterOverviews
from handlers.interactions.run_links import RunLinks
from handlers.interactions.submissions import FormHandler
from handlers.slack.client import SlackClient
from handlers.slack.user_groups import UserGroupRefresher
from handlers.updates.announcements import Announcements
from handlers.updates.approval_calls import ApprovalCalls
from handlers.updates.batch_cards import BatchCards
from handlers.updates.card_poster import CardPoster
from handlers.updates.closed_channels import ClosedChannelWatch
from handlers.updates.escalations import Escalations
from handlers.updates.once_poster import OncePoster
from handlers.updates.operator_alerts import OperatorAlerts
from handlers.updates.recipients import Recipients
from handlers.updates.reporter import Reporter
from handlers.updates.weekly_digests import DigestPoster
from handlers.updates.weekly_waste import WastePoster
from handlers.views.links import ClusterLinks
from services.access.user_groups import UserGroupCache
from services.cloud.clients.oncall import OnCallPager, Webhook
from services.cloud.clients.read_only import SilentPager
from services.cloud.listings import SharedAccount
from services.common.bulkheads import Work
from services.common.clock import Clock
from services.common.metrics import METRICS
from services.common.tasks import Tasks
from services.memory.closed_channels import ClosedChannels
from services.memory.dry_runs import DryRuns
from services.memory.escalations import EscalationNotes
from services.memory.home_viewers import HomeViewers
from services.memory.host_keys import PinnedHostKeys
from services.memory.inbox import CommandInbox
from services.memory.message_refs import MessageRefs
from services.memory.notifications import NotificationRepository
from services.operations.accounts import Accounts
from services.operations.assembly import SWEEP_INTERVAL, Operations, assemble
from services.operations.assignment import ClusterAssignment
from services.operations.continuity import Continuity
from services.operations.retention import DAY, Retention, RetentionPolicy
from services.runs.request import Request
from services.schedule.alerts import AutoscalerAlerts
from services.schedule.backups import BackupKeeper
from services.schedule.calendar_sync import CalendarSync
from services.schedule.scaling import ForecastKeeper
from services.schedule.scheduler import WindowScheduler
from services.schedule.slo import Objectives
from services.schedule.terraform_drift import TerraformDrift
from services.schedule.waste import DAY_NAMES, WasteTime
from services.schedule.weekly_digest import WeeklyDigests
from services.store.gate import WriteGate
from services.store.keys import BATCH_CARDS
from services.store.port import new_id
from services.windows import Window

log = logging.getLogger(__name__)
NAMED = 3  # parts of a round that took too long
ANSWERS_WITHIN = 2.5  # seconds for answers in flight when the bot is closed


@dataclass
class Bot:
    """Every part of a bot. `serve.py` adds the sockets and the ticker."""

    settings: Settings
    adapters: Adapters
    operations: Operations
    inbox: CommandInbox
    scheduler: WindowScheduler
    calendars: CalendarSync
    autoscaler_alerts: AutoscalerAlerts
    terraform_drift: TerraformDrift
    backups: BackupKeeper
    forecast: ForecastKeeper
    announcements: Announcements
    dispatcher: CommandDispatcher
    slack: SlackClient
    user_groups: UserGroupRefresher
    reporter: Reporter
    batch_cards: BatchCards
    closed_channels: ClosedChannelWatch
    home: HomeTab
    operator_alerts: OperatorAlerts
    escalations: Escalations
    approval_calls: ApprovalCalls
    digests: DigestPoster
    waste: WastePoster
    continuity: Continuity
    gate: WriteGate
    retention: Retention
    app: AsyncApp
    connected: ConnectedClusters
    worker: str
    configured_windows: Mapping[str, tuple[Window, ...]]
    reread: Reread
    assignment: ClusterAssignment | None  # None: no other bot can use this state
    _seeded: set[str] = field(default_factory=set)
    _driven: frozenset[str] = frozenset()

    def set_home_workspace(self, team: str, enterprise: str = "") -> None:
        """Set the workspace and organisation whose members count, unless the settings name them."""
        self.slack.set_home_workspace(team, enterprise)
        self.operations.user_groups.set_home_workspace(team, enterprise)

    @property
    def parts(self) -> Mapping[str, Work]:
        """The parts of one round, in order, by the name that /healthz shows when one fails."""
        return {
            "memory": self.continuity.sweep,
            "assignment": self._take_part,
            "settings": self.reread.sweep,
            "groups": self.user_groups.sweep,
            "channels": self.closed_channels.sweep,
            "desk": self.operations.round.sweep,
            "batches": self.operations.batch_driver.sweep,
            "audit": self.operations.anchors.sweep,
            "windows of the settings": self._seed,
            "calendars": self.calendars.sweep,
            "hours": self.scheduler.tick,
            "lookouts": self.autoscaler_alerts.tick,
            "pull requests": self.operations.terraform.sweep,
            "Terraform": self.terraform_drift.tick,
            "backups": self.backups.tick,
            "forecast": self.forecast.tick,
            "announcements": self.announcements.sweep,
            "escalations": self.escalations.sweep,
            "cards": self.reporter.sweep,
            "cards of batches": self.batch_cards.sweep,
            "approvers": self.approval_calls.sweep,
            "weekly digest": self.digests.sweep,
            "unused resources": self.scheduler.waste.tick,
            "weekly unused resources": self.waste.sweep,
            "commands": self.dispatcher.sweep,
            "homes": self.home.sweep,
            "retention": self.retention.sweep,
            "alarms": self.operator_alerts.sweep,
        }

    async def run_round(self) -> bool:
        """Run one round; a part that fails or hangs does not stop the others. False: one failed."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        complete: list[bool] = []
        spent: dict[str, float] = {}
        for part, work in self.parts.items():
            before = loop.time()
            complete.append(await self.operations.bulkheads.run(part, work))
            spent[part] = loop.time() - before
        METRICS.set("openvidu_bot_round_seconds", loop.time() - began)
        if loop.time() - began > SWEEP_INTERVAL:
            longest = sorted(spent, key=lambda part: -spent[part])[:NAMED]
            named = ", ".join(f"{part} {spent[part]:.1f} s" for part in longest)
            log.warning("this round took %.1f s: %s", loop.time() - began, named)
        return all(complete)

    async def _take_part(self) -> None:
        if self.assignment is None:
            return
        await self.assignment.sweep()
        driven = frozenset(self.operations.clusters.driven)
        self.operations.bulkheads.forget(self._driven - driven)
        self._driven = driven

    async def _seed(self) -> None:
        """Write the windows of the settings for clusters whose schedule does not have them yet."""
        pending = [
            n
            for n in self.operations.clusters.driven
            if n in self.configured_windows and n not in self._seeded
        ]
        await self.operations.bulkheads.run_each("windows of the settings", pending, self._seed_one)

    async def _seed_one(self, name: str) -> None:
        await self.scheduler.books.seed(name)
        self._seeded.add(name)

    async def keep_running_rounds(self) -> None:
        """Run a round at once and then every ten seconds."""
        while True:
            await self.run_round()
            await self.adapters.clock.sleep(SWEEP_INTERVAL)

    @property
    def accounts(self) -> list[SharedAccount]:
        """Return the DigitalOcean accounts, one for each token."""
        return self.connected.accounts

    async def aclose(self) -> None:
        """Take no new work, finish answers in flight, hand runs over, close all connections."""
        self.dispatcher.closing = True
        if self.adapters.stage is not None:
            await self.adapters.stage.aclose()
        await self.operations.bulkheads.aclose()
        if self.assignment is not None:
            await self.assignment.aclose()
        await self.dispatcher.tasks.settle(ANSWERS_WITHIN)
        await self.user_groups.aclose()
        await self.scheduler.aclose()
        await self.operations.aclose()
        await self.reporter.aclose()
        await self.batch_cards.aclose()
        await self.home.aclose()
        await self.operations.tasks.settle(0.5)
        await self.connected.aclose()
        await self.adapters.http.aclose()
        await self.adapters.store.aclose()


@dataclass(frozen=True)
class Base:
    """What the parts that talk to Slack are built on."""

    settings: Settings
    adapters: Adapters
    store: WriteGate
    operations: Operations
    scheduler: WindowScheduler
    slack: SlackClient
    tasks: Tasks
    channels: dict[str, str]  # by cluster
    notifications: NotificationRepository
    poster: OncePoster
    recipients: Recipients

    def who_approves(self, request: Request) -> str:
        """Return who may approve a request, as mentions."""
        clusters, plan = self.operations.clusters, request.plan
        return describe_approvers(
            clusters, plan.cluster, request.requester, everybody=request.glass
        )


def build(
    settings: Settings, ways: Adapters, client: AsyncWebClient, file: SettingsFile | None = None
) -> Bot:
    """Build a bot.

    `file` is where the settings came from: its channels can change while the bot runs.
    """
    ways = guarded(settings, ways)
    clock, store = ways.clock, WriteGate(ways.store)
    worker = worker_name()
    connected = connect(settings, ways, PinnedHostKeys(store, clock))
    teams = frozenset(settings.slack.teams)
    slack = SlackClient(client, clock, teams)
    tasks, user_groups = Tasks(), UserGroupCache(teams)
    operations = assemble(
        connected.clusters,
        store,
        clock,
        worker,
        user_groups,
        slack.refreshed_actor,
        tasks,
        observes=settings.observes,
        stage=ways.stage,
    )
    operations.batches.most_at_once = settings.batches.most_at_once
    scheduler = WindowScheduler(
        operations,
        clock,
        _people_per_node(settings),
        settings.observe_report_days,
        {name: cluster.timezone for name, cluster in settings.clusters.items()},
        objectives_of(settings),
    )
    seeds = configured_windows(settings)
    scheduler.books.seeds, scheduler.books.clock = seeds, clock.now
    # One dictionary of each for all parts: `Reread` changes them in place.
    channels, default_clusters = news_channels(settings), dict(settings.channels)
    notifications, poster = NotificationRepository(store), OncePoster(operations.once, slack)
    base = Base(
        settings,
        ways,
        store,
        operations,
        scheduler,
        slack,
        tasks,
        channels,
        notifications,
        poster,
        Recipients(notifications, user_groups, poster),
    )
    inbox = CommandInbox(store)
    dispatcher = _dispatcher(base, inbox, default_clusters)
    reporter = _reporter(base)
    batch_cards = _batch_cards(base)
    home = _home(base)
    escalations = _escalations(base)
    continuity = Continuity(operations, store, clock, own_version(), seeds)
    continuity.listeners.append(reporter.lost)
    continuity.listeners.append(batch_cards.lost)
    continuity.listeners.append(scheduler.forget)
    once, clusters = operations.once, operations.clusters
    return Bot(
        settings=settings,
        adapters=ways,
        operations=operations,
        inbox=inbox,
        scheduler=scheduler,
        calendars=CalendarSync(
            calendars_of(settings), scheduler.books, clock, operations.bulkheads, clusters
        ),
        autoscaler_alerts=AutoscalerAlerts(operations, clock),
        terraform_drift=TerraformDrift(operations, clock),
        backups=BackupKeeper(
            operations, clock, lambda name: settings.clusters[name].policy.backup_alarm_days
        ),
        forecast=scheduler.forecast,
        announcements=_announcements(base),
        dispatcher=dispatcher,
        slack=slack,
        user_groups=_groups(base, user_groups),
        reporter=reporter,
        batch_cards=batch_cards,
        closed_channels=ClosedChannelWatch(
            clusters, ClosedChannels(store), once, slack, clock, channels
        ),
        home=home,
        operator_alerts=OperatorAlerts(operations.bulkheads, once, slack, clock, channels),
        escalations=escalations,
        approval_calls=_approval_calls(base),
        digests=_digests(base),
        waste=_waste(base),
        continuity=continuity,
        gate=store,
        retention=Retention(
            operations,
            store,
            clock,
            _retention_policy(settings),
            Accounts(slack.refreshed_actor),
        ),
        app=_slack_app(base, client, dispatcher, reporter, home, escalations),
        connected=connected,
        worker=worker,
        configured_windows=seeds,
        reread=Reread(file, settings, default_clusters, channels, news_channels, clock),
        assignment=_assignment(settings, operations, store, clock, worker, connected.accounts),
    )


def _dispatcher(
    base: Base, inbox: CommandInbox, default_clusters: dict[str, str]
) -> CommandDispatcher:
    zones = {name: cluster.timezone for name, cluster in base.settings.clusters.items()}
    command, version = base.settings.slack.command, own_version()
    context = HandlerContext(command, default_clusters, zones, base.channels, version)
    return CommandDispatcher(
        base.operations.service,
        inbox,
        base.operations.once,
        DryRuns(base.store),
        base.scheduler,
        base.slack,
        base.adapters.clock,
        context,
        base.tasks.part(),
    )


def _reporter(base: Base) -> Reporter:
    operations = base.operations
    return Reporter(
        operations.reader,
        operations.message_refs,
        operations.once,
        operations.bulkheads,
        operations.subscribers,
        base.slack,
        base.adapters.clock,
        base.channels,
        base.who_approves,
        base.recipients,
        base.tasks.part(),
        _links(base.settings),
    )


def _batch_cards(base: Base) -> BatchCards:
    operations = base.operations
    return BatchCards(
        operations.batches,
        operations.batch_records,
        operations.batch_driver,
        operations.reader,
        MessageRefs(base.store, BATCH_CARDS),
        operations.message_refs,
        CardPoster(base.slack, base.channels),
        base.poster,
        base.recipients,
        base.slack,
        operations.bulkheads,
        base.adapters.clock,
        base.channels,
        operations.subscribers,
        base.tasks.part(),
    )


def _links(settings: Settings) -> dict[str, ClusterLinks]:
    """Return the pages that cards link to, by cluster."""
    return {
        name: ClusterLinks(cluster.page("dashboard"), cluster.page("grafana"))
        for name, cluster in settings.clusters.items()
    }


def _home(base: Base) -> HomeTab:
    operations, clock = base.operations, base.adapters.clock
    links = RunLinks(operations.message_refs, base.slack)
    return HomeTab(
        operations.service,
        HomeViewers(base.store),
        operations.bulkheads,
        operations.subscribers,
        ClusterOverviews(operations.reader, operations.bulkheads, base.scheduler, clock, links),
        base.slack,
        clock,
        base.who_approves,
        base.tasks,
    )


def _escalations(base: Base) -> Escalations:
    operations = base.operations
    return Escalations(
        operations.reader,
        EscalationNotes(base.store),
        operations.message_refs,
        operations.bulkheads,
        base.scheduler,
        base.slack,
        base.adapters.clock,
        base.channels,
        oncall_of(base.settings, base.adapters),
    )


def _approval_calls(base: Base) -> ApprovalCalls:
    operations = base.operations
    return ApprovalCalls(
        operations.reader,
        operations.message_refs,
        base.poster,
        base.recipients,
        operations.bulkheads,
        base.slack,
        base.adapters.clock,
    )


def _digests(base: Base) -> DigestPoster:
    operations, scheduler, clock = base.operations, base.scheduler, base.adapters.clock
    zones = {n: c.timezone for n, c in base.settings.clusters.items() if c.digest}
    return DigestPoster(
        operations.clusters,
        WeeklyDigests(
            operations.reader,
            scheduler.books,
            scheduler.usage,
            clock,
            operations.memory.backups,
        ),
        base.poster,
        base.recipients,
        operations.bulkheads,
        zones,
        base.channels,
    )


def _waste(base: Base) -> WastePoster:
    wanted = {n: c for n, c in base.settings.clusters.items() if c.waste.enabled}
    base.scheduler.waste.watched = frozenset(wanted)
    times = {}
    for name, cluster in wanted.items():
        hour, minute = cluster.waste.time.split(":")
        day = DAY_NAMES.index(cluster.waste.day)
        times[name] = WasteTime(day, int(hour) * 60 + int(minute), cluster.timezone)
    return WastePoster(
        base.operations.clusters,
        base.scheduler.waste,
        base.poster,
        base.operations.bulkheads,
        base.adapters.clock,
        times,
        {**base.channels, **{n: c.waste.channel for n, c in wanted.items() if c.waste.channel}},
    )


def _announcements(base: Base) -> Announcements:
    operations = base.operations
    return Announcements(
        operations.clusters,
        operations.anchors,
        operations.once,
        operations.bulkheads,
        base.scheduler,
        base.slack,
        base.adapters.clock,
        base.channels,
        {name: cluster.timezone for name, cluster in base.settings.clusters.items()},
    )


def _groups(base: Base, user_groups: UserGroupCache) -> UserGroupRefresher:
    operations = base.operations
    return UserGroupRefresher(
        operations.clusters,
        user_groups,
        operations.memory.groups,
        operations.once,
        operations.bulkheads,
        base.slack,
        base.adapters.clock,
        base.tasks.part(),
    )


def _slack_app(
    base: Base,
    client: AsyncWebClient,
    dispatcher: CommandDispatcher,
    reporter: Reporter,
    home: HomeTab,
    escalations: Escalations,
) -> AsyncApp:
    service, slack = base.operations.service, base.slack
    menus = MenuHandler(service, slack, dispatcher, base.channels)
    notifications = NotificationForm(base.notifications, slack)
    secret = base.settings.slack.signing_secret
    return build_slack_app(
        client,
        secret.get_secret_value() if secret else "",
        base.settings.slack.command,
        dispatcher,
        ButtonHandler(
            service,
            base.scheduler,
            slack,
            dispatcher,
            menus,
            home,
            reporter,
            escalations,
            notifications,
        ),
        FormHandler(service, slack, dispatcher),
        menus,
        home,
        notifications,
    )


def _retention_policy(settings: Settings) -> RetentionPolicy:
    return RetentionPolicy(settings.state.keep_days * DAY, settings.state.keep_audit_days * DAY)


def _assignment(
    settings: Settings,
    operations: Operations,
    store: WriteGate,
    clock: Clock,
    worker: str,
    accounts: Iterable[SharedAccount],
) -> ClusterAssignment | None:
    """Return this bot's part of the clusters; None where the state is a file, for one bot."""
    if settings.state.redis_url is None:
        return None
    assignment = ClusterAssignment(
        store, clock, worker, operations.clusters, observes=settings.observes
    )
    operations.clusters.drives = assignment.drives
    for account in accounts:
        account.api.requests.pace.divide(lambda: assignment.bots)
    return assignment


def worker_name() -> str:
    """Return a new name for this process: host, process id, random suffix."""
    return f"{socket.gethostname()}:{os.getpid()}:{new_id()[:6]}"


def oncall_of(settings: Settings, ways: Adapters) -> OnCallPager | None:
    """Return the on-call service; None when the settings name none."""
    oncall = settings.oncall
    if oncall is None or oncall.oncall_secret is None:
        return None
    if settings.observes:
        return SilentPager(oncall.kind)
    secret = oncall.oncall_secret.get_secret_value()
    return Webhook(oncall.kind, secret, ways.http, ways.clock, oncall.url or "")


def objectives_of(settings: Settings) -> dict[str, Objectives]:
    """Return how well promises are to be kept, by cluster."""
    return {
        name: Objectives(
            ready=wanted.ready,
            unattended=wanted.unattended,
            service=wanted.service,
            answers=wanted.answers,
            answer_seconds=wanted.answer_minutes * 60,
        )
        for name, wanted in ((n, c.objectives) for n, c in settings.clusters.items())
    }


def _people_per_node(settings: Settings) -> dict[str, int]:
    return {
        name: cluster.people_per_node
        for name, cluster in settings.clusters.items()
        if cluster.people_per_node is not None
    }
