"""What each button on a card does: one method per button."""

from collections.abc import Awaitable, Callable, Mapping

from handlers import views
from handlers.commands.decisions import Decisions, not_covered_answer
from handlers.commands.wake_up import wake
from handlers.interactions.home_tab import HomeTab
from handlers.slack.blocks import Block, Card
from handlers.slack.markup import date_time
from handlers.updates.escalations import ACKNOWLEDGE, Escalations
from handlers.views.batch import BatchFacts, batch_details
from handlers.views.links import LINK
from handlers.views.terraform import OPEN_PULL, SHOW_PATCH, patch_card, pull_card
from services.access.clusters import ClusterRegistry
from services.access.policy import Actor, DecisionKind, people_to_ask
from services.common.errors import Refused
from services.common.markers import person
from services.common.text import count_of, or_words
from services.operations.service import OperationsService
from services.runs.request import Request
from services.schedule.scheduler import WindowScheduler
from services.schedule.wake_up import WakeUps
from services.store.keys import BATCH
from services.windows import Length, hours_words

MOST_BLOCKS = 50
NAMED = 3  # people whom `people_to_ask` names


class ButtonActions:
    """One method per button.

    Each returns the private answer to the person who pressed, if any; the card shows the rest.
    """

    def __init__(
        self,
        operations: OperationsService,
        scheduler: WindowScheduler,
        decisions: Decisions,
        home: HomeTab,
        escalations: Escalations,
    ) -> None:
        self._operations = operations
        self._clusters = operations.clusters
        self._scheduler = scheduler
        self._decisions = decisions
        self._home = home
        self._escalations = escalations

    async def do(self, name: str, value: str, actor: Actor) -> Card | None:
        """Do what the button `name` is for."""
        action, _, more = name.partition(":")
        if action not in ACTIONS:
            raise Refused("this button is of an older version; nothing was changed")
        return await ACTIONS[action](self, value, more, actor)

    async def refresh(self, _value: str, _more: str, actor: Actor) -> None:
        """Draw the Home tab anew."""
        await self._home.refresh(actor)

    async def opened(self, _value: str, _more: str, _actor: Actor) -> None:
        """Do nothing: Slack has opened the link by itself."""

    async def acknowledge(self, value: str, _more: str, actor: Actor) -> Card:
        """Acknowledge an escalation."""
        return await self._escalations.acknowledge(value, actor)

    async def approve(self, value: str, _more: str, actor: Actor) -> Card | None:
        """Approve a request."""
        return await self._decisions.decide(DecisionKind.APPROVE, value, actor)

    async def reject(self, value: str, _more: str, actor: Actor) -> Card | None:
        """Reject a request."""
        return await self._decisions.decide(DecisionKind.REJECT, value, actor)

    async def details(self, value: str, _more: str, actor: Actor) -> Card:
        """Return the details of a request, where no modal shows them."""
        if value.startswith(BATCH):
            blocks = await self.batch_details(value, actor)
            return Card(f"Details of {value}.", tuple(blocks[:MOST_BLOCKS]))
        request, approvers, decides = await self.details_of(value, actor)
        return views.details_card(request, approvers, decides=decides)

    async def batch_details(self, value: str, actor: Actor) -> list[Block]:
        """Return every cluster's plan, and who may approve each."""
        batches = self._operations.batches
        planned = await batches.plans(await batches.find(value, actor), actor)
        asking = batches.asking(planned.batch, planned.plans.values())
        requester = planned.batch.requester
        people = {name: describe_approvers(self._clusters, name, requester) for name in asking}
        return batch_details(planned.batch, BatchFacts(planned.plans), people)

    async def details_of(self, value: str, actor: Actor) -> tuple[Request, str, bool]:
        """Return a request, who may approve it, and whether this person may."""
        request = await self._operations.find_request(value, actor)
        whom = describe_approvers(self._clusters, request.plan.cluster, request.requester)
        return request, whom, self._operations.approval_counts(request, actor)

    async def cancel(self, value: str, _more: str, actor: Actor) -> Card | None:
        """Cancel a run at its next safe point."""
        return await self._decisions.decide(DecisionKind.CANCEL, value, actor)

    async def resume(self, value: str, _more: str, actor: Actor) -> Card | None:
        """Resume a stopped run."""
        return await self._decisions.decide(DecisionKind.TAKE_OVER, value, actor)

    async def abandon(self, value: str, _more: str, actor: Actor) -> Card | None:
        """Abandon a stopped run."""
        return await self._decisions.decide(DecisionKind.ABANDON, value, actor)

    async def keep_up(self, value: str, more: str, actor: Actor) -> Card:
        """Keep a cluster up although a window would close it."""
        name = self._clusters.resolve_name(value, actor)
        length: Length = "tonight"
        if more != "tonight":
            length = float(more)
        keep_up = await self._scheduler.overrides.keep(name, length, actor)
        return views.text_card(f"{name} stays up until {date_time(keep_up.until)}.")

    async def wake(self, value: str, _more: str, actor: Actor) -> Card:
        """Start a cluster that a window closed, for a while."""
        name = self._clusters.resolve_name(value, actor)
        return await wake(WakeUps(self._operations, self._scheduler), name, actor)

    async def close_now(self, value: str, _more: str, actor: Actor) -> None:
        """Let a window close the cluster that asked first."""
        name, _, edge = value.partition("|")
        await self._scheduler.overrides.close_now(
            self._clusters.resolve_name(name, actor), edge, actor
        )

    async def terraform_patch(self, value: str, _more: str, actor: Actor) -> Card:
        """Show the patch of the Terraform variables after a run."""
        run = await self._operations.run(value, actor)
        report = await self._operations.terraform.report(run.cluster, actor)
        return patch_card(report, run.id)

    async def terraform_pull(self, value: str, _more: str, actor: Actor) -> Card:
        """Open the pull request of a patch that was shown."""
        name, digest, about = [*value.split("|"), "", ""][:3]
        cluster = self._clusters.resolve_name(name, actor)
        return pull_card(await self._operations.terraform.open_pull(cluster, digest, actor, about))

    async def answer(self, value: str, _more: str, actor: Actor) -> Card | None:
        """Answer a run's question."""
        run, question, choice = [*value.split("|"), "", ""][:3]
        return not_covered_answer(await self._operations.answer(run, question, choice, actor))


