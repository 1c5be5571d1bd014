"""Follow-up after a lost answer of the state store.

The person reads that the outcome is unknown; the bot looks until it is known, and tells them.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from handlers import views
from handlers.slack.blocks import Card
from handlers.slack.client import ReplyTarget, SlackClient
from handlers.views.terraform import OPEN_PULL
from services.access.policy import Actor
from services.audit.entries import AuditAction
from services.common.clock import Clock
from services.common.errors import BotError, Refused, Unreachable
from services.procedures import Procedure
from services.runs.batch import BatchState
from services.runs.request import RequestState
from services.schedule.visible import VisibleClusters

# Seconds between two looks, and how many: half an hour is longer than a fail-over, and shorter
# than people remember what they pressed.
EVERY, TRIES = 10.0, 180
NOT_YET = "It is not known yet whether it was accepted. The bot checks, and tells you here."
NOT_TAKEN = "It was not accepted, and nothing was changed. You can type or press it again."
AUDITED = 50  # newest audit entries of a cluster that are searched
CLOCK_ERROR = 0.001  # seconds by which a stored time may be rounded
# The audit actions of a command or a button that is no procedure, and of the form of `config set`.
RECORDED: Mapping[str, tuple[AuditAction, ...]] = {
    "cancel": (AuditAction.CANCELLED,),
    "resume": (AuditAction.RESUMED, AuditAction.ASKED),
    "abandon": (AuditAction.ENDED,),
    "hold": (AuditAction.HELD,),
    "unhold": (AuditAction.UNHELD,),
    "keepup": (AuditAction.KEPT,),
    "wake": (AuditAction.KEPT,),
    "closenow": (AuditAction.CLOSING,),
    "window remove": (AuditAction.WINDOW_REMOVED,),
    "window skip": (AuditAction.SKIPPED,),
    "later cancel": (AuditAction.REJECTED,),
    "break-glass": (AuditAction.GLASS,),
    "config set": (AuditAction.ASKED, AuditAction.OPENED),
    "config rollback": (AuditAction.ASKED, AuditAction.OPENED),
    "config file edit": (AuditAction.ASKED, AuditAction.OPENED),
    "config file set": (AuditAction.ASKED, AuditAction.OPENED),
    "terraform open": (AuditAction.PULL_REQUEST,),
    OPEN_PULL: (AuditAction.PULL_REQUEST,),
    "module on": (AuditAction.ASKED, AuditAction.OPENED),
    "module off": (AuditAction.ASKED, AuditAction.OPENED),
    "webhook add": (AuditAction.ASKED, AuditAction.OPENED),
    "webhook remove": (AuditAction.ASKED, AuditAction.OPENED),
}
OutcomeLookup = Callable[[], Awaitable[str]]


class LostAnswers:
    """Follows up for people whose change may or may not have been stored."""

    def __init__(self, visible: VisibleClusters, slack: SlackClient, clock: Clock) -> None:
        self._visible, self._slack, self._clock = visible, slack, clock
        # By user: how many commands and presses so far, as only the newest one is followed up.
        self._inputs: Counter[str] = Counter()

    def note_input(self, user: str) -> None:
        """Note that a user typed or pressed something new: the one before is not followed up."""
        self._inputs[user] += 1

    async def post_outcome(
        self, reply_to: ReplyTarget, error: Unreachable, look: OutcomeLookup
    ) -> None:
        """Post that the outcome is unknown, and later the outcome that `look` returns."""
        mine = self._inputs[reply_to.user]
        await self._say(reply_to, f"No usable answer: {error}. {NOT_YET}", mine)
        for _ in range(TRIES):
            await self._clock.sleep(EVERY)
            if self._inputs[reply_to.user] != mine:
                return
            try:
                outcome = await look()
            except Refused as refusal:
                # Such as that they have no role for it.
                outcome = views.sentence(str(refusal), self._visible.clusters)
            except BotError:
                continue
            await self._say(reply_to, outcome, mine)
            return
        await self._say(
            reply_to,
            "It is still not known whether it was accepted. "
            "`/openvidu status` shows it once the bot's state store answers.",
            mine,
        )

    async def _say(self, reply_to: ReplyTarget, text: str, number: int) -> None:
        await self.post_until_taken(reply_to, views.text_card(text), number)

    async def post_until_taken(
        self, reply_to: ReplyTarget, card: Card, number: int | None = None
    ) -> None:
        """Post a private answer; retry for half an hour while Slack does not take it.

        `number`: give up when this is no longer that person's newest input.
        """
        for _ in range(TRIES):
            if number is not None and self._inputs[reply_to.user] != number:
                return
            try:
                await self._slack.post_ephemeral(reply_to, card)
            except Unreachable:
                await self._clock.sleep(EVERY)
            else:
                return

    # Outcomes

    async def outcome_of_request(
        self, cluster: str, procedure: Procedure, actor: Actor, since: float
    ) -> str:
        """Describe the outcome of a change that was typed or picked."""
        for run in await self._visible.latest(cluster, actor, 5):
            mine = run.requester.key == actor.key
            if mine and run.plan.procedure == procedure and run.opened_at >= since:
                return f"It was accepted: `{run.id}` is {run.state}. Its card shows the progress."
        waiting = await self._visible.waiting(cluster, actor)
        for request in (*waiting, *await self._visible.later(cluster, actor)):
            mine = request.requester.key == actor.key
            if mine and request.plan.procedure == procedure and request.made_at >= since:
                if request.scheduled:
                    return f"It was accepted: it runs on {request.moment}."
                if request.startable:
                    return "It was accepted: its plan waits for you to start it."
                return "It was accepted: the request waits for approval."
        return NOT_TAKEN

    async def outcome_by_audit(self, cluster: str, command: str, actor: Actor, since: float) -> str:
        """Describe the outcome of any other decision: the audit holds it in the same write."""
        expected = RECORDED.get(command, ())
        for entry in await self._visible.own_decisions(cluster, actor, AUDITED):
            if entry.what in expected and entry.at >= since - CLOCK_ERROR:
                return f"It was accepted: the audit of {cluster} has “{entry.what}”."
        return NOT_TAKEN

    async def outcome_by_audit_of_any(
        self, clusters: Sequence[str], command: str, actor: Actor, since: float
    ) -> str:
        """Describe the outcome of a decision about whichever of these clusters it was."""
        for cluster in clusters:
            outcome = await self.outcome_by_audit(cluster, command, actor, since)
            if outcome != NOT_TAKEN:
                return outcome
        return NOT_TAKEN

    async def outcome_of_decision(self, request_id: str, actor: Actor) -> str:
        """Describe the outcome of a press on a request."""
        request = await self._visible.request(request_id, actor)
        mine = request.closed_by is not None and request.closed_by.key == actor.key
        approved = any(a.key == actor.key for a in request.approvals)
        match request.state:
            case RequestState.APPROVED if mine:
                return f"Your approval counted: the run is `{request.run}`."
            case RequestState.APPROVED:
                return f"Others approved it: the run is `{request.run}`."
            case _ if request.scheduled and approved:
                return f"Your approval counted: it runs on {request.moment}."
            case RequestState.OPEN if approved:
                return "Your approval counted; more approvals are needed."
            case RequestState.OPEN:
                return NOT_TAKEN
            case state if mine:
                return f"It was accepted: the request is {state}."
            case state:
                return f"Someone else decided first: the request is {state}."

    async def outcome_of_batch(self, procedure: Procedure, actor: Actor, since: float) -> str:
        """Describe the outcome of a change of several clusters that was typed."""
        for batch in await self._visible.batches(actor):
            mine = batch.requester.key == actor.key
            if mine and batch.procedure == procedure and batch.made_at >= since:
                return f"It was accepted: `{batch.id}`. Its message shows every cluster."
        return NOT_TAKEN

    async def outcome_of_batch_decision(self, name: str, actor: Actor) -> str:
        """Describe the outcome of a press on the message of several clusters."""
        batch = await self._visible.batch(name, actor)
        approved = any(a.key == actor.key for a in batch.approvals)
        mine = batch.closed_by is not None and batch.closed_by.key == actor.key
        if mine:
            return f"It was accepted: `{name}` is {batch.state}."
        if approved:
            return "Your approval counted. The message shows every cluster."
        if batch.state is BatchState.OPEN:
            return NOT_TAKEN
        return f"Someone else decided first: `{name}` is {batch.state}."

    async def outcome_of_press(self, run_id: str, actor: Actor, since: float) -> str:
        """Describe the outcome of a press on a run: an answer, a resume, a cancel, an abandon."""
        run = await self._visible.run(run_id, actor)
        for event in reversed(await self._visible.events(run_id, actor)):
            by = getattr(event, "by", None)
            if event.at >= since and isinstance(by, Actor) and by.key == actor.key:
                return f"It was accepted: {run.id} is {run.state}. Its card shows the progress."
        return NOT_TAKEN


async def outcome_now(look: OutcomeLookup | None) -> str:
    """Return what a look finds now; NOT_TAKEN where it finds nothing or may not be seen."""
    if look is None:
        return NOT_TAKEN
    try:
        return await look()
    except Refused:
        return NOT_TAKEN
