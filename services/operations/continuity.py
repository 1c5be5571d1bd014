"""Detects that the state store was emptied, replaced, set back in time, or upgraded by a newer bot.

What was lost is not guessed at. Runs are not driven any more, each cluster is put on hold, its
people are asked to look, and the open cards say so. A loss is detected by what each bot has in
memory, and by the audit heads in the clusters' buckets.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from services.audit.anchors import newest_anchored_head
from services.audit.entries import Head
from services.common.clock import Clock
from services.common.errors import BadRecord, Foreign
from services.memory.announcements import StateLost, StateRewound, Subject
from services.memory.schedule import Book, announcement
from services.operations.assembly import Operations
from services.runs.progress import Progress
from services.store import Commit
from services.store.gate import WriteGate
from services.store.keys import STATE, audit_lost_key, head_key, number_key
from services.store.origin import SCHEMA, NewerState, Origin, check_schema, open_state, read_origin
from services.windows import Hold, Window

log = logging.getLogger(__name__)
PART = "memory"
HELD = 30 * 86400.0  # seconds; there is a reminder every day
ASK_EVERY = 60.0  # seconds, while a bucket does not answer
BOT = "the bot"


@dataclass(frozen=True)
class StateLoss:
    """What happened to the state, as a sentence, at that time (epoch seconds).

    `name`: the same on every bot, another one for each loss. `whole`: nothing of the state is left.
    """

    name: str
    why: str
    at: float
    whole: bool = True


@dataclass(frozen=True)
class _Position:
    """How far a cluster's audit and its runs have come, by number."""

    head: int = 0
    run: int = 0


NOWHERE = _Position()


