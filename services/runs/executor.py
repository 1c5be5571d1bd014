"""Drives runs: look, ask, look. The one waiting place; cancel, deadlines, questions and progress are written here once."""

import logging
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from services.cloud.port import ClusterGateway
from services.cluster.model import NOTHING_KNOWN, Basis, Cluster, Fact
from services.common.bugs import Bugs
from services.common.clock import Clock
from services.common.errors import Refused, Rejected, Superseded, Unreachable
from services.common.observed import NotSeen
from services.common.text import duration
from services.memory.cluster import ClusterMemory
from services.procedures.plan import make_plan
from services.runs.doubts import Doubtful, Doubts, Outage, doubted, is_glitch
from services.runs.drain_ledger import DrainLedger
from services.runs.fence import RunFence
from services.runs.journal import Journal
from services.runs.locks import Lease, LeaseKeeper, Locks
from services.runs.run import (
    Answered,
    Asked,
    Ended,
    Event,
    Noted,
    Questioned,
    Reached,
    Recovering,
    Run,
    State,
    Stopped,
    Taken,
)
from services.runs.undone import taken_back
from services.runs.watched_time import Stopwatch, Watch
from services.steps import Choice, Effects, Question, Step

log = logging.getLogger(__name__)
EAGER = 0.1  # of the usual interval: the shortest
NEAR = 0.3
ANEW = "Press Resume to have it approved as it is now"
BLIND_LIMIT = (
    3600.0  # not seeing DigitalOcean for this long stops a run; shorter outages are waited out
)
NOTIFY_AFTER = 300.0  # an outage that lasts this long is posted, once
PROOF = "proof"  # what was looked for: that a step disconnects no one who is not on the card
BUG_PAUSE = 30.0
UNWATCHED = 60.0  # time that no bot watched is mentioned when it was more than this
bugs = Bugs(log)


@dataclass(frozen=True)
class Progress:
    """Where a run stands right now. Not journaled: the next look says it again."""

    run: Run
    cluster: Cluster | None
    waits_for: str
    until: float | None  # when people are asked, or the run stops
    trouble: str
    at: float
    watched: float | None = None  # seconds of the current step in which the cluster was seen


Watcher = Callable[[Progress], None]
Beyond = Callable[[Run, Step, Cluster, float], str]
"""Why a step must not be asked for at that moment, because what it does was not on the approved card; "" when it was."""


class Executor:
    """Takes runs and walks them to an end that has a name."""

    def __init__(
        self,
        outsides: dict[str, ClusterGateway],
        journal: Journal,
        locks: Locks,
        drains: DrainLedger,
        memory: ClusterMemory,
        clock: Clock,
        watch: Watcher,
        beyond: Beyond,
    ) -> None:
        self.outsides = outsides
        self.journal = journal
        self.locks = locks
        self.drains = drains
        self.memory = memory
        self.clock = clock
        self.watch = watch
        self.beyond = beyond

    async def drive(self, run_id: str) -> None:
        """Drive a run until it ends, stops, or somebody else has it. Harmless when somebody else has it already."""
        lease = await self.locks.take(run_id)
        if lease is None:
            return
        try:
            async with LeaseKeeper(lease):
                run = await self.journal.run(run_id)
                if run.over or run.state is State.STOPPED:
                    return
                watch = _watch(run, lease)
                watched = watch.step.read(run.step_began)
                taken = Taken(
                    self.clock.now(),
                    self.locks.worker,
                    lease.epoch,
                    again=run.takes > 0,
                    watched=watched,
                )
                run = await self.journal.append(run, taken, lease)
                await _Drive(self, run, lease, watch).walk()
        except Superseded as gone:
            log.info("%s: %s", run_id, gone)


def _watch(run: Run, lease: Lease) -> Watch:
    """The clocks as the bot before left them: in the record beside its lease, or else in the journal."""
    watch = Watch(lease.left)
    watch.step = Stopwatch(run.step_began, max(run.watched, watch.step.read(run.step_began)))
    lease.note = watch.record
    return watch


