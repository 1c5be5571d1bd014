"""`rehearse COMMAND`: a change is played in a simulated copy of the cluster, and nothing else."""

from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.commands.scale_by import ScaleBy
from handlers.slack.blocks import Card
from services.common.command import rest
from services.common.errors import Refused
from services.operations.results import Planned
from services.procedures import Procedure


@dataclass(frozen=True)
class Rehearse(InstantCommand):
    """Play a change in a simulated copy of the cluster, once as expected and with bad luck."""

    command: ClassVar[str] = "rehearse"
    help_text: ClassVar[str] = (
        "Play a change in a simulated copy of the cluster: how long it takes, and what may go "
        "wrong. Nothing is changed."
    )
    meanwhile: ClassVar[str] = (
        "Rehearsing, about 20 s. Nothing is changed; the answer follows here."
    )
    what: str = rest("the command to rehearse", syntax="COMMAND")

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        procedure = await self._procedure(ctx)
        outcome = await ctx.operations.rehearse(ctx.actor, name, procedure)
        if isinstance(outcome, Planned):
            return views.plan_card(outcome.plan, dry=True)
        return views.rehearsal_card(outcome)

    async def _procedure(self, ctx: CommandContext) -> Procedure:
        command = ctx.parse(self.what)
        if isinstance(command, ScaleBy):
            command = await command.meant(ctx)
        if not isinstance(command, Procedure):
            raise Refused(
                "rehearse takes a command that changes the cluster, "
                "as in `/openvidu rehearse shutdown`"
            )
        return command
