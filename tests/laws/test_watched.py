"""A step is late after it was watched for its time, not before, whatever happens in between."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.access.policy import Actor
from services.audit.chain import AuditChain
from services.cluster.model import Cluster, Fact, Load, NodeStatus, Timings
from services.common.clock import Clock, loop_clock
from services.common.errors import BadRecord, Rejected, Unreachable
from services.memory.cluster import ClusterMemory
from services.procedures import Procedure, Scale, Shutdown, Startup
from services.procedures.plan import make_plan
from services.runs.doubts import AGAIN, OVER, TIMES, Doubts, is_glitch
from services.runs.drain_ledger import DrainLedger
from services.runs.executor import Executor
from services.runs.journal import Journal
from services.runs.locks import Locks
from services.runs.room_messages import RoomMessages
from services.runs.run import Answered, Asked, Event, Opened, Questioned, Reached, Stopped, Taken
from services.runs.watched_time import GAP, Stopwatch, Watch
from services.store import Commit, Store
from services.store.keys import run_log_key
from tests.support import virtual
from tests.support.clusters import NOW, law, ready
from tests.support.crash_injector import CrashingStore, CrashInjector
from tests.support.instant_world import InstantWorld
from tests.support.memory_store import MemoryStore

ANA = Actor("UANA", "T0ACME")


@dataclass
class Seen:
    """The looks of one bot: when each began and came through, and when one did not."""

    came: list[tuple[float, float]] = field(default_factory=list)
    failed: list[float] = field(default_factory=list)

    def watched(self, since: float, until: float) -> float:
        """Seconds between two looks that came through with none between them that did not."""
        looks = [end for _, end in self.came if since <= end <= until]
        return sum(b - a for a, b in pairwise(looks) if not any(a <= f <= b for f in self.failed))


class Stubborn(InstantWorld):
    """Takes every order and does nothing, until it `obeys`. While `deaf` it answers nothing."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("acme", clock)
        self.deaf = self.obeys = False
        self.clock = clock
        self.seen = Seen()
        self.orders: list[float] = []
        self.restarts: list[float] = []
        self.hangs = False

    async def observe(
        self,
        needs: frozenset[Fact],
        since: float | None = None,
        *,
        tolerates: frozenset[Fact] = frozenset(),
        aged: frozenset[Fact] = frozenset(),
    ) -> Cluster:
        began = self.clock.now()
        cluster = await super().observe(needs, since, tolerates=tolerates, aged=aged)
        if self.deaf:
            self.seen.failed.append(self.clock.now())
            raise Unreachable("listing droplets: no connection")
        self.seen.came.append((began, self.clock.now()))
        return cluster

    async def set_target(self, number: int) -> None:
        self.orders.append(self.clock.now())
        if self.obeys:
            await super().set_target(number)

    async def signal(self, droplet_id: int, look: NodeStatus) -> None:
        """It does not hear."""

    async def restart_service(self, droplet_id: int) -> None:
        if self.hangs:
            await asyncio.sleep(1e6)
        self.restarts.append(self.clock.now())


class Lives:
    """One bot after the other on one state."""

    def __init__(self, clock: Clock, world: Stubborn) -> None:
        self.clock, self.world = clock, world
        self.store: Store = MemoryStore(clock)
        self.journal = Journal(self.store, clock)
        self.lives: list[Seen] = []

    async def opens(self, procedure: Procedure) -> None:
        plan = make_plan(self.world.cluster, procedure)
        assert await self.journal.open(Opened(self.clock.now(), "acme-1", plan, ANA, (), ""), None)

    async def lives_for(
        self, seconds: float, *, deaf: tuple[float, ...] = (), kindly: bool = False
    ) -> None:
        """A bot drives the run for that long.

        Then is killed, or stopped `kindly`; it may lose its sight.
        """
        life, worker = CrashInjector(), f"w{len(self.lives)}"
        self.world.seen, self.world.deaf = Seen(), False
        self.lives.append(self.world.seen)
        store = CrashingStore(self.store, life)
        memory = ClusterMemory(store, AuditChain(store, self.clock))
        parts = (
            Journal(store, self.clock),
            Locks(store, self.clock, worker),
            DrainLedger(store, self.clock),
            memory,
            self.clock,
        )
        outsides: Any = {"acme": self.world}
        rooms = RoomMessages(store, self.clock)
        executor = Executor(outsides, *parts, lambda _progress: None, lambda *_: "", rooms)
        drive = asyncio.create_task(executor.drive("acme-1"))
        end = self.clock.now() + seconds
        for pause in deaf:
            await asyncio.sleep(min(pause, max(0.0, end - self.clock.now())))
            self.world.deaf = not self.world.deaf
        await asyncio.sleep(max(0.0, end - self.clock.now()))
        if not kindly:
            life.crash()
        drive.cancel()
        with suppress(asyncio.CancelledError):
            await drive

    async def events(self) -> list[Event]:
        return await self.journal.events("acme-1")


