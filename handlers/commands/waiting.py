"""Answers for people who type `approve` or `reject`: where the buttons are.

An approval covers exactly what was shown, so it is given on the card and never typed.
"""

from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.commands.run_control import clusters_meant
from handlers.slack.blocks import Card
from services.common.command import rest
from services.common.text import join_words
from services.runs.request import Request


@dataclass(frozen=True)
class HowToApprove(InstantCommand):
    """Say where the Approve buttons of the waiting requests are."""

    command: ClassVar[str] = "approve"
    hidden: ClassVar[bool] = True  # a button does it
    which: str = rest("the request, which the card shows", syntax="[REQUEST]", default="")

    async def answer(self, ctx: CommandContext) -> Card:
        return await _waiting(ctx, "Approve")


@dataclass(frozen=True)
class HowToReject(InstantCommand):
    """Say where the Reject buttons of the waiting requests are."""

    command: ClassVar[str] = "reject"
    hidden: ClassVar[bool] = True  # a button does it
    which: str = rest("the request, which the card shows", syntax="[REQUEST]", default="")

    async def answer(self, ctx: CommandContext) -> Card:
        return await _waiting(ctx, "Reject")


async def _waiting(ctx: CommandContext, button: str) -> Card:
    names = clusters_meant(ctx)
    requests = [r for name in names for r in await ctx.visible.waiting(name, ctx.actor)]
    if not requests:
        return views.text_card(f"No request waits for approval on {join_words(names)}.")
    head = f"To decide, press {button} on the card. An approval covers exactly what it shows."
    return views.text_card("\n".join([head, *(_line(ctx, r) for r in requests)]))


def _line(ctx: CommandContext, request: Request) -> str:
    counts = "your approval does not count for it"
    if ctx.operations.approval_counts(request, ctx.actor):
        counts = "you can approve it"
    where = f" in <#{request.channel}>" if request.channel else ""
    what = f"*{views.title(request.plan)}*, requested by {request.requester.mention}"
    return f"• {what}{where}: {counts}."
