"""Closed times: what each window says for each day, and what they say together.

An `Occurrence` is one window on one day: one close and one open, exactly once for every day of the
window that the local calendar has. A `Closure` is closed time without a break, united from all
windows of a cluster.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo

from services.windows.exceptions import DAY, NO_DAYS_OFF, DaysOff
from services.windows.time_zones import (
    SKIPPED,
    exists,
    instant,
    local_time,
    offset,
    wall,
    zone_caution,
)
from services.windows.window import Kind, Meetings, Window

FARTHEST = 400 * DAY  # how far closed time is followed in either direction
# No occurrence lasts longer: a day, an hour more when clocks go back, a day more where the calendar
# skips one.
_LONGEST = 2 * DAY
_MARGIN = 3 * DAY


@dataclass(frozen=True)
class Occurrence:
    """One window on one day, in seconds since the epoch and as local times.

    `off`: why it does not happen; "" if it does.
    """

    window: Window
    day: str
    close: int
    open: int
    close_local: datetime
    open_local: datetime
    close_mark: str = ""
    open_mark: str = ""
    off: str = ""


@dataclass(frozen=True)
class Closure:
    """Closed time without a break.

    Where its windows differ, the one that keeps more up wins; see `conflicts`.
    """

    close: int
    open: int
    occurrences: tuple[Occurrence, ...]

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """The windows that take part, each once, by name."""
        return tuple(
            sorted(
                {o.window.name: o.window for o in self.occurrences}.values(), key=lambda w: w.name
            )
        )

    @property
    def window_names(self) -> tuple[str, ...]:
        return tuple(w.name for w in self.windows)

    @property
    def kind(self) -> Kind:
        """Masters stay on for all of it if any window leaves them on.

        They do not stop for a part of it.
        """
        if any(w.kind == "media-only" for w in self.windows):
            return "media-only"
        return "shutdown"

    @property
    def number(self) -> int | None:
        """The most media nodes that any window asks for."""
        return max((w.number for w in self.windows if w.number is not None), default=None)

    @property
    def remembered(self) -> bool:
        """Whether a window opens with as many nodes as before.

        With `number`: the greater of both.
        """
        return any(w.number is None for w in self.windows)

    @property
    def meetings(self) -> Meetings:
        """The most careful setting of its windows."""
        return max((w.meetings for w in self.windows), key=("wait", "ask", "skip").index)

    @property
    def wait_limit(self) -> float:
        return max(w.wait_limit for w in self.windows)

    @cached_property
    def conflicts(self) -> tuple[str, ...]:
        """Where its windows differ, and which of them wins."""
        return (*_kinds_differ(self), *_numbers_differ(self))

    def covering(self, at: float) -> Occurrence:
        """Return the occurrence that closes it at that moment, the first by name."""
        return min(
            (o for o in self.occurrences if o.close <= at < o.open), key=lambda o: o.window.name
        )

    def first(self) -> Occurrence:
        return min(
            (o for o in self.occurrences if o.close == self.close), key=lambda o: o.window.name
        )

    def last(self) -> Occurrence:
        return min(
            (o for o in self.occurrences if o.open == self.open), key=lambda o: o.window.name
        )


def _kinds_differ(closure: Closure) -> Iterator[str]:
    up = [w.name for w in closure.windows if w.kind == "media-only"]
    down = [w.name for w in closure.windows if w.kind == "shutdown"]
    if up and down:
        yield (
            f"window {down[0]} shuts everything down and {up[0]} leaves the masters powered on, "
            "directly after each other: the masters stay powered on"
        )


def _numbers_differ(closure: Closure) -> Iterator[str]:
    names = {w.number: w.name for w in reversed(closure.windows)}
    if len(names) > 1:
        by_number = sorted(names.items(), key=lambda item: (item[0] or 0, item[1]))
        parts = ", ".join(f"{name} with {_number_words(number)}" for number, name in by_number)
        yield f"they open with different numbers of media nodes, {parts}: the largest is started"


def _number_words(number: int | None) -> str:
    return "as many as before" if number is None else str(number)


def occurrences(
    window: Window, first: date, last: date, free: DaysOff = NO_DAYS_OFF
) -> Iterator[Occurrence]:
    """Yield one for each day of the window from `first` to `last` that the local calendar has."""
    zone = ZoneInfo(window.zone)
    why = _why_off(window, free)
    for day in _days(window, first, last):
        occurrence = _occurrence(window, zone, day, why.get(day.isoformat(), ""))
        if occurrence is not None:
            yield occurrence


def _why_off(window: Window, free: DaysOff) -> dict[str, str]:
    """Return by date why this window does not close on it.

    Holidays do not count where the window names the date.
    """
    why = {h.date: h.reason for h in free.holidays if h.date not in window.dates}
    why |= {d: f"{d} is a day off" for d in free.named}
    return why | {d: f"{d} is an exception of {window.name}" for d in window.off}


def _days(window: Window, first: date, last: date) -> Iterator[date]:
    named = {date.fromisoformat(d) for d in window.dates}
    if window.days:
        wanted = frozenset(window.days)
        start = first.toordinal()
        named.update(
            date.fromordinal(n) for n in range(start, last.toordinal() + 1) if (n - 1) % 7 in wanted
        )
    return iter(sorted(d for d in named if first <= d <= last))


# The same days are read at every tick. A newer tz database counts after the next start of the bot,
# as in zoneinfo.
@lru_cache(maxsize=65536)
def _occurrence(window: Window, zone: ZoneInfo, day: date, off: str) -> Occurrence | None:
    close_local = local_time(day, window.close)
    open_local = local_time(day, window.open)
    if open_local <= close_local:
        open_local += timedelta(days=1)
    close, close_mark = instant(zone, close_local)
    opens, open_mark = instant(zone, open_local)
    if close_mark == SKIPPED and not exists(zone, day):
        return None
    if opens <= close:
        # Both times fall into the same gap: it stays closed for as long as on any other day.
        opens = close + int((open_local - close_local).total_seconds())
    return Occurrence(
        window, day.isoformat(), close, opens, close_local, open_local, close_mark, open_mark, off
    )


def closures(
    windows: Sequence[Window], since: float, until: float, free: DaysOff = NO_DAYS_OFF
) -> tuple[list[Closure], list[Occurrence]]:
    """Return closed times from `since` to `until`, each to its true ends.

    Second: the occurrences that do not happen, because of a day off.
    """
    low, high = since - _MARGIN, until + _MARGIN
    while True:
        happening, skipped = _between(windows, low, high, free)
        touching = [c for c in merge_occurrences(happening) if c.open >= since and c.close <= until]
        early = bool(touching) and touching[0].close < low + _LONGEST and since - low < FARTHEST
        late = bool(touching) and touching[-1].open > high - _LONGEST and high - until < FARTHEST
        if not early and not late:
            return touching, skipped
        if early:
            low -= since - low
        if late:
            high += high - until


def _between(
    windows: Sequence[Window], low: float, high: float, free: DaysOff
) -> tuple[list[Occurrence], list[Occurrence]]:
    every: list[Occurrence] = []
    for window in windows:
        if window.when_empty is not None:
            continue  # it has no closing by the clock: see quiet.py
        zone = ZoneInfo(window.zone)
        every += occurrences(window, wall(zone, low).date(), wall(zone, high).date(), free)
    return [o for o in every if not o.off], [o for o in every if o.off]


def merge_occurrences(happening: Iterable[Occurrence]) -> list[Closure]:
    """Merge closed times that overlap or touch."""
    groups: list[list[Occurrence]] = []
    end = 0
    for occurrence in sorted(happening, key=lambda o: (o.close, o.open, o.window.name)):
        if groups and occurrence.close <= end:
            groups[-1].append(occurrence)
            end = max(end, occurrence.open)
        else:
            groups.append([occurrence])
            end = occurrence.open
    return [Closure(g[0].close, max(o.open for o in g), tuple(g)) for g in groups]


def quiet_hours(windows: Iterable[Window]) -> tuple[Window, ...]:
    """Return the quiet windows of these, as if they closed by the clock: their hours."""
    return tuple(replace(w, when_empty=None) for w in windows if w.when_empty is not None)


def quiet_spans(
    windows: Sequence[Window], since: float, until: float, free: DaysOff
) -> list[Closure]:
    """Return the hours from `since` to `until` in which a quiet window may close it."""
    hours = quiet_hours(windows)
    return closures(hours, since, until, free)[0] if hours else []


def span_at(windows: Sequence[Window], now: float, free: DaysOff) -> Closure | None:
    """Return the quiet hours of that moment; None outside of them."""
    return next((s for s in quiet_spans(windows, now, now, free) if s.close <= now < s.open), None)


def clock_change(window: Window, since: float, until: float) -> str:
    """Return what the clocks do in that time: `clocks go back 1 h`; "" for nothing."""
    zone = ZoneInfo(window.zone)
    minutes = int((offset(zone, until) - offset(zone, since)).total_seconds() // 60)
    if not minutes:
        return ""
    direction = "forward" if minutes > 0 else "back"
    length = f"{abs(minutes)} min"
    if minutes % 60 == 0:
        length = f"{abs(minutes) // 60} h"
    return f"clocks go {direction} {length}"


def find_conflicts(windows: Sequence[Window], now: float, days: int = 90) -> tuple[str, ...]:
    """Return what conflicts in the coming days, each once, with the names of both windows."""
    coming, _ = closures(windows, now, now + days * DAY)
    findings = [f"window {w.name}: {caution}" for w in windows if (caution := zone_caution(w.zone))]
    findings += [conflict for c in coming for conflict in c.conflicts]
    findings += [
        f"windows {' and '.join(c.window_names)} together leave it closed for {days} days or more"
        for c in coming
        if c.open - c.close > days * DAY
    ]
    return tuple(dict.fromkeys(findings))
