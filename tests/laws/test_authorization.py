"""An authorization covers exactly what was shown: each way it may fail, alone and combined."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.access.policy import (
    AccessResult,
    Actor,
    ClusterPolicy,
    PolicyImpact,
    Verdict,
    impacts,
    raise_if_denied,
)
from services.cluster.model import Fact, Load
from services.common.errors import Refused
from services.common.observed import Unobserved
from services.procedures import Scale, Shutdown, Startup
from services.procedures.plan import Plan, make_plan, plan_remaining
from services.runs.authorization import (
    Authorization,
    Differs,
    add_approval,
    beyond_approval,
    counting_votes,
    difference_words,
    differences,
    of_later,
    of_run,
    stake_grew,
    still_counting,
    too_few,
    too_old,
    why_not_covered_now,
)
from services.runs.request import GRACE, Act, Request, Vote
from services.runs.run import Asked, Opened, Resumed, Run, Stopped, fold
from services.steps import Choice, Effects, PoolTarget, PowerOff, Question
from services.windows import parse_hours
from tests.support.clusters import autoscaled, down, law, plans, ready

ANA, BEN, CARLA, DORA = (Actor(u, "T0ACME") for u in ("UANA", "UBEN", "UCARLA", "UDORA"))
PEOPLE = frozenset({"UANA", "UBEN", "UCARLA", "UDORA"})
RULES = ClusterPolicy(operators=PEOPLE, approvers=PEOPLE, break_glass_users=frozenset({"UANA"}))
NOW = 1000.0
CUTS = Effects(
    blocks=True, cuts_off=True, down=True, stops_masters=True, special=("removes 2 media nodes",)
)
PLAN = replace(make_plan(ready(2), Shutdown(no_drain=True)), effects=CUTS, load=Load(2, 10, 1))
GIVEN = Authorization(PLAN, ANA, (BEN,), NOW)


def why(
    given: Authorization, now: Plan, rules: ClusterPolicy = RULES, at: float = NOW
) -> list[Differs]:
    return [d.kind for d in differences(given, now, rules, at)]


def words(given: Authorization, now: Plan, rules: ClusterPolicy = RULES, at: float = NOW) -> str:
    return difference_words(differences(given, now, rules, at))


def test_what_is_as_it_was_shown_is_covered() -> None:
    assert why(GIVEN, PLAN) == []
    assert words(GIVEN, PLAN) == ""


Change = Callable[
    [Authorization, Plan, ClusterPolicy, float], tuple[Authorization, Plan, ClusterPolicy, float]
]
UNSEEN = "LiveKit does not answer"
SOMETHING: dict[str, tuple[Differs, Change, str]] = {
    "another impact": (
        Differs.IMPACT,
        lambda g, n, r, t: (
            replace(g, plan=replace(g.plan, effects=replace(CUTS, stops_masters=False))),
            n,
            r,
            t,
        ),
        "it now stops the masters; the approved card did not show that",
    ),
    "meetings that would have been let finish": (
        Differs.IMPACT,
        lambda g, n, r, t: (
            replace(g, plan=replace(g.plan, effects=replace(CUTS, cuts_off=False))),
            n,
            r,
            t,
        ),
        "it now ends running meetings; the approved card did not show that",
    ),
    "a cluster that would still have served": (
        Differs.IMPACT,
        lambda g, n, r, t: (
            replace(g, plan=replace(g.plan, effects=replace(CUTS, down=False))),
            n,
            r,
            t,
        ),
        "it now blocks new meetings; the approved card did not show that",
    ),
    "a node that came": (
        Differs.NODES,
        lambda g, n, r, t: (
            replace(g, plan=replace(g.plan, nodes=(1, 2))),
            replace(n, nodes=(1, 2, 3)),
            r,
            t,
        ),
        "1 media node was added since the approval",
    ),
    "nodes that took the place of others": (
        Differs.NODES,
        lambda g, n, r, t: (
            replace(g, plan=replace(g.plan, nodes=(1, 2))),
            replace(n, nodes=(3, 4)),
            r,
            t,
        ),
        "2 media nodes were added since the approval",
    ),
    "nodes that were not recorded": (
        Differs.NODES,
        lambda g, n, r, t: (replace(g, plan=replace(g.plan, nodes=None)), n, r, t),
        "the media nodes covered by the approval were not recorded",
    ),
    "nodes that are not recorded now": (
        Differs.NODES,
        lambda g, n, r, t: (g, replace(n, nodes=None), r, t),
        "the media nodes covered by the approval were not recorded",
    ),
    "a recording": (
        Differs.LOAD,
        lambda g, n, r, t: (g, replace(n, load=Load(2, 10, 2)), r, t),
        "2 recordings are running; there were 1",
    ),
    "more people": (
        Differs.LOAD,
        lambda g, n, r, t: (g, replace(n, load=Load(2, 16, 1)), r, t),
        "16 people are in meetings; there were 10",
    ),
    "people who are not seen any more": (
        Differs.LOAD,
        lambda g, n, r, t: (g, replace(n, load=None, unseen=UNSEEN), r, t),
        f"is now unknown ({UNSEEN})",
    ),
    "people who were not seen": (
        Differs.LOAD,
        lambda g, n, r, t: (replace(g, plan=replace(g.plan, load=None)), n, r, t),
        "the number was unknown",
    ),
    "an hour": (
        Differs.AGE,
        lambda g, n, r, t: (g, n, r, t + 3600.0),
        "it was approved 1 h ago; an approval lasts 30 min",
    ),
    "an approver's role": (
        Differs.PEOPLE,
        lambda g, n, r, t: (g, n, replace(r, approvers=r.approvers - {"UBEN"}), t),
        "the approval of [[person UBEN]] no longer counts",
    ),
    "an approver's account": (
        Differs.PEOPLE,
        lambda g, n, r, t: (replace(g, approvers=(replace(BEN, outsider="deactivated"),)), n, r, t),
        "the approval of [[person UBEN]] no longer counts",
    ),
    "a stricter policy": (
        Differs.PEOPLE,
        lambda g, n, r, t: (g, n, replace(r, approvals=3), t),
        "the policy now requires 3 approvals; 1 was given",
    ),
    "a policy for what it does": (
        Differs.PEOPLE,
        lambda g, n, r, t: (
            replace(g, approvers=(BEN, CARLA)),
            n,
            replace(r, approvals_for=((PolicyImpact.MEETINGS_CUT, 3),)),
            t,
        ),
        "the policy now requires 3 approvals; 2 were given",
    ),
    "a single operator's own": (
        Differs.PEOPLE,
        lambda g, n, r, t: (replace(g, approvers=(ANA,)), n, r, t),
        "the approval of [[person UANA]] no longer counts",
    ),
}


@pytest.mark.parametrize("name", SOMETHING)
def test_each_thing_that_differs_asks_again_by_itself_and_says_so(name: str) -> None:
    kind, change, said = SOMETHING[name]
    given, now, rules, at = change(GIVEN, PLAN, RULES, NOW)
    assert why(given, now, rules, at) == [kind]
    assert said in words(given, now, rules, at)


@given(names=st.lists(st.sampled_from(sorted(SOMETHING)), min_size=1, max_size=6, unique=True))
def test_whatever_else_differs_none_of_it_is_lost(names: list[str]) -> None:
    assume(
        not {"people who are not seen any more", "people who were not seen"} <= {*names}
    )  # unknown then and now is covered
    given, now, rules, at = GIVEN, PLAN, RULES, NOW
    for name in names:
        given, now, rules, at = SOMETHING[name][1](given, now, rules, at)
    assert why(given, now, rules, at), names


LESS: dict[str, Change] = {
    "fewer people": lambda g, n, r, t: (g, replace(n, load=Load(1, 3, 0)), r, t),
    "as many as it allows": lambda g, n, r, t: (g, replace(n, load=Load(2, 15, 1)), r, t),
    "nobody, where it was unknown": lambda g, n, r, t: (
        replace(g, plan=replace(g.plan, load=None)),
        replace(n, load=Load(0, 0, 0)),
        r,
        t,
    ),
    "unknown, as it was": lambda g, n, r, t: (
        replace(g, plan=replace(g.plan, load=None)),
        replace(n, load=None),
        r,
        t,
    ),
    "fewer nodes": lambda g, n, r, t: (
        replace(g, plan=replace(g.plan, nodes=(1, 2))),
        replace(n, nodes=(2,)),
        r,
        t,
    ),
    "fewer impacts": lambda g, n, r, t: (
        g,
        replace(n, effects=replace(CUTS, cuts_off=False, down=False)),
        r,
        t,
    ),
    "just young enough": lambda g, n, r, t: (g, n, r, t + 1800.0),
    "one more approver": lambda g, n, r, t: (
        replace(g, approvers=(BEN, CARLA)),
        n,
        replace(r, approvals=2),
        t,
    ),
    "a single operator": lambda g, n, r, t: (
        replace(g, approvers=(ANA,)),
        n,
        replace(r, single_operator=True),
        t,
    ),
}


@pytest.mark.parametrize("name", LESS)
def test_what_is_no_more_than_was_shown_is_covered(name: str) -> None:
    given, now, rules, at = LESS[name](GIVEN, PLAN, RULES, NOW)
    assert why(given, now, rules, at) == []


@law
@given(plan=plans())
def test_what_takes_nothing_from_anyone_needs_no_authorization(plan: tuple[object, Plan]) -> None:
    nothing = Authorization(PLAN, ANA, (), -1e9)
    now = plan[1]
    assert bool(differences(nothing, now, RULES, NOW)) == bool(impacts(now, RULES))


@law
@given(plan=plans(), late=st.floats(0, 1e6))
def test_no_plan_with_an_impact_is_covered_for_longer_than_an_approval_lasts(
    plan: tuple[object, Plan], late: float
) -> None:
    made = plan[1]
    needs = RULES.approvals_needed(impacts(made, RULES))
    found = why(Authorization(made, ANA, (BEN, CARLA, DORA)[:needs], NOW), made, RULES, NOW + late)
    assert found == (
        [Differs.AGE] if late > RULES.approval_seconds and impacts(made, RULES) else []
    )


def test_nodes_count_only_where_something_is_taken_from_them() -> None:
    adds = replace(PLAN, effects=Effects(adds=2), media=2, nodes=(1, 2))
    rules = replace(RULES, scale_up_to=3)
    assert why(Authorization(adds, ANA, (BEN,), NOW), replace(adds, nodes=(5, 6)), rules) == []
    drains = replace(PLAN, effects=Effects(blocks=True), nodes=(1, 2))
    assert why(Authorization(drains, ANA, (BEN,), NOW), replace(drains, nodes=(1, 3))) == [
        Differs.NODES
    ]
    ends = replace(PLAN, effects=Effects(cuts_off=True), nodes=(1, 2))
    assert why(Authorization(ends, ANA, (BEN,), NOW), replace(ends, nodes=(1, 3))) == [
        Differs.NODES
    ]


def test_where_an_autoscaler_may_change_them_nodes_are_no_part_of_it() -> None:
    then, now = make_plan(autoscaled(2), Shutdown()), make_plan(autoscaled(3), Shutdown())
    assert (then.nodes, now.nodes) == ((), ())
    assert Differs.NODES not in why(Authorization(then, ANA, (BEN,), NOW), now)


def test_media_nodes_beyond_the_number_that_was_approved_ask_again() -> None:
    rules = replace(RULES, scale_up_to=3)
    shown = replace(PLAN, effects=Effects(adds=3), media=2, load=Load(0, 0, 0))
    given = Authorization(shown, ANA, (BEN,), NOW)
    assert why(given, replace(shown, effects=Effects(adds=2), media=3), rules) == []
    assert why(given, replace(shown, effects=Effects(adds=1), media=4), rules) == []
    assert why(given, replace(shown, effects=Effects(adds=4), media=2), rules) == [Differs.NUMBER]
    assert words(given, replace(shown, effects=Effects(adds=4), media=3), rules) == (
        "it now ends with 7 media nodes; 5 were approved"
    )
    assert why(given, replace(shown, effects=Effects(adds=4), media=2), RULES) == [], (
        "no number takes an approval here"
    )
    cuts = Authorization(replace(PLAN, media=2), ANA, (BEN,), NOW)
    more = replace(PLAN, effects=replace(CUTS, adds=1), media=2)
    assert why(cuts, more, RULES) == why(cuts, more, rules) == [], (
        "it takes an approval for something else"
    )


def test_down_counts_only_where_no_new_meeting_was_all_that_was_shown() -> None:
    up = replace(CUTS, down=False)
    assert why(replace(GIVEN, plan=replace(PLAN, effects=up)), replace(PLAN, effects=up)) == []
    fresh = replace(GIVEN, plan=replace(PLAN, effects=replace(up, blocks=False)))
    assert (
        words(fresh, PLAN) == "it now blocks new meetings; the approved card did not show that"
    ), "said once"
    quiet = replace(CUTS, blocks=False)
    assert (
        why(
            replace(GIVEN, plan=replace(PLAN, effects=replace(quiet, down=False))),
            replace(PLAN, effects=quiet),
        )
        == []
    )


def test_break_glass_covers_what_it_was_confirmed_for_while_its_user_may() -> None:
    glass = Authorization(PLAN, ANA, (), NOW, glass=True)
    assert why(glass, PLAN) == []
    assert why(glass, PLAN, replace(RULES, approvals=5)) == [], "no approval is asked for"
    assert (
        words(glass, PLAN, replace(RULES, break_glass_users=frozenset()))
        == "[[person UANA]] may no longer use break-glass"
    )
    assert why(glass, PLAN, replace(RULES, operators=frozenset())) == [Differs.PEOPLE]
    assert why(glass, replace(PLAN, load=Load(2, 90, 1)), at=NOW + 1801.0) == [
        Differs.LOAD,
        Differs.AGE,
    ]


def test_one_from_each_group_is_still_asked_for() -> None:
    rules = replace(
        RULES,
        approvals_from=("S1", "S2"),
        group_members=(("S1", frozenset({"UBEN"})), ("S2", frozenset({"UCARLA"}))),
    )
    assert too_few(replace(GIVEN, approvers=(BEN, CARLA)), 2, rules) == ""
    assert (
        too_few(replace(GIVEN, approvers=(BEN, DORA)), 2, rules)
        == "the policy now requires 2 approvals; 2 were given"
    )


def test_how_long_an_approval_lasts_is_the_policy_s_word() -> None:
    rules = replace(RULES, approval_seconds=60.0)
    assert too_old(NOW, rules, NOW + 60.0) == ""
    assert too_old(NOW, rules, NOW + 61.0) == "it was approved 61 s ago; an approval lasts 60 s"


def test_those_still_count_who_may_approve_now() -> None:
    outside = replace(CARLA, outsider="deactivated")
    assert still_counting(
        (BEN, outside, ANA, DORA), ANA, replace(RULES, approvers=PEOPLE - {"UDORA"})
    ) == (BEN,)


# Runs


def run_of(*events: object, **more: object) -> Run:
    opened = Opened(NOW, "acme-1", PLAN, ANA, (BEN,), "", **more)  # type: ignore[arg-type]
    return fold([opened, *events])  # type: ignore[list-item]


def test_a_run_rests_on_its_opening_until_something_else_is_approved() -> None:
    run = run_of()
    assert of_run(run) == GIVEN
    assert of_run(run_of(glass=True)) == replace(GIVEN, glass=True)
    other = replace(PLAN, load=Load(4, 40, 0))
    again = run_of(Stopped(NOW + 1, "x"), Resumed(NOW + 7000, ANA, 0, other, (CARLA,), "r2"))
    assert of_run(again) == Authorization(other, ANA, (CARLA,), NOW + 7000)
    assert of_run(run_of(Stopped(NOW + 1, "x"), Resumed(NOW + 9, BEN, 0))) == GIVEN, (
        "one press changes nothing of that"
    )


def test_the_rest_of_a_run_is_planned_from_the_cluster_as_it_is() -> None:
    cluster = ready(2)
    steps = make_plan(cluster, Shutdown(no_drain=True)).steps
    whole = plan_remaining(cluster, Shutdown(no_drain=True), steps)
    assert (whole.steps, whole.effects) == (
        steps,
        make_plan(cluster, Shutdown(no_drain=True)).effects,
    )
    rest = plan_remaining(down(cluster), Shutdown(), steps)
    assert rest.steps == ()
    assert (
        impacts(
            plan_remaining(down(cluster), Startup(2), make_plan(down(cluster), Startup(2)).steps),
            RULES,
        )
        == ()
    )
    poolless = replace(cluster, pool=None)
    assert plan_remaining(poolless, Scale(1), make_plan(cluster, Scale(1)).steps).steps, (
        "a look without a pool is no reason to fail"
    )


CUTTING = next(
    s
    for s in make_plan(ready(2, rooms=2), Shutdown(no_drain=True)).steps
    if isinstance(s, PoolTarget)
)
LOAD = Load(2, 8, 0)
BUSY = replace(ready(2, rooms=2), load=LOAD)
SHOWN = replace(PLAN, load=LOAD)


def begun(*events: object, plan: Plan = SHOWN) -> Run:
    return fold([Opened(NOW, "acme-1", plan, ANA, (BEN,), ""), *events])  # type: ignore[list-item]


def test_a_step_that_disconnects_people_is_asked_for_only_as_it_was_shown() -> None:
    assert CUTTING.effects(BUSY).cuts_off
    assert Fact.LOAD in CUTTING.needs
    assert beyond_approval(begun(), CUTTING, BUSY, RULES, NOW) == ""
    assert beyond_approval(begun(), CUTTING, BUSY, RULES, NOW + 1800.0) == ""
    assert "an approval lasts 30 min" in beyond_approval(
        begun(), CUTTING, BUSY, RULES, NOW + 1801.0
    )
    more = replace(BUSY, load=replace(LOAD, people=LOAD.people * 2))
    assert f"there were {LOAD.people}" in beyond_approval(begun(), CUTTING, more, RULES, NOW)
    both = beyond_approval(begun(), CUTTING, more, RULES, NOW + 1801.0)
    assert "people are in meetings" in both
    assert "; it was approved" in both
    assert "now unknown (x)" in beyond_approval(
        begun(), CUTTING, replace(BUSY, load=Unobserved("x")), RULES, NOW
    )


def test_what_was_unknown_on_the_card_was_approved_as_unknown() -> None:
    unknown = replace(SHOWN, load=None, unseen="x")
    assert beyond_approval(begun(plan=unknown), CUTTING, BUSY, RULES, NOW) == ""
    assert beyond_approval(begun(plan=unknown), CUTTING, BUSY, RULES, NOW + 1801.0)


def test_a_step_is_looked_at_before_every_ask_and_only_where_it_disconnects_people() -> None:
    late = NOW + 1801.0
    assert beyond_approval(begun(Asked(NOW, 0, 0)), CUTTING, BUSY, RULES, late) == "", (
        "it is under way, and not left half done for its age"
    )
    more = replace(BUSY, load=replace(LOAD, people=LOAD.people * 2))
    assert f"there were {LOAD.people}" in beyond_approval(
        begun(Asked(NOW, 0, 0)), CUTTING, more, RULES, late
    ), "they came between two asks"
    masters = PowerOff(tuple(m.name for m in BUSY.masters))
    assert Fact.LOAD not in masters.needs
    assert beyond_approval(begun(), masters, BUSY, RULES, late) == ""
    assert beyond_approval(begun(), CUTTING, ready(2, rooms=0), RULES, late) == "", (
        "nobody is there"
    )


# Requests


def request(**more: Any) -> Request:
    return replace(Request("r1", PLAN, ANA, "", 0.0, 1800.0, 1, "it stops the masters"), **more)


def refused(asked: Request, actor: Actor, rules: ClusterPolicy = RULES) -> str:
    with pytest.raises(Refused) as refusal:
        add_approval(asked, actor, rules)
    return str(refusal.value)


def test_an_approval_counts_once_by_those_who_may_now() -> None:
    two = replace(RULES, approvals=2)
    first = add_approval(request(needs=2), BEN, two)
    assert (first.approvals, first.left) == ((BEN,), 1)
    assert add_approval(first, CARLA, two).left == 0
    assert "you have already approved this" in refused(first, BEN, two)
    assert "someone else must approve it" in refused(request(), ANA)
    assert "only approvers" in refused(
        request(), BEN, replace(RULES, approvers=frozenset({"UCARLA"}))
    )
    lost = add_approval(first, CARLA, replace(two, approvers=PEOPLE - {"UBEN"}))
    assert (lost.approvals, lost.left) == ((CARLA,), 1), "Ben has lost the role meanwhile"
    gone = replace(first, approvals=(replace(BEN, outsider="your account is deactivated"),))
    assert add_approval(gone, CARLA, two).approvals == (CARLA,)


def test_an_approval_counts_in_the_hours_that_approvals_may_be_given_in() -> None:
    office = (parse_hours("Mon-Sun 08:00-18:00", "UTC"),)
    noon = datetime(2026, 11, 28, 12, 0, tzinfo=UTC).timestamp()
    assert (
        add_approval(request(), BEN, replace(RULES, approvals_when=office, evaluated_at=noon)).left
        == 0
    )
    assert "approvals" in refused(
        request(), BEN, replace(RULES, approvals_when=office, evaluated_at=noon + 12 * 3600)
    )


def test_a_stricter_policy_counts_at_the_press_and_a_laxer_one_does_not() -> None:
    assert add_approval(request(), BEN, replace(RULES, approvals=3)).left == 2
    assert add_approval(request(needs=2), BEN, RULES).left == 1


def test_groups_are_counted_one_by_one() -> None:
    rules = replace(
        RULES,
        approvals_from=("S1", "S2"),
        group_members=(("S1", frozenset({"UBEN", "UDORA"})), ("S2", frozenset({"UCARLA"}))),
    )
    first = add_approval(request(needs=2, lacks=("S1", "S2")), BEN, rules)
    assert first.lacks == ("S2",)
    assert "must come from [[group S2]]" in refused(first, DORA, rules)
    assert add_approval(first, CARLA, rules).lacks == ()


def test_who_asked_and_may_not_any_more_is_not_approved_by_others() -> None:
    gone = replace(RULES, operators=PEOPLE - {"UANA"})
    assert (
        refused(request(), BEN, gone)
        == "the requester [[person UANA]] may no longer change this cluster. Nothing was changed"
    )
    unsure = replace(gone, groups_unknown="Slack has not said")
    assert refused(request(), BEN, unsure) == "Slack has not said"


QUIET = replace(PLAN, effects=Effects())


def test_what_needs_no_approval_any_more_is_started_by_whoever_asked_and_nobody_else() -> None:
    eased = request(plan=QUIET, needs=0)
    assert eased.startable
    started = add_approval(request(plan=QUIET, needs=2, lacks=("S1",)), ANA, RULES)
    assert (started.needs, started.lacks, started.left, started.approvals) == (0, (), 0, ())
    assert add_approval(eased, ANA, RULES).left == 0
    assert refused(eased, BEN) == "this needs no approval; only [[person UANA]] can start it"
    assert add_approval(request(plan=QUIET), BEN, RULES).left == 0, "its card still asked for one"
    assert "the requester [[person UANA]]" in refused(
        request(plan=QUIET), BEN, replace(RULES, operators=frozenset())
    )
    assert "you requested this" in refused(eased, ANA, replace(RULES, operators=frozenset())), (
        "nor by her, who may not any more"
    )
    assert not request(needs=0, glass=True).startable
    assert add_approval(request(needs=0), BEN, RULES).needs == 1, "the policy asks for one again"


def test_break_glass_is_confirmed_by_its_user_for_one_run() -> None:
    glass = request(glass=True)
    assert add_approval(glass, ANA, RULES) == glass
    assert "you may not use break-glass" in refused(glass, BEN)
    assert "only the requester [[person UANA]] can confirm this" in refused(
        glass, BEN, replace(RULES, break_glass_users=frozenset({"UANA", "UBEN"}))
    )
    standing = request(glass=True, plan=replace(PLAN, effects=Effects(standing=True)))
    assert refused(standing, ANA).startswith("break-glass covers one run, now")
    assert add_approval(request(act=Act("acme-1"), glass=True), ANA, RULES).glass


def test_a_no_is_refused_with_its_reason() -> None:
    assert raise_if_denied(Verdict(AccessResult.ALLOWED, "yes")).reason == "yes"
    with pytest.raises(Refused, match=r"^because$"):
        raise_if_denied(Verdict(AccessResult.DENIED, "because"))


# Answers


def test_of_each_the_newest_vote_counts_while_it_is_young_and_its_voter_may() -> None:
    votes = (Vote(BEN, "force", NOW), Vote(CARLA, "force", NOW), Vote(DORA, "wait", NOW))
    assert counting_votes(votes, "force", ANA, RULES, NOW) == (BEN, CARLA)
    assert counting_votes((*votes, Vote(BEN, "wait", NOW + 1)), "force", ANA, RULES, NOW) == (
        CARLA,
    ), "withdrawn by another choice"
    assert counting_votes(votes, "force", ANA, RULES, NOW + 1800.0) == (BEN, CARLA)
    assert counting_votes(votes, "force", ANA, RULES, NOW + 1801.0) == ()
    assert counting_votes(
        (*votes, Vote(BEN, "force", NOW + 60)), "force", ANA, RULES, NOW + 1801.0
    ) == (BEN,)
    assert counting_votes(votes, "force", BEN, RULES, NOW) == (CARLA,), (
        "not whoever asked for the run"
    )
    assert counting_votes(
        votes, "force", ANA, replace(RULES, approvers=frozenset({"UCARLA"})), NOW
    ) == (CARLA,)


ASKS = Question("drain-deadline.1", "?", (Choice("force", "End", skip=True, loses="ends it"),))


def test_more_at_stake_than_on_the_question_s_card_asks_again() -> None:
    ten = ASKS.with_stake(Load(1, 10, 0))
    assert stake_grew(ten, ten, RULES) == ""
    assert stake_grew(ten, ASKS.with_stake(Load(1, 15, 0)), RULES) == ""
    assert "16 people are in meetings; there were 10" in stake_grew(
        ten, ASKS.with_stake(Load(1, 16, 0)), RULES
    )
    assert "1 recording is running" in stake_grew(ten, ASKS.with_stake(Load(1, 10, 1)), RULES)
    unseen = ASKS.with_stake(Unobserved("no answer"))
    assert "now unknown (no answer)" in stake_grew(ten, unseen, RULES)
    assert stake_grew(unseen, unseen, RULES) == ""
    assert "the number was unknown" in stake_grew(unseen, ten, RULES)
    assert stake_grew(unseen, ASKS.with_stake(Load(0, 0, 0)), RULES) == ""
    assert stake_grew(ten, ASKS.with_stake(Load(1, 11, 0)), replace(RULES, growth=0.0))
    assert stake_grew(ASKS, ASKS, RULES) == "", "where nobody's meeting is at stake"
    assert stake_grew(ten, None, RULES) == "the situation that the question described has changed"
    assert ASKS.kind == "drain-deadline"


# What was approved for later

TONIGHT = NOW + 7200.0
LATER = Request(
    "at.1",
    PLAN,
    ANA,
    "",
    NOW,
    TONIGHT,
    1,
    "",
    approvals=(BEN,),
    later=TONIGHT,
    zone="UTC",
    agreed_at=NOW,
)


def test_an_approval_for_later_counts_until_its_moment_and_a_little_longer() -> None:
    assert of_later(LATER) == Authorization(PLAN, ANA, (BEN,), NOW, until=TONIGHT + GRACE)
    for at in (TONIGHT, TONIGHT + GRACE):
        assert why_not_covered_now(LATER, PLAN, RULES, at) == "", "two hours are no age for it"
    assert (
        why_not_covered_now(LATER, PLAN, RULES, TONIGHT + GRACE + 0.5)
        == "the approved time passed 0 s ago"
    )
    assert (
        why_not_covered_now(LATER, PLAN, RULES, TONIGHT + GRACE + 120.0)
        == "the approved time passed 2 min ago"
    )


def test_it_covers_what_was_shown_and_no_other_steps() -> None:
    busier, others = (
        replace(PLAN, load=Load(2, 16, 1)),
        replace(PLAN, steps=PLAN.steps[:-1], digest="others"),
    )
    assert "16 people are in meetings; there were 10" in why_not_covered_now(
        LATER, busier, RULES, TONIGHT
    )
    assert differences(of_later(LATER), others, RULES, TONIGHT) == ()
    assert (
        why_not_covered_now(LATER, others, RULES, TONIGHT)
        == "the cluster changed since the approval, and the steps are different now"
    )
    both = why_not_covered_now(LATER, replace(others, load=Load(2, 16, 1)), RULES, TONIGHT)
    assert "16 people are in meetings" in both
    assert "the steps are different now" not in both


def test_what_needs_no_approval_is_done_whatever_has_changed() -> None:
    free = make_plan(down(ready(2)), Startup())
    assert (
        why_not_covered_now(replace(LATER, approvals=()), free, RULES, TONIGHT + GRACE + 120.0)
        == ""
    )


class Unlooked(PoolTarget):
    """Cuts off, and does not look at who is there."""

    needs = frozenset({Fact.DROPLETS})


def test_a_step_that_does_not_look_at_people_is_held_to_no_number_of_them() -> None:
    more = replace(BUSY, load=Load(9, 900, 9))
    step = Unlooked(CUTTING.number, harsh=True, was=CUTTING.was)
    assert step.effects(more).cuts_off
    assert beyond_approval(begun(), step, more, RULES, NOW) == ""
