"""Laws of plans, and of what an approval is bound to."""

import math
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cluster.model import Cluster, Load, NodeStatus
from services.common.observed import Observed, Unobserved
from services.procedures import Procedure, Shutdown, Startup
from services.procedures.plan import Plan, make_plan
from services.steps import Effects
from tests.support.clusters import (
    SIZES,
    clusters,
    down,
    folded,
    law,
    loads,
    plan_of,
    plans,
    procedures,
    ready,
)


@law
@given(clusters(), procedures(), loads(), st.integers(0, 9))
def test_the_digest_does_not_depend_on_the_load(
    cluster: Cluster, procedure: Procedure, load: Observed[Load], rooms: int
) -> None:
    busy = replace(
        cluster,
        load=load,
        seen_at=cluster.seen_at + 60,
        media=tuple(
            replace(n, look=replace(n.look, rooms=rooms, people=rooms * 2, recordings=rooms // 2))
            if isinstance(n.look, NodeStatus) and n.look.runs_media_server
            else n
            for n in cluster.media
        ),
    )
    before, after = plan_of(cluster, procedure), plan_of(busy, procedure)
    assert (before and before.digest) == (after and after.digest)


def _other_droplet(c: Cluster) -> Cluster:
    return replace(
        c, media=(replace(c.media[0], droplet=replace(c.media[0].droplet, id=999)), *c.media[1:])
    )


def _fewer(c: Cluster) -> Cluster:
    return replace(c, media=c.media[:-1])


def _target(c: Cluster) -> Cluster:
    assert c.pool is not None, "it has one"
    return replace(c, pool=replace(c.pool, target=c.pool.target + 1))


def _template(c: Cluster) -> Cluster:
    assert c.pool is not None, "it has one"
    return replace(c, pool=replace(c.pool, template="t-2"))


def _other_pool(c: Cluster) -> Cluster:
    assert c.pool is not None, "it has one"
    return replace(c, pool=replace(c.pool, id="pool-2"))


def _pool_size(c: Cluster) -> Cluster:
    assert c.pool is not None, "it has one"
    return replace(c, pool=replace(c.pool, size="c-8"))


def _master_size(c: Cluster) -> Cluster:
    return replace(c, masters=(replace(c.masters[0], size=SIZES[1]), *c.masters[1:]))


def _other_master(c: Cluster) -> Cluster:
    return replace(c, masters=(replace(c.masters[0], id=77), *c.masters[1:]))


def _master_off(c: Cluster) -> Cluster:
    return replace(c, masters=(replace(c.masters[0], status="off"), *c.masters[1:]))


def _other_cluster(c: Cluster) -> Cluster:
    return replace(c, name="globex")


CHANGES: tuple[Callable[[Cluster], Cluster], ...] = (
    *(_other_droplet, _fewer, _target, _template, _other_pool),
    *(_pool_size, _master_size, _other_master, _other_cluster),
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: c.__name__.strip("_"))
@pytest.mark.parametrize(
    "procedure",
    [Shutdown(), Shutdown(no_drain=True), Shutdown(media_only=True), Startup(6)],
    ids=lambda p: p.command_line(),
)
def test_the_digest_depends_on_what_the_plan_uses(
    change: Callable[[Cluster], Cluster], procedure: Procedure
) -> None:
    cluster = ready(3)
    assert make_plan(change(cluster), procedure).digest != make_plan(cluster, procedure).digest


def test_the_digest_depends_on_the_masters_that_have_to_be_started() -> None:
    assert (
        make_plan(_master_off(ready(3)), Startup(3)).digest
        != make_plan(ready(3), Startup(3)).digest
    )


@law
@given(clusters(), procedures(), procedures())
def test_the_digest_depends_on_the_parameters(
    cluster: Cluster, one: Procedure, other: Procedure
) -> None:
    first, second = plan_of(cluster, one), plan_of(cluster, other)
    if first and second and one != other:
        assert first.digest != second.digest


@law
@given(plans())
def test_numbers_are_numbers(both: tuple[Cluster, Plan]) -> None:
    cluster, plan = both
    assert plan.takes > 0
    assert math.isfinite(plan.takes)
    assert plan.takes == pytest.approx(
        sum(s.expected_seconds(c) for s, c, _ in folded(cluster, plan.steps))
    )
    assert plan.outage is None or 0 <= plan.outage <= plan.takes
    assert plan.made_at == cluster.seen_at
    assert plan.media == len(cluster.media)
    assert isinstance(plan.saves, Decimal)


@law
@given(plans())
def test_the_effects_are_those_of_its_steps(both: tuple[Cluster, Plan]) -> None:
    cluster, plan = both
    total = Effects()
    for step, before, _ in folded(cluster, plan.steps):
        total += step.effects(before)
    assert plan.effects == total


@law
@given(plans())
def test_a_meeting_that_is_ended_is_stated_in_the_approval(both: tuple[Cluster, Plan]) -> None:
    """A plan that removes a node with a meeting, undrained, states it in the approval."""
    cluster, plan = both
    for _, before, after in folded(cluster, plan.steps):
        if before.pool == after.pool:
            continue  # members that were being removed already do not count
        gone = {n.id for n in before.media} - {n.id for n in after.media}
        if any(
            n.id in gone and not n.drained and n.member_status != "deleting" for n in before.members
        ):
            assert plan.effects.special
            assert any("without draining" in words for words in plan.effects.special)


def test_masters_are_billed_even_while_powered_off() -> None:
    plan = make_plan(ready(3), Shutdown())
    assert plan.saves == 3 * Decimal("0.07143")
    assert plan.stays_billed == 4 * Decimal("0.07143")
    assert make_plan(down(ready(3)), Startup()).saves == -3 * Decimal("0.07143")


def test_an_outage_without_an_end_is_none() -> None:
    assert make_plan(ready(3), Shutdown()).outage is None


def test_a_plan_with_nothing_to_do_is_empty_and_harmless() -> None:
    for cluster, procedure in ((ready(3), Startup(3)), (down(ready(3)), Shutdown())):
        plan = make_plan(cluster, procedure)
        assert plan.is_empty
        assert plan.effects == Effects()
        assert plan.saves == 0


def test_no_drain_of_empty_nodes_ends_no_meeting_and_still_states_it() -> None:
    quiet = ready(3, rooms=0)
    assert not make_plan(quiet, Shutdown(no_drain=True)).effects.cuts_off
    unknown = replace(quiet, load=Unobserved("LiveKit does not answer"))
    assert make_plan(unknown, Shutdown(no_drain=True)).effects.cuts_off, (
        "what is not known is not nothing"
    )
    assert make_plan(quiet, Shutdown(no_drain=True)).effects.special == (
        "removes 3 media nodes without draining",
    )
