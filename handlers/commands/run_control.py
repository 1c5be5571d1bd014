"""Commands that decide about runs: cancel, resume, abandon."""

from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card
from services.common.command import CHANGING, CommandClass, argument
from services.operations.results import Started, WaitingForApproval


@dataclass(frozen=True)
class Cancel(InstantCommand):
    """Stop a run at its next safe point; what is done stays done and is named."""

    command: ClassVar[str] = "cancel"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = CHANGING
    reasons: ClassVar[bool] = True
    run: str = argument("the run's name, such as acme-17")

    async def answer(self, ctx: CommandContext) -> Card:
        run = await ctx.operations.cancel(self.run, ctx.actor, ctx.reason)
        return views.text_card(
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

    async def answer(self, ctx: CommandContext) -> Card:
        resumed = await ctx.operations.resume(self.run, ctx.actor, ctx.reason)
        if isinstance(resumed, WaitingForApproval):
            return views.not_covered_card(resumed.request)
        assert isinstance(resumed, Started), "it is resumed, or waits for approval"
        run = resumed.run
        if run.step is None:
            return views.text_card(f"{run.id} goes on.")
        return views.text_card(f"{run.id} goes on with “{run.step.title()}”.")


@dataclass(frozen=True)
class Abandon(InstantCommand):
    """Give up a run that has stopped, and free the cluster."""

    command: ClassVar[str] = "abandon"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = CHANGING
    reasons: ClassVar[bool] = True
    run: str = argument("the run's name, such as acme-17")

    async def answer(self, ctx: CommandContext) -> Card:
        run = await ctx.operations.abandon(self.run, ctx.actor, ctx.reason)
        return views.text_card(f"{run.id} is given up; {run.cluster} is free. {run.end_text}.")
