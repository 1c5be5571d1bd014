"""Going on without the approval that is needed, where nobody is there to give it."""

from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card
from services.common.command import CommandClass, rest
from services.common.errors import Refused
from services.operations.results import Planned
from services.procedures import Procedure


@dataclass(frozen=True)
class BreakGlass(InstantCommand):
    """In an emergency: a change without its approval. Needs `--reason`, is told to everybody, and only the approval is skipped."""

    command: ClassVar[str] = "break-glass"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.BREAK_GLASS,)
    plans: ClassVar[bool] = True
    what: str = rest("COMMAND")

    async def answer(self, asked: CommandContext) -> Card:
        said = asked.read(self.what)
        if not isinstance(said, Procedure):
            raise Refused(
                'break-glass goes before a command that changes the cluster, as in `/openvidu break-glass shutdown --reason "…"`'
            )
        name = asked.cluster()
        if asked.dry:
            made = await asked.operations.request(asked.actor, name, said, dry=True)
        elif asked.channel.startswith("D"):
            raise Refused(
                "break-glass is said in a channel, where others read it; nothing was changed"
            )
        else:
            channel = await asked.card_channel(name) or asked.channel
            made = await asked.operations.break_glass(
                asked.actor, name, said, reason=asked.reason, channel=channel
            )
        if isinstance(made, Planned):
            return views.plan_card(made.plan, dry=made.dry)
        return views.words_card(
            "Nothing is done yet: the plan stands in the channel for everybody to read, and only you can confirm it."
        )
