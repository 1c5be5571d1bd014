"""Decisions about runs."""

from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card
from services.common.command import CHANGING, CommandClass, argument
from services.operations.results import Started, Waiting


@dataclass(frozen=True)
class Cancel(InstantCommand):
    """Stop a run at its next safe point; what is done stays done and is named."""

    command: ClassVar[str] = "cancel"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = CHANGING
    reasons: ClassVar[bool] = True
    run: str = argument("the run's name, such as acme-17")

    async def answer(self, asked: CommandContext) -> Card:
        run = await asked.operations.cancel(self.run, asked.actor, asked.reason)
        return views.words_card(
            f"{run.id} stops at its next safe point; its message says what stays done."
        )


@dataclass(frozen=True)
class Resume(InstantCommand):
    """Go on with a run that has stopped."""

    command: ClassVar[str] = "resume"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = CHANGING
    reasons: ClassVar[bool] = True
    run: str = argument("the run's name, such as acme-17")

    async def answer(self, asked: CommandContext) -> Card:
        made = await asked.operations.resume(self.run, asked.actor, asked.reason)
        if isinstance(made, Waiting):
            return views.not_covered_card(made.request)
        assert isinstance(made, Started), "it goes on, or is asked for"
        run = made.run
        return views.words_card(
            f"{run.id} goes on{f' with “{run.step.title()}”' if run.step else ''}."
        )


@dataclass(frozen=True)
class Abandon(InstantCommand):
    """Give up a run that has stopped, and free the cluster."""

    command: ClassVar[str] = "abandon"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = CHANGING
    reasons: ClassVar[bool] = True
    run: str = argument("the run's name, such as acme-17")

    async def answer(self, asked: CommandContext) -> Card:
        run = await asked.operations.abandon(self.run, asked.actor, asked.reason)
        return views.words_card(f"{run.id} is given up; {run.cluster} is free. {run.end_text}.")
