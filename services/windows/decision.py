"""One tick: which edge is acted on now, and which are announced because nothing came of them."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from services.common.text import duration
from services.windows.due import DEFAULT_POLICY, Due, due, edges
from services.windows.edge import ALREADY, Edge, SchedulePolicy
from services.windows.exceptions import NONE, Exceptions
from services.windows.window import Window

BEFORE = 2 * 3600.0  # no start-up begins earlier than this before its opening time


def too_late_at(edge: Edge) -> float:
    """Return when it is too late for an edge.

    For an opening that is its time, not when its start-up should have begun.
    """
    return edge.at if edge.kind == "open" else edge.start


@dataclass(frozen=True)
class Lateness:
    """Whether an edge is still acted on, and how late it is; "" when it is on time."""

    acts: bool
    reason: str


def late(edge: Edge, now: float, terms: SchedulePolicy = DEFAULT_POLICY) -> Lateness:
    """Return how late an edge is.

    A shutdown never starts late into working hours; a start-up is better late than never.
    """
    behind = now - edge.start
    if behind <= terms.punctual and (edge.kind == "open" or now < edge.until):
        return Lateness(acts=True, reason="")
    if edge.kind == "open":
        return Lateness(acts=True, reason=f"{duration(behind)} late")
    left = edge.until - now
    if left <= 0:
        return Lateness(acts=False, reason="the closed time has passed")
    if left < terms.least:
        return Lateness(
            acts=False,
            reason=f"{duration(behind)} late, with only {duration(left)} of closed time left",
        )
    return Lateness(
        acts=True, reason=f"{duration(behind)} late, {duration(left)} of closed time left"
    )


@dataclass(frozen=True)
class MissedEdge:
    """An edge that nothing came of, and why. Each is announced once, by its name."""

    edge: Edge
    reason: str


@dataclass(frozen=True)
class ScheduleDecision:
    """What one tick has to do: act on `act`, announce `missed`.

    Both are then done, by the edge's name.
    """

    act: Edge | None = None
    reason: str = ""
    missed: tuple[MissedEdge, ...] = ()
    due: Due | None = field(default=None, compare=False)


def decide(
    windows: Sequence[Window],
    since: float,
    now: float,
    done: Container[str],
    exceptions: Exceptions = NONE,
    terms: SchedulePolicy = DEFAULT_POLICY,
) -> ScheduleDecision:
    """Decide about all edges since the last tick (`since`).

    `done`: the names of edges that are dealt with.

    Only the last edge can still be acted on, and only while what it wants is what is wanted now.
    Nothing depends on when ticks come.
    """
    wanted = due(windows, now, exceptions, terms)
    last = wanted.since_edge
    act = None
    if last is not None and wanted.state != "no opinion" and last.name not in done:
        act = last
    lately = [
        e
        for e in edges(windows, since - BEFORE, now, exceptions, terms)
        if since < too_late_at(e) <= now and e.name not in done and ALREADY not in e.marks
    ]
    missed = [MissedEdge(e, _missed_words(e, wanted, last)) for e in lately if not _same(e, act)]
    if act is None:
        return ScheduleDecision(None, "", tuple(missed), wanted)
    lateness = late(act, now, terms)
    if not lateness.acts:
        missed.append(MissedEdge(act, lateness.reason))
        return ScheduleDecision(None, "", tuple(missed), wanted)
    return ScheduleDecision(act, lateness.reason, tuple(missed), wanted)


def _same(edge: Edge, act: Edge | None) -> bool:
    return act is not None and edge.name == act.name


def _missed_words(edge: Edge, wanted: Due, last: Edge | None) -> str:
    if not edge.acts:
        return edge.reason
    if last is not None and edge.name == last.name:
        return wanted.reason
    return f"no bot acted on it in time; now {wanted.reason}"