seconds = st.sampled_from((1.0, 7.0, 25.0, 40.0, 70.0, 119.0, 130.0, 400.0))
absences = st.sampled_from((0.0, 3.0, 31.0, 120.0, 1200.0, 86400.0))
lives = st.lists(
    st.tuples(
        seconds,
        absences,
        st.lists(st.sampled_from((2.0, 11.0, 30.0, 90.0)), max_size=4).map(tuple),
        st.booleans(),
    ),
    max_size=5,
)


async def lived(
    world: Stubborn, many: list[tuple[float, float, tuple[float, ...], bool]], procedure: Procedure
) -> Lives:
    story = Lives(world.clock, world)
    await story.opens(procedure)
    for alive, away, deaf, kindly in many:
        await story.lives_for(alive, deaf=deaf, kindly=kindly)
        await asyncio.sleep(away)
    await asyncio.sleep(31.0)  # the last lease runs out
    await story.lives_for(1200.0)
    return story


@law
@given(lives)
def test_it_is_late_only_after_its_time_was_watched_and_asked_for_and_looked_at(
    many: list[tuple[float, float, tuple[float, ...], bool]],
) -> None:
    """A pool that never takes its number: two minutes."""

    async def story() -> None:
        world = Stubborn(loop_clock(NOW))
        bots = await lived(world, many, Scale(3))
        events = await bots.events()
        stopped = next(e for e in events if isinstance(e, Stopped))
        asked = [e.at for e in events if isinstance(e, Asked)]
        step = make_plan(ready(2), Scale(3)).steps[0]
        deadline = step.deadline(world.cluster)
        really = sum(life.watched(NOW, stopped.at) for life in bots.lives)
        assert really >= deadline - 0.001, "watched"
        looks = [began for life in bots.lives for began, end in life.came if end <= stopped.at]
        assert max(looks) > max(asked), "looked at after the last ask"
        last = max(e.at for e in events if isinstance(e, Taken) and e.at < stopped.at)
        assert any(at >= last for at in world.orders), "the bot that calls it late has asked for it"
        assert (
            "timed out after 2 min: still waiting for DigitalOcean to show 3 (shows 2)"
            in stopped.reason
        )

    virtual.run(story())


@law
@given(lives.filter(bool))
def test_what_is_so_when_a_bot_comes_back_is_reached_in_its_first_look(
    many: list[tuple[float, float, tuple[float, ...], bool]],
) -> None:
    async def story() -> None:
        world = Stubborn(loop_clock(NOW))
        story = Lives(world.clock, world)
        await story.opens(Scale(3))
        for alive, away, deaf, kindly in many:
            await story.lives_for(min(alive, 100.0), deaf=deaf, kindly=kindly)
            await asyncio.sleep(away)
        if any(isinstance(e, Stopped) for e in await story.events()):
            return
        world.obeys = True
        await world.set_target(3)  # what was asked for takes effect while no bot is there
        await asyncio.sleep(31.0)
        before = len(await story.events())
        await story.lives_for(20.0)
        taken, reached = (await story.events())[before : before + 2]
        assert isinstance(taken, Taken)
        assert reached == Reached(reached.at, 0, reached.basis)  # type: ignore[union-attr]
        assert reached.at - taken.at < 1.0

    virtual.run(story())


