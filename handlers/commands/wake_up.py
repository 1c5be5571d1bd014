"""The wake-up command: starts what a window closed, also for people who are not operators."""

from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card
from handlers.slack.markup import date_time
from services.common.command import CommandClass
from services.schedule.wake_up import WakeUps


@dataclass(frozen=True)
class WakeUpCommand(InstantCommand):
    """Start a cluster that a window has closed, within a quota."""

    command: ClassVar[str] = "wake"
    help_text: ClassVar[str] = (
        "Start a cluster that a window has closed, for a while. Open to `roles.wakers`."
    )
    changes: ClassVar[bool] = True
    reasons: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.WAKE,)

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        keep_up = await WakeUps(ctx.operations, ctx.scheduler).wake_up(name, ctx.actor, ctx.reason)
        return woken_card(name, keep_up.until)


def woken_card(name: str, until: float) -> Card:
    """Return the answer to the person who started it."""
    return views.text_card(
        f"{name} is starting. It closes again {date_time(until)}. "
        "`/openvidu status` shows the progress."
    )
