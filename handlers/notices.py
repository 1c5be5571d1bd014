"""Posts what the hours have to tell, once, and takes buttons away when they are of no use any more."""

import logging
from collections.abc import Mapping
from dataclasses import replace

from handlers.blocks import Block, Card, actions, button, section
from handlers.cards import digest_card, plain
from handlers.pictures import described, month_picture
from handlers.talks.cost import cost_card
from handlers.voice import MessageGone, Voice
from services.books import Announcement, Book, Posted
from services.clock import Clock
from services.desk import Desk
from services.errors import BotError
from services.hours import REPORT, Hours
from services.windows.savings import report

log = logging.getLogger(__name__)
AT_ONCE = 16


class Notices:
    """Empties the outboxes. What was posted is crossed out only afterwards: told twice is better than never told."""

    def __init__(self, desk: Desk, hours: Hours, voice: Voice, clock: Clock, channels: Mapping[str, str]) -> None:
        self._desk = desk
        self._hours = hours
        self._voice = voice
        self._clock = clock
        self._channels = channels

    async def sweep(self) -> None:
        """One round over every cluster's book."""
        await self._desk.bulkheads.each("notices", self._desk.sites.ours, self._sweep, together=True, at_once=AT_ONCE)

    async def _sweep(self, name: str) -> None:
        _, book = await self._hours.books.read(name)
        channel = self._channels.get(name, "")
        for announcement in book.outbox:
            if channel and await self._desk.first_time(f"telling:{name}:{announcement.name}", 30.0):
                if announcement.name.startswith(REPORT):
                    ts = await self._report(name, channel, announcement)
                else:
                    ts = await self._voice.post(channel, notice_card(announcement, buttons=self._clock.now() < announcement.until))
                await self._hours.books.edit(name, lambda b, a=announcement, t=ts: _posted(b, a, channel, t))  # type: ignore[misc]
        await self._tell_head(name, channel)
        for posted in book.posted:
            if posted.announcement.until <= self._clock.now():
                await self._take_buttons_away(posted)
                await self._hours.books.edit(name, lambda b, p=posted: _settled(b, p))  # type: ignore[misc]

    async def _tell_head(self, name: str, channel: str) -> None:
        """The audit's head, once a day if something was decided."""
        digest = await self._desk.heads.daily(name) if channel else None
        if digest is not None and await self._desk.first_time(f"head:{name}:{digest.head.number}", 30.0):
            await self._voice.post(channel, digest_card(name, digest))
            await self._desk.heads.was_told(name, digest)

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
            await self._voice.picture(channel, ts, month_picture(made.days), title, described(made.days))
        except BotError as error:
            log.warning("the picture of %s: %s", name, error)  # its text says the same
        return ts

    async def _take_buttons_away(self, posted: Posted) -> None:
        try:
            await self._voice.edit(posted.channel, posted.ts, notice_card(posted.announcement, buttons=False))
        except MessageGone:
            return


def notice_card(announcement: Announcement, *, buttons: bool) -> Card:
    """An announcement as people read it."""
    blocks: list[Block] = [section(announcement.text)]
    if buttons and announcement.buttons:
        blocks.append(actions(*(button(label, action, value) for label, action, value in announcement.buttons)))
    return Card(plain(announcement.text), tuple(blocks))


def _posted(book: Book, announcement: Announcement, channel: str, ts: str) -> Book:
    book = replace(book, outbox=tuple(a for a in book.outbox if a.name != announcement.name))
    return replace(book, posted=(*book.posted, Posted(announcement, channel, ts))) if announcement.buttons else book


def _settled(book: Book, posted: Posted) -> Book:
    return replace(book, posted=tuple(p for p in book.posted if p.ts != posted.ts))
