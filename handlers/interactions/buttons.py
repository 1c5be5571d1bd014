"""Buttons: approvals and decisions. A button carries an opaque id only; authority and state are looked up when it is pressed."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from handlers import views
from handlers.commands.decisions import BY_ACTION, not_covered, opening_view
from handlers.commands.dispatcher import CommandDispatcher, sender
from handlers.commands.inbox import Note, TakenUp
from handlers.commands.lost_answers import NOT_TAKEN, Look, became
from handlers.commands.wake_up import woken_card
from handlers.interactions.home_tab import Home
from handlers.interactions.menu import Menus
from handlers.slack.blocks import Card, day
from handlers.slack.client import MessageGone, ReplyTarget, SlackClient, mark_of
from handlers.updates.escalations import ACKNOWLEDGE, Escalations
from handlers.updates.reporter import Reporter
from services.access.clusters import ClusterRegistry
from services.access.policy import Actor, Decision, whom_to_ask
from services.common.errors import BotError, Refused, Unreachable
from services.operations.service import OperationsService
from services.schedule.scheduler import WindowScheduler
from services.schedule.wake_up import WakeUps
from services.windows import hours_words

log = logging.getLogger(__name__)
OPAQUE = re.compile(r"[\w|:.@+-]{0,200}", re.ASCII)  # an id, a name, a moment; never words
OF_CARDS = (
    views.APPROVE,
    views.REJECT,
    views.DETAILS,
    views.CANCEL,
    views.RESUME,
    views.ABANDON,
    views.ANSWER,
)
DECIDING = (
    views.APPROVE,
    views.REJECT,
    views.CANCEL,
    views.RESUME,
    views.ABANDON,
    views.ANSWER,
    views.WAKE,
    "keepup",
    "closenow",
)
OFFERED = ("form", "say", "more", "which")


class Buttons:
    """One method per button; each answers the person who pressed, in private, and the card shows the rest."""

    def __init__(
        self,
        operations: OperationsService,
        hours: WindowScheduler,
        voice: SlackClient,
        counter: CommandDispatcher,
        menus: Menus,
        home: Home,
        reporter: Reporter,
        escalations: Escalations,
    ) -> None:
        self._operations = operations
        self._clusters = operations.clusters
        self._hours = hours
        self._voice = voice
        self._counter = counter
        self._menus = menus
        self._home = home
        self._deciding = counter.deciding
        self._reporter = reporter
        self._escalations = escalations
        counter.taking.kinds["press"] = self._take_up

    async def note(self, body: Mapping[str, Any]) -> Note | None:
        """A press on its way: stored, if it decides something, before it is acknowledged. None: it only shows something."""
        name, value, ear = _read(body)
        action = name.partition(":")[0]
        if (
            action not in DECIDING
            or not OPAQUE.fullmatch(value)
            or self._deciding.may_take_one(action)
        ):
            return None  # it shows something; or a form comes first, and sending that decides
        what = {"kind": "press", "action": name, "value": value, **sender(body, ear)}
        return await self._counter.taking.before_ack(what, ear.trigger)

    def press(self, body: Mapping[str, Any], note: Note | None = None) -> None:
        """A button was pressed. Returns at once."""
        name, value, ear = _read(body)
        self._counter.doubts.moved(ear.user)
        work = self._press(name, value, body, ear, note)
        once = work if note is not None else self._counter.once(ear.trigger, work)
        self._counter.tasks.start(once, f"{name} by {ear.user}", actor=ear.user)

    async def _press(
        self, name: str, value: str, body: Mapping[str, Any], ear: ReplyTarget, note: Note | None
    ) -> None:
        async with self._counter.answering(ear):
            if note is None:
                await self._pressed(name, value, body, ear, None)
            else:
                async with self._counter.taking.held(note) as mine:
                    if mine:
                        await self._pressed(name, value, body, ear, note)
        await self._bring_up_to_date(name, value, body)

    async def _pressed(
        self, name: str, value: str, body: Mapping[str, Any], ear: ReplyTarget, note: Note | None
    ) -> None:
        async with self._counter.answering(ear):
            if not OPAQUE.fullmatch(value):
                raise Refused("this button is not one of the bot's; nothing was changed")
            if name.partition(":")[0] in OFFERED:
                await self._menus.press(name, value, body, ear)
                return
            action = name.partition(":")[0]
            if self._deciding.may_take_one(action):
                await self._ask_why(action, value, body, ear)
                return
            actor = await self._voice.actor(body)
            since = self._operations.now()
            try:
                answer = await self._do(name, value, actor)
            except Unreachable as error:
                look = self._became(name, value, actor, since)
                if look is None:
                    raise
                self._counter.doubt(ear, error, look, note)
                return
            if answer is not None:
                await self._voice.whisper(ear, answer)

    async def _take_up(self, left: TakenUp) -> None:
        """A press that a bot died over: say what became of it, or take it now."""
        what, name, value = left.what, str(left.what["action"]), str(left.what["value"])
        ear = ReplyTarget(
            str(what["channel"]),
            str(what["user"]),
            str(what["thread"]),
            url=str(what["url"]),
            since=float(what["at"]),
        )
        body = {
            "user_id": ear.user,
            "team_id": str(what["team"]),
            "enterprise_id": str(what["enterprise"]),
        }
        actor = await self._voice.actor(body)
        look = self._became(name, value, actor, float(what["at"]))
        found = await became(look)
        if found == NOT_TAKEN and left.again:
            await self._pressed(name, value, body, ear, left.note)
        else:
            await self._voice.whisper(
                ear, views.words_card(f"The bot was restarted while it took your press. {found}")
            )

    async def _ask_why(
        self, action: str, value: str, body: Mapping[str, Any], ear: ReplyTarget
    ) -> None:
        """In a form that is opened at once, because a press counts for three seconds, and filled in when it is known what is decided."""
        ear = replace(ear, view=await self._voice.open_modal(ear.trigger, opening_view()))
        async with self._counter.answering(ear):
            since = self._operations.now()
            try:
                answer = await self._deciding.ask(action, value, body, ear)
            except Unreachable as error:
                actor = await self._voice.actor(body)
                self._counter.doubt(
                    ear, error, self._deciding.became(BY_ACTION[action], value, actor, since)
                )
                return
            if answer is not None:
                await self._voice.whisper(ear, answer)

    async def _bring_up_to_date(self, name: str, value: str, body: Mapping[str, Any]) -> None:
        """The message that was pressed, if it is a copy of a card that no bot remembers."""
        message = body.get("message") or {}
        ts = str(message.get("ts") or "")
        if not ts or name.partition(":")[0] not in OF_CARDS:
            return
        about = value.partition("|")[0]
        try:
            await self._operations.must_see(about, await self._voice.actor(body))
            await self._reporter.pressed(about, str(body["channel"]["id"]), ts, mark_of(message))
        except (BotError, MessageGone) as error:
            log.info("a message that was pressed stays as it is: %s", error)

    def _became(self, name: str, value: str, actor: Actor, since: float) -> Look | None:
        """How to find out what became of a press that changes something; None for one that only shows."""
        match name.partition(":")[0]:
            case action if action in BY_ACTION:
                return self._deciding.became(BY_ACTION[action], value, actor, since)
            case views.ANSWER:
                return partial(self._counter.doubts.pressed, value.partition("|")[0], actor, since)
            case "keepup" | "closenow" | views.WAKE as command:
                return partial(
                    self._counter.doubts.recorded, value.partition("|")[0], command, actor, since
                )
            case _:
                return None

    async def _do(self, name: str, value: str, actor: Actor) -> Card | None:
        action, _, more = name.partition(":")
        if action not in ACTIONS:
            raise Refused("this button is of an older version; nothing was changed")
        return await ACTIONS[action](self, value, more, actor)

    async def refresh(self, _value: str, _more: str, actor: Actor) -> None:
        """Draw App Home anew."""
        await self._home.refresh(actor)

    async def acknowledge(self, value: str, _more: str, actor: Actor) -> Card:
        """Somebody sees to what is repeated."""
        return await self._escalations.acknowledge(value, actor)

    async def approve(self, value: str, _more: str, actor: Actor) -> Card | None:
        """One approval more."""
        return await self._deciding.decide(Decision.APPROVE, value, actor)

    async def reject(self, value: str, _more: str, actor: Actor) -> Card | None:
        """Close a request without doing anything."""
        return await self._deciding.decide(Decision.REJECT, value, actor)

    async def details(self, value: str, _more: str, actor: Actor) -> Card:
        """Everything about a request."""
        request = await self._operations.request_of(value, actor)
        whom = approvers(self._clusters, request.plan.cluster, request.requester)
        return views.details_card(request, whom, decides=self._operations.counts(request, actor))

    async def cancel(self, value: str, _more: str, actor: Actor) -> Card | None:
        """Stop a run at its next safe point."""
        return await self._deciding.decide(Decision.CANCEL, value, actor)

    async def resume(self, value: str, _more: str, actor: Actor) -> Card | None:
        """Go on with a stopped run."""
        return await self._deciding.decide(Decision.TAKE_OVER, value, actor)

    async def abandon(self, value: str, _more: str, actor: Actor) -> Card | None:
        """Give up a stopped run."""
        return await self._deciding.decide(Decision.ABANDON, value, actor)

    async def keep_up(self, value: str, more: str, actor: Actor) -> Card:
        """Stay up although a window would close it."""
        name = self._clusters.named(value, actor)
        kept = await self._hours.wishes.keep(
            name, "tonight" if more == "tonight" else float(more), actor
        )
        return views.words_card(f"{name} stays up until {day(kept.until)}.")

    async def wake(self, value: str, _more: str, actor: Actor) -> Card:
        """Start what a window has closed, for a while."""
        name = self._clusters.named(value, actor)
        kept = await WakeUps(self._operations, self._hours).wake(name, actor)
        return woken_card(name, kept.until)

    async def close_now(self, value: str, _more: str, actor: Actor) -> None:
        """Yes to a window that asks first."""
        name, _, edge = value.partition("|")
        await self._hours.wishes.close_now(self._clusters.named(name, actor), edge, actor)

    async def answer(self, value: str, _more: str, actor: Actor) -> Card | None:
        """One answer to a run's question."""
        run, question, choice = [*value.split("|"), "", ""][:3]
        return not_covered(await self._operations.answer(run, question, choice, actor))


