"""The menu's buttons and the forms they open.

They lead to the same commands, and to the same checks, as typing does.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from handlers import views
from handlers.commands.config import ConfigSet
from handlers.commands.dispatcher import CommandDispatcher
from handlers.commands.errors import error_text
from handlers.commands.inbox import StoredInput
from handlers.commands.parser import ParsedCommand, parse
from handlers.interactions.command_form import (
    ModalState,
    command_form,
    first_field,
    looking_view,
    plan_view,
    read_command_form,
)
from handlers.interactions.options import command_of_action
from handlers.slack.client import ReplyTarget, SlackClient
from handlers.views.secret_form import config_form
from services.access.clusters import raise_if_denied
from services.access.policy import AccessResult, Actor, authorize
from services.common.command import Command
from services.common.errors import BotError, Refused
from services.operations.results import Planned
from services.operations.service import OperationsService
from services.procedures import AddWindow, Procedure

Json = dict[str, Any]
OLDER = "this button is from an older version; nothing was changed, open the menu again"


class MenuHandler:
    """Handles presses in menus, and the command forms that they open."""

    def __init__(
        self,
        operations: OperationsService,
        slack: SlackClient,
        dispatcher: CommandDispatcher,
        channels: Mapping[str, str],
    ) -> None:
        self._operations = operations
        self._clusters = operations.clusters
        self._slack = slack
        self._dispatcher = dispatcher
        self._channels = channels

    async def press(
        self, name: str, value: str, body: Mapping[str, Any], reply_to: ReplyTarget
    ) -> None:
        """Handle a press.

        A cluster may be followed by what its form begins with.
        `name` and `value` are `form:scale` or `say:status` and a cluster; or, from a list, `more`
        and both: `form:scale|acme`.
        """
        if name == "more":
            name, _, value = value.partition("|")
        if name == "which":
            name = "say:menu"
        how, _, command = name.partition(":")
        kind = command_of_action(command)
        if kind is None:
            raise Refused(OLDER)
        value, _, words = value.partition(" ")
        state = ModalState(kind.command, value, reply_to.channel, words)
        if how == "form":
            await self._open(state, body)
            return
        if issubclass(kind, Procedure) and kind is not AddWindow:
            # One press never requests a change: a command that changes a cluster has a form.
            raise Refused(OLDER)
        parsed = replace(parse(kind.command), cluster=state.cluster)
        answer_in = await self._answer_in(reply_to, state, kind, body)
        await self._dispatcher.carry_out_picked(parsed, body, answer_in)

    def at_message(self, body: Mapping[str, Any]) -> None:
        """Show the menu of the channel's cluster to a user of a message's shortcut.

        In the thread of that message, if there is one.
        """
        message, user = body.get("message") or {}, str(body["user"]["id"])
        reply_to = ReplyTarget(
            str(body["channel"]["id"]),
            user,
            str(message.get("thread_ts") or ""),
            url=str(body.get("response_url") or ""),
        )
        self._dispatcher.lost_answers.note_input(user)
        work = self._dispatcher.carry_out_picked(parse("menu"), body, reply_to)
        trigger = str(body.get("trigger_id") or "")
        once = self._dispatcher.once(trigger, work)
        self._dispatcher.tasks.start(once, f"shortcut of {user}", actor=user)

    async def _answer_in(
        self, reply_to: ReplyTarget, state: ModalState, kind: type[Command], body: Mapping[str, Any]
    ) -> ReplyTarget:
        """Return where the answer goes.

        Without a channel, a modal is opened at once, to be filled later: the trigger id lasts three
        seconds. A procedure opens a form of its own.
        """
        if reply_to.channel:
            return reply_to
        if issubclass(kind, Procedure):
            self._clusters.resolve_name(state.cluster, await self._slack.actor(body))
            return replace(reply_to, channel=self._card_channel(state))
        view = await self._slack.open_modal(reply_to.trigger, looking_view(state, "Looking at"))
        return replace(reply_to, view=view)

    async def _open(self, state: ModalState, body: Mapping[str, Any]) -> None:
        trigger = str(body["trigger_id"])
        view = await self._slack.open_modal(trigger, looking_view(state, "Looking at"))
        reply_to = ReplyTarget(state.channel, str(body["user"]["id"]), view=view)
        async with self._dispatcher.answering(reply_to):
            actor = await self._slack.actor(body)
            kind = command_of_action(state.command.replace(" ", "-"))
            assert kind is not None, "looked up when the button was pressed"
            cluster = self._clusters.resolve_name(state.cluster, actor)
            raise_if_denied(self._operations.permission(cluster, actor, kind))
            state = replace(state, channel=self._card_channel(state))
            if kind is ConfigSet:
                # Refused without a bucket.
                self._operations.secrets_bucket(state.cluster, actor)
            look = await self._dispatcher.visible.look(state.cluster, actor)
            await self._slack.update_modal(view, command_form(kind, look, state))

    def _card_channel(self, state: ModalState) -> str:
        """Return the channel for the card of what is requested."""
        channel = state.channel or self._channels.get(state.cluster, "")
        if not channel:
            raise Refused(
                f"{state.cluster} has no channel of its own, "
                "and others must see what is requested: use `/openvidu` in a channel"
            )
        return channel

    # Sent forms

    def submit_form(self, body: Mapping[str, Any]) -> Json:
        """Return the immediate response to a sent form: what is wrong with it, or what is next."""
        view = body["view"]
        try:
            state = read_command_form(view)
            command = parse(state.words).command
        except Refused as error:
            text = error_text(error, self._clusters).replace("`", "")[:300]
            return {"response_action": "errors", "errors": {first_field(view): text}}
        if isinstance(command, ConfigSet):
            form = config_form(state.cluster, command.key, state.channel)
            return {"response_action": "update", "view": form}
        if isinstance(command, Procedure):
            user = str(body["user"]["id"])
            work = self._plan(state, command, body)
            self._dispatcher.tasks.start(work, f"plan for {user}")
            return {"response_action": "update", "view": looking_view(state, "Planning for")}
        self.submit_plan(body, state)
        return {}

    async def note(self, body: Mapping[str, Any], state: ModalState) -> StoredInput | None:
        """Store what was sent, before it is acknowledged."""
        reply_to = ReplyTarget(state.channel, str(body["user"]["id"]))
        try:
            return await self._dispatcher.store_picked_before_ack(_parsed(state), body, reply_to)
        except Refused:
            return None

    def submit_plan(
        self,
        body: Mapping[str, Any],
        state: ModalState | None = None,
        note: StoredInput | None = None,
    ) -> None:
        """Request what the plan showed, as if it had been typed in the channel."""
        state = state or ModalState.of(body["view"])
        reply_to = ReplyTarget(state.channel, str(body["user"]["id"]))
        work = self._dispatcher.carry_out_picked(_parsed(state), body, reply_to, note)
        self._dispatcher.tasks.start(work, f"form of {reply_to.user}", actor=reply_to.user)

    async def _plan(self, state: ModalState, procedure: Procedure, body: Mapping[str, Any]) -> None:
        view = str(body["view"]["id"])
        reply_to = ReplyTarget(state.channel, str(body["user"]["id"]), view=view)
        async with self._dispatcher.answering(reply_to):
            actor = await self._slack.actor(body)
            cluster = self._clusters.resolve_name(state.cluster, actor)
            outcome = await self._operations.request(actor, cluster, procedure, dry=True)
            assert isinstance(outcome, Planned), "a dry run stops at the plan"
            submit, note = await self._what_next(outcome, actor)
            card = views.plan_card(outcome.plan, dry=False)
            state = replace(state, shown=outcome.plan.digest)
            await self._slack.update_modal(view, plan_view(card, state, submit=submit, note=note))

    async def _what_next(self, outcome: Planned, actor: Actor) -> tuple[str, str]:
        """Return the label of the submit button, and what it leads to; no label when refused."""
        plan = outcome.plan
        if outcome.observes:
            return "", views.OBSERVES
        if plan.is_empty:
            return "", "There is nothing to change."
        verdict = authorize(plan, actor, self._clusters.rules(plan.cluster))
        if verdict.kind is AccessResult.DENIED:
            return "", views.sentence(verdict.reason, self._clusters)
        if (busy := await self._busy(plan.cluster, actor)) is not None:
            return "", views.sentence(busy, self._clusters)
        if verdict.kind is AccessResult.NEEDS_APPROVAL:
            needs = f"Someone else must approve it, because {verdict.reason}."
            return "Request approval", f"{needs} Nothing is changed before that."
        return (
            "Start",
            f"Needs no approval: {verdict.reason}. It starts as soon as you press Start.",
        )

    async def _busy(self, name: str, actor: Actor) -> str | None:
        """Return why an open run refuses the request, or why that is unknown; None without one."""
        try:
            run = await self._dispatcher.visible.open_run(name, actor)
        except BotError as error:
            return str(error)
        if run is None:
            return None
        return self._operations.busy(run, actor)


def _parsed(state: ModalState) -> ParsedCommand:
    parsed = parse(state.words)
    return replace(parsed, cluster=state.cluster, reason=state.reason, shown=state.shown)
