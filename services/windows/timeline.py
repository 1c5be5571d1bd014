"""The timeline behind actions and forecast: when a cluster is up, and where that changes."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from services.common.text import duration
from services.windows.closures import Closure, Occurrence, closures, quiet_spans
from services.windows.edge import (
    ALREADY,
    EXCEPTION,
    FREEZE,
    HOLIDAY,
    MEETING,
    SHORT,
    Edge,
    SchedulePolicy,
    closing_edge,
    exception_words,
    make_edge,
    opening_edge,
)
from services.windows.exceptions import (
    DAY,
    ActiveException,
    DaysOff,
    Exceptions,
    Freeze,
    Manual,
    Meeting,
)
from services.windows.sizing import size_openings
from services.windows.window import Window

State = Literal["open", "closed", "no opinion"]


@dataclass(frozen=True)
class Span:
    """A stretch of time with one state, because of the exception `why` or the closure."""

    since: float
    until: float
    state: State
    closure: Closure | None = None
    why: ActiveException | None = None

    @property
    def planned(self) -> Meeting | Freeze | None:
        """The calendar entry that opens it; known before it begins."""
        if self.state == "open" and isinstance(self.why, Meeting | Freeze):
            return self.why
        return None


@dataclass(frozen=True)
class CalendarGap:
    """A part of closed time in which it is up because of a calendar.

    The start-up begins at `since`.
    """

    since: float
    until: float
    why: Meeting | Freeze


@dataclass(frozen=True)
class ScheduleTimeline:
    """Spans without a gap between them, and the edges, in order of their start."""

    spans: tuple[Span, ...]
    edges: tuple[Edge, ...]
    closures: tuple[Closure, ...]

    def at(self, moment: float) -> Span:
        """Return the span of that moment."""
        return self.spans[max(0, bisect_right(self.spans, moment, key=lambda s: s.since) - 1)]


@dataclass
class _Drawing:
    """Works a timeline out.

    `raw`: when windows and calendars change something; a manual start or stop lasts until the next
    of these.
    """

    low: float
    high: float
    closures: list[Closure]
    exceptions: Exceptions
    terms: SchedulePolicy
    # Hours in which it closes when it is empty: only their end is an edge, after a manual stop.
    quiet: list[Closure] = field(default_factory=list)
    raw: list[float] = field(default_factory=list)
    cuts: list[CalendarGap] = field(default_factory=list)
    cut_at: frozenset[float] = frozenset()
    manual: list[tuple[float, float, Manual]] = field(default_factory=list)

    def __post_init__(self) -> None:
        planned: tuple[Meeting | Freeze, ...] = (
            *self.exceptions.meetings,
            *self.exceptions.freezes,
        )
        self.cuts = [cut for why in planned for cut in self._cut_by(why)]
        self.cut_at = frozenset(c.since for c in self.cuts)
        windows = [
            t for c in self.closures if self.starts(c) > c.close for t in (c.close, self.starts(c))
        ]
        ends = [self.starts(c) for c in self.quiet]
        cuts = (t for c in self.cuts for t in (c.since, c.until))
        self.raw = sorted([*windows, *cuts, *ends])
        for m in self.exceptions.manual_in_order:
            self.manual.append((m.at, next((t for t in self.raw if t > m.at), self.high), m))

    def _cut_by(self, why: Meeting | Freeze) -> Iterator[CalendarGap]:
        """Yield what a meeting takes from closed time; before a freeze, the lead of an opening."""
        since, until = why.since - self.terms.lead, why.since
        if isinstance(why, Meeting):
            until = why.until
        first = bisect_right(self.closures, since, key=lambda c: c.open)
        for closure in self.closures[first:]:
            if closure.close >= until:
                return
            begin, end = max(since, closure.close), min(until, self.starts(closure))
            if begin < end:
                yield CalendarGap(begin, end, why)

    def quiet_before(self, span: Span) -> Closure | None:
        """Return the quiet hours whose opening begins with that span."""
        if span.state != "open":
            return None
        return next((c for c in self.quiet if self.starts(c) == span.since), None)

    def starts(self, closure: Closure) -> float:
        """Return when the start-up begins, so that it serves at the opening time."""
        return max(closure.close, closure.open - self.terms.lead)

    def closed(self, at: float) -> Closure | None:
        """Return the closed time of that moment."""
        index = bisect_right(self.closures, at, key=lambda c: c.close) - 1
        if index < 0 or at >= self.closures[index].open:
            return None
        return self.closures[index]

    def opinion(self, since: float, until: float) -> Span:
        """Return the span from `since`, for a stretch in which nothing begins or ends."""
        closure = self.closed(since)
        lock = self.exceptions.hold(since) or self.exceptions.freeze(since) or self._by_hand(since)
        if lock is not None:
            return Span(since, until, "no opinion", closure, lock)
        if closure is None or since >= self.starts(closure):
            return Span(since, until, "open", closure)
        keeps = self._calendar_entry(since) or self.exceptions.keep_up(since)
        if keeps is not None:
            return Span(since, until, "open", closure, keeps)
        return Span(since, until, "closed", closure)

    def _by_hand(self, at: float) -> Manual | None:
        """Return the newest manual start or stop that counts at that moment."""
        acts = (m for begin, end, m in reversed(self.manual) if begin <= at < end)
        return next(acts, None)

    def _calendar_entry(self, at: float) -> Meeting | Freeze | None:
        """Return the calendar entry that keeps it up at that moment, the one that lasts longest."""
        entries = (c.why for c in self.cuts if c.since <= at < c.until)
        return max(entries, key=lambda why: why.until, default=None)

    def spans(self) -> list[Span]:
        """Return all spans, in order."""
        moments = {
            self.low,
            self.high,
            *self.raw,
            *(t for begin, end, _ in self.manual for t in (begin, end)),
        }
        moments.update(t for h in self.exceptions.holds for t in (h.since, h.until))
        moments.update(t for k in self.exceptions.keep_ups for t in (k.since, k.until))
        moments.update(t for f in self.exceptions.freezes for t in (f.since, f.until))
        inside = sorted(t for t in moments if self.low <= t <= self.high)
        return _joined(self.opinion(a, b) for a, b in pairwise(inside))


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Merge neighbours of the same state for the same reason."""
    joined: list[Span] = []
    for span in spans:
        if joined and _alike(joined[-1], span):
            joined[-1] = replace(joined[-1], until=span.until)
        else:
            joined.append(span)
    return joined


