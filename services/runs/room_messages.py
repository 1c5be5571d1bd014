"""Messages to people in meetings: each room at most once per occasion, even if the bot crashes.

All rooms are entered first, so that the count is of all of them. Before data is sent, that is
entered too (fenced, in a run): a room whose sending has no result was perhaps notified, and never
is again. Whatever fails here is counted and holds nothing up: sending has a deadline of its own,
and raises nothing but Superseded.
"""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from services.cloud.port import ClusterGateway
from services.cluster.meeting_messages import (
    MeetingMessages,
    MessageCounts,
    Room,
    payload_of,
)
from services.cluster.model import Cluster
from services.cluster.room_places import rooms_on
from services.common.clock import Clock
from services.common.errors import BotError, ObservesOnly, Superseded, Unreachable
from services.common.observed import Unobserved
from services.common.serialize import read_json
from services.runs.locks import Lease
from services.store import Commit, Store
from services.store.keys import told_key

log = logging.getLogger(__name__)
# Seconds that all rooms of one occasion may take.
LIMIT = 15.0
AT_ONCE = 20
KEPT = 7 * 86400.0
PLANNED, SENDING, SENT, FAILED = "planned", "sending", "sent", "failed"
TRIES = 3


class RoomMessages:
    """Notifies rooms, and keeps which were notified."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def tell(
        self,
        world: ClusterGateway,
        cluster: Cluster,
        occasion: str,
        text: str,
        nodes: Collection[int] | None = None,
        lease: Lease | None = None,
    ) -> str:
        """Notify the rooms on these nodes, and return how many were; "" where there is none.

        `nodes`: None for all rooms of the cluster. `lease`: of the run that does it. Where it is
        not known which rooms are concerned, none is notified, and the reason is returned.
        """
        messages = cluster.messages
        if messages is None or not text:
            return ""
        key = told_key(cluster.name, occasion)
        try:
            async with asyncio.timeout(LIMIT):
                rooms = await world.rooms()
                if nodes is not None:
                    placed = rooms_on(cluster, rooms, nodes)
                    if isinstance(placed, Unobserved):
                        return f"no message sent: {placed.reason}"
                    rooms = placed
                await self._tell_each(world, messages, key, rooms, text, lease)
        except ObservesOnly:
            return ""
        except (Superseded, asyncio.CancelledError):
            raise
        except BotError as error:
            log.warning("telling meetings of %s: %s", cluster.name, error)
            return (
                await self.result(cluster.name, occasion)
                or f"no message sent: {error.cause or error}"
            )
        except TimeoutError:
            log.warning("telling meetings of %s: not done within %g s", cluster.name, LIMIT)
        return await self.result(cluster.name, occasion)

    async def result(self, cluster: str, occasion: str) -> str:
        """Return how many rooms were notified of an occasion; "" where none was concerned."""
        try:
            (text,) = await self._store.get(told_key(cluster, occasion))
        except Unreachable:
            return ""
        entries: dict[str, str] = read_json(text, {}, "the rooms that got a message")
        if not entries:
            return ""
        counts = Counter(entries.values())
        return MessageCounts(
            len(entries), counts[SENT], counts[FAILED] + counts[PLANNED], counts[SENDING]
        ).words

    async def _tell_each(
        self,
        world: ClusterGateway,
        messages: MeetingMessages,
        key: str,
        rooms: Sequence[Room],
        text: str,
        lease: Lease | None,
    ) -> None:
        data = payload_of(messages, text)
        await self._mark(key, rooms, (None,), PLANNED, lease)
        for start in range(0, len(rooms), AT_ONCE):
            part = rooms[start : start + AT_ONCE]
            claimed = await self._mark(key, part, (None, PLANNED), SENDING, lease)
            results = await asyncio.gather(
                *(self._send(world, messages.topic, room, data) for room in claimed)
            )
            ended = {room.sid: r for room, r in zip(claimed, results, strict=True)}
            await self._note(key, ended, lease)

    async def _send(self, world: ClusterGateway, topic: str, room: Room, data: bytes) -> str:
        """Send once; return the result. An answer that was lost leaves it open."""
        try:
            await world.send_data(room, topic, data)
        except Unreachable as error:
            return FAILED if error.sent is False else SENDING
        except BotError as error:
            log.warning("telling a room: %s", error)
            return FAILED
        return SENT

    async def _mark(
        self,
        key: str,
        rooms: Sequence[Room],
        before: Sequence[str | None],
        state: str,
        lease: Lease | None,
    ) -> tuple[Room, ...]:
        """Enter a state for the rooms in one of the states `before`; return those."""
        for _ in range(TRIES):
            known, entries = await self._read(key)
            fresh = tuple(room for room in rooms if entries.get(room.sid) in before)
            marks = {room.sid: state for room in fresh}
            if not fresh or await self._write(key, known, entries | marks, lease):
                return fresh
        return ()

    async def _note(self, key: str, results: Mapping[str, str], lease: Lease | None) -> None:
        for _ in range(TRIES):
            known, entries = await self._read(key)
            if not results or await self._write(key, known, entries | dict(results), lease):
                return

    async def _read(self, key: str) -> tuple[str | None, dict[str, str]]:
        (text,) = await self._store.get(key)
        return text, read_json(text, {}, "the rooms that got a message")

    async def _write(
        self, key: str, known: str | None, entries: Mapping[str, str], lease: Lease | None
    ) -> bool:
        checks: dict[str, str | None] = {key: known}
        if lease is not None:
            lease.check()
            checks[lease.key] = lease.token
        text = json.dumps(entries, sort_keys=True)
        written = await self._store.commit(Commit(checks=checks, puts={key: text}, ttl={key: KEPT}))
        if not written and lease is not None:
            raise Superseded(f"{lease.run} is driven by another bot process")
        return written