# Every button of the bot's cards, by its action without what follows a colon; those of menus and forms are OFFERED.
ACTIONS: Mapping[str, Callable[[Buttons, str, str, Actor], Awaitable[Card | None]]] = {
    views.REFRESH: Buttons.refresh,
    ACKNOWLEDGE: Buttons.acknowledge,
    views.APPROVE: Buttons.approve,
    views.NOTE: Buttons.approve,
    views.REJECT: Buttons.reject,
    views.DETAILS: Buttons.details,
    views.CANCEL: Buttons.cancel,
    views.RESUME: Buttons.resume,
    views.ABANDON: Buttons.abandon,
    views.ANSWER: Buttons.answer,
    "keepup": Buttons.keep_up,
    views.WAKE: Buttons.wake,
    "closenow": Buttons.close_now,
}


def _read(body: Mapping[str, Any]) -> tuple[str, str, ReplyTarget]:
    """Which button was pressed, what it carries, and where the answer goes."""
    action, message = body["actions"][0], body.get("message") or {}
    channel, thread = (
        str((body.get("channel") or {}).get("id") or ""),
        str(message.get("thread_ts") or ""),
    )
    trigger, url = str(body.get("trigger_id") or ""), str(body.get("response_url") or "")
    value = str((action.get("selected_option") or {}).get("value") or action.get("value") or "")
    return (
        str(action["action_id"]),
        value,
        ReplyTarget(channel, str(body["user"]["id"]), thread, trigger=trigger, url=url),
    )


def approvers(
    clusters: ClusterRegistry, cluster: str, requester: Actor, *, everybody: bool = False
) -> str:
    """Who may approve, in words: `operators (@ben or @carla), not @ana`. With `everybody` all of them by name."""
    rules = clusters.site(cluster).rules
    if everybody:
        return views.called(rules.approvers, requester)
    when = f", {hours_words(rules.approvals_when)}" if rules.approvals_when else ""
    if rules.single_operator:
        return f"an approver ({whom_to_ask(rules.approvers)}){when}"
    return f"an approver ({whom_to_ask(rules.approvers - {requester.user})}), not {requester.mention}{when}"
