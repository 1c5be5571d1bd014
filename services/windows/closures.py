"""Closed times: what each window says for each day, and what they say together.

An `Occurrence` is one window on one day: one close and one open, exactly once for every day it is written for that the local
calendar has. A `Closure` is closed time without a break, united from all windows of a cluster.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo

from services.windows.exceptions import DAY, NO_DAYS_OFF, DaysOff
from services.windows.time_zones import (
    SKIPPED,
    exists,
    instant,
    nominal,
    offset,
    wall,
    zone_caution,
)
from services.windows.window import Kind, Meetings, Window

FARTHEST = 400 * DAY  # how far closed time is followed in either direction
_LONGEST = (
    2 * DAY
)  # no occurrence lasts longer: a day, an hour more when clocks go back, a day more where the calendar skips one
_MARGIN = 3 * DAY


@dataclass(frozen=True)
class Occurrence:
    """One window on one day. Times in seconds since the epoch, and as the wall shows them. `off`: why it does not happen."""

    window: Window
    day: str
    close: int
    open: int
    close_local: datetime
    open_local: datetime
    close_mark: str = ""
    open_mark: str = ""
    off: str = ""

    @property
    def close_name(self) -> str:
        """`nights-close@2027-10-31T20:00`."""
        return f"{self.window.name}-close@{nominal(self.close_local)}"

    @property
    def open_name(self) -> str:
        return f"{self.window.name}-open@{nominal(self.open_local)}"


@dataclass(frozen=True)
class Closure:
    """Closed without a break. Where its windows differ, the one that keeps more up is followed, and `conflicts` says so."""

    close: int
    open: int
    occurrences: tuple[Occurrence, ...]

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """Those that take part, each once, by name."""
        return tuple(
            sorted(
                {o.window.name: o.window for o in self.occurrences}.values(), key=lambda w: w.name
            )
        )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(w.name for w in self.windows)

    @property
    def kind(self) -> Kind:
        """Masters stay on when any of them leaves them on, over the whole of it: they are not stopped for a part of a night."""
        return "media-only" if any(w.kind == "media-only" for w in self.windows) else "shutdown"

    @property
    def number(self) -> int | None:
        """The most media nodes that any of them names."""
        return max((w.number for w in self.windows if w.number is not None), default=None)

    @property
    def remembered(self) -> bool:
        """Whether one of them opens with as many as before; with `number` too, the greater of both."""
        return any(w.number is None for w in self.windows)

    @property
    def meetings(self) -> Meetings:
        """The most careful of them."""
        return max((w.meetings for w in self.windows), key=("wait", "ask", "skip").index)

    @property
    def wait_limit(self) -> float:
        return max(w.wait_limit for w in self.windows)

    @cached_property
    def conflicts(self) -> tuple[str, ...]:
        """Where its windows differ, and what is done about it."""
        return (*_kinds_differ(self), *_numbers_differ(self))

    def covering(self, at: float) -> Occurrence:
        """The occurrence that makes it closed at that moment, the first by name."""
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
        yield f"{down[0]} shuts everything down and {up[0]} leaves the masters on, one after the other without a break: the masters stay on"


def _numbers_differ(closure: Closure) -> Iterator[str]:
    said = {w.number: w.name for w in reversed(closure.windows)}
    if len(said) > 1:
        parts = [
            f"{name} with {'as many as before' if n is None else n}"
            for n, name in sorted(said.items(), key=lambda i: (i[0] or 0, i[1]))
        ]
        yield f"they open with different numbers of media nodes, {', '.join(parts)}: the greatest is started"


def occurrences(
    window: Window, first: date, last: date, free: DaysOff = NO_DAYS_OFF
) -> Iterator[Occurrence]:
    """One for each day from `first` to `last` that the window is written for and the local calendar has."""
    zone = ZoneInfo(window.zone)
    why = _why_off(window, free)
    for day in _days(window, first, last):
        if (found := _occurrence(window, zone, day, why.get(day.isoformat(), ""))) is not None:
            yield found


def _why_off(window: Window, free: DaysOff) -> dict[str, str]:
    """By date, why this window does not close on it. A holiday is none to a window that names the date itself."""
    why = {h.date: h.words for h in free.holidays if h.date not in window.dates}
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


# The same days are asked for at every tick. A newer tz database is seen by the next start of the bot, as by zoneinfo itself.
@lru_cache(maxsize=65536)
def _occurrence(window: Window, zone: ZoneInfo, day: date, off: str) -> Occurrence | None:
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a local, nominal time
    wraps = 1440 if window.open <= window.close else 0
    close_local = midnight + timedelta(minutes=window.close)
    open_local = midnight + timedelta(minutes=window.open + wraps)
    close, close_mark = instant(zone, close_local)
    opens, open_mark = instant(zone, open_local)
    if close_mark == SKIPPED and not exists(zone, day):
        return None
    if opens <= close:
        # Both times fell into the same gap. It stays closed for as long as it would have been on any other day.
        opens = close + int((open_local - close_local).total_seconds())
    return Occurrence(
        window, day.isoformat(), close, opens, close_local, open_local, close_mark, open_mark, off
    )


def closures(
    windows: Sequence[Window], since: float, until: float, free: DaysOff = NO_DAYS_OFF
) -> tuple[list[Closure], list[Occurrence]]:
    """Closed times that touch `since` to `until`, each to its true ends, and the occurrences that are off."""
    low, high = since - _MARGIN, until + _MARGIN
    while True:
        happening, skipped = _between(windows, low, high, free)
        touching = [c for c in unite(happening) if c.open >= since and c.close <= until]
        early = bool(touching) and touching[0].close < low + _LONGEST and since - low < FARTHEST
        late = bool(touching) and touching[-1].open > high - _LONGEST and high - until < FARTHEST
        if not early and not late:
            return touching, skipped
        low -= (since - low) if early else 0
        high += (high - until) if late else 0


def _between(
    windows: Sequence[Window], low: float, high: float, free: DaysOff
) -> tuple[list[Occurrence], list[Occurrence]]:
    found: list[Occurrence] = []
    for window in windows:
        zone = ZoneInfo(window.zone)
        found += occurrences(window, wall(zone, low).date(), wall(zone, high).date(), free)
    return [o for o in found if not o.off], [o for o in found if o.off]


def unite(happening: Iterable[Occurrence]) -> list[Closure]:
    """Closed times that overlap or touch become one."""
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


def clock_change(window: Window, since: float, until: float) -> str:
    """What the clocks do there meanwhile: `clocks go back 1 h`; "" when nothing."""
    zone = ZoneInfo(window.zone)
    minutes = int((offset(zone, until) - offset(zone, since)).total_seconds() // 60)
    if not minutes:
        return ""
    far = abs(minutes)
    return f"clocks go {'forward' if minutes > 0 else 'back'} {f'{far // 60} h' if far % 60 == 0 else f'{far} min'}"


def lint(windows: Sequence[Window], now: float, days: int = 90) -> tuple[str, ...]:
    """What does not fit together in the coming days, each said once, naming both windows."""
    coming, _ = closures(windows, now, now + days * DAY)
    said = [f"{w.name}: {caution}" for w in windows if (caution := zone_caution(w.zone))]
    said += [words for c in coming for words in c.conflicts]
    said += [
        f"{' and '.join(c.names)} together leave no time to open for {days} days or more"
        for c in coming
        if c.open - c.close > days * DAY
    ]
    return tuple(dict.fromkeys(said))
