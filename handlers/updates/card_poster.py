"""Posts cards into their channels, and finds those that were posted but not remembered."""

import logging
from collections.abc import Callable, Mapping

from handlers.slack.api import MessageGone
from handlers.slack.blocks import Card
from handlers.slack.channel_access import ChannelClosed, TokenRefused
from handlers.slack.client import SlackClient
from handlers.updates.direct_copies import OVER
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import Unreachable
from services.memory.message_refs import CardPlace

log = logging.getLogger(__name__)
SHOWING = "showing cards"
# Seconds until the next attempt: at first, later, and after a permanent refusal.
TRY_AGAIN, TRY_SELDOM, TRY_RARELY = 5.0, 60.0, 600.0
CLOCKS_APART = 60.0  # seconds that the bot's clock and Slack's may differ


def note_failure(bulkheads: Bulkheads, cluster: str) -> Callable[[BaseException], None]:
    """Return what notes the failure of a task that shows cards; the next sweep shows them."""

    def note(error: BaseException) -> None:
        bulkheads.record_failure(SHOWING, cluster, error)

    return note


class OpenCards:
    """The cards that are not final, with their cluster, as far as this process knows.

    Where the state is lost, nothing else tells which messages are out of date.
    """

    def __init__(self) -> None:
        self._places: dict[str, tuple[str, CardPlace]] = {}

    def note(self, name: str, cluster: str, place: CardPlace) -> None:
        """Note where the card of a request or run is now."""
        if place.final:
            self._places.pop(name, None)
        else:
            self._places[name] = cluster, place

    def forget(self, name: str) -> None:
        """Forget a card that another message has replaced."""
        self._places.pop(name, None)

    def take_all(self) -> dict[str, tuple[str, CardPlace]]:
        """Return all cards, and forget them."""
        places, self._places = self._places, {}
        return places


class CardPoster:
    """Knows which channel a card belongs into. `channels`: the own channel of each cluster."""

    def __init__(self, slack: SlackClient, channels: Mapping[str, str]) -> None:
        self._slack = slack
        self._channels = channels

    def channel(self, cluster: str, asked_in: str) -> str:
        """Return the cluster's own channel; without one, that of the command.

        Closed when there is neither.
        """
        channel = self._channels.get(cluster, "") or asked_in
        if not channel:
            raise ChannelClosed(
                "", f"{cluster} has no channel of its own (`clusters.{cluster}.channel`)"
            )
        return channel

    def is_own_channel(self, cluster: str, channel: str) -> bool:
        """Tell whether a channel is the cluster's own."""
        return self._channels.get(cluster) == channel

    def has_moved(self, cluster: str, place: CardPlace) -> bool:
        """Tell whether a card's channel is closed, and the cluster has another one now."""
        if not self._slack.access.why_closed(place.channel):
            return False
        return self.channel(cluster, place.channel) != place.channel

    def waits_for_its_channel(self, place: CardPlace) -> bool:
        """Tell whether copies say it all, until the channel opens or the cluster has another."""
        closed = bool(self._slack.access.why_closed(place.channel))
        is_current = place.channel in self._channels.values()
        return closed and is_current and place.copied.startswith(OVER)

    def is_back(self, place: CardPlace) -> bool:
        """Tell whether a card has copies although its channel is open again."""
        return bool(place.copies) and not self._slack.access.why_closed(place.channel)

    async def post(
        self, channel: str, card: Card, marks: tuple[str, ...], since: float, *, first: bool
    ) -> str:
        """Post a card, or update the one that a bot posted and could not remember. Returns its ts.

        `marks`: ids of what it is about, the first for a new message. `since`: the earliest time
        (epoch seconds) of such a message. `first`: there cannot be one yet.
        """
        if not first and (ts := await self.find(channel, card, marks, since)):
            return ts
        return await self._slack.post(channel, card, mark=marks[0])

    async def edit_until_shown(self, place: CardPlace, card: Card, clock: Clock) -> None:
        """Show a card in place of another, however long Slack is away. Not one that was deleted."""
        while True:
            try:
                await self._slack.edit(place.channel, place.ts, card)
            except MessageGone:
                return
            except Unreachable as error:
                log.warning("a card that is lost: %s", error)
                await clock.sleep(TRY_AGAIN)
            else:
                return

    async def find(self, channel: str, card: Card, marks: tuple[str, ...], since: float) -> str:
        """Update a card that is in the channel already, and return its ts.

        Returns "" where there is none, or where that is unknown.
        """
        try:
            ts = await self._slack.find_card(channel, marks, since - CLOCKS_APART)
            if ts:
                await self._slack.edit(channel, ts, card)
        except (ChannelClosed, TokenRefused):
            raise
        except (Unreachable, MessageGone) as error:
            log.warning(
                "whether %s holds a card of %s already is not known: %s", channel, marks[0], error
            )
            return ""
        return ts
