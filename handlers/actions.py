"""Buttons: approvals and decisions. A button carries an opaque id only; authority and state are looked up when it is pressed."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from handlers import cards
from handlers.blocks import Card, day
from handlers.commands import Counter
from handlers.deciding import BY_ACTION, not_covered, opening_view
from handlers.doubts import Look
from handlers.home import Home
from handlers.menus import Menus
from handlers.reporter import Reporter
from handlers.voice import Ear, MessageGone, Voice, mark_of
from services.desk import Desk
from services.errors import BotError, Refused, Unreachable
from services.hours import Hours
from services.policy import Actor, Decision, whom_to_ask
from services.windows import hours_words

log = logging.getLogger(__name__)
OPAQUE = re.compile(r"[\w|:.@+-]{0,200}", re.ASCII)  # an id, a name, a moment; never words
OF_CARDS = (cards.APPROVE, cards.REJECT, cards.DETAILS, cards.CANCEL, cards.RESUME, cards.ABANDON, cards.ANSWER)
OFFERED = ("form", "say", "more", "which")


class Buttons:
    """One method per button; each answers the person who pressed, in private, and the card shows the rest."""

    def __init__(self, desk: Desk, hours: Hours, voice: Voice, counter: Counter, menus: Menus, home: Home, reporter: Reporter) -> None:
        self._desk = desk
        self._hours = hours
        self._voice = voice
        self._counter = counter
        self._menus = menus
        self._home = home
        self._deciding = counter.deciding
        self._reporter = reporter

    def press(self, body: Mapping[str, Any]) -> None:
        """A button was pressed. Returns at once."""
        action = body["actions"][0]
        channel = (body.get("channel") or {}).get("id") or ""
        message = body.get("message") or {}
        trigger = str(body.get("trigger_id") or "")
        url = str(body.get("response_url") or "")
        ear = Ear(channel, body["user"]["id"], str(message.get("thread_ts") or ""), trigger=trigger, url=url)
        name = str(action["action_id"])
        picked = action.get("selected_option") or {}
        value = str(picked.get("value") or action.get("value") or "")
        self._counter.doubts.moved(ear.user)
        work = self._press(name, value, body, ear)
        self._counter.tasks.start(self._counter.once(trigger, work), f"{name} by {ear.user}")

    async def _press(self, name: str, value: str, body: Mapping[str, Any], ear: Ear) -> None:
        await self._pressed(name, value, body, ear)
        await self._bring_up_to_date(name, value, body)

    async def _pressed(self, name: str, value: str, body: Mapping[str, Any], ear: Ear) -> None:
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
            since = self._desk.now()
            try:
                answer = await self._do(name, value, actor)
            except Unreachable as error:
                look = self._became(name, value, actor, since)
                if look is None:
                    raise
                self._counter.doubt(ear, error, look)
                return
            if answer is not None:
                await self._voice.whisper(ear, answer)

    async def _ask_why(self, action: str, value: str, body: Mapping[str, Any], ear: Ear) -> None:
        """In a form that is opened at once, because a press counts for three seconds, and filled in when it is known what is decided."""
        ear = replace(ear, view=await self._voice.open_modal(ear.trigger, opening_view()))
        async with self._counter.answering(ear):
            if (answer := await self._deciding.ask(action, value, body, ear)) is not None:
                await self._voice.whisper(ear, answer)
    async def _bring_up_to_date(self, name: str, value: str, body: Mapping[str, Any]) -> None:
        """The message that was pressed, if it is a copy of a card that no bot remembers."""
        message = body.get("message") or {}
        ts = str(message.get("ts") or "")
        if not ts or name.partition(":")[0] not in OF_CARDS:
            return
        about = value.partition("|")[0]
        try:
            await self._desk.must_see(about, await self._voice.actor(body))
            await self._reporter.pressed(about, str(body["channel"]["id"]), ts, mark_of(message))
        except (BotError, MessageGone) as error:
            log.info("a message that was pressed stays as it is: %s", error)

    def _became(self, name: str, value: str, actor: Actor, since: float) -> Look | None:
        """How to find out what became of a press that changes something; None for one that only shows."""
        match name.partition(":")[0]:
            case action if action in BY_ACTION:
                return self._deciding.became(BY_ACTION[action], value, actor, since)
            case cards.ANSWER:
                return partial(self._counter.doubts.pressed, value.partition("|")[0], actor, since)
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

    async def approve(self, value: str, _more: str, actor: Actor) -> Card | None:
        """One approval more."""
        return await self._deciding.decide(Decision.APPROVE, value, actor)

    async def reject(self, value: str, _more: str, actor: Actor) -> Card | None:
        """Close a request without doing anything."""
        return await self._deciding.decide(Decision.REJECT, value, actor)

    async def details(self, value: str, _more: str, actor: Actor) -> Card:
        """Everything about a request."""
        request = await self._desk.request_of(value, actor)
        whom = approvers(self._desk, request.plan.cluster, request.requester)
        return cards.details_card(request, whom, decides=self._desk.counts(request, actor))

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
        name = self._desk.sites.named(value, actor)
        kept = await self._hours.wishes.keep(name, "tonight" if more == "tonight" else float(more), actor)
        return cards.words_card(f"{name} stays up until {day(kept.until)}.")

    async def close_now(self, value: str, _more: str, actor: Actor) -> None:
        """Yes to a window that asks first."""
        name, _, edge = value.partition("|")
        await self._hours.wishes.close_now(self._desk.sites.named(name, actor), edge, actor)

    async def answer(self, value: str, _more: str, actor: Actor) -> Card | None:
        """One answer to a run's question."""
        run, question, choice = [*value.split("|"), "", ""][:3]
        return not_covered(await self._desk.answer(run, question, choice, actor))


# Every button of the bot's cards, by its action without what follows a colon; those of menus and forms are OFFERED.
ACTIONS: Mapping[str, Callable[[Buttons, str, str, Actor], Awaitable[Card | None]]] = {
    cards.REFRESH: Buttons.refresh,
    cards.APPROVE: Buttons.approve,
    cards.NOTE: Buttons.approve,
    cards.REJECT: Buttons.reject,
    cards.DETAILS: Buttons.details,
    cards.CANCEL: Buttons.cancel,
    cards.RESUME: Buttons.resume,
    cards.ABANDON: Buttons.abandon,
    cards.ANSWER: Buttons.answer,
    "keepup": Buttons.keep_up,
    "closenow": Buttons.close_now,
}


def approvers(desk: Desk, cluster: str, requester: Actor, *, everybody: bool = False) -> str:
    """Who may approve, in words: `operators (@ben or @carla), not @ana`. With `everybody` all of them by name."""
    rules = desk.site(cluster).rules
    if everybody:
        return cards.called(rules.approvers, requester)
    when = f", {hours_words(rules.approvals_when)}" if rules.approvals_when else ""
    if rules.single_operator:
        return f"an approver ({whom_to_ask(rules.approvers)}){when}"
    return f"an approver ({whom_to_ask(rules.approvers - {requester.user})}), not {requester.mention}{when}"
