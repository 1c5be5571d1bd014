"""Clusters whose channel is closed to the bot: found by looks, told to the operators once, and noticed when it is open again."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from handlers import views
from handlers.slack.channel_access import TokenRefused
from handlers.slack.client import MessageGone, SlackClient
from services.access.clusters import ClusterRegistry
from services.common.clock import Clock
from services.common.errors import Unreachable
from services.common.text import listed
from services.memory.closed_channels import ClosedChannels
from services.store.keys import closed_channel_once
from services.store.once import Once

log = logging.getLogger(__name__)
EVERY = 600.0  # seconds between two looks at a channel that is open
CLOSED_EVERY = 60.0
AT_A_TIME = 3  # looks in one round: Slack takes fifty a minute, for everything
MY_TURN = 60.0
FORGOTTEN = 86400.0  # seconds after which rules that forbade a message are thought to be others


@dataclass(frozen=True)
class ClosedChannel:
    """A channel that takes no message: why, since when (epoch seconds), and which operators have been told."""

    why: str
    since: float
    told: tuple[str, ...] = ()
    unseen: bool = False  # no look shows it: only a message that is taken proves that it is open


class ClosedChannelWatch:
    """All of them, for all bots together in the state store."""

    def __init__(
        self,
        clusters: ClusterRegistry,
        closed: ClosedChannels,
        once: Once,
        voice: SlackClient,
        clock: Clock,
        channels: Mapping[str, str],
    ) -> None:
        self._registry = clusters
        self._closed = closed
        self._once = once
        self._voice = voice
        self._clock = clock
        self._channels = channels  # cluster -> its own channel, as the settings name it now
        self._tried: dict[str, float] = {}  # by channel: when Slack was asked, and when it answered
        self._looked: dict[str, float] = {}
        self.known: dict[str, ClosedChannel] = {}

    async def sweep(self) -> None:
        """One round: look at what is due, note what is new, tell whom it concerns."""
        await self._look()
        for _ in range(5):
            text, known = await self._closed.read()
            self.known = {
                c: ClosedChannel(
                    str(d["why"]), float(d["since"]), tuple(d["told"]), bool(d["unseen"])
                )
                for c, d in known.items()
            }
            await self._make_sure()
            after = self._after()
            if after == self.known or await self._closed.write(
                text, json.dumps({c: asdict(d) for c, d in after.items()})
            ):
                self.known = after
                break
        await self._tell()

    async def _make_sure(self) -> None:
        """Before a closed channel is news: another bot may have found it open since this one was refused there."""
        for channel, shut in list(self._voice.reach.closed.items()):
            if channel in self.known or channel not in self._channels.values():
                continue
            await self._voice.look_into(channel)
            if shut.unseen and self._clock.now() - shut.since > CLOSED_EVERY:
                self._voice.reach.forget(channel)

    def _after(self) -> dict[str, ClosedChannel]:
        """What is known now, by this bot's own looks and messages."""
        shut, named = self._voice.reach.closed, set(self._channels.values())
        kept = {
            c: d
            for c, d in self.known.items()
            if c in named and (c in shut or not self._open_since(c, d))
        }
        kept = {
            c: replace(d, why=shut[c].why, unseen=shut[c].unseen) if c in shut else d
            for c, d in kept.items()
        }
        new = {
            c: ClosedChannel(s.why, s.since, unseen=s.unseen)
            for c, s in shut.items()
            if c in named and c not in kept
        }
        return kept | new

    def _open_since(self, channel: str, door: ClosedChannel) -> bool:
        seen = (
            0.0
            if door.unseen and self._clock.now() - door.since < FORGOTTEN
            else self._looked.get(channel, 0.0)
        )
        return max(seen, self._voice.reach.reached.get(channel, 0.0)) > door.since

    async def _look(self) -> None:
        now = self._clock.now()

        def due(channel: str) -> float:
            often = (
                CLOSED_EVERY
                if channel in self._voice.reach.closed or channel in self.known
                else EVERY
            )
            return self._tried.get(channel, float("-inf")) + often

        waiting = sorted((c for c in set(self._channels.values()) if c and due(c) <= now), key=due)
        for channel in waiting[:AT_A_TIME]:
            self._tried[channel] = self._clock.now()
            if await self._voice.look_into(channel):
                self._looked[channel] = self._clock.now()

    async def _tell(self) -> None:
        for channel, door in list(self.known.items()):
            names = self._clusters(channel)
            operators = frozenset().union(
                *(self._registry.rules(n).operators for n in names)
            ) - set(door.told)
            for user in sorted(operators):
                if await self._once.claim(closed_channel_once(channel, door.since, user), MY_TURN):
                    await self._tell_one(user, channel, door, names)

    async def _tell_one(
        self, user: str, channel: str, door: ClosedChannel, names: list[str]
    ) -> None:
        keys = listed(f"`clusters.{n}.channel`" for n in names)
        words = (
            f"No card of {listed(names)} can be shown, because {door.why}. New changes are refused until that is fixed; what runs goes on, "
            f"and its people read it here. Fix the channel, or name another one in {keys}: the bot reads it without a restart."
        )
        try:
            await self._voice.post(user, views.words_card(words))
        except TokenRefused:
            return
        except (Unreachable, MessageGone) as error:
            log.warning("operator %s could not be told of %s: %s", user, channel, error)
            if not self._voice.refuses(error):
                return
        await self._note_told(channel, user)

    async def _note_told(self, channel: str, user: str) -> None:
        for _ in range(5):
            text, known = await self._closed.read()
            if channel not in known:
                return
            known[channel]["told"] = [*known[channel]["told"], user]
            if await self._closed.write(text, json.dumps(known)):
                break
        if (door := self.known.get(channel)) is not None:
            self.known[channel] = replace(door, told=(*door.told, user))

    def _clusters(self, channel: str) -> list[str]:
        return sorted(name for name, own in self._channels.items() if own == channel)

    # What others are told

    def closed(self) -> dict[str, str]:
        """By cluster: why no card of it can be shown now."""
        return {
            name: f"{door.why} (since {_at(door.since)})"
            for c, door in self.known.items()
            for name in self._clusters(c)
        }

    def cautions(self) -> list[str]:
        """The same in sentences, for whoever looks after the bot."""
        return [
            f"no card of {name} can be shown: {why}; its changes are refused"
            for name, why in sorted(self.closed().items())
        ]

    def problems(self) -> list[str]:
        """Why nobody can be served: Slack refuses the token, or no cluster's cards can be shown."""
        reach = self._voice.reach
        if reach.token:
            return [f"Slack refuses the bot's token since {_at(reach.token_since)}: {reach.token}"]
        closed = self.closed()
        return self.cautions() if closed and set(closed) >= set(self._channels) else []


def _at(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M UTC}"
