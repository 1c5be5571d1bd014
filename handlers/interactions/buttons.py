"""Buttons on cards: approvals and other decisions.

A button carries an opaque id only; rights and state are looked up when it is pressed.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from handlers import views
from handlers.commands.decisions import BY_ACTION, opening_view
from handlers.commands.dispatcher import CommandDispatcher
from handlers.commands.inbox import RecoveredInput, StoredInput
from handlers.commands.lost_answers import NOT_TAKEN, OutcomeLookup, outcome_now
from handlers.commands.parser import ParsedCommand, parse
from handlers.commands.stored import sender
from handlers.interactions.button_actions import ButtonActions
from handlers.interactions.home_tab import HomeTab
from handlers.interactions.menu import MenuHandler
from handlers.interactions.notifications import NotificationForm
from handlers.slack.api import MessageGone
from handlers.slack.client import ReplyTarget, SlackClient, mark_of
from handlers.updates.escalations import Escalations
from handlers.updates.reporter import Reporter
from handlers.views import terraform
from handlers.views.notifications import BUTTON as NOTIFY
from services.access.policy import Actor
from services.common.errors import BotError, Refused, Unreachable
from services.operations.service import OperationsService
from services.procedures import Procedure
from services.schedule.scheduler import WindowScheduler
from services.store.keys import BATCH

log = logging.getLogger(__name__)
# An id, a name, a time; never words.
OPAQUE = re.compile(r"[\w|:.@+-]{0,200}", re.ASCII)
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
    views.NEXT,
    "keepup",
    "closenow",
    terraform.OPEN_PULL,
)
NAMED = 3  # people whom `people_to_ask` names
MENU_ACTIONS = ("form", "say", "more", "which")
# Buttons that open a modal or request something, before those of ACTIONS.
OPENING_ACTIONS = (NOTIFY, views.REQUEST, views.NEXT)


class ButtonHandler:
    """Takes presses: stores what decides, carries it out once, and answers the person."""

    def __init__(
        self,
        operations: OperationsService,
        scheduler: WindowScheduler,
        slack: SlackClient,
        dispatcher: CommandDispatcher,
        menus: MenuHandler,
        home: HomeTab,
        reporter: Reporter,
        escalations: Escalations,
        notifications: NotificationForm,
    ) -> None:
        self._operations = operations
        self._actions = ButtonActions(
            operations, scheduler, dispatcher.decisions, home, escalations
        )
        self._slack = slack
        self._dispatcher = dispatcher
        self._menus = menus
        self._decisions = dispatcher.decisions
        self._reporter = reporter
        self._notifications = notifications
        dispatcher.intake.recovery_handlers["press"] = self._take_up

    async def note(self, body: Mapping[str, Any]) -> StoredInput | None:
        """Store a press before it is acknowledged; None when it decides nothing by itself."""
        name, value, reply_to = _read(body)
        action = name.partition(":")[0]
        if action not in DECIDING or not OPAQUE.fullmatch(value):
            return None
        if self._decisions.may_need_reason(action):
            # A form comes first, and sending that decides.
            return None
        what = {"kind": "press", "action": name, "value": value, **sender(body, reply_to)}
        return await self._dispatcher.intake.before_ack(what, reply_to.trigger)

    def press(self, body: Mapping[str, Any], note: StoredInput | None = None) -> None:
        """Carry out a press in a task of its own."""
        name, value, reply_to = _read(body)
        self._dispatcher.lost_answers.note_input(reply_to.user)
        work = self._press(name, value, body, reply_to, note)
        if note is None:
            work = self._dispatcher.once(reply_to.trigger, work)
        self._dispatcher.tasks.start(work, f"{name} by {reply_to.user}", actor=reply_to.user)

    async def _press(
        self,
        name: str,
        value: str,
        body: Mapping[str, Any],
        reply_to: ReplyTarget,
        note: StoredInput | None,
    ) -> None:
        async with self._dispatcher.answering(reply_to):
            if note is None:
                await self._pressed(name, value, body, reply_to, None)
            else:
                async with self._dispatcher.intake.held(note) as mine:
                    if mine:
                        await self._pressed(name, value, body, reply_to, note)
        await self._bring_up_to_date(name, value, body)

    async def _pressed(
        self,
        name: str,
        value: str,
        body: Mapping[str, Any],
        reply_to: ReplyTarget,
        note: StoredInput | None,
    ) -> None:
        async with self._dispatcher.answering(reply_to):
            if not OPAQUE.fullmatch(value):
                raise Refused("this button is not one of the bot's; nothing was changed")
            if name.partition(":")[0] in MENU_ACTIONS:
                await self._menus.press(name, value, body, reply_to)
                return
            action = name.partition(":")[0]
            if action == NOTIFY:
                await self._notifications.open(body, reply_to.trigger)
                return
            if self._decisions.may_need_reason(action):
                await self._ask_why(action, value, body, reply_to)
                return
            if action == views.DETAILS and reply_to.trigger:
                await self._show_details(value, body, reply_to)
                return
            if action == views.REQUEST:
                await self._request_shown(value, body, reply_to)
                return
            if action == views.NEXT:
                await self._next(name, value, body, reply_to, note)
                return
            actor = await self._slack.actor(body)
            since = self._operations.now()
            try:
                answer = await self._actions.do(name, value, actor)
            except Unreachable as error:
                look = self._became(name, value, actor, since)
                if look is None:
                    raise
                self._dispatcher.follow_up(reply_to, error, look, note)
                return
            if answer is not None:
                await self._slack.post_ephemeral(reply_to, answer)

    async def _next(
        self,
        name: str,
        value: str,
        body: Mapping[str, Any],
        reply_to: ReplyTarget,
        note: StoredInput | None,
    ) -> None:
        """Request what the card of a run that is over offers, as if it had been typed."""
        parsed = await self._offered(name, value, await self._slack.actor(body))
        await self._dispatcher.carry_out_held(parsed, body, reply_to, note)

    async def _offered(self, name: str, value: str, actor: Actor) -> ParsedCommand:
        """Return the command of such a button; Refused where it is not offered any more."""
        run = await self._operations.run(value.partition("|")[0], actor)
        step = views.next_step(run, name.partition(":")[2])
        if step is None:
            raise Refused(f"{run.id} no longer offers this; nothing was changed")
        return replace(parse(step.words), cluster=run.cluster)

    async def _became_of_next(self, name: str, value: str, actor: Actor, since: float) -> str:
        parsed = await self._offered(name, value, actor)
        assert isinstance(parsed.command, Procedure), "only changes are offered"
        return await self._dispatcher.lost_answers.outcome_of_request(
            str(parsed.cluster), parsed.command, actor, since
        )

    async def _take_up(self, left: RecoveredInput) -> None:
        """Post the outcome of a press that a bot died over, or carry it out now."""
        what, name, value = left.entry, str(left.entry["action"]), str(left.entry["value"])
        reply_to = ReplyTarget(
            str(what["channel"]),
            str(what["user"]),
            str(what["thread"]),
            url=str(what["url"]),
            since=float(what["at"]),
        )
        body = {
            "user_id": reply_to.user,
            "team_id": str(what["team"]),
            "enterprise_id": str(what["enterprise"]),
        }
        actor = await self._slack.actor(body)
        outcome = await outcome_now(self._became(name, value, actor, float(what["at"])))
        if outcome == NOT_TAKEN and left.may_carry_out:
            await self._pressed(name, value, body, reply_to, left.note)
        else:
            text = f"The bot was restarted while it took your press. {outcome}"
            await self._slack.post_ephemeral(reply_to, views.text_card(text))

    async def _ask_why(
        self, action: str, value: str, body: Mapping[str, Any], reply_to: ReplyTarget
    ) -> None:
        """Ask for the reason in a form.

        It is opened at once, as a trigger id lasts three seconds, and filled when the subject of
        the decision is known.
        """
        reply_to = await self._opened(body, reply_to)
        async with self._dispatcher.answering(reply_to):
            since = self._operations.now()
            try:
                answer = await self._decisions.ask(action, value, body, reply_to)
            except Unreachable as error:
                actor = await self._slack.actor(body)
                self._dispatcher.follow_up(
                    reply_to,
                    error,
                    self._decisions.outcome_lookup(BY_ACTION[action], value, actor, since),
                )
                return
            if answer is not None:
                await self._slack.post_ephemeral(reply_to, answer)

    async def _opened(self, body: Mapping[str, Any], reply_to: ReplyTarget) -> ReplyTarget:
        """Open a modal that is filled later, or reuse the one in which the button stands."""
        view = body.get("view") or {}
        if view.get("type") != "modal":
            opened = await self._slack.open_modal(reply_to.trigger, opening_view())
            return replace(reply_to, view=opened)
        await self._slack.update_modal(str(view["id"]), opening_view())
        channel = str(view.get("private_metadata") or "")
        return replace(reply_to, view=str(view["id"]), channel=channel)

    async def _show_details(
        self, value: str, body: Mapping[str, Any], reply_to: ReplyTarget
    ) -> None:
        """Show the details of a request in a modal.

        As text where it cannot be opened, such as when the trigger id came too late.
        """
        try:
            view = await self._slack.open_modal(reply_to.trigger, opening_view())
        except Unreachable as error:
            log.info("details are shown as text: %s", error)
            answer = await self._actions.details(value, "", await self._slack.actor(body))
            await self._slack.post_ephemeral(reply_to, answer)
            return
        async with self._dispatcher.answering(replace(reply_to, view=view)):
            if value.startswith(BATCH):
                actor = await self._slack.actor(body)
                blocks = await self._actions.batch_details(value, actor)
                shown = views.details_view(blocks, reply_to.channel)
                await self._slack.update_modal(view, shown)
                return
            request, approvers, decides = await self._actions.details_of(
                value, await self._slack.actor(body)
            )
            blocks = [
                *views.details_blocks(request, approvers),
                *views.note_row(request, decides=decides),
            ]
            shown = views.details_view(blocks, reply_to.channel)
            await self._slack.update_modal(view, shown)

    async def _request_shown(
        self, value: str, body: Mapping[str, Any], reply_to: ReplyTarget
    ) -> None:
        """Request what a dry run showed, as if it had been typed: it is planned anew.

        What needs no approval starts at once if the plan is the one that was shown.
        """
        dry_run = await self._dispatcher.dry_runs.take(value)
        if dry_run is None:
            raise Refused(
                "nothing was changed: this dry run was requested already or is older than an hour; "
                "type the command without `--dry-run`"
            )
        parsed = replace(parse(dry_run.text), shown=dry_run.digest)
        await self._dispatcher.carry_out_picked(parsed, body, reply_to)

    async def _bring_up_to_date(self, name: str, value: str, body: Mapping[str, Any]) -> None:
        """Update the message that was pressed, if it is a copy of a card that no bot remembers."""
        message = body.get("message") or {}
        ts = str(message.get("ts") or "")
        if not ts or name.partition(":")[0] not in OF_CARDS:
            return
        about = value.partition("|")[0]
        try:
            await self._operations.must_see(about, await self._slack.actor(body))
            await self._reporter.pressed(about, str(body["channel"]["id"]), ts, mark_of(message))
        except (BotError, MessageGone) as error:
            log.info("a message that was pressed stays as it is: %s", error)

    def _became(self, name: str, value: str, actor: Actor, since: float) -> OutcomeLookup | None:
        """Return how to find out the outcome of a press; None for one that changes nothing."""
        match name.partition(":")[0]:
            case action if action in BY_ACTION:
                return self._decisions.outcome_lookup(BY_ACTION[action], value, actor, since)
            case views.NEXT:
                return partial(self._became_of_next, name, value, actor, since)
            case views.ANSWER:
                return partial(
                    self._dispatcher.lost_answers.outcome_of_press,
                    value.partition("|")[0],
                    actor,
                    since,
                )
            case ("keepup" | "closenow" | views.WAKE | terraform.OPEN_PULL) as command:
                return partial(
                    self._dispatcher.lost_answers.outcome_by_audit,
                    value.partition("|")[0],
                    command,
                    actor,
                    since,
                )
            case _:
                return None


def _read(body: Mapping[str, Any]) -> tuple[str, str, ReplyTarget]:
    """Return the action id and the value of a press, and where the answer goes."""
    action, message = body["actions"][0], body.get("message") or {}
    value = str((action.get("selected_option") or {}).get("value") or action.get("value") or "")
    reply_to = ReplyTarget(
        str((body.get("channel") or {}).get("id") or ""),
        str(body["user"]["id"]),
        str(message.get("thread_ts") or ""),
        trigger=str(body.get("trigger_id") or ""),
        url=str(body.get("response_url") or ""),
    )
    return str(action["action_id"]), value, reply_to
