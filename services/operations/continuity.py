"""Notices when the state store is not the one that it was: emptied, replaced, put back to an earlier time, or of a newer version.

What was lost is not guessed at. Nobody drives what was driven, each cluster is put on hold, its people are asked to look, and the cards
that stand open say so. Outside the store it is known by the memory of each bot, and by the heads of the audit in the clusters' buckets.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from services.audit.anchors import newest_head
from services.audit.entries import Head
from services.common.clock import Clock
from services.common.errors import BadRecord, Foreign
from services.memory.announcements import StateLost, StateRewound, Subject
from services.memory.schedule import Book, announcement
from services.operations.assembly import Operations
from services.runs.executor import Progress
from services.store import Commit
from services.store.gate import Gate
from services.store.keys import STATE, audit_lost_key, head_key, number_key
from services.store.origin import SCHEMA, NewerState, Origin, must_be_known, read_origin, settle
from services.windows import Hold, Window

log = logging.getLogger(__name__)
PART = "memory"
HELD = 30 * 86400.0  # seconds; reminded of every day
ASK_EVERY = 60.0  # seconds, while a bucket does not answer
BOT = "the bot"


@dataclass(frozen=True)
class Loss:
    """What happened to the state, in words; `name` tells one loss from another, on every bot alike.

    `whole`: nothing of it is left.
    """

    name: str
    why: str
    at: float
    whole: bool = True


@dataclass(frozen=True)
class _Known:
    """How far a cluster's audit and its runs had come."""

    head: int = 0
    run: int = 0


