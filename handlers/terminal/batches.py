"""Changes of several clusters in a terminal: the same card, and a line for each that moves."""

import hashlib
from collections.abc import AsyncIterator

from handlers.commands.parser import ParsedCommand
from handlers.commands.targets import clusters_named, one_zone
from handlers.slack.blocks import divider
from handlers.slack.markup import time_of_day
from handlers.terminal.follow import OutputLine, RunFollower, TerminalContext
from handlers.terminal.plaintext import TerminalReader, render_card, render_text
from handlers.views.batch import (
    BatchFacts,
    batch_card,
    batch_details,
    outcome_words,
    part_state,
    who_can,
)
from services.access.policy import Actor
from services.common.clock import Clock
from services.common.errors import Unreachable
from services.operations.batches import BatchPlan, Limits
from services.operations.service import OperationsService
from services.procedures import Procedure
from services.runs.batch import Batch, BatchState, PartState
from services.windows.times import parse_at


class BatchTerminal:
    """Requests, decides and follows for one reader."""

    def __init__(
        self,
        operations: OperationsService,
        follower: RunFollower,
        actor: Actor,
        clock: Clock,
        context: TerminalContext,
        width: int,
    ) -> None:
        self._operations = operations
        self._batches = operations.batches
        self._follower = follower
        self._actor = actor
        self._clock = clock
        self._context = context
        self._width = width

    async def request(
        self, parsed: ParsedCommand, *, dry: bool, follow: bool
    ) -> AsyncIterator[OutputLine]:
        """Request a change of several clusters and follow it; `dry`: only show the plans."""
        command = parsed.command
        assert isinstance(command, Procedure), "checked by the caller"
        names = clusters_named(self._operations.clusters, parsed, self._actor)
        planned = await self._batches.request(
            self._actor,
            names,
            command,
            Limits(parsed.at_once, parsed.stop_after, parsed.label),
            reason=parsed.reason,
            dry=dry,
            later=self._later(parsed, names),
            confirmed=parsed.confirmed,
        )
        batch = planned.batch
        if not planned.filed:
            done = dry or not batch.of(PartState.REFUSED)
            card = batch_card(batch, BatchFacts(planned.plans), dry=dry, observes=planned.observes)
            yield OutputLine(render_card(card, self._reader(batch)), code=0 if done else 1)
            return
        yield OutputLine(self._whole(planned))
        if batch.startable:
            approve = f"openvidu-bot approve {batch.id}"
            yield OutputLine(f"Not started yet: {approve} shows the plans and starts them", code=1)
            return
        if not follow:
            waits = "Nothing is changed until someone else approves it."
            yield OutputLine(f"{waits} To follow it: openvidu-bot watch {batch.id}", code=0)
            return
        async for line in self.follow(batch.id):
            yield line

    def _later(self, parsed: ParsedCommand, names: tuple[str, ...]) -> tuple[float, str] | None:
        if not parsed.at:
            return None
        zone = one_zone({self._context.handlers.zone(name) for name in names}, parsed)
        return parse_at(parsed.at, self._clock.now(), zone), zone

    async def approve(
        self, batch: Batch, shown: str, reason: str, *, follow: bool
    ) -> AsyncIterator[OutputLine]:
        """Approve what was shown; show it first, for the person to confirm exactly that."""
        planned = await self._batches.plans(batch, self._actor)
        if shown != _shown(planned):
            yield OutputLine(self._whole(planned))
            approve = f"openvidu-bot approve {batch.id}"
            yield OutputLine(
                f"Not approved yet. To approve it, run: {approve}", code=1, shown=_shown(planned)
            )
            return
        batch = await self._batches.approve(batch.id, self._actor, reason)
        if not follow or batch.state is BatchState.OPEN:
            yield OutputLine(f"{outcome_words(batch)}. openvidu-bot watch {batch.id}", code=0)
            return
        async for line in self.follow(batch.id):
            yield line

    async def reject(self, batch: Batch, reason: str) -> AsyncIterator[OutputLine]:
        """Reject it, or withdraw it."""
        batch = await self._batches.reject(batch.id, self._actor, reason)
        yield OutputLine(render_card(batch_card(batch, BatchFacts()), self._reader(batch)), code=0)

    async def show(self, batch: Batch) -> AsyncIterator[OutputLine]:
        """Show it, with what an approval confirms."""
        planned = await self._batches.plans(batch, self._actor)
        yield OutputLine(self._whole(planned), code=0, shown=_shown(planned))

    async def follow(self, name: str) -> AsyncIterator[OutputLine]:
        """Yield a line for each cluster that moves, until all are done or people are needed.

        The exit code is 0 only where every cluster is as requested.
        """
        seen: dict[str, str] = {}
        await self._follower.look_after(at_once=True)
        while True:
            try:
                batch = await self._batches.find(name, self._actor)
            except Unreachable as error:
                yield self._follower.unreachable(error)
                await self._follower.look_after()
                continue
            reader = self._reader(batch)
            for part in batch.parts:
                words = part_state(part, None)
                if seen.get(part.cluster, words) != words:
                    run = f" ({part.run})" if part.run else ""
                    line = f"{time_of_day(self._clock.now())} {part.cluster}: {words}{run}"
                    yield OutputLine(render_text(line, reader))
                seen[part.cluster] = words
            if batch.over or _needs_people(batch):
                card = batch_card(batch, BatchFacts())
                code = 0 if batch.succeeded else 1
                yield OutputLine("")
                yield OutputLine(render_card(card, reader), code=code)
                return
            waits = outcome_words(batch)
            if batch.state is BatchState.OPEN:
                waits = f"waiting for approval until {time_of_day(batch.until)}"
            yield OutputLine(render_text(waits, reader), live=True)
            await self._follower.look_after()

    def _whole(self, planned: BatchPlan) -> str:
        """Return its card with every cluster's plan below, as no one can press Details here."""
        batch = planned.batch
        who = who_can(self._batches.approvers(batch, planned.plans.values()))
        facts = BatchFacts(planned.plans, approvers=who if batch.needs else "")
        card = batch_card(batch, facts)
        blocks = (*card.blocks, divider(), *batch_details(batch, facts, {})[1:])
        return render_card(type(card)(card.text, blocks), self._reader(batch))

    def _reader(self, batch: Batch) -> TerminalReader:
        return self._context.reader(batch.clusters[0], self._width)


def _needs_people(batch: Batch) -> bool:
    """Return whether nothing moves until someone resumes or abandons a run."""
    running = batch.of(PartState.RUNNING)
    return batch.state is not BatchState.OPEN and bool(running) and all(p.paused for p in running)


def _shown(planned: BatchPlan) -> str:
    """Identify what a person saw who was shown these plans."""
    digests = [f"{name}={plan.digest}" for name, plan in sorted(planned.plans.items())]
    return f"{planned.batch.id}:{hashlib.sha256(' '.join(digests).encode()).hexdigest()[:32]}"
