"""Edges: moments at which a cluster closes or opens, for actions, notices and forecasts."""

from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from services.windows.closures import Closure, Occurrence, clock_change
from services.windows.exceptions import ActiveException, Freeze, Hold, KeepUp, Manual, Meeting
from services.windows.time_zones import day_and_time, nominal, wall
from services.windows.window import Kind, Meetings

HOLIDAY, EXCEPTION, SHORT, MEETING, FREEZE = (
    "day off",
    "exception",
    "too short",
    "meeting",
    "change freeze",
)
ALREADY = "already"  # nothing has to be done: it is closed or open already


@dataclass(frozen=True)
class SchedulePolicy:
    """How edges are acted on, in seconds. Measured and set per cluster."""

    # A start-up begins this much before the opening time, so that the cluster serves at that time.
    lead: float = 0.0
    # A closing that is late or follows an exception needs at least that much closed time.
    least: float = 1800.0
    # An edge acted on within this is not late.
    punctual: float = 120.0
    # People a media node is meant for; None: openings are not sized by attendees.
    per_node: int | None = None


@dataclass(frozen=True)
class Edge:
    """A moment at which a cluster closes or opens.

    `name` also names the run; it is the same however often it is worked out.

    `start` is when the bot begins, `at` when an opened cluster serves: later by the lead. `until`
    is when closed time ends: nothing is shut down after it (for an opening it is the start).
    `local` is the local time in `zone`. An edge that does not act has a `reason`.
    """

    name: str
    kind: Literal["close", "open"]
    at: float
    start: float
    until: float
    local: str
    zone: str
    windows: tuple[str, ...]
    closes: Kind
    number: int | None
    remembered: bool
    meetings: Meetings
    wait_limit: float
    marks: tuple[str, ...] = ()
    acts: bool = True
    reason: str = ""

    @property
    def clock_time(self) -> str:
        """`20:00`, local to `zone`."""
        return self.local.partition("T")[2][:5]

    @property
    def changes(self) -> bool:
        """Whether something changes: it acts, and is not closed or open already."""
        return self.acts and ALREADY not in self.marks


def make_edge(
    kind: Literal["close", "open"],
    found: Occurrence,
    closure: Closure,
    at: float,
    *,
    until: float,
    start: float | None = None,
    marks: tuple[str, ...] = (),
    acts: bool = True,
    reason: str = "",
    local: str = "",
) -> Edge:
    """Return an edge at `at`, named by the window of `found` and by its local time."""
    window = found.window
    local = local or nominal(wall(ZoneInfo(window.zone), at))
    if start is None:
        start = at
    return Edge(
        name=f"{window.name}-{kind}@{local}",
        kind=kind,
        at=at,
        start=start,
        until=until,
        local=local,
        zone=window.zone,
        windows=closure.window_names,
        closes=closure.kind,
        number=closure.number,
        remembered=closure.remembered,
        meetings=closure.meetings,
        wait_limit=closure.wait_limit,
        marks=marks,
        acts=acts,
        reason=reason,
    )


def closing_edge(
    closure: Closure,
    until: float,
    marks: tuple[str, ...] = (),
    *,
    acts: bool = True,
    reason: str = "",
) -> Edge:
    """Return the edge at which closed time begins, up to `until`."""
    first = closure.first()
    change = clock_change(first.window, closure.close, closure.open)
    return make_edge(
        "close",
        first,
        closure,
        closure.close,
        until=until,
        marks=tuple(m for m in (first.close_mark, change, *marks) if m),
        acts=acts,
        reason=reason,
        local=nominal(first.close_local),
    )


def opening_edge(
    closure: Closure,
    start: float,
    marks: tuple[str, ...] = (),
    *,
    acts: bool = True,
    reason: str = "",
) -> Edge:
    """Return the edge at which closed time ends; the start-up begins at `start`."""
    last = closure.last()
    return make_edge(
        "open",
        last,
        closure,
        closure.open,
        start=start,
        until=start,
        marks=tuple(m for m in (last.open_mark, *marks) if m),
        acts=acts,
        reason=reason,
        local=nominal(last.open_local),
    )


def exception_words(why: ActiveException | None, zone: str) -> str:
    """Return the exception in force: `kept up by @ben until Mon 2027-11-01 21:00`; "" for none."""

    def local(moment: float) -> str:
        return day_and_time(wall(ZoneInfo(zone), moment))

    match why:
        case Hold(until=until, by=by, reason=reason):
            return f"put on hold by {by} until {local(until)}: {reason}"
        case Freeze(until=until, name=name):
            return _with(f"change freeze until {local(until)}", name)
        case Meeting(since=since, until=until, name=name):
            return _with(f"meeting from {local(since)} until {local(until)}", name)
        case Manual(at=at, state="open", by=by):
            return f"started manually by {by} at {local(at)}"
        case Manual(at=at, by=by):
            return f"stopped manually by {by} at {local(at)}"
        case KeepUp(until=until, by=by, reason=reason):
            return _with(f"kept up by {by} until {local(until)}", reason)
        case None:
            return ""


def _with(words: str, detail: str) -> str:
    return f"{words}: {detail}" if detail else words
