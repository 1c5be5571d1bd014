"""Commands about what a cluster pays for without use."""

from dataclasses import dataclass
from typing import ClassVar

from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card, escape
from handlers.views import text_card
from handlers.views.waste import waste_card
from services.common.command import CommandClass, argument
from services.common.errors import Refused


@dataclass(frozen=True)
class CostWaste(InstantCommand):
    """List what costs money without use, with dollars a day."""

    command: ClassVar[str] = "cost waste"
    help_text: ClassVar[str] = (
        "List what costs money without use: stray droplets, volumes, addresses, old backups."
    )
    several: ClassVar[bool] = True

    async def answer(self, ctx: CommandContext) -> Card:
        return waste_card(await ctx.visible.waste(ctx.cluster(), ctx.actor))


@dataclass(frozen=True)
class CostKeep(InstantCommand):
    """Keep something that nothing uses: it is not reported again."""

    command: ClassVar[str] = "cost keep"
    help_text: ClassVar[str] = "Keep something that `cost waste` lists, for some days or for good."
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.CAPACITY,)
    thing: str = argument("volume:ID, ip:ADDRESS, droplet:ID, backups or pool")
    keep_days: int = argument("days; for good if omitted", default=0)

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        if not 0 <= self.keep_days <= 3650:
            raise Refused("for how many days? write a number up to 3650, or none for good")
        until = ctx.clock.now() + self.keep_days * 86400.0 if self.keep_days else 0.0
        await ctx.operations.keep_unused(name, self.thing, ctx.actor, until)
        how = f"for {self.keep_days} days" if self.keep_days else "for good"
        return text_card(f"{name} keeps {escape(self.thing)} {how}. It is not reported again.")
