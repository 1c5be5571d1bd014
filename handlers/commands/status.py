"""Questions: help, status, runs."""

from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.commands.menu import offered_now
from handlers.commands.windows import schedule_of
from handlers.slack.blocks import Card
from handlers.views.node import node_card
from handlers.views.run_details import one_run_card
from services.access.policy import AccessResult, may_operate, people_to_ask
from services.common.command import CHANGING, Command, argument
from services.common.errors import Refused, Unreachable
from services.operations.results import Status


@dataclass(frozen=True)
class Help(InstantCommand):
    """What can be asked for, and how."""

    command: ClassVar[str] = "help"

    async def answer(self, ctx: CommandContext) -> Card:
        commands = [c for c in ctx.commands if not c.hidden]
        others: list[str] = []
        try:
            name = ctx.cluster()
            commands = [c for c in commands if _may_use(ctx, name, c)]
            may, others = _rights(ctx, name)
        except Refused as error:
            may = views.sentence(str(error))
        usages = [(c.usage(), c.summary()) for c in commands]
        return views.help_card(usages, may, [*others, views.OUTSIDE])


def _may_use(ctx: CommandContext, cluster: str, command: type[Command]) -> bool:
    return ctx.operations.permission(cluster, ctx.actor, command).kind is not AccessResult.DENIED


def _rights(ctx: CommandContext, cluster: str) -> tuple[str, list[str]]:
    """Describe what this person may do with a cluster, and the classes of commands they may not."""
    about = f"This channel is about {cluster}."
    verdict = may_operate(ctx.actor, ctx.operations.clusters.cluster(cluster).rules)
    if verdict.kind is AccessResult.DENIED:
        return f"{about} You may read; changes: {verdict.reason}.", []
    return f"{about} You may use all of these.", _others(ctx, cluster)


def _others(ctx: CommandContext, name: str) -> list[str]:
    """List the classes of commands that this person may not use, and whom to ask."""
    rules = ctx.operations.clusters.cluster(name).rules
    closed = [about for about in CHANGING if ctx.actor.user not in rules.users_of(about)]
    return [
        f"Not open to you: {about} commands; ask {people_to_ask(rules.users_of(about))}."
        for about in closed
    ]


@dataclass(frozen=True)
class ShowStatus(InstantCommand):
    """Show the state of a cluster, or of one node."""

    command: ClassVar[str] = "status"
    help_text: ClassVar[str] = (
        "Masters, media nodes, meetings, the open run, cost per hour; with a node: its "
        "health, containers, errors, last log lines."
    )
    node: str | None = argument("master-2, media-3, a droplet's name or its id", default=None)

    async def answer(self, ctx: CommandContext) -> Card:
        if self.node is not None:
            return node_card(
                await ctx.operations.node(ctx.cluster(), self.node, ctx.actor), ctx.clock.now()
            )
        operations, actor = ctx.operations, ctx.actor
        status = await operations.status(ctx.cluster(), actor)
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
