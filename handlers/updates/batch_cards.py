"""Keeps the one message of each batch up to date, wherever bots die.

It shows every cluster of the batch. Each run has a message of its own in its cluster's channel;
both link to each other.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial

from handlers.slack.api import MessageGone
from handlers.slack.blocks import Card
from handlers.slack.channel_access import ChannelClosed, TokenRefused
from handlers.slack.client import SlackClient
from handlers.updates.card_poster import TRY_AGAIN, TRY_SELDOM, CardPoster
from handlers.updates.once_poster import OncePoster
from handlers.updates.recipients import Recipients
from handlers.views.batch import (
    BatchFacts,
    batch_approval_needed,
    batch_card,
    batch_notice,
    who_can,
)
from handlers.views.lost_state import lost_card
from handlers.views.text import text_card
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import BotError, Refused, Unreachable
from services.common.tasks import Tasks
from services.memory.message_refs import CardPlace, MessageRefs
from services.operations.batch_driver import BatchDriver
from services.operations.batch_records import BatchRecords
from services.operations.batches import BatchService
from services.operations.continuity import StateLoss
from services.operations.reader import ClusterReader
from services.operations.subscribers import Subscribers
from services.runs.batch import Batch, BatchState, PartState
from services.runs.run import Run

log = logging.getLogger(__name__)
PART = "cards of batches"
BETWEEN_EDITS = 3.0  # seconds
# Seconds after which another bot posts the message of a batch that has none.
UNSHOWN = 30.0
REMINDER, WORTH_IT = 600.0, 1200.0  # as of single requests
RUNS_SHOWN = 50


class BatchCards:
    """Shows batches: news of this process at once, all others in each round of their bot."""

    def __init__(
        self,
        batches: BatchService,
        records: BatchRecords,
        driver: BatchDriver,
        reader: ClusterReader,
        places: MessageRefs,
        messages: MessageRefs,
        poster: CardPoster,
        once: OncePoster,
        recipients: Recipients,
        slack: SlackClient,
        bulkheads: Bulkheads,
        clock: Clock,
        channels: Mapping[str, str],
        subscribers: Subscribers,
        tasks: Tasks,
    ) -> None:
        self._batches = batches
        self._records = records
        self._driver = driver
        self._reader = reader
        self._places = places
        self._messages = messages
        self._poster = poster
        self._once = once
        self._recipients = recipients
        self._slack = slack
        self._bulkheads = bulkheads
        self._clock = clock
        self._channels = channels
        self._tasks = tasks
        # By batch: the card that this bot showed last, and where.
        self._shown: dict[str, tuple[Card, CardPlace]] = {}
        self._links: dict[str, str] = {}
        self._working: dict[str, bool] = {}  # it has changed since it was read
        subscribers.batches.append(self.changed)

    def changed(self, batch: Batch) -> None:
        """Show a batch that this process has changed; never waits."""
        if batch.id in self._working:
            self._working[batch.id] = True
            return
        self._working[batch.id] = False
        fresh = batch.state is BatchState.OPEN and not batch.approvals
        self._tasks.start(self._follow(batch.id, fresh=fresh), f"card of {batch.id}")

    async def _follow(self, name: str, *, fresh: bool) -> None:
        """Show it until nothing has changed since, and retry while Slack does not answer."""
        pause = TRY_AGAIN
        try:
            while True:
                self._working[name] = False
                try:
                    await self.show(name, posts=fresh)
                    pause = TRY_AGAIN
                except (Unreachable, TokenRefused) as error:
                    log.warning("card of %s: %s", name, error)
                    self._working[name], fresh = True, False
                    await self._clock.sleep(pause)
                    pause = min(TRY_SELDOM, pause * 2)
                    continue
                await self._clock.sleep(BETWEEN_EDITS)
                if not self._working[name]:
                    return
        finally:
            self._working.pop(name, None)

    async def sweep(self) -> None:
        """Show every batch whose message is not final, on the bot that drives it."""
        for name in await self._places.unfinished():
            if name not in self._working:
                await self._bulkheads.run(PART, partial(self._sweep, name), name)

    async def _sweep(self, name: str) -> None:
        try:
            batch = await self._records.get(name)
        except Refused:  # it was removed
            await self._places.put(name, CardPlace("", "", final=True))
            return
        if self._driver.is_ours(batch):
            await self.show(name, posts=self._clock.now() - batch.made_at >= UNSHOWN, ends=True)

    # One batch

    async def show(self, name: str, *, posts: bool, ends: bool = False) -> None:
        """Show it as it is now. `posts`: also where it has no message yet.

        `ends`: this is its bot, which shows the end last; nothing is shown after that.
        """
        batch = await self._records.get(name)
        place = await self._places.get(name)
        if place is not None and place.final:
            return
        facts = await self.facts(batch)
        try:
            if place is None or not place.ts:
                if not posts:
                    return
                place = await self._post(batch, facts)
            await self._edit(batch, place, batch_card(batch, facts))
            await self._tell(batch, place, facts)
        except MessageGone:
            place = replace(place or CardPlace("", ""), final=True)
        except ChannelClosed as closed:
            log.warning("card of %s: %s", name, closed)
            card = batch_card(batch, facts)
            await self._once.post_direct(f"{name}/{batch.state}", batch.requester.user, card)
        if ends and batch.over:
            await self._places.put(name, replace(place or CardPlace("", ""), final=True))
            self._shown.pop(name, None)

    async def _post(self, batch: Batch, facts: BatchFacts) -> CardPlace:
        """Post it, or find the message of a bot that died; approvers are named by an edit."""
        channel = self.channel(batch)
        silent = batch_card(batch, replace(facts, approvers=""))
        first = self._clock.now() - batch.made_at < UNSHOWN
        ts = await self._poster.post(channel, silent, (batch.id,), batch.made_at, first=first)
        place = CardPlace(channel, ts)
        await self._places.put(batch.id, place)
        self._shown[batch.id] = (silent, place)
        return place

    def channel(self, batch: Batch) -> str:
        """Where its message stands: where it was requested, if that is a channel of clusters."""
        if batch.channel in {self._channels.get(name) for name in batch.clusters}:
            return batch.channel
        return self._poster.channel(batch.clusters[0], batch.channel)

    async def _edit(self, batch: Batch, place: CardPlace, card: Card) -> None:
        if self._shown.get(batch.id) == (card, place):
            return
        await self._slack.edit(place.channel, place.ts, card)
        self._shown[batch.id] = (card, place)

    async def facts(self, batch: Batch) -> BatchFacts:
        """What its card shows beside the batch itself."""
        requests = await self._batches.requests(batch)
        plans = {r.plan.cluster: r.plan for r in requests}
        runs = await self._runs(batch)
        links = {p.run: await self._link(p.run) for p in batch.parts if p.run}
        approvers = ""
        if batch.state is BatchState.OPEN and batch.needs:
            approvers = who_can(self._batches.approvers(batch, plans.values()))
        return BatchFacts(plans, runs, {r: x for r, x in links.items() if x}, approvers)

    async def _runs(self, batch: Batch) -> dict[str, Run]:
        names = [p.run for p in batch.of(PartState.RUNNING)][:RUNS_SHOWN]
        found = {}
        for name in names:
            with suppress(BotError):
                found[name] = await self._reader.run(name)
        return found

    async def _link(self, run: str) -> str:
        if run not in self._links:
            place = await self._messages.get(run)
            if place is None or not place.ts:
                return ""
            link = await self._slack.permalink(place.channel, place.ts)
            if not link:
                return ""
            self._links[run] = link
        return self._links[run]

    # The thread

    async def _tell(self, batch: Batch, place: CardPlace, facts: BatchFacts) -> None:
        """Notify in the thread, once each: its approvers, and at the end its requester."""
        if batch.state is BatchState.OPEN and batch.left:
            await self._call(batch, place, facts, "needed")
            ends_soon = self._clock.now() >= batch.until - REMINDER
            if ends_soon and batch.until - batch.made_at >= WORTH_IT:
                await self._call(batch, place, facts, "expires")
        elif notice := batch_notice(batch):
            await self._once.post(
                f"{batch.id}/end", place.channel, text_card(notice), thread=place.ts
            )

    async def _call(self, batch: Batch, place: CardPlace, facts: BatchFacts, what: str) -> None:
        mark = f"{batch.id}/{what}"
        if await self._once.is_posted(mark):
            return
        done = {batch.requester.user, *(a.user for a in batch.approvals)}
        ids = sorted(self._batches.approvers(batch, facts.plans.values()))
        audience = await self._recipients.audience("approvals", ids, done)
        if audience.direct:
            card = batch_approval_needed(batch, facts, ())
            await self._recipients.tell(mark, audience.direct, card)
        if not audience.mentions:
            await self._once.note_posted(mark)
            return
        card = batch_approval_needed(batch, facts, audience.mentions)
        await self._once.post(mark, place.channel, card, thread=place.ts)

    # The end

    def lost(self, loss: StateLoss) -> None:
        """Say in every open message that the bot has lost its state; never waits."""
        shown, self._shown = self._shown, {}
        for name, (_, place) in shown.items():
            card = lost_card(f"several clusters ({name})", loss.why, None)
            self._tasks.start(
                self._poster.edit_until_shown(place, card, self._clock),
                f"card of {name}, which is lost",
            )

    async def aclose(self) -> None:
        """Stop showing."""
        await self._tasks.cancel()
