"""The journal: an append-only list of each run's events, and requests; each write is one commit."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, reduce

from services.access.policy import ClusterPolicy
from services.audit.chain import AuditChain
from services.audit.entries import AuditRecord, journal_digest
from services.common.clock import Clock
from services.common.errors import BadRecord, Refused, Superseded, Unreachable
from services.common.serialize import read, read_json, write
from services.memory.promises import request_appends
from services.runs.audit_entries import (
    of_decision,
    of_end,
    of_opening,
    of_policy,
    of_progress,
    of_request,
    of_vote,
    policy_words,
)
from services.runs.locks import Lease
from services.runs.request import Request, RequestState, Vote, answered
from services.runs.run import (
    CLASSES,
    Answered,
    CancelAsked,
    Ended,
    Event,
    Opened,
    Questioned,
    Resumed,
    Run,
    State,
    Stopped,
    apply,
    fold,
)
from services.steps import Question
from services.store import Commit, Store
from services.store.edit import retried, too_fast
from services.store.keys import (
    claim_key,
    commands_key,
    halt_key,
    number_key,
    pending_key,
    policy_key,
    question_key,
    request_key,
    run_log_key,
    runs_log_key,
    sealed_key,
    votes_key,
)
from services.store.port import new_id

Checks = dict[str, str | None]
VOTES_KEPT = 30 * 86400.0
# A run is read many times between two of its events, by every part of a round. What its texts say
# is remembered by the texts themselves: as many runs, requests and events as are open at a time.
RUNS_REMEMBERED = 64
TEXTS_REMEMBERED = 512


def to_text(value: object, over: str | None = None) -> str:
    """Return the value as text; equal values give equal text.

    `over`: the text that it takes the place of, whose unknown fields it keeps.
    """
    return write(value, CLASSES, over)


@lru_cache(maxsize=TEXTS_REMEMBERED)
def from_text(text: str, what: str = "a record") -> object:
    """Return the value that `dump` was given. BadRecord where it cannot be read."""
    return read(text, CLASSES, what)


class Journal:
    """Reads and appends.

    Entries of a driving worker are fenced by its lease; people's by the state they answer to.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.chain = AuditChain(store, clock)

    async def run(self, run: str) -> Run:
        """The run as it stands. Refused when there is none of that name."""
        entries = await self._store.read(run_log_key(run))
        if not entries:
            raise Refused(f"there is no run {run}; [[command runs]] lists them")
        return _run_of(tuple(entries), run)

    async def refresh(self, run: Run) -> Run:
        """The run with what was added since it was read."""
        entries = await self._store.read(run_log_key(run.id), run.events)
        with _readable(run.id):
            for entry in entries:
                run = apply(run, _event(entry, run.id))
        return run

    async def latest(self, cluster: str, count: int) -> list[str]:
        """Ids of the newest runs of a cluster, newest first."""
        return (await self._store.tail(runs_log_key(cluster), count))[::-1]

    async def events(self, run: str, start: int = 0) -> list[Event]:
        """The events of a run, in order, from that one on."""
        return [_event(e, run) for e in await self._store.read(run_log_key(run), start)]

    async def next_name(self, cluster: str) -> tuple[str, str | None]:
        """The name of the next run, and the counter that it was made from."""
        last = (await self._store.get(number_key(cluster)))[0]
        return f"{cluster}-{int(last or 0) + 1}", last

    async def open(
        self,
        opened: Opened,
        counter: str | None,
        request: tuple[Request, Request] | None = None,
        checks: Mapping[str, str | None] | None = None,
        puts: Mapping[str, str | None] | None = None,
    ) -> bool:
        """Lock the cluster, consume the approval and write the first entry, in one commit.

        False: another was first.

        `checks` and `puts` belong to the same act: further conditions, and what else is written.
        """
        cluster = opened.plan.cluster
        checks = {claim_key(cluster): None, number_key(cluster): counter, **(checks or {})}
        puts = {
            **(puts or {}),
            claim_key(cluster): opened.run,
            number_key(cluster): str(int(counter or 0) + 1),
        }
        if request is not None:
            before, after = request
            checks[request_key(before.id)] = before.text
            puts[request_key(before.id)] = to_text(after, before.text)
        appends = [(run_log_key(opened.run), to_text(opened)), (runs_log_key(cluster), opened.run)]
        if request is not None:
            appends += _answer(*request)
        deeds = ([of_request(*request)] if request is not None else []) + [of_opening(opened)]
        return await self.chain.commit(
            Commit(checks=checks, puts=puts, appends=appends), cluster, *deeds
        )

    async def append(self, run: Run, event: Event, lease: Lease) -> Run:
        """Write what the driving worker did or saw.

        Superseded when the lease is not ours any more.
        """
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
        if not await self._write(run, event, checks, puts):
            current = await self.refresh(run)
            if isinstance(event, Answered) and current.question is None:
                return current  # a person was quicker
            raise Superseded(f"{run.id} is driven by another bot process")
        return await self.refresh(run)

    async def append_decision(
        self,
        run: Run,
        event: CancelAsked | Answered | Resumed | Ended,
        checks: Mapping[str, str | None] | None = None,
        request: tuple[Request, Request] | None = None,
    ) -> bool:
        """Write a person's decision. False: another was first, or the run has moved on.

        `checks`: what else must be so still. `request`: the approved request that it rests on,
        consumed in the same act.
        """
        checks, puts, deeds = (
            {claim_key(run.cluster): run.id, **(checks or {})},
            dict[str, str | None](),
            list[AuditRecord](),
        )
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
        if isinstance(event, Ended):
            return await self._write_end(run, event, checks, puts)
        appends = [(run_log_key(run.id), to_text(event))]
        if request is not None:
            before, after = request
            checks[request_key(before.id)] = to_text(before)
            puts[request_key(before.id)] = to_text(after)
            deeds.append(of_request(before, after))
            appends += _answer(before, after)
        puts[commands_key(run.id)] = new_id()  # what the end's digest is over has grown
        commit = Commit(checks, puts, {}, appends)
        return await self.chain.commit(commit, run.cluster, *deeds, of_decision(run, event))

    async def ask_again(self, run: Run, question: Question) -> bool:
        """Replace the open question by one with the current state.

        False: that one is settled, or has a successor already.
        """
        assert run.question is not None, "only an open question is repeated"
        key = question_key(run.id)
        checks: Checks = {claim_key(run.cluster): run.id, key: run.question.id}
        puts: Checks = {key: question.id, commands_key(run.id): new_id()}
        event = Questioned(self._clock.now(), question)
        return await self._store.commit(
            Commit(checks, puts, {}, [(run_log_key(run.id), to_text(event))])
        )

    async def _write(self, run: Run, event: Event, checks: Checks, puts: Checks) -> bool:
        """Write what the worker did or saw, with its audit entries."""
        if isinstance(event, Ended):
            return await self._write_end(run, event, checks, puts)
        commit = Commit(checks=checks, puts=puts, appends=[(run_log_key(run.id), to_text(event))])
        return await self.chain.commit(commit, run.cluster, *of_progress(run, event))

    async def _write_end(self, run: Run, event: Ended, checks: Checks, puts: Checks) -> bool:
        """Write the last entry, sealed with the digest of the whole journal.

        The journal is read again while people decide something meanwhile.
        """
        log, key = run_log_key(run.id), commands_key(run.id)

        async def attempt() -> bool | None:
            (stamp,) = await self._store.get(key)
            digest = journal_digest([*await self._store.read(log), to_text(event)])
            commit = Commit({**checks, key: stamp}, puts, {}, [(log, to_text(event))])
            end, seal = of_end(run, event, digest), sealed_key(run.id)
            if await self.chain.commit(commit, run.cluster, end, note=seal):
                return True
            if (await self._store.get(key))[0] == stamp:
                return False
            return None

        gives_up = f"{run.id} changes faster than its end can be written"
        return await retried(attempt, Unreachable(gives_up, sent=False))

    async def vote(self, run: Run, question: str, vote: Vote) -> tuple[Vote, ...]:
        """Record a vote for an answer that takes several people, and nothing else.

        Returns all votes, the newest last.
        """
        key = votes_key(run.id, question)

        async def attempt() -> tuple[Vote, ...] | None:
            (text,) = await self._store.get(key)
            before = _votes(text, run.id)
            after = (*(v for v in before if v.by.key != vote.by.key), vote)
            commit = Commit(checks={key: text}, puts={key: to_text(after)}, ttl={key: VOTES_KEPT})
            if await self.chain.commit(commit, run.cluster, of_vote(run, vote.choice, vote.by)):
                return after
            return None

        return await retried(attempt, too_fast(f"the list of votes on {run.id}"))

    async def request(self, request: str) -> Request:
        """A request for approval as it stands. Refused when there is none of that id."""
        text = (await self._store.get(request_key(request)))[0]
        if text is None:
            raise Refused(
                "this request no longer exists; request the change again with the command"
            )
        return _request_of(text, request)

    async def record_policy(self, cluster: str, rules: ClusterPolicy) -> None:
        """Record a change of the configured policy in the audit; its author is unknown."""
        key, words = policy_key(cluster), policy_words(rules)
        (before,) = await self._store.get(key)
        if before != words:
            await self.chain.commit(
                Commit(checks={key: before}, puts={key: words}),
                cluster,
                of_policy(before or "", rules),
            )

    async def put_request(self, request: Request, pending: str | None) -> bool:
        """Store a new request and add it to those that wait, which were `pending`.

        False: that list has changed meanwhile.
        """
        checks, puts = _filed(request, pending)
        return await self.chain.commit(
            Commit(checks=checks, puts=puts), request.plan.cluster, of_request(None, request)
        )

    async def replace_request(
        self, before: Request, after: Request, new: Request, pending: str | None
    ) -> bool:
        """Close a request and file its replacement, in one commit.

        False: either of the two has changed meanwhile.
        """
        checks, puts = _filed(new, pending)
        key = request_key(before.id)
        commit = Commit(
            checks={**checks, key: before.text},
            puts={**puts, key: to_text(after, before.text)},
            appends=_answer(before, after),
        )
        return await self.chain.commit(
            commit, new.plan.cluster, of_request(before, after), of_request(None, new)
        )

    async def change_request(self, before: Request, after: Request) -> bool:
        """Replace a request as it was read, exactly. False: it has changed meanwhile."""
        key = request_key(before.id)
        commit = Commit(
            checks={key: before.text},
            puts={key: to_text(after, before.text)},
            appends=_answer(before, after),
        )
        return await self.chain.commit(commit, after.plan.cluster, of_request(before, after))


