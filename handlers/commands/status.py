"""Questions: status, runs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.commands.menu import offered_now
from handlers.commands.windows import schedule_of
from handlers.slack.blocks import Card
from handlers.views.fleet import FleetRow, fleet_card
from handlers.views.node import node_card
from handlers.views.run_details import one_run_card
from services.access.policy import NO_ROLE_ANYWHERE
from services.common.command import argument, flag
from services.common.errors import BotError, Refused, Unreachable
from services.operations.results import Status

LOOKS_AT_ONCE, LOOK_WITHIN = 8, 30.0  # clusters, and seconds for each, of a status of many


@dataclass(frozen=True)
class ShowStatus(InstantCommand):
    """Show the state of a cluster, or of one node."""

    command: ClassVar[str] = "status"
    help_text: ClassVar[str] = (
        "Show masters, media nodes, meetings, the open run and cost. With a node: its health "
        "and logs. With `--all`: every cluster."
    )
    several: ClassVar[bool] = True
    node: str | None = argument("master-2, media-3, a droplet's name or its id", default=None)
    all: bool = flag("every cluster that you may see, in a line each")

    async def answer(self, ctx: CommandContext) -> Card:
        if self.all:
            return await self.answer_several(ctx, _readable(ctx))
        if self.node is not None:
            return node_card(
                await ctx.operations.node(ctx.cluster(), self.node, ctx.actor), ctx.clock.now()
            )
        operations, actor = ctx.operations, ctx.actor
        status = await operations.status(ctx.cluster(), actor, inside=True)
        decides = status.run is not None and operations.may_decide(status.run, actor)
        offered, words = await offered_now(ctx, status), await _schedule(ctx, status)
        return views.status_card(status, ctx.clock.now(), words, offered, decides=decides)

    @override
    async def answer_several(self, ctx: CommandContext, names: Sequence[str]) -> Card:
        if self.node is not None:
            raise Refused("a node is one cluster's: name that cluster with `--cluster`")
        gate = asyncio.Semaphore(LOOKS_AT_ONCE)

        async def row(name: str) -> FleetRow:
            async with gate:
                return await _row(ctx, name)

        rows = await asyncio.gather(*map(row, names))
        hidden = len(ctx.operations.clusters) - len(names) if self.all else 0
        return fleet_card(rows, ctx.clock.now(), hidden)


async def _row(ctx: CommandContext, name: str) -> FleetRow:
    """Return the line of one cluster; one that does not answer holds up no other for long."""
    labels = ctx.operations.clusters[name].labels
    try:
        async with ctx.clock.timeout(LOOK_WITHIN):
            status = await ctx.operations.status(name, ctx.actor)
    except TimeoutError:
        return FleetRow(name, labels, None, f"it did not answer within {LOOK_WITHIN:.0f} s")
    except BotError as error:
        return FleetRow(name, labels, None, str(error))
    return FleetRow(name, labels, status)


def _readable(ctx: CommandContext) -> tuple[str, ...]:
    """Return the clusters that this person may see. Refused when there is none."""
    names = ctx.operations.clusters.readable(ctx.actor)
    if not names:
        raise Refused(NO_ROLE_ANYWHERE)
    return names


async def _schedule(ctx: CommandContext, status: Status) -> str:
    """Return the schedule in words; "" where the state store does not answer."""
    if not status.known:
        return ""
    try:
        return (await schedule_of(ctx, status.cluster.name))[1]
    except Unreachable as error:
        return f"unknown: {error}"


@dataclass(frozen=True)
class Runs(InstantCommand):
    """The newest runs; with a name, one run in full."""

    command: ClassVar[str] = "runs"
    help_text: ClassVar[str] = "List the newest runs; with a name, show one in full."
    run: str | None = argument("the run's name, such as acme-17", default=None)

    async def answer(self, ctx: CommandContext) -> Card:
        operations = ctx.operations
        if self.run is None:
            name = ctx.cluster()
            return views.runs_card(name, await operations.runs(name, ctx.actor))
        return await OneRun(self.run).answer(ctx)


@dataclass(frozen=True)
class OneRun(InstantCommand):
    """One run in full: what it does, what happened when."""

    command: ClassVar[str] = "run"
    hidden: ClassVar[bool] = True  # help lists it as `runs [RUN]`
    run: str = argument("the run's name, such as acme-17")

    async def answer(self, ctx: CommandContext) -> Card:
        operations = ctx.operations
        run = await operations.run(self.run, ctx.actor)
        return one_run_card(
            run,
            operations.progress(run.id, ctx.actor),
            await ctx.visible.events(run.id, ctx.actor),
            ctx.clock.now(),
        )
