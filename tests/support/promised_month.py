"""Months of a cluster, written through the real journal, schedule and promise log.

Each seed is another month, with planted breaches. What was planted is counted here, apart from
both readings: `Month.planted`.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from services.access.policy import Actor
from services.cluster.model import Load
from services.common.clock import Clock
from services.memory.promise_records import IN, OUT
from services.memory.promises import PromiseLog
from services.memory.schedule import Announcement, ScheduleRepository
from services.procedures import Restart, Shutdown, Startup
from services.procedures.plan import Plan, make_plan
from services.runs.journal import Journal, to_text
from services.runs.locks import Locks
from services.runs.request import Request, RequestState
from services.runs.run import (
    Answered,
    Asked,
    CancelAsked,
    Ended,
    EndedMeetings,
    Event,
    Opened,
    Questioned,
    Resumed,
    Run,
    State,
    Stopped,
)
from services.steps import Choice, Question
from tests.support.clusters import down, elastic, ready
from tests.support.memory_store import MemoryStore

NAME = "acme"
ANA, BEN = Actor("UANA", "T0ACME"), Actor("UBEN", "T0ACME")
WINDOW = Actor("window:nights", name="window nights")
FIRST = 1_800_057_600.0  # a midnight in UTC
DAY, HOUR, MINUTE = 86400.0, 3600.0, 60.0
UNASKED = (Choice("wait", "Wait", wait=600.0), Choice("up", "Keep it up"))
CLOSING = make_plan(ready(2, rooms=1), Shutdown())
OPENING = make_plan(down(ready(2)), Startup())
RESTARTING = make_plan(elastic(), Restart("master"))


@dataclass
class Planted:
    """What both readings must find."""

    ready: list[int] = field(default_factory=lambda: [0, 0])
    unattended: list[int] = field(default_factory=lambda: [0, 0])
    people: int = 0
    uncounted: int = 0
    outages: int = 0
    unplanned: float = 0.0
    answers: list[float] = field(default_factory=list)
    unanswered: int = 0


class Month:
    """One month. `await Month(seed).play(days)` writes it."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(f"promises {seed}")
        self.at = FIRST
        self.clock = Clock(read=lambda: self.at, steady=lambda: self.at)
        self.store = MemoryStore(self.clock)
        self.journal = Journal(self.store, self.clock)
        self.log = PromiseLog(self.store, self.journal.chain)
        self.books = ScheduleRepository(self.store, self.journal.chain)
        self.locks = Locks(self.store, self.clock, "w1")
        self.planted = Planted()
        self.state, self.away = IN, False
        self._number = 0

    # Time and service

    async def until(self, at: float) -> None:
        """Let time pass; the service is observed meanwhile, unless no bot is there."""
        while self.at < at:
            self.at = min(at, self.at + 240.0)
            await self.look()

    async def look(self, people: int | None = 0) -> None:
        if not self.away:
            await self.log.observe(NAME, self.state, self.at, people)

    async def becomes(self, state: str, people: int | None = 0) -> None:
        self.state = state
        await self.look(people)

    # Runs

    async def opens_run(self, plan: Plan, edge: str = "", by: float = 0.0) -> Run:
        name, counter = await self.journal.next_name(NAME)
        who = WINDOW if edge else ANA
        opened = Opened(self.at, name, plan, who, (BEN,), "", edge=edge, by=by)
        assert await self.journal.open(opened, counter)
        return await self.journal.run(name)

    async def adds(self, run: Run, event: Event) -> Run:
        """Write what a worker did, which has the lease for that long only."""
        lease = await self.locks.take(run.id)
        assert lease is not None, "no other worker is there"
        run = await self.journal.append(run, event, lease)
        await lease.release()
        return run

    async def decides(self, run: Run, event: CancelAsked | Answered | Resumed | Ended) -> Run:
        assert await self.journal.append_decision(run, event)
        return await self.journal.run(run.id)

    async def ends(self, run: Run, how: State = State.DONE, by: Actor | None = None) -> Run:
        return await self.adds(run, Ended(self.at, how, "", by))

    async def questions(self, run: Run, *, default: str = "", stake: int = 0) -> Run:
        self._number += 1
        choices = (*UNASKED, Choice("force", "End meetings", skip=True, loses="meetings end"))
        question = Question(f"drain.{self._number}", "Now what?", choices, default=default)
        if stake:
            question = replace(question, stake=Load(2, stake, 0))
        return await self.adds(run, Questioned(self.at, question))

    async def answers(self, run: Run, choice: str, by: Actor | None, *, counts: bool = True) -> Run:
        assert run.question is not None
        waited = self.at - run.question_at
        event = Answered(self.at, run.question.id, choice, by)
        if by is None:
            return await self.adds(run, event)
        if counts:
            self.planted.answers.append(waited)
        return await self.decides(run, event)

    # What happens on a day

    async def play(self, days: int) -> "Month":
        await self.look()
        for day in range(days):
            begins = FIRST + day * DAY
            await self.until(begins + 9 * HOUR)
            await self.dice.choice(DAYTIME)(self)
            await self.until(begins + 20 * HOUR)
            closed = await self.dice.choice(EVENINGS)(self, f"nights-close@{day}T20:00")
            await self.until(begins + 31 * HOUR)
            if closed:
                await self.dice.choice(MORNINGS)(self, f"nights-open@{day}T07:30", begins)
        await self.until(FIRST + (days + 1) * DAY)
        return self


