"""Slash commands and mentions: from a person's words to the desk, and its answer back."""

import asyncio
import logging
import shlex
from collections.abc import Awaitable, Container, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from handlers import views
from handlers.commands import CommandContext, InstantCommand, WhichCluster
from handlers.commands.decisions import Decisions, told
from handlers.commands.inbox import CommandIntake, Note, TakenUp
from handlers.commands.lost_answers import NOT_TAKEN as NOT_TAKEN_AFTER_ALL
from handlers.commands.lost_answers import Look, LostAnswers
from handlers.commands.parser import SPOKEN, Words, parse
from handlers.slack.blocks import Card
from handlers.slack.client import ReplyTarget, SlackClient
from handlers.views.window_form import window_form
from services.access.policy import NOWHERE, Actor
from services.common.clock import Clock
from services.common.command import Command
from services.common.errors import BotError, Refused, Rejected, Superseded, Unreachable
from services.common.tasks import Tasks
from services.memory.inbox import CommandInbox
from services.operations.results import Started, Waiting
from services.operations.service import OperationsService
from services.procedures import AddWindow, Procedure
from services.schedule.scheduler import WindowScheduler
from services.schedule.visible import VisibleState
from services.store.keys import event_once, trigger_once
from services.store.once import Once
from services.store.port import new_id
from services.windows.times import parse_at

log = logging.getLogger(__name__)
SLOW = 2.0  # seconds after which a person is told that an answer is on its way


@dataclass(frozen=True)
class HandlerContext:
    """What the handlers are handed: which channel means which cluster, and where a cluster's news go."""

    command: str = "/openvidu"
    channels: Mapping[str, str] = field(default_factory=dict)  # channel id -> default cluster
    zones: Mapping[str, str] = field(default_factory=dict)  # cluster -> time zone
    news: Mapping[str, str] = field(
        default_factory=dict
    )  # cluster -> its own channel, where its cards stand

    def zone(self, cluster: str) -> str:
        """The time zone that a cluster's people live in."""
        return self.zones.get(cluster, "UTC")


