"""Slash commands and mentions: from a person's words to the desk, and its answer back."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Container, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from handlers import cards
from handlers.blocks import Card
from handlers.deciding import Deciding, told
from handlers.doubts import NOT_TAKEN as NOT_TAKEN_AFTER_ALL
from handlers.doubts import Doubts, Look
from handlers.parsing import SPOKEN, Words, parse
from handlers.talks import Asked, Talk, WhichCluster
from handlers.voice import Ear, Voice
from handlers.window_form import window_form
from services.clock import Clock
from services.desk import Desk, Started, Waiting
from services.errors import BotError, Refused, Rejected, Superseded, Unreachable
from services.hours import Hours
from services.policy import NOWHERE, Actor
from services.procedures import AddWindow, Procedure
from services.sight import Sight
from services.spoken import Spoken
from services.store.port import new_id

log = logging.getLogger(__name__)
KNOWN_WITHIN = 2.0  # seconds in which a change must be written down, or it counts as not taken
SLOW = 2.0  # seconds after which a person is told that an answer is on its way
NOT_TAKEN = "not taken, nothing was changed: the bot's memory did not answer in time; type it again"


@dataclass(frozen=True)
class Office:
    """What the handlers are handed: which channel means which cluster, and where a cluster's news go."""

    command: str = "/openvidu"
    channels: Mapping[str, str] = field(default_factory=dict)  # channel id -> default cluster
    zones: Mapping[str, str] = field(default_factory=dict)  # cluster -> time zone
    news: Mapping[str, str] = field(default_factory=dict)  # cluster -> its own channel, where its cards stand

    def zone(self, cluster: str) -> str:
        """The time zone that a cluster's people live in."""
        return self.zones.get(cluster, "UTC")


class Tasks:
    """Background work that is tracked, so that a stop can wait for it and an error is never lost."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Awaitable[None], name: str) -> None:
        """Run it beside everything else."""
        task = asyncio.ensure_future(work)
        task.set_name(name)
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s ended in %r", task.get_name(), error, exc_info=error)

    @property
    def busy(self) -> bool:
        """Whether something runs."""
        return bool(self._running)

    async def settle(self, seconds: float) -> None:
        """Wait that long for what runs, then cancel the rest."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        for task in list(self._running):
            task.cancel()


