"""Drives runs: look, ask, look. The one waiting place; cancel, deadlines, questions and progress are written here once."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from services.clock import Clock
from services.cluster import Autoscaler, Cluster, Fact, FleetKind, MediaNode
from services.drains import TAGGED, Drains
from services.errors import Refused, Rejected, Superseded, Unreachable
from services.journal import Journal
from services.locks import Keeping, Lease, Locks
from services.memory import Memory
from services.plan import make_plan
from services.runs import Answered, Asked, Ended, Event, Noted, Questioned, Reached, Recovering, Run, State, Stopped, Taken
from services.steps import Choice, Question, Step
from services.steps.base import duration
from services.vault import Vault
from services.windows import parse_window

log = logging.getLogger(__name__)
EAGER = 0.1  # of the usual interval: the shortest
NEAR = 0.3
BLIND_LIMIT = 3600.0  # not seeing DigitalOcean for this long stops a run; shorter outages are waited out


class Outside(Protocol):
    """A cluster's world as the executor needs it."""

    async def observe(self, needs: frozenset[Fact], since: float | None = None) -> Cluster: ...
    async def act(self, droplet_id: int, action: str, since: float | None = None, **extra: str | bool) -> None: ...
    async def set_target(self, cluster: Cluster, number: int) -> None: ...
    async def signal(self, droplet_id: int, start: str, *, stays: bool) -> str: ...
    async def restart_service(self, droplet_id: int) -> None: ...
    async def stop_service(self, droplet_id: int) -> None: ...
    async def set_template_size(self, cluster: Cluster, size: str) -> None: ...
    async def pause(self, autoscaler: Autoscaler) -> None: ...
    async def resume(self, autoscaler: Autoscaler) -> None: ...
    async def send_away(self, droplet_id: int, *, uncount: bool) -> None: ...
    async def uncount(self, droplet_id: int) -> None: ...
    async def delete(self, droplet_id: int) -> None: ...
    async def inspect(self, droplet_id: int) -> str: ...
    async def failed(self, droplet_id: int, action: str) -> bool: ...
    async def delete_snapshot(self, snapshot_id: str) -> None: ...
    async def keep_secrets(self, label: str) -> None: ...
    async def drop_secrets(self, label: str) -> None: ...
    vault: Vault | None

    def pace(self, interval: float) -> float: ...


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