class CommandDispatcher:
    """Where people's words arrive."""

    def __init__(
        self,
        operations: OperationsService,
        inbox: CommandInbox,
        once: Once,
        hours: WindowScheduler,
        voice: SlackClient,
        clock: Clock,
        office: HandlerContext,
        tasks: Tasks,
    ) -> None:
        self._operations = operations
        self._clusters = operations.clusters
        self._once = once
        self._hours = hours
        self._voice = voice
        self._clock = clock
        self._office = office
        self.tasks = tasks
        self.sight = VisibleState(operations, hours)
        self.doubts = LostAnswers(self.sight, voice, clock)
        self.deciding = Decisions(operations, voice, self.doubts)
        self.taking = CommandIntake(inbox, clock, self.tasks)
        self.taking.kinds["command"] = self._take_up
        self.closing = False

    async def note(self, body: Mapping[str, Any]) -> Note | None:
        """A slash command on its way: stored, if it changes something, before it is acknowledged. None: it only asks."""
        return await self._noted(
            str(body.get("text") or ""), body, _ear_of(body), str(body.get("trigger_id") or "")
        )

    async def _noted(
        self, text: str, body: Mapping[str, Any], ear: ReplyTarget, trigger: str
    ) -> Note | None:
        try:
            words = parse(text)
        except Refused:
            return None
        return (
            await self.taking.before_ack(_what(text, body, ear), trigger)
            if self._changes(words, ear)
            else None
        )

    async def note_words(
        self, words: Words, body: Mapping[str, Any], ear: ReplyTarget
    ) -> Note | None:
        """The same for words that were picked."""
        if not self._changes(words, ear):
            return None
        return await self.taking.before_ack(
            stored(words, body, ear), str(body.get("trigger_id") or "")
        )

    def _changes(self, words: Words, ear: ReplyTarget) -> bool:
        if words.dry:
            return False
        if isinstance(words.said, AddWindow):
            try:
                return words.said.begun(self._zone(words, ear)) is None  # else a form is asked for
            except Refused:
                return False
        return isinstance(words.said, Procedure) or words.said.changes

    def _zone(self, words: Words, ear: ReplyTarget) -> str:
        """The time zone of the cluster that is meant, whoever means it."""
        sites = list(self._clusters)
        only = sites[0] if len(sites) == 1 else ""
        return self._office.zone(words.cluster or self._office.channels.get(ear.channel, only))

    def command(self, body: Mapping[str, Any], note: Note | None = None) -> None:
        """A slash command. Returns at once; the answer follows by itself."""
        ear = _ear_of(body)
        self.doubts.moved(ear.user)
        self.tasks.start(
            self._take(str(body.get("text") or ""), body, ear, note),
            f"command of {ear.user}",
            actor=ear.user,
        )

    async def once(self, trigger: str, work: Coroutine[Any, Any, None]) -> None:
        """Do it, unless some bot has: what is delivered a second time carries the same trigger."""
        if await self._is_first(trigger):
            await work
        else:
            work.close()

    async def _is_first(self, trigger: str) -> bool:
        try:
            return not trigger or await self._once.claim(trigger_once(trigger))
        except Unreachable:
            return True  # reading still works; changes are written down before they are taken

    def mention(self, body: Mapping[str, Any]) -> None:
        """The same words, as a mention; the way to speak in a thread."""
        event = body["event"]
        # Slack shows nothing of a private answer in a thread that does not exist yet (its reference of chat.postEphemeral).
        ear = ReplyTarget(
            str(event["channel"]), str(event["user"]), str(event.get("thread_ts") or "")
        )
        text = str(event.get("text") or "").partition(">")[2]
        who = {
            "user_id": event["user"],
            "team_id": event.get("user_team") or event.get("team") or body.get("team_id"),
            "enterprise_id": body.get("enterprise_id"),
        }
        self.tasks.start(self._mentioned(str(body.get("event_id")), text, who, ear), "mention")

    async def _mentioned(
        self, event_id: str, text: str, who: Mapping[str, Any], ear: ReplyTarget
    ) -> None:
        try:
            first = await self._once.claim(event_once(event_id))
        except Unreachable:
            first = True  # reading still works; changes are written down before they are taken
        if first:
            await self._take(text, who, ear, None)

    async def _take(
        self, text: str, body: Mapping[str, Any], ear: ReplyTarget, note: Note | None
    ) -> None:
        async with self.answering(ear):
            words = parse(text)
            if note is None and self._changes(words, ear):
                note = self.taking.begin(_what(text, body, ear))
            await self._held(words, body, ear, note)

    async def do(
        self, words: Words, body: Mapping[str, Any], ear: ReplyTarget, note: Note | None = None
    ) -> None:
        """The same for words that were picked instead of typed."""
        async with self.answering(ear):
            if note is None and self._changes(words, ear):
                note = self.taking.begin(
                    stored(words, body, ear)
                )  # what Slack delivers twice was sorted out before
            await self._held(words, body, ear, note)

    async def _held(
        self, words: Words, body: Mapping[str, Any], ear: ReplyTarget, note: Note | None
    ) -> None:
        """What changes something is held by this bot until it is answered; the answer comes first."""
        if note is None:
            await self._carry_out(words, body, ear, None)
            return
        async with self.taking.held(note) as mine:
            if mine:
                async with self.answering(ear):
                    await self._carry_out(words, body, ear, note)

    async def _carry_out(
        self, words: Words, body: Mapping[str, Any], ear: ReplyTarget, note: Note | None
    ) -> None:
        if self.closing:
            raise Refused("the bot is restarting; nothing was changed, type it again in a minute")
        actor = await self._voice.actor(body)
        answer = await self._patiently(
            self._do(words, actor, ear, str(body.get("trigger_id") or ""), note), ear, words
        )
        if answer is None:
            return
        try:
            await self._voice.whisper(ear, answer)
        except (
            Unreachable
        ):  # of Slack: what was asked for is done, and only its answer is still owed
            self.tasks.start(self.doubts.say(ear, answer), f"answer to {ear.user}", actor=ear.user)

    async def _patiently(
        self, work: Awaitable[Card | None], ear: ReplyTarget, words: Words
    ) -> Card | None:
        """Say so once when an answer takes longer than people wait in silence."""
        task = asyncio.ensure_future(work)
        timer = asyncio.ensure_future(
            asyncio.sleep(SLOW)
        )  # people's patience does not speed up with a pretend world
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()
        if not task.done() and not ear.view:
            what = "The plan" if isinstance(words.said, Procedure) else "The answer"
            await self._voice.whisper(
                ear,
                views.words_card(
                    f"Looking; DigitalOcean is slow at the moment. {what} follows here."
                ),
            )
        return await task

    def answering(self, ear: ReplyTarget) -> "_Answering":
        """A block whose errors become private sentences to that person."""
        return _Answering(self._voice, ear, frozenset(self._clusters))

    async def _do(
        self, words: Words, actor: Actor, ear: ReplyTarget, trigger: str, note: Note | None
    ) -> Card | None:
        if (
            isinstance(words.said, AddWindow)
            and trigger
            and (view := await self._window_form(words.said, words, actor, ear))
        ):
            await self._voice.open_modal(trigger, view)
            return None
        if note is None:
            return await self._work(words, actor, ear, trigger)
        since = self._clock.now()
        try:
            return await self._work(words, actor, ear, trigger)
        except Unreachable as error:
            self.doubt(ear, error, self._became(words, actor, ear, since), note)
            return None

    async def _work(
        self, words: Words, actor: Actor, ear: ReplyTarget, trigger: str
    ) -> Card | None:
        if isinstance(words.said, InstantCommand):
            meant = partial(self.cluster, words.cluster, ear.channel, actor)
            form = partial(self._voice.open_modal, trigger)
            asked = CommandContext(
                self._operations,
                self._hours,
                actor,
                ear.channel,
                self._clock,
                meant,
                self._office.zone,
                form,
                trigger,
                SPOKEN,
            )
            picture = partial(self._voice.private_picture, ear.user)
            later = self.later(words, actor, ear) if words.at else None
            asked = replace(asked, reason=words.reason, dry=words.dry, later=later)
            asked = replace(asked, picture=picture, read=_said, card_channel=self.card_channel)
            return await words.said.answer(asked)
        return await self._ask(words.said, words, actor, ear)

    def _became(self, words: Words, actor: Actor, ear: ReplyTarget, since: float) -> Look:
        """How to find out what became of words that change something."""
        if isinstance(words.said, Procedure):
            return partial(
                self.doubts.asked_for,
                self.cluster(words.cluster, ear.channel, actor),
                words.said,
                actor,
                since,
            )
        if run := getattr(words.said, "run", ""):
            return partial(self.doubts.pressed, run, actor, since)
        return partial(
            self.doubts.recorded,
            self.cluster(words.cluster, ear.channel, actor),
            words.said.command,
            actor,
            since,
        )

    def doubt(
        self, ear: ReplyTarget, error: Unreachable, look: Look, note: Note | None = None
    ) -> None:
        """Tell this person that it is not known whether it was taken, and later what is. Until then `note` stays open."""
        follows = None
        if note is not None:
            note.passed_on, follows = True, replace(note)
        self.tasks.start(
            self._doubted(ear, error, look, follows),
            f"what became of a change of {ear.user}",
            actor=ear.user,
        )

    async def _doubted(
        self, ear: ReplyTarget, error: Unreachable, look: Look, note: Note | None
    ) -> None:
        if note is None:
            await self.doubts.tell(ear, error, look)
            return
        async with self.taking.held(note):
            await self.doubts.tell(ear, error, look)

    async def _window_form(
        self, add: AddWindow, words: Words, actor: Actor, ear: ReplyTarget
    ) -> dict[str, Any] | None:
        """The form, where the words are only the beginning of a window; with the window of that name in it, if there is one."""
        name = self.cluster(words.cluster, ear.channel, actor)
        begun = add.begun(self._office.zone(name))
        if begun is None:
            return None
        self._operations.may_use(name, actor, *add.needs())
        book = await self.sight.book(name, actor)
        there = book.window(begun.name)
        return window_form(name, ear.channel, there or begun, words.reason, known=there is not None)

    # Changing

    async def _ask(
        self, procedure: Procedure, words: Words, actor: Actor, ear: ReplyTarget
    ) -> Card | None:
        cluster = self.cluster(words.cluster, ear.channel, actor)
        home = self._office.news.get(cluster, "") if words.dry else await self.card_channel(cluster)
        asks = partial(
            self._operations.request,
            reason=words.reason,
            dry=words.dry,
            channel=home or ear.channel,
        )
        made = await asks(actor, cluster, procedure, later=self.later(words, actor, ear))
        if home != ear.channel and isinstance(made, Waiting | Started):
            return views.words_card(f"Taken; its card is in <#{home}>, the channel of {cluster}.")
        return told(made)

    def later(self, words: Words, actor: Actor, ear: ReplyTarget) -> tuple[float, str] | None:
        """When it is to be done, by the clocks of the cluster, as seen from when it was typed; None: now."""
        if not words.at:
            return None
        zone = self._office.zone(self.cluster(words.cluster, ear.channel, actor))
        at = parse_at(words.at, ear.since or self._clock.now(), zone)
        if at <= self._clock.now():
            raise Refused(f"{words.at} is over by now; nothing was changed, type it again")
        return at, zone

    async def card_channel(self, cluster: str) -> str:
        """The cluster's own channel, in which the card of a change stands. Refused where it could be shown to no one."""
        home = self._office.news.get(cluster, "")
        if not home:
            raise Refused(
                f"not taken, nothing was changed: {cluster} has no channel of its own, in which others could read it. "
                f"Set `clusters.{cluster}.channel` in the bot's settings; it is read again without a restart"
            )
        if why := await self._voice.cannot_post(home):
            raise Refused(
                f"not taken, nothing was changed: its card could be shown to no one, because {why}"
            )
        return home

    def cluster(self, said: str | None, channel: str, actor: Actor) -> str:
        """The cluster that is meant: said, the channel's own, or the only one there is. Refused where this person may not see it."""
        sites = self._clusters
        if said is not None:
            return sites.named(said, actor)
        if channel in self._office.channels:
            return sites.named(self._office.channels[channel], actor)
        if len(sites) == 1:
            return sites.named(next(iter(sites)), actor)
        names = sites.readable(actor)
        if not names:
            raise Refused(NOWHERE)
        raise WhichCluster(
            f"which cluster? this channel has no default; add `--cluster` and one of {', '.join(names)}"
        )

    async def sweep(self) -> None:
        """Go on with what bots had taken that died over it."""
        await self.taking.sweep()

    async def _take_up(self, left: TakenUp) -> None:
        """A command that a bot died over: say what became of it, or carry it out now."""
        what, text = left.what, str(left.what["text"])
        where = (str(what["channel"]), str(what["user"]), str(what.get("thread", "")))
        ear = ReplyTarget(*where, url=str(what.get("url", "")), since=float(what["at"]))
        body = {
            "user_id": ear.user,
            "team_id": what.get("team", ""),
            "enterprise_id": what.get("enterprise", ""),
        }
        typed = f"`{self._office.command} {text}`"
        words = await self._found(what, ear, await self._voice.actor(body))
        if words:
            said = f"the bot was restarted while it answered {typed}. {words}"
        elif left.again and not what.get("form"):
            await self._voice.whisper(
                ear,
                views.words_card(
                    f"The bot was restarted before it could answer {typed}; it is taken up now."
                ),
            )
            async with self.answering(ear):
                await self._carry_out(parse(text), body, ear, left.note)
            return
        else:
            said = f"the bot was restarted before it could plan {typed}; nothing was changed, type it again"
        await self._voice.whisper(ear, views.words_card(views.sentence(said)))

    async def _found(self, what: Mapping[str, str | float], ear: ReplyTarget, actor: Actor) -> str:
        """What became of it already; "" when nothing did."""
        with suppress(Refused):
            words = parse(str(what["text"]))
            if what.get("form") or self._changes(words, ear):
                found = await self._became(words, actor, ear, float(what["at"]))()
                return "" if found == NOT_TAKEN_AFTER_ALL else found
        return ""


