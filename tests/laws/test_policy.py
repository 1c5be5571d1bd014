"""Who may do what: roles, procedures and clusters, exhaustively."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cluster import Cluster
from services.plan import Plan, make_plan
from services.policy import EVERYONE, Actor, Kind, Rules, approval_reasons, judge, may_approve, may_operate, may_read
from services.procedures import PROCEDURES, Procedure, Shutdown, Startup
from tests.support.clusters import clusters, down, law, plan_of, plans, procedures, ready

OPERATOR, APPROVER, BOTH, VIEWER, NOBODY = (Actor(u, "T0ACME") for u in ("UOP", "UAPP", "UBOTH", "UVIEW", "UNONE"))
PEOPLE = (OPERATOR, APPROVER, BOTH, VIEWER, NOBODY)
RULES = Rules(operators=frozenset({"UOP", "UBOTH"}), approvers=frozenset({"UAPP", "UBOTH"}), viewers=frozenset({"UVIEW"}))
OUTSIDERS = tuple(replace(p, outsider="guests of the workspace may not operate clusters") for p in PEOPLE)
CLUSTERS = {"up": ready(3), "quiet": ready(3, rooms=0), "down": down(ready(3)), "unknown load": replace(ready(2), load=None)}


def every_procedure() -> list[Procedure]:
    """Each with every combination of its flags, and a number that makes sense."""
    made: list[Procedure] = []
    for kind in PROCEDURES:
        flags = [f.name for f in kind.parameters() if f.metadata["kind"] == "flag"]
        needed = [f for f in kind.parameters() if f.metadata["kind"] != "flag"]
        if kind in (Shutdown, Startup) or not needed:
            made += [kind(**dict(zip(flags, bits, strict=True))) for bits in itertools.product((False, True), repeat=len(flags))]
    return made


ALL = [
    pytest.param(plan, id=f"{procedure.words()} when {name}")
    for procedure in every_procedure()
    for name, cluster in CLUSTERS.items()
    if (plan := plan_of(cluster, procedure))
]


@pytest.mark.parametrize("plan", ALL)
def test_only_operators_get_anywhere(plan: Plan) -> None:
    for person in PEOPLE:
        verdict = judge(plan, person, RULES)
        assert verdict.reason
        assert (verdict.kind is Kind.DENIED) == (person not in (OPERATOR, BOTH))
    denied = judge(plan, NOBODY, RULES).reason
    assert "ask <@UBOTH> or <@UOP>" in denied


@pytest.mark.parametrize("plan", ALL)
def test_empty_roles_deny_everybody(plan: Plan) -> None:
    for person in PEOPLE:
        assert judge(plan, person, Rules()).kind is Kind.DENIED
        assert may_operate(person, Rules()).kind is Kind.DENIED
        assert may_approve(person, OPERATOR, Rules()).kind is Kind.DENIED
    assert "no operators are named" in judge(plan, OPERATOR, Rules()).reason


@pytest.mark.parametrize("plan", ALL)
def test_outsiders_are_denied_whatever_their_role(plan: Plan) -> None:
    for person in OUTSIDERS:
        for rules in (RULES, replace(RULES, single_operator=True, viewers=frozenset({EVERYONE}))):
            assert judge(plan, person, rules).kind is Kind.DENIED
            assert may_approve(person, NOBODY, rules).kind is Kind.DENIED
            assert may_read(person, rules).kind is Kind.DENIED
            assert judge(plan, person, rules).reason == person.outsider


@pytest.mark.parametrize("requester", PEOPLE, ids=lambda p: p.user)
def test_nobody_approves_what_they_asked_for(requester: Actor) -> None:
    everybody = replace(RULES, approvers=frozenset(p.user for p in PEOPLE))
    for same in (
        requester,
        replace(requester, name="Another Name"),
        replace(requester, team="T0OTHER"),
        replace(requester, enterprise="E1"),
    ):
        verdict = may_approve(same, requester, everybody)
        assert verdict.kind is Kind.DENIED, "the person counts, not the name, the workspace or the door they come through"
        assert "you asked for this" in verdict.reason
        assert f"<@{requester.user}>" not in verdict.reason, "whom to ask is somebody else"
    assert may_approve(requester, requester, replace(everybody, single_operator=True)).kind is Kind.ALLOWED


def test_only_approvers_approve_and_each_counts_once() -> None:
    for person in PEOPLE:
        allowed = may_approve(person, OPERATOR, RULES).kind is Kind.ALLOWED
        assert allowed == (person in (APPROVER, BOTH))
    assert may_approve(APPROVER, OPERATOR, RULES, (APPROVER.key,)).kind is Kind.DENIED
    elsewhere = replace(APPROVER, team="T0OTHER")
    assert may_approve(elsewhere, OPERATOR, RULES, (APPROVER.key,)).kind is Kind.DENIED
    assert may_approve(BOTH, OPERATOR, RULES, (APPROVER.key,)).kind is Kind.ALLOWED


def test_single_operator_still_has_to_be_an_approver() -> None:
    alone = Rules(operators=frozenset({"UOP"}), approvers=frozenset(), single_operator=True)
    assert may_approve(OPERATOR, OPERATOR, alone).kind is Kind.DENIED


def test_reading_is_for_viewers_or_everyone() -> None:
    assert [may_read(p, RULES).kind is Kind.ALLOWED for p in PEOPLE] == [True, True, True, True, False]
    assert all(may_read(p, Rules()).kind is Kind.ALLOWED for p in PEOPLE)


@law
@given(plans(), st.sampled_from(PEOPLE))
def test_what_hurts_needs_somebody_else(both: tuple[Cluster, Plan], person: Actor) -> None:
    """Default policy: ending or blocking meetings, stopping masters, editing secrets, and whatever has words of its own."""
    _, plan = both
    effects = plan.effects
    hurts = effects.cuts_off or effects.blocks or effects.stops_masters or effects.edits_secrets or bool(effects.special)
    verdict = judge(plan, person, RULES)
    if verdict.kind is not Kind.DENIED:
        assert (verdict.kind is Kind.NEEDS_APPROVAL) == hurts
        assert verdict.special == (effects.special if hurts else ())
        assert verdict.approvals == (RULES.approvals if hurts else 0)


@law
@given(clusters(), procedures())
def test_the_verdict_depends_on_the_plan_not_on_who_looks(cluster: Cluster, procedure: Procedure) -> None:
    plan = plan_of(cluster, procedure)
    if plan is not None:
        assert judge(plan, OPERATOR, RULES) == judge(plan, BOTH, RULES)


def test_starting_up_is_free_and_scaling_up_within_the_quota() -> None:
    cold = down(ready(3))
    plan = make_plan(cold, Startup(3))
    assert judge(plan, OPERATOR, RULES).kind is Kind.ALLOWED
    assert judge(plan, OPERATOR, replace(RULES, scale_up_to=3)).kind is Kind.ALLOWED
    beyond = judge(plan, OPERATOR, replace(RULES, scale_up_to=2))
    assert beyond.kind is Kind.NEEDS_APPROVAL
    assert "beyond the 2" in beyond.reason


def test_a_shutdown_says_why_it_needs_somebody() -> None:
    assert approval_reasons(make_plan(ready(3), Shutdown()), RULES) == ("keeps people from opening meetings", "stops masters")
    assert approval_reasons(make_plan(ready(3), Shutdown(no_drain=True)), RULES)[0] == "ends running meetings"
