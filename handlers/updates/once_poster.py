"""Posts messages that must come once, on all bots together, wherever one of them dies."""

import logging

from handlers.slack.api import is_permanent
from handlers.slack.blocks import Card
from handlers.slack.client import SlackClient
from services.common.errors import Unreachable
from services.store.keys import begun_once, posted_once, posting_once
from services.store.once import Once

log = logging.getLogger(__name__)
# Seconds of one bot's turn, and in which a message counts as posted.
TURN, KEPT = 60.0, 30 * 86400.0
CLOCKS_APART = 60.0  # seconds that the bot's clock and Slack's may differ


class OncePoster:
    """Posts each message once.

    One bot at a time has the turn. Once a bot has begun, the next one looks in Slack first: the
    message is there if that bot died, or lost Slack's answer, after posting it.
    """

    def __init__(self, once: Once, slack: SlackClient) -> None:
        self._once = once
        self._slack = slack
        self._posted: set[str] = set()

    async def post(
        self, mark: str, channel: str, card: Card, *, thread: str = "", since: float = 0.0
    ) -> bool:
        """Post a message unless it was; return whether it stands now.

        `mark`: names the message. `since`: the earliest time (epoch seconds) that it can be from.
        """
        if await self.is_posted(mark):
            return True
        if not await self._once.claim(posting_once(mark), TURN):
            return False
        is_first = await self._once.claim(begun_once(mark), KEPT)
        if is_first or not await self._stands(mark, channel, thread, since):
            await self._slack.post_in(channel, card, thread, mark)
        await self.note_posted(mark)
        return True

    async def post_direct(self, mark: str, user: str, card: Card) -> None:
        """Post a message into a person's own conversation with the bot, unless it was.

        The bot may not look there: after a lost answer it counts as posted.
        """
        if await self.is_posted(mark) or not await self._once.claim(posted_once(mark), KEPT):
            return
        try:
            await self._slack.post_in(user, card)
        except Unreachable as error:
            if is_permanent(error):
                log.warning("%s cannot be written to in private: %s", user, error)
                return
            if error.sent is False:
                await self._once.release(posted_once(mark))
            raise
        self._posted.add(mark)

    async def is_posted(self, mark: str) -> bool:
        """Return whether that message was posted, or is not to be posted any more."""
        if mark not in self._posted and await self._once.is_claimed(posted_once(mark)):
            self._posted.add(mark)
        return mark in self._posted

    async def note_posted(self, mark: str) -> None:
        """Note that a message was posted, or is not to be posted any more."""
        await self._once.claim(posted_once(mark), KEPT)
        self._posted.add(mark)

    async def _stands(self, mark: str, channel: str, thread: str, since: float) -> bool:
        if thread:
            return await self._slack.has_reply(channel, thread, mark)
        return bool(await self._slack.find_card(channel, (mark,), since - CLOCKS_APART))
