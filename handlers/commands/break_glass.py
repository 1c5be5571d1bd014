"""The break-glass command: a change without the approval that it needs."""

from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card
from services.common.command import CommandClass, rest
from services.common.errors import Refused
from services.operations.results import Outcome, Planned
from services.procedures import Procedure


@dataclass(frozen=True)
class BreakGlass(InstantCommand):
    """Run a change without its approval, in an emergency."""

    command: ClassVar[str] = "break-glass"
    help_text: ClassVar[str] = (
        "In an emergency, run a change without its approval. It needs `--reason`, and "
        "everyone reads it."
    )
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.BREAK_GLASS,)
    plans: ClassVar[bool] = True
    what: str = rest("the command to run without its approval", syntax="COMMAND")

    async def answer(self, ctx: CommandContext) -> Card:
        procedure = ctx.parse(self.what)
        if not isinstance(procedure, Procedure):
            raise Refused(
                "break-glass takes a command that changes the cluster, "
                'as in `/openvidu break-glass shutdown --reason "…"`'
            )
        outcome = await self._request(procedure, ctx)
        if isinstance(outcome, Planned):
            return views.plan_card(outcome.plan, dry=outcome.dry, observes=outcome.observes)
        return views.text_card(
            "Nothing is changed yet. The plan is in the channel, where everyone can read it; "
            "only you can confirm it."
        )

    async def _request(self, procedure: Procedure, ctx: CommandContext) -> Outcome:
        name = ctx.cluster()
        if ctx.dry_run:
            return await ctx.operations.request(ctx.actor, name, procedure, dry=True)
        if ctx.channel.startswith("D"):
            raise Refused(
                "break-glass works only in a channel, where others read it; nothing was changed"
            )
        channel = await ctx.card_channel(name) or ctx.channel
        return await ctx.operations.break_glass(
            ctx.actor, name, procedure, reason=ctx.reason, channel=channel
        )
