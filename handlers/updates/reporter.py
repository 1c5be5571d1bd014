"""Keeps one message per request and run up to date, whatever happens to bots and to Slack."""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial

from handlers import views
from handlers.slack.api import MessageGone
from handlers.slack.client import SlackClient
from handlers.updates.card_poster import CardPoster, OpenCards, note_failure
from handlers.updates.direct_copies import DirectCopies
from handlers.updates.outdated_copies import OutdatedCopies
from handlers.updates.recipients import Recipients
from handlers.updates.request_cards import RequestCards
from handlers.updates.run_cards import RunCards
from handlers.views.links import ClusterLinks
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import BadRecord, Refused
from services.common.tasks import Tasks
from services.memory.message_refs import MessageRefs
from services.operations.continuity import StateLoss
from services.operations.reader import ClusterReader
from services.operations.subscribers import Subscribers
from services.runs.batch import batch_of
from services.runs.progress import Progress
from services.runs.request import Request, RequestState
from services.runs.run import Run, State
from services.store.keys import request_once
from services.store.once import Once

log = logging.getLogger(__name__)
OWED_WITHIN = 60.0  # seconds in which one bot posts the request of a process without Slack


class Reporter:
    """Subscribes to changes; sweeps up what was not shown."""

    def __init__(
        self,
        reader: ClusterReader,
        cards: MessageRefs,
        once: Once,
        bulkheads: Bulkheads,
        subscribers: Subscribers,
        slack: SlackClient,
        clock: Clock,
        channels: Mapping[str, str],
        approvers: Callable[[Request], str],
        recipients: Recipients,
        tasks: Tasks,
        links: Mapping[str, ClusterLinks],
    ) -> None:
        self._reader = reader
        self._cards = cards
        self._once = once
        self._bulkheads = bulkheads
        self._slack = slack
        self._clock = clock
        self._tasks = tasks
        self._open_cards = OpenCards()
        self._poster = CardPoster(slack, channels)
        self._outdated = OutdatedCopies(reader, cards, slack, self._poster)
        copies = DirectCopies(cards, reader.clusters, slack)
        shared = (slack, self._poster, self._open_cards, copies, clock)
        self._requests = RequestCards(cards, once, bulkheads, *shared, approvers, tasks)
        self._runs = RunCards(reader, cards, once, bulkheads, *shared, recipients, tasks, links)
        subscribers.runs.append(self.run_changed)
        subscribers.requests.append(self.request_changed)

    def request_changed(self, request: Request) -> None:
        """Post a new request, or edit the card of one that was closed; never waits.

        A part of a batch is shown in the message of its batch.
        """
        if batch_of(request.id):
            return
        self._requests.changed(request)

    def run_changed(self, progress: Progress) -> None:
        """Show the progress of a run; never waits."""
        self._runs.changed(progress)

    async def pressed(self, name: str, channel: str, ts: str, mark: str) -> None:
        """Update a message on which a button was pressed, if it is out of date."""
        await self._outdated.pressed(name, channel, ts, mark)

    # Sweeps

    async def sweep(self) -> None:
        """Update every message that is not final: after a restart none may stay "in progress"."""
        for name in await self._cards.unfinished():
            cluster = await self._cluster_of(name)
            if cluster not in self._reader.clusters.foreign:
                await self._bulkheads.run("card", partial(self._sweep_card, name), cluster)

    async def _cluster_of(self, name: str) -> str:
        """Return the cluster of a card; "" where that cannot be read."""
        cluster = name.rpartition("-")[0]
        if cluster in self._reader.clusters:
            return cluster
        with suppress(Refused, BadRecord):
            return (await self._reader.request(name)).plan.cluster
        return ""

    async def _sweep_card(self, name: str) -> None:
        place = await self._cards.get(name)
        if place is not None and self._poster.waits_for_its_channel(place):
            return
        owed = place is not None and place.unattended and self._reader.progress(name) is None
        if self._runs.has_worker(name) and not owed:
            back = place is not None and self._poster.is_back(place)
            await self._runs.catch_up(name, back=back)
            return
        try:
            run = await self._reader.run(name)
        except Refused:
            await self._sweep_request(name, owed=owed)
            return
        if _rests(run) or (owed and await self._runs.is_owed(run)):
            self._runs.show_again(run)

    async def _sweep_request(self, name: str, *, owed: bool) -> None:
        request = await self._reader.request(name)
        if request.state is RequestState.APPROVED and request.run and not request.later:
            await self._hand_over(request)
            return
        is_over = request.state is not RequestState.OPEN
        if is_over or (owed and await self._once.claim(request_once(name), within=OWED_WITHIN)):
            self.request_changed(request)

    async def _hand_over(self, request: Request) -> None:
        """Finish the message of a request, as its run has one.

        A bot may have died before that was stored, or before the end of the run was shown.
        """
        place = await self._cards.get(request.id)
        of_run = await self._cards.get(request.run)
        if place is None or of_run is None:
            run = await self._reader.run(request.run)
            if _rests(run):
                self._runs.show_again(run)
            return
        if place.ts != of_run.ts:
            with suppress(MessageGone):
                await self._slack.edit(place.channel, place.ts, self._requests.card(request))
        await self._cards.put(request.id, replace(place, final=True))

    # The end

    def lost(self, loss: StateLoss) -> None:
        """Say in every open message that the bot has lost its state; never waits."""
        runs = self._runs.take_all()
        for name, (cluster, place) in self._open_cards.take_all().items():
            card = views.lost_card(cluster, loss.why, runs.get(name))
            failed = note_failure(self._bulkheads, cluster)
            self._tasks.start(
                self._poster.edit_until_shown(place, card, self._clock),
                f"card of {name}, which is lost",
                failed,
            )

    async def aclose(self) -> None:
        """Stop showing."""
        await self._tasks.cancel()


def _rests(run: Run) -> bool:
    """Tell whether a run waits for people or is over, so that no news of it will come."""
    return run.over or run.state is State.STOPPED