def _alike(one: Span, other: Span) -> bool:
    return (one.state, one.closure, one.why) == (other.state, other.closure, other.why)


def draw_timeline(
    windows: Sequence[Window],
    since: float,
    until: float,
    exceptions: Exceptions,
    terms: SchedulePolicy,
) -> ScheduleTimeline:
    """Return the timeline from `since` to `until`.

    It is worked out from further back, so that its start changes nothing.
    """
    back = min(since - 2 * DAY, exceptions.earliest)
    closed, skipped = closures(windows, back, until + 2 * DAY, exceptions.days_off)
    low = min([back, *(c.close - 1 for c in closed)])
    high = max([until + 2 * DAY, *(c.open + 1 for c in closed)])
    quiet = quiet_spans(windows, back, until + 2 * DAY, exceptions.days_off)
    drawing = _Drawing(low, high, closed, exceptions, terms, quiet)
    spans: list[Span] = []
    edges: list[Edge] = []
    last: State | None = "open"
    before: Closure | None = None
    for span in drawing.spans():
        shown = span
        if span.state == "closed" and last != "closed" and _too_short(span, drawing):
            edges.append(_close(span, acts=False, reason=_short_words(span)))
            shown = Span(span.since, span.until, "open", span.closure)
        elif span.state not in ("no opinion", last) or span.planned is not None:
            before = (
                span.closure
                or drawing.quiet_before(span)
                or before
                or _earlier(windows, low, exceptions.days_off)
            )
            marks = (ALREADY,) if span.state == last else ()
            edges += _close_or_open(span, before, drawing, marks)
            last = span.state
        elif span.state == "no opinion":
            # What people did meanwhile is unknown here: what is due afterwards is acted on anew,
            # whichever it is.
            last = None
        before = span.closure or before
        spans.append(shown)
    edges += _swallowed(drawing, spans, edges)
    edges += _days_off(skipped, drawing)
    line = sorted(edges, key=lambda e: (e.start, e.kind, e.name))
    return ScheduleTimeline(
        tuple(spans), size_openings(line, exceptions.meetings, terms.per_node), tuple(closed)
    )


def _too_short(span: Span, drawing: _Drawing) -> bool:
    """Return whether an exception leaves too little closed time to stop a cluster for.

    A window may be short by itself.

    What people do later in the night does not count: it was unknown when it closed.
    """
    assert span.closure is not None, "only a closure makes it closed"
    left = span.since > span.closure.close or span.until in drawing.cut_at
    if any(k.since == span.until for k in drawing.exceptions.keep_ups):
        return False  # it has closed by then: who wakes it up minutes later is not late
    return left and span.until - span.since < drawing.terms.least


