"""Keeps the message of each request up to date, until its run takes the message over."""

import logging
from collections.abc import Callable
from dataclasses import replace

from handlers import views
from handlers.slack.api import MessageGone
from handlers.slack.blocks import Card
from handlers.slack.channel_access import ChannelClosed, TokenRefused
from handlers.slack.client import SlackClient
from handlers.updates.card_poster import TRY_AGAIN, TRY_SELDOM, CardPoster, OpenCards, note_failure
from handlers.updates.direct_copies import DirectCopies
from handlers.updates.once_poster import OncePoster
from handlers.views.approvals import expired_notice
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.context import current_work
from services.common.errors import Unreachable
from services.common.tasks import Tasks
from services.memory.message_refs import CardPlace, MessageRefs
from services.runs.request import Request, RequestState
from services.store.keys import rejected_once
from services.store.once import Once

log = logging.getLogger(__name__)
# Seconds in which a request is shown for the first time: no message of it can exist yet.
FRESH = 5.0


class RequestCards:
    """Shows requests, each change in a task of its own."""

    def __init__(
        self,
        cards: MessageRefs,
        once: Once,
        bulkheads: Bulkheads,
        slack: SlackClient,
        poster: CardPoster,
        open_cards: OpenCards,
        copies: DirectCopies,
        clock: Clock,
        approvers: Callable[[Request], str],
        tasks: Tasks,
    ) -> None:
        self._cards = cards
        self._posts = OncePoster(once, slack)
        self._bulkheads = bulkheads
        self._slack = slack
        self._poster = poster
        self._open_cards = open_cards
        self._copies = copies
        self._clock = clock
        self._approvers = approvers
        self._tasks = tasks

    def changed(self, request: Request) -> None:
        """Post a new request, or edit the card of one that was closed; never waits."""
        failed = note_failure(self._bulkheads, request.plan.cluster)
        work = current_work()
        name = f"card of request {request.id}"
        self._tasks.start(self._keep_showing(request), name, failed, actor=work.actor, run=work.run)

    def card(self, request: Request) -> Card:
        """Return the card of a request as it is now."""
        return views.request_card(request, self._approvers(request))

    def _silent_card(self, request: Request) -> Card:
        """Return the card to post: its approvers are named by an edit, which notifies no one.

        They are notified in the thread, each as they have chosen. Break-glass notifies everyone.
        """
        if request.glass:
            return self.card(request)
        return views.request_card(request, "")

    async def _keep_showing(self, request: Request) -> None:
        """Show a request, and retry while Slack does not answer."""
        first, pause = self._clock.now() - request.made_at < FRESH, TRY_AGAIN
        while True:
            try:
                await self._show(request, first=first)
            except MessageGone:
                return
            except ChannelClosed as closed:
                await self._copies.of_request(request, closed)
                return
            except TokenRefused as error:
                # The next sweep with an accepted token shows it.
                log.warning("card of request %s: %s", request.id, error)
                return
            except Unreachable as error:
                log.warning("card of request %s: %s", request.id, error)
                await self._clock.sleep(pause)
                first, pause = False, min(TRY_SELDOM, pause * 2)
            else:
                return

    async def _show(self, request: Request, *, first: bool) -> None:
        """Show a request. `first`: no message of it can be in Slack yet."""
        card, cluster = self.card(request), request.plan.cluster
        place = await self._cards.get(request.id)
        if place is not None and place.final:
            # Slack did not take this in time: the message is its run's by now, or says the end.
            return
        if place is None or not place.ts or self._poster.has_moved(cluster, place):
            await self._show_anew(request, card, place, first=first)
            return
        run_has_it = request.state is RequestState.APPROVED and request.act is None
        if run_has_it and not request.later:
            return
        await self._slack.edit(place.channel, place.ts, card)
        if notice := views.rejected_notice(request) or expired_notice(request):
            card, mark = views.text_card(notice), rejected_once(request.id)
            if not await self._posts.post(mark, place.channel, card, thread=place.ts):
                # Another bot is at it; the next sweep finds out whether it did.
                return
        over = request.state is not RequestState.OPEN
        await self._put(request, replace(place, final=over, unattended=False))

    async def _show_anew(
        self, request: Request, card: Card, place: CardPlace | None, *, first: bool
    ) -> None:
        channel = self._poster.channel(request.plan.cluster, request.channel)
        marks, since = (request.id,), request.made_at
        if request.state is RequestState.OPEN:
            silent = self._silent_card(request)
            ts = await self._poster.post(channel, silent, marks, since, first=first)
            # A bot that finds it unattended shows it: should this one die before the edit.
            place = CardPlace(channel, ts, unattended=silent != card)
            await self._put(request, place)
            if place.unattended:
                await self._slack.edit(channel, ts, card)
                await self._put(request, replace(place, unattended=False))
        elif ts := await self._poster.find(channel, card, marks, since):
            # The run of an approved request takes its message over, unless it was scheduled.
            over = request.state is not RequestState.APPROVED or request.later > 0
            await self._cards.put(request.id, CardPlace(channel, ts, final=over))
        elif place is not None:
            await self._end_unshown(request, channel, place)

    async def _end_unshown(self, request: Request, channel: str, place: CardPlace) -> None:
        """Finish a request that is over and was never shown in a channel."""
        if place.copied:
            why = self._slack.access.why_closed(channel) or "it was closed"
            await self._copies.of_request(request, ChannelClosed(channel, why))
            place = await self._cards.get(request.id) or place
        await self._cards.put(request.id, replace(place, final=True))

    async def _put(self, request: Request, place: CardPlace) -> None:
        await self._cards.put(request.id, place)
        self._open_cards.note(request.id, request.plan.cluster, place)