# Days


async def quiet(_: Month) -> None:
    """Nothing."""


async def outage(month: Month) -> None:
    """The service is lost without a plan, with people in meetings, or none, or not counted."""
    people = month.dice.choice((0, 3, None))
    lasts = float(month.dice.randint(2, 90) * 60)
    await month.becomes(OUT, people)
    await month.until(month.at + lasts)
    await month.becomes(IN)
    month.planted.outages += 1
    month.planted.unplanned += lasts
    month.planted.people += people or 0
    month.planted.uncounted += people is None


async def no_bot(month: Month) -> None:
    """No bot observes for hours: that time is unknown."""
    month.away = True
    await month.until(month.at + 3 * HOUR)
    month.away = False
    await month.look()


async def restarted(month: Month) -> None:
    """A restart with downtime, as planned; sometimes it pauses, and nothing explains that."""
    run = await month.opens_run(RESTARTING)
    await month.becomes(OUT)
    await month.until(month.at + 5 * MINUTE)
    if month.dice.random() < 0.5:
        run = await month.adds(run, Stopped(month.at, "no answer"))
        paused = float(month.dice.randint(1, 40) * 60)
        await month.until(month.at + paused)
        month.planted.outages += 1
        month.planted.unplanned += paused
        month.planted.answers.append(paused)
        run = await month.decides(run, Resumed(month.at, BEN, run.position))
        await month.until(month.at + 2 * MINUTE)
    await month.becomes(IN)
    await month.ends(run)


async def requested(month: Month) -> None:
    """A request that is approved, rejected, withdrawn, or that no one answers."""
    month._number += 1
    made = Request(f"r{month._number}", CLOSING, ANA, "", month.at, month.at + 1800, 1, "why")
    assert await month.journal.put_request(made, (await month.store.get("pending:acme"))[0])
    made = replace(made, text=to_text(made))
    state = month.dice.choice(("approved", "rejected", "withdrawn", "expired", "superseded"))
    waited = 1800.0 if state == "expired" else float(month.dice.randint(1, 1700))
    await month.until(month.at + waited)
    kind = RequestState("rejected" if state == "withdrawn" else state)
    by = {"approved": BEN, "rejected": BEN, "withdrawn": ANA}.get(state)
    if kind is RequestState.APPROVED:
        kind = RequestState.REJECTED if month.dice.random() < 0.3 else RequestState.APPROVED
    closed = made.closed(kind, month.at, by, run="acme-x")
    assert await month.journal.change_request(made, closed)
    if by is BEN:
        month.planted.answers.append(waited)
    month.planted.unanswered += state == "expired"


DAYTIME: list[Callable[[Month], Awaitable[None]]] = [
    quiet, quiet, outage, no_bot, restarted, requested
]  # fmt: skip


# Evenings: each returns whether it is closed


async def closes(month: Month, edge: str) -> bool:
    """A closing that needs no one."""
    run = await month.opens_run(CLOSING, edge)
    await month.until(month.at + 20 * MINUTE)
    await month.becomes(OUT)
    await month.ends(run)
    month.planted.unattended[0] += 1
    month.planted.unattended[1] += 1
    return True


async def in_time_after_all(month: Month, edge: str) -> bool:
    """The meetings end before anyone answers the question: no one was needed."""
    run = await month.opens_run(CLOSING, edge)
    run = await month.questions(run)
    await month.until(month.at + 10 * MINUTE)
    run = await month.answers(run, "", None)
    await month.becomes(OUT)
    await month.ends(run)
    month.planted.unattended[0] += 1
    month.planted.unattended[1] += 1
    return True


async def asks(month: Month, edge: str) -> bool:
    """A person answers, and ends meetings: with more people than the question named, or as many."""
    run = await month.opens_run(CLOSING, edge)
    run = await month.questions(run, stake=10)
    await month.until(month.at + month.dice.randint(1, 60) * MINUTE)
    run = await month.answers(run, "force", BEN)
    people = month.dice.choice((None, 10, 10, 13))
    run = await month.adds(run, Asked(month.at, run.position, 0, EndedMeetings(people, 10)))
    run = await month.adds(run, Asked(month.at, run.position, 1, EndedMeetings(people, 10)))
    month.planted.people += 3 if people == 13 else 0
    month.planted.uncounted += people is None
    await month.becomes(OUT)
    await month.ends(run)
    month.planted.unattended[1] += 1
    return True


