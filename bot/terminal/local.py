"""Runs terminal commands in this process, on the same state, when no bot runs on this machine."""

import contextlib
import os
from collections.abc import AsyncGenerator

from bot.app import worker_name
from bot.clusters import Adapters, connect, guarded, news_channels
from bot.rehearsal.process import RehearsalProcess
from bot.state import StateInUse, Unusable, must_be_usable, open_store
from bot.terminal.identity import Peer, actor_of
from bot.version import own_version
from config.values import Settings
from handlers.commands.targets import HandlerContext
from handlers.terminal.follow import OutputLine, TerminalContext
from handlers.terminal.session import TerminalCommand, TerminalSession
from handlers.updates.deferred import DeferredReporter
from services.cloud.clients.http import HttpClient
from services.common.clock import Clock
from services.common.errors import Refused
from services.memory.host_keys import PinnedHostKeys
from services.operations.assembly import assemble
from services.schedule.scheduler import WindowScheduler
from services.store import Store


def terminal_context(settings: Settings) -> TerminalContext:
    """Return what the terminal needs to parse commands and to name people."""
    zones = {name: cluster.timezone for name, cluster in settings.clusters.items()}
    names = {member: user for user, member in settings.terminal.users.items()}
    channels, version = dict(settings.channels), own_version()
    return TerminalContext(
        HandlerContext(settings.slack.command, channels, zones, version=version), names
    )


async def _open(settings: Settings, clock: Clock) -> Store:
    store = open_store(settings.state, clock)
    try:
        await must_be_usable(settings, store, clock, own_version())
    except Unusable:
        await store.aclose()
        raise
    return store


async def run_order(
    settings: Settings, clock: Clock, order: TerminalCommand, width: int
) -> AsyncGenerator[OutputLine]:
    """Run the order in this process; a run that it starts is handed over when it exits."""
    try:
        actor = actor_of(settings, Peer.this_process(os.environ))
    except Refused as why:
        yield OutputLine(f"{why}.", code=1)
        return
    try:
        store = await _open(settings, clock)
    except StateInUse as error:
        yield OutputLine(f"{error}. Use that bot in Slack, or stop it first.", code=1)
        return
    except Unusable as error:
        yield OutputLine(str(error), code=1)
        return
    stage = RehearsalProcess()
    adapters = guarded(settings, Adapters(clock, HttpClient(), store=store, stage=stage))
    connected = connect(settings, adapters, PinnedHostKeys(store, clock))
    operations = assemble(
        connected.clusters, store, clock, worker_name(), observes=settings.observes, stage=stage
    )
    cards, subscribers = operations.message_refs, operations.subscribers
    channels, tasks = news_channels(settings), operations.tasks.part()
    reporter = DeferredReporter(cards, subscribers, channels, tasks)
    scheduler = WindowScheduler(operations, clock, report_days=settings.observe_report_days)
    service, sweep = operations.service, operations.sweep
    context = terminal_context(settings)
    terminal = TerminalSession(service, sweep, scheduler, clock, context, drives=True)
    try:
        async with contextlib.aclosing(terminal.run(order, actor, width)) as lines:
            async for line in lines:
                yield line
    finally:
        await stage.aclose()
        await operations.aclose()
        await reporter.settle()
        await connected.aclose()
        await adapters.http.aclose()
        await store.aclose()