class Continuity:
    """Compares the state with what is known of it, once in a round.

    `listeners` are called after a loss; they must not wait.
    """

    def __init__(
        self,
        operations: Operations,
        gate: WriteGate,
        clock: Clock,
        version: str,
        seeds: Mapping[str, tuple[Window, ...]],
    ) -> None:
        self._operations = operations
        self._gate = gate
        self._clock = clock
        self._version = version
        self._seeds = seeds
        self._origin: Origin | None = None
        self._positions: dict[str, _Position] = {}
        self._compared: set[str] = set()  # clusters whose bucket was compared
        self._ask_at: dict[str, float] = {}  # when to ask the buckets of the others again
        # What is still to be done about a loss, by loss and cluster.
        self._owed: dict[tuple[str, str], Callable[[], Awaitable[None]]] = {}
        self.listeners: list[Callable[[StateLoss], None]] = []

    async def sweep(self) -> None:
        """Compare the state's own record, and how far each cluster has come in it."""
        names = self._operations.clusters.managed
        keys = [key for name in names for key in (head_key(name), number_key(name))]
        record, *texts = await self._gate.get(STATE, *keys)
        heads, runs = map(_number, texts[::2]), map(_number, texts[1::2])
        positions = dict(zip(names, map(_Position, heads, runs), strict=True))
        try:
            origin = read_origin(record)
            if self._is_lost(origin, names):
                positions = {}
            self._origin = await self._settled(origin)
        except (NewerState, BadRecord) as error:
            self._gate.close(PART, str(error))
            raise
        self._gate.open(PART)
        self._compare_with_memory(positions)
        for (_, name), work in list(self._owed.items()):
            await self._operations.bulkheads.run(PART, work, name)
        now, ask_at = self._clock.now(), self._ask_at
        due = [n for n in names if n not in self._compared and now >= ask_at.get(n, 0.0)]
        await self._operations.bulkheads.run_each(PART, due, self._compare_with_bucket)

    def _is_lost(self, origin: Origin | None, names: list[str]) -> bool:
        """Whether this is not the state of the last round; then everything follows from that."""
        before = self._origin
        if before is None or (origin is not None and origin.id == before.id):
            return False
        what = "was emptied" if origin is None else "was replaced by another"
        name, now = f"lost/{before.id[:12]}", self._clock.now()
        self._lost(StateLoss(name, f"the state store {what}", now), names)
        return True

    async def _settled(self, origin: Origin | None) -> Origin:
        """The state's own record; written where the state has none, or an older one."""
        if origin is not None and origin.schema >= SCHEMA:
            check_schema(origin)
            return origin
        written, is_new = await open_state(self._gate.store, self._clock, self._version)
        if is_new:
            log.info("this state is new, or was written by a version before 0.1.0")
        return written

    # Something is missing

    def _compare_with_memory(self, positions: Mapping[str, _Position]) -> None:
        """Detect an older copy of the state, or a newest write that was not kept."""
        for name, position in positions.items():
            before = self._positions.get(name, NOWHERE)
            if position.head < before.head or position.run < before.run:
                there_were = f"there were {before.head}"
                missing = f"decisions after number {position.head} are missing ({there_were})"
                loss = StateLoss(
                    f"back/{before.head}-{before.run}",
                    f"the state store lost its newest entries: {missing}",
                    self._clock.now(),
                    whole=False,
                )
                self._owed[loss.name, name] = partial(self._record, loss, None, before, name)
            self._positions[name] = position

    async def _compare_with_bucket(self, name: str) -> None:
        """Once in each process: whether the state knows the newest head in the cluster's bucket."""
        self._ask_at[name] = self._clock.now() + ASK_EVERY
        try:
            await self._operations.bindings.check(name)
        except Foreign:
            # This bucket says nothing of another cluster's state; the part "identity" reports that.
            return
        bucket = self._operations.clusters.cluster(name).world.secrets_bucket
        if bucket is not None:
            anchor = await newest_anchored_head(bucket, name)
            if anchor is not None:
                await self._compare_with_anchor(name, anchor)
        self._compared.add(name)

    async def _compare_with_anchor(self, name: str, anchor: Head) -> None:
        head, reported = await self._gate.get(head_key(name), _reported_key(name))
        number, stored = anchor.number or 0, _number(head)
        if number <= stored or reported == anchor.short:
            return
        in_bucket = f"the bucket of {name} records {anchor.number} decisions"
        why = f"{in_bucket}, the state store has {stored}"
        loss = StateLoss(f"lost/{anchor.short}", why, self._clock.now())
        await self._record(loss, anchor, _Position(number, number), name)

    def _lost(self, loss: StateLoss, names: list[str]) -> None:
        """Stop driving, and have every cluster put on hold."""
        log.error("%s: open runs are no longer driven, and every cluster is put on hold", loss.why)
        driven = {p.run.cluster: p for p in self._operations.driver.driven}
        self._operations.round.forget()
        for name in names:
            before, progress = self._positions.get(name, NOWHERE), driven.get(name)
            work = partial(self._record, loss, None, before, name, progress)
            self._owed[loss.name, name] = work
        self._positions.clear()
        for listener in self.listeners:
            with self._operations.bulkheads.contained("news of a lost memory", ""):
                listener(loss)

    async def _record(
        self,
        loss: StateLoss,
        anchor: Head | None,
        before: _Position,
        name: str,
        driven: Progress | None = None,
    ) -> None:
        """Announce the loss and put the cluster on hold; once, on however many bots.

        `anchor`: the head in the bucket that showed it. `before`: how far the cluster had come.
        """
        # No run gets the name of an earlier one: old buttons in Slack still carry it.
        counter = number_key(name)
        (number,) = await self._gate.get(counter)
        if _number(number) < before.run:
            puts = {counter: str(before.run)}
            await self._gate.commit(Commit(checks={counter: number}, puts=puts))
        subject, schedules = _subject(loss, name, driven), self._operations.memory.books
        await schedules.edit(name, lambda book: self._on_hold(book, name, loss, subject))
        if anchor is not None:
            await self._gate.commit(Commit(puts={_reported_key(name): anchor.short}))
        self._owed.pop((loss.name, name), None)

    def _on_hold(self, book: Book, name: str, loss: StateLoss, subject: Subject) -> Book:
        if loss.name in book.done:
            return book
        if loss.whole:
            if not book.all_windows:
                # What people had changed in them is lost; the settings are all that is known.
                for window in self._seeds.get(name, ()):
                    book = book.with_window(window, "", loss.at)
            hold = Hold(loss.at, loss.at + HELD, BOT, f"the state was lost: {loss.why}")
            holds = (*book.exceptions.holds, hold)
            book = replace(book, exceptions=replace(book.exceptions, holds=holds))
        return book.with_announcement(announcement(loss.name, subject))


def _subject(loss: StateLoss, name: str, driven: Progress | None) -> Subject:
    if not loss.whole:
        return StateRewound(name, loss.why)
    if driven is None:
        return StateLost(name, loss.why)
    run = driven.run
    return StateLost(
        name,
        loss.why,
        run=run.id,
        command=run.plan.procedure.command_line(),
        step=run.step.title() if run.step else "",
        position=min(run.position + 1, len(run.steps)),
        steps=len(run.steps),
    )


def _reported_key(name: str) -> str:
    return audit_lost_key(name)


def _number(text: str | None) -> int:
    """The number in `17` or `17:hash`; 0 where there is none that can be read."""
    number = (text or "").partition(":")[0]
    return int(number) if number.isascii() and number.isdigit() else 0
