"""The menu: what its reader may do now, as buttons. `/openvidu` alone shows it."""

from dataclasses import dataclass
from typing import ClassVar

from handlers.commands.base import CommandContext, InstantCommand, WhichCluster
from handlers.slack.blocks import Card
from handlers.views.menu import menu_card, which_card
from handlers.views.offers import Offer, allowed_offers, offers
from services.access.policy import AccessResult, may_operate
from services.common.errors import Unreachable
from services.operations.results import Status
from services.windows import Hold


@dataclass(frozen=True)
class Menu(InstantCommand):
    """Buttons for what you may do now; `/openvidu` alone says the same."""

    command: ClassVar[str] = "menu"
    help_text: ClassVar[str] = (
        "Show buttons for what you may do now. `/openvidu` alone does the same."
    )

    async def answer(self, ctx: CommandContext) -> Card:
        operations, actor = ctx.operations, ctx.actor
        try:
            name = ctx.cluster()
        except WhichCluster:
            return which_card(operations.clusters.readable(actor))
        status = await operations.status(name, actor)
        hold, _ = await _hold_and_windows(ctx, name)
        verdict = may_operate(actor, operations.clusters.rules(name))
        may_not = ""
        if verdict.kind is not AccessResult.ALLOWED:
            may_not = verdict.reason
        offered = await offered_now(ctx, status)
        mine = frozenset(r.id for r in status.waiting if operations.approval_counts(r, actor))
        decides = status.run is not None and operations.may_decide(status.run, actor)
        return menu_card(status, offered, hold, may_not, mine, decides=decides)


async def offered_now(ctx: CommandContext, status: Status) -> tuple[Offer, ...]:
    """Return what this person may do with a cluster in that state."""
    operations, name = ctx.operations, status.cluster.name
    hold, windows = await _hold_and_windows(ctx, name)
    may = may_operate(ctx.actor, operations.clusters.rules(name)).kind is AccessResult.ALLOWED
    offered = offers(
        status.cluster,
        status.run,
        operates=may and status.known,
        held=hold is not None,
        windows=windows,
    )
    return allowed_offers(
        offered,
        ctx.commands,
        lambda kind: operations.permission(name, ctx.actor, kind).kind is not AccessResult.DENIED,
    )


async def _hold_and_windows(ctx: CommandContext, name: str) -> tuple[Hold | None, bool]:
    try:
        book = await ctx.visible.book(name, ctx.actor)
    except Unreachable:
        return None, False  # reading works without the state store
    return book.exceptions.hold(ctx.clock.now()), bool(book.all_windows)