def test_a_default_answer_waits_until_people_could_have_seen_the_question() -> None:
    """A drain asks and gets no answer for half an hour: a day without a bot does not count."""

    async def story() -> None:
        world = Stubborn(loop_clock(NOW))
        world.cluster = ready(2, load=Load(1, 5, 0))
        bots = Lives(world.clock, world)
        await bots.opens(Shutdown(limit=600.0, gives_up=1800.0))
        await bots.lives_for(900.0)
        question = next(e for e in await bots.events() if isinstance(e, Questioned))
        await asyncio.sleep(86400.0)
        await bots.lives_for(600.0)
        assert not any(isinstance(e, Answered) for e in await bots.events()), "in the same breath"
        await asyncio.sleep(86400.0)
        await bots.lives_for(1200.0)
        answer = next(e for e in await bots.events() if isinstance(e, Answered))
        assert (answer.choice, answer.by) == ("up", None)
        assert answer.at - question.at > 2 * 86400.0

    virtual.run(story())


def test_a_nudge_that_a_bot_died_over_is_made_again_before_the_step_is_late() -> None:
    """A restart that was journaled and never sent is sent before the step is called late."""

    async def story() -> None:
        world = Stubborn(loop_clock(NOW))
        sick = tuple(replace(m, healthy=False) for m in world.cluster.masters)
        timings = Timings(masters_nudge=1000.0, masters_deadline=1200.0)
        world.cluster = replace(
            world.cluster, masters=sick, timings=timings, nodes_before_shutdown=2
        )
        bots = Lives(world.clock, world)
        await bots.opens(Startup())
        world.hangs = True
        await bots.lives_for(1020.0)
        assert [e.again for e in await bots.events() if isinstance(e, Asked)] == [1]
        assert world.restarts == []
        world.hangs = False
        await asyncio.sleep(31.0)
        await bots.lives_for(1000.0)
        stopped = next(e for e in await bots.events() if isinstance(e, Stopped))
        assert len(world.restarts) == 4, "each of them once"
        assert stopped.at - max(world.restarts) >= 120.0 - 1.0, "and got its usual time"

    virtual.run(story())


def test_more_time_that_people_gave_is_watched_time_too() -> None:
    """Wait 30 min more, an operator said; and then no bot was there for a day."""

    async def story() -> None:
        world = Stubborn(loop_clock(NOW))
        bots = Lives(world.clock, world)
        await bots.opens(Shutdown(limit=600.0))
        await bots.lives_for(700.0)
        run = await bots.journal.run("acme-1")
        assert run.question is not None
        assert await bots.journal.append_decision(
            run, Answered(world.clock.now(), run.question.id, "wait", ANA)
        )
        await asyncio.sleep(86400.0)
        await bots.lives_for(1700.0)
        assert (await bots.journal.run("acme-1")).question is None
        await asyncio.sleep(31.0)
        await bots.lives_for(200.0)
        assert (await bots.journal.run("acme-1")).question is not None

    virtual.run(story())


@pytest.mark.parametrize("kindly", [True, False])
def test_no_watched_time_is_lost_with_a_bot_but_what_it_had_not_noted(kindly: bool) -> None:
    """A crash loses at most ten watched seconds.

    A stop none: frequent restarts do not delay a deadline.
    """

    async def story() -> None:
        world = Stubborn(loop_clock(NOW))
        bots = Lives(world.clock, world)
        await bots.opens(Scale(3))
        for _ in range(4):
            await bots.lives_for(45.0, kindly=kindly)
            await asyncio.sleep(31.0)
        await bots.lives_for(10.0)
        takes = [e for e in await bots.events() if isinstance(e, Taken)]
        for n, take in enumerate(takes):
            really = sum(life.watched(NOW, take.at) for life in bots.lives[:n])
            assert take.watched <= really + 0.001
            assert really - take.watched <= (0.001 if kindly else 12.0 * n)

    virtual.run(story())


def test_a_bot_that_dies_over_every_ask_comes_to_an_end_all_the_same() -> None:
    """It lives for 20 s each time: no life is as long as the deadline."""

    async def story() -> None:
        world = Stubborn(loop_clock(NOW))
        bots = Lives(world.clock, world)
        await bots.opens(Scale(3))
        for lived in range(40):
            await bots.lives_for(20.0)
            await asyncio.sleep(31.0)
            if any(isinstance(e, Stopped) for e in await bots.events()):
                assert lived >= 5
                return
        raise AssertionError("it goes on for ever")

    virtual.run(story())


