"""Starting what a window has closed, for people who are no operators."""

from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card, day
from services.common.command import CommandClass
from services.schedule.wake_up import WakeUps


@dataclass(frozen=True)
class Wake(InstantCommand):
    """Start a cluster that a window has closed, for a while: for those whom `roles.wakers` names. Operators are told."""

    command: ClassVar[str] = "wake"
    changes: ClassVar[bool] = True
    reasons: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WAKE,)

    async def answer(self, asked: CommandContext) -> Card:
        name = asked.cluster()
        kept = await WakeUps(asked.operations, asked.hours).wake(name, asked.actor, asked.reason)
        return woken_card(name, kept.until)


def woken_card(name: str, until: float) -> Card:
    """The answer to the person who woke it."""
    how = "`/openvidu status` says how far it is"
    return views.words_card(
        f"{name} starts up. It stays up until {day(until)} and closes again then; {how}."
    )
