"""Quiet windows: when a cluster closes because it has been empty, not because of the clock. Pure.

A quiet window (`Window.when_empty`) has no closing of its own. Once the cluster has been empty for
that long within its hours, the bot writes an ordinary window for this night, from that minute to
the end of the hours: `closing_now`. It has the name of the quiet window, and with it its standing
approval. From then on everything is as with any window: the opening in time, calendars, wake-ups,
notices. When the cluster opens again before, `opened_early` ends that window, and the cluster has
to be empty anew.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from services.common.text import duration
from services.windows.closures import Closure, Occurrence, closures, span_at
from services.windows.due import due
from services.windows.edge import SchedulePolicy
from services.windows.exceptions import Exceptions
from services.windows.time_zones import nominal, wall
from services.windows.window import Window

MINUTE = 60.0
# Seconds between two looks that count as observed without a gap.
GAP = 180.0
WARNING = 300.0  # seconds before a closing at which it is announced


@dataclass(frozen=True)
class Emptiness:
    """How long a cluster was seen empty without a gap. The value of its looks so far.

    `since`: the first look of the stretch; None: it is not empty, or that is unknown. `at`: the
    newest look.
    """

    since: float | None = None
    at: float = float("-inf")

    def after(self, at: float, *, empty: bool) -> "Emptiness":
        """Return it after one more look. `empty`: positively seen so; unknown is not empty."""
        if not empty:
            return Emptiness(None, at)
        if self.since is None or not 0 <= at - self.at <= GAP:
            return Emptiness(at, at)
        return Emptiness(self.since, max(self.at, at))

    def lasted(self, now: float, begin: float) -> float:
        """Return seconds of it up to the newest look and after `begin`; 0 once that look is old."""
        if self.since is None or not 0 <= now - self.at <= GAP:
            return 0.0
        return max(0.0, self.at - max(self.since, begin))


@dataclass(frozen=True)
class QuietState:
    """What a quiet window waits for, within its hours.

    `closes`: the closing is due now. `empty`: seconds for which it was empty. `at`: when it closes
    if it stays empty; None where it was not empty, or does not close any more this night: `why`.
    """

    window: Window
    span: Closure
    empty: float = 0.0
    at: float | None = None
    why: str = ""

    @property
    def closes(self) -> bool:
        return self.at is not None and self.empty >= (self.window.when_empty or 0.0)


def quiet_state(
    windows: Sequence[Window],
    now: float,
    seen: Emptiness,
    exceptions: Exceptions,
    terms: SchedulePolicy,
    done: Iterable[str],
) -> QuietState | None:
    """Return what the quiet window of this moment waits for; None outside of its hours.

    None too while something else than being in use decides: a hold, a freeze, a keep-up, a meeting
    of a calendar, another window.
    """
    span = span_at(windows, now, exceptions.days_off)
    if span is None:
        return None
    named = {w.name: w for w in windows if w.when_empty is not None}
    window = named[span.covering(now).window.name]
    state = QuietState(window, span, seen.lasted(now, span.close))
    closed = closings_of(span, done)
    if len(closed) >= window.closings:
        return replace(state, why=f"it has closed {len(closed)} times in these hours")
    wanted = due(with_closing(windows, closing_now(span, now)), now, exceptions, terms)
    coming = wanted.next_edge
    if wanted.state != "closed" or wanted.why is not None:
        return None
    left = (coming.start if coming is not None else span.open) - now
    if left < terms.least:
        return replace(state, why=f"only {duration(left)} of closed time would be left")
    if not seen.lasted(now, float("-inf")):
        return state
    assert window.when_empty is not None, "only quiet windows have spans"
    return replace(state, at=now - state.empty + window.when_empty)


def closings_of(span: Closure, done: Iterable[str]) -> list[str]:
    """Return the edges at which quiet windows have closed it in these hours, out of `done`."""
    first, last = nominal(span.first().close_local), nominal(span.last().open_local)
    marks = tuple(f"{name}-close@" for name in span.window_names)
    return [n for n in done if n.startswith(marks) and first <= n.rpartition("@")[2] < last]


def closing_now(span: Closure, now: float) -> tuple[Window, ...]:
    """Return the windows that close it from this minute to the end of these hours.

    One for each occurrence that is left: a weekend may be several.
    """
    return tuple(
        _dated(o, wall(ZoneInfo(o.window.zone), max(now, o.close)))
        for o in span.occurrences
        if o.open > now
    )


def _dated(occurrence: Occurrence, begins: datetime) -> Window:
    minutes = begins.hour * 60 + begins.minute
    ends = occurrence.open_local
    until = ends.hour * 60 + ends.minute
    if until == 0 and ends.date() == begins.date() + timedelta(days=1):
        until = 1440
    # It begins only where no one meets; who comes meanwhile keeps it in service.
    return replace(
        occurrence.window,
        days=(),
        dates=(begins.date().isoformat(),),
        off=(),
        close=minutes,
        open=until,
        meetings="skip",
        wait_limit=MINUTE,
    )


def with_closing(windows: Sequence[Window], closing: Sequence[Window]) -> tuple[Window, ...]:
    """Return the windows with this night's closing, in place of earlier ones of its names."""
    return (*_without(windows, {w.name for w in closing}), *closing)


def _without(windows: Iterable[Window], names: Container[str]) -> tuple[Window, ...]:
    """Return the windows without earlier closings of these quiet windows; they stay themselves."""
    return tuple(w for w in windows if w.when_empty is not None or w.name not in names)


def opened_early(
    windows: Sequence[Window], quiet: Container[str], now: float, lead: float
) -> tuple[Window, ...]:
    """Return the windows with the closing of this night ended: it serves a start-up from now.

    `quiet`: the names of quiet windows. What has not begun yet is dropped.
    """
    changed: list[Window] = []
    for window in windows:
        if window.when_empty is not None or window.name not in quiet:
            changed.append(window)
            continue
        hours = next(iter(closures((window,), now, now)[0]), None)
        if hours is None or not hours.close <= now < hours.open:
            if not _begins_after(window, now):
                changed.append(window)
            continue
        changed.append(_ended(window, hours, max(now + lead, hours.close + lead + 2 * MINUTE)))
    return tuple(changed)


def _ended(window: Window, hours: Closure, serves: float) -> Window:
    """Return it with an earlier opening; unchanged where it opens by itself before.

    A time that the clocks show twice means the first of both, which may be over: an hour later.
    """
    for at in (serves // MINUTE * MINUTE, (serves + 3600) // MINUTE * MINUTE):
        local = wall(ZoneInfo(window.zone), at)
        ended = replace(window, open=local.hour * 60 + local.minute or 1440)
        if [c.open for c in closures((ended,), hours.close, hours.close)[0]] == [at]:
            return ended if at < hours.open else window
    return window


def _begins_after(window: Window, now: float) -> bool:
    local = wall(ZoneInfo(window.zone), now)
    today = local.date().isoformat()
    return (window.dates[0], window.close) > (today, local.hour * 60 + local.minute)
