"""Posts what the hours have to tell, once, and takes buttons away when they are of no use any more."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from math import ceil

from handlers.commands.cost import cost_card
from handlers.slack.blocks import Block, Card, actions, button, section
from handlers.slack.client import MessageGone, SlackClient
from handlers.views import digest_card, everyone, plain
from handlers.views.month_chart import described, month_picture
from services.access.clusters import ClusterRegistry
from services.audit.anchors import HeadAnchors
from services.billing.savings import report
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import BotError
from services.memory.schedule import Announcement, Book, Posted
from services.schedule.scheduler import REPORT, WindowScheduler
from services.store.keys import announcement_once, posted_head_once
from services.store.once import Once

log = logging.getLogger(__name__)
AT_ONCE = 16
SINGLE = (
    5  # the last minutes before a moment, which are counted one by one; before, in steps of as many
)


class Announcements:
    """Empties the outboxes. What was posted is crossed out only afterwards: told twice is better than never told."""

    def __init__(
        self,
        clusters: ClusterRegistry,
        anchors: HeadAnchors,
        once: Once,
        bulkheads: Bulkheads,
        hours: WindowScheduler,
        voice: SlackClient,
        clock: Clock,
        channels: Mapping[str, str],
    ) -> None:
        self._clusters = clusters
        self._anchors = anchors
        self._once = once
        self._bulkheads = bulkheads
        self._hours = hours
        self._voice = voice
        self._clock = clock
        self._channels = channels
        self._shown: dict[str, str] = {}  # by message: how far away it says that its moment is

    async def sweep(self) -> None:
        """One round over every cluster's book."""
        await self._bulkheads.each(
            "notices", self._clusters.ours, self._sweep, together=True, at_once=AT_ONCE
        )

    async def _sweep(self, name: str) -> None:
        _, book = await self._hours.books.read(name)
        channel = self._channels.get(name, "")
        for announcement in book.outbox:
            if channel and await self._once.claim(announcement_once(name, announcement.name), 30.0):
                if announcement.name.startswith(REPORT):
                    ts = await self._report(name, channel, announcement)
                else:
                    now = self._clock.now()
                    ts = await self._voice.post(
                        channel, notice_card(announcement, self._called(name, announcement), now)
                    )
                    if announcement.buttons:
                        self._shown[ts] = countdown(announcement, now)
                await self._hours.books.edit(
                    name,
                    lambda b, a=announcement, t=ts: _posted(b, a, channel, t),  # type: ignore[misc]
                )
        await self._tell_head(name, channel)
        for posted in book.posted:
            if posted.announcement.until <= self._clock.now():
                await self._show(name, posted)
                self._shown.pop(posted.ts, None)
                await self._hours.books.edit(name, lambda b, p=posted: _settled(b, p))  # type: ignore[misc]
            elif self._shown.get(posted.ts) != (
                left := countdown(posted.announcement, self._clock.now())
            ):
                await self._show(name, posted)
                self._shown[posted.ts] = left

    def _called(self, name: str, announcement: Announcement) -> str:
        return everyone(self._clusters.site(name).rules) if announcement.calls else ""

    async def _tell_head(self, name: str, channel: str) -> None:
        """The audit's head, once a day if something was decided."""
        digest = await self._anchors.daily(name) if channel else None
        if digest is not None and await self._once.claim(
            posted_head_once(name, digest.head.number), 30.0
        ):
            await self._voice.post(channel, digest_card(name, digest))
            await self._anchors.was_told(name, digest)

    async def _report(self, name: str, channel: str, announcement: Announcement) -> str:
        """The month that has ended, and its picture below. Nothing where nothing was recorded."""
        year, month = map(int, announcement.name.removeprefix(REPORT).split("-"))
        facts = await self._hours.usage.facts(name)
        if facts is None:
            return ""
        made = report(name, year, month, facts, self._clock.now())
        ts = await self._voice.post(channel, cost_card(made))
        try:
            title = f"{name} {made.month}: hours closed per day"
            await self._voice.picture(
                channel, ts, month_picture(made.days), title, described(made.days)
            )
        except BotError as error:
            log.warning("the picture of %s: %s", name, error)  # its text says the same
        return ts

    async def _show(self, name: str, posted: Posted) -> None:
        """As it is now: its buttons while they are of use, and how far away its moment is."""
        try:
            card = notice_card(
                posted.announcement, self._called(name, posted.announcement), self._clock.now()
            )
            await self._voice.edit(posted.channel, posted.ts, card)
        except MessageGone:
            return


def countdown(announcement: Announcement, now: float) -> str:
    """`in 30 min`, in steps that a message may be edited in; "" once its moment has come, or where it has none."""
    minutes = ceil((announcement.at - now) / 60)
    if announcement.at <= now or announcement.until <= now:
        return ""
    return f"in {minutes if minutes <= SINGLE else ceil(minutes / SINGLE) * SINGLE} min"


def notice_card(announcement: Announcement, called: str, now: float) -> Card:
    """An announcement as people read it at that moment. `called`: the people whom it mentions."""
    left = countdown(announcement, now)
    text = (
        announcement.text.replace("* \u00b7", f" ({left})* \u00b7", 1)
        if left
        else announcement.text
    )
    text = f"{text} {called}".rstrip()
    blocks: list[Block] = [section(text)]
    if announcement.buttons and now < announcement.until:
        blocks.append(
            actions(
                *(button(label, action, value) for label, action, value in announcement.buttons)
            )
        )
    return Card(plain(text), tuple(blocks))


def _posted(book: Book, announcement: Announcement, channel: str, ts: str) -> Book:
    book = replace(book, outbox=tuple(a for a in book.outbox if a.name != announcement.name))
    return (
        replace(book, posted=(*book.posted, Posted(announcement, channel, ts)))
        if announcement.buttons
        else book
    )


def _settled(book: Book, posted: Posted) -> Book:
    return replace(book, posted=tuple(p for p in book.posted if p.ts != posted.ts))
