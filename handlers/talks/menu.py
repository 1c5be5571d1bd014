"""The menu: what somebody may do now, as buttons. It is what `/openvidu` alone says."""

from dataclasses import dataclass
from typing import ClassVar

from handlers.blocks import Card
from handlers.cards.menu import menu_card, which_card
from handlers.offers import offers
from handlers.talks.base import Asked, Talk
from services.desk import Status
from services.errors import Refused, Unreachable
from services.policy import Kind, may_approve, may_operate, may_read
from services.windows import Hold


@dataclass(frozen=True)
class Menu(Talk):
    """Buttons for what you may do now; `/openvidu` alone says the same."""

    command: ClassVar[str] = "menu"

    async def answer(self, asked: Asked) -> Card:
        desk, actor = asked.desk, asked.actor
        try:
            name = asked.cluster()
        except Refused:
            names = [n for n in sorted(desk.sites) if may_read(actor, desk.sites.rules(n)).kind is Kind.ALLOWED]
            if not names:
                raise
            return which_card(names)
        status = await desk.status(name, actor)
        rules = desk.sites.rules(name)
        hold, windows = await _hours(asked, name)
        verdict = may_operate(actor, rules)
        operates = verdict.kind is Kind.ALLOWED
        offered = offers(status.cluster, status.run, operates=operates and status.known, held=hold is not None, windows=windows)
        return menu_card(status, offered, hold, "" if operates else verdict.reason, _mine(asked, status))


async def _hours(asked: Asked, name: str) -> tuple[Hold | None, bool]:
    try:
        _, book = await asked.hours.books.read(name)
    except Unreachable:
        return None, False  # reading works without the state store
    return book.exceptions.hold(asked.clock.now()), bool(book.windows)


def _mine(asked: Asked, status: Status) -> frozenset[str]:
    """The requests that this person may decide on."""
    rules = asked.desk.sites.rules(status.cluster.name)
    return frozenset(
        r.id for r in status.waiting if may_approve(asked.actor, r.requester, rules, tuple(a.key for a in r.approvals)).kind is Kind.ALLOWED
    )
