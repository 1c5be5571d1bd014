"""Decisions about requests and runs, with the reason that some of them take: by a button, or by the form that asks for the reason."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from handlers import views
from handlers.commands.lost_answers import Look, LostAnswers
from handlers.slack.blocks import Block, Card, escape, modal, section, words
from handlers.slack.client import ReplyTarget, SlackClient
from services.access.policy import Actor, Decision
from services.access.reasons import MOST
from services.operations.results import Changed, Outcome, Planned, Waiting
from services.operations.service import OperationsService
from services.runs.request import Request
from services.runs.run import Run

REASONED, WHY = "reason_form", "why"
OF_REQUESTS = (Decision.APPROVE, Decision.REJECT)
BY_ACTION = {
    views.APPROVE: Decision.APPROVE,
    views.NOTE: Decision.APPROVE,
    views.REJECT: Decision.REJECT,
    views.CANCEL: Decision.CANCEL,
    views.RESUME: Decision.TAKE_OVER,
    views.ABANDON: Decision.ABANDON,
}
VERBS = {
    Decision.APPROVE: "Approve",
    Decision.REJECT: "Reject",
    Decision.CANCEL: "Cancel run",
    Decision.TAKE_OVER: "Resume",
    Decision.ABANDON: "Abandon",
}


class Decisions:
    """Takes them to the service, and asks for reasons."""

    def __init__(
        self, operations: OperationsService, voice: SlackClient, doubts: LostAnswers
    ) -> None:
        self._operations = operations
        self._clusters = operations.clusters
        self._voice = voice
        self._doubts = doubts

    async def decide(
        self, decision: Decision, name: str, actor: Actor, reason: str = ""
    ) -> Card | None:
        """Do it; what this person alone is told of it."""
        match decision:
            case Decision.APPROVE:
                return told(await self._operations.approve(name, actor, reason))
            case Decision.REJECT:
                await self._operations.reject(name, actor, reason)
            case Decision.CANCEL:
                await self._operations.cancel(name, actor, reason)
            case Decision.TAKE_OVER:
                return not_covered(await self._operations.resume(name, actor, reason))
            case Decision.ABANDON:
                await self._operations.abandon(name, actor, reason)
        return None

    def became(self, decision: Decision, name: str, actor: Actor, since: float) -> Look:
        """How to find out what became of it."""
        if decision in OF_REQUESTS:
            return partial(self._doubts.decided, name, actor)
        return partial(self._doubts.pressed, name, actor, since)

    # Reasons

    def may_take_one(self, action: str) -> bool:
        """Whether a press on that button may ask for a reason. Looks at nothing: a form has to be opened within three seconds."""
        decision = BY_ACTION.get(action)
        if action in (views.NOTE, views.REJECT):
            return True
        return decision is not None and any(
            decision in site.rules.reasons_for for site in self._clusters.values()
        )

    async def ask(
        self, action: str, name: str, body: Mapping[str, Any], ear: ReplyTarget
    ) -> Card | None:
        """Fill the form that is open (`ear.view`); where no reason is needed, decide at once, and return what the form says then."""
        decision, actor = BY_ACTION[action], await self._voice.actor(body)
        what, needed = await self._operations.before(decision, name, actor)
        if needed or action == views.NOTE:
            await self._voice.change_modal(
                ear.view, reason_form(decision, name, what, ear.channel, needed=needed)
            )
            return None
        return await self.decide(decision, name, actor) or views.words_card(
            "Taken; its card says how it stands."
        )


def told(made: Outcome) -> Card | None:
    """What the person who caused it is told privately; the channel sees the card itself."""
    match made:
        case Planned():
            return views.plan_card(made.plan, dry=made.dry)
        case Changed():
            return views.words_card(views.changed_words(made.new, made.why))
        case _:
            return None


def not_covered(made: Outcome) -> Card | None:
    """What whoever wanted a run to go on is told, where others have to approve that first."""
    return views.not_covered_card(made.request) if isinstance(made, Waiting) else None


def opening_view() -> Block:
    """Shown at once, until it is known what is decided on."""
    return modal(
        "looking",
        "One moment",
        [section("Looking … If nothing comes within a minute, close this and press again.")],
    )


def reason_form(
    decision: Decision, name: str, what: Request | Run, channel: str, *, needed: bool
) -> Block:
    """Asks why. What is decided on stands above."""
    meant = json.dumps({"decision": decision, "name": name, "channel": channel, "needed": needed})
    other = f"{what.requester.mention} is mentioned with it, and the audit keeps it."
    line: Block = {"type": "plain_text_input", "action_id": WHY, "max_length": MOST}
    asks = {
        "type": "input",
        "block_id": WHY,
        "optional": not needed,
        "label": words("Why", 100),
        "element": line,
    }
    blocks = [section(f"{_about(decision, what)}\n{other}"), asks]
    verb = "Call off" if isinstance(what, Request) and what.scheduled else VERBS[decision]
    return modal(REASONED, verb, blocks, meant=meant, submit=verb, close="Go back")


def _about(decision: Decision, what: Request | Run) -> str:
    if isinstance(what, Request):
        return f"*{views.title(what.plan)}*{f' on {what.moment}' if what.later else ''}\n{views.impact(what.plan)}"
    head = f"*{what.plan.procedure.doing} {escape(what.plan.procedure.about(what.cluster))}* · run `{what.id}`"
    if decision is Decision.TAKE_OVER:
        return f"{head}\nStopped: {escape(what.stopped)}."
    return f"{head}\nStays done: {escape('; '.join(what.stays_done)) or 'nothing so far'}."


def meant_by(view: Mapping[str, Any]) -> tuple[Decision, str, str, str]:
    """Of a form that was sent: the decision, what it is about, the channel, the reason."""
    meant = json.loads(view["private_metadata"])
    reason = str(view["state"]["values"].get(WHY, {}).get(WHY, {}).get("value") or "")
    return Decision(meant["decision"]), str(meant["name"]), str(meant["channel"]), reason


def lacks(view: Mapping[str, Any]) -> dict[str, str]:
    """What is missing in the form, by block."""
    _, _, _, reason = meant_by(view)
    needed = json.loads(view["private_metadata"])["needed"]
    return {WHY: "A reason is required; blanks are none."} if needed and not reason.strip() else {}
