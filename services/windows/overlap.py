"""What a new window changes where it overlaps others, for the plan that adds it and the list."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from services.windows.closures import Closure, closures
from services.windows.days import day_words
from services.windows.time_zones import DAYS, wall
from services.windows.window import Window


def overlaps(
    others: Sequence[Window], window: Window, since: float, until: float
) -> tuple[str, ...]:
    """Return a sentence for each way in which that window moves the others' times.

    `window late overlaps nights: it opens at 09:00 instead of 07:30 on Tue-Sat`.
    """
    before = closures(others, since, until)[0]
    days: dict[tuple[tuple[str, ...], str], set[int]] = defaultdict(set)
    for closure in closures((*others, window), since, until)[0]:
        with_others = tuple(n for n in closure.window_names if n != window.name)
        if window.name in closure.window_names and with_others:
            inside = [c for c in before if closure.close <= c.close and c.open <= closure.open]
            for change, at in _changes(inside, closure):
                days[with_others, change].add(at.weekday())
    return tuple(
        f"window {window.name} overlaps {' and '.join(names)}: {change} on {day_words(on)}"
        for (names, change), on in days.items()
    )


def _changes(before: Sequence[Closure], now: Closure) -> Iterator[tuple[str, datetime]]:
    """Yield what changes and on which day; nothing where the others are not closed at all."""
    if not before:
        return
    zone = ZoneInfo(now.windows[0].zone)
    closes, opens = wall(zone, now.close), wall(zone, now.open)
    if now.close != before[0].close:
        was = wall(zone, before[0].close)
        yield f"it closes at {_time(closes, was)} instead of {_time(was, closes)}", closes
    for earlier, later in pairwise(before):
        begin, end = wall(zone, earlier.open), wall(zone, later.close)
        yield f"it does not open from {_time(begin, end)} to {_time(end, begin)}", begin
    if now.open != before[-1].open:
        was = wall(zone, before[-1].open)
        yield f"it opens at {_time(opens, was)} instead of {_time(was, opens)}", opens
    if len(before) == 1 and (now.close, now.open) == (before[0].close, before[0].open):
        yield "it is already closed then, so nothing changes", closes


def _time(moment: datetime, other: datetime) -> str:
    """Return `09:00`, with its weekday where that of `other` differs."""
    if moment.date() == other.date():
        return f"{moment:%H:%M}"
    return f"{DAYS[moment.weekday()]} {moment:%H:%M}"
