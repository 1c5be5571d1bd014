"""The line that action and forecast both read: who is up when, and the edges at which that changes."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from services.common.text import duration
from services.windows.closures import Closure, Occurrence, closures
from services.windows.edge import (
    ALREADY,
    EXCEPTION,
    FREEZE,
    HOLIDAY,
    MEETING,
    SHORT,
    Edge,
    SchedulePolicy,
    at_close,
    at_open,
    edge,
    why_words,
)
from services.windows.exceptions import DAY, DaysOff, Exceptions, Freeze, Manual, Meeting, Why
from services.windows.sizing import sized
from services.windows.window import Window

State = Literal["open", "closed", "no opinion"]


@dataclass(frozen=True)
class Span:
    """A stretch of time in which the same is true. `why` is the exception behind it, or the closure."""

    since: float
    until: float
    state: State
    closure: Closure | None = None
    why: Why | None = None

    @property
    def planned(self) -> Meeting | Freeze | None:
        """What a calendar says that opens it: known before it begins."""
        return self.why if self.state == "open" and isinstance(self.why, Meeting | Freeze) else None


@dataclass(frozen=True)
class Cut:
    """A part of closed time in which it is up because a calendar says so. Start-up begins at `since`."""

    since: float
    until: float
    why: Meeting | Freeze


@dataclass(frozen=True)
class Timeline:
    """Spans without a hole between them, and the edges, in order of their start."""

    spans: tuple[Span, ...]
    edges: tuple[Edge, ...]
    closures: tuple[Closure, ...]

    def at(self, moment: float) -> Span:
        return self.spans[max(0, bisect_right(self.spans, moment, key=lambda s: s.since) - 1)]


@dataclass
class _Drawing:
    """Works a timeline out. `raw`: when windows and calendars change something. A manual start or stop lasts until the next of these."""

    low: float
    high: float
    closures: list[Closure]
    exceptions: Exceptions
    terms: SchedulePolicy
    raw: list[float] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
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
        self.raw = sorted([*windows, *(t for c in self.cuts for t in (c.since, c.until))])
        for m in self.exceptions.by_hand:
            self.manual.append((m.at, next((t for t in self.raw if t > m.at), self.high), m))

    def _cut_by(self, why: Meeting | Freeze) -> Iterator[Cut]:
        """What a meeting takes from closed time, and what it takes to be up before a freeze in which nothing can be opened."""
        since, until = (
            why.since - self.terms.lead,
            why.until if isinstance(why, Meeting) else why.since,
        )
        first = bisect_right(self.closures, since, key=lambda c: c.open)
        for closure in self.closures[first:]:
            if closure.close >= until:
                return
            begin, end = max(since, closure.close), min(until, self.starts(closure))
            if begin < end:
                yield Cut(begin, end, why)

    def starts(self, closure: Closure) -> float:
        """When start-up begins so that it serves at the opening time."""
        return max(closure.close, closure.open - self.terms.lead)

    def closed(self, at: float) -> Closure | None:
        found = bisect_right(self.closures, at, key=lambda c: c.close) - 1
        return self.closures[found] if found >= 0 and at < self.closures[found].open else None

    def opinion(self, since: float, until: float) -> Span:
        """What is true from `since` on, for a stretch in which nothing begins or ends."""
        closure = self.closed(since)
        if (hold := self.exceptions.hold(since)) is not None:
            return Span(since, until, "no opinion", closure, hold)
        if (freeze := self.exceptions.freeze(since)) is not None:
            return Span(since, until, "no opinion", closure, freeze)
        if (
            hand := next(
                (m for begin, end, m in reversed(self.manual) if begin <= since < end), None
            )
        ) is not None:
            return Span(since, until, "no opinion", closure, hand)
        if closure is None or since >= self.starts(closure):
            return Span(since, until, "open", closure)
        if (
            cut := max(
                (c for c in self.cuts if c.since <= since < c.until),
                key=lambda c: c.why.until,
                default=None,
            )
        ) is not None:
            return Span(since, until, "open", closure, cut.why)
        if (keep := self.exceptions.keep_up(since)) is not None:
            return Span(since, until, "open", closure, keep)
        return Span(since, until, "closed", closure)

    def spans(self) -> list[Span]:
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
    """Neighbours that say the same thing for the same reason become one."""
    joined: list[Span] = []
    for span in spans:
        last = joined[-1] if joined else None
        if last is not None and (last.state, last.closure, last.why) == (
            span.state,
            span.closure,
            span.why,
        ):
            joined[-1] = Span(last.since, span.until, last.state, last.closure, last.why)
        else:
            joined.append(span)
    return joined


def draw(
    windows: Sequence[Window],
    since: float,
    until: float,
    exceptions: Exceptions,
    terms: SchedulePolicy,
) -> Timeline:
    """The timeline from `since` to `until`. It is worked out from further back, so that its start changes nothing."""
    back = min(since - 2 * DAY, exceptions.begin)
    found, skipped = closures(windows, back, until + 2 * DAY, exceptions.free)
    low = min([back, *(c.close - 1 for c in found)])
    drawing = _Drawing(
        low, max([until + 2 * DAY, *(c.open + 1 for c in found)]), found, exceptions, terms
    )
    spans: list[Span] = []
    edges: list[Edge] = []
    last: State | None = "open"
    before: Closure | None = None
    for span in drawing.spans():
        kept = span
        if span.state == "closed" and last != "closed" and _too_short(span, drawing):
            edges.append(_close(span, acts=False, reason=_short_words(span)))
            kept = Span(span.since, span.until, "open", span.closure)
        elif span.state not in ("no opinion", last) or span.planned is not None:
            before = span.closure or before or _earlier(windows, low, exceptions.free)
            edges += _close_or_open(span, before, drawing, () if span.state != last else (ALREADY,))
            last = span.state
        elif span.state == "no opinion":
            last = None  # what people did meanwhile is not known here: what is due afterwards is seen to anew, whichever it is
        before = span.closure or before
        spans.append(kept)
    edges += _swallowed(drawing, spans, edges)
    edges += _days_off(skipped, drawing)
    line = sorted(edges, key=lambda e: (e.start, e.kind, e.name))
    return Timeline(tuple(spans), sized(line, exceptions.meetings, terms.per_node), tuple(found))


def _too_short(span: Span, drawing: _Drawing) -> bool:
    """What an exception left of a closed time is not worth stopping a cluster for; a window that is short by itself is.

    What people do later in the night does not count: it was not known when it closed.
    """
    assert span.closure is not None, "only a closure makes it closed"
    left = span.since > span.closure.close or span.until in drawing.cut_at
    return left and span.until - span.since < drawing.terms.least


def _short_words(span: Span) -> str:
    return f"only {duration(span.until - span.since)} of closed time would be left"


def _close(span: Span, *, acts: bool = True, reason: str = "") -> Edge:
    closure = span.closure
    assert closure is not None, "only a closure makes it closed"
    marks = (SHORT,) if reason else ()
    if span.since == closure.close:
        return at_close(closure, span.until, marks, acts=acts, reason=reason)
    found = closure.covering(span.since)
    return edge(
        "close",
        found,
        closure,
        span.since,
        until=span.until,
        marks=(EXCEPTION, *marks),
        acts=acts,
        reason=reason,
    )


def _earlier(windows: Sequence[Window], moment: float, free: DaysOff) -> Closure | None:
    """The last closed time before; wanted after a hold, when the last thing that was due may be long ago."""
    for days in (9, 40, 400):
        found = [
            c for c in closures(windows, moment - days * DAY, moment, free)[0] if c.open <= moment
        ]
        if found:
            return found[-1]
    return None


def _close_or_open(
    span: Span, closure: Closure | None, drawing: _Drawing, marks: tuple[str, ...]
) -> list[Edge]:
    """None when there never was anything to open from."""
    if span.state == "closed":
        return [_close(span)]
    return [_open(span, closure, drawing, marks)] if closure else []


def _open(span: Span, closure: Closure, drawing: _Drawing, marks: tuple[str, ...]) -> Edge:
    if span.since == drawing.starts(closure):
        return at_open(closure, drawing.starts(closure))
    if span.planned is not None and span.since in drawing.cut_at:
        return _open_for(span.planned, span.since, closure, marks)
    # An exception opens it, or delayed the opening: at once, and no lead can be given.
    found = closure.covering(span.since) if span.since < closure.open else closure.last()
    return edge("open", found, closure, span.since, until=span.since, marks=(EXCEPTION, *marks))


def _open_for(
    why: Meeting | Freeze, start: float, closure: Closure, marks: tuple[str, ...]
) -> Edge:
    """Opening because a calendar says so. It acts even when it is open already: the calendar may be newer than the closing."""
    at = max(why.since, start)
    found = closure.covering(start)
    mark = MEETING if isinstance(why, Meeting) else FREEZE
    reason = why_words(why, found.window.zone)
    return edge(
        "open", found, closure, at, start=start, until=start, marks=(mark, *marks), reason=reason
    )


def _swallowed(drawing: _Drawing, spans: Sequence[Span], edges: Sequence[Edge]) -> Iterator[Edge]:
    """Edges the windows ask for and that nothing comes of, because of an exception or the lead."""
    acted = {(e.kind, e.start) for e in edges}
    line = Timeline(tuple(spans), (), ())
    for closure in drawing.closures:
        if ("close", closure.close) not in acted:
            why = _why_not(closure, line, drawing)
            yield at_close(closure, drawing.starts(closure), (EXCEPTION,), acts=False, reason=why)
        if ("open", drawing.starts(closure)) not in acted:
            why = why_words(line.at(drawing.starts(closure)).why, closure.windows[0].zone)
            yield at_open(
                closure,
                drawing.starts(closure),
                () if why else (ALREADY,),
                acts=False,
                reason=why or "it is open already",
            )


def _why_not(closure: Closure, line: Timeline, drawing: _Drawing) -> str:
    if drawing.starts(closure) == closure.close:
        return f"it would be closed for {duration(closure.open - closure.close)}, and a start-up takes {duration(drawing.terms.lead)}"
    return why_words(line.at(closure.close).why, closure.windows[0].zone) or "it is closed already"


def _days_off(skipped: Iterable[Occurrence], drawing: _Drawing) -> Iterator[Edge]:
    """A close that does not happen on a day off, unless another window keeps it closed at that time anyway."""
    for occurrence in skipped:
        if (
            drawing.low <= occurrence.close <= drawing.high
            and drawing.closed(occurrence.close) is None
        ):
            closure = Closure(occurrence.close, occurrence.open, (occurrence,))
            yield at_close(closure, occurrence.open, (HOLIDAY,), acts=False, reason=occurrence.off)
