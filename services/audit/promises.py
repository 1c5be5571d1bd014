"""How well promises were kept, read from the audit alone: a second opinion. Pure.

It shares no code with the first reading (`services/schedule/slo.py`), which is made from journals,
so that a mistake in one of them shows. It walks over the entries once, in their order.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

from services.audit.entries import AuditAction, Entry

LATE = 60.0  # seconds after the promised time in which a cluster is ready in time
READY_BY = re.compile(r"; ready by (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")
FOR_EDGE = re.compile(r" for window edge (\S+?)(?=;|$)")
UNTIL = re.compile(r"until (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")
APPROVALS = re.compile(r": \d+ of (\d+) approvals?\b")
STATE = re.compile(r"(?P<state>.+) since (?P<at>[\d-]+ [\d:]+) UTC(?:; people: (?P<people>\w+))?")
COUNTED = re.compile(r"(?:people|named): (\d+)")
DOWN = "; out of service meanwhile"


@dataclass(frozen=True)
class AuditedPromises:
    """What the audit says about a span of time. Seconds are whole.

    `answers`: how long each answer took, sorted. `since`: from when on the audit says enough.
    """

    since: float = 0.0
    ready: tuple[int, int] = (0, 0)  # kept, of so many
    unattended: tuple[int, int] = (0, 0)
    people: int = 0
    uncounted: int = 0
    unplanned: int = 0
    outages: int = 0
    answers: tuple[int, ...] = ()
    unanswered: int = 0


@dataclass
class _Run:
    """A run as its entries tell it."""

    opened: float
    command: str
    edge: str
    by: float
    down: bool
    ended: float | None = None
    how: str = ""
    ender: str = ""
    waiting: float | None = None
    needed: bool = False  # a person, or their silence, decided about it
    paused: list[list[float]] = field(default_factory=list)
    excess: int = 0
    excess_at: float = 0.0
    uncounted: float | None = None

    def closes(self) -> bool:
        return self.command.split(":")[0].split()[0] == "shutdown"

    def opens(self) -> bool:
        return self.command.split(":")[0].split()[0] == "startup"


@dataclass
class _Book:
    """Everything that was read so far."""

    runs: dict[str, _Run] = field(default_factory=dict)
    requests: dict[str, tuple[float, str]] = field(default_factory=dict)
    asked: dict[str, tuple[float, float]] = field(default_factory=dict)
    replied: set[str] = field(default_factory=set)
    missed: dict[str, float] = field(default_factory=dict)
    service: list[tuple[float, str, int | None]] = field(default_factory=list)
    # When an answer came, or was given up; how long it took; whether a person gave it.
    answers: list[tuple[float, float, bool]] = field(default_factory=list)


def audited(entries: Iterable[Entry], since: float, until: float, now: float) -> AuditedPromises:
    """Return what a chain's entries, oldest first, say about a span of time."""
    book = _Book()
    for entry in entries:
        _enter(book, entry)
    for _edge, (at, end) in book.asked.items():
        if _edge not in book.replied and end <= now:
            book.answers.append((end, end - at, False))
    inside = sorted((e for e in book.answers if since <= e[0] < until), key=lambda e: e[1])
    outages = _outages(book, now)
    lost = [p for at, _, p, is_first in outages if is_first and p != 0 and since <= at < until]
    runs = list(book.runs.values())
    over = [r for r in runs if r.excess and since <= r.excess_at < until]
    blind = [r for r in runs if r.uncounted is not None and since <= r.uncounted < until]
    clipped = [min(b, until, now) - max(a, since) for a, b, _, _ in outages]
    return AuditedPromises(
        min((at for at, _, _ in book.service), default=0.0),
        _ready(book, since, until, now),
        _unattended(book, since, until, now),
        sum(r.excess for r in over) + sum(p or 0 for p in lost),
        len(blind) + sum(p is None for p in lost),
        round(sum(s for s in clipped if s > 0)),
        sum(s > 0 for s in clipped),
        tuple(round(took) for _, took, by_person in inside if by_person),
        sum(not by_person for _, _, by_person in inside),
    )


