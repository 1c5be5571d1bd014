"""Service level objectives of a cluster: how well its promises were kept in a span of time. Pure.

Computed from the journals of runs and the promise log. What is not known is counted apart, and
never as kept. `services/audit/promises.py` computes the same from the audit alone.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from services.memory.promise_records import ANSWERED, IN, OUT, UNKNOWN, PromiseRecord
from services.memory.schedule_audit import OPENS
from services.procedures import Shutdown, Startup
from services.runs.run import (
    Answered,
    Asked,
    CancelAsked,
    Ended,
    Event,
    Noted,
    Questioned,
    Resumed,
    Run,
    State,
    Stopped,
)
from services.schedule.overdue import GRACE as PUNCTUAL

DAY = 86400.0


@dataclass(frozen=True)
class Objectives:
    """What share of each kind is to be good. `answer_seconds`: an answer within them is good."""

    ready: float = 0.99
    unattended: float = 0.95
    service: float = 0.999
    answers: float = 0.95
    answer_seconds: float = 900.0


@dataclass(frozen=True)
class Span:
    """A span of time in epoch seconds, and what it is called: `November 2026`, `last 30 days`."""

    since: float
    until: float
    words: str

    def has(self, at: float) -> bool:
        """Return whether a moment lies in it."""
        return self.since <= at < self.until


@dataclass(frozen=True)
class Kept:
    """How many of something were good, and how many there were. `worst`: in seconds."""

    good: int = 0
    total: int = 0
    worst: float = 0.0

    @property
    def share(self) -> float | None:
        """Return the good share; None of nothing."""
        return self.good / self.total if self.total else None


@dataclass(frozen=True)
class Disconnected:
    """People who were disconnected without a card that named them.

    `incidents`: how often; `uncounted`: how often without a known number. `since`: of the newest
    one ever recorded, or when recording began.
    """

    people: int = 0
    incidents: int = 0
    uncounted: int = 0
    since: float = 0.0


@dataclass(frozen=True)
class ServiceTime:
    """Seconds of a span: in service or closed by plan, out of service without one, unknown."""

    kept: float = 0.0
    unplanned: float = 0.0
    unknown: float = 0.0
    outages: int = 0

    @property
    def share(self) -> float | None:
        """Return the share of the known time that was not an outage."""
        known = self.kept + self.unplanned
        return self.kept / known if known else None


@dataclass(frozen=True)
class Answers:
    """How long people took to answer, in seconds, sorted; and how often no one did."""

    seconds: tuple[float, ...] = ()
    unanswered: int = 0
    within: int = 0

    @property
    def total(self) -> int:
        """How many answers were needed."""
        return len(self.seconds) + self.unanswered

    @property
    def share(self) -> float | None:
        """Return the share that was answered in time."""
        return self.within / self.total if self.total else None

    def quantile(self, share: float) -> float | None:
        """Return the time within which this share of the answers came; None without any."""
        if not self.seconds:
            return None
        return self.seconds[max(0, math.ceil(share * len(self.seconds)) - 1)]


@dataclass(frozen=True)
class SloReport:
    """A cluster's span of time. `known_from`: what happened before is not known any more."""

    cluster: str
    span: Span
    objectives: Objectives
    known_from: float
    ready: Kept = Kept()
    unattended: Kept = Kept()
    disconnected: Disconnected = Disconnected()
    service: ServiceTime = ServiceTime()
    answers: Answers = Answers()
    unread: int = 0  # runs that could not be read

    @property
    def shares(self) -> dict[str, tuple[float | None, float]]:
        """Return by objective the good share, None where nothing is known, and the target."""
        wanted = self.objectives
        return {
            "ready": (self.ready.share, wanted.ready),
            "unattended": (self.unattended.share, wanted.unattended),
            "service": (self.service.share, wanted.service),
            "answers": (self.answers.share, wanted.answers),
        }

    @property
    def counts(self) -> dict[str, tuple[float, float]]:
        """Return by objective how many events there were, and how many were not good."""
        service, answers = self.service, self.answers
        return {
            "ready": (self.ready.total, self.ready.total - self.ready.good),
            "unattended": (self.unattended.total, self.unattended.total - self.unattended.good),
            "service": (service.kept + service.unplanned, service.unplanned),
            "answers": (answers.total, answers.total - answers.within),
        }

    @property
    def missed(self) -> tuple[str, ...]:
        """Return the objectives that are missed."""
        names = [
            n for n, (share, target) in self.shares.items() if share is not None and share < target
        ]
        if self.disconnected.people or self.disconnected.uncounted:
            names.append("disconnected")
        return tuple(names)