# Every button of the bot's cards, by its action id up to a colon; those of menus are in OFFERED.
ACTIONS: Mapping[str, Callable[[ButtonActions, str, str, Actor], Awaitable[Card | None]]] = {
    views.REFRESH: ButtonActions.refresh,
    LINK: ButtonActions.opened,
    ACKNOWLEDGE: ButtonActions.acknowledge,
    views.APPROVE: ButtonActions.approve,
    views.NOTE: ButtonActions.approve,
    views.REJECT: ButtonActions.reject,
    views.DETAILS: ButtonActions.details,
    views.CANCEL: ButtonActions.cancel,
    views.RESUME: ButtonActions.resume,
    views.ABANDON: ButtonActions.abandon,
    views.ANSWER: ButtonActions.answer,
    "keepup": ButtonActions.keep_up,
    views.WAKE: ButtonActions.wake,
    "closenow": ButtonActions.close_now,
    SHOW_PATCH: ButtonActions.terraform_patch,
    OPEN_PULL: ButtonActions.terraform_pull,
}


def describe_approvers(
    clusters: ClusterRegistry, cluster: str, requester: Actor, *, everybody: bool = False
) -> str:
    """Describe who may approve: `@ben, @carla or 3 more approvers, Mon-Fri 09:00-17:00`.

    `everybody`: mention all of them instead.
    """
    rules = clusters.cluster(cluster).rules
    if everybody:
        return views.mention_approvers(rules.approvers, requester)
    when = ""
    if rules.approvals_when:
        when = f", {hours_words(rules.approvals_when)}"
    others = rules.approvers
    if not rules.single_operator:
        others -= {requester.user}
    if len(others) <= NAMED:
        return f"{people_to_ask(others)}{when}"
    more = count_of(len(others) - NAMED, "more approver")
    return f"{or_words([*map(person, sorted(others)[:NAMED]), more])}{when}"