class FencedWorld:
    """The hands of one run: nothing leaves the bot unless the lease surely holds, and no start is drained twice."""

    def __init__(self, outside: Outside, cluster: Cluster, lease: Lease, drains: Drains, memory: Memory, since: float | None) -> None:
        self._outside = outside
        self._cluster = cluster
        self._lease = lease
        self._drains = drains
        self._memory = memory
        self._since = since

    async def act(self, droplet_id: int, action: str, **extra: str | bool) -> None:
        if self._cluster.kind is FleetKind.AUTOSCALER and any(n.id == droplet_id for n in self._cluster.media):
            # Switched off it goes on being counted, and the autoscaler may then send the only live one away.
            raise Refused(f"{action} of a node that the autoscaler made: it is drained, never powered or resized")
        self._lease.check()
        await self._outside.act(droplet_id, action, self._since, **extra)

    async def set_target(self, number: int, *, remember: bool) -> None:
        await self._memory.note_target(self._cluster, number, remember=remember)
        self._lease.check()
        try:
            await self._outside.set_target(self._cluster, number)
        except Rejected as error:
            if number == 0 and error.status in (400, 422):
                await self._memory.zero_was_refused(self._cluster)
            raise

    async def promote_secrets(self, staged: str, before: str, after: str) -> None:
        self._lease.check()
        await self._vault().promote(staged, before, after, self._lease.check)

    async def restore_secrets(self, staged: str, after: str) -> None:
        self._lease.check()
        await self._vault().restore(staged, after, self._lease.check)

    async def drop_staged(self, staged: str) -> None:
        self._lease.check()
        await self._vault().drop(staged)

    async def break_secrets_lock(self, lock: str) -> None:
        self._lease.check()
        await self._vault().break_lock(lock)

    def _vault(self) -> Vault:
        if self._outside.vault is None:
            raise Refused("no bucket is configured for this cluster, and secrets.env lies in it")
        return self._outside.vault

    async def save_window(self, words: str) -> None:
        self._lease.check()
        window = parse_window(words)
        run, now = self._lease.run, self._cluster.seen_at
        fence = {self._lease.key: self._lease.token}
        await self._memory.books.edit(self._cluster.name, lambda book: book.with_window(window, run, now), fence)

    async def drain(self, droplet_id: int, *, stays: bool) -> None:
        node = next(n for n in self._cluster.media if n.id == droplet_id)
        if node.look is None or node.look.marked or not node.look.start:
            return
        if await self._drains.entered(droplet_id, TAGGED):
            raise Refused(f"{node.name} was told to leave by its tag already: a signal on top would throw everybody out")
        await self._drains.enter(droplet_id, node.look.start, self._lease)
        self._lease.check()
        await self._outside.signal(droplet_id, node.look.start, stays=stays)

    async def pause_autoscaler(self, *, frozen: bool) -> None:
        await self._memory.note_pause(self._cluster, self._lease.run, frozen=frozen)
        self._lease.check()
        await self._outside.pause(self._autoscaler())

    async def resume_autoscaler(self) -> None:
        # Forgotten first: whoever goes on after a crash in between does not take another's pause for this one.
        await self._memory.forget_pause(self._cluster)
        self._lease.check()
        await self._outside.resume(self._autoscaler())

    async def send_away(self, droplet_id: int, *, uncount: bool) -> None:
        node = self._media(droplet_id)
        if node.look is not None and node.look.marked and not node.look.idle:
            return  # it finishes already, told by a signal: the tag would be a second one
        await self._drains.enter(droplet_id, TAGGED, self._lease)
        self._lease.check()
        await self._outside.send_away(droplet_id, uncount=uncount and self._autoscaler().enabled)

    async def uncount(self, droplet_id: int) -> None:
        if not self._autoscaler().enabled:
            raise Refused("the autoscaler is paused: a node that it does not count would only lose its firewalls")
        self._lease.check()
        await self._outside.uncount(droplet_id)

    async def delete_node(self, droplet_id: int) -> None:
        self._media(droplet_id)
        self._lease.check()
        await self._outside.delete(droplet_id)

    async def remember_media(self, droplet_ids: tuple[int, ...]) -> None:
        self._lease.check()
        await self._memory.note_media(self._cluster, droplet_ids)

    def _autoscaler(self) -> Autoscaler:
        if self._cluster.autoscaler is None or not self._cluster.autoscaler.trigger:
            raise Refused("the autoscaler has no trigger: it was deleted, and only Terraform makes another")
        return self._cluster.autoscaler

    def _media(self, droplet_id: int) -> MediaNode:
        """The node of that id, among those that the look saw as the autoscaler's."""
        node = next((n for n in self._cluster.media if n.id == droplet_id), None)
        if node is None or self._cluster.kind is not FleetKind.AUTOSCALER or node.member_status is None:
            raise Refused(f"droplet {droplet_id} is none of the autoscaler's")
        return node

    async def restart_service(self, droplet_id: int) -> None:
        self._lease.check()
        await self._outside.restart_service(droplet_id)

    async def stop_service(self, droplet_id: int) -> None:
        self._lease.check()
        await self._outside.stop_service(droplet_id)

    async def set_template_size(self, size: str) -> None:
        self._lease.check()
        await self._outside.set_template_size(self._cluster, size)

    async def failed(self, droplet_id: int, action: str) -> bool:
        return await self._outside.failed(droplet_id, action)

    async def delete_snapshot(self, snapshot_id: str) -> None:
        self._lease.check()
        await self._outside.delete_snapshot(snapshot_id)

    async def keep_secrets(self, label: str) -> None:
        self._lease.check()
        await self._outside.keep_secrets(label)

    async def drop_secrets(self, label: str) -> None:
        self._lease.check()
        await self._outside.drop_secrets(label)


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
