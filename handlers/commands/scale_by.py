"""`scale +1`: the plan for some media nodes more or fewer than now."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from handlers.commands.base import CommandContext, InstantCommand
from handlers.commands.decisions import outcome_card
from handlers.slack.blocks import Card, section
from handlers.views.text import without_formatting
from services.common.command import CommandClass, argument, flag
from services.common.errors import Refused
from services.common.text import count_of
from services.procedures import Scale

SIGNS = {"up": "+", "more": "+", "down": "-", "fewer": "-", "less": "-"}
CHANGE = re.compile(r"[+-]\d{1,4}")


@dataclass(frozen=True)
class ScaleBy(InstantCommand):
    """Plan some media nodes more or fewer than now, and name the command that does it.

    Relative to what is there, so it is never carried out by itself: taken up again after a restart,
    it would add the nodes twice.
    """

    command: ClassVar[str] = "rescale"
    hidden: ClassVar[bool] = True  # help of `scale` names it
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.CAPACITY,)
    plans: ClassVar[bool] = True
    change: str = argument("how many more or fewer, such as +1")
    no_drain: bool = flag("end running meetings on the nodes that go")

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        by = _number(self.change)
        ctx.operations.must_use(name, ctx.actor, CommandClass.CAPACITY)
        now = await _media_nodes(ctx, name)
        scale = Scale(max(0, now + by), self.no_drain)
        card = await _plan(ctx, name, scale)
        typed = f"`/openvidu {scale.command_line()}`"
        head = (
            f"{name} has {count_of(now, 'media node')}; {by:+d} makes {scale.number}. Type {typed}."
        )
        return Card(f"{without_formatting(head)} {card.text}", (section(head), *card.blocks))

    async def meant(self, ctx: CommandContext) -> Scale:
        """Return the command with a number that it means at this moment."""
        now = await _media_nodes(ctx, ctx.cluster())
        return Scale(max(0, now + _number(self.change)), self.no_drain)


async def _media_nodes(ctx: CommandContext, name: str) -> int:
    cluster = await ctx.operations.look(name, ctx.actor)
    return cluster.pool.target if cluster.pool is not None else len(cluster.members)


async def _plan(ctx: CommandContext, cluster: str, scale: Scale) -> Card:
    if ctx.plan is not None:
        card = await ctx.plan(scale)
    else:
        card = outcome_card(await ctx.operations.request(ctx.actor, cluster, scale, dry=True))
    assert card is not None, "a dry run answers with its plan"
    return card


def _number(change: str) -> int:
    if not CHANGE.fullmatch(change) or int(change) == 0:
        raise Refused("how many more or fewer? as in `/openvidu scale +1` or `/openvidu scale 4`")
    return int(change)


def without_to(words: Sequence[str]) -> list[str]:
    """Return the words after `scale` without `to`: `to 4` and `up to 4` are 4."""
    plain = [w.casefold() for w in words]
    if plain[:1] == ["to"]:
        return list(words[1:])
    if len(plain) > 1 and plain[0] in SIGNS and plain[1] == "to":
        return list(words[2:])
    return list(words)


def read_change(words: Sequence[str]) -> str | None:
    """Return the change that the words after `scale` name, such as `+1`; None for a number.

    `scale down 1` may mean one fewer, or one: refused with both.
    """
    plain = [w.casefold() for w in words]
    if len(plain) == 1 and CHANGE.fullmatch(plain[0]):
        return plain[0]
    if len(plain) < 2 or plain[0] not in (*SIGNS, "by"):
        return None
    sign = SIGNS.get(plain[0], "+")
    number = plain[-1].lstrip("+")
    if not re.fullmatch(r"\d{1,4}", number) or len(plain) > 3:
        return None
    if plain[0] == "by" or plain[1] == "by":
        return f"{sign}{number}"
    if len(plain) == 2:
        raise Refused(
            f"“{plain[0]} {number}” can be read in two ways: "
            f"write `scale {sign}{number}` or `scale {number}`"
        )
    return None
