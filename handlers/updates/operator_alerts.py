"""Alerts operators of what the bot fails to do; each trouble once, by one of the bots."""

from handlers.slack.blocks import Card, context, header, section
from handlers.slack.client import SlackClient
from handlers.views import sentence, without_formatting
from services.common.bulkheads import Bulkheads, Failure
from services.common.clock import Clock
from services.common.errors import BotError
from services.store.keys import alarm_once
from services.store.once import Once

DAY = 86400.0


class OperatorAlerts:
    """Reads the bulkheads, and posts what is new into the cluster's channel."""

    def __init__(
        self,
        bulkheads: Bulkheads,
        once: Once,
        slack: SlackClient,
        clock: Clock,
        channels: dict[str, str],
    ) -> None:
        self._bulkheads = bulkheads
        self._once = once
        self._slack = slack
        self._clock = clock
        self._channels = channels
        self._told: dict[tuple[str, str], float] = {}

    async def sweep(self) -> None:
        """Post at most one message per trouble and day."""
        now = self._clock.now()
        self._told = {key: at for key, at in self._told.items() if now - at < DAY}
        for trouble in self._bulkheads.failures:
            key = (trouble.part, trouble.cluster)
            channel = self._channel(trouble)
            if key in self._told or not channel:
                continue
            if await self._is_first(trouble):
                await self._slack.post(channel, alarm_card(trouble))
            self._told[key] = now

    def _channel(self, trouble: Failure) -> str:
        """Return the cluster's own channel; the first cluster's for a trouble of the bot itself."""
        if trouble.cluster in self._channels:
            return self._channels[trouble.cluster]
        return next((self._channels[name] for name in sorted(self._channels)), "")

    async def _is_first(self, trouble: Failure) -> bool:
        try:
            return await self._once.claim(alarm_once(trouble.part, trouble.cluster), DAY)
        except BotError:
            # The state store may be the very trouble: alerting twice is better than never.
            return True


def alarm_card(trouble: Failure) -> Card:
    """Return the alert."""
    title, effect = "The bot cannot do part of its work", "Everything else continues."
    if trouble.cluster:
        title = f"{trouble.cluster}: the bot cannot do part of its work"
        effect = "Other clusters are not affected."
    failed = f"*{trouble.part}* failed: {sentence(trouble.text, (trouble.cluster,))}"
    after = f"{effect} The bot keeps trying; its log has the details."
    text = f"{title} · {without_formatting(f'{failed} {after}')}"
    return Card(text, (header(title), section(failed), context(after)))
