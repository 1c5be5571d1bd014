"""Links to the messages of runs, each looked up in Slack once."""

from collections.abc import Iterable, Mapping

from handlers.slack.client import SlackClient
from services.common.errors import BotError
from services.memory.message_refs import MessageRefs

MOST = 1000


class RunLinks:
    """Permalinks by run id. A run without a message, or of which Slack says none, has no link."""

    def __init__(self, messages: MessageRefs, slack: SlackClient) -> None:
        self._messages = messages
        self._slack = slack
        self._known: dict[str, str] = {}

    async def of(self, runs: Iterable[str]) -> Mapping[str, str]:
        """Return the links of these runs, as far as they are known."""
        found = {run: await self._link(run) for run in runs}
        return {run: link for run, link in found.items() if link}

    async def _link(self, run: str) -> str:
        if run in self._known:
            return self._known[run]
        try:
            place = await self._messages.get(run)
        except BotError:
            return ""
        if place is None or not place.ts:
            return ""
        link = await self._slack.permalink(place.channel, place.ts)
        if link:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[run] = link
        return link
