"""Pretend weeks of meetings, so that the demo's bot has a forecast from its first minute."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from services.common.clock import Clock
from services.store import Commit
from services.store.keys import quarters_key
from services.store.sqlite import SqliteStore
from simulators.dice import dice_of

WEEKS = 8
# People by the hour of the day, from 08:00 on.
DAY = (6, 18, 44, 38, 22, 12, 16, 34, 40, 30, 15, 9)
OPENS = 8


async def remember_meetings(path: Path, now: float, cluster: str, zone: str) -> None:
    """Write counts of earlier weeks into the state of a bot that has not started yet."""
    store = SqliteStore(path, Clock())
    try:
        counts = dict(_days(now, ZoneInfo(zone)))
        await store.commit(Commit(puts={quarters_key(cluster): json.dumps(counts)}))
    finally:
        await store.aclose()


def _days(now: float, zone: ZoneInfo) -> Iterator[tuple[str, list[list[int] | None]]]:
    """Yield the counts of each UTC date: nothing was counted in the night."""
    dice, today = dice_of("history"), datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0)
    for ago in range(7 * WEEKS, 0, -1):
        begin = today - timedelta(days=ago)
        moments = (begin + timedelta(minutes=15 * quarter) for quarter in range(96))
        yield f"{begin:%Y-%m-%d}", [_count(m.astimezone(zone).hour, dice) for m in moments]


def _count(hour: int, dice: Random) -> list[int] | None:
    if not OPENS <= hour < OPENS + len(DAY):
        return None
    people = round(DAY[hour - OPENS] * dice.uniform(0.8, 1.1))
    return [people, max(1, people // 6)]