def _short_words(span: Span) -> str:
    return f"only {duration(span.until - span.since)} of closed time would be left"


def _close(span: Span, *, acts: bool = True, reason: str = "") -> Edge:
    closure = span.closure
    assert closure is not None, "only a closure makes it closed"
    marks = (SHORT,) if reason else ()
    if span.since == closure.close:
        return closing_edge(closure, span.until, marks, acts=acts, reason=reason)
    return make_edge(
        "close",
        closure.covering(span.since),
        closure,
        span.since,
        until=span.until,
        marks=(EXCEPTION, *marks),
        acts=acts,
        reason=reason,
    )


def _earlier(windows: Sequence[Window], moment: float, free: DaysOff) -> Closure | None:
    """Return the last closed time before that moment; after a hold it may be long ago."""
    for days in (9, 40, 400):
        closed, _ = closures(windows, moment - days * DAY, moment, free)
        ended = [c for c in closed if c.open <= moment]
        if ended:
            return ended[-1]
    return None


def _close_or_open(
    span: Span, closure: Closure | None, drawing: _Drawing, marks: tuple[str, ...]
) -> list[Edge]:
    """Return the edge at which a span begins; no edge when nothing was ever closed."""
    if span.state == "closed":
        return [_close(span)]
    if closure is None:
        return []
    return [_open(span, closure, drawing, marks)]


def _open(span: Span, closure: Closure, drawing: _Drawing, marks: tuple[str, ...]) -> Edge:
    if span.since == drawing.starts(closure):
        return opening_edge(closure, drawing.starts(closure))
    if span.planned is not None and span.since in drawing.cut_at:
        return _open_for(span.planned, span.since, closure, marks)
    # An exception opens it, or delayed the opening: at once, without a lead.
    occurrence = closure.last()
    if span.since < closure.open:
        occurrence = closure.covering(span.since)
    marks = (EXCEPTION, *marks)
    return make_edge("open", occurrence, closure, span.since, until=span.since, marks=marks)


def _open_for(
    why: Meeting | Freeze, start: float, closure: Closure, marks: tuple[str, ...]
) -> Edge:
    """Return an opening for a calendar entry.

    It acts even when it is open already: the calendar may be newer than the closing.
    """
    occurrence = closure.covering(start)
    mark = MEETING if isinstance(why, Meeting) else FREEZE
    return make_edge(
        "open",
        occurrence,
        closure,
        max(why.since, start),
        start=start,
        until=start,
        marks=(mark, *marks),
        reason=exception_words(why, occurrence.window.zone),
    )


def _swallowed(drawing: _Drawing, spans: Sequence[Span], edges: Sequence[Edge]) -> Iterator[Edge]:
    """Yield edges of the windows that do not act, because of an exception or the lead."""
    acted = {(e.kind, e.start) for e in edges}
    line = ScheduleTimeline(tuple(spans), (), ())
    for closure in drawing.closures:
        if ("close", closure.close) not in acted:
            why = _why_not(closure, line, drawing)
            yield closing_edge(
                closure, drawing.starts(closure), (EXCEPTION,), acts=False, reason=why
            )
        start = drawing.starts(closure)
        if ("open", start) in acted:
            continue
        why = exception_words(line.at(start).why, closure.windows[0].zone)
        if why:
            yield opening_edge(closure, start, acts=False, reason=why)
        else:
            yield opening_edge(closure, start, (ALREADY,), acts=False, reason="it is already open")


def _why_not(closure: Closure, line: ScheduleTimeline, drawing: _Drawing) -> str:
    if drawing.starts(closure) == closure.close:
        length, lead = duration(closure.open - closure.close), duration(drawing.terms.lead)
        return f"it would be closed for {length}, but a start-up takes {lead}"
    return (
        exception_words(line.at(closure.close).why, closure.windows[0].zone)
        or "it is already closed"
    )


def _days_off(skipped: Iterable[Occurrence], drawing: _Drawing) -> Iterator[Edge]:
    """Yield closings that a day off prevents, unless another window closes it then."""
    for occurrence in skipped:
        inside = drawing.low <= occurrence.close <= drawing.high
        if inside and drawing.closed(occurrence.close) is None:
            closure = Closure(occurrence.close, occurrence.open, (occurrence,))
            yield closing_edge(
                closure, occurrence.open, (HOLIDAY,), acts=False, reason=occurrence.off
            )
