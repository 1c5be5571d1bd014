"""Sent forms: a window, the reason of a decision, a configuration file, a secret's new value.

A secret value is checked at once and goes to the bucket; no log, message or state has it.
"""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from handlers import views
from handlers.commands.config import set_key
from handlers.commands.decisions import REASONED, missing_fields, outcome_card, read_reason_form
from handlers.commands.dispatcher import CommandDispatcher
from handlers.commands.inbox import RecoveredInput, StoredInput
from handlers.commands.lost_answers import NOT_TAKEN, outcome_now
from handlers.commands.parser import ParsedCommand
from handlers.commands.stored import sender, stored_command
from handlers.interactions.config_forms import (
    CONFIG_FORMS,
    ConfigForms,
    config_problems,
    stored_form,
)
from handlers.slack.client import ReplyTarget, SlackClient
from handlers.views.secret_form import CONFIG, REASON, VALUE
from handlers.views.window_form import WINDOW, read_metadata, read_window_form
from services.access.policy import DecisionKind
from services.common.errors import Unreachable
from services.operations.service import OperationsService
from services.procedures import AddWindow
from services.secrets_env import lint


class FormHandler:
    """Takes sent forms, by their callback id."""

    def __init__(
        self, operations: OperationsService, slack: SlackClient, dispatcher: CommandDispatcher
    ) -> None:
        self._operations = operations
        self._clusters = operations.clusters
        self._slack = slack
        self._dispatcher = dispatcher
        self._files = ConfigForms(operations, slack, dispatcher)
        dispatcher.intake.recovery_handlers["decision"] = self._take_up

    def problems(self, view: Mapping[str, Any]) -> dict[str, str]:
        """Return what is wrong with a form, by block; never repeats a secret."""
        if view["callback_id"] == WINDOW:
            return read_window_form(view).problems
        if view["callback_id"] == REASONED:
            return missing_fields(view)
        if view["callback_id"] in CONFIG_FORMS:
            return config_problems(view)
        verdict = lint(_metadata(view)["key"], _typed(view, VALUE))
        if verdict.ok:
            return {}
        return {VALUE: verdict.reason}

    async def note(self, body: Mapping[str, Any]) -> StoredInput:
        """Store what was sent before it is acknowledged; of a secret only that there was one."""
        trigger = str(body.get("trigger_id") or "")
        return await self._dispatcher.intake.before_ack(_stored(body), trigger)

    def submit(self, body: Mapping[str, Any], note: StoredInput) -> None:
        """Carry out a form without problems, in a task of its own."""
        view, user = body["view"], str(body["user"]["id"])
        if view["callback_id"] == WINDOW:
            parsed, reply_to = _window(body)
            work, name = (
                self._dispatcher.carry_out_picked(parsed, body, reply_to, note),
                f"window of {user}",
            )
        elif view["callback_id"] == REASONED:
            decision, _, _, _ = read_reason_form(view)
            work, name = self._decided(body, note), f"{decision} by {user}"
        elif view["callback_id"] in CONFIG_FORMS:
            work, name = self._files.submitted(body, note), f"configuration of {user}"
        else:
            work, name = self._submitted(body, note), f"form of {user}"
        self._dispatcher.tasks.start(work, name, actor=user)

    # The new value of a secret

    async def _submitted(self, body: Mapping[str, Any], note: StoredInput) -> None:
        reply_to = ReplyTarget(_metadata(body["view"])["channel"], str(body["user"]["id"]))
        answering = self._dispatcher.answering
        async with answering(reply_to), self._dispatcher.intake.held(note) as mine:
            if mine:
                async with answering(reply_to):
                    await self._configure(body, reply_to, note)

    async def _configure(
        self, body: Mapping[str, Any], reply_to: ReplyTarget, note: StoredInput
    ) -> None:
        view = body["view"]
        metadata, value = _metadata(view), _typed(view, VALUE)
        key = metadata["key"]
        actor, since = await self._slack.actor(body), self._operations.now()
        cluster = self._clusters.resolve_name(metadata["cluster"], actor)
        channel = await self._dispatcher.targets.card_channel(cluster)
        try:
            outcome = await self._operations.configure(
                actor,
                cluster,
                lambda file: set_key(file, key, value),
                reason=_typed(view, REASON),
                channel=channel,
                words=f"config set {key}",
                later=_later(metadata),
            )
        except Unreachable as error:
            answers = self._dispatcher.lost_answers
            look = partial(answers.outcome_by_audit, cluster, "config set", actor, since)
            self._dispatcher.follow_up(reply_to, error, look, note)
            return
        card = outcome_card(outcome)
        if card is not None:
            await self._slack.post_ephemeral(reply_to, card)

    # The reason of a decision

    async def _decided(self, body: Mapping[str, Any], note: StoredInput) -> None:
        decision, name, channel, reason = read_reason_form(body["view"])
        reply_to = ReplyTarget(channel, str(body["user"]["id"]))
        answering = self._dispatcher.answering
        async with answering(reply_to), self._dispatcher.intake.held(note) as mine:
            if mine:
                await self._decide(decision, name, reason, body, reply_to, note)

    async def _decide(
        self,
        decision: DecisionKind,
        name: str,
        reason: str,
        body: Mapping[str, Any],
        reply_to: ReplyTarget,
        note: StoredInput,
    ) -> None:
        decisions = self._dispatcher.decisions
        async with self._dispatcher.answering(reply_to):
            actor = await self._slack.actor(body)
            since = self._operations.now()
            try:
                card = await decisions.decide(decision, name, actor, reason)
            except Unreachable as error:
                look = decisions.outcome_lookup(decision, name, actor, since)
                self._dispatcher.follow_up(reply_to, error, look, note)
                return
            if card is not None:
                await self._slack.post_ephemeral(reply_to, card)

    async def _take_up(self, left: RecoveredInput) -> None:
        """Post the outcome of a decision that a bot died over, or carry it out now."""
        what, decision = left.entry, DecisionKind(str(left.entry["decision"]))
        # Versions before "about" stored it as "name".
        name = str(what.get("about") or what["name"])
        reply_to = ReplyTarget(str(what["channel"]), str(what["user"]))
        body = {
            "user_id": reply_to.user,
            "team_id": str(what["team"]),
            "enterprise_id": str(what["enterprise"]),
        }
        actor, at = await self._slack.actor(body), float(what["at"])
        outcome = await outcome_now(
            self._dispatcher.decisions.outcome_lookup(decision, name, actor, at)
        )
        if outcome == NOT_TAKEN and left.may_carry_out:
            await self._decide(decision, name, str(what["reason"]), body, reply_to, left.note)
        else:
            text = f"The bot was restarted while it took your decision. {outcome}"
            await self._slack.post_ephemeral(reply_to, views.text_card(text))