def _ear_of(body: Mapping[str, Any]) -> ReplyTarget:
    return ReplyTarget(
        str(body["channel_id"]), str(body["user_id"]), url=str(body.get("response_url") or "")
    )


def _what(text: str, body: Mapping[str, Any], ear: ReplyTarget) -> dict[str, str | float]:
    """A command as it is stored: what was said, by whom, and where the answer goes."""
    return {"kind": "command", "text": text, **sender(body, ear)}


def stored(words: Words, body: Mapping[str, Any], ear: ReplyTarget) -> dict[str, str | float]:
    """The same for words that were picked."""
    return _what(_typed(words), body, ear)


def sender(body: Mapping[str, Any], ear: ReplyTarget) -> dict[str, str | float]:
    """Who has sent a payload, as it is stored; `Voice.actor` knows them again by that."""
    user, team = body.get("user") or {}, body.get("team") or {}
    home = user.get("team_id") or body.get("team_id") or team.get("id") or ""
    enterprise = body.get("enterprise_id") or (body.get("enterprise") or {}).get("id") or ""
    return {
        "user": ear.user,
        "channel": ear.channel,
        "thread": ear.thread,
        "url": ear.url,
        "team": str(home),
        "enterprise": str(enterprise),
    }


def _typed(words: Words) -> str:
    """What could have been typed for words that were picked."""
    cluster = f" --cluster {words.cluster}" if words.cluster else ""
    at = f" --at {shlex.quote(words.at)}" if words.at else ""
    return f"{words.said.words()}{cluster}{at}" + (
        f" --reason {shlex.quote(words.reason)}" if words.reason else ""
    )


