"""Commands about changes that are scheduled for later."""

from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card
from services.access.policy import AccessResult
from services.common.command import CHANGING, CommandClass, rest


@dataclass(frozen=True)
class ListLater(InstantCommand):
    """Changes scheduled with `--at`: when each is done, and what it waits for."""

    command: ClassVar[str] = "later"
    help_text: ClassVar[str] = "List the changes that are scheduled with `--at`."

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        verdict = ctx.operations.permission(name, ctx.actor, CancelLater)
        operates = verdict.kind is not AccessResult.DENIED
        return views.later_card(name, await ctx.visible.later(name, ctx.actor), operates=operates)


@dataclass(frozen=True)
class CancelLater(InstantCommand):
    """Cancel a scheduled change."""

    command: ClassVar[str] = "later cancel"
    help_text: ClassVar[str] = "Call off a scheduled change."
    changes: ClassVar[bool] = True
    reasons: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = CHANGING
    what: str = rest("ID")

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        ctx.operations.must_operate(name, ctx.actor)
        request = await ctx.operations.find_scheduled(name, self.what, ctx.actor)
        request = await ctx.operations.reject(request.id, ctx.actor, ctx.reason)
        return views.text_card(
            f"{views.title(request.plan)} on {request.moment} is cancelled. Nothing was changed."
        )
