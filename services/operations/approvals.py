"""Requests for approval: filed and listed in one commit, changed by compare-and-set."""

import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace

from services.access.policy import AccessResult, Actor, ClusterPolicy, Verdict, authorize
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.common.errors import BadRecord, Refused
from services.common.serialize import read_json
from services.common.text import duration
from services.operations.staged_secrets import StagedSecrets
from services.procedures import Procedure
from services.procedures.plan import Plan
from services.runs.journal import Journal
from services.runs.request import Act, Request, RequestState
from services.store import Store
from services.store.edit import edit, retried, too_fast
from services.store.keys import LATER, pending_key
from services.store.port import new_id
from services.windows import next_opening

SAME_MOMENT = "someone else pressed at the same moment. Check the current message and try again"
AGAIN = "Nothing was changed. Request it again with the command"
PARTS = {False: "requests that wait", True: "requests for later"}
"""The bulkhead parts of reading all requests, and of reading only those for later."""
GLASS_SECONDS = 600.0  # an emergency is now


class Approvals:
    """The requests of all clusters. `tell`: takes every new state of one."""

    def __init__(
        self,
        journal: Journal,
        store: Store,
        clock: Clock,
        staged: StagedSecrets,
        tell: Callable[[Request], None],
        bulkheads: Bulkheads,
    ) -> None:
        self._journal = journal
        self._store = store
        self._clock = clock
        self._staged = staged
        self._tell = tell
        self._bulkheads = bulkheads

    def new(
        self,
        plan: Plan,
        actor: Actor,
        rules: ClusterPolicy,
        verdict: Verdict,
        reason: str,
        channel: str,
        *,
        glass: bool = False,
    ) -> Request:
        """A new request, not stored yet."""
        now = self._clock.now()
        until, lacks = _opens(rules, now) + rules.approval_seconds, rules.approvals_from
        if verdict.kind is AccessResult.ALLOWED:
            until, lacks = now + rules.approval_seconds, ()
        if glass:
            until, lacks = now + min(GLASS_SECONDS, rules.approval_seconds), ()
        return Request(
            id=new_id(),
            plan=plan,
            requester=actor,
            reason=reason,
            made_at=now,
            until=until,
            needs=verdict.approvals,
            why=verdict.reason,
            special=verdict.special,
            lacks=lacks,
            glass=glass,
            channel=channel,
        )

    def for_later(self, request: Request, at: float, zone: str, rules: ClusterPolicy) -> Request:
        """The request with a moment to do it (epoch seconds): it can be approved until then.

        Refused where approvals count only after that moment.
        """
        now = self._clock.now()
        later = replace(request, id=f"{LATER}{request.id}", later=at, zone=zone, until=at)
        if request.needs == 0:
            return later.agreed(now)
        if _opens(rules, now) >= at:
            raise Refused(
                "this needs an approval, and none counts before "
                f"{later.moment}. Nothing was changed. Choose a later time"
            )
        return later

    async def file(self, request: Request) -> None:
        """Store and list it in one commit.

        Refused where someone has requested the same meanwhile.
        """
        name, procedure = request.plan.cluster, request.plan.procedure
        glass, act, later = request.glass, request.act, request.later

        async def attempt() -> bool | None:
            pending = await self._pending(request)
            await self.must_be_new(name, procedure, glass=glass, act=act, later=later)
            if request.startable:
                await self._must_be_the_only(request)
            return await self._journal.put_request(request, pending) or None

        await retried(attempt, too_fast(_list_of(name)))
        self._tell(request)

    async def replace(self, before: Request, after: Request, new: Request) -> None:
        """Close a request and file its replacement, in one commit. Refused with who was first."""

        async def attempt() -> bool | None:
            pending = await self._pending(new)
            await self._must_stand(before)
            return await self._journal.replace_request(before, after, new, pending) or None

        await retried(attempt, too_fast(_list_of(new.plan.cluster)))
        await self.changed(after)
        self._tell(new)

    async def _pending(self, request: Request) -> str | None:
        (text,) = await self._store.get(
            pending_key(request.plan.cluster, later=bool(request.later))
        )
        return text

    async def _must_stand(self, before: Request) -> None:
        current = await self._journal.request(before.id)
        if current.state is not RequestState.OPEN:
            raise Refused(_closed_words(current, self._clock.now()))
        if current.text != before.text:
            raise Refused(SAME_MOMENT)

    async def waiting(self, name: str) -> list[Request]:
        """The requests of a cluster that wait for approval, oldest first."""
        opened = [r async for r in self._readable(name) if r.state is RequestState.OPEN]
        now = self._clock.now()
        return [r for r in opened if not r.scheduled and r.until > now]

    async def scheduled(self, name: str) -> list[Request]:
        """The approved requests for later, also those whose moment has passed; next one first."""
        return sorted(
            [r async for r in self._readable(name, later=True) if r.scheduled],
            key=lambda r: r.later,
        )

    async def _readable(self, name: str, *, later: bool = False) -> AsyncIterator[Request]:
        """The listed requests.

        One that cannot be read is trouble of its own: it stays listed, and the others are looked
        after.
        """
        unread = None
        for request_id in await self._listed(name, later=later):
            try:
                yield await self._journal.request(request_id)
            except Refused:
                await self._unlist(name, request_id)  # it was removed
            except BadRecord as error:
                unread = error
        if unread is not None:
            self._bulkheads.record_failure(PARTS[later], name, unread)
        else:
            self._bulkheads.record_success(PARTS[later], name)

    async def must_be_new(
        self,
        name: str,
        procedure: Procedure,
        *,
        glass: bool = False,
        act: Act | None = None,
        later: float = 0.0,
    ) -> None:
        """Refused when the same was requested already, in the same way.

        A request that only its requester can start does not count.
        """
        for request in await self.scheduled(name) if later else ():
            if request.later == later and request.plan.procedure == procedure:
                raise Refused(
                    f"{request.requester.mention} has already requested this; "
                    f"it is scheduled for {request.moment}"
                )
        for request in await self.waiting(name):
            same = (
                request.act == act
                if act or request.act
                else request.plan.procedure == procedure and request.later == later
            )
            if same and request.glass == glass and not request.startable:
                left = duration(request.until - self._clock.now())
                waits = "confirmation" if glass else "approval"
                raise Refused(
                    f"{request.requester.mention} has already requested this; "
                    f"it waits for {waits} and expires in {left}"
                )

    async def _must_be_the_only(self, request: Request) -> None:
        """Refused when its requester can start the same change already."""
        filed = await self.startable(
            request.plan.cluster, request.plan.procedure, request.requester
        )
        if filed is not None:
            left = duration(filed.until - self._clock.now())
            raise Refused(
                "its plan is in the channel already, and nothing was changed yet: "
                f"press Start there within {left}"
            )

    async def open(self, request_id: str) -> Request:
        """The request, while it is open. Refused with what became of it."""
        request = await self._journal.request(request_id)
        if (
            request.state is RequestState.OPEN
            and not request.scheduled
            and request.until <= self._clock.now()
        ):
            await self._expire(request)
            request = await self._journal.request(request_id)
        if request.state is RequestState.OPEN:
            return request
        raise Refused(_closed_words(request, self._clock.now()))

    async def change(self, before: Request, after: Request) -> None:
        """Replace the request as it was read. Refused with who was first."""
        if not await self._journal.change_request(before, after):
            current = await self._journal.request(before.id)
            if current.state is RequestState.OPEN:
                raise Refused(SAME_MOMENT)
            raise Refused(_closed_words(current, self._clock.now()))
        await self.changed(after)
        if after.state in (
            RequestState.REJECTED,
            RequestState.EXPIRED,
            RequestState.SUPERSEDED,
        ) and not (after.replaced_by or after.act):
            await self._staged.drop(after.plan.cluster, after.plan.procedure)

    async def changed(self, after: Request) -> None:
        """Unlist a request whose new state is stored, and pass the state on."""
        if after.state is not RequestState.OPEN:
            await self._unlist(after.plan.cluster, after.id)
        self._tell(after)

    async def startable(self, name: str, procedure: Procedure, actor: Actor) -> Request | None:
        """The request of this person that needs no approval, so that they can start it."""
        mine = (
            r
            for r in await self.waiting(name)
            if r.startable and r.act is None and r.requester.key == actor.key
        )
        return next((r for r in mine if r.plan.procedure == procedure), None)

    async def follow_policy(self, name: str, rules: ClusterPolicy) -> None:
        """Let requesters start what needs no approval any more, and request approval otherwise."""
        for request in await self.waiting(name):
            verdict = authorize(request.plan, request.requester, rules)
            free = verdict.kind is AccessResult.ALLOWED
            if free and not request.glass and not request.startable:
                await self._ease(request)
            if verdict.kind is AccessResult.NEEDS_APPROVAL and request.startable:
                with suppress(Refused):  # another bot was quicker, or its requester started it
                    await self._request_approval(request, rules, verdict)

    async def _ease(self, request: Request) -> None:
        eased = replace(request, needs=0, lacks=())
        eased = eased.agreed(self._clock.now()) if request.later else eased
        if await self._journal.change_request(request, eased):
            await self.changed(eased)

    async def _request_approval(
        self, request: Request, rules: ClusterPolicy, verdict: Verdict
    ) -> None:
        """File a request for approval in the place of one that needed none."""
        requester, reason, channel = request.requester, request.reason, request.channel
        new = self.new(request.plan, requester, rules, verdict, reason, channel)
        new = replace(new, act=request.act, differs="it needs an approval by now")
        now, superseded = self._clock.now(), RequestState.SUPERSEDED
        await self.replace(request, request.closed(superseded, now, replaced_by=new.id), new)

    async def any_listed(self, name: str) -> bool:
        """Return whether a cluster has any request that a sweep has to look at."""
        return bool(await self._listed(name, later=False))

    async def sweep(self, name: str) -> None:
        """Close what has expired, and unlist what is closed."""
        async for request in self._readable(name):
            if request.state is not RequestState.OPEN:
                await self._unlist(name, request.id)
            elif request.until <= self._clock.now() and not request.scheduled:
                await self._expire(request)

    async def _expire(self, request: Request) -> None:
        closed = request.closed(RequestState.EXPIRED, request.until)
        if await self._journal.change_request(request, closed):
            await self.changed(closed)
            if request.act is None:  # else the run may still need it
                await self._staged.drop(request.plan.cluster, request.plan.procedure)

    async def _listed(self, name: str, *, later: bool) -> list[str]:
        """Ids of all requests, those for now first; `later`: only those for later."""
        kinds = [True] if later else [False, True]
        texts = await self._store.get(*(pending_key(name, later=kind) for kind in kinds))
        what = f"the list of requests of {name}"
        return [str(i) for text in texts if text is not None for i in read_json(text, [], what)]

    async def _unlist(self, name: str, request_id: str) -> None:
        key, what = pending_key(name, later=request_id.startswith(LATER)), _list_of(name)

        def without(text: str | None) -> str | None:
            ids = read_json(text, [], what)
            if request_id not in ids:
                return text
            return json.dumps([i for i in ids if i != request_id])

        await edit(self._store, key, without, what)


