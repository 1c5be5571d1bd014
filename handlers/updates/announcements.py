"""Posts the announcements of off-hours windows, once, and removes buttons that have expired."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import ceil

from handlers.commands.cost import cost_card
from handlers.slack.api import MessageGone
from handlers.slack.blocks import Block, Card, actions, button, context, header, section
from handlers.slack.client import SlackClient
from handlers.views import digest_card, mention_everyone, without_formatting
from handlers.views.announcements import (
    announcement_buttons,
    announcement_parts,
    announcement_text,
)
from handlers.views.month_chart import month_picture
from handlers.views.observed import observed_card
from handlers.views.slo import slo_line
from services.access.clusters import ClusterRegistry
from services.audit.anchors import HeadAnchors
from services.billing.busy_hours import BusyHour, busy_hours
from services.billing.droplet_hours import Month, month_of
from services.billing.savings import BillingFacts, report
from services.common.bulkheads import AT_ONCE, Bulkheads
from services.common.clock import Clock
from services.common.errors import BotError
from services.memory.schedule import Announcement, Book, Posted
from services.schedule.edge_announcements import REPORT
from services.schedule.observer import REPORT as OBSERVED
from services.schedule.scheduler import WindowScheduler
from services.schedule.slo_reader import month_span
from services.store.keys import announcement_once, posted_head_once
from services.store.once import Once

log = logging.getLogger(__name__)
# The last minutes before a time are counted one by one; those before them in steps of as many.
SINGLE = 5


class Announcements:
    """Empties the outboxes of all clusters.

    An announcement leaves its outbox only after it was posted: twice is better than never.
    """

    def __init__(
        self,
        clusters: ClusterRegistry,
        anchors: HeadAnchors,
        once: Once,
        bulkheads: Bulkheads,
        scheduler: WindowScheduler,
        slack: SlackClient,
        clock: Clock,
        channels: Mapping[str, str],
        zones: Mapping[str, str],
    ) -> None:
        self._clusters = clusters
        self._anchors = anchors
        self._once = once
        self._bulkheads = bulkheads
        self._scheduler = scheduler
        self._slack = slack
        self._clock = clock
        self._channels = channels
        self._zones = zones
        # By ts of a message: the countdown that it shows.
        self._shown: dict[str, str] = {}

    async def sweep(self) -> None:
        """Do one round over the schedule of every cluster."""
        await self._bulkheads.run_each(
            "notices", self._clusters.driven, self._sweep, together=True, at_once=AT_ONCE
        )

    async def _sweep(self, name: str) -> None:
        _, book = await self._scheduler.books.read(name)
        channel = self._channels.get(name, "")
        for announcement in book.outbox:
            if channel and await self._once.claim(announcement_once(name, announcement.name), 30.0):
                ts = await self._post(name, channel, announcement)
                await self._scheduler.books.edit(
                    name, partial(_posted, announcement=announcement, channel=channel, ts=ts)
                )
        await self._tell_head(name, channel)
        for posted in book.posted:
            await self._update(name, posted)

    async def _post(self, name: str, channel: str, announcement: Announcement) -> str:
        """Post an announcement; return its ts, "" when there is nothing to post."""
        if announcement.name.startswith(REPORT):
            return await self._report(name, channel, announcement)
        if announcement.name.startswith(OBSERVED):
            observed = await self._scheduler.observer.report(name)
            return await self._slack.post(channel, observed_card(observed))
        now = self._clock.now()
        card = announcement_card(announcement, self._called(name, announcement), now)
        ts = await self._slack.post(channel, card)
        if announcement.until:
            self._shown[ts] = countdown(announcement, now)
        return ts

    async def _update(self, name: str, posted: Posted) -> None:
        """Update the countdown of a message, and remove buttons that have expired."""
        now, ts = self._clock.now(), posted.ts
        if posted.announcement.until <= now:
            await self._show(name, posted)
            self._shown.pop(ts, None)
            await self._scheduler.books.edit(name, partial(_settled, posted=posted))
            return
        left = countdown(posted.announcement, now)
        if self._shown.get(ts) != left:
            await self._show(name, posted)
            self._shown[ts] = left

    def _called(self, name: str, announcement: Announcement) -> str:
        if not announcement.calls:
            return ""
        return mention_everyone(self._clusters.cluster(name).rules)

    async def _tell_head(self, name: str, channel: str) -> None:
        """Post the audit's head, once per day with decisions."""
        if not channel:
            return
        digest = await self._anchors.daily_digest(name)
        if digest is None:
            return
        if await self._once.claim(posted_head_once(name, digest.head.number), 30.0):
            await self._slack.post(channel, digest_card(name, digest))
            await self._anchors.note_posted(name, digest)

    async def _report(self, name: str, channel: str, announcement: Announcement) -> str:
        """Post the report of a month with its picture; "" where nothing was recorded."""
        year, month = map(int, announcement.name.removeprefix(REPORT).split("-"))
        facts = await self._scheduler.usage.facts(name)
        if facts is None:
            return ""
        now = self._clock.now()
        last_month = report(name, year, month, facts, now)
        promises = slo_line(await self._scheduler.slo.report(name, month_span(year, month)))
        ts = await self._slack.post(channel, with_line(cost_card(last_month), promises))
        try:
            subject = f"{name} {last_month.month}"
            hours = await self._busy_hours(name, facts, month_of(year, month, now))
            picture = await month_picture(subject, last_month.days, hours)
            await self._slack.upload_pictures(channel, ts, [picture])
        except BotError as error:
            # The card's text says the same as the picture.
            log.warning("the picture of %s: %s", name, error)
        return ts

    async def _busy_hours(
        self, name: str, facts: BillingFacts, span: Month
    ) -> tuple[BusyHour, ...]:
        counts = await self._scheduler.meetings.counts(name)
        return busy_hours(counts, facts.closings, span, self._zones.get(name, "UTC"))

    async def _show(self, name: str, posted: Posted) -> None:
        """Edit a message: its buttons until they expire, and its countdown."""
        try:
            card = announcement_card(
                posted.announcement, self._called(name, posted.announcement), self._clock.now()
            )
            await self._slack.edit(posted.channel, posted.ts, card)
        except MessageGone:
            return