@dataclass(frozen=True)
class Wait:
    """How long something waited for a person. `answered` None: an answer became unnecessary."""

    since: float
    until: float
    answered: bool | None


@dataclass(frozen=True)
class RunFacts:
    """What promises are measured by, of one run. Times in epoch seconds.

    `ended` None: it is open. `called_off`: a person cancelled it. `pauses`: of its driving.
    `unnamed`: when it disconnected people beyond its cards, and how many; None: not counted.
    """

    opened: float
    ended: float | None
    state: State
    closes: bool = False
    opens: bool = False
    down: bool = False
    edge: str = ""
    by: float = 0.0
    called_off: bool = False
    waits: tuple[Wait, ...] = ()
    unnamed: tuple[tuple[float, int | None], ...] = ()
    pauses: tuple[tuple[float, float], ...] = ()

    @property
    def done(self) -> bool:
        """Return whether it did what was planned."""
        return self.state is State.DONE


def run_facts(run: Run, events: Sequence[Event]) -> RunFacts:
    """Return the facts of a run. `events`: all of them."""
    by = run.ended_by
    return RunFacts(
        run.opened_at,
        run.ended_at if run.over else None,
        run.state,
        isinstance(run.plan.procedure, Shutdown),
        isinstance(run.plan.procedure, Startup),
        run.plan.effects.down,
        run.edge,
        run.by,
        run.state is State.CANCELLED and by is not None and not by.is_window,
        tuple(waits(events)),
        tuple(unnamed(events)),
        tuple(_pauses(events)),
    )


def measure(
    name: str,
    span: Span,
    runs: Iterable[RunFacts],
    records: Sequence[PromiseRecord],
    objectives: Objectives,
    now: float,
    known_from: float = 0.0,
    unread: int = 0,
) -> SloReport:
    """Return how well promises were kept. `runs`: every one that is known, in any order."""
    ordered = sorted(runs, key=lambda r: r.opened)
    outages = list(_outages(records, planned(ordered, records, now), now))
    return SloReport(
        name,
        span,
        objectives,
        known_from,
        _ready(span, ordered, records, now),
        _unattended(span, ordered, records, now),
        _disconnected(span, ordered, outages, known_from),
        _service(span, records, outages, now),
        _answers(span, ordered, records, objectives, now),
        unread,
    )


# Ready by


def _ready(
    span: Span, runs: Sequence[RunFacts], records: Iterable[PromiseRecord], now: float
) -> Kept:
    startups = [r for r in runs if r.opens]
    openings = {r.edge: r for r in startups if r.edge and r.by}
    good, late = 0, list[float]()
    for run in openings.values():
        deadline = run.by + PUNCTUAL
        if not span.has(run.by):
            continue
        if opening_kept(run, startups):
            good += 1
        elif run.called_off and (run.ended or 0.0) <= deadline:
            continue
        elif now > deadline:
            late.append((run.ended if run.done and run.ended else now) - run.by)
    missed = {r.edge for r in records if r.what == "missed" and OPENS in r.edge and span.has(r.at)}
    missed -= set(openings)
    return Kept(good, good + len(late) + len(missed), max(late, default=0.0))


def opening_kept(run: RunFacts, startups: Iterable[RunFacts]) -> bool:
    """Return whether a start-up that began with this opening, or after it, was done in time."""
    return any(
        other.done
        and other.opened >= run.opened
        and other.ended is not None
        and other.ended <= run.by + PUNCTUAL
        for other in startups
    )


