"""The wake-up command: starts what a window closed, also for people who are not operators."""

from dataclasses import dataclass
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card
from handlers.slack.markup import date_time
from handlers.views.plan import numbered
from services.access.policy import Actor
from services.common.command import CommandClass
from services.common.text import duration
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
        return await wake(WakeUps(ctx.operations, ctx.scheduler), name, ctx.actor, ctx.reason)


async def wake(wakes: WakeUps, name: str, actor: Actor, reason: str = "") -> Card:
    """Wake a cluster up, and say what that does: it starts at once, by a standing permission."""
    awake = await wakes.wake_up(name, actor, reason)
    run = await wakes.opened(name, actor)
    does = "`/openvidu status` shows the progress."
    if run is not None:
        takes = duration(run.plan.takes)
        steps = " · ".join(numbered(run.plan))
        does = f"`{run.id}` takes about {takes}: {steps}."
    closes = f"It closes again {date_time(awake.until)}."
    if awake.empty:
        without = f"after {duration(awake.empty)} without a meeting"
        closes = f"It stays open until {date_time(awake.until)}, then closes {without}."
    return views.text_card(f"{name} is starting. {closes} {does}")
