"""What the schedule announces in a cluster's channel, as values: what happened and its facts.

Views render them. Their names and facts are stored in the outbox, see `Announcement` in
services/memory/schedule.py. Sentences in them (`reason`, `why`, `by`) may hold markers
(services/common/markers.py).
"""

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, TypedDict

from services.common.markers import plain_text
from services.common.text import count_of
from services.windows import Edge

SubjectFacts = tuple[tuple[str, Any], ...]
MEETINGS_UNKNOWN = "the number of running meetings is unknown"
EPOCH_LIKE = 1e8  # a float fact above that is a moment


class EdgeFacts(TypedDict):
    """Which closing or opening of which windows an announcement is about."""

    cluster: str
    time: str
    windows: tuple[str, ...]
    zone: str


def edge_facts(cluster: str, edge: Edge) -> EdgeFacts:
    """The facts of an edge."""
    return EdgeFacts(cluster=cluster, time=edge.clock_time, windows=edge.windows, zone=edge.zone)


@dataclass(frozen=True)
class Subject:
    """What an announcement is about."""

    cluster: str


@dataclass(frozen=True)
class EdgeSubject(Subject):
    """About one closing or opening. `time` is local to `zone`: `20:00`."""

    time: str
    windows: tuple[str, ...]
    zone: str


# Before and at an edge


@dataclass(frozen=True)
class ClosesSoon(EdgeSubject):
    """A window closes the cluster soon.

    `rooms`: meetings that run now; None: unknown. `meetings`: what the window does about them
    (`wait` until `wait_until`, `ask`, `skip`); "" when none run. `fault`: what has to be repaired
    before it can close. `told`: how many rooms got a message; "" where none did.
    """

    rooms: int | None
    meetings: str
    wait_until: float
    fault: str = ""
    told: str = ""


@dataclass(frozen=True)
class ClosesWhenEmpty(Subject):
    """The hours of a quiet window have begun: it closes after `empty` seconds without a meeting.

    Not before `earliest`; in service again by `opens`.
    """

    window: str
    empty: float
    earliest: float
    opens: float


@dataclass(frozen=True)
class EmptyNow(Subject):
    """It has been empty since `since`, and closes at `closes` if it stays empty."""

    window: str
    since: float
    closes: float


@dataclass(frozen=True)
class AsksToClose(EdgeSubject):
    """A window would close the cluster now, and asks first.

    Without an answer until `until` the cluster stays up. `rooms` and `people` in meetings now;
    None: unknown.
    """

    rooms: int | None
    people: int | None
    until: float


@dataclass(frozen=True)
class OpensWithLess(EdgeSubject):
    """The opening starts less than the window asks for. `less`: what, and why."""

    less: str


@dataclass(frozen=True)
class EdgeMissed(EdgeSubject):
    """The cluster did not close or open. `possible`: its time is not over yet, so it *will* not."""

    closes: bool
    possible: bool
    reason: str


@dataclass(frozen=True)
class ServesLate(EdgeSubject):
    """A start-up is under way and takes `seconds` too long."""

    seconds: float
    why: str


@dataclass(frozen=True)
class NotStarting(EdgeSubject):
    """The cluster is to serve soon, and no start-up is under way."""

    why: str


@dataclass(frozen=True)
class NotOpened(EdgeSubject):
    """The cluster should be in service and is not."""

    why: str


@dataclass(frozen=True)
class ClosingGaveWay(Subject):
    """An opening ended the closing that was not over.

    `paused`: that run had stopped and is abandoned; else it was cancelled.
    """

    by: str
    run: str
    paused: bool
    why: str


@dataclass(frozen=True)
class RunFailed(Subject):
    """A window's run did not end as the window wanted. `turned_back`: the cluster stays up."""

    by: str
    run: str
    closes: bool
    turned_back: bool
    why: str


# What a bot that only observes would have done


@dataclass(frozen=True)
class WouldClose(EdgeSubject):
    """The window would close the cluster now, and wait for its meetings `until` then.

    `rooms` and `people` in meetings; None: unknown. `opens`: when it opens again; 0: not planned.
    """

    rooms: int | None
    people: int | None
    until: float
    opens: float


@dataclass(frozen=True)
class WouldBeClosed(EdgeSubject):
    """Its meetings have ended, so it would be closed. `waited`: seconds. `asked`: about them."""

    closed: float
    waited: float
    asked: bool


@dataclass(frozen=True)
class WouldStay(EdgeSubject):
    """The window would not close it. `outcome`: a `NightOutcome` of services.memory.observed."""

    outcome: str
    asked: bool
    rooms: int | None
    people: int | None
    why: str


@dataclass(frozen=True)
class WouldOpen(EdgeSubject):
    """The window would open it again. `saved`: `$3.10`, "" where unknown. `seen`: throughout."""

    closed: float
    opened: float
    saved: str
    seen: bool