# Closings without a question


def _unattended(
    span: Span, runs: Iterable[RunFacts], records: Iterable[PromiseRecord], now: float
) -> Kept:
    asked = {r.edge: r for r in records if r.what == "asked"}
    good = total = 0
    for run in runs:
        if not run.edge or not run.closes:
            continue
        edge_asked = asked.pop(run.edge, None) is not None
        if run.ended is None or not span.has(run.ended):
            continue
        verdict = closed_alone(run, asked=edge_asked)
        good += verdict is True
        total += verdict is not None
    unanswered = [r for r in asked.values() if r.until <= now and span.has(r.until)]
    return Kept(good, total + len(unanswered))


def closed_alone(run: RunFacts, *, asked: bool) -> bool | None:
    """Return whether a closing needed no person; None where it was cancelled without a question."""
    if asked or any(w.answered is not None for w in run.waits):
        return False
    if run.state is State.CANCELLED:
        return None
    return run.done


# Answers


def waits(events: Iterable[Event]) -> Iterator[Wait]:
    """Yield each time a run waited for a person, once it is over."""
    since: float | None = None
    default = ""
    for event in events:
        answered: bool | None = None
        match event:
            case Questioned():
                since = event.at if since is None else since
                default = event.question.default
                continue
            case Stopped():
                since = event.at if since is None else since
                continue
            case Answered(by=None):
                answered = False if event.choice and event.choice == default else None
            case Answered() | Resumed():
                answered = True
            case CancelAsked():
                answered = not event.by.is_window
            case Ended():
                answered = None if event.by is None else not event.by.is_window
            case _:
                continue
        if since is not None:
            yield Wait(since, event.at, answered)
            since = None


def _answers(
    span: Span,
    runs: Iterable[RunFacts],
    records: Sequence[PromiseRecord],
    objectives: Objectives,
    now: float,
) -> Answers:
    found = [w for run in runs for w in run.waits]
    found += [Wait(r.since, r.at, r.state == ANSWERED) for r in records if r.what == "request"]
    answered_at = {r.edge: r.at for r in records if r.what == "answered"}
    for record in records:
        if record.what != "asked":
            continue
        if record.edge in answered_at:
            found.append(Wait(record.at, answered_at[record.edge], answered=True))
        elif record.until <= now:
            found.append(Wait(record.at, record.until, answered=False))
    seen = [w for w in found if w.answered is not None and span.has(w.until)]
    seconds = sorted(w.until - w.since for w in seen if w.answered)
    return Answers(
        tuple(seconds),
        sum(w.answered is False for w in seen),
        sum(s <= objectives.answer_seconds for s in seconds),
    )


# People disconnected


def _disconnected(
    span: Span, runs: Iterable[RunFacts], outages: Iterable["Outage"], known_from: float
) -> Disconnected:
    """Add up what no card named: in runs, and when the service was lost without a plan."""
    found = [at_and_people for run in runs for at_and_people in run.unnamed]
    found += [(o.since, o.people) for o in outages if o.begins and o.people != 0]
    here = [people for at, people in found if span.has(at)]
    newest = max((at for at, _ in found), default=known_from)
    return Disconnected(
        sum(people or 0 for people in here),
        len(here),
        sum(people is None for people in here),
        newest,
    )


def unnamed(events: Iterable[Event]) -> list[tuple[float, int | None]]:
    """Return when a run disconnected people beyond its cards, and how many; None: not counted.

    Repeated requests are about the same people: the most that were seen at once count.
    """
    most, at, uncounted = 0, 0.0, list[float]()
    for event in events:
        match event:
            case Asked(ends=ends) if ends is not None:
                if ends.people is None or ends.named is None:
                    uncounted.append(event.at)
                elif ends.people - ends.named > most:
                    most, at = ends.people - ends.named, event.at
            case Noted(disconnects=True):
                uncounted.append(event.at)
    counted: list[tuple[float, int | None]] = [(at, most)] if most else []
    return counted + [(moment, None) for moment in uncounted[:1]]


