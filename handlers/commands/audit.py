"""The audit command: the newest decisions about a cluster."""

from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card
from services.common.command import CHANGING, CommandClass, argument
from services.common.errors import Refused

MOST = 30


@dataclass(frozen=True)
class Audit(InstantCommand):
    """The newest decisions about this cluster: who, what, why, before and after."""

    command: ClassVar[str] = "audit"
    help_text: ClassVar[str] = "List the newest decisions: who, what, why, before and after."
    classes: ClassVar[tuple[CommandClass, ...]] = CHANGING
    number: int = argument("how many decisions; 10 by default", default=10)

    async def answer(self, ctx: CommandContext) -> Card:
        if not 1 <= self.number <= MOST:
            raise Refused(
                f"1 to {MOST} decisions can be shown here; "
                "`openvidu-bot audit export` has all of them"
            )
        name = ctx.cluster()
        return views.audit_card(name, *await ctx.visible.decisions(name, ctx.actor, self.number))