def _stored(body: Mapping[str, Any]) -> dict[str, str | float]:
    """Return a sent form for the store, without a secret value."""
    view, user = body["view"], str(body["user"]["id"])
    if view["callback_id"] == WINDOW:
        parsed, reply_to = _window(body)
        return stored_command(parsed, body, reply_to)
    if view["callback_id"] == REASONED:
        decision, name, channel, reason = read_reason_form(view)
        return {
            "kind": "decision",
            "decision": str(decision),
            "about": name,
            "reason": reason,
            **sender(body, ReplyTarget(channel, user)),
        }
    if view["callback_id"] in CONFIG_FORMS:
        return stored_form(body)
    metadata = _metadata(view)
    return {
        "kind": "command",
        "form": "config set",
        "text": f"config set {metadata['key']} --cluster {metadata['cluster']}",
        **sender(body, ReplyTarget(metadata["channel"], user)),
    }


def _window(body: Mapping[str, Any]) -> tuple[ParsedCommand, ReplyTarget]:
    window = read_window_form(body["view"]).window
    assert window is not None, "checked before the form was acknowledged"
    cluster, channel, reason = read_metadata(body["view"])
    reply_to = ReplyTarget(channel, str(body["user"]["id"]))
    return ParsedCommand(AddWindow(window.to_text()), cluster, reason), reply_to


def _metadata(view: Mapping[str, Any]) -> dict[str, str]:
    metadata = json.loads(view["private_metadata"])
    names = ("cluster", "key", "channel", "at", "zone")
    return {name: str(metadata[name]) for name in names if name in metadata}


def _later(metadata: Mapping[str, str]) -> tuple[float, str] | None:
    """Return the time of a scheduled change (epoch seconds) and its time zone; None for now."""
    if "at" not in metadata:
        return None
    return float(metadata["at"]), metadata["zone"]


def _typed(view: Mapping[str, Any], block: str) -> str:
    return str(view["state"]["values"].get(block, {}).get(block, {}).get("value") or "")


__all__ = ["CONFIG", "REASONED", "WINDOW", "FormHandler"]