class Counter:
    """Where people's words arrive."""

    def __init__(self, desk: Desk, hours: Hours, voice: Voice, clock: Clock, office: Office) -> None:
        self._desk = desk
        self._hours = hours
        self._voice = voice
        self._clock = clock
        self._office = office
        self.tasks = Tasks()
        self.sight = Sight(desk, hours)
        self.doubts = Doubts(self.sight, voice, clock)
        self.deciding = Deciding(desk, voice, self.doubts)
        self.closing = False

    def command(self, body: Mapping[str, Any]) -> None:
        """A slash command. Returns at once; the answer follows by itself."""
        ear = Ear(str(body["channel_id"]), str(body["user_id"]), url=str(body.get("response_url") or ""))
        self.doubts.moved(ear.user)
        self.tasks.start(self._take(str(body.get("text") or ""), body, ear), f"command of {ear.user}")

    async def once(self, trigger: str, work: Coroutine[Any, Any, None]) -> None:
        """Do it, unless some bot has: what is delivered a second time carries the same trigger."""
        if await self._is_first(trigger):
            await work
        else:
            work.close()

    async def _is_first(self, trigger: str) -> bool:
        try:
            return not trigger or await self._desk.first_time(f"trigger:{trigger}")
        except Unreachable:
            return True  # reading still works; changes are written down before they are taken

    def mention(self, body: Mapping[str, Any]) -> None:
        """The same words, as a mention; the way to speak in a thread."""
        event = body["event"]
        # Slack shows nothing of a private answer in a thread that does not exist yet (its reference of chat.postEphemeral).
        ear = Ear(str(event["channel"]), str(event["user"]), str(event.get("thread_ts") or ""))
        text = str(event.get("text") or "").partition(">")[2]
        who = {
            "user_id": event["user"],
            "team_id": event.get("user_team") or event.get("team") or body.get("team_id"),
            "enterprise_id": body.get("enterprise_id"),
        }
        self.tasks.start(self._mentioned(str(body.get("event_id")), text, who, ear), "mention")

    async def _mentioned(self, event_id: str, text: str, who: Mapping[str, Any], ear: Ear) -> None:
        try:
            first = await self._desk.first_time(f"event:{event_id}")
        except Unreachable:
            first = True  # reading still works; changes are written down before they are taken
        if first:
            await self._take(text, who, ear)

    async def _take(self, text: str, body: Mapping[str, Any], ear: Ear) -> None:
        async with self.answering(ear):
            await self._carry_out(parse(text), text, body, ear)

    async def do(self, words: Words, body: Mapping[str, Any], ear: Ear) -> None:
        """The same for words that were picked instead of typed."""
        async with self.answering(ear):
            await self._carry_out(words, f"{words.said.words()} --cluster {words.cluster}", body, ear)

    async def _carry_out(self, words: Words, text: str, body: Mapping[str, Any], ear: Ear) -> None:
        if self.closing:
            raise Refused("the bot is restarting; nothing was changed, type it again in a minute")
        actor = await self._voice.actor(body)
        answer = await self._patiently(self._do(words, text, actor, ear, str(body.get("trigger_id") or "")), ear, words)
        if answer is None:
            return
        try:
            await self._voice.whisper(ear, answer)
        except Unreachable:  # of Slack: what was asked for is done, and only its answer is still owed
            self.tasks.start(self.doubts.say(ear, answer), f"answer to {ear.user}")

    async def _patiently(self, work: Awaitable[Card | None], ear: Ear, words: Words) -> Card | None:
        """Say so once when an answer takes longer than people wait in silence."""
        task = asyncio.ensure_future(work)
        timer = asyncio.ensure_future(asyncio.sleep(SLOW))  # people's patience does not speed up with a pretend world
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()
        if not task.done() and not ear.view:
            what = "The plan" if isinstance(words.said, Procedure) else "The answer"
            await self._voice.whisper(ear, cards.words_card(f"Looking; DigitalOcean is slow at the moment. {what} follows here."))
        return await task

    def answering(self, ear: Ear) -> "_Answering":
        """A block whose errors become private sentences to that person."""
        return _Answering(self._voice, ear, frozenset(self._desk.sites))

    async def _do(self, words: Words, text: str, actor: Actor, ear: Ear, trigger: str) -> Card | None:
        if isinstance(words.said, Talk):
            meant = partial(self.cluster, words.cluster, ear.channel, actor)
            form = partial(self._voice.open_modal, trigger)
            asked = Asked(self._desk, self._hours, actor, ear.channel, self._clock, meant, self._office.zone, form, trigger, SPOKEN)
            picture = partial(self._voice.private_picture, ear.user)
            asked = replace(asked, reason=words.reason, dry=words.dry, picture=picture, read=_said, card_channel=self.card_channel)
            return await words.said.answer(asked)
        if words.dry:
            return await self._ask(words.said, words, actor, ear)
        if isinstance(words.said, AddWindow) and trigger and (view := await self._window_form(words.said, words, actor, ear)):
            await self._voice.open_modal(trigger, view)
            return None
        since = self._clock.now()
        cluster = self.cluster(words.cluster, ear.channel, actor)
        if not await self._is_first(trigger):
            return None
        try:
            async with self.taken(text, ear):
                return await self._ask(words.said, words, actor, ear)
        except Unreachable as error:
            self.doubt(ear, error, partial(self.doubts.asked_for, cluster, words.said, actor, since))
            return None

    def doubt(self, ear: Ear, error: Unreachable, look: Look) -> None:
        """Tell this person that it is not known whether it was taken, and later what is."""
        self.tasks.start(self.doubts.tell(ear, error, look), f"what became of a change of {ear.user}")

    async def _window_form(self, add: AddWindow, words: Words, actor: Actor, ear: Ear) -> dict[str, Any] | None:
        """The form, where the words are only the beginning of a window; with the window of that name in it, if there is one."""
        name = self.cluster(words.cluster, ear.channel, actor)
        begun = add.begun(self._office.zone(name))
        if begun is None:
            return None
        self._desk.may_use(name, actor, *add.needs())
        book = await self.sight.book(name, actor)
        there = book.window(begun.name)
        return window_form(name, ear.channel, there or begun, words.reason, known=there is not None)

    # Changing

    @asynccontextmanager
    async def taken(self, text: str, ear: Ear) -> AsyncIterator[None]:
        """Written down for as long as it is worked on: who asked is told when the bot dies over it. Refused when it cannot be."""
        name = new_id()
        await self._write_down(name, text, ear)
        try:
            yield
        finally:
            await self._cross_out(name)

    async def _write_down(self, name: str, text: str, ear: Ear) -> None:
        note: dict[str, str | float] = {"user": ear.user, "channel": ear.channel, "text": text, "at": self._clock.now()}
        try:
            async with asyncio.timeout(KNOWN_WITHIN):
                await self._desk.intake.take(name, note)
        except (TimeoutError, Unreachable):
            raise Refused(NOT_TAKEN) from None

    async def _cross_out(self, name: str) -> None:
        try:
            await self._desk.intake.answered(name)
        except Unreachable as error:
            log.warning("a command was answered and stays noted: %s", error)

    async def _ask(self, procedure: Procedure, words: Words, actor: Actor, ear: Ear) -> Card | None:
        cluster = self.cluster(words.cluster, ear.channel, actor)
        home = self._office.news.get(cluster, "") if words.dry else await self.card_channel(cluster)
        made = await self._desk.request(actor, cluster, procedure, reason=words.reason, dry=words.dry, channel=home or ear.channel)
        if home != ear.channel and isinstance(made, Waiting | Started):
            return cards.words_card(f"Taken; its card is in <#{home}>, the channel of {cluster}.")
        return told(made)

    async def card_channel(self, cluster: str) -> str:
        """The cluster's own channel, in which the card of a change stands. Refused where it could be shown to no one."""
        home = self._office.news.get(cluster, "")
        if not home:
            raise Refused(
                f"not taken, nothing was changed: {cluster} has no channel of its own, in which others could read it. "
                f"Set `clusters.{cluster}.channel` in the bot's settings; it is read again without a restart"
            )
        if why := await self._voice.cannot_post(home):
            raise Refused(f"not taken, nothing was changed: its card could be shown to no one, because {why}")
        return home

    def cluster(self, said: str | None, channel: str, actor: Actor) -> str:
        """The cluster that is meant: said, the channel's own, or the only one there is. Refused where this person may not see it."""
        sites = self._desk.sites
        if said is not None:
            return sites.named(said, actor)
        if channel in self._office.channels:
            return sites.named(self._office.channels[channel], actor)
        if len(sites) == 1:
            return sites.named(next(iter(sites)), actor)
        names = sites.readable(actor)
        if not names:
            raise Refused(NOWHERE)
        raise WhichCluster(f"which cluster? this channel has no default; add `--cluster` and one of {', '.join(names)}")

    async def sweep(self, older_than: float = 180.0) -> None:
        """Tell people whose command was taken by a bot that died over it."""
        for note in await self._desk.intake.forgotten(self._clock.now() - older_than):
            await self._desk.bulkheads.keep("command of a bot that is gone", partial(self._apologize, note))

    async def _apologize(self, note: Mapping[str, str | float]) -> None:
        words = await self._became_of(str(note["text"]), str(note["channel"]), Actor(str(note["user"])), float(note["at"]))
        await self._voice.whisper(Ear(str(note["channel"]), str(note["user"])), cards.words_card(cards.sentence(words)))
        await self._desk.intake.answered(str(note["name"]))

    async def _became_of(self, text: str, channel: str, actor: Actor, at: float) -> str:
        """What a person is told whose command a bot died over: it may have been taken before."""
        typed = f"`{self._office.command} {text}`"
        with suppress(Refused):
            words = parse(text)
            if isinstance(words.said, Procedure):
                found = await self.doubts.asked_for(self.cluster(words.cluster, channel, actor), words.said, actor, at)
                if found != NOT_TAKEN_AFTER_ALL:
                    return f"the bot was restarted while it answered {typed}. {found}"
        return f"the bot was restarted before it could plan {typed}; nothing was changed, type it again"


