"""Sent forms about configuration files: the text of one, and a new webhook.

What was typed may hold secrets. It goes to the bucket; no log, message or state has it.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from handlers.commands.config_files import changed_by
from handlers.commands.decisions import outcome_card
from handlers.commands.dispatcher import CommandDispatcher
from handlers.commands.inbox import StoredInput
from handlers.commands.stored import sender
from handlers.slack.client import ReplyTarget, SlackClient
from handlers.views.config_file import EDIT, REASON, TEXT, URL, WEBHOOK_FORM, FormState, typed
from services.common.errors import Unreachable
from services.config_files import ConfigText, known_file, shown_url
from services.config_files.webhooks import added, url_problem
from services.operations.service import OperationsService

CONFIG_FORMS = (EDIT, WEBHOOK_FORM)


class ConfigForms:
    """Takes sent forms about configuration files."""

    def __init__(
        self, operations: OperationsService, slack: SlackClient, dispatcher: CommandDispatcher
    ) -> None:
        self._operations = operations
        self._clusters = operations.clusters
        self._slack = slack
        self._dispatcher = dispatcher

    async def submitted(self, body: Mapping[str, Any], note: StoredInput) -> None:
        """Request what a form asks for."""
        state = FormState.of(body["view"])
        reply_to = ReplyTarget(state.channel, str(body["user"]["id"]))
        answering = self._dispatcher.answering
        async with answering(reply_to), self._dispatcher.intake.held(note) as mine:
            if mine:
                async with answering(reply_to):
                    await self._request(body, state, reply_to, note)

    async def _request(
        self, body: Mapping[str, Any], state: FormState, reply_to: ReplyTarget, note: StoredInput
    ) -> None:
        view = body["view"]
        actor, since = await self._slack.actor(body), self._operations.now()
        cluster = self._clusters.resolve_name(state.cluster, actor)
        channel = await self._dispatcher.targets.card_channel(cluster)
        command = form_command(view)
        what = ""
        if view["callback_id"] == WEBHOOK_FORM:
            url = typed(view, URL).strip()
            change, what = partial(_with_webhook, url=url), f"webhook {shown_url(url)}"
        else:
            change = partial(changed_by, state, typed(view, TEXT))
        try:
            outcome = await self._operations.change_file(
                actor,
                cluster,
                known_file(state.file),
                change,
                reason=typed(view, REASON),
                channel=channel,
                words=command,
                what=what,
                later=state.later,
            )
        except Unreachable as error:
            answers = self._dispatcher.lost_answers
            base = "webhook add" if view["callback_id"] == WEBHOOK_FORM else "config file edit"
            look = partial(answers.outcome_by_audit, cluster, base, actor, since)
            self._dispatcher.follow_up(reply_to, error, look, note)
            return
        card = outcome_card(outcome)
        if card is not None:
            await self._slack.post_ephemeral(reply_to, card)


def _with_webhook(content: ConfigText, url: str) -> str:
    return added(content.text, url)


def form_command(view: Mapping[str, Any]) -> str:
    """Return the command that opened a form, without what was typed into it."""
    if view["callback_id"] == WEBHOOK_FORM:
        return "webhook add"
    state = FormState.of(view)
    return " ".join(filter(None, ("config file edit", state.file, state.part)))


def config_problems(view: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with a form at first sight, by block; never what was typed."""
    if view["callback_id"] == WEBHOOK_FORM:
        problem = url_problem(typed(view, URL).strip())
        return {URL: problem} if problem else {}
    if not typed(view, TEXT).strip():
        return {TEXT: "an empty file is not written"}
    return {}


def stored_form(body: Mapping[str, Any]) -> dict[str, str | float]:
    """Return a sent form for the store: only that there was one, and for which file."""
    view = body["view"]
    state = FormState.of(view)
    command = form_command(view)
    base = "webhook add" if view["callback_id"] == WEBHOOK_FORM else "config file edit"
    return {
        "kind": "command",
        "form": base,
        "text": f"{command} --cluster {state.cluster}",
        **sender(body, ReplyTarget(state.channel, str(body["user"]["id"]))),
    }


__all__ = ["CONFIG_FORMS", "ConfigForms", "config_problems", "stored_form"]
