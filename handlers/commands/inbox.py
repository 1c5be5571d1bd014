"""Commands and presses on their way: stored before they are acknowledged, held while they are worked on, taken up from a bot that died.

What was stored and never confirmed is only told of: whoever sent it may have been told that it was not taken.
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
BEFORE_ACK = 1.0  # seconds of Slack's three in which the state store may answer before something is acknowledged
KNOWN_WITHIN = 2.0  # seconds after that in which it must be stored, or it counts as not taken
HELD, EVERY = (
    15.0,
    5.0,
)  # seconds for which a bot holds what it works on, and after which it holds it again
TAKEN_UP_WITHIN = 300.0  # seconds after which a command is told of and not carried out: whoever typed it has gone on
REMEMBERED = 1000  # triggers
NOT_TAKEN = "not taken, nothing was changed: the bot's state store did not answer in time; type or press it again"

What = Mapping[str, str | float]


@dataclass
class Note:
    """A command or press as it is stored. `kept` None: not known yet. False: some bot has it already, Slack delivered it twice."""

    name: str
    commit: Commit
    kept: bool | None = None
    passed_on: bool = False  # what follows it up answers it
    trigger: str = ""


@dataclass(frozen=True)
class TakenUp:
    """What a bot that died was working on. `again`: whether it may be carried out now, not only told of."""

    note: Note
    what: What
    again: bool


class CommandIntake:
    """One for each process."""

    def __init__(self, inbox: CommandInbox, clock: Clock, tasks: Tasks) -> None:
        self._inbox = inbox
        self._clock = clock
        self._tasks = tasks
        self._mine: set[str] = set()
        self._triggers: dict[
            str, None
        ] = {}  # the newest that this process has stored or told of as not taken: a repeat is known by them
        self.kinds: dict[
            str, Callable[[TakenUp], Awaitable[None]]
        ] = {}  # who goes on with it, by the kind of what was stored

    def begin(self, what: What, trigger: str = "") -> Note:
        """Not stored yet. `trigger`: what Slack delivers with it, the same again when it is delivered twice."""
        name = new_id()
        self._mine.add(name)
        whole = {
            "at": self._clock.now(),
            "text": "",
            **what,
        }  # 0.1.0 reads a text from each, also where nothing was typed
        kept = False if trigger in self._triggers else None
        return Note(
            name,
            self._inbox.taking(name, whole, HELD * self._clock.speed, trigger),
            kept,
            trigger=trigger,
        )

    async def before_ack(self, what: What, trigger: str) -> Note:
        """Store it, if that is quick: then whatever becomes of this bot, it is not forgotten."""
        note = self.begin(what, trigger)
        if note.kept is None:
            with suppress(Refused):
                await self._store(note, BEFORE_ACK)
        return note

    async def _store(self, note: Note, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                note.kept = await self._inbox.take(note.commit)
        except (TimeoutError, Unreachable):
            raise Refused(NOT_TAKEN) from None
        self._spend(note.trigger)

    def _spend(self, trigger: str) -> None:
        """What Slack delivers with this once more is not taken."""
        if trigger:
            self._triggers[trigger] = None
            while len(self._triggers) > REMEMBERED:
                del self._triggers[next(iter(self._triggers))]

    @asynccontextmanager
    async def held(self, note: Note) -> AsyncIterator[bool]:
        """Work on it: others leave it alone meanwhile, and it is crossed out at the end. False: another bot has it.

        Refused when it cannot be stored. A bot that is stopped over it leaves it to the next one.
        """
        self._mine.add(note.name)
        if note.kept is None:
            try:
                await self._store(note, KNOWN_WITHIN)
            except Refused:
                self._spend(
                    note.trigger
                )  # whoever sent it is told to send it again: a second delivery must not take it after all
                raise
        if not note.kept:
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
            if not stopped and not note.passed_on:
                await self.answered(note)

    async def _hold(self, name: str) -> None:
        while True:
            try:
                await self._inbox.hold(name, HELD * self._clock.speed)
            except Unreachable as error:
                log.info("a command is worked on, and that is not known to others: %s", error)
            await asyncio.sleep(EVERY)

    async def answered(self, note: Note) -> None:
        """Cross it out."""
        self._mine.discard(note.name)
        try:
            await self._inbox.answered(note.name)
        except Unreachable as error:
            log.warning("a command was answered and stays noted: %s", error)

    async def sweep(self) -> None:
        """Take up what bots left behind that died over it."""
        for left in await self._inbox.unanswered(self._clock.now()):
            if left.name not in self._mine and await self._inbox.claim(
                left.name, HELD * self._clock.speed
            ):
                self._tasks.start(self._take_up(left), "command of a bot that died")

    async def _take_up(self, left: Unanswered) -> None:
        note = Note(left.name, Commit(), kept=True)
        young = self._clock.now() - float(left.what["at"]) < TAKEN_UP_WITHIN
        go_on = self.kinds.get(str(left.what.get("kind", "command")))
        async with self.held(note):
            if go_on is None:
                return  # of a version that knows more kinds
            try:
                await go_on(TakenUp(note, left.what, again=young and left.sure and left.newest))
            except BotError as error:
                note.passed_on = True  # the next round tries again
                self._mine.discard(note.name)
                log.warning("what became of a command is not known yet: %s", error)
