"""One tick: which edge is acted on now, and which are told because nothing came of them."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from services.common.text import duration
from services.windows.due import USUAL, Due, due, edges
from services.windows.edge import ALREADY, Edge, SchedulePolicy
from services.windows.exceptions import NONE, Exceptions
from services.windows.window import Window

BEFORE = 2 * 3600.0  # no start-up begins earlier before its opening time than this


def over(edge: Edge) -> float:
    """When nothing can come of it in time any more: an opening is missed at its time, not when its start-up would have begun."""
    return edge.at if edge.kind == "open" else edge.start


@dataclass(frozen=True)
class Lateness:
    """Whether an edge is still acted on, and what to say about its time; "" when it is on time."""

    acts: bool
    reason: str


def late(edge: Edge, now: float, terms: SchedulePolicy = USUAL) -> Lateness:
    """A shutdown is never started late into working hours; a start-up is better late than not at all."""
    behind = now - edge.start
    if behind <= terms.punctual and (edge.kind == "open" or now < edge.until):
        return Lateness(acts=True, reason="")
    if edge.kind == "open":
        return Lateness(acts=True, reason=f"{duration(behind)} late")
    left = edge.until - now
    if left <= 0:
        return Lateness(acts=False, reason="the closed time is over")
    if left < terms.least:
        return Lateness(
            acts=False,
            reason=f"{duration(behind)} late, and only {duration(left)} of closed time is left",
        )
    return Lateness(
        acts=True, reason=f"{duration(behind)} late, {duration(left)} of closed time left"
    )


@dataclass(frozen=True)
class Missed:
    """An edge that nothing came of, and why. People are told each of them once, by its name."""

    edge: Edge
    reason: str


@dataclass(frozen=True)
class ScheduleDecision:
    """What one tick is to do: act on `act`, and tell of `missed`. Both are then done, by the edge's name."""

    act: Edge | None = None
    reason: str = ""
    missed: tuple[Missed, ...] = ()
    due: Due | None = field(default=None, compare=False)


def settle(
    windows: Sequence[Window],
    since: float,
    now: float,
    done: Container[str],
    exceptions: Exceptions = NONE,
    terms: SchedulePolicy = USUAL,
) -> ScheduleDecision:
    """What is to be done now about all that happened since the last tick. `done` holds the names of edges dealt with already.

    Only the last edge can still be acted on, and only while what it wants is what is wanted now. Nothing depends on when ticks come.
    """
    wanted = due(windows, now, exceptions, terms)
    last = wanted.since_edge
    act = (
        last
        if last is not None and wanted.state != "no opinion" and last.name not in done
        else None
    )
    how = late(act, now, terms) if act else Lateness(acts=True, reason="")
    name = act.name if act else ""
    there = [
        e for e in edges(windows, since - BEFORE, now, exceptions, terms) if since < over(e) <= now
    ]
    passed = [e for e in there if e.name not in done and e.name != name and ALREADY not in e.marks]
    missed = [Missed(e, _missed_words(e, wanted, last)) for e in passed]
    if act is not None and not how.acts:
        missed.append(Missed(act, how.reason))
        act = None
    return ScheduleDecision(act, how.reason if act else "", tuple(missed), wanted)


def _missed_words(edge: Edge, wanted: Due, last: Edge | None) -> str:
    if not edge.acts:
        return edge.reason
    if last is not None and edge.name == last.name:
        return wanted.reason
    return f"nobody acted on it in time, and {wanted.reason}"