def with_line(card: Card, line: str) -> Card:
    """Return a card with one more line; the same card for none."""
    if not line:
        return card
    return Card(without_formatting(f"{card.text}; {line}"), (*card.blocks, section(line)))


def countdown(announcement: Announcement, now: float) -> str:
    """Return `in 30 min`, in steps that a message may be edited in.

    Returns "" once its time has come, or without one.
    """
    if announcement.at <= now or announcement.until <= now:
        return ""
    minutes = ceil((announcement.at - now) / 60)
    if minutes > SINGLE:
        minutes = ceil(minutes / SINGLE) * SINGLE
    return f"in {minutes} min"


def announcement_card(announcement: Announcement, called: str, now: float) -> Card:
    """Return an announcement as it is at that time. `called`: mentions of people."""
    left = countdown(announcement, now)
    parts = announcement_parts(announcement, left)
    blocks: list[Block] = [header(parts.title)]
    body = f"{parts.body} {called}".strip()
    if body:
        blocks.append(section(body))
    buttons = announcement_buttons(announcement)
    if buttons and now < announcement.until:
        blocks.append(actions(*(button(label, action, value) for label, action, value in buttons)))
    if parts.foot:
        blocks.append(context(parts.foot))
    text = f"{announcement_text(announcement, left)} {called}".rstrip()
    return Card(without_formatting(text), tuple(blocks))


def _posted(book: Book, announcement: Announcement, channel: str, ts: str) -> Book:
    book = replace(book, outbox=tuple(a for a in book.outbox if a.name != announcement.name))
    if not announcement.until:
        return book
    return replace(book, posted=(*book.posted, Posted(announcement, channel, ts)))


def _settled(book: Book, posted: Posted) -> Book:
    return replace(book, posted=tuple(p for p in book.posted if p.ts != posted.ts))
