"""What should be true now, and why. Pure: action and forecast read the same timeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from services.windows.edge import Edge, Terms, why_words
from services.windows.exceptions import DAY, NONE, Exceptions, KeepUp, Manual
from services.windows.spec import Kind, Window
from services.windows.timeline import Span, State, Timeline, draw
from services.windows.zones import day_and_time, wall

USUAL = Terms()
REACHES = (2, 9, 40, 400)  # days looked back and ahead, the nearest first


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
    when = day_and_time(wall(ZoneInfo(zone), coming.at)) if coming else ""
    if span.why is not None:
        left = "; left like that until the next edge" + (f", {when}" if when else "") if isinstance(span.why, Manual) else ""
        return why_words(span.why, zone) + left
    until = f"until {when}" if when else "and nothing changes that in the coming year"
    return f"{' and '.join(span.closure.names)}: closed {until}" if span.state == "closed" and span.closure else f"open {until}"


def _overruled(span: Span, now: float, exceptions: Exceptions) -> tuple[str, ...]:
    """An exception that stands against the window, or against another exception."""
    if isinstance(span.why, KeepUp) and span.closure:
        return (f"{' and '.join(span.closure.names)} would be closed; it stays up for {span.why.by}",)
    keep = exceptions.keep_up(now)
    if isinstance(span.why, Manual) and keep is not None and span.why.state == "closed":
        return (f"{keep.by} kept it up, and {span.why.by} stopped it by hand; it is left stopped",)
    return ()


def edges(windows: Sequence[Window], since: float, until: float, exceptions: Exceptions = NONE, terms: Terms = USUAL) -> tuple[Edge, ...]:
    """Every edge that starts after `since` and not after `until`, acting or not, in order."""
    if not windows or until <= since:
        return ()
    line = draw(windows, since, until, exceptions, terms)
    return tuple(e for e in line.edges if since < e.start <= until)
