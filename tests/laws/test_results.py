"""What a run's card says was changed is still so: nothing on it contradicts what came later."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cluster.model import Cluster, Pool
from services.procedures import Restart, Scale, Shutdown
from services.procedures.plan import Plan, make_plan
from services.steps import (
    STEPS,
    BreakLock,
    DeleteLeftovers,
    Drain,
    DropBackups,
    KeepSecrets,
    PowerOff,
    PowerOn,
    Revive,
    Shrunk,
    Snapshots,
    Step,
)
from services.steps.base import Choice
from services.steps.results import changes, narrowed, remaining, subjects, tally
from tests.support.clusters import clusters, folded, law, plans, ready, steps

# What they leave stays whatever comes later.
ALONE = {BreakLock, DeleteLeftovers, DropBackups, KeepSecrets, Snapshots}


def hold(cluster: Cluster, taken: Iterable[Step]) -> None:
    """Check that each change that would be shown is still so at the end."""
    now, reached = cluster, list(taken)
    if now.pool is None:
        now = replace(now, pool=Pool(id="", name="", target=0))
    for step in reached:
        now = step.after(now)
    for step in remaining(reached):
        assert step.is_done(now), f"{step.residue()}: not so after {[s.title() for s in reached]}"


@law
@given(plans(), st.data())
def test_what_is_shown_as_changed_is_so_at_every_moment(
    both: tuple[Cluster, Plan], data: st.DataObject
) -> None:
    cluster, plan = both
    reached = plan.steps[: data.draw(st.integers(0, len(plan.steps)), label="reached")]
    hold(cluster, reached)


@law
@given(plans(), st.data())
def test_nor_after_a_rollback_or_an_answer(both: tuple[Cluster, Plan], data: st.DataObject) -> None:
    cluster, plan = both
    index = data.draw(st.integers(0, len(plan.steps) - 1), label="stops at")
    reached, now = plan.steps[:index], cluster
    for step in reached:
        now = step.after(now)
    hold(cluster, (*reached, *plan.procedure.recover(now, plan.steps[index])))
    question = plan.steps[index].timeout_question(now)
    if question is None:
        return
    choice: Choice = data.draw(st.sampled_from(question.choices), label="answer")
    if choice.steps is not None:
        rest = plan.steps[index + 1 :] if choice.goes_on else ()
        hold(cluster, (*reached, *choice.steps, *rest))


@pytest.mark.parametrize("kind", STEPS, ids=lambda k: k.__name__)
def test_every_change_is_about_something(kind: type[Step]) -> None:
    @law
    @given(st.data())
    def of_every_step(data: st.DataObject) -> None:
        step = data.draw(steps(ready(3), kind))
        if kind.leaves_change and kind not in ALONE:
            assert subjects(step), "a later step could not replace what it says"

    of_every_step()


@law
@given(clusters(), st.data())
def test_a_step_is_narrowed_to_what_is_left_of_it(cluster: Cluster, data: st.DataObject) -> None:
    step = data.draw(steps(cluster))
    held = data.draw(st.sets(st.sampled_from(sorted(subjects(step)) or [""])))
    left = narrowed(step, frozenset(held))
    if left is not None and held and held != {""} and "media:*" not in subjects(step):
        assert subjects(left) == held


@law
@given(clusters(), st.data())
def test_a_tally_counts_no_more_than_there_are(cluster: Cluster, data: st.DataObject) -> None:
    counted = tally(data.draw(steps(cluster)), cluster)
    if counted is not None:
        assert 0 <= counted.done <= counted.total
        assert counted.total > 1


@law
@given(plans())
def test_a_step_of_several_masters_counts_them(both: tuple[Cluster, Plan]) -> None:
    """A bar moves at each of them, as it does with media nodes."""
    cluster, plan = both
    for step, before, after in folded(cluster, plan.steps):
        one_of_several = isinstance(step, PowerOn) and len(cluster.masters) > 1
        if one_of_several or len(getattr(step, "names", ())) > 1:
            was, becomes = tally(step, before), tally(step, after)
            assert was is not None
            assert becomes is not None
            assert was.done < becomes.done <= becomes.total
            assert "masters" in was.what


def test_a_restarted_node_does_not_wait_for_a_restart() -> None:
    cluster = ready(3)
    plan = make_plan(cluster, Restart("media-1"))
    assert [type(s) for s in remaining(plan.steps)] == [Revive]


def test_a_removed_node_is_not_drained_too() -> None:
    plan = make_plan(ready(4), Scale(3))
    kept = [type(s) for s in remaining(plan.steps)]
    assert Drain not in kept
    assert Shrunk in kept


def test_masters_are_named_together_and_off_only_as_far_as_they_are() -> None:
    names = tuple(m.name for m in ready().masters)
    off, on = PowerOff(names), [PowerOn(name) for name in names]
    assert changes([off, *on]) == [on[0].residue().replace("master 1", "masters 1-4")]
    assert changes([off, *on[:2]])[0] == PowerOff(names[2:]).residue()


def test_what_was_begun_is_told_from_what_was_reached() -> None:
    drain = make_plan(ready(3), Shutdown()).steps[0]
    assert changes([], drain) != [drain.residue()]
