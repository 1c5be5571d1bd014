"""What should be true now, and why. Pure: actions and forecast read the same timeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

from services.windows.closures import quiet_spans
from services.windows.edge import Edge, SchedulePolicy, exception_words
from services.windows.exceptions import (
    DAY,
    NONE,
    ActiveException,
    Exceptions,
    Freeze,
    Hold,
    KeepUp,
    Manual,
)
from services.windows.time_zones import day_and_time, wall
from services.windows.timeline import ScheduleTimeline, Span, State, draw_timeline
from services.windows.window import Kind, Window

DEFAULT_POLICY = SchedulePolicy()
NEAR = (2, 9)  # days searched back and ahead, the nearest first
FAR = (40, 400)
HOUR = 3600.0


@dataclass(frozen=True)
class Due:
    """What should be true now.

    `kind`, `number` and `remembered`: how to close, or with how many media nodes to open.

    "no opinion" means that nothing is done: there is no window, or a person decided so. Act on
    `since_edge` unless a run of that name, or an announcement of it, exists. `why` is the exception
    in force that decides, if one does.
    """

    state: State
    kind: Kind
    number: int | None
    remembered: bool
    since_edge: Edge | None
    next_edge: Edge | None
    windows: tuple[str, ...]
    reason: str
    conflicts: tuple[str, ...] = ()
    why: ActiveException | None = None


def due(
    windows: Sequence[Window],
    now: float,
    exceptions: Exceptions = NONE,
    terms: SchedulePolicy = DEFAULT_POLICY,
) -> Due:
    """Return what those windows want now. Ticks act on it, and all that is shown is made of it."""
    if not windows:
        return _without_windows(exceptions.hold(now) or exceptions.freeze(now))
    span, since, coming = _around(windows, now, exceptions, terms)
    number, remembered = None, True
    opening = coming if span.state == "closed" else since  # decided by the night that ends
    if opening is not None:
        number, remembered = opening.number, opening.remembered
    names: tuple[str, ...] = ()
    conflicts = _overruled(span, now, exceptions)
    if span.closure is not None:
        names, conflicts = span.closure.window_names, (*span.closure.conflicts, *conflicts)
    return Due(
        state=span.state,
        kind=_closes(span, coming),
        number=number,
        remembered=remembered,
        since_edge=since,
        next_edge=coming,
        windows=names,
        reason=_reason(span, coming, windows[0].zone, _quiet_words(windows, now, exceptions)),
        conflicts=conflicts,
        why=span.why,
    )


def _closes(span: Span, coming: Edge | None) -> Kind:
    if span.closure is not None:
        return span.closure.kind
    return coming.closes if coming else "media-only"


def _without_windows(why: Hold | Freeze | None) -> Due:
    return Due(
        "no opinion",
        "media-only",
        None,
        remembered=True,
        since_edge=None,
        next_edge=None,
        windows=(),
        reason=exception_words(why, "UTC") or "there is no window",
        why=why,
    )


def _around(
    windows: Sequence[Window], now: float, exceptions: Exceptions, terms: SchedulePolicy
) -> tuple[Span, Edge | None, Edge | None]:
    """Return the span of now, and the acting edges on either side."""
    for days in NEAR:
        line = draw_timeline(windows, now - days * DAY, now + days * DAY, exceptions, terms)
        since, coming = _beside(line, now, now)
        if since and coming:
            return line.at(now), since, coming
    hour = now // HOUR * HOUR
    earlier, later = _far(tuple(windows), hour, exceptions, terms)
    return line.at(now), since or earlier, coming or later


@lru_cache(maxsize=1024)
def _far(
    windows: tuple[Window, ...], hour: float, exceptions: Exceptions, terms: SchedulePolicy
) -> tuple[Edge | None, Edge | None]:
    """Return the acting edges before and after this hour, however far away.

    A new window has none before, and one that is held may have none for weeks: drawing a year of
    nights takes 30 ms, so it is done once an hour.
    """
    for days in FAR:
        line = draw_timeline(windows, hour - days * DAY, hour + days * DAY, exceptions, terms)
        before, after = _beside(line, hour, hour + HOUR)
        if before and after:
            break
    return before, after


def _beside(line: ScheduleTimeline, begin: float, end: float) -> tuple[Edge | None, Edge | None]:
    """Return the edges on either side of a stretch.

    The last acting edge up to `begin`, and the first after `end` at which something changes.
    """
    since = next((e for e in reversed(line.edges) if e.acts and e.start <= begin), None)
    return since, next((e for e in line.edges if e.changes and e.start > end), None)


def _quiet_words(windows: Sequence[Window], now: float, exceptions: Exceptions) -> str:
    """Return `quiet closes after 30 min without a meeting, Mon 18:30 at the earliest`; or ""."""
    for days in NEAR:
        spans = quiet_spans(windows, now, now + days * DAY, exceptions.days_off)
        span = next((s for s in spans if s.open > now), None)
        if span is not None:
            occurrence = span.covering(max(now, span.close))
            window = next(w for w in windows if w.name == occurrence.window.name and w.empty_words)
            words, zone = f"{window.name} {window.empty_words}", ZoneInfo(window.zone)
            if now < span.close + (window.when_empty or 0.0):
                earliest = span.close + (window.when_empty or 0.0)
                return f"{words}, {day_and_time(wall(zone, earliest))} at the earliest"
            return f"{words}, until {day_and_time(wall(zone, span.open))}"
    return ""


def _reason(span: Span, coming: Edge | None, zone: str, quiet: str) -> str:
    if span.closure is not None:
        zone = span.closure.windows[0].zone
    elif coming is not None:
        zone = coming.zone
    when, until = "", "for the whole coming year"
    if coming is not None:
        when = day_and_time(wall(ZoneInfo(zone), coming.at))
        until = f"until {when}"
    if span.why is not None:
        resumes = f"; the schedule resumes {when}" if when and isinstance(span.why, Manual) else ""
        return exception_words(span.why, zone) + resumes
    if span.state == "closed" and span.closure:
        return f"{' and '.join(span.closure.window_names)}: closed {until}"
    if quiet:
        return f"open; {quiet}"
    return f"open {until}"


def _overruled(span: Span, now: float, exceptions: Exceptions) -> tuple[str, ...]:
    """Return an exception that overrules a window or another exception."""
    if isinstance(span.why, KeepUp) and span.closure:
        return (
            f"{' and '.join(span.closure.window_names)} would close it; kept up by {span.why.by}",
        )
    keep = exceptions.keep_up(now)
    if isinstance(span.why, Manual) and keep is not None and span.why.state == "closed":
        return (f"kept up by {keep.by}, then stopped manually by {span.why.by}: it stays stopped",)
    return ()


def edges(
    windows: Sequence[Window],
    since: float,
    until: float,
    exceptions: Exceptions = NONE,
    terms: SchedulePolicy = DEFAULT_POLICY,
) -> tuple[Edge, ...]:
    """Return every edge that starts after `since` and up to `until`, acting or not, in order."""
    if not windows or until <= since:
        return ()
    line = draw_timeline(windows, since, until, exceptions, terms)
    return tuple(e for e in line.edges if since < e.start <= until)