def _said(text: str) -> Command:
    return parse(text).said


class _Answering:
    """Turns errors into sentences with the next thing to do; anything unexpected gets a number that stands in the log."""

    def __init__(self, voice: SlackClient, ear: ReplyTarget, clusters: Container[str]) -> None:
        self._voice = voice
        self._ear = ear
        self._clusters = clusters

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        try:
            await self._voice.whisper(self._ear, views.words_card(say(error, self._clusters)))
        except Unreachable as deaf:
            log.warning("could not answer %s: %s", self._ear.user, deaf)
        return True


def say(error: Exception, names: Container[str] = ()) -> str:
    """An error as the person reads it: what it means for the system now, and what to do. `names` of clusters stay as they are."""
    match error:
        case Refused():
            return views.sentence(str(error), names)
        case Unreachable():
            return views.sentence(
                f"no usable answer: {error}. Nothing was changed by this; try again in a minute"
            )
        case Rejected():
            return views.sentence(f"refused: {error}. Nothing more was changed")
        case Superseded():
            return "Another bot is on it; its message says how it goes."
        case BotError():
            return views.sentence(str(error))
        case _:
            number = new_id()[:8]
            log.error("#%s: %r", number, error, exc_info=error)
            return f"Something went wrong; nothing more was changed. #{number} stands in the bot's log."
