"""What every talk is."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from handlers.slack.blocks import Card
from services.access.policy import Actor
from services.common.clock import Clock
from services.common.command import Command
from services.common.errors import Refused, Unreachable
from services.operations.service import OperationsService
from services.schedule.scheduler import WindowScheduler
from services.schedule.visible import VisibleState


class WhichCluster(Refused):
    """None was named, and nothing says which of several is meant."""


async def _no_picture(_card: Card, _png: bytes, _title: str, _described: str) -> None:
    raise Unreachable("no picture can be shown here")


async def _no_modal(_view: dict[str, Any]) -> None:
    raise Refused("no form can be opened here")


async def _anywhere(_cluster: str) -> str:
    return ""


def _unread(_text: str) -> Command:
    raise Refused("no words are understood here")


@dataclass(frozen=True)
class CommandContext:
    """The circumstances a talk is held in: who, where, about which cluster."""

    operations: OperationsService
    hours: WindowScheduler
    actor: Actor
    channel: str
    clock: Clock
    cluster: Callable[[], str]  # the cluster that is meant; Refused when nobody can tell
    zone: Callable[[str], str] = lambda _cluster: "UTC"  # a cluster's own time zone
    open_modal: Callable[[dict[str, Any]], Awaitable[object]] = _no_modal
    trigger: str = ""  # opens a modal, within three seconds; "" where none can be opened
    spoken: Sequence[type[Command]] = ()  # everything that can be said
    read: Callable[[str], Command] = (
        _unread  # what is meant by some words; Refused when nobody can tell
    )
    reason: str = ""  # with these two, for talks that lead to a plan
    dry: bool = False
    later: tuple[float, str] | None = (
        None  # when what it leads to is to be done, and the zone that was said in; None: now
    )
    card_channel: Callable[[str], Awaitable[str]] = (
        _anywhere  # where a cluster's cards stand; Refused where they could be shown to no one
    )
    picture: Callable[[Card, bytes, str, str], Awaitable[None]] = (
        _no_picture  # with a card, for this person's eyes only
    )

    @property
    def sight(self) -> VisibleState:
        """What this person may see."""
        return VisibleState(self.operations, self.hours)


@dataclass(frozen=True)
class InstantCommand(Command, ABC):
    """Words that are answered at once, in private."""

    changes: ClassVar[bool] = (
        False  # it decides something, so it is stored before it is acknowledged
    )
    reasons: ClassVar[bool] = False  # a reason may be given with it: `--reason`
    later: ClassVar[bool] = False  # what it leads to can be planned for later: `--at`
    plans: ClassVar[bool] = (
        False  # it leads to a plan, so `--dry-run` and `--reason` are understood
    )

    @abstractmethod
    async def answer(self, asked: CommandContext) -> Card | None:
        """The private answer; None when something else (a modal, a card in the channel) answers."""
