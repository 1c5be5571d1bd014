"""What should be true now, why, and what is to be done about it. Pure: action and forecast read the same timeline."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Literal
from zoneinfo import ZoneInfo

from services.errors import Refused
from services.steps.base import duration
from services.windows.closed import Closure, closures
from services.windows.exceptions import DAY, NONE, Exceptions, Hold, KeepUp, Manual
from services.windows.spec import Kind, Window
from services.windows.timeline import EXCEPTION, Edge, Span, State, Terms, Timeline, draw
from services.windows.zones import day_and_time, wall

USUAL = Terms()
REACHES = (2, 9, 40, 400)  # days looked back and ahead, the nearest first
NOTICES = (30, 5)  # minutes before a close


@dataclass(frozen=True)
class Due:
    """What should be true now. `kind`, `number` and `remembered` tell how to close, or with how many media nodes to open.

    With "no opinion" nothing is to be done: there is no window, or a person has said so. Act on `since_edge` unless a run of that
    name, or a message about it, exists already.
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


def due(windows: Sequence[Window], now: float, exceptions: Exceptions = NONE, terms: Terms = USUAL) -> Due:
    """What those windows want now."""
    if not windows:
        return Due(
            "no opinion", "media-only", None, remembered=True, since_edge=None, next_edge=None, windows=(), reason="there is no window"
        )
    line = _reaching(windows, now, exceptions, terms)
    span = line.at(now)
    acting = [e for e in line.edges if e.acts]
    since = next((e for e in reversed(acting) if e.start <= now), None)
    coming = next((e for e in acting if e.start > now), None)
    closure = span.closure
    leading = coming if span.state == "closed" else since  # opening is decided by the night that ends
    return Due(
        state=span.state,
        kind=closure.kind if closure else coming.closes if coming else "media-only",
        number=leading.number if leading else None,
        remembered=leading.remembered if leading else True,
        since_edge=since,
        next_edge=coming,
        windows=closure.names if closure else (),
        reason=_reason(span, coming, windows[0].zone),
        conflicts=(*(closure.conflicts if closure else ()), *_overruled(span, now, exceptions)),
    )


def _reaching(windows: Sequence[Window], now: float, exceptions: Exceptions, terms: Terms) -> Timeline:
    """The timeline around now, as far as it takes to see an edge on either side."""
    for days in REACHES:
        line = draw(windows, now - days * DAY, now + days * DAY, exceptions, terms)
        starts = [e.start for e in line.edges if e.acts]
        if starts and starts[0] <= now < starts[-1]:
            break
    return line


def _reason(span: Span, coming: Edge | None, zone: str) -> str:
    zone = span.closure.windows[0].zone if span.closure else coming.zone if coming else zone
    until = f"until {_when(coming.at, zone)}" if coming else "and nothing changes that in the coming year"
    match span.why:
        case Hold(until=end, by=by, reason=reason):
            return f"held by {by} until {_when(end, zone)}: {reason}"
        case Manual(at=at, state=state, by=by):
            done = "started" if state == "open" else "stopped"
            return f"{done} by {by} at {_when(at, zone)}; left like that until the next edge" + (
                f", {_when(coming.at, zone)}" if coming else ""
            )
        case KeepUp(until=end, by=by, reason=reason):
            return f"kept up by {by} until {_when(end, zone)}" + (f": {reason}" if reason else "")
        case None:
            return f"{' and '.join(span.closure.names)}: closed {until}" if span.state == "closed" and span.closure else f"open {until}"


def _overruled(span: Span, now: float, exceptions: Exceptions) -> tuple[str, ...]:
    """An exception that stands against the window, or against another exception."""
    if isinstance(span.why, KeepUp) and span.closure:
        return (f"{' and '.join(span.closure.names)} would be closed; it stays up for {span.why.by}",)
    keep = exceptions.keep_up(now)
    if isinstance(span.why, Manual) and keep is not None and span.why.state == "closed":
        return (f"{keep.by} kept it up, and {span.why.by} stopped it by hand; it is left stopped",)
    return ()


def _when(at: float, zone: str) -> str:
    return day_and_time(wall(ZoneInfo(zone), at))


def edges(windows: Sequence[Window], since: float, until: float, exceptions: Exceptions = NONE, terms: Terms = USUAL) -> tuple[Edge, ...]:
    """Every edge that starts after `since` and not after `until`, acting or not, in order."""
    if not windows or until <= since:
        return ()
    line = draw(windows, since, until, exceptions, terms)
    return tuple(e for e in line.edges if since < e.start <= until)


@dataclass(frozen=True)
class Late:
    """Whether an edge is still acted on, and what to say about its time; "" when it is on time."""

    acts: bool
    reason: str


def late(edge: Edge, now: float, terms: Terms = USUAL) -> Late:
    """A shutdown is never started late into working hours; a start-up is better late than not at all."""
    behind = now - edge.start
    if behind <= terms.punctual and (edge.kind == "open" or now < edge.until):
        return Late(acts=True, reason="")
    if edge.kind == "open":
        return Late(acts=True, reason=f"{duration(behind)} late")
    left = edge.until - now
    if left <= 0:
        return Late(acts=False, reason="the closed time is over")
    if left < terms.least:
        return Late(acts=False, reason=f"{duration(behind)} late, and only {duration(left)} of closed time is left")
    return Late(acts=True, reason=f"{duration(behind)} late, {duration(left)} of closed time left")