@dataclass
class _Here:
    """What a drive knows of the step it works on."""

    began: tuple[int, float]
    calm: Cluster | None = None  # the last look that nothing was wrong with
    suspect: str = ""  # what the last look seemed to show, until another one confirms it
    seen_done: float | None = None
    given_from: float | None = (
        None  # seconds watched when it was looked at first, or asked for: from then it gets its usual time
    )
    redo: tuple[int, float] | None = (
        None  # an ask that got no answer, and since when it may have taken effect
    )
    unanswered: str = ""  # why
    doubts: Doubts = field(default_factory=Doubts)
    outages: dict[Hashable, Outage] = field(
        default_factory=dict
    )  # of the journal, and of each kind of look
    bug: Outage = field(default_factory=Outage)


class _Drive:
    """One worker driving one run."""

    def __init__(self, executor: Executor, run: Run, lease: Lease, watch: Watch) -> None:
        self.run = run
        self._lease = lease
        self._x = executor
        self._outside = executor.outsides[run.cluster]
        self._clock = executor.clock
        self._journal = executor.journal
        self._watch = watch
        self._cluster: Cluster | None = None
        self._here = _Here((run.position, run.step_began))
        self._trouble = ""
        self._doubts = Doubts()
        self._doing: Hashable = None  # reading the journal, which look, or for which proof; None: something that is no looking
        self._seen = False  # whether this round has seen the cluster: an ask that nobody answers is no blindness
        self._read = False  # and has read the journal
        self._reminded = 0.0

    # The walk

    async def walk(self) -> None:
        """Step after step, until the run ends or stops. An unreachable state store is waited for while the lease lasts."""
        self._tell()
        while not self._finished():
            try:
                await self._once()
                self._here.bug.over()
            except Superseded:
                raise
            except Unreachable as error:
                await self._outage(error)
            except (Rejected, Refused) as error:
                await self._give_up(str(error))
            except (
                Exception
            ) as error:  # whatever it is, it stops this run only, and only after an hour
                if not self._read:
                    raise  # the journal itself: nothing can be written about that
                await self._internal(error)
        self._tell()

    def _finished(self) -> bool:
        return self.run.over or self.run.state is State.STOPPED

    async def _once(self) -> None:
        self._seen = self._read = False
        self._lease.check()
        self._doing = "journal"
        self.run = await self._journal.refresh(self.run)
        self._read = True
        if self._here.began != (self.run.position, self.run.step_began):
            self._here = _Here((self.run.position, self.run.step_began))
        self._came_through()
        if self.run.question is not None:
            self._watch.question.tick(self.run.question_at, self._clock.now())
        step = self.run.step
        if self._finished():
            return
        if step is None:
            await self._append(await self._end())
        elif self.run.leaving:
            await self._append(
                Ended(self._clock.now(), State.LEFT, self.run.leaving, self.run.left_by)
            )
        elif self.run.cancel is not None and self._may_end(step):
            await self._append(
                Ended(self._clock.now(), State.CANCELLED, self._stays(), self.run.cancel)
            )
        elif self._waits_for_people():
            self._watch.blind()
            await self._remind()
            await self._pause()
        else:
            await self._work(step)

    async def _end(self) -> Ended:
        if not self.run.recovering:
            return Ended(self._clock.now(), State.DONE, "")
        procedure = self.run.plan.procedure
        left = procedure.left(self.run.plan.basis, await self._observe(procedure.looks_at))
        return Ended(
            self._clock.now(),
            State.ROLLED_BACK,
            "; ".join(t for t in (self.run.recovering, left) if t),
        )

    def _may_end(self, step: Step) -> bool:
        """Whether a cancel may take effect here."""
        if self._waits_for_people():
            return True
        done = [
            s
            for i, s in enumerate(self.run.steps[: self.run.position])
            if i not in self.run.skipped and s.leads_on
        ]
        if self._cluster is None:
            between = bool(done) and done[-1] is self.run.steps[self.run.position - 1]
        else:
            between = any(s.is_done(self._cluster) for s in done)
        return not between and (step.breakable or self.run.asks == 0)

    def _waits_for_people(self) -> bool:
        return self.run.question is not None and not self.run.question.meanwhile

    async def _work(self, step: Step) -> None:
        """Look; what is reached is reached; what seems wrong is looked at twice; what may never have been asked for is; then it is late."""
        cluster, here = await self._look(step), self._here
        kind, words = self._wrong(step, cluster)
        if not kind and step.is_done(cluster):
            await self._seen_done(step, cluster)
            return
        here.seen_done = None
        if kind:
            await self._suspect(kind, words, step, cluster)
            return
        here.suspect, here.calm = "", cluster
        late, unsent = self._late(step, cluster), self._unsent(step, cluster)
        if late and unsent is None:
            await self._overdue(step, cluster)
            return
        again = unsent if late else self._due(step, cluster)
        if again is not None and (more := self._beyond_the_card(step, cluster)):
            await self._stop(f"{step.title()}: {more}", step, cluster)
            return
        if again is not None and not await self._ask(step, cluster, again):
            return
        await self._remind()
        await self._pause()

    def _beyond_the_card(self, step: Step, cluster: Cluster) -> str:
        """Why a step is not covered by what was approved; looked at once more before it is first asked for."""
        found = self._x.beyond(self.run, step, cluster, self._clock.now())
        self._doing = Fact.LOAD
        if found and isinstance(cluster.load, NotSeen) and self.run.shown.load is not None:
            raise Unreachable(
                f"{step.title()}: how many people it would disconnect is not seen ({cluster.load.reason})"
            )
        self._came_through()
        return f"{found}. {ANEW}" if found else ""

    async def _seen_done(self, step: Step, cluster: Cluster) -> None:
        here, now, apart = self._here, self._clock.now(), step.confirm_after(cluster)
        if step.is_sure(cluster) or (here.seen_done is not None and now - here.seen_done >= apart):
            await self._reached(step, cluster)
            return
        here.seen_done = here.seen_done if here.seen_done is not None else now
        await self._pause(apart - (now - here.seen_done))

    async def _reached(self, step: Step, cluster: Cluster) -> None:
        now = self._clock.now()
        if self.run.question is not None:
            await self._append(Answered(now, self.run.question.id, "", None))
        remark = step.remark(cluster)
        if remark and all(n.text != remark for n in self.run.notes):
            await self._append(Noted(now, remark))
        await self._append(Reached(now, self.run.position, _made(step, cluster)))

    # Looking

    async def _look(self, step: Step) -> Cluster:
        # Which droplets are on costs nothing to see, and shows whether an earlier goal still holds.
        cluster = await self._observe(
            step.needs | {Fact.DROPLETS}, self.run.asked_at if self.run.asks else None
        )
        if not self.run.asks and not step.is_done(cluster):
            self._doing = PROOF
            if unproved := step.unproved(cluster):
                raise Unreachable(f"{step.title()}: {unproved}")
            self._came_through()
        self._cluster, self._seen, self._trouble = cluster, True, ""
        now = self._clock.now()
        self._watch.step.tick(self.run.step_began, now)
        if self.run.wait_from:
            self._watch.wait.tick(self.run.wait_from, now)
        if self._here.given_from is None:
            self._here.given_from = self._watched()
        return cluster

    async def _observe(self, needs: frozenset[Fact], since: float | None = None) -> Cluster:
        """One look. That it is another cluster by now, or may not be looked at, is believed when several looks agree."""
        self._doing = needs
        try:
            # A step that is not about snapshots does not wait for their list.
            spared = frozenset({Fact.SNAPSHOTS}) - (
                self.run.step.needs if self.run.step is not None else frozenset()
            )
            cluster = await self._outside.observe(needs, since, tolerates=spared)
        except Rejected as error:
            if self._doubts.seen(needs, self._clock.now()):
                raise
            raise Doubtful(str(error)) from error
        if cluster.problem:
            if self._doubts.seen(needs, self._clock.now()):
                raise Refused(cluster.problem)
            raise Doubtful(doubted(cluster))
        self._doubts.cleared(needs)
        cluster = await self._x.memory.add_to(cluster)
        self._came_through()
        return cluster

    def _came_through(self) -> None:
        self._here.outages.pop(self._doing, None)
        self._doing = None

    def _watched(self) -> float:
        """Seconds that the current step was watched, by whichever bot."""
        return self._watch.step.read(self.run.step_began)

    def _timings_look(self) -> float:
        return self._cluster.timings.look if self._cluster else 5.0

    # What goes wrong

    async def _outage(self, error: Unreachable) -> None:
        """No answer, or a doubtful one: waited out, posted once, and ended after an hour without a look."""
        self._trouble = str(error)
        if not self._seen:
            self._watch.blind()
        if self._doing is not None and not isinstance(error, Doubtful):
            outage = self._here.outages.setdefault(self._doing, Outage())
            if outage.lasts(self._clock.now()) > BLIND_LIMIT:
                await self._give_up(f"no answer for an hour: {error}")
                return
            await self._post_outage(outage, str(error))
        self._tell()
        pause = error.again_in if error.again_in is not None else self._timings_look()
        await self._clock.sleep(min(max(pause, 1.0), 60.0))

    async def _internal(self, error: Exception) -> None:
        """An unexpected error, ours or because of an answer: like a look that did not come through."""
        step = self.run.step
        where = f"“{step.title()}”" if step is not None else "the end of the run"
        said = f"internal error {type(error).__name__} in {where}; this is a bug"
        bugs.note(f"{self.run.id}: internal error in {where}", error)
        self._trouble = said
        self._watch.blind()
        if self._here.bug.lasts(self._clock.now()) > BLIND_LIMIT:
            await self._give_up(f"for an hour: {said}")
            return
        await self._post_outage(self._here.bug, said)
        self._tell()
        await self._clock.sleep(BUG_PAUSE)

    async def _post_outage(self, outage: Outage, said: str) -> None:
        now = self._clock.now()
        if outage.notified or outage.lasts(now) < NOTIFY_AFTER:
            return
        text = f"still waiting: {said}. Nothing is asked for meanwhile; after an hour of this the run stops"
        with suppress(Unreachable):
            await self._append(Noted(now, text))
            outage.notified = True

    async def _give_up(self, reason: str) -> None:
        with suppress(Unreachable):  # the next round comes to the same
            await self._append(Stopped(self._clock.now(), reason))

    # Asking

    def _due(self, step: Step, cluster: Cluster) -> int | None:
        """Which ask is due: 0 the first, 1 and up the nudges; None when there is nothing to ask for now."""
        if self._here.redo is not None:
            return self._here.redo[0] if step.needs_ask(cluster, self._here.redo[0]) else None
        if self.run.asks == 0 and step.needs_ask(cluster, 0):
            return 0
        nudge = step.retry_after(cluster)
        if nudge is None or self._clock.now() - max(self.run.asked_at, self.run.step_began) < nudge:
            return None
        again = max(self.run.asks, 1)
        return again if step.needs_ask(cluster, again) else None

    def _unsent(self, step: Step, cluster: Cluster) -> int | None:
        """The ask that may never have been sent, because a bot died over it or none was there; None when every one was."""
        if self.run.asks == 0 and step.needs_ask(cluster, 0):
            return 0
        again = max(self.run.asks, 1)
        return again if self.run.unsure and step.needs_ask(cluster, again) else None

    def _since(self, again: int) -> float | None:
        """Since when an earlier ask for the same may have taken effect although its answer was lost."""
        if self._here.redo is not None:
            return self._here.redo[1]
        if not again:
            return self.run.step_began if self.run.asked_at else None
        return self.run.asked_at if self.run.unsure else None

    async def _ask(self, step: Step, cluster: Cluster, again: int) -> bool:
        """Journal it, then ask. False when the run took another way because of the answer."""
        since, here = self._since(again), self._here
        if self.run.unsure or not self.run.asks:
            here.given_from = self._watched()
        await self._append(Asked(self._clock.now(), self.run.position, again))
        fence = RunFence(cluster, self._lease, self._x.drains, self._x.memory)
        world = self._outside.writer(cluster, fence, since)
        # Until an answer came it may have taken effect, whatever comes instead of one.
        here.redo = (again, since or (self.run.step_began if again == 0 else self.run.asked_at))
        try:
            await step.ask(world, cluster, again)
        except Unreachable as error:
            here.unanswered = str(error)
            raise
        except Rejected as error:
            await self._said_no(step, cluster, error)
            return False
        except Refused as error:
            here.redo = None
            await self._turned_down(f"{step.title()}: {error}", step)
            return False
        here.redo, here.unanswered, here.doubts = None, "", Doubts()
        return True

    async def _said_no(self, step: Step, cluster: Cluster, error: Rejected) -> None:
        """A refusal that may be a glitch is asked about again, after a look each time."""
        if is_glitch(error) and not self._here.doubts.seen("ask", self._clock.now()):
            raise Doubtful(str(error)) from error
        self._here.redo = None
        await self._refused(step, cluster, error)

    async def _turned_down(self, reason: str, step: Step) -> None:
        """Our own hands would not do it: most often because somebody else's were there since the look."""
        cluster = await self._look(step)
        other = (
            ""
            if self.run.recovering or self.run.question
            else self.run.basis.changed(cluster.basis)
        )
        if other:
            await self._other_hand(f"somebody else changed {other}")
        else:
            await self._stop(reason, step, cluster)

    async def _refused(self, step: Step, cluster: Cluster, error: Rejected) -> None:
        question = step.refused(cluster, error)
        if question is None:
            await self._stop(f"{step.title()}: {error}", step, cluster)
            return
        question = self.run.asking(await self._rerouted(step, question))
        await self._append(Questioned(self._clock.now(), question))
        can_keep = any(c.id == "keep" for c in question.choices)
        if question.kind == "zero-refused" and cluster.zero_policy == "keep_one" and can_keep:
            await self._append(Answered(self._clock.now(), question.id, "keep", None))
            await self._append(
                Noted(
                    self._clock.now(),
                    "DigitalOcean refused 0; the cluster's policy keeps 1 drained media node",
                )
            )

    async def _rerouted(self, step: Step, question: Question) -> Question:
        """With one media node kept, the whole way on is another: whatever was to come after the pool's number comes after that too."""
        procedure = self.run.plan.procedure
        if all(c.id != "keep" for c in question.choices):
            return question
        cluster = await self._observe(procedure.looks_at)
        try:
            plan = make_plan(
                replace(cluster, zero_refused=True, zero_policy="keep_one"),
                procedure,
                self._to_come(),
            )
        except Refused:
            return replace(question, choices=tuple(c for c in question.choices if c.id != "keep"))
        way = step.passes_on(plan.steps)
        return replace(
            question,
            choices=tuple(replace(c, steps=way) if c.id == "keep" else c for c in question.choices),
        )

    def _to_come(self) -> tuple[Step, ...]:
        return self.run.steps[self.run.position :]

    # Deadlines and questions

    def _left(self, step: Step, cluster: Cluster) -> float:
        """Seconds still to be watched before it is late: what is left of its time, of what people gave, and of its usual time from now."""
        run, watched, deadline = self.run, self._watched(), step.deadline(cluster)
        here = self._here if self._here.began == (run.position, run.step_began) else None
        given = (
            watched - here.given_from if here is not None and here.given_from is not None else 0.0
        )
        left = [deadline - watched, min(step.expected_seconds(cluster), deadline) - given]
        if run.wait_from:
            left.append(run.wait_until - run.wait_from - self._watch.wait.read(run.wait_from))
        return max(left)

    def _late(self, step: Step, cluster: Cluster) -> bool:
        return self.run.question is None and self._left(step, cluster) < 0

    async def _overdue(self, step: Step, cluster: Cluster) -> None:
        question = step.question(cluster)
        if question is not None and any(c.loses for c in question.choices):
            # What a choice ends must stand on the card by both witnesses: LiveKit's count beside the nodes' own.
            cluster = await self._observe(step.needs | {Fact.LOAD})
            if step.is_done(cluster):
                return
            question = step.question(cluster)
        now = self._clock.now()
        if question is not None:
            self._reminded = now
            await self._append(Questioned(now, self.run.asking(question)))
            return
        watched = self._watched()
        unwatched = now - self.run.step_began - watched
        said = f"{step.title()} timed out after {duration(watched)}: still waiting for {step.waits_for(cluster)}"
        if self._here.unanswered:
            said += f". The last request got no answer ({self._here.unanswered})"
        if unwatched > UNWATCHED:
            said += f". Another {duration(unwatched)} are not counted: no bot saw the cluster"
        await self._stop(said, step, cluster)

    async def _stop(self, reason: str, step: Step, cluster: Cluster) -> None:
        """Go back to a safe state if the procedure knows a way; else stop and keep the cluster until a person decides."""
        procedure = self.run.plan.procedure
        if not self.run.recovering and Fact.POOL not in cluster.known:
            # The way back may lead over the media nodes, of which this look says nothing.
            cluster = await self._observe(procedure.looks_at | cluster.known)
        now = self._clock.now()
        back = () if self.run.recovering else tuple(procedure.recover(cluster, step))
        basis = cluster.basis
        await self._append(
            Recovering(now, reason, back, basis) if back else Stopped(now, reason, basis)
        )

    # Other hands

    def _wrong(self, step: Step, cluster: Cluster) -> tuple[str, str]:
        """What speaks against going on from this look, and in words; its kind is "" when nothing does."""
        lost = "" if self.run.question is not None else taken_back(self.run, cluster)
        if lost:
            return "lost", f"{lost}, and not by this run"
        if step.is_done(cluster):
            return "", ""
        if other := self._others_did(step, cluster):
            return "other", f"somebody else changed {other}"
        if objection := step.objection(cluster):
            return "objection", f"{step.title()}: {objection}"
        return "", ""

    async def _suspect(self, kind: str, words: str, step: Step, cluster: Cluster) -> None:
        """Nothing is asked for any more; when a second look shows it too, it is acted on."""
        here = self._here
        if here.suspect != kind:
            here.suspect = kind
            await self._pause(self._timings_look())
        elif kind == "objection":
            await self._objected(words, step, cluster)
        elif kind == "other":
            await self._other_hand(words)
        elif self.run.recovering or not await self._other_hand(words, objected=True):
            await self._stop(words, step, cluster)

    def _others_did(self, step: Step, cluster: Cluster) -> str:
        """What another hand changed that this step rests on, in words; of what the step's own asks change, until they are made."""
        if self.run.question is not None or self.run.recovering:
            return ""  # on the way back to a safe state nobody is asked
        before = self._here.calm
        if before is not None and (back := step.undone(before, cluster)):
            return back
        basis = self.run.basis
        if self.run.asked_at:
            basis = replace(basis, **dict.fromkeys(step.edits))
        return basis.changed(cluster.basis)

    async def _other_hand(self, what: str, *, objected: bool = False) -> bool:
        """It is not as it was planned for: nothing more is written until a person says how to go on.

        False, without a question, when something was `objected` to and no way leads on from here. A way that only starts things is
        taken at once, and posted; the second time people are asked.
        """
        procedure = self.run.plan.procedure
        cluster = await self._observe(procedure.looks_at)
        choices = [Choice("stop", "Stop here", ends=f"stopped, because {what}")]
        by_itself = False
        try:
            plan = make_plan(cluster, procedure, self._to_come())
        except Refused as error:
            if objected:
                return False
            what += f" ({error})"
        else:
            if objected and plan.steps and plan.steps[0].objection(cluster):
                return False
            once = all(not q.default for q in self.run.asked if q.kind == "other-hand")
            by_itself = objected and once and _only_starts(plan.effects)
            ways = " · ".join(s.title() for s in plan.steps) or "nothing is left to do"
            way = Choice(
                "continue",
                "Go on from the new state",
                steps=plan.steps,
                basis=cluster.basis,
                following=plan.following,
            )
            choices.insert(0, way)
            what += (
                f". The run goes on from the new state: {ways}"
                if by_itself
                else f". From the new state it would be: {ways}"
            )
        text = f"{what}. Nothing more was changed since."
        question = Question(
            "other-hand", text, tuple(choices), default="continue" if by_itself else ""
        )
        await self._append(Questioned(self._clock.now(), self.run.asking(question)))
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
        # Silence is an answer only while a bot is there to show the question.
        if (
            question.default
            and self._watch.question.read(self.run.question_at) >= question.default_after
        ):
            await self._append(Answered(now, question.id, question.default, None))
            return
        if now - max(self._reminded, self.run.question_at) >= self._cluster.timings.drain_reminder:
            self._reminded = now
            await self._append(
                Noted(
                    now,
                    f"still waiting for an answer for {duration(now - self.run.question_at)}: {question.text}",
                )
            )

    def _stays(self) -> str:
        return "; ".join(self.run.stays_done) or "nothing was changed"

    # Writing and telling

    async def _append(self, event: Event) -> None:
        self.run = await self._journal.append(self.run, event, self._lease)
        self._tell()

    def _tell(self) -> None:
        """Show where it stands. What goes wrong in that is no reason to do anything else."""
        now = self._clock.now()
        try:
            waits, until = self._waits(now)
        except Exception as error:  # noqa: BLE001 - a step may have no words for an unexpected look
            bugs.note(f"{self.run.id}: what it waits for cannot be said", error)
            waits, until = "", None
        self._x.watch(
            Progress(self.run, self._cluster, waits, until, self._trouble, now, self._watched())
        )

    def _waits(self, now: float) -> tuple[str, float | None]:
        step, cluster = self.run.step, self._cluster
        if step is None or cluster is None or self.run.over or not step.needs <= cluster.known:
            return "", None
        return step.waits_for(cluster), now + max(0.0, self._left(step, cluster))

    async def _pause(self, seconds: float | None = None) -> None:
        self._tell()
        step, cluster = self.run.step, self._cluster
        usual = (
            _usual(step, cluster)
            if step is not None and cluster is not None and step.needs <= cluster.known
            else 0.0
        )
        waited = self._clock.now() - max(self.run.step_began, self.run.asked_at)
        interval = (
            self._outside.pace(rhythm(waited, usual, self._timings_look()))
            if seconds is None
            else max(seconds, 0.1)
        )
        await self._clock.sleep(interval)


def _made(step: Step, cluster: Cluster) -> Basis | None:
    """What this step leaves behind; anything else that is different by now is another hand's, and still to be noticed."""
    if not step.edits:
        return None
    return replace(NOTHING_KNOWN, **{name: getattr(cluster.basis, name) for name in step.edits})


def _only_starts(effects: Effects) -> bool:
    """Whether a way takes nothing from anybody: nothing is left to do, or more is up afterwards and nothing else is different."""
    return replace(effects, adds=0) == Effects()


def _usual(step: Step, cluster: Cluster) -> float:
    """Seconds until a step is usually seen reached, for the first time where it must be seen twice."""
    return max(
        0.0, step.expected_seconds(cluster) - (step.confirm_after(cluster) if step.twice else 0.0)
    )


def rhythm(waited: float, takes: float, look: float) -> float:
    """Seconds to the next look: often at first and about when it usually happens, seldom between; a drain of an hour every twenty.

    Looked at in a fixed rhythm, a change is noticed half an interval late on average; asked every second all along, it would cost
    several times the requests.
    """
    most = look * (1 if waited < 60 else 3 if waited < 600 else 4)
    return max(look * EAGER, min(most, abs(takes - waited) * NEAR))
