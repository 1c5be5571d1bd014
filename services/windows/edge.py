"""An edge: a moment at which a cluster is to be closed or opened, with everything an action, a notice or a forecast needs."""

from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from services.windows.closures import Closure, Occurrence, clock_change
from services.windows.exceptions import Freeze, Hold, KeepUp, Manual, Meeting, Why
from services.windows.time_zones import day_and_time, nominal, wall
from services.windows.window import Kind, Meetings

HOLIDAY, EXCEPTION, SHORT, MEETING, FREEZE = (
    "day off",
    "exception",
    "too short",
    "meeting",
    "change freeze",
)
ALREADY = "already"  # nothing has to be done for it to be so


@dataclass(frozen=True)
class SchedulePolicy:
    """How edges are kept, in seconds. Measured and set per cluster."""

    lead: float = (
        0.0  # start-up begins that much before the opening time, so that it serves at that time
    )
    least: float = 1800.0  # a close that comes late or after an exception is worth it only for that much closed time
    punctual: float = 120.0  # an edge acted on within this is not late
    per_node: int | None = (
        None  # people a media node is meant for; None: openings are not sized by attendees
    )


@dataclass(frozen=True)
class Edge:
    """A moment at which a cluster is to be closed or opened. `name` names the run, and is the same however often it is worked out.

    `at` is when it is so (serving, for an open); `start` is when the bot begins, earlier by the lead. `until` is when a close is over
    again: nothing is shut down after it (an open has no such time, and says its start). An edge that does not act is told with its reason.
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
        """Whether something changes at it: it acts, and it is not so already."""
        return self.acts and ALREADY not in self.marks


def edge(
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
    """An edge at `at`, named by the window that asks for it there and by its local time."""
    window = found.window
    local = local or nominal(wall(ZoneInfo(window.zone), at))
    return Edge(
        name=f"{window.name}-{kind}@{local}",
        kind=kind,
        at=at,
        start=at if start is None else start,
        until=until,
        local=local,
        zone=window.zone,
        windows=closure.names,
        closes=closure.kind,
        number=closure.number,
        remembered=closure.remembered,
        meetings=closure.meetings,
        wait_limit=closure.wait_limit,
        marks=marks,
        acts=acts,
        reason=reason,
    )


def at_close(
    closure: Closure,
    until: float,
    marks: tuple[str, ...] = (),
    *,
    acts: bool = True,
    reason: str = "",
) -> Edge:
    """The edge at which closed time begins, over again at `until`."""
    found = closure.first()
    change = clock_change(found.window, closure.close, closure.open)
    told = tuple(m for m in (found.close_mark, change, *marks) if m)
    return edge(
        "close",
        found,
        closure,
        closure.close,
        until=until,
        marks=told,
        acts=acts,
        reason=reason,
        local=nominal(found.close_local),
    )


def at_open(
    closure: Closure,
    start: float,
    marks: tuple[str, ...] = (),
    *,
    acts: bool = True,
    reason: str = "",
) -> Edge:
    """The edge at which closed time ends; start-up begins at `start`."""
    found = closure.last()
    told = tuple(m for m in (found.open_mark, *marks) if m)
    local = nominal(found.open_local)
    return edge(
        "open",
        found,
        closure,
        closure.open,
        start=start,
        until=start,
        marks=told,
        acts=acts,
        reason=reason,
        local=local,
    )


def why_words(why: Why | None, zone: str) -> str:
    """Which exception is in force: `kept up by <@U1> until Mon 2027-11-01 21:00`."""
    there = ZoneInfo(zone)
    match why:
        case Hold(until=until, by=by, reason=reason):
            return f"held by {by} until {day_and_time(wall(there, until))}: {reason}"
        case Freeze(until=until, name=name):
            return f"change freeze until {day_and_time(wall(there, until))}" + (
                f": {name}" if name else ""
            )
        case Meeting(since=since, until=until, name=name):
            said = f"meeting from {day_and_time(wall(there, since))} until {day_and_time(wall(there, until))}"
            return said + (f": {name}" if name else "")
        case Manual(at=at, state=state, by=by):
            return f"{'started' if state == 'open' else 'stopped'} manually by {by} at {day_and_time(wall(there, at))}"
        case KeepUp(until=until, by=by, reason=reason):
            return f"kept up by {by} until {day_and_time(wall(there, until))}" + (
                f": {reason}" if reason else ""
            )
        case None:
            return ""
