"""Questions: help, status, runs."""

from dataclasses import dataclass
from typing import ClassVar

from handlers import cards
from handlers.blocks import Card
from handlers.history import one_run_card
from handlers.nodes import node_card
from handlers.talks.base import Asked, Talk
from services.errors import Refused, Unreachable
from services.policy import Kind, may_operate
from services.spoken import argument
from services.steps.base import listed


@dataclass(frozen=True)
class Help(Talk):
    """What can be asked for, and how."""

    command: ClassVar[str] = "help"

    async def answer(self, asked: Asked) -> Card:
        spoken = [s for s in asked.spoken if not s.hidden]
        others: list[str] = []
        try:
            name = asked.cluster()
            verdict = may_operate(asked.actor, asked.desk.site(name).rules)
            may = f"This channel is about {name}. "
            if verdict.kind is Kind.ALLOWED:
                may += "You may use all of these."
            else:
                may += f"You may read; changes: {verdict.reason}."
                others = [f"`{s.command}`" for s in spoken if s.operators]
                spoken = [s for s in spoken if not s.operators]
        except Refused as error:
            may = cards.sentence(str(error))
        more = [f"Operators may also say {listed(others)}."] if others else []
        return cards.help_card([(s.usage(), s.summary()) for s in spoken], may, [*more, cards.OUTSIDE])


@dataclass(frozen=True)
class ShowStatus(Talk):
    """Masters, media nodes, meetings, the open run, cost per hour; with a node: its health, containers, errors, last log lines."""

    command: ClassVar[str] = "status"
    node: str | None = argument("master-2, media-3, a droplet's name or its id", default=None)

    async def answer(self, asked: Asked) -> Card:
        if self.node is not None:
            return node_card(await asked.desk.node(asked.cluster(), self.node, asked.actor), asked.clock.now())
        status = await asked.desk.status(asked.cluster(), asked.actor)
        try:
            hours = await asked.sight.hours_words(status.cluster.name, asked.actor)
        except Unreachable:
            hours = ""  # reading works without the state store
        return cards.status_card(status, asked.clock.now(), hours)


@dataclass(frozen=True)
class Runs(Talk):
    """The newest runs; with a name, one run in full."""

    command: ClassVar[str] = "runs"
    run: str | None = argument("the run's name, such as acme-17", default=None)

    async def answer(self, asked: Asked) -> Card:
        desk = asked.desk
        if self.run is None:
            name = asked.cluster()
            return cards.runs_card(name, await desk.runs(name, asked.actor))
        return await OneRun(self.run).answer(asked)


@dataclass(frozen=True)
class OneRun(Talk):
    """One run in full: what it does, what happened when."""

    command: ClassVar[str] = "run"
    hidden: ClassVar[bool] = True  # help lists it as `runs [RUN]`
    run: str = argument("the run's name, such as acme-17")

    async def answer(self, asked: Asked) -> Card:
        desk = asked.desk
        run = await desk.run(self.run, asked.actor)
        return one_run_card(run, desk.progress(run.id), await asked.sight.events(run.id, asked.actor), asked.clock.now())