def _enter(book: _Book, entry: Entry) -> None:
    run = book.runs.get(entry.about)
    match entry.what:
        case AuditAction.OPENED:
            book.runs[entry.about] = _opened(entry)
        case _ if run is not None:
            _enter_run(book, run, entry)
        case AuditAction.WAITS:
            end = UNTIL.search(entry.after)
            book.asked[entry.about] = (entry.at, _time(end[1]) if end else entry.at)
        case AuditAction.CLOSING if entry.about in book.asked:
            book.replied.add(entry.about)
            book.answers.append((entry.at, entry.at - book.asked[entry.about][0], True))
        case AuditAction.MISSED:
            book.missed.setdefault(entry.about, entry.at)
        case AuditAction.SERVICE:
            said = STATE.fullmatch(entry.after)
            if said:
                people = said["people"]
                number = int(people) if people and people.isdigit() else None
                book.service.append((_time(said["at"]), said["state"], number))
        case _:
            _request(book, entry)


def _enter_run(book: _Book, run: _Run, entry: Entry) -> None:
    window = entry.user.startswith(("window:", "backups:"))
    match entry.what:
        case AuditAction.WAITS:
            run.waiting = entry.at if run.waiting is None else run.waiting
            if entry.after.startswith("paused: "):
                run.paused.append([entry.at, float("inf")])
        case AuditAction.SETTLED:
            by_default = entry.after.startswith("default: ")
            _over(book, run, entry.at, answered=False if by_default else None)
        case AuditAction.ANSWERED:
            _over(book, run, entry.at, answered=True)
        case AuditAction.RESUMED:
            _over(book, run, entry.at, answered=True)
            run.paused[-1:] = [[pause[0], entry.at] for pause in run.paused[-1:]]
        case AuditAction.CANCELLED:
            _over(book, run, entry.at, answered=not window)
        case AuditAction.ENDED:
            _over(book, run, entry.at, answered=(not window) if entry.user else None)
            run.ended, run.ender, run.how = entry.at, entry.user, entry.after.partition(":")[0]
        case AuditAction.ENDS_MEETINGS:
            _disconnects(run, entry)


def _opened(entry: Entry) -> _Run:
    by, edge = READY_BY.search(entry.after), FOR_EDGE.search(entry.after)
    return _Run(
        entry.at,
        entry.after,
        edge[1] if edge else "",
        _time(by[1]) if by else 0.0,
        entry.after.endswith(DOWN),
    )


def _request(book: _Book, entry: Entry) -> None:
    """Note a request that needs approval, and its first final answer."""
    if entry.about.startswith("in."):
        return  # a part of a batch, which is approved as a whole
    if entry.what == AuditAction.ASKED:
        if APPROVALS.search(entry.after):
            book.requests[entry.about] = (entry.at, entry.user)
        return
    if entry.about not in book.requests:
        return
    at, requester = book.requests[entry.about]
    match entry.what:
        case AuditAction.APPROVED if not APPROVALS.search(entry.after):
            book.answers.append((entry.at, entry.at - at, True))
        case AuditAction.REJECTED:
            if entry.user and entry.user != requester:
                book.answers.append((entry.at, entry.at - at, True))
        case AuditAction.EXPIRED:
            book.answers.append((entry.at, entry.at - at, False))
        case AuditAction.EASED | AuditAction.SUPERSEDED | AuditAction.STARTED:
            pass
        case _:
            return
    del book.requests[entry.about]


def _over(book: _Book, run: _Run, at: float, *, answered: bool | None) -> None:
    """End a wait of a run: by a person, by no one, or because it became unnecessary."""
    if run.waiting is None:
        return
    if answered is not None:
        book.answers.append((at, at - run.waiting, answered))
        run.needed = True
    run.waiting = None


def _time(text: str) -> float:
    return datetime.strptime(f"{text} +0000", "%Y-%m-%d %H:%M:%S %z").astimezone(UTC).timestamp()


