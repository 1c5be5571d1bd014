"""Watches for channels that are closed to the bot, and notifies the operators once."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from handlers import views
from handlers.slack.api import MessageGone, is_permanent
from handlers.slack.channel_access import TokenRefused
from handlers.slack.client import SlackClient
from services.access.clusters import ClusterRegistry
from services.common.clock import Clock
from services.common.errors import Unreachable
from services.common.text import join_words
from services.memory.closed_channels import ClosedChannels
from services.store.keys import closed_channel_once
from services.store.once import Once

log = logging.getLogger(__name__)
EVERY = 600.0  # seconds between two checks of a channel that is open
CLOSED_EVERY = 60.0  # the same of a closed one
AT_A_TIME = 3  # checks in one round: Slack takes fifty a minute, for everything
MY_TURN = 60.0  # seconds in which one bot notifies an operator
TRIES = 5
# Seconds after which rules that forbade a message are assumed to have changed.
FORGOTTEN = 86400.0
NEVER = float("-inf")


@dataclass(frozen=True)
class ClosedChannel:
    """A closed channel: why, since when (epoch seconds), and the operators who were notified.

    `unseen`: no check shows it; only a message that is taken proves that it is open.
    """

    why: str
    since: float
    told: tuple[str, ...] = ()
    unseen: bool = False


class ClosedChannelWatch:
    """The closed channels, kept in the state store for all bots.

    `channels`: the channel of each cluster, as the settings name it now.
    """

    def __init__(
        self,
        clusters: ClusterRegistry,
        closed: ClosedChannels,
        once: Once,
        slack: SlackClient,
        clock: Clock,
        channels: Mapping[str, str],
    ) -> None:
        self._registry = clusters
        self._closed = closed
        self._once = once
        self._slack = slack
        self._clock = clock
        self._channels = channels
        # By channel: when Slack was asked, and when it answered (epoch seconds).
        self._tried: dict[str, float] = {}
        self._looked: dict[str, float] = {}
        self.known: dict[str, ClosedChannel] = {}

    async def sweep(self) -> None:
        """Do one round: check what is due, store what is new, notify operators."""
        await self._look()
        for _ in range(TRIES):
            text, stored = await self._closed.read()
            self.known = {channel: _read(entry) for channel, entry in stored.items()}
            await self._make_sure()
            after = self._after()
            if after == self.known or await self._closed.write(
                text, json.dumps({c: asdict(d) for c, d in after.items()})
            ):
                self.known = after
                break
        await self._tell()

    async def _make_sure(self) -> None:
        """Check closed channels that are new: another bot may have found them open since."""
        for channel, state in list(self._slack.access.closed.items()):
            if channel in self.known or channel not in self._channels.values():
                continue
            await self._slack.check_channel(channel)
            if state.unseen and self._clock.now() - state.since > CLOSED_EVERY:
                self._slack.access.forget(channel)

    def _after(self) -> dict[str, ClosedChannel]:
        """Return the closed channels after this bot's own checks and messages."""
        refused, named = self._slack.access.closed, set(self._channels.values())
        after: dict[str, ClosedChannel] = {}
        for channel, known in self.known.items():
            if channel not in named:
                continue
            if channel in refused:
                state = refused[channel]
                after[channel] = replace(known, why=state.why, unseen=state.unseen)
            elif not self._open_since(channel, known):
                after[channel] = known
        for channel, state in refused.items():
            if channel in named and channel not in after:
                after[channel] = ClosedChannel(state.why, state.since, unseen=state.unseen)
        return after

    def _open_since(self, channel: str, closed: ClosedChannel) -> bool:
        """Tell whether a check or a message showed that a channel is open, after it was closed."""
        reached = self._slack.access.reached.get(channel, 0.0)
        if not closed.unseen or self._clock.now() - closed.since >= FORGOTTEN:
            reached = max(reached, self._looked.get(channel, 0.0))
        return reached > closed.since

    def _due(self, channel: str) -> float:
        """Return when a channel is checked next (epoch seconds)."""
        every = EVERY
        if channel in self._slack.access.closed or channel in self.known:
            every = CLOSED_EVERY
        return self._tried.get(channel, NEVER) + every

    async def _look(self) -> None:
        now, due = self._clock.now(), self._due
        waiting = sorted((c for c in set(self._channels.values()) if c and due(c) <= now), key=due)
        for channel in waiting[:AT_A_TIME]:
            self._tried[channel] = self._clock.now()
            if await self._slack.check_channel(channel):
                self._looked[channel] = self._clock.now()

    async def _tell(self) -> None:
        for channel, closed in list(self.known.items()):
            names = self._clusters(channel)
            operators = frozenset().union(
                *(self._registry.rules(n).operators for n in names)
            ) - set(closed.told)
            for user in sorted(operators):
                if await self._once.claim(
                    closed_channel_once(channel, closed.since, user), MY_TURN
                ):
                    await self._tell_one(user, channel, closed, names)

    async def _tell_one(
        self, user: str, channel: str, closed: ClosedChannel, names: list[str]
    ) -> None:
        keys = join_words(f"`clusters.{n}.channel`" for n in names)
        words = (
            f"No card of {join_words(names)} can be shown, because {closed.why}. "
            "New changes are refused until this is fixed. "
            "Open runs continue; their people read about them in direct messages. "
            f"Fix the channel, or set another one in {keys}. No restart is needed."
        )
        try:
            await self._slack.post(user, views.text_card(words))
        except TokenRefused:
            return
        except (Unreachable, MessageGone) as error:
            log.warning("operator %s could not be notified of %s: %s", user, channel, error)
            if not is_permanent(error):
                return
        await self._note_told(channel, user)

    async def _note_told(self, channel: str, user: str) -> None:
        for _ in range(TRIES):
            text, known = await self._closed.read()
            if channel not in known:
                return
            known[channel]["told"] = [*known[channel]["told"], user]
            if await self._closed.write(text, json.dumps(known)):
                break
        if (closed := self.known.get(channel)) is not None:
            self.known[channel] = replace(closed, told=(*closed.told, user))

    def _clusters(self, channel: str) -> list[str]:
        return sorted(name for name, own in self._channels.items() if own == channel)

    # What others read

    def closed(self) -> dict[str, str]:
        """Return why no card can be shown, by cluster."""
        return {
            name: f"{closed.why} (since {_at(closed.since)})"
            for channel, closed in self.known.items()
            for name in self._clusters(channel)
        }

    def cautions(self) -> list[str]:
        """Return the same in sentences, for the operators of the bot."""
        return [
            f"no card of {name} can be shown: {why}; its changes are refused"
            for name, why in sorted(self.closed().items())
        ]

    def problems(self) -> list[str]:
        """Return why the bot is useless now: token refused, or no card can be shown anywhere."""
        reach = self._slack.access
        if reach.token:
            return [f"Slack refuses the bot's token since {_at(reach.token_since)}: {reach.token}"]
        closed = self.closed()
        if closed and set(closed) >= set(self._channels):
            return self.cautions()
        return []


def _read(entry: Mapping[str, Any]) -> ClosedChannel:
    return ClosedChannel(
        str(entry["why"]), float(entry["since"]), tuple(entry["told"]), bool(entry["unseen"])
    )


def _at(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M UTC}"