# Time without service


@dataclass(frozen=True)
class Outage:
    """A part of a time out of service that no plan explains.

    `begins`: the service was lost with it. `people`: in meetings then; None: not counted.
    """

    since: float
    until: float
    begins: bool
    people: int | None


def planned(
    runs: Sequence[RunFacts], records: Iterable[PromiseRecord], now: float
) -> list[tuple[float, float]]:
    """Return the times in which the cluster may be out of service, by approved plans.

    From a shutdown to the opening that is promised after it, and while a run with downtime is
    driven; while such a run is paused, its plan says nothing. A start-up explains no outage: it
    ends one. `runs`: in order.
    """
    found = list[tuple[float, float]]()
    missed = [r.at for r in records if r.what == "missed" and OPENS in r.edge]
    for number, run in enumerate(runs):
        ended = now if run.ended is None else run.ended
        if run.closes:
            until = ended
            if run.done or run.ended is None:
                opened = _opened_after(runs[number + 1 :], now)
                until = min([opened, *(m for m in missed if m > ended)])
            found.append((run.opened, max(until, ended)))
        elif run.down and not run.opens:
            found += subtract(run.opened, ended, run.pauses)
    return found


def _opened_after(later: Iterable[RunFacts], now: float) -> float:
    """Return when a closing ended: its start-up was done, or should have been."""
    moments = [now]
    for run in later:
        if run.opens and run.by:
            moments.append(run.by)
        if run.opens and run.done and run.ended is not None:
            moments.append(run.ended)
    return min(moments)


def _pauses(events: Iterable[Event]) -> Iterator[tuple[float, float]]:
    """Yield from when to when a run was paused; the end of a run that stays paused is far away."""
    since: float | None = None
    for event in events:
        if isinstance(event, Stopped) and since is None:
            since = event.at
        elif isinstance(event, Resumed) and since is not None:
            yield since, event.at
            since = None
    if since is not None:
        yield since, math.inf


def states(
    records: Iterable[PromiseRecord], now: float
) -> Iterator[tuple[str, float, float, int | None]]:
    """Yield each observed state with when it began and ended, and who was in meetings then."""
    seen = [r for r in records if r.what == "service"]
    ends = [*(r.since for r in seen[1:]), now]
    for record, until in zip(seen, ends, strict=False):
        if until > record.since:
            yield record.state, record.since, until, record.people


def _outages(
    records: Sequence[PromiseRecord], plans: Sequence[tuple[float, float]], now: float
) -> Iterator[Outage]:
    for state, since, until, people in states(records, now):
        if state != OUT:
            continue
        for start, end in subtract(since, until, plans):
            yield Outage(start, end, start == since, people)


def subtract(
    since: float, until: float, taken: Iterable[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Return what is left of a time without these others."""
    left = [(since, until)]
    for a, b in taken:
        left = [
            part
            for start, end in left
            for part in ((start, min(end, a)), (max(start, b), end))
            if part[0] < part[1]
        ]
    return left


def _service(
    span: Span, records: Sequence[PromiseRecord], outages: Iterable[Outage], now: float
) -> ServiceTime:
    until = min(span.until, now)
    spent = {IN: 0.0, OUT: 0.0, UNKNOWN: 0.0}
    for state, a, b, _ in states(records, now):
        spent[state] += _overlap(a, b, span.since, until)
    unplanned = [_overlap(o.since, o.until, span.since, until) for o in outages]
    lost = sum(unplanned)
    return ServiceTime(
        spent[IN] + spent[OUT] - lost,
        lost,
        max(0.0, until - span.since - spent[IN] - spent[OUT]),
        sum(seconds > 0 for seconds in unplanned),
    )


def _overlap(a: float, b: float, since: float, until: float) -> float:
    return max(0.0, min(b, until) - max(a, since))
