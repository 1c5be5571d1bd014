"""Commands that decide about runs: cancel, resume, abandon.

Without a name they mean the one open run; where several are open, they are refused with all names.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand, WhichCluster
from handlers.slack.blocks import Card
from services.common.command import CHANGING, CommandClass, argument
from services.common.errors import Refused
from services.common.text import join_words
from services.operations.results import Started, WaitingForApproval
from services.runs.run import Run
from services.store.keys import BATCH

RUN = "the run's name, such as acme-17; by default the open run"


@dataclass(frozen=True)
class Cancel(InstantCommand):
    """Stop a run at its next safe point."""

    command: ClassVar[str] = "cancel"
    help_text: ClassVar[str] = "Stop a run at its next safe point. Finished steps are not undone."
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = CHANGING
    reasons: ClassVar[bool] = True
    run: str | None = argument(RUN, default=None)

    async def answer(self, ctx: CommandContext) -> Card:
        name = self.run or (await only_open_run(ctx, self.command)).id
        if name.startswith(BATCH):
            batch = await ctx.operations.batches.cancel(name, ctx.actor, ctx.reason)
            return views.text_card(
                f"{batch.id} is {batch.state}: nothing more is started. "
                "Its message shows every cluster."
            )
        run = await ctx.operations.cancel(name, ctx.actor, ctx.reason)
        return views.text_card(
            f"{run.id} stops at its next safe point. Its card says what was changed."
        )


@dataclass(frozen=True)
class Resume(InstantCommand):
    """Continue a run that has stopped."""

    command: ClassVar[str] = "resume"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = CHANGING
    reasons: ClassVar[bool] = True
    run: str | None = argument(RUN, default=None)

    async def answer(self, ctx: CommandContext) -> Card:
        name = self.run or (await only_open_run(ctx, self.command)).id
        resumed = await ctx.operations.resume(name, ctx.actor, ctx.reason)
        if isinstance(resumed, WaitingForApproval):
            return views.not_covered_card(resumed.request)
        assert isinstance(resumed, Started), "it is resumed, or waits for approval"
        run = resumed.run
        if run.step is None:
            return views.text_card(f"{run.id} continues.")
        return views.text_card(f"{run.id} continues with “{run.step.title()}”.")


@dataclass(frozen=True)
class Abandon(InstantCommand):
    """Give up a run that has stopped, and unlock the cluster."""

    command: ClassVar[str] = "abandon"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = CHANGING
    reasons: ClassVar[bool] = True
    run: str | None = argument(RUN, default=None)

    async def answer(self, ctx: CommandContext) -> Card:
        name = self.run or (await only_open_run(ctx, self.command)).id
        run = await ctx.operations.abandon(name, ctx.actor, ctx.reason)
        return views.text_card(f"{run.id} is abandoned; {run.cluster} is unlocked. {run.end_text}.")


@dataclass(frozen=True)
class HowToCancel(InstantCommand):
    """Say how to cancel what is running: for people who type `abort` or `undo`."""

    command: ClassVar[str] = "abort"
    hidden: ClassVar[bool] = True  # help lists `cancel`
    run: str | None = argument(RUN, default=None)

    async def answer(self, ctx: CommandContext) -> Card:
        if self.run is None:
            run = await only_open_run(ctx, "cancel")
        else:
            run = await ctx.operations.run(self.run, ctx.actor)
        return views.text_card(
            f"{_called(run)} is {run.state}. To stop it: {_typed('cancel', run)}."
        )


async def only_open_run(ctx: CommandContext, verb: str) -> Run:
    """Return the one open run of the cluster that is meant, or of all that this person may see.

    Refused where none or several are open.
    """
    names = clusters_meant(ctx)
    found = [await ctx.operations.open_run(name, ctx.actor) for name in names]
    runs = [run for run in found if run is not None]
    if len(runs) == 1:
        return runs[0]
    if not runs:
        raise Refused(
            f"no run is open on {join_words(names)}, so there is nothing to {verb}. "
            "`/openvidu runs` lists the last runs"
        )
    raise Refused(
        f"{len(runs)} runs are open: {join_words(map(_called, runs))}. "
        f"Name one, as in {_typed(verb, runs[0])}"
    )


def must_have_role(ctx: CommandContext) -> None:
    """Refuse people who may not see the cluster that is meant, or none at all."""
    with suppress(WhichCluster):
        ctx.cluster()


def clusters_meant(ctx: CommandContext) -> Sequence[str]:
    """Return the cluster that is meant; where none is, all that this person may see."""
    try:
        return [ctx.cluster()]
    except WhichCluster:
        return ctx.operations.clusters.readable(ctx.actor)


def _called(run: Run) -> str:
    return f"`{run.id}` ({run.plan.doing})"


def _typed(verb: str, run: Run) -> str:
    return f"`/openvidu {verb} {run.id}`"
