"""A run is what its events add up to, in whatever order they come."""

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given

from services.procedures import Shutdown
from services.procedures.plan import make_plan
from services.runs.run import (
    OVER,
    Answered,
    Asked,
    CancelAsked,
    Ended,
    Event,
    Noted,
    Opened,
    Questioned,
    Reached,
    Resumed,
    Run,
    State,
    Stopped,
    Taken,
    apply,
    fold,
)
from services.steps import Choice, MediaGone, PoolTarget, PowerOff, Question, Revive
from tests.support.clusters import ANA, BEN, NOW, events, law, ready


@law
@given(events())
def test_every_beginning_of_a_story_is_a_story(told: list[Event]) -> None:
    """Total: a bot that dies anywhere leaves something that can be read."""
    run = None
    for end in range(1, len(told) + 1):
        before, run = run, fold(told[:end])
        assert isinstance(run, Run)
        assert run.events == end
        assert isinstance(run.state, State)
        assert (run.state in OVER) == run.over
        assert run.step is None or run.step in run.steps
        assert all(isinstance(s, str) and s for s in run.stays_done)
        # Reading on is reading anew.
        if before is not None:
            assert apply(before, told[end - 1]) == run


@law
@given(events())
def test_what_has_happened_is_never_taken_back(told: list[Event]) -> None:
    for end in range(1, len(told)):
        before, after = fold(told[:end]), fold(told[: end + 1])
        assert after.reached[: len(before.reached)] == before.reached
        assert after.notes[: len(before.notes)] == before.notes
        assert (after.requester, after.approvers, after.reason) == (
            before.requester,
            before.approvers,
            before.reason,
        ), "story A42"


def test_the_generator_knows_every_event() -> None:
    seen: set[type] = set()

    @law
    @given(events())
    def collect(told: list[Event]) -> None:
        seen.update(type(e) for e in told)

    collect()
    assert seen == set(get_args(Event))


def test_a_story_begins_by_being_opened() -> None:
    with pytest.raises(TypeError, match="first event opens it"):
        fold([Noted(NOW, "once upon a time")])


PLAN = make_plan(ready(3), Shutdown())
OPENED = Opened(NOW, "acme-7", PLAN, ANA, (BEN,), "why", "COPS", "r1")


def story(*told: Event) -> Run:
    return fold([OPENED, *told])


def test_a_step_reached_is_followed_by_the_next_from_the_beginning() -> None:
    run = story(Asked(NOW + 1, 0, 0), Asked(NOW + 9, 0, 1), Reached(NOW + 10, 0))
    assert (run.position, run.asks, run.asked_at, run.step_began) == (1, 0, 0.0, NOW + 10)
    assert run.stays_done == (PLAN.steps[0].residue(),)


def test_a_new_worker_asks_again_gently() -> None:
    """An ask that may not have been sent does not count; a retry is not a first ask."""
    taken = Taken(NOW + 1, "w2", 2, again=True)
    assert story(Asked(NOW, 0, 0), taken).asks == 0
    assert story(Asked(NOW, 0, 0), Asked(NOW, 0, 1), taken).asks == 1
    once, twice = (
        story(Asked(NOW, 0, 0), Asked(NOW, 0, 1), taken),
        story(Asked(NOW, 0, 0), Asked(NOW, 0, 1), taken, taken),
    )
    assert (once.asks, once.unsure) == (twice.asks, twice.unsure) == (1, True), (
        "a bot that asked nothing takes nothing back"
    )
    assert not story(Asked(NOW, 0, 0), taken, Asked(NOW + 2, 0, 0)).unsure


QUESTION = Question(
    "q",
    "what now?",
    (
        Choice("wait", "Wait", wait=60.0),
        Choice("force", "Force", skip=True, loses="meetings"),
        Choice("stop", "Stop", ends="left here"),
        Choice("other", "Other", steps=(Revive((1,)),)),
    ),
)


def test_answers_lead_where_they_say() -> None:
    asked = Questioned(NOW + 1, QUESTION)
    assert story(asked).state is State.ASKING

    def answered(choice: str) -> Run:
        return story(asked, Answered(NOW + 2, "q", choice, BEN))

    assert answered("wait").wait_until == NOW + 62
    assert answered("stop").leaving == "left here"
    assert answered("").state is State.RUNNING
    assert answered("nonsense").steps == PLAN.steps
    other = answered("other")
    assert other.steps == (PLAN.steps[0], Revive((1,)))
    assert other.step == Revive((1,))
    assert other.skipped == (0,)
    force = answered("force")
    assert force.position == 1
    assert force.step == replace(PLAN.steps[1], harsh=True)  # type: ignore[call-arg]
    assert [type(s) for s in force.steps[1:]] == [PoolTarget, MediaGone, PowerOff]


def test_an_answer_to_another_question_changes_nothing() -> None:
    run = story(Questioned(NOW, QUESTION))
    assert apply(run, Answered(NOW, "older", "force", BEN)) == replace(run, events=run.events + 1)


def test_a_second_answer_changes_nothing() -> None:
    once = story(Questioned(NOW, QUESTION), Answered(NOW, "q", "wait", BEN))
    assert apply(once, Answered(NOW + 9, "q", "force", ANA)) == replace(
        once, events=once.events + 1
    )


def test_resuming_forgets_the_stop_and_the_cancel() -> None:
    run = story(CancelAsked(NOW, BEN), Stopped(NOW + 1, "because"), Resumed(NOW + 2, BEN, 2))
    assert (run.state, run.stopped, run.cancel, run.position) == (State.RUNNING, "", None, 2)


@pytest.mark.parametrize("how", sorted(OVER))
def test_an_end_has_a_name(how: str) -> None:
    run = story(Questioned(NOW, QUESTION), Ended(NOW + 9, how, "text", BEN))
    assert run.over
    assert run.state == how
    assert run.question is None
    assert (run.ended_at, run.ended_by, run.end_text) == (NOW + 9, BEN, "text")
