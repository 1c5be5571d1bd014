"""The menu: what somebody may do now, as buttons. It is what `/openvidu` alone says."""

from dataclasses import dataclass
from typing import ClassVar

from handlers.commands.base import CommandContext, InstantCommand, WhichCluster
from handlers.slack.blocks import Card
from handlers.views.menu import menu_card, which_card
from handlers.views.offers import offers, open_to
from services.access.policy import Kind, may_operate
from services.common.errors import Unreachable
from services.windows import Hold


@dataclass(frozen=True)
class Menu(InstantCommand):
    """Buttons for what you may do now; `/openvidu` alone says the same."""

    command: ClassVar[str] = "menu"

    async def answer(self, asked: CommandContext) -> Card:
        operations, actor = asked.operations, asked.actor
        try:
            name = asked.cluster()
        except WhichCluster:
            return which_card(operations.clusters.readable(actor))
        status = await operations.status(name, actor)
        rules = operations.clusters.rules(name)
        hold, windows = await _hours(asked, name)
        verdict = may_operate(actor, rules)
        operates = verdict.kind is Kind.ALLOWED
        offered = offers(
            status.cluster,
            status.run,
            operates=operates and status.known,
            held=hold is not None,
            windows=windows,
        )
        offered = open_to(
            offered,
            asked.spoken,
            lambda kind: operations.may_say(name, actor, kind).kind is not Kind.DENIED,
        )
        mine = frozenset(r.id for r in status.waiting if operations.counts(r, actor))
        decides = status.run is not None and operations.may_decide(status.run, actor)
        return menu_card(
            status, offered, hold, "" if operates else verdict.reason, mine, decides=decides
        )


async def _hours(asked: CommandContext, name: str) -> tuple[Hold | None, bool]:
    try:
        book = await asked.sight.book(name, asked.actor)
    except Unreachable:
        return None, False  # reading works without the state store
    return book.exceptions.hold(asked.clock.now()), bool(book.windows)
