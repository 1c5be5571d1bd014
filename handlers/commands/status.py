"""Questions: help, status, runs."""

from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card
from handlers.views.node import node_card
from handlers.views.run_details import one_run_card
from services.access.policy import Kind, may_operate, whom_to_ask
from services.common.command import CHANGING, argument
from services.common.errors import Refused, Unreachable


@dataclass(frozen=True)
class Help(InstantCommand):
    """What can be asked for, and how."""

    command: ClassVar[str] = "help"

    async def answer(self, asked: CommandContext) -> Card:
        spoken = [s for s in asked.spoken if not s.hidden]
        others: list[str] = []
        try:
            name = asked.cluster()
            spoken = [
                s
                for s in spoken
                if asked.operations.may_say(name, asked.actor, s).kind is not Kind.DENIED
            ]
            verdict = may_operate(asked.actor, asked.operations.clusters.site(name).rules)
            reads = f"You may read; changes: {verdict.reason}."
            may = f"This channel is about {name}. {reads if verdict.kind is Kind.DENIED else 'You may use all of these.'}"
            others = [] if verdict.kind is Kind.DENIED else _others(asked, name)
        except Refused as error:
            may = views.sentence(str(error))
        return views.help_card(
            [(s.usage(), s.summary()) for s in spoken], may, [*others, views.OUTSIDE]
        )


def _others(asked: CommandContext, name: str) -> list[str]:
    """Which classes of commands are not open to somebody who may use others, and whom to ask for them."""
    rules = asked.operations.clusters.site(name).rules
    closed = [about for about in CHANGING if asked.actor.user not in rules.users(about)]
    return [
        f"Not open to you: {about} commands; ask {whom_to_ask(rules.users(about))}."
        for about in closed
    ]


@dataclass(frozen=True)
class ShowStatus(InstantCommand):
    """Masters, media nodes, meetings, the open run, cost per hour; with a node: its health, containers, errors, last log lines."""

    command: ClassVar[str] = "status"
    node: str | None = argument("master-2, media-3, a droplet's name or its id", default=None)

    async def answer(self, asked: CommandContext) -> Card:
        if self.node is not None:
            return node_card(
                await asked.operations.node(asked.cluster(), self.node, asked.actor),
                asked.clock.now(),
            )
        status = await asked.operations.status(asked.cluster(), asked.actor)
        try:
            hours = await asked.sight.hours_words(status.cluster.name, asked.actor)
        except Unreachable:
            hours = ""  # reading works without the state store
        return views.status_card(status, asked.clock.now(), hours)


@dataclass(frozen=True)
class Runs(InstantCommand):
    """The newest runs; with a name, one run in full."""

    command: ClassVar[str] = "runs"
    run: str | None = argument("the run's name, such as acme-17", default=None)

    async def answer(self, asked: CommandContext) -> Card:
        operations = asked.operations
        if self.run is None:
            name = asked.cluster()
            return views.runs_card(name, await operations.runs(name, asked.actor))
        return await OneRun(self.run).answer(asked)


@dataclass(frozen=True)
class OneRun(InstantCommand):
    """One run in full: what it does, what happened when."""

    command: ClassVar[str] = "run"
    hidden: ClassVar[bool] = True  # help lists it as `runs [RUN]`
    run: str = argument("the run's name, such as acme-17")

    async def answer(self, asked: CommandContext) -> Card:
        operations = asked.operations
        run = await operations.run(self.run, asked.actor)
        return one_run_card(
            run,
            operations.progress(run.id, asked.actor),
            await asked.sight.events(run.id, asked.actor),
            asked.clock.now(),
        )
