"""Mentions the approvers of a request in its thread: when it is posted, and before it expires."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from handlers.slack.blocks import Card
from handlers.slack.channel_access import ChannelClosed
from handlers.slack.client import SlackClient
from handlers.updates.once_poster import OncePoster
from handlers.updates.recipients import Recipients
from handlers.views.approvals import approval_expires, approval_needed, with_link
from services.access.policy import ClusterPolicy
from services.access.user_groups import GROUPS
from services.common.bulkheads import AT_ONCE, Bulkheads
from services.common.clock import Clock
from services.memory.message_refs import CardPlace, MessageRefs
from services.operations.reader import ClusterReader
from services.runs.request import Request

log = logging.getLogger(__name__)
PART = "approvers"
# Seconds before a request expires in which its approvers are reminded, and how long a request must
# last to be worth it.
REMINDER, WORTH_IT = 600.0, 1200.0
# Requests of one channel in one round: Slack takes about one message a second for a channel, and
# cards need their share.
PER_ROUND = 3


@dataclass(frozen=True)
class ApprovalCall:
    """One message to approvers. `mark`: names it, for all bots."""

    mark: str
    card: Callable[[Request, Iterable[str]], Card]


class ApprovalCalls:
    """Looks at every request that waits for approval, in each round.

    While the policy counts no approvals, no one is called. A request that its requester alone
    starts or confirms calls no one: break-glass names everyone on its card.
    """

    def __init__(
        self,
        reader: ClusterReader,
        cards: MessageRefs,
        poster: OncePoster,
        recipients: Recipients,
        bulkheads: Bulkheads,
        slack: SlackClient,
        clock: Clock,
    ) -> None:
        self._reader = reader
        self._cards = cards
        self._poster = poster
        self._recipients = recipients
        self._bulkheads = bulkheads
        self._slack = slack
        self._clock = clock
        # By channel: how many requests had their approvers called in this round.
        self._called: Counter[str] = Counter()

    async def sweep(self) -> None:
        """Do one round over every cluster."""
        self._called.clear()
        await self._bulkheads.run_each(
            PART, self._reader.clusters.driven, self._sweep, together=True, at_once=AT_ONCE
        )

    async def _sweep(self, name: str) -> None:
        lacking = [r for r in await self._reader.waiting(name) if r.left]
        if not lacking or self._reader.clusters.rules(name).approvals_closed:
            return
        for request in lacking:
            await self._call(request)

    async def _call(self, request: Request) -> None:
        place = await self._cards.get(request.id)
        if place is None or not place.ts or place.final:
            return
        first = ApprovalCall(f"{request.id}/needed", approval_needed)
        last = ApprovalCall(f"{request.id}/expires", approval_expires)
        ends_soon = self._clock.now() >= request.until - REMINDER
        if not await self._poster.is_posted(first.mark):
            if await self._post(first, request, place) and ends_soon:
                await self._poster.note_posted(last.mark)
        elif (
            ends_soon
            and request.until - request.made_at >= WORTH_IT
            and not await self._poster.is_posted(last.mark)
        ):
            await self._post(last, request, place)

    async def _post(self, call: ApprovalCall, request: Request, place: CardPlace) -> bool:
        """Reach everyone whose approval is missing; return whether that is done.

        What this round has no room for comes in the next one.
        """
        if self._called[place.channel] >= PER_ROUND:
            return False
        self._called[place.channel] += 1
        raw = self._reader.clusters[request.plan.cluster].rules
        done = {request.requester.user, *(a.user for a in request.approvals)}
        ids = approvers_of(request, raw)
        audience = await self._recipients.audience("approvals", ids, done)
        if audience.direct:
            link = await self._slack.permalink(place.channel, place.ts)
            card = with_link(call.card(request, ()), link)
            await self._recipients.tell(call.mark, audience.direct, card)
        if not audience.mentions:
            await self._poster.note_posted(call.mark)
            return True
        card = call.card(request, audience.mentions)
        try:
            return await self._poster.post(call.mark, place.channel, card, thread=place.ts)
        except ChannelClosed as closed:
            # Requester and approvers read of it elsewhere; it is tried again once it is open.
            log.info("approvers of %s: %s", request.id, closed)
            return False


def approvers_of(request: Request, rules: ClusterPolicy) -> tuple[str, ...]:
    """Return whose approval is missing: ids of people, and of user groups as a whole.

    `rules`: the policy as it is in the settings, with its groups.
    """
    if request.left <= len(request.lacks):
        return request.lacks
    return tuple(dict.fromkeys((*request.lacks, *sorted(rules.approvers, key=_people_first))))


def _people_first(one: str) -> tuple[bool, str]:
    return one.startswith(GROUPS), one
