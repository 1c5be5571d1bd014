"""Commands and presses between Slack and their answer.

They are stored before they are acknowledged, held while a bot works on them, and taken over from a
bot that died. What was stored but never confirmed is reported and not carried out: its sender may
have read that it was not taken.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from services.common.clock import Clock
from services.common.errors import BotError, Refused, Unreachable
from services.common.tasks import Tasks
from services.memory.inbox import CommandInbox, Unanswered
from services.store import Commit
from services.store.port import new_id

log = logging.getLogger(__name__)
# Seconds, of Slack's three, in which the state store may answer before an acknowledgement.
BEFORE_ACK = 1.0
STORED_WITHIN = 2.0  # seconds after that in which it must be stored, or it counts as not taken
# Seconds for which a bot holds what it works on, and after which it extends the hold.
HELD, EVERY = 15.0, 5.0
# Seconds after which a command is only reported: the person has moved on.
RECOVERED_WITHIN = 300.0
REMEMBERED = 1000  # triggers
NOT_TAKEN = (
    "nothing was changed: the bot's state store did not answer in time. Type or press it again"
)

What = Mapping[str, str | float]


@dataclass
class StoredInput:
    """A command or press as it is stored.

    `kept`: None while it is unknown whether it was stored; False when a bot has it already, as
    Slack delivered it twice. `passed_on`: what follows it up answers it.
    """

    name: str
    commit: Commit
    stored: bool | None = None
    handed_over: bool = False
    trigger: str = ""


@dataclass(frozen=True)
class RecoveredInput:
    """Work of a bot that died. `again`: it may be carried out now, not only reported."""

    note: StoredInput
    entry: What
    may_carry_out: bool


class CommandIntake:
    """Stores and holds commands and presses; one per process.

    `kinds`: the handler that takes over work of a bot that died, by the kind that was stored.
    """

    def __init__(self, inbox: CommandInbox, clock: Clock, tasks: Tasks) -> None:
        self._inbox = inbox
        self._clock = clock
        self._tasks = tasks
        self._mine: set[str] = set()
        # The newest triggers that were stored or reported as not taken, to detect repeats; ordered.
        self._triggers: dict[str, None] = {}
        self.recovery_handlers: dict[str, Callable[[RecoveredInput], Awaitable[None]]] = {}

    def new_note(self, what: What, trigger: str = "") -> StoredInput:
        """Return a note that is not stored yet.

        `trigger`: Slack's trigger id; a second delivery carries the same one.
        """
        name = new_id()
        self._mine.add(name)
        # Version 0.1.0 reads a text from each, also where nothing was typed.
        entry = {"at": self._clock.now(), "text": "", **what}
        commit = self._inbox.accept_commit(name, entry, HELD * self._clock.speed, trigger)
        note = StoredInput(name, commit, trigger=trigger)
        if trigger in self._triggers:
            note.stored = False
        return note

    async def before_ack(self, what: What, trigger: str) -> StoredInput:
        """Store it, if that is quick: then it is not lost if this bot dies."""
        note = self.new_note(what, trigger)
        if note.stored is None:
            with suppress(Refused):
                await self._store(note, BEFORE_ACK)
        return note

    async def _store(self, note: StoredInput, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                note.stored = await self._inbox.accept(note.commit)
        except (TimeoutError, Unreachable):
            raise Refused(NOT_TAKEN) from None
        self._spend(note.trigger)

    def _spend(self, trigger: str) -> None:
        """Remember a trigger, so that a second delivery is not taken."""
        if trigger:
            self._triggers[trigger] = None
            while len(self._triggers) > REMEMBERED:
                del self._triggers[next(iter(self._triggers))]

    @asynccontextmanager
    async def held(self, note: StoredInput) -> AsyncIterator[bool]:
        """Hold a note while working on it, and mark it answered at the end.

        Yields False when another bot has it. Refused when it cannot be stored. When this task is
        cancelled, the note stays for the next bot.
        """
        self._mine.add(note.name)
        if note.stored is None:
            try:
                await self._store(note, STORED_WITHIN)
            except Refused:
                # The sender reads that they have to send it again, so a second delivery of this
                # one must not be taken.
                self._spend(note.trigger)
                raise
        if not note.stored:
            self._mine.discard(note.name)
            yield False
            return
        holding = asyncio.create_task(self._hold(note.name), name="holding a command")
        stopped = False
        try:
            yield True
        except asyncio.CancelledError:
            stopped = True
            raise
        finally:
            holding.cancel()
            if not stopped and not note.handed_over:
                await self.answered(note)

    async def _hold(self, name: str) -> None:
        while True:
            try:
                await self._inbox.hold(name, HELD * self._clock.speed)
            except Unreachable as error:
                log.info("a command is worked on, and that is not known to others: %s", error)
            await asyncio.sleep(EVERY)

    async def answered(self, note: StoredInput) -> None:
        """Mark it answered in the store."""
        self._mine.discard(note.name)
        try:
            await self._inbox.answered(note.name)
        except Unreachable as error:
            log.warning("a command was answered and stays noted: %s", error)

    async def sweep(self) -> None:
        """Take over what bots died over."""
        for left in await self._inbox.unanswered(self._clock.now()):
            if left.name in self._mine:
                continue
            if await self._inbox.claim(left.name, HELD * self._clock.speed):
                self._tasks.start(self._take_up(left), "command of a bot that died")

    async def _take_up(self, left: Unanswered) -> None:
        note = StoredInput(left.name, Commit(), stored=True)
        young = self._clock.now() - float(left.what["at"]) < RECOVERED_WITHIN
        handler = self.recovery_handlers.get(str(left.what.get("kind", "command")))
        async with self.held(note):
            if handler is None:
                # Stored by a newer version, with more kinds.
                return
            try:
                await handler(
                    RecoveredInput(
                        note, left.what, may_carry_out=young and left.sure and left.newest
                    )
                )
            except BotError as error:
                # The next round retries.
                note.handed_over = True
                self._mine.discard(note.name)
                log.warning("what became of a command is not known yet: %s", error)