async def gives_up(month: Month, edge: str) -> bool:
    """No one answers, and it stays in service."""
    run = await month.opens_run(CLOSING, edge)
    run = await month.questions(run, default="up")
    await month.until(month.at + 30 * MINUTE)
    run = await month.answers(run, "up", None)
    await month.ends(run, State.ROLLED_BACK)
    month.planted.unanswered += 1
    month.planted.unattended[1] += 1
    return False


async def cancelled(month: Month, edge: str) -> bool:
    """A person cancels it, unasked: no promise was made about that."""
    run = await month.opens_run(CLOSING, edge)
    await month.until(month.at + 2 * MINUTE)
    run = await month.decides(run, CancelAsked(month.at, ANA))
    await month.ends(run, State.CANCELLED, ANA)
    return False


async def abandoned(month: Month, edge: str) -> bool:
    """It pauses, and a person abandons it."""
    run = await month.opens_run(CLOSING, edge)
    run = await month.adds(run, Stopped(month.at, "no answer"))
    waited = float(month.dice.randint(1, 3000))
    await month.until(month.at + waited)
    await month.decides(run, Ended(month.at, State.ABANDONED, "", BEN))
    month.planted.answers.append(waited)
    month.planted.unattended[1] += 1
    return False


async def asks_first(month: Month, edge: str) -> bool:
    """The window asks before it closes: a person says yes, or no one answers."""
    asked = _announced(f"{edge}/ask", month.at + 1800.0)
    await month.books.edit(NAME, lambda b: b.with_announcement(asked))
    month.planted.unattended[1] += 1
    if month.dice.random() < 0.5:
        waited = float(month.dice.randint(1, 1700))
        await month.until(month.at + waited)
        await month.books.edit(
            NAME, lambda b: replace(b, answers=(*b.answers, (f"{edge}/ask", BEN)))
        )
        month.planted.answers.append(waited)
        run = await month.opens_run(CLOSING, edge)
        await month.until(month.at + 10 * MINUTE)
        await month.becomes(OUT)
        await month.ends(run)
        return True
    await month.until(month.at + 2000.0)
    missed = _announced(f"{edge}/missed", calls=True)
    await month.books.edit(NAME, lambda b: b.with_announcement(missed))
    month.planted.unanswered += 1
    return False


EVENINGS: list[Callable[[Month, str], Awaitable[bool]]] = [
    closes, closes, closes, in_time_after_all, asks, gives_up, cancelled, abandoned, asks_first
]  # fmt: skip


# Mornings


async def opens(month: Month, edge: str, begins: float) -> None:
    """It is ready in time."""
    await _opening(month, edge, begins, begins + 31.3 * HOUR)


async def opens_late(month: Month, edge: str, begins: float) -> None:
    """It is ready late, or within the minute that counts as in time."""
    await _opening(
        month, edge, begins, begins + 31.5 * HOUR + month.dice.choice((30, 61, 600, 5000))
    )


async def pauses(month: Month, edge: str, begins: float) -> None:
    """The start-up pauses; a person resumes it, too late."""
    by = begins + 31.5 * HOUR
    run = await month.opens_run(OPENING, edge, by)
    run = await month.adds(run, Stopped(month.at, "no capacity"))
    waited = by + 300.0 - month.at
    await month.until(month.at + waited)
    run = await month.decides(run, Resumed(month.at, BEN, run.position))
    month.planted.answers.append(waited)
    await month.until(month.at + 600.0)
    await _ready(month, run, by)


async def by_hand(month: Month, edge: str, begins: float) -> None:
    """No start-up begins; a person starts it."""
    await month.until(begins + 31.5 * HOUR + 70.0)
    missed = _announced(f"{edge}/missed", calls=True)
    await month.books.edit(NAME, lambda b: b.with_announcement(missed))
    since = month.at
    month.planted.ready[1] += 1
    await month.until(month.at + month.dice.randint(1, 120) * MINUTE)
    run = await month.opens_run(OPENING)
    await month.until(month.at + 10 * MINUTE)
    await month.becomes(IN)
    await month.ends(run)
    month.planted.outages += 1
    month.planted.unplanned += month.at - since


async def _opening(month: Month, edge: str, begins: float, ready_at: float) -> None:
    by = begins + 31.5 * HOUR
    run = await month.opens_run(OPENING, edge, by)
    await month.until(ready_at)
    await _ready(month, run, by)


async def _ready(month: Month, run: Run, by: float) -> None:
    await month.becomes(IN)
    await month.ends(run)
    month.planted.ready[0] += month.at <= by + 60.0
    month.planted.ready[1] += 1
    if month.at > by:
        month.planted.outages += 1
        month.planted.unplanned += month.at - by


MORNINGS: list[Callable[[Month, str, float], Awaitable[None]]] = [
    opens, opens, opens, opens_late, pauses, by_hand
]  # fmt: skip


def _announced(name: str, until: float = 0.0, *, calls: bool = False) -> Announcement:
    return Announcement(name, "text", until=until, calls=calls)