def _list_of(cluster: str) -> str:
    return f"the list of requests of {cluster}"


def _opens(rules: ClusterPolicy, now: float) -> float:
    """From when on an approval counts (epoch seconds)."""
    opens = next_opening(rules.approvals_when, now)
    return opens if math.isfinite(opens) else now


def _closed_words(request: Request, now: float) -> str:
    ago = duration(now - request.closed_at)
    if request.later and request.why_closed and request.closed_by is None:
        why = f"{request.why_closed}. Nothing was changed"
        return f"this was scheduled for {request.moment} and was not done ({ago} ago): {why}"
    who = request.closed_by.mention if request.closed_by else ""
    match request.state:
        case RequestState.APPROVED:
            unchanged = "Your press changed nothing"
            return f"already {_verb(request)} by {who} {ago} ago, as `{request.run}`. {unchanged}"
        case RequestState.REJECTED if request.startable:
            return f"cancelled by {who} {ago} ago. Nothing was changed"
        case RequestState.REJECTED:
            return f"rejected by {who} {ago} ago. Nothing was changed"
        case RequestState.EXPIRED:
            return f"this request expired {ago} ago. {AGAIN}"
        case _ if not request.replaced_by:
            return f"the situation changed {ago} ago, so this request was closed. {AGAIN}"
        case _:
            return "the plan changed, and a newer request replaced this one. Nothing was changed"


def _verb(request: Request) -> str:
    """Return what was done to open its run."""
    if request.glass:
        return "confirmed"
    if request.startable:
        return "started"
    return "approved"
