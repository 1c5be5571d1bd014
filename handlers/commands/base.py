"""What every command that is answered at once has in common."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from handlers.slack.blocks import (
    Card,
    Picture,
    TextFile,
    context,
    escape,
    section,
    truncate,
)
from services.access.policy import Actor
from services.common.clock import Clock
from services.common.command import Command
from services.common.errors import Refused, Rejected, Unreachable
from services.operations.service import OperationsService
from services.procedures import Procedure
from services.schedule.scheduler import WindowScheduler
from services.schedule.visible import VisibleClusters

MOST_BLOCKS = 45  # of an answer about several clusters; Slack takes 50
TEXT_OF_ONE = 250  # characters of one of many clusters


class WhichCluster(Refused):
    """No cluster was named, and nothing decides between several."""


async def _no_pictures(_card: Card, _pictures: Sequence[Picture]) -> None:
    raise Unreachable("no picture can be shown here")


async def _no_file(_card: Card, _file: TextFile) -> str:
    raise Unreachable("no file can be sent here")


async def _no_modal(_view: dict[str, Any]) -> None:
    raise Refused("no form can be opened here")


async def _no_update(_view: str, _content: dict[str, Any]) -> None:
    raise Refused("no form can be opened here")


async def _anywhere(_cluster: str) -> str:
    return ""


def _no_parser(_text: str) -> Command:
    raise Refused("no words are understood here")


@dataclass(frozen=True)
class CommandContext:
    """Who gives a command, where, about which cluster, and what answering it can use.

    `cluster`: the name of the cluster that is meant; Refused when that is ambiguous.
    `zone`: a cluster's time zone. `commands`: every command there is. `parse`: text to a command.
    `open_modal` returns the id of the view, by which `update_modal` fills it later.
    `trigger`: Slack's trigger id, which opens a modal within three seconds; "" where none can be
    opened. `reason`, `dry_run`, `later`: for commands that lead to a plan; `later` is when it is
    to be done (epoch seconds) and the time zone that was entered in, None for now.
    `card_channel`: the channel of a cluster's cards; Refused where no one could read them.
    `pictures`: posts a card and pictures to this person alone. `send_file`: gives a card and a
    file to this person alone, and returns where it is; "" where it stands beside the answer.
    `version`: of the bot.
    `plan`: returns the card of a dry run, with a button to request it; None where there are none.
    """

    operations: OperationsService
    scheduler: WindowScheduler
    actor: Actor
    channel: str
    clock: Clock
    cluster: Callable[[], str]
    zone: Callable[[str], str] = lambda _cluster: "UTC"
    open_modal: Callable[[dict[str, Any]], Awaitable[object]] = _no_modal
    update_modal: Callable[[str, dict[str, Any]], Awaitable[object]] = _no_update
    trigger: str = ""
    commands: Sequence[type[Command]] = ()
    parse: Callable[[str], Command] = _no_parser
    reason: str = ""
    dry_run: bool = False
    later: tuple[float, str] | None = None
    card_channel: Callable[[str], Awaitable[str]] = _anywhere
    pictures: Callable[[Card, Sequence[Picture]], Awaitable[None]] = _no_pictures
    send_file: Callable[[Card, TextFile], Awaitable[str]] = _no_file
    version: str = ""
    plan: Callable[[Procedure], Awaitable[Card | None]] | None = None

    @property
    def visible(self) -> VisibleClusters:
        """What this person may see."""
        return VisibleClusters(self.operations, self.scheduler)


@dataclass(frozen=True)
class InstantCommand(Command, ABC):
    """A command that is answered at once, in private: a question, or a change of bot state.

    `changes`: it changes something, so it is stored before it is acknowledged.
    `reasons`: it takes `--reason`. `later`: what it leads to can be scheduled with `--at`.
    `plans`: it leads to a plan, so it takes `--dry-run` and `--reason`. `meanwhile`: what people
    read while its answer takes long; "" for the usual sentence. `several`: it takes several
    clusters, and is answered for each of them in turn unless it overrides `answer_several`.
    """

    changes: ClassVar[bool] = False
    reasons: ClassVar[bool] = False
    later: ClassVar[bool] = False
    plans: ClassVar[bool] = False
    meanwhile: ClassVar[str] = ""
    several: ClassVar[bool] = False

    @abstractmethod
    async def answer(self, ctx: CommandContext) -> Card | None:
        """Return the private answer; None when a modal or a card in the channel answers."""

    async def answer_several(self, ctx: CommandContext, names: Sequence[str]) -> Card:
        """Return the one answer about several clusters: that of each, in turn.

        The failure of one of them is in its own lines, and holds up no other.
        """
        cards = []
        for name in names:
            of_one = replace(ctx, cluster=partial(_named, name))
            try:
                card = await self.answer(of_one)
            except (Refused, Unreachable, Rejected) as error:
                card = failed_card(name, str(error))
            if card is not None:
                cards.append(card)
        return joined_card(cards)


def _named(name: str) -> str:
    return name


def failed_card(name: str, why: str) -> Card:
    """Return the answer about one of several clusters where there is no other."""
    text = f"{name}: {escape(why)}"
    return Card(text, (section(f":warning: *{name}*: {escape(why)}"),))


def joined_card(cards: Sequence[Card]) -> Card:
    """Return one card of several; of many only their texts, so that Slack takes it."""
    blocks = tuple(block for card in cards for block in card.blocks)
    if len(blocks) > MOST_BLOCKS:
        shown = cards[:MOST_BLOCKS]
        blocks = tuple(section(truncate(card.text, TEXT_OF_ONE)) for card in shown)
        if len(cards) > len(shown):
            blocks = (*blocks, context(f"And {len(cards) - len(shown)} more clusters"))
    return Card("\n".join(truncate(card.text, TEXT_OF_ONE) for card in cards), blocks)