@dataclass(frozen=True)
class Missed:
    """An edge that nothing came of, and why. People are told each of them once, by its name."""

    edge: Edge
    reason: str


@dataclass(frozen=True)
class Settled:
    """What one tick is to do: act on `act`, and tell of `missed`. Both are then done, by the edge's name."""

    act: Edge | None = None
    reason: str = ""
    missed: tuple[Missed, ...] = ()
    due: Due | None = field(default=None, compare=False)


def settle(
    windows: Sequence[Window], since: float, now: float, done: Container[str], exceptions: Exceptions = NONE, terms: Terms = USUAL
) -> Settled:
    """What is to be done now about all that happened since the last tick. `done` holds the names of edges dealt with already.

    Only the last edge can still be acted on, and only while what it wants is what is wanted now. Nothing depends on when ticks come.
    """
    wanted = due(windows, now, exceptions, terms)
    last = wanted.since_edge
    act = last if last is not None and wanted.state != "no opinion" and last.name not in done else None
    how = late(act, now, terms) if act else Late(acts=True, reason="")
    missed = [
        Missed(e, _missed_words(e, wanted, last)) for e in edges(windows, since, now, exceptions, terms) if e.name not in done and e != act
    ]
    if act is not None and not how.acts:
        missed.append(Missed(act, how.reason))
        act = None
    return Settled(act, how.reason if act else "", tuple(missed), wanted)


def _missed_words(edge: Edge, wanted: Due, last: Edge | None) -> str:
    if not edge.acts:
        return edge.reason
    if edge == last:
        return wanted.reason
    return f"nobody acted on it in time, and {wanted.reason}"


@dataclass(frozen=True)
class Notice:
    """Said before a close, once, by its name."""

    name: str
    edge: Edge
    minutes: int
    at: float


def notices(edge: Edge) -> tuple[Notice, ...]:
    """What is to be said ahead of an edge, earliest first. Nothing before an open: nobody has to act on it."""
    if edge.kind != "close" or not edge.acts:
        return ()
    return tuple(Notice(f"{edge.name}/{m}min", edge, m, edge.start - m * 60) for m in NOTICES)


def notice(edge: Edge, now: float) -> Notice | None:
    """The one to be said now, if it was not yet: after a break the nearest only, not all that were missed."""
    passed = [n for n in notices(edge) if n.at <= now < edge.start]
    return passed[-1] if passed else None


def keep_up(
    windows: Sequence[Window],
    now: float,
    length: float | Literal["tonight"],
    by: str,
    *,
    reason: str = "",
    exceptions: Exceptions = NONE,
) -> KeepUp:
    """Stay up that many seconds beyond the close (or beyond now, when it is closed), or for the whole of tonight.

    "Tonight" is the night's own window: a weekend that follows without a break closes at its own time. Refused when nothing closes.
    """
    closure = _next_closed(windows, now, exceptions)
    if closure is None:
        raise Refused("no window closes in the coming year, so there is nothing to keep it up against")
    begin = _kept_until(closure, max(now, closure.close), exceptions)
    if begin >= closure.open:
        raise Refused(f"it is kept up until {_when(closure.open, closure.windows[0].zone)} already")
    if length == "tonight":
        until = float(max(o.open for o in closure.occurrences if o.close <= begin < o.open))
    else:
        until = min(begin + length, closure.open)
    return KeepUp(now, until, by, reason)


def _next_closed(windows: Sequence[Window], now: float, exceptions: Exceptions) -> Closure | None:
    for days in REACHES:
        found, _ = closures(windows, now, now + days * DAY, exceptions.off)
        if (closure := next((c for c in found if c.open > now), None)) is not None:
            return closure
    return None


def _kept_until(closure: Closure, begin: float, exceptions: Exceptions) -> float:
    """From `begin` on, where the keep-ups given so far end."""
    while begin < closure.open and (keep := exceptions.keep_up(begin)) is not None:
        begin = keep.until
    return begin


@dataclass(frozen=True)
class Row:
    """A line of the forecast. `what`: closes, opens, or stays as it is."""

    edge: Edge
    local: str
    utc: str
    what: str
    notes: tuple[str, ...]


def forecast(windows: Sequence[Window], since: float, until: float, exceptions: Exceptions = NONE, terms: Terms = USUAL) -> tuple[Row, ...]:
    """The coming edges as people read them, by the time at which they are so."""
    return tuple(_row(e) for e in edges(windows, since, until, exceptions, terms))


def _row(edge: Edge) -> Row:
    what = {"close": "closes", "open": "opens"}[edge.kind] if edge.acts else "stays as it is"
    local = wall(ZoneInfo(edge.zone), edge.at)
    notes = [m for m in edge.marks if m != EXCEPTION or edge.acts]
    if edge.start != edge.at:
        notes.append(f"start-up begins {duration(edge.at - edge.start)} earlier")
    if edge.reason:
        notes.append(edge.reason)
    return Row(
        edge,
        f"{day_and_time(local)} {local.tzname() or ''}".strip(),
        f"{wall(ZoneInfo('UTC'), edge.at):%Y-%m-%d %H:%MZ}",
        what,
        tuple(notes),
    )
