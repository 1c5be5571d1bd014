"""What is coming: the forecast, and the notices before a closing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from services.common.text import duration
from services.windows.closures import quiet_spans
from services.windows.due import DEFAULT_POLICY, edges
from services.windows.edge import EXCEPTION, Edge, SchedulePolicy, make_edge
from services.windows.exceptions import NONE, Exceptions
from services.windows.time_zones import day_and_time, wall
from services.windows.window import Window

NOTICES = (30, 5)  # minutes before a closing


@dataclass(frozen=True)
class Notice:
    """A notice before a closing, announced once by its name."""

    name: str
    edge: Edge
    minutes: int
    at: float


def notices(edge: Edge) -> tuple[Notice, ...]:
    """Return the notices before an edge, earliest first.

    None before an opening: no one has to act on it.
    """
    if edge.kind != "close" or not edge.acts:
        return ()
    return tuple(Notice(f"{edge.name}/{m}min", edge, m, edge.start - m * 60) for m in NOTICES)


def notice(edge: Edge, now: float) -> Notice | None:
    """Return the notice to announce now.

    After a break only the nearest, not all that were missed.
    """
    passed = [n for n in notices(edge) if n.at <= now < edge.start]
    return next(reversed(passed), None)


@dataclass(frozen=True)
class Row:
    """A line of the forecast. `what`: closes, opens, or stays as it is."""

    edge: Edge
    local: str
    utc: str
    what: str
    notes: tuple[str, ...]


def forecast(
    windows: Sequence[Window],
    since: float,
    until: float,
    exceptions: Exceptions = NONE,
    terms: SchedulePolicy = DEFAULT_POLICY,
) -> tuple[Row, ...]:
    """Return the coming edges as rows, in order of their start."""
    line = edges(windows, since, until, exceptions, terms)
    rows = [_row(e) for e in line if e.changes or not e.acts]
    rows += _quiet_rows(windows, since, until, exceptions)
    return tuple(sorted(rows, key=lambda r: r.edge.start))


def _quiet_rows(
    windows: Sequence[Window], since: float, until: float, exceptions: Exceptions
) -> Iterator[Row]:
    """Yield when quiet windows may close it at the earliest; whether they do is not known."""
    named = {w.name: w for w in windows if w.when_empty is not None}
    for span in quiet_spans(windows, since, until, exceptions.days_off):
        first = span.first()
        window = named[first.window.name]
        earliest = span.close + (window.when_empty or 0.0)
        if since < earliest <= until:
            why = f"{window.empty_words}, until {day_and_time(span.last().open_local)}"
            edge = make_edge(
                "close", first, span, earliest, until=span.open, acts=False, reason=why
            )
            yield replace(_row(edge), what="closes when empty")


def _row(edge: Edge) -> Row:
    what = "stays as it is"
    if edge.acts:
        what = {"close": "closes", "open": "opens"}[edge.kind]
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
