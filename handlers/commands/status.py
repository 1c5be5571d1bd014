"""Questions: status, runs."""

from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.commands.menu import offered_now
from handlers.commands.windows import schedule_of
from handlers.slack.blocks import Card
from handlers.views.node import node_card
from handlers.views.run_details import one_run_card
from services.common.command import argument
from services.common.errors import Unreachable
from services.operations.results import Status


@dataclass(frozen=True)
class ShowStatus(InstantCommand):
    """Show the state of a cluster, or of one node."""

    command: ClassVar[str] = "status"
    help_text: ClassVar[str] = (
        "Show masters, media nodes, meetings, the open run and cost. With a node: its health "
        "and logs."
    )
    node: str | None = argument("master-2, media-3, a droplet's name or its id", default=None)

    async def answer(self, ctx: CommandContext) -> Card:
        if self.node is not None:
            return node_card(
                await ctx.operations.node(ctx.cluster(), self.node, ctx.actor), ctx.clock.now()
            )
        operations, actor = ctx.operations, ctx.actor
        status = await operations.status(ctx.cluster(), actor, inside=True)
        decides = status.run is not None and operations.may_decide(status.run, actor)
        offered, words = await offered_now(ctx, status), await _schedule(ctx, status)
        return views.status_card(status, ctx.clock.now(), words, offered, decides=decides)


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