class Continuity:
    """Looks once in a round.

    `listeners` hear of a loss after the state says so itself; they must not wait.
    """

    def __init__(
        self,
        operations: Operations,
        gate: Gate,
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
        self._known: dict[str, _Known] = {}
        self._compared: set[str] = set()  # clusters whose bucket was asked
        self._ask_at: dict[str, float] = {}  # when to ask the others again
        self._owed: dict[
            tuple[str, str], Callable[[], Awaitable[None]]
        ] = {}  # what is to be said of a loss, by loss and cluster
        self.listeners: list[Callable[[Loss], None]] = []

    async def sweep(self) -> None:
        """One look at the state's own card, and at how far everything in it has come."""
        names = self._operations.clusters.ours
        card, *texts = await self._gate.get(
            STATE, *(k for n in names for k in (head_key(n), number_key(n)))
        )
        now = {
            n: _Known(_number(texts[2 * i]), _number(texts[2 * i + 1])) for i, n in enumerate(names)
        }
        try:
            found = read_origin(card)
            if (before := self._origin) is not None and (found is None or found.id != before.id):
                what = "was emptied" if found is None else "was replaced by another"
                self._lost(
                    Loss(f"lost/{before.id[:12]}", f"the state store {what}", self._clock.now()),
                    names,
                )
                now = {}
            self._origin = await self._which(found)
        except (NewerState, BadRecord) as error:
            self._gate.close(PART, str(error))
            raise
        self._gate.open(PART)
        self._compare_with_memory(now)
        for (_, name), work in list(self._owed.items()):
            await self._operations.bulkheads.keep(PART, work, name)
        due = [
            n
            for n in names
            if n not in self._compared and self._clock.now() >= self._ask_at.get(n, 0.0)
        ]
        await self._operations.bulkheads.each(PART, due, self._compare_with_bucket)

    async def _which(self, found: Origin | None) -> Origin:
        """The state that this is, with its card written where it lacks one, or has an older one."""
        if found is not None and found.schema >= SCHEMA:
            must_be_known(found)
            return found
        origin, made = await settle(self._gate.store, self._clock, self._version)
        if made:
            log.info("this is a new state, or one of a version that gave it no card")
        return origin

    # Something is missing

    def _compare_with_memory(self, now: Mapping[str, _Known]) -> None:
        """An older copy of the state may have been put in its place, or the last that was written was not kept."""
        for name, found in now.items():
            known = self._known.get(name, _Known())
            if found.head < known.head or found.run < known.run:
                missing = (
                    f"decisions after number {found.head} are missing; there were {known.head}"
                )
                loss = Loss(
                    f"back/{known.head}-{known.run}",
                    f"the state store went back: {missing}",
                    self._clock.now(),
                    whole=False,
                )
                self._owed[loss.name, name] = partial(self._mourn, loss, None, known, name)
            self._known[name] = found

    async def _compare_with_bucket(self, name: str) -> None:
        """Once for each life of a bot: whether the newest head in the bucket is one that the state knows of."""
        self._ask_at[name] = self._clock.now() + ASK_EVERY
        try:
            await self._operations.bindings.check(name)
        except Foreign:
            # Of another cluster's state this one's bucket says nothing; the part "identity" names
            # it
            return
        vault = self._operations.clusters.site(name).world.vault
        kept = await newest_head(vault, name) if vault is not None else None
        if kept is not None:
            there, told = await self._gate.get(head_key(name), _told_key(name))
            if (kept.number or 0) > _number(there) and told != kept.short:
                why = f"the bucket of {name} knows {kept.number} decisions, and the state store {_number(there)}"
                loss = Loss(f"lost/{kept.short}", why, self._clock.now())
                await self._mourn(
                    loss, kept, _Known(head=kept.number or 0, run=kept.number or 0), name
                )
        self._compared.add(name)

    def _lost(self, loss: Loss, names: list[str]) -> None:
        log.error(
            "%s: what was open is not driven any more, and every cluster is put on hold", loss.why
        )
        driven = {p.run.cluster: p for p in self._operations.driver.driven}
        self._operations.round.forget()
        for name in names:
            known = self._known.get(name, _Known())
            self._owed[loss.name, name] = partial(
                self._mourn, loss, None, known, name, driven.get(name)
            )
        self._known.clear()
        for listener in self.listeners:
            with self._operations.bulkheads.within("news of a lost memory", ""):
                listener(loss)

    async def _mourn(
        self,
        loss: Loss,
        kept: Head | None,
        known: _Known,
        name: str,
        driven: Progress | None = None,
    ) -> None:
        """Say so in the cluster's book, and keep it as it is; once for each loss, on however many bots."""
        # No run has the name of an earlier one: old buttons in Slack still carry it.
        counter = number_key(name)
        (number,) = await self._gate.get(counter)
        if _number(number) < known.run:
            await self._gate.commit(
                Commit(checks={counter: number}, puts={counter: str(known.run)})
            )
        subject = _subject(loss, name, driven)
        await self._operations.memory.books.edit(
            name, lambda b: self._mourning(b, name, loss, subject)
        )
        if kept is not None:
            await self._gate.commit(Commit(puts={_told_key(name): kept.short}))
        self._owed.pop((loss.name, name), None)

    def _mourning(self, book: Book, name: str, loss: Loss, subject: Subject) -> Book:
        if loss.name in book.done:
            return book
        if loss.whole:
            if (
                not book.windows
            ):  # what people had made of them is gone, and the settings are all that is known
                for window in self._seeds.get(name, ()):
                    book = book.with_window(window, "", loss.at)
            hold = Hold(loss.at, loss.at + HELD, BOT, f"its memory was lost: {loss.why}")
            book = replace(
                book, exceptions=replace(book.exceptions, holds=(*book.exceptions.holds, hold))
            )
        return book.telling(announcement(loss.name, subject))


def _subject(loss: Loss, name: str, driven: Progress | None) -> Subject:
    if not loss.whole:
        return StateRewound(name, loss.why)
    if driven is None:
        return StateLost(name, loss.why)
    run = driven.run
    return StateLost(
        name,
        loss.why,
        run=run.id,
        command=run.plan.procedure.words(),
        step=run.step.title() if run.step else "",
        position=min(run.position + 1, len(run.steps)),
        steps=len(run.steps),
    )


def _told_key(name: str) -> str:
    return audit_lost_key(name)


def _number(text: str | None) -> int:
    """The number in `17` or `17:hash`; 0 where there is none that can be read."""
    number = (text or "").partition(":")[0]
    return int(number) if number.isascii() and number.isdigit() else 0