def _answer(before: Request, after: Request) -> list[tuple[str, str]]:
    """The record of the answer to a request, where this change of it is one."""
    cluster, at = after.plan.cluster, after.agreed_at or after.closed_at
    return request_appends(cluster, after.id, after.made_at, at, answered=answered(before, after))


def _filed(request: Request, pending: str | None) -> tuple[Checks, Checks]:
    """The checks and puts that file a new request in the list of those that wait."""
    waiting, key = (
        pending_key(request.plan.cluster, later=bool(request.later)),
        request_key(request.id),
    )
    after = json.dumps(
        [*read_json(pending, [], f"the list of requests of {request.plan.cluster}"), request.id]
    )
    return {key: None, waiting: pending}, {key: to_text(request), waiting: after}


@contextmanager
def _readable(run: str) -> Iterator[None]:
    """BadRecord for events that are readable, but make no run that this version knows."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise BadRecord(
            f"run {run} cannot be read: it is damaged, or is of a newer openvidu-bot ({error})"
        ) from error


@lru_cache(maxsize=RUNS_REMEMBERED)
def _run_of(entries: tuple[str, ...], run: str) -> Run:
    before, known = _FOLDED.get(run, ((), None))
    with _readable(run):
        if known is not None and entries[: len(before)] == before:
            folded = reduce(apply, (_event(e, run) for e in entries[len(before) :]), known)
        else:
            folded = fold(_event(e, run) for e in entries)
    _FOLDED.pop(run, None)
    _FOLDED[run] = entries, folded
    if len(_FOLDED) > RUNS_REMEMBERED:
        del _FOLDED[next(iter(_FOLDED))]
    return folded


_FOLDED: dict[str, tuple[tuple[str, ...], Run]] = {}
"""By run: the entries that were read last and what they make, which the next ones add to."""


def _event(text: str, run: str) -> Event:
    event = from_text(text, f"run {run}")
    if not isinstance(event, Event):
        raise BadRecord(f"run {run} cannot be read: it is damaged")
    return event


def _votes(text: str | None, run: str) -> tuple[Vote, ...]:
    if text is None:
        return ()
    votes = from_text(text, f"the votes on {run}")
    if not isinstance(votes, tuple) or not all(isinstance(v, Vote) for v in votes):
        raise BadRecord(f"the votes on {run} cannot be read: they are damaged")
    return votes


@lru_cache(maxsize=RUNS_REMEMBERED)
def _request_of(text: str, request: str) -> Request:
    record = from_text(text, f"request {request}")
    if not isinstance(record, Request):
        raise BadRecord(f"request {request} cannot be read: it is damaged")
    # The state comes back from JSON as text.
    try:
        return replace(record, state=RequestState(record.state), text=text)
    except ValueError:
        newer = f"it was written by a newer openvidu-bot (unknown state {record.state})"
        raise BadRecord(f"request {record.id} cannot be read: {newer}") from None


__all__ = ["Journal", "State", "from_text", "run_log_key", "to_text"]
