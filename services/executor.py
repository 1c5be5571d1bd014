"""Drives runs: look, ask, look. The one waiting place; cancel, deadlines, questions and progress are written here once."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from services.clock import Clock
from services.cluster import Cluster, Fact
from services.drains import Drains
from services.errors import Refused, Rejected, Superseded, Unreachable
from services.fenced import FencedWorld, Outside
from services.journal import Journal
from services.locks import Keeping, Lease, Locks
from services.memory import Memory
from services.plan import make_plan
from services.runs import Answered, Asked, Ended, Event, Noted, Questioned, Reached, Recovering, Run, State, Stopped, Taken
from services.steps import Choice, Question, Step
from services.steps.base import duration

log = logging.getLogger(__name__)
EAGER = 0.1  # of the usual interval: the shortest
NEAR = 0.3
BLIND_LIMIT = 3600.0  # not seeing DigitalOcean for this long stops a run; shorter outages are waited out


@dataclass(frozen=True)
class Progress:
    """Where a run stands right now. Not journaled: the next look says it again."""

    run: Run
    cluster: Cluster | None
    waits_for: str
    until: float | None  # when people are asked, or the run stops
    trouble: str
    at: float


Watcher = Callable[[Progress], None]


class Executor:
    """Takes runs and walks them to an end that has a name."""

    def __init__(
        self, outsides: dict[str, Outside], journal: Journal, locks: Locks, drains: Drains, memory: Memory, clock: Clock, watch: Watcher
    ) -> None:
        self.outsides = outsides
        self.journal = journal
        self.locks = locks
        self.drains = drains
        self.memory = memory
        self.clock = clock
        self.watch = watch

    async def drive(self, run_id: str) -> None:
        """Drive a run until it ends, stops, or somebody else has it. Harmless when somebody else has it already."""
        lease = await self.locks.take(run_id)
        if lease is None:
            return
        try:
            async with Keeping(lease):
                run = await self.journal.run(run_id)
                if run.over or run.state is State.STOPPED:
                    return
                taken = Taken(self.clock.now(), self.locks.worker, lease.epoch, again=run.takes > 0)
                run = await self.journal.append(run, taken, lease)
                await _Drive(self, run, lease).walk()
        except Superseded as gone:
            log.info("%s: %s", run_id, gone)


class _Drive:
    """One worker driving one run."""

    def __init__(self, executor: Executor, run: Run, lease: Lease) -> None:
        self.run = run
        self._lease = lease
        self._x = executor
        self._outside = executor.outsides[run.cluster]
        self._clock = executor.clock
        self._journal = executor.journal
        self._cluster: Cluster | None = None
        self._looked_at: int | None = None  # the step that this look was for
        self._trouble = ""
        self._blind_since: float | None = None
        self._blind = 0.0
        self._seen = False  # whether this round has seen the cluster: an ask that nobody answers is no blindness
        self._seen_done: float | None = None
        self._reminded = 0.0
        self._redo: tuple[int, float] | None = None  # an ask whose answer was lost, and since when it may have taken effect

    # The walk

    async def walk(self) -> None:
        """Step after step, until the run ends or stops. An unreachable state store is waited for while the lease lasts."""
        self._tell()
        while not (self.run.over or self.run.state is State.STOPPED):
            try:
                await self._once()
            except Unreachable as error:
                self._see_nothing(error)
                if self._blind_for() > BLIND_LIMIT:
                    await self._append(Stopped(self._clock.now(), f"nobody answered for an hour: {error}"))
                    break
                self._tell()
                pause = error.again_in if error.again_in is not None else self._timings_look()
                await self._clock.sleep(min(max(pause, 1.0), 60.0))
            except (Rejected, Refused) as error:
                await self._append(Stopped(self._clock.now(), str(error)))
        self._tell()

    async def _once(self) -> None:
        self._seen = False
        self._lease.check()
        position = self.run.position
        self.run = await self._journal.refresh(self.run)
        if self.run.position != position:
            self._seen_done = self._redo = None
        step = self.run.step
        if self.run.over or self.run.state is State.STOPPED:
            return
        if step is None:
            await self._append(await self._end())
        elif self.run.leaving:
            await self._append(Ended(self._clock.now(), State.LEFT, self.run.leaving, self.run.left_by))
        elif self.run.cancel is not None and self._may_end(step):
            await self._append(Ended(self._clock.now(), State.CANCELLED, self._stays(), self.run.cancel))
        elif self._waits_for_people():
            await self._remind()
            await self._pause()
        else:
            await self._work(step)

    async def _end(self) -> Ended:
        if not self.run.recovering:
            return Ended(self._clock.now(), State.DONE, "")
        procedure = self.run.plan.procedure
        left = procedure.left(self.run.plan.basis, await self._outside.observe(procedure.looks_at))
        return Ended(self._clock.now(), State.ROLLED_BACK, "; ".join(t for t in (self.run.recovering, left) if t))

    def _may_end(self, step: Step) -> bool:
        """Whether a cancel may take effect here."""
        if self._waits_for_people():
            return True
        done = [s for i, s in enumerate(self.run.steps[: self.run.position]) if i not in self.run.skipped and s.leads_on]
        if self._cluster is None:
            between = bool(done) and done[-1] is self.run.steps[self.run.position - 1]
        else:
            between = any(s.is_done(self._cluster) for s in done)
        return not between and (step.breakable or self.run.asks == 0)

    def _waits_for_people(self) -> bool:
        return self.run.question is not None and not self.run.question.meanwhile

    async def _work(self, step: Step) -> None:
        before = self._cluster if self._looked_at == self.run.position else None
        cluster = await self._look(step)
        self._looked_at = self.run.position
        now = self._clock.now()
        if step.is_done(cluster):
            apart = step.apart(cluster)
            if step.twice and (self._seen_done is None or now - self._seen_done < apart):
                self._seen_done = self._seen_done if self._seen_done is not None else now
                await self._pause(apart - (now - self._seen_done))
                return
            await self._reached()
            return
        self._seen_done = None
        if other := self._others_did(step, before, cluster):
            await self._other_hand(f"somebody else changed {other}")
            return
        if not self.run.asks and (unproved := step.unproved(cluster)):
            self._seen = False
            raise Unreachable(f"{step.title()}: {unproved}")
        if objection := step.objection(cluster):
            await self._objected(f"{step.title()}: {objection}", step, cluster)
            return
        if self._redo is not None and self._late(step, cluster, now):
            # Looks come through and asks do not: that too has its end.
            await self._overdue(step, cluster)
            return
        again = self._due(step, cluster, now)
        if again is not None and not await self._ask(step, cluster, again):
            return
        if self._late(step, cluster, now):
            await self._overdue(step, cluster)
            return
        await self._remind()
        await self._pause()

    async def _reached(self) -> None:
        if self.run.question is not None:
            await self._append(Answered(self._clock.now(), self.run.question.id, "", None))
        self._seen_done = self._redo = None
        self._blind = 0.0
        # What the bot leaves behind; whatever else is different by now is somebody else's, and still to be noticed.
        basis = self._cluster.basis if self._cluster is not None and self.run.step is not None and self.run.step.edits else None
        remark = self.run.step.remark(self._cluster) if self.run.step is not None and self._cluster is not None else ""
        if remark and all(n.text != remark for n in self.run.notes):
            await self._append(Noted(self._clock.now(), remark))
        await self._append(Reached(self._clock.now(), self.run.position, basis))

    # Looking

    async def _look(self, step: Step) -> Cluster:
        since = self.run.asked_at if self.run.asks else None
        cluster = await self._outside.observe(step.needs, since)
        if cluster.problem:
            raise Refused(cluster.problem)
        self._cluster = await self._x.memory.add_to(cluster)
        self._seen = True
        if self._blind_since is not None:
            self._blind += self._clock.now() - self._blind_since
            self._blind_since = None
        self._trouble = ""
        return self._cluster

    def _see_nothing(self, error: Unreachable) -> None:
        self._trouble = str(error)
        if self._blind_since is None and not self._seen:
            self._blind_since = self._clock.now()

    def _blind_for(self) -> float:
        return 0.0 if self._blind_since is None else self._clock.now() - self._blind_since

    def _timings_look(self) -> float:
        return self._cluster.timings.look if self._cluster else 5.0

    # Asking

    def _due(self, step: Step, cluster: Cluster, now: float) -> int | None:
        """Which ask is due: 0 the first, 1 and up the nudges; None when there is nothing to ask for now."""
        if self._redo is not None:
            return self._redo[0] if step.wants(cluster, self._redo[0]) else None
        if self.run.asks == 0 and step.wants(cluster, 0):
            return 0
        nudge = step.nudge(cluster)
        if nudge is None or now - max(self.run.asked_at, self.run.step_began) < nudge:
            return None
        again = max(self.run.asks, 1)
        return again if step.wants(cluster, again) else None

    async def _ask(self, step: Step, cluster: Cluster, again: int) -> bool:
        """Journal it, then ask. False when the run took another way because of the answer."""
        since = self._redo[1] if self._redo else self.run.step_began if again == 0 and self.run.asked_at else None
        await self._append(Asked(self._clock.now(), self.run.position, again))
        hands = FencedWorld(self._outside, cluster, self._lease, self._x.drains, self._x.memory, since)
        try:
            await step.ask(hands, cluster, again)
            self._redo = None
        except Unreachable:
            self._redo = (again, self.run.step_began if again == 0 else since or self.run.asked_at)
            raise
        except Rejected as error:
            await self._refused(step, cluster, error)
            return False
        except Refused as error:
            await self._turned_down(f"{step.title()}: {error}", step)
            return False
        return True

    async def _turned_down(self, reason: str, step: Step) -> None:
        """Our own hands would not do it: most often because somebody else's were there since the look."""
        cluster = await self._look(step)
        other = "" if self.run.recovering or self.run.question else self.run.basis.changed(cluster.basis)
        if other:
            await self._other_hand(f"somebody else changed {other}")
        else:
            await self._stop(reason, step, cluster)

    async def _refused(self, step: Step, cluster: Cluster, error: Rejected) -> None:
        question = step.refused(cluster, error)
        if question is None:
            await self._stop(f"{step.title()}: {error}", step, cluster)
            return
        question = await self._rerouted(step, question)
        await self._append(Questioned(self._clock.now(), question))
        can_keep = any(c.id == "keep" for c in question.choices)
        if question.id == "zero-refused" and cluster.zero_policy == "keep_one" and can_keep:
            await self._append(Answered(self._clock.now(), question.id, "keep", None))
            await self._append(Noted(self._clock.now(), "DigitalOcean refused 0; the cluster's policy keeps 1 drained media node"))

    async def _rerouted(self, step: Step, question: Question) -> Question:
        """With one media node kept, the whole way on is another: whatever was to come after the pool's number comes after that too."""
        procedure = self.run.plan.procedure
        if all(c.id != "keep" for c in question.choices):
            return question
        cluster = await self._x.memory.add_to(await self._outside.observe(procedure.looks_at))
        try:
            plan = make_plan(replace(cluster, zero_refused=True, zero_policy="keep_one"), procedure, self._to_come())
        except Refused:
            return replace(question, choices=tuple(c for c in question.choices if c.id != "keep"))
        way = step.passes_on(plan.steps)
        return replace(question, choices=tuple(replace(c, steps=way) if c.id == "keep" else c for c in question.choices))

    def _to_come(self) -> tuple[Step, ...]:
        return self.run.steps[self.run.position :]

    # Deadlines and questions

    def _limit(self, step: Step, cluster: Cluster) -> float:
        return max(self.run.step_began + step.deadline(cluster) + self._blind, self.run.wait_until)

    def _late(self, step: Step, cluster: Cluster, now: float) -> bool:
        return self.run.question is None and now > self._limit(step, cluster)

    async def _overdue(self, step: Step, cluster: Cluster) -> None:
        question = step.question(cluster)
        now = self._clock.now()
        if question is not None:
            self._reminded = now
            await self._append(Questioned(now, question))
            return
        waited = duration(now - self.run.step_began)
        await self._stop(f"{step.title()}: not so after {waited}; still waiting for {step.waits_for(cluster)}", step, cluster)

    async def _stop(self, reason: str, step: Step, cluster: Cluster) -> None:
        """Go back to a safe state if the procedure knows a way; else stop and keep the cluster until a person decides."""
        procedure = self.run.plan.procedure
        if not self.run.recovering and Fact.POOL not in cluster.known:
            # The way back may lead over the media nodes, of which this look says nothing.
            cluster = await self._x.memory.add_to(await self._outside.observe(procedure.looks_at | cluster.known))
        now = self._clock.now()
        back = () if self.run.recovering else tuple(procedure.recover(cluster, step))
        basis = cluster.basis
        await self._append(Recovering(now, reason, back, basis) if back else Stopped(now, reason, basis))

    def _others_did(self, step: Step, before: Cluster | None, cluster: Cluster) -> str:
        """What another hand changed that this step rests on, in words; looked for until the step's own asks could be the reason."""
        if self.run.question is not None or self.run.recovering:
            return ""  # on the way back to a safe state nobody is asked
        if before is not None and (back := step.undone(before, cluster)):
            return back
        return "" if step.edits and self.run.asked_at else self.run.basis.changed(cluster.basis)

    async def _other_hand(self, what: str, *, objected: bool = False) -> bool:
        """It is not as it was planned for: nothing more is written until a person says how to go on.

        False, and nobody is asked, when something was `objected` to and the way from here would begin with an objection too.
        """
        procedure = self.run.plan.procedure
        cluster = await self._x.memory.add_to(await self._outside.observe(procedure.looks_at))
        choices = [Choice("stop", "Stop here", ends=f"stopped, because {what}")]
        try:
            plan = make_plan(cluster, procedure, self._to_come())
        except Refused as error:
            what += f" ({error})"
        else:
            if objected and plan.steps and plan.steps[0].objection(cluster):
                return False
            ways = " · ".join(s.title() for s in plan.steps) or "nothing is left to do"
            choices.insert(0, Choice("continue", "Go on from the new state", steps=plan.steps, basis=cluster.basis))
            what += f". From the new state it would be: {ways}"
        text = f"{what}. Nothing more was changed since."
        await self._append(Questioned(self._clock.now(), Question("other-hand", text, tuple(choices))))
        return True

    async def _objected(self, objection: str, step: Step, cluster: Cluster) -> None:
        """Something speaks against asking: often a node that somebody else brought, and then there is another way to the same end."""
        fresh = not (self.run.asked_at or self.run.recovering or self.run.question)
        if not (fresh and await self._other_hand(objection, objected=True)):
            await self._stop(objection, step, cluster)

    async def _remind(self) -> None:
        question, now = self.run.question, self._clock.now()
        if question is None or self._cluster is None:
            return
        if question.default and now - self.run.question_at >= question.default_after:
            await self._append(Answered(now, question.id, question.default, None))
            return
        if now - max(self._reminded, self.run.question_at) >= self._cluster.timings.drain_reminder:
            self._reminded = now
            await self._append(Noted(now, f"still waiting for an answer for {duration(now - self.run.question_at)}: {question.text}"))

    def _stays(self) -> str:
        return "; ".join(self.run.stays_done) or "nothing was changed"

    # Writing and telling

    async def _append(self, event: Event) -> None:
        self.run = await self._journal.append(self.run, event, self._lease)
        self._tell()

    def _tell(self) -> None:
        step, cluster = self.run.step, self._cluster
        waits, until = "", None
        if step is not None and cluster is not None and not self.run.over and step.needs <= cluster.known:
            waits = step.waits_for(cluster)
            until = self._limit(step, cluster)
        self._x.watch(Progress(self.run, cluster, waits, until, self._trouble, self._clock.now()))

    async def _pause(self, seconds: float | None = None) -> None:
        self._tell()
        step, cluster = self.run.step, self._cluster
        usual = _usual(step, cluster) if step is not None and cluster is not None and step.needs <= cluster.known else 0.0
        waited = self._clock.now() - max(self.run.step_began, self.run.asked_at)
        interval = self._outside.pace(rhythm(waited, usual, self._timings_look())) if seconds is None else max(seconds, 0.1)
        await self._clock.sleep(interval)


def _usual(step: Step, cluster: Cluster) -> float:
    """Seconds until a step is usually seen reached, for the first time where it must be seen twice."""
    return max(0.0, step.takes(cluster) - (step.apart(cluster) if step.twice else 0.0))


def rhythm(waited: float, takes: float, look: float) -> float:
    """Seconds to the next look: often at first and about when it usually happens, seldom between; a drain of an hour every twenty.

    Looked at in a fixed rhythm, a change is noticed half an interval late on average; asked every second all along, it would cost
    several times the requests.
    """
    most = look * (1 if waited < 60 else 3 if waited < 600 else 4)
    return max(look * EAGER, min(most, abs(takes - waited) * NEAR))