def test_a_journal_that_cannot_be_read_is_not_written_to() -> None:
    """A newer bot's record stops nothing: this bot asks for nothing because of it."""

    async def story() -> None:
        world = Stubborn(loop_clock(NOW))
        bots = Lives(world.clock, world)
        await bots.opens(Scale(3))
        poison = Commit(
            appends=[(run_log_key("acme-1"), json.dumps({"is": "FromTomorrow", "at": 0}))]
        )
        later = asyncio.create_task(_after(20.0, bots.store, poison))
        with pytest.raises(
            BadRecord, match=r"is of a newer openvidu-bot \(FromTomorrow is not known here\)"
        ):
            await bots.lives_for(4000.0)
        await later
        written = await bots.store.length(run_log_key("acme-1"))
        for _ in range(5):
            with pytest.raises(BadRecord, match="is of a newer openvidu-bot"):
                await bots.lives_for(60.0)
            await asyncio.sleep(31.0)
        assert await bots.store.length(run_log_key("acme-1")) == written

    virtual.run(story())


async def _after(seconds: float, store: Store, commit: Commit) -> None:
    await asyncio.sleep(seconds)
    await store.commit(commit)


# The clocks


moments = st.lists(
    st.tuples(st.sampled_from(("tick", "interrupt")), st.floats(0, 1000)), max_size=20
)


@law
@given(moments)
def test_a_stopwatch_counts_unbroken_rows_only(bots: list[tuple[str, float]]) -> None:
    clock, now, expected, row = Stopwatch(5.0), 100.0, 0.0, False
    for what, later in bots:
        now += later
        if what == "interrupt":
            clock.interrupt()
        else:
            clock.tick(5.0, now)
            expected += min(later, GAP) if row else 0.0
        row = what == "tick"
    assert clock.read(5.0) == pytest.approx(expected)
    assert clock.read(6.0) == 0.0, "something that began at another moment"


def test_a_clock_that_is_set_does_not_count() -> None:
    clock = Stopwatch(0.0)
    clock.tick(0.0, 100.0)
    clock.tick(0.0, 100.0 + 86400.0)
    assert clock.read(0.0) == GAP
    clock.tick(0.0, 50.0)
    assert clock.read(0.0) == GAP, "nor one that is set back"


@law
@given(st.lists(st.floats(0, 1e6), min_size=6, max_size=6))
def test_a_record_is_read_as_it_was_written(numbers: list[float]) -> None:
    watch = Watch()
    watch.step, watch.wait, watch.question = (
        Stopwatch(numbers[n], numbers[n + 1]) for n in (0, 2, 4)
    )
    assert Watch(watch.record()).record() == watch.record()
    assert Watch(Watch().record()).step.read(0.0) == 0.0


# Doubts


def test_a_doubt_is_believed_after_three_looks_over_a_minute() -> None:
    for pause, times in ((AGAIN, int(OVER / AGAIN) + 1), (OVER, TIMES), (1.0, int(OVER) + 1)):
        doubts = Doubts()
        said = [doubts.seen("look", NOW + n * pause) for n in range(times)]
        assert said == [False] * (times - 1) + [True], pause


def test_a_doubt_that_is_cleared_begins_anew_and_others_stay() -> None:
    doubts = Doubts()
    for n in range(3):
        doubts.seen("a", NOW + n * 20)
        doubts.seen("b", NOW + n * 20)
    doubts.cleared("a")
    assert doubts.seen("b", NOW + 60)
    assert not doubts.seen("a", NOW + 60)


@pytest.mark.parametrize(
    ("status", "glitch"),
    [
        (401, True),
        (403, True),
        (404, True),
        (500, True),
        (503, True),
        (400, False),
        (409, False),
        (422, False),
        (None, False),
    ],
)
def test_which_refusals_may_mean_nothing(status: int | None, glitch: bool) -> None:
    error: Any = Rejected("no", status=status)
    assert is_glitch(error) is glitch
