"""Changes that are planned for later: what there is, and calling one off."""

from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card
from services.common.command import CHANGING, CommandClass, rest


@dataclass(frozen=True)
class ListLater(InstantCommand):
    """Changes that are planned for later with `--at`: when each is done, and what it waits for."""

    command: ClassVar[str] = "later"

    async def answer(self, asked: CommandContext) -> Card:
        name = asked.cluster()
        return views.later_card(name, await asked.sight.later(name, asked.actor))


@dataclass(frozen=True)
class CancelLater(InstantCommand):
    """Call off a change that is planned for later."""

    command: ClassVar[str] = "later cancel"
    changes: ClassVar[bool] = True
    reasons: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = CHANGING
    what: str = rest("ID")

    async def answer(self, asked: CommandContext) -> Card:
        name = asked.cluster()
        asked.operations.may_operate(name, asked.actor)
        request = await asked.operations.later_of(name, self.what, asked.actor)
        request = await asked.operations.reject(request.id, asked.actor, asked.reason)
        return views.words_card(
            f"{views.title(request.plan)} on {request.moment} is called off. Nothing was changed."
        )