# What people do about a schedule


@dataclass(frozen=True)
class KeptUp(Subject):
    """Someone keeps the cluster up."""

    until: float
    by: str
    reason: str = ""


@dataclass(frozen=True)
class Woken(Subject):
    """Someone started a cluster that its `windows` had closed."""

    until: float
    by: str
    reason: str
    windows: tuple[str, ...]
    # Seconds without a meeting after which a quiet window closes it again; 0: it closes `until`.
    empty: float = 0.0


@dataclass(frozen=True)
class PutOnHold(Subject):
    """Someone holds the cluster. `run`: the run that has begun and goes on, "" for none."""

    until: float
    by: str
    reason: str
    run: str = ""


@dataclass(frozen=True)
class StillOnHold(Subject):
    """A reminder of a hold, once a day."""

    until: float
    by: str
    reason: str


@dataclass(frozen=True)
class HoldExpired(Subject):
    """A hold has reached its end."""

    by: str
    reason: str


@dataclass(frozen=True)
class HoldEnded(Subject):
    """Someone ended a hold."""

    by: str


@dataclass(frozen=True)
class WindowRemoved(Subject):
    """Someone removed a window."""

    window: str
    by: str


@dataclass(frozen=True)
class DaysSkipped(Subject):
    """Someone excepted days: no window closes the cluster on them."""

    dates: tuple[str, ...]
    by: str


@dataclass(frozen=True)
class ApprovalEnds(Subject):
    """The standing approval of a window ends. `renewal`: the command that renews it."""

    window: str
    until: float
    renewal: str


# Calendar files, and the state


@dataclass(frozen=True)
class CalendarUnread(Subject):
    """A calendar file could not be read. `holds`: what it holds, such as `holidays`.

    `read_before`: its earlier entries stay.
    """

    holds: str
    file: str
    trouble: str
    read_before: bool


@dataclass(frozen=True)
class CalendarEmpty(Subject):
    """A calendar file holds no entry. `contents`: what it holds instead."""

    file: str
    contents: str


@dataclass(frozen=True)
class StateRewound(Subject):
    """The state store went back in time."""

    why: str


@dataclass(frozen=True)
class StateLost(Subject):
    """The state store is empty.

    `run`: the run that this bot was driving, with its command, step and position; "" for none.
    """

    why: str
    run: str = ""
    command: str = ""
    step: str = ""
    position: int = 0
    steps: int = 0


_SUBJECTS: tuple[type[Subject], ...] = (
    ClosesSoon,
    ClosesWhenEmpty,
    EmptyNow,
    AsksToClose,
    OpensWithLess,
    EdgeMissed,
    ServesLate,
    NotStarting,
    NotOpened,
    ClosingGaveWay,
    RunFailed,
    WouldClose,
    WouldBeClosed,
    WouldStay,
    WouldOpen,
    KeptUp,
    Woken,
    PutOnHold,
    StillOnHold,
    HoldExpired,
    HoldEnded,
    WindowRemoved,
    DaysSkipped,
    ApprovalEnds,
    CalendarUnread,
    CalendarEmpty,
    StateRewound,
    StateLost,
)
SUBJECTS = {kind.__name__: kind for kind in _SUBJECTS}


def running_meetings(rooms: int | None, people: int | None) -> str:
    """`2 meetings with 5 people are running`; None: unknown."""
    if rooms is None or people is None:
        return MEETINGS_UNKNOWN
    verb = "is" if rooms == 1 else "are"
    return f"{count_of(rooms, 'meeting')} with {count_of(people, 'person')} {verb} running"


def facts_of(subject: Subject) -> SubjectFacts:
    """The facts by name, as they are stored."""
    return tuple((f.name, getattr(subject, f.name)) for f in fields(subject))


def subject_of(kind: str, facts: SubjectFacts) -> Subject | None:
    """The stored subject; None where this version does not know its kind, or a fact is missing."""
    if kind not in SUBJECTS:
        return None
    names = {f.name for f in fields(SUBJECTS[kind])}
    try:
        return SUBJECTS[kind](**{name: value for name, value in facts if name in names})
    except TypeError:
        return None


def summary(subject: Subject) -> str:
    """Return one plain line, for a version that does not know the kind.

    `acme: KeptUp (until 2027-11-01 20:00 UTC, by @UANA)`.
    """
    facts = [f"{name} {_plain(value)}" for name, value in facts_of(subject)[1:] if value]
    return f"{subject.cluster}: {type(subject).__name__} ({', '.join(facts)})"


def _plain(value: Any) -> str:
    if isinstance(value, float) and value > EPOCH_LIKE:
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M UTC}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return plain_text(str(value))
