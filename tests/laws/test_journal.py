"""What the journal accepts: one opening, one worker, one answer, one way out of a stop."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from services.access.policy import Actor
from services.common.clock import Clock, loop_clock
from services.common.errors import Superseded
from services.procedures import Shutdown
from services.procedures.plan import make_plan
from services.runs.journal import Journal, from_text, to_text
from services.runs.locks import Lease, Locks
from services.runs.request import Act, Request, RequestState, Vote
from services.runs.run import (
    Answered,
    Asked,
    CancelAsked,
    Ended,
    Noted,
    Opened,
    Questioned,
    Reached,
    Resumed,
    Run,
    State,
    Stopped,
)
from services.steps import Choice, Question
from services.store import Commit
from services.store.keys import commands_key, halt_key, question_key, run_log_key
from tests.support import virtual
from tests.support.clusters import ready
from tests.support.memory_store import MemoryStore

ANA, BEN = Actor("UANA", "T0ACME"), Actor("UBEN", "T0ACME")
PLAN = make_plan(ready(2), Shutdown())
OPENED = Opened(1.0, "acme-1", PLAN, ANA, (BEN,), "")
QUESTION = Question("q", "Now what?", (Choice("wait", "Wait", wait=60.0), Choice("go", "Go")))
REQUEST = Request("r1", PLAN, ANA, "", 0.0, 1800.0, 1, "it stops the masters")
REQUEST = replace(REQUEST, text=to_text(REQUEST))  # as it is read
APPROVED = REQUEST.closed(RequestState.APPROVED, 5.0, BEN, run="acme-1")
STATE = ("claim:acme", "number:acme", "request:r1", question_key("acme-1"), halt_key("acme-1"))


class JournalUser:
    """A journal with a lease on its run."""

    def __init__(self, store: MemoryStore, clock: Clock) -> None:
        self.store = store
        self.journal = Journal(store, clock)
        self.locks = Locks(store, clock, "w1")

    async def opened(self) -> tuple[Run, Lease]:
        assert await self.journal.open(OPENED, None)
        lease = await self.locks.take("acme-1")
        assert lease is not None, "nobody else has it"
        return await self.journal.run("acme-1"), lease

    async def state(self) -> dict[str, str | None]:
        return dict(zip(STATE, await self.store.get(*STATE), strict=True))

    async def log(self) -> list[str]:
        return [type(e).__name__ for e in await self.journal.events("acme-1")]


Story = Callable[[JournalUser], Awaitable[None]]


def play(story: Story) -> None:
    async def told() -> None:
        clock = loop_clock(0.0)
        await story(JournalUser(MemoryStore(clock), clock))

    virtual.run(told(), at_most=50 * 86400.0)


def test_an_opening_claims_counts_consumes_and_writes_in_one_act() -> None:
    async def story(user: JournalUser) -> None:
        assert await user.journal.next_name("acme") == ("acme-1", None)
        assert await user.journal.put_request(REQUEST, None)
        assert await user.journal.open(
            OPENED, None, (REQUEST, APPROVED), {"book": None}, {"book": "written"}
        )
        state = await user.state()
        assert (state["claim:acme"], state["number:acme"]) == ("acme-1", "1")
        assert (await user.journal.request("r1")).state is RequestState.APPROVED
        assert await user.store.get("book") == ["written"]
        assert await user.log() == ["Opened"]
        assert await user.journal.latest("acme", 5) == ["acme-1"]
        assert await user.journal.next_name("acme") == ("acme-2", "1")

    play(story)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("claim:acme", "acme-0"),
        ("number:acme", "7"),
        ("request:r1", "changed"),
        ("book", "changed"),
    ],
)
def test_an_opening_rests_on_all_of_it(key: str, text: str) -> None:
    """Nothing is written when the lock, the number, the request or the schedule has changed."""

    async def story(user: JournalUser) -> None:
        await user.journal.put_request(REQUEST, None)
        await user.store.commit(Commit(puts={key: text}))
        before = await user.state()
        assert not await user.journal.open(
            OPENED, None, (REQUEST, APPROVED), {"book": None}, {"book": "written"}
        )
        assert await user.state() == before
        assert await user.log() == []
        assert await user.journal.latest("acme", 5) == []

    play(story)


def test_the_number_counts_on() -> None:
    async def story(user: JournalUser) -> None:
        await user.store.commit(Commit(puts={"number:acme": "41"}))
        assert await user.journal.next_name("acme") == ("acme-42", "41")
        assert await user.journal.open(replace(OPENED, run="acme-42"), "41")
        assert await user.store.get("number:acme") == ["42"]
        assert not await user.journal.open(replace(OPENED, run="acme-43"), "42"), (
            "the cluster is taken"
        )

    play(story)


def test_what_a_worker_writes_needs_its_lease_at_that_moment() -> None:
    async def story(user: JournalUser) -> None:
        run, lease = await user.opened()
        run = await user.journal.append(run, Asked(2.0, 0, 0), lease)
        assert run.asks == 1
        await user.store.commit(Commit(puts={lease.key: "2:w2"}))
        for event in (
            Asked(3.0, 0, 1),
            Noted(3.0, "x"),
            Questioned(3.0, QUESTION),
            Stopped(3.0, "x"),
            Ended(3.0, State.DONE, ""),
        ):
            with pytest.raises(Superseded, match="acme-1 is driven by another bot process"):
                await user.journal.append(run, event, lease)
        assert await user.log() == ["Opened", "Asked"]
        assert (await user.state())["claim:acme"] == "acme-1"

    play(story)


def test_a_worker_whose_lease_has_run_out_does_not_try() -> None:
    async def story(user: JournalUser) -> None:
        run, lease = await user.opened()
        await user.store.commit(
            Commit(puts={lease.key: lease.token})
        )  # the state would still take it
        await lease.release()
        await user.store.commit(Commit(puts={lease.key: lease.token}))
        with pytest.raises(Superseded, match="expired"):
            await user.journal.append(run, Asked(2.0, 0, 0), lease)
        assert await user.log() == ["Opened"]

    play(story)


def test_a_question_is_answered_once_and_by_whoever_is_first() -> None:
    async def story(user: JournalUser) -> None:
        run, lease = await user.opened()
        run = await user.journal.append(run, Questioned(2.0, QUESTION), lease)
        assert (await user.state())[question_key("acme-1")] == "q"
        assert not await user.journal.append_decision(run, Answered(3.0, "another", "go", BEN))
        assert await user.journal.append_decision(run, Answered(3.0, "q", "go", BEN))
        assert (await user.state())[question_key("acme-1")] is None
        assert not await user.journal.append_decision(run, Answered(4.0, "q", "wait", ANA))
        after = await user.journal.append(run, Answered(5.0, "q", "", None), lease)
        assert after.question is None, "a person was quicker: the worker goes on from there"
        assert await user.log() == ["Opened", "Questioned", "Answered"]

    play(story)


def test_a_worker_answers_a_question_that_has_become_idle_and_people_are_told() -> None:
    async def story(user: JournalUser) -> None:
        run, lease = await user.opened()
        run = await user.journal.append(run, Questioned(2.0, QUESTION), lease)
        run = await user.journal.append(run, Answered(3.0, "q", "", None), lease)
        assert run.question is None
        assert (await user.state())[question_key("acme-1")] is None
        assert not await user.journal.append_decision(run, Answered(4.0, "q", "go", BEN))

    play(story)


def test_a_worker_that_lost_its_lease_cannot_answer_an_open_question() -> None:
    async def story(user: JournalUser) -> None:
        run, lease = await user.opened()
        run = await user.journal.append(run, Questioned(2.0, QUESTION), lease)
        await user.store.commit(Commit(puts={lease.key: "2:w2"}))
        with pytest.raises(Superseded):
            await user.journal.append(run, Answered(3.0, "q", "", None), lease)
        assert (await user.journal.run("acme-1")).question is not None

    play(story)


def test_another_entry_of_a_worker_that_was_too_late_is_never_taken_for_an_answer() -> None:
    async def story(user: JournalUser) -> None:
        run, lease = await user.opened()
        await user.store.commit(Commit(puts={lease.key: "2:w2"}))
        with pytest.raises(Superseded):
            await user.journal.append(run, Reached(3.0, 0), lease)

    play(story)


async def stopped(user: JournalUser) -> Run:
    run, lease = await user.opened()
    run = await user.journal.append(run, Questioned(2.0, QUESTION), lease)
    return await user.journal.append(run, Stopped(3.0, "the pool is gone"), lease)


def test_a_stop_closes_the_question_and_keeps_the_cluster() -> None:
    async def story(user: JournalUser) -> None:
        run = await stopped(user)
        state = await user.state()
        assert run.state is State.STOPPED
        assert (state[halt_key("acme-1")], state[question_key("acme-1")], state["claim:acme"]) == (
            "stopped",
            None,
            "acme-1",
        )
        assert not await user.journal.append_decision(run, Answered(4.0, "q", "go", BEN))

    play(story)


@pytest.mark.parametrize("first", ["resume", "abandon"])
def test_of_resume_and_abandon_one_counts(first: str) -> None:
    async def story(user: JournalUser) -> None:
        run = await stopped(user)
        resume, abandon = Resumed(4.0, ANA, 0), Ended(4.0, State.ABANDONED, "given up", BEN)
        events: list[Any] = [resume, abandon] if first == "resume" else [abandon, resume]
        assert await user.journal.append_decision(run, events[0])
        assert not await user.journal.append_decision(run, events[1])
        state = await user.state()
        assert state[halt_key("acme-1")] is None
        assert state["claim:acme"] == ("acme-1" if first == "resume" else None)
        assert (await user.log())[-1] == type(events[0]).__name__

    play(story)


@pytest.mark.parametrize("event", [Resumed(4.0, ANA, 0), Ended(4.0, State.ABANDONED, "", BEN)])
def test_a_run_that_has_not_stopped_is_neither_resumed_nor_abandoned(event: Any) -> None:
    async def story(user: JournalUser) -> None:
        run, _ = await user.opened()
        assert not await user.journal.append_decision(run, event)
        assert await user.log() == ["Opened"]
        assert (await user.state())["claim:acme"] == "acme-1"

    play(story)


@pytest.mark.parametrize(
    "event",
    [
        CancelAsked(9.0, ANA),
        Answered(9.0, "q", "go", BEN),
        Resumed(9.0, ANA, 0),
        Ended(9.0, State.ABANDONED, "", BEN),
    ],
)
def test_nothing_is_said_of_a_run_that_has_the_cluster_no_more(event: Any) -> None:
    async def story(user: JournalUser) -> None:
        run, _ = await user.opened()
        puts = {"claim:acme": "acme-2", question_key("acme-1"): "q", halt_key("acme-1"): "stopped"}
        await user.store.commit(Commit(puts=puts))
        assert not await user.journal.append_decision(run, event)
        assert await user.log() == ["Opened"]
        assert (await user.state())["claim:acme"] == "acme-2"

    play(story)


def test_an_end_frees_the_cluster_that_it_has_and_no_other_run_s() -> None:
    async def story(user: JournalUser) -> None:
        run, lease = await user.opened()
        run = await user.journal.append(run, Questioned(2.0, QUESTION), lease)
        await user.store.commit(Commit(puts={"claim:acme": "acme-2"}))
        with pytest.raises(Superseded):
            await user.journal.append(run, Ended(3.0, State.DONE, ""), lease)
        assert (await user.state())["claim:acme"] == "acme-2"
        await user.store.commit(Commit(puts={"claim:acme": "acme-1"}))
        run = await user.journal.append(run, Ended(3.0, State.DONE, ""), lease)
        state = await user.state()
        assert run.over
        assert (state["claim:acme"], state[question_key("acme-1")]) == (None, None)

    play(story)


def test_an_end_is_written_though_somebody_says_something_meanwhile() -> None:
    """The end is sealed with the digest of the whole journal, with entries that came in between."""

    async def story(user: JournalUser) -> None:
        run, lease = await user.opened()
        read, said = user.store.read, [CancelAsked(2.5, BEN), CancelAsked(2.6, ANA)]

        async def read_slowly(log: str, start: int = 0, count: int | None = None) -> list[str]:
            found = await read(log, start, count)
            if said and log == run_log_key("acme-1") and not start:
                assert await user.journal.append_decision(run, said.pop())
            return found

        user.store.read = read_slowly  # type: ignore[method-assign]
        ended = await user.journal.append(run, Ended(3.0, State.DONE, ""), lease)
        assert ended.over
        assert await user.log() == ["Opened", "CancelAsked", "CancelAsked", "Ended"]

    play(story)


def test_a_request_is_stored_once_and_listed_in_the_same_act() -> None:
    async def story(user: JournalUser) -> None:
        other = replace(REQUEST, id="r2")
        assert await user.journal.put_request(REQUEST, None)
        assert await user.store.get("pending:acme") == ['["r1"]']
        assert not await user.journal.put_request(other, None), (
            "the list has changed since it was read"
        )
        assert not await user.journal.put_request(REQUEST, '["r1"]'), "it is there already"
        assert await user.store.get("request:r2", "pending:acme") == [None, '["r1"]']
        assert await user.journal.put_request(other, '["r1"]')
        assert await user.store.get("pending:acme") == ['["r1", "r2"]']
        assert await user.store.get("request:r2") == [to_text(other)]

    play(story)


def test_a_request_is_changed_only_as_it_was_read() -> None:
    async def story(user: JournalUser) -> None:
        await user.journal.put_request(REQUEST, None)
        assert not await user.journal.change_request(
            replace(REQUEST, text=to_text(APPROVED)), REQUEST
        )
        assert not await user.journal.change_request(replace(REQUEST, text=""), APPROVED), (
            "what was never read"
        )
        assert await user.journal.change_request(REQUEST, APPROVED)
        assert not await user.journal.change_request(REQUEST, APPROVED)
        assert await user.store.get("request:r1") == [to_text(APPROVED)]

    play(story)


def wants(who: Actor, choice: str = "go", at: float = 1.0) -> Vote:
    return Vote(who, choice, at)


def test_of_each_person_the_newest_vote_on_a_question_is_kept_whatever_the_choice() -> None:
    async def story(user: JournalUser) -> None:
        run, _ = await user.opened()
        assert await user.journal.vote(run, "q", wants(ANA)) == (wants(ANA),)
        assert await user.journal.vote(run, "q", wants(BEN)) == (wants(ANA), wants(BEN))
        assert await user.journal.vote(run, "q", wants(ANA, at=2.0)) == (
            wants(BEN),
            wants(ANA, at=2.0),
        )
        assert await user.journal.vote(run, "q", wants(ANA, "wait", 3.0)) == (
            wants(BEN),
            wants(ANA, "wait", 3.0),
        ), "the other is withdrawn"
        assert await user.journal.vote(run, "p", wants(ANA)) == (wants(ANA),), (
            "another question has votes of its own"
        )
        assert from_text((await user.store.get("votes:acme-1:p"))[0] or "") == (wants(ANA),)

    play(story)


def test_two_who_vote_at_once_both_count() -> None:
    async def story(user: JournalUser) -> None:
        run, _ = await user.opened()
        get, between = user.store.get, [BEN]

        async def get_slowly(*keys: str) -> list[str | None]:
            found = await get(*keys)
            if between and keys == ("votes:acme-1:q",):
                await user.journal.vote(run, "q", wants(between.pop()))
            return found

        user.store.get = get_slowly  # type: ignore[method-assign]
        assert await user.journal.vote(run, "q", wants(ANA)) == (wants(BEN), wants(ANA))

    play(story)


def test_a_vote_is_forgotten_after_thirty_days_and_not_before() -> None:
    async def story(user: JournalUser) -> None:
        run, _ = await user.opened()
        await user.journal.vote(run, "q", wants(ANA))
        await asyncio.sleep(29.9 * 86400)
        assert (await user.store.get("votes:acme-1:q"))[0] is not None
        await asyncio.sleep(0.2 * 86400)
        assert await user.store.get("votes:acme-1:q") == [None]

    play(story)


def test_a_decision_consumes_the_request_that_it_rests_on_in_the_same_act() -> None:
    async def story(user: JournalUser) -> None:
        run = await stopped(user)
        act = replace(REQUEST, act=Act("acme-1"))
        done = act.closed(RequestState.APPROVED, 5.0, BEN, run="acme-1")
        assert await user.journal.put_request(act, None)
        event = Resumed(5.0, ANA, 0, PLAN, (BEN,), "r1")
        assert not await user.journal.append_decision(run, event, request=(done, act)), (
            "it is not as it was read"
        )
        assert not await user.journal.append_decision(
            run, event, {"book": "changed"}, (act, done)
        ), "what else had to be so is not"
        assert (await user.state())[halt_key("acme-1")] == "stopped"
        assert (await user.journal.request("r1")).state is RequestState.OPEN
        assert await user.journal.append_decision(run, event, {"book": None}, (act, done))
        assert await user.journal.request("r1") == done
        run = await user.journal.run("acme-1")
        assert (run.state, run.approvers, run.approved_at, run.shown) == (
            State.RUNNING,
            (BEN,),
            5.0,
            PLAN,
        )
        told = [e.what for e in await user.journal.chain.newest("acme", 2)]
        assert sorted(told) == ["approved", "resumed"]

    play(story)


def test_a_question_is_asked_again_in_its_own_place_and_once() -> None:
    async def story(user: JournalUser) -> None:
        run, lease = await user.opened()
        run = await user.journal.append(run, Questioned(2.0, QUESTION), lease)
        fresh, fresher = run.asking(QUESTION), replace(QUESTION, id="q.9")
        assert fresh.id == "q.2"
        assert await user.journal.ask_again(run, fresh)
        assert not await user.journal.ask_again(run, fresher), "it was asked again already"
        assert not await user.journal.append_decision(run, Answered(3.0, "q", "go", BEN)), (
            "an answer to the old one counts for nothing"
        )
        run = await user.journal.refresh(run)
        assert run.question == fresh
        await user.store.commit(Commit(puts={"claim:acme": "acme-2"}))
        assert not await user.journal.ask_again(run, fresher), "another run has the cluster"
        await user.store.commit(Commit(puts={"claim:acme": "acme-1"}))
        before = await user.store.get(commands_key("acme-1"))
        assert await user.journal.ask_again(run, fresher)
        assert await user.store.get(commands_key("acme-1")) != before, (
            "an end that was being written has to be sealed anew"
        )
        assert await user.journal.append_decision(run, Answered(3.0, "q.9", "go", BEN))

    play(story)


def test_what_others_wrote_meanwhile_is_read_from_where_it_was_left() -> None:
    async def story(user: JournalUser) -> None:
        run, lease = await user.opened()
        asked = await user.journal.append(run, Asked(2.0, 0, 0), lease)
        assert (asked.events, run.events) == (2, 1)
        assert await user.journal.refresh(run) == asked
        assert await user.journal.refresh(asked) == asked
        assert len(await user.journal.events("acme-1", 1)) == 1

    play(story)
