"""What a bot that only observes would have done."""

from dataclasses import dataclass
from typing import ClassVar

from handlers.commands.base import CommandContext, InstantCommand
from handlers.commands.typed_words import Word
from handlers.slack.blocks import Card
from handlers.views.observed import observed_card
from services.common.command import argument
from services.common.errors import Refused

MOST = 60


def without_days(words: list[Word]) -> list[Word]:
    """Return the words after `observed` without `--days`: `--days 14` is `14`."""
    return [w for w in words if w.text.casefold() != "--days"]


@dataclass(frozen=True)
class Observed(InstantCommand):
    """What would have been done, by a bot that only observes."""

    command: ClassVar[str] = "observed"
    help_text: ClassVar[str] = (
        "Show what windows would have done while the bot only observes: closings, waits, savings."
    )
    days: int | None = argument("days to look back, up to 60", default=None)

    async def answer(self, ctx: CommandContext) -> Card:
        if self.days is not None and not 1 <= self.days <= MOST:
            raise Refused(f"how many days? from 1 to {MOST}, as in `/openvidu observed 14`")
        return observed_card(await ctx.visible.observed(ctx.cluster(), ctx.actor, self.days))
