"""The append-only list of what happened to each run, and the atomic acts on it."""

import json
from collections.abc import Mapping
from dataclasses import replace

from services.clock import Clock
from services.decisions import Request, RequestState
from services.errors import Refused, Superseded
from services.locks import Lease, claim_key
from services.runs import CLASSES, Answered, CancelAsked, Ended, Event, Opened, Questioned, Resumed, Run, State, Stopped, apply, fold
from services.store import Commit, Store
from services.wire import decode, encode


def log_of(run: str) -> str:
    """The log of a run's events."""
    return f"run:{run}"


def question_key(run: str) -> str:
    """Holds the open question's id; an answer deletes it, so that only one is taken."""
    return f"question:{run}"


def halt_key(run: str) -> str:
    """There while a run is stopped; Resume and Abandon delete it, so that only one is taken."""
    return f"halt:{run}"


def dump(value: object) -> str:
    """The value as text; equal values give equal text, so that it can be compared."""
    return json.dumps(encode(value), sort_keys=True, separators=(",", ":"))


def load(text: str) -> object:
    """What `dump` was given."""
    return decode(json.loads(text), CLASSES)


class Journal:
    """Reads and appends. Entries of a driving worker are fenced by its lease; people's by the state they answer to."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run(self, run: str) -> Run:
        """The run as it stands. Refused when there is none of that name."""
        entries = await self._store.read(log_of(run))
        if not entries:
            raise Refused(f"there is no run {run}; `/openvidu runs` lists them")
        return fold(_event(e) for e in entries)

    async def refresh(self, run: Run) -> Run:
        """The same run with what others have added since."""
        for entry in await self._store.read(log_of(run.id), run.events):
            run = apply(run, _event(entry))
        return run

    async def latest(self, cluster: str, count: int) -> list[str]:
        """Ids of the newest runs of a cluster, newest first."""
        return (await self._store.tail(f"runs:{cluster}", count))[::-1]

    async def events(self, run: str) -> list[Event]:
        """Everything that happened, in order."""
        return [_event(e) for e in await self._store.read(log_of(run))]

    async def next_name(self, cluster: str) -> tuple[str, str | None]:
        """The name of the next run, and the counter it rests on."""
        last = (await self._store.get(f"number:{cluster}"))[0]
        return f"{cluster}-{int(last or 0) + 1}", last

    async def open(
        self,
        opened: Opened,
        counter: str | None,
        request: tuple[Request, Request] | None = None,
        checks: Mapping[str, str | None] | None = None,
        puts: Mapping[str, str | None] | None = None,
    ) -> bool:
        """Claim the cluster, consume the approval and write the first entry, in one act. False: somebody was first.

        `checks` and `puts` belong to the same act: what else must be so, and what else is written.
        """
        cluster = opened.plan.cluster
        checks = {claim_key(cluster): None, f"number:{cluster}": counter, **(checks or {})}
        puts = {**(puts or {}), claim_key(cluster): opened.run, f"number:{cluster}": str(int(counter or 0) + 1)}
        if request is not None:
            before, after = request
            checks[f"request:{before.id}"] = dump(before)
            puts[f"request:{before.id}"] = dump(after)
        appends = [(log_of(opened.run), dump(opened)), (f"runs:{cluster}", opened.run)]
        return await self._store.commit(Commit(checks=checks, puts=puts, appends=appends))

    async def append(self, run: Run, event: Event, lease: Lease) -> Run:
        """Write what the driving worker did or saw. Superseded when the lease is not ours any more."""
        checks: dict[str, str | None] = {lease.key: lease.token}
        puts: dict[str, str | None] = {}
        match event:
            case Questioned():
                puts[question_key(run.id)] = event.question.id
            case Answered():
                checks[question_key(run.id)] = event.question
                puts[question_key(run.id)] = None
            case Stopped():
                puts |= {halt_key(run.id): "stopped", question_key(run.id): None}
            case Ended():
                checks[claim_key(run.cluster)] = run.id
                puts |= {claim_key(run.cluster): None, question_key(run.id): None}
        lease.check()
        if not await self._store.commit(Commit(checks=checks, puts=puts, appends=[(log_of(run.id), dump(event))])):
            current = await self.refresh(run)
            if isinstance(event, Answered) and current.question is None:
                return current  # a person was quicker
            raise Superseded(f"{run.id} is driven by somebody else")
        return await self.refresh(run)

    async def say(self, run: Run, event: CancelAsked | Answered | Resumed | Ended) -> bool:
        """Write what a person decided. False: somebody was first, or the run has moved on."""
        checks: dict[str, str | None] = {claim_key(run.cluster): run.id}
        puts: dict[str, str | None] = {}
        match event:
            case Answered():
                checks[question_key(run.id)] = event.question
                puts[question_key(run.id)] = None
            case Resumed():
                checks[halt_key(run.id)] = "stopped"
                puts[halt_key(run.id)] = None
            case Ended():
                checks[halt_key(run.id)] = "stopped"
                puts |= {halt_key(run.id): None, claim_key(run.cluster): None}
        return await self._store.commit(Commit(checks=checks, puts=puts, appends=[(log_of(run.id), dump(event))]))

    async def request(self, request: str) -> Request:
        """A request for approval as it stands. Refused when there is none of that id."""
        text = (await self._store.get(f"request:{request}"))[0]
        if text is None:
            raise Refused("this request is gone; ask again with the command")
        found = load(text)
        assert isinstance(found, Request), "only requests are stored there"
        return _fresh(found)

    async def put_request(self, request: Request, pending: str | None) -> bool:
        """Store a new request and add it to those that wait, which were `pending`. False: that list has changed meanwhile."""
        waiting = f"pending:{request.plan.cluster}"
        after = json.dumps([*json.loads(pending or "[]"), request.id])
        checks = {f"request:{request.id}": None, waiting: pending}
        return await self._store.commit(Commit(checks=checks, puts={f"request:{request.id}": dump(request), waiting: after}))

    async def change_request(self, before: Request, after: Request) -> bool:
        """Replace a request as it was read. False: somebody changed it meanwhile."""
        key = f"request:{before.id}"
        return await self._store.commit(Commit(checks={key: dump(before)}, puts={key: dump(after)}))


def _event(text: str) -> Event:
    event = load(text)
    assert isinstance(event, Event), "only events are in a run's log"
    return event


def _fresh(request: Request) -> Request:
    # The state comes back from JSON as text.
    return replace(request, state=RequestState(request.state))


__all__ = ["Journal", "State", "dump", "load", "log_of"]
