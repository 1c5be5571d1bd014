"""Decisions about requests and runs, by a button or by the form that asks for a reason."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from handlers import views
from handlers.commands.lost_answers import LostAnswers, OutcomeLookup
from handlers.slack.blocks import Block, Card, escape, modal, plain_text, section
from handlers.slack.client import ReplyTarget, SlackClient
from handlers.views.batch import about_batch
from services.access.policy import Actor, DecisionKind
from services.access.reasons import MOST
from services.common.errors import Refused
from services.operations.results import Outcome, Planned, Replanned, WaitingForApproval
from services.operations.service import OperationsService
from services.runs.batch import Batch
from services.runs.request import Request
from services.runs.run import Run
from services.store.keys import BATCH

REASONED, WHY = "reason_form", "why"
OF_REQUESTS = (DecisionKind.APPROVE, DecisionKind.REJECT)
BY_ACTION = {
    views.APPROVE: DecisionKind.APPROVE,
    views.NOTE: DecisionKind.APPROVE,
    views.REJECT: DecisionKind.REJECT,
    views.CANCEL: DecisionKind.CANCEL,
    views.RESUME: DecisionKind.TAKE_OVER,
    views.ABANDON: DecisionKind.ABANDON,
}
VERBS = {
    DecisionKind.APPROVE: "Approve",
    DecisionKind.REJECT: "Reject",
    DecisionKind.CANCEL: "Cancel run",
    DecisionKind.TAKE_OVER: "Resume",
    DecisionKind.ABANDON: "Abandon",
}


class Decisions:
    """Carries out decisions, and asks for reasons."""

    def __init__(
        self, operations: OperationsService, slack: SlackClient, lost_answers: LostAnswers
    ) -> None:
        self._operations = operations
        self._clusters = operations.clusters
        self._slack = slack
        self._lost_answers = lost_answers

    async def decide(
        self, decision: DecisionKind, name: str, actor: Actor, reason: str = ""
    ) -> Card | None:
        """Carry out a decision; return the private answer, if there is one."""
        if name.startswith(BATCH):
            await self._decide_batch(decision, name, actor, reason)
            return None
        match decision:
            case DecisionKind.APPROVE:
                return outcome_card(await self._operations.approve(name, actor, reason))
            case DecisionKind.REJECT:
                await self._operations.reject(name, actor, reason)
            case DecisionKind.CANCEL:
                await self._operations.cancel(name, actor, reason)
            case DecisionKind.TAKE_OVER:
                return not_covered_answer(await self._operations.resume(name, actor, reason))
            case DecisionKind.ABANDON:
                await self._operations.abandon(name, actor, reason)
        return None

    async def _decide_batch(
        self, decision: DecisionKind, name: str, actor: Actor, reason: str
    ) -> None:
        batches = self._operations.batches
        match decision:
            case DecisionKind.APPROVE:
                await batches.approve(name, actor, reason)
            case DecisionKind.REJECT:
                await batches.reject(name, actor, reason)
            case DecisionKind.CANCEL:
                await batches.cancel(name, actor, reason)
            case _:
                raise Refused("resume or abandon a run at its own message")

    def outcome_lookup(
        self, decision: DecisionKind, name: str, actor: Actor, since: float
    ) -> OutcomeLookup:
        """Return how to find out the outcome of a decision."""
        if name.startswith(BATCH):
            return partial(self._lost_answers.outcome_of_batch_decision, name, actor)
        if decision in OF_REQUESTS:
            return partial(self._lost_answers.outcome_of_decision, name, actor)
        return partial(self._lost_answers.outcome_of_press, name, actor, since)

    # Reasons

    def may_need_reason(self, action: str) -> bool:
        """Tell whether a press on that button may ask for a reason.

        Reads nothing: a form has to be opened within three seconds.
        """
        decision = BY_ACTION.get(action)
        if action in (views.NOTE, views.REJECT):
            return True
        rules = [site.rules for site in self._clusters.values()]
        return decision is not None and any(decision in r.reasons_for for r in rules)

    async def ask(
        self, action: str, name: str, body: Mapping[str, Any], reply_to: ReplyTarget
    ) -> Card | None:
        """Fill the open form (`reply_to.view`), or decide at once where no reason is needed.

        Returns what the form says then; None while it asks for the reason.
        """
        decision, actor = BY_ACTION[action], await self._slack.actor(body)
        subject, needed = await self._operations.preview_decision(decision, name, actor)
        if needed or action == views.NOTE:
            await self._slack.update_modal(
                reply_to.view, reason_form(decision, name, subject, reply_to.channel, needed=needed)
            )
            return None
        return await self.decide(decision, name, actor) or views.text_card(
            "Done. The card shows the state."
        )


def outcome_card(outcome: Outcome) -> Card | None:
    """Return the private answer to a change; None where the card in the channel says it all."""
    match outcome:
        case Planned():
            return views.plan_card(outcome.plan, dry=outcome.dry, observes=outcome.observes)
        case Replanned():
            return views.text_card(views.plan_changed_text(outcome.new, outcome.why))
        case _:
            return None


def not_covered_answer(outcome: Outcome) -> Card | None:
    """Return the private answer to a person whose resume has to be approved by others first."""
    if not isinstance(outcome, WaitingForApproval):
        return None
    return views.not_covered_card(outcome.request)


def opening_view() -> Block:
    """Return the modal that is shown until it is known what the decision is about."""
    return modal(
        "looking",
        "One moment",
        [section("Looking … If nothing appears within a minute, close this and press again.")],
    )


def reason_form(
    decision: DecisionKind, name: str, subject: Request | Run | Batch, channel: str, *, needed: bool
) -> Block:
    """Return the form that asks for a reason, below what is decided on."""
    metadata = {"decision": decision, "name": name, "channel": channel, "needed": needed}
    readers = f"{subject.requester.mention} is mentioned with it, and the audit records it."
    why = {
        "type": "input",
        "block_id": WHY,
        "optional": not needed,
        "label": plain_text("Why", 100),
        "element": {"type": "plain_text_input", "action_id": WHY, "max_length": MOST},
    }
    verb = VERBS[decision]
    if isinstance(subject, Request) and subject.scheduled:
        verb = "Cancel change"
    return modal(
        REASONED,
        verb,
        [section(f"{_about(decision, subject)}\n{readers}"), why],
        metadata=json.dumps(metadata),
        submit=verb,
        close="Go back",
    )


def _about(decision: DecisionKind, subject: Request | Run | Batch) -> str:
    if isinstance(subject, Batch):
        return about_batch(subject)
    if isinstance(subject, Request):
        head = f"*{views.title(subject.plan)}*"
        if subject.later:
            head += f" on {subject.moment}"
        return f"{head}\n{views.impact(subject.plan)}"
    doing = f"*{escape(subject.plan.doing)}*"
    head = f"{doing} · run `{subject.id}`"
    if decision is DecisionKind.TAKE_OVER:
        return f"{head}\nPaused: {escape(subject.stopped)}."
    if decision is DecisionKind.ABANDON:
        return f"{head}\n{views.after_abandon(subject)}"
    return f"{head}\n{views.after_cancel(subject)}"


def read_reason_form(view: Mapping[str, Any]) -> tuple[DecisionKind, str, str, str]:
    """Return decision, id of the request or run, channel, and reason of a sent form."""
    metadata = json.loads(view["private_metadata"])
    reason = str(view["state"]["values"].get(WHY, {}).get(WHY, {}).get("value") or "")
    decision, name, channel = metadata["decision"], metadata["name"], metadata["channel"]
    return DecisionKind(decision), str(name), str(channel), reason


def missing_fields(view: Mapping[str, Any]) -> dict[str, str]:
    """Return what is missing in a sent form, by block."""
    _, _, _, reason = read_reason_form(view)
    if json.loads(view["private_metadata"])["needed"] and not reason.strip():
        return {WHY: "A reason is required."}
    return {}
