"""Commands about the forecast of demand: what it proposes, and the end of scaling by it."""

from dataclasses import dataclass
from typing import ClassVar

from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Block, Card
from handlers.views import text_card
from handlers.views.forecast import DAY, forecast_card
from services.billing.demand import propose
from services.common.command import CommandClass
from services.common.errors import Refused, Rejected, Unreachable
from services.procedures import Scale


@dataclass(frozen=True)
class CapacityForecast(InstantCommand):
    """How many media nodes the coming day needs, by the meetings of earlier weeks."""

    command: ClassVar[str] = "forecast"
    help_text: ClassVar[str] = (
        "Show how many media nodes the coming day needs, by the meetings of earlier weeks."
    )

    async def answer(self, ctx: CommandContext) -> Card:
        name, now = ctx.cluster(), ctx.clock.now()
        cluster = await ctx.visible.look(name, ctx.actor)
        prospect = await ctx.visible.prospect(name, ctx.actor)
        per_node = cluster.people_per_node
        number = None
        if per_node is not None and cluster.members:
            nodes = len(cluster.members)
            proposal = propose(prospect.forecast, per_node, nodes, now, now + DAY)
            if proposal is not None and proposal.number != nodes:
                number = proposal.number
        buttons, why = await _press(ctx, number)
        return forecast_card(cluster, prospect, now, buttons, why)


async def _press(ctx: CommandContext, number: int | None) -> tuple[tuple[Block, ...], str]:
    """Return the button that requests the number with its ordinary card, or why there is none."""
    if number is None or ctx.plan is None:
        return (), ""
    try:
        ctx.operations.must_use(ctx.cluster(), ctx.actor, CommandClass.CAPACITY)
        planned = await ctx.plan(Scale(number))
    except (Refused, Unreachable, Rejected) as error:
        return (), str(error)
    blocks = () if planned is None else planned.blocks
    return tuple(b for b in blocks if b["type"] == "actions"), ""


@dataclass(frozen=True)
class RevokeScaling(InstantCommand):
    """End the permission to scale by the forecast."""

    command: ClassVar[str] = "forecast revoke"
    help_text: ClassVar[str] = "No longer scale by the forecast. The number of nodes stays."
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.CAPACITY,)

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        await ctx.operations.revoke_scaling(name, ctx.actor)
        return text_card(
            f"{name} is no longer scaled by the forecast. Its number of media nodes stays."
        )