def _said(text: str) -> Spoken:
    return parse(text).said


class _Answering:
    """Turns errors into sentences with the next thing to do; anything unexpected gets a number that stands in the log."""

    def __init__(self, voice: Voice, ear: Ear, clusters: Container[str]) -> None:
        self._voice = voice
        self._ear = ear
        self._clusters = clusters

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        try:
            await self._voice.whisper(self._ear, cards.words_card(say(error, self._clusters)))
        except Unreachable as deaf:
            log.warning("could not answer %s: %s", self._ear.user, deaf)
        return True


def say(error: Exception, names: Container[str] = ()) -> str:
    """An error as the person reads it: what it means for the system now, and what to do. `names` of clusters stay as they are."""
    match error:
        case Refused():
            return cards.sentence(str(error), names)
        case Unreachable():
            return cards.sentence(f"no usable answer: {error}. Nothing was changed by this; try again in a minute")
        case Rejected():
            return cards.sentence(f"refused: {error}. Nothing more was changed")
        case Superseded():
            return "Another bot is on it; its message says how it goes."
        case BotError():
            return cards.sentence(str(error))
        case _:
            number = new_id()[:8]
            log.error("#%s: %r", number, error, exc_info=error)
            return f"Something went wrong; nothing more was changed. #{number} stands in the bot's log."
