"""One more worker on the same state, without Slack: for when no bot runs on this machine."""

import contextlib
import os
import socket
from collections.abc import AsyncGenerator

from bot.app import Adapters, news_channels, site_of
from bot.state import Unusable, must_be_usable, open_store
from bot.terminal.identity import Peer, actor_of
from bot.version import own_version
from config.values import Settings
from handlers.commands.dispatcher import HandlerContext
from handlers.terminal.follow import Line, TerminalContext
from handlers.terminal.session import Order, Terminal
from handlers.updates.deferred import DeferredReporter
from services.cloud.clients.http import Http
from services.cloud.clients.ssh import Ssh
from services.cloud.listings import Account
from services.cloud.world import ClusterWorld, Shell
from services.common.clock import Clock
from services.common.errors import Refused
from services.memory.host_keys import HostKeys
from services.operations.assembly import assemble
from services.schedule.scheduler import WindowScheduler
from services.store import Store
from services.store.port import new_id


def circle_of(settings: Settings) -> TerminalContext:
    """What a terminal's words are understood in."""
    zones = {name: cluster.timezone for name, cluster in settings.clusters.items()}
    names = {member: user for user, member in settings.terminal.users.items()}
    return TerminalContext(
        HandlerContext(settings.slack.command, dict(settings.channels), zones), names
    )


async def _open(settings: Settings, clock: Clock) -> Store:
    store = open_store(settings.state, clock)
    try:
        await must_be_usable(settings, store, clock, own_version())
    except Unusable:
        await store.aclose()
        raise
    return store


async def work(settings: Settings, clock: Clock, order: Order, width: int) -> AsyncGenerator[Line]:
    """Do it here. What is started is driven by this process for as long as it follows; then, or when it is left, by whoever comes."""
    try:
        actor = actor_of(settings, Peer.this_process(os.environ))
    except Refused as why:
        yield Line(f"{why}.", code=1)
        return
    try:
        store = await _open(settings, clock)
    except Unusable as error:
        held = "; ask that bot in Slack, or stop it first" if "another bot" in str(error) else ""
        yield Line(f"{error}{held}", code=1)
        return
    ways = Adapters(clock, store, Http())
    accounts: dict[str, Account] = {}
    shells: list[Shell] = []
    keys = HostKeys(store, clock)
    sites = {
        name: site_of(name, cluster, settings, ways, keys, accounts, shells)
        for name, cluster in settings.clusters.items()
    }
    worker = f"{socket.gethostname()}:{os.getpid()}:{new_id()[:6]}"
    operations = assemble(sites, store, clock, worker)
    absent = DeferredReporter(
        operations.cards, operations.subscribers, news_channels(settings), operations.tasks.part()
    )
    hours = WindowScheduler(operations, clock)
    service, sweep = operations.service, operations.sweep
    terminal = Terminal(service, sweep, hours, clock, circle_of(settings), drives=True)
    try:
        async with contextlib.aclosing(terminal.hear(order, actor, width)) as lines:
            async for line in lines:
                yield line
    finally:
        await operations.aclose()
        await absent.settle()
        for shell in shells:
            if isinstance(shell, Ssh):
                await shell.aclose()
        for site in sites.values():
            if isinstance(site.world, ClusterWorld):
                await site.world.aclose()
        for account in accounts.values():
            await account.api.aclose()
        await ways.http.aclose()
        await store.aclose()