def _disconnects(run: _Run, entry: Entry) -> None:
    people, named = COUNTED.search(entry.after), COUNTED.search(entry.before)
    if people is None or named is None:
        run.uncounted = entry.at if run.uncounted is None else run.uncounted
    elif int(people[1]) - int(named[1]) > run.excess:
        run.excess, run.excess_at = int(people[1]) - int(named[1]), entry.at


def _ready(book: _Book, since: float, until: float, now: float) -> tuple[int, int]:
    kept = total = 0
    promised = {run.edge: run for run in book.runs.values() if run.edge and run.by}
    for run in promised.values():
        deadline = run.by + LATE
        ends = [
            other.ended
            for other in book.runs.values()
            if other.opens() and other.how == "done" and other.opened >= run.opened
        ]
        if not since <= run.by < until:
            continue
        if any(end is not None and end <= deadline for end in ends):
            kept, total = kept + 1, total + 1
        elif run.how == "cancelled" and not run.ender.startswith("window:"):
            # A person called it off in time, or too late.
            total += run.ended is not None and run.ended > deadline
        elif now > deadline:
            total += 1
    for edge, at in book.missed.items():
        if "-open@" in edge and edge not in promised and since <= at < until:
            total += 1
    return kept, total


def _unattended(book: _Book, since: float, until: float, now: float) -> tuple[int, int]:
    kept = total = 0
    closings = [run for run in book.runs.values() if run.edge and run.closes()]
    for run in closings:
        if run.ended is None or not since <= run.ended < until:
            continue
        if run.needed or run.edge in book.asked:
            total += 1
        elif run.how != "cancelled":
            kept, total = kept + (run.how == "done"), total + 1
    begun = {run.edge for run in closings}
    for edge, (_, end) in book.asked.items():
        total += edge not in begun and end <= now and since <= end < until
    return kept, total


# Service


def _outages(book: _Book, now: float) -> list[tuple[float, float, int | None, bool]]:
    """Return times out of service that nothing explains: with the people then, if it is the first.

    Each time out of service is cut where anything happened, and each piece judged by its middle.
    """
    marks = {now, *book.missed.values()}
    for run in book.runs.values():
        marks |= {run.opened, run.ended or now, run.by}
        marks |= {moment for pause in run.paused for moment in pause}
    found: list[tuple[float, float, int | None, bool]] = []
    for number, (start, state, people) in enumerate(book.service):
        end = book.service[number + 1][0] if number + 1 < len(book.service) else now
        if state != "out of service":
            continue
        cuts = sorted({start, end, *(m for m in marks if start < m < end)})
        for a, b in pairwise(cuts):
            if _explained(book, (a + b) / 2, now):
                continue
            if found and found[-1][1] == a and found[-1][0] >= start:
                found[-1] = (found[-1][0], b, *found[-1][2:])
            else:
                found.append((a, b, people, a == start))
    return found


def _explained(book: _Book, at: float, now: float) -> bool:
    """Return whether an approved run says that the cluster may be out of service at that moment."""
    return any(_is_closed(book, run, at, now) or _works(run, at, now) for run in book.runs.values())


def _works(run: _Run, at: float, now: float) -> bool:
    """Return whether a run with downtime is being driven at that moment."""
    if not run.opened <= at < (run.ended or now):
        return False
    if run.closes():
        return True
    return run.down and not run.opens() and not any(a <= at < b for a, b in run.paused)


def _is_closed(book: _Book, run: _Run, at: float, now: float) -> bool:
    """Return whether a shutdown explains it: nothing that should have opened it came since."""
    if not run.closes() or at < run.opened or run.how not in ("", "done"):
        return False
    ended = run.ended or now
    if at < ended:
        return True
    for other in book.runs.values():
        if not other.opens() or other.opened < run.opened or other is run:
            continue
        done = other.ended if other.how == "done" else None
        promised = [moment for moment in (other.by or None, done) if moment is not None]
        if promised and min(promised) <= at:
            return False
    return not any(
        "-open@" in edge and ended < moment <= at for edge, moment in book.missed.items()
    )
