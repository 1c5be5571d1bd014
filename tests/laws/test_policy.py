"""Authorization, exhaustively: roles, procedures and clusters."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import find, given
from hypothesis import strategies as st

from services.access.policy import (
    EVERYONE,
    AccessResult,
    Actor,
    ClusterPolicy,
    PolicyImpact,
    Verdict,
    approval_advances,
    approval_reasons,
    authorize,
    count_approvals,
    impacts,
    may_approve,
    may_break_glass,
    may_operate,
    may_read,
)
from services.access.user_groups import STALE, Group, GroupMembership, UserGroupCache, groups_of
from services.cluster.model import Cluster
from services.common.observed import Unobserved
from services.procedures import PROCEDURES, Procedure, Shutdown, Startup
from services.procedures.plan import Plan, make_plan
from services.steps import Effects
from tests.support.clusters import (
    FINDING,
    clusters,
    down,
    law,
    plan_of,
    plans,
    prepared,
    procedures,
    ready,
)

OPERATOR, APPROVER, BOTH, VIEWER, NOBODY = (
    Actor(u, "T0ACME") for u in ("UOP", "UAPP", "UBOTH", "UVIEW", "UNONE")
)
PEOPLE = (OPERATOR, APPROVER, BOTH, VIEWER, NOBODY)
RULES = ClusterPolicy(
    operators=frozenset({"UOP", "UBOTH"}),
    approvers=frozenset({"UAPP", "UBOTH"}),
    viewers=frozenset({"UVIEW"}),
)
OUTSIDERS = tuple(
    replace(p, outsider="guests of the workspace may not operate clusters") for p in PEOPLE
)
UNKNOWN = replace(ready(2), load=Unobserved("LiveKit does not answer"))
CLUSTERS = {
    "up": ready(3),
    "quiet": ready(3, rooms=0),
    "down": down(ready(3)),
    "unknown load": UNKNOWN,
}


def every_procedure() -> list[Procedure]:
    """Return each procedure with every combination of its flags, and a possible number."""
    made: list[Procedure] = []
    for kind in PROCEDURES:
        flags = [f.name for f in kind.parameters() if f.metadata["kind"] == "flag"]
        needed = [f for f in kind.parameters() if f.metadata["kind"] != "flag"]
        if kind in (Shutdown, Startup) or not needed:
            made += [
                kind(**dict(zip(flags, bits, strict=True)))
                for bits in itertools.product((False, True), repeat=len(flags))
            ]
    return made


ALL = [
    pytest.param(plan, id=f"{procedure.command_line()} when {name}")
    for procedure in every_procedure()
    for name, cluster in CLUSTERS.items()
    if (plan := plan_of(cluster, procedure))
]


@pytest.mark.parametrize("plan", ALL)
def test_only_operators_get_anywhere(plan: Plan) -> None:
    for person in PEOPLE:
        verdict = authorize(plan, person, RULES)
        assert verdict.reason
        assert (verdict.kind is AccessResult.DENIED) == (person not in (OPERATOR, BOTH))
    assert "Ask [[person UBOTH]] or [[person UOP]]" in authorize(plan, VIEWER, RULES).reason
    assert "[[person" not in authorize(plan, NOBODY, RULES).reason, (
        "a refusal without a role names no one who has one"
    )


@pytest.mark.parametrize("plan", ALL)
def test_empty_roles_deny_everybody(plan: Plan) -> None:
    for person in PEOPLE:
        assert authorize(plan, person, ClusterPolicy()).kind is AccessResult.DENIED
        assert may_operate(person, ClusterPolicy()).kind is AccessResult.DENIED
        assert may_approve(person, OPERATOR, ClusterPolicy()).kind is AccessResult.DENIED
    assert "the settings name no operators" in authorize(plan, OPERATOR, ClusterPolicy()).reason


@pytest.mark.parametrize("plan", ALL)
def test_outsiders_are_denied_whatever_their_role(plan: Plan) -> None:
    for person in OUTSIDERS:
        for rules in (RULES, replace(RULES, single_operator=True, viewers=frozenset({EVERYONE}))):
            assert authorize(plan, person, rules).kind is AccessResult.DENIED
            assert may_approve(person, NOBODY, rules).kind is AccessResult.DENIED
            assert may_read(person, rules).kind is AccessResult.DENIED
            assert authorize(plan, person, rules).reason == person.outsider


@pytest.mark.parametrize("requester", PEOPLE, ids=lambda p: p.user)
def test_no_one_approves_their_own_request(requester: Actor) -> None:
    everybody = replace(RULES, approvers=frozenset(p.user for p in PEOPLE))
    for same in (
        requester,
        replace(requester, name="Another Name"),
        replace(requester, team="T0OTHER"),
        replace(requester, enterprise="E1"),
    ):
        verdict = may_approve(same, requester, everybody)
        assert verdict.kind is AccessResult.DENIED, (
            "the person counts, not the name, the workspace or the door they come through"
        )
        assert "you requested this" in verdict.reason
        assert f"[[person {requester.user}]]" not in verdict.reason, (
            "the one to ask is another person"
        )
    assert (
        may_approve(requester, requester, replace(everybody, single_operator=True)).kind
        is AccessResult.ALLOWED
    )


def test_only_approvers_approve_and_each_counts_once() -> None:
    for person in PEOPLE:
        allowed = may_approve(person, OPERATOR, RULES).kind is AccessResult.ALLOWED
        assert allowed == (person in (APPROVER, BOTH))
    assert may_approve(APPROVER, OPERATOR, RULES, (APPROVER.key,)).kind is AccessResult.DENIED
    elsewhere = replace(APPROVER, team="T0OTHER")
    assert may_approve(elsewhere, OPERATOR, RULES, (APPROVER.key,)).kind is AccessResult.DENIED
    assert may_approve(BOTH, OPERATOR, RULES, (APPROVER.key,)).kind is AccessResult.ALLOWED


def test_single_operator_still_has_to_be_an_approver() -> None:
    alone = ClusterPolicy(operators=frozenset({"UOP"}), approvers=frozenset(), single_operator=True)
    assert may_approve(OPERATOR, OPERATOR, alone).kind is AccessResult.DENIED


def test_reading_is_for_viewers_or_everyone() -> None:
    assert [may_read(p, RULES).kind is AccessResult.ALLOWED for p in PEOPLE] == [
        True,
        True,
        True,
        True,
        False,
    ]
    assert all(may_read(p, ClusterPolicy()).kind is AccessResult.ALLOWED for p in PEOPLE)


@law
@given(plans(), st.sampled_from(PEOPLE))
def test_an_impact_needs_another_person(both: tuple[Cluster, Plan], person: Actor) -> None:
    """By default: meetings ended or blocked, masters stopped, secrets edited, special effects."""
    _, plan = both
    effects = plan.effects
    hurts = (
        effects.cuts_off
        or effects.blocks
        or effects.stops_masters
        or effects.edits_secrets
        or bool(effects.special)
    )
    verdict = authorize(plan, person, RULES)
    if verdict.kind is not AccessResult.DENIED:
        assert (verdict.kind is AccessResult.NEEDS_APPROVAL) == hurts
        assert verdict.special == (effects.special if hurts else ())
        assert verdict.approvals == (RULES.approvals if hurts else 0)


@law
@given(clusters(), procedures())
def test_the_verdict_depends_on_the_plan_not_on_who_looks(
    cluster: Cluster, procedure: Procedure
) -> None:
    plan = plan_of(cluster, procedure)
    if plan is not None:
        assert authorize(plan, OPERATOR, RULES) == authorize(plan, BOTH, RULES)


def test_starting_up_is_free_and_scaling_up_within_the_quota() -> None:
    cold = down(ready(3))
    plan = make_plan(cold, Startup(3))
    assert authorize(plan, OPERATOR, RULES).kind is AccessResult.ALLOWED
    assert authorize(plan, OPERATOR, replace(RULES, scale_up_to=3)).kind is AccessResult.ALLOWED
    beyond = authorize(plan, OPERATOR, replace(RULES, scale_up_to=2))
    assert beyond.kind is AccessResult.NEEDS_APPROVAL
    assert "beyond the 2" in beyond.reason


def test_a_shutdown_says_why_it_needs_approval() -> None:
    assert approval_reasons(make_plan(ready(3), Shutdown()), RULES) == (
        "blocks new meetings",
        "stops the masters",
    )
    assert (
        approval_reasons(make_plan(ready(3), Shutdown(no_drain=True)), RULES)[0]
        == "ends running meetings"
    )


# Every role, procedure, cluster and impact


GROUPS = {
    "S0OPS": frozenset({"UOP", "UBOTH"}),
    "S0SEC": frozenset({"UAPP", "UBOTH"}),
    "S0VIEW": frozenset({"UVIEW"}),
}
HOME, AWAY, OFFICE = (
    Actor("UOP", "T0ACME", "E0ORG"),
    Actor("UOP", "T0OTHER", "E0OTHER"),
    Actor("UOP", "T0BRANCH", "E0ORG"),
)
EVERY_RULE = [
    replace(
        RULES,
        approvals=general,
        approvals_for=more,
        approvals_from=tuple(groups),
        group_members=tuple(groups.items()),
        scale_up_to=quota,
    )
    for general in (1, 2)
    for more in ((), tuple((impact, n) for n, impact in enumerate(PolicyImpact, 1)))
    for groups in ({}, {g: GROUPS[g] for g in ("S0OPS", "S0SEC")})
    for quota in (None, 8)
]


def every_effect() -> Iterator[Effects]:
    """Return each combination of a plan's effects."""
    for cuts, blocks, masters, secrets, standing, special, adds in itertools.product(
        (False, True), repeat=7
    ):
        words = ("says so",) if special else ()
        yield Effects(
            blocks, cuts, blocks, masters, 9 * adds, secrets, special=words, standing=standing
        )


def one_of_each() -> list[Procedure]:
    return [find(procedures(kind), lambda _: True, settings=FINDING) for kind in PROCEDURES]


def expected(plan: Plan, rules: ClusterPolicy) -> set[PolicyImpact]:
    """What the plan does, said once more and in another way."""
    effects, found = plan.effects, set()
    if effects.cuts_off:
        found.add(PolicyImpact.MEETINGS_CUT)
    if effects.blocks:
        found.add(PolicyImpact.MEETINGS_BLOCKED)
    if effects.stops_masters:
        found.add(PolicyImpact.MASTERS_STOPPED)
    if effects.edits_secrets:
        found.add(PolicyImpact.SECRETS_EDITED)
    if effects.standing:
        found.add(PolicyImpact.WINDOWS_ADDED)
    if effects.special:
        found.add(PolicyImpact.IRREVERSIBLE)
    if (
        rules.scale_up_to is not None
        and effects.adds
        and plan.media + effects.adds > rules.scale_up_to
    ):
        found.add(PolicyImpact.MEDIA_ADDED)
    return found


def test_every_role_procedure_and_impact() -> None:
    """The whole table: denied, allowed, or with how many approvals.

    The command's name does not matter.
    """
    some, seen = prepared()[0], set()
    made = [
        replace(some, procedure=procedure, effects=effects)
        for procedure in one_of_each()
        for effects in every_effect()
    ]
    assert {p.procedure.command for p in made} == {kind.command for kind in PROCEDURES}
    for plan, rules in itertools.product(made, EVERY_RULE):
        wants = expected(plan, rules)
        seen |= wants
        closes = (
            {PolicyImpact.MEETINGS_BLOCKED, PolicyImpact.MASTERS_STOPPED}
            if PolicyImpact.WINDOWS_ADDED in wants
            else set()
        )
        more = [n for i, n in rules.approvals_for if i in wants | closes]
        needs = max([rules.approvals, len(rules.approvals_from), *more]) if wants else 0
        for person in (*PEOPLE, OUTSIDERS[2]):
            verdict = authorize(plan, person, rules)
            if person.outsider or person.user not in ("UOP", "UBOTH"):
                assert (verdict.kind, verdict.approvals) == (AccessResult.DENIED, 0)
            else:
                assert (verdict.kind, verdict.approvals) == (
                    AccessResult.NEEDS_APPROVAL if wants else AccessResult.ALLOWED,
                    needs,
                )
    assert seen == set(PolicyImpact)


@pytest.mark.parametrize("plan", ALL)
def test_what_a_plan_of_any_cluster_does_is_what_it_is_judged_by(plan: Plan) -> None:
    for rules in EVERY_RULE:
        wants = expected(plan, rules)
        assert set(impacts(plan, rules)) == wants
        assert (authorize(plan, OPERATOR, rules).kind is AccessResult.NEEDS_APPROVAL) == bool(wants)
        assert len(approval_reasons(plan, rules)) >= bool(wants)


def test_a_role_in_one_cluster_is_none_in_another() -> None:
    acme, beta = (
        RULES,
        ClusterPolicy(
            operators=frozenset({"UVIEW"}), approvers=frozenset({"UNONE"}), viewers=frozenset()
        ),
    )
    for plan in prepared():
        for person in PEOPLE:
            assert (authorize(plan, person, acme).kind is AccessResult.DENIED) == (
                person.user not in acme.operators
            )
            assert (authorize(plan, person, beta).kind is AccessResult.DENIED) == (
                person.user not in beta.operators
            )
            assert (may_approve(person, NOBODY, beta).kind is AccessResult.ALLOWED) == (
                person is not NOBODY and person.user in beta.approvers
            )
            assert (may_read(person, beta).kind is AccessResult.ALLOWED) == (
                person.user in {"UVIEW", "UNONE"}
            )


def test_a_window_takes_as_many_as_what_it_does_every_night() -> None:
    rules = replace(
        RULES, approvals_for=((PolicyImpact.MASTERS_STOPPED, 2), (PolicyImpact.MEETINGS_CUT, 3))
    )
    window = next(p for p in prepared() if p.effects.standing)
    assert authorize(window, OPERATOR, rules).approvals == 2


# Several approvers


@law
@given(
    st.lists(st.sampled_from("ABCDEF"), max_size=6),
    st.integers(1, 4),
    st.lists(st.frozensets(st.sampled_from("ABCDEF"), max_size=4), max_size=3),
)
def test_approvals_are_counted_as_by_trying_every_way(
    approvers: list[str], more: int, groups: list[frozenset[str]]
) -> None:
    names = tuple(f"S{n}" for n in range(len(groups)))
    rules = ClusterPolicy(
        approvals_from=names, group_members=tuple(zip(names, groups, strict=True))
    )
    needs = max(more, len(names))
    people = sorted(set(approvers))
    best = 0
    for size in range(len(names) + 1):
        for chosen in itertools.permutations(people, size):
            for which in itertools.combinations(range(len(names)), size):
                if all(who in groups[g] for who, g in zip(chosen, which, strict=True)):
                    best = max(best, size)
    found = count_approvals(approvers, needs, rules)
    assert len(found.lacks) == len(names) - best
    assert found.left == len(names) - best + max(0, needs - len(names) - (len(people) - best))
    assert count_approvals(approvers[::-1], needs, rules).left == found.left, (
        "who came first does not matter"
    )


def test_one_from_each_group_and_who_is_in_both_counts_for_one() -> None:
    rules = replace(RULES, approvals_from=("S0OPS", "S0SEC"), group_members=tuple(GROUPS.items()))
    assert count_approvals(["UBOTH"], 2, rules).left == 1
    assert count_approvals(["UBOTH", "UAPP"], 2, rules).left == 0, (
        "the one who is in both makes room for the other"
    )
    assert count_approvals(["UBOTH", "UOP"], 2, rules).left == 0
    assert count_approvals(["UOP"], 2, rules) == count_approvals(["UOP", "UOP"], 2, rules)
    ops = replace(
        rules,
        group_members=(("S0OPS", frozenset({"UOP", "UBOTH"})), ("S0SEC", frozenset({"UAPP"}))),
    )
    more = approval_advances(BOTH, ["UOP"], 2, ops)
    assert more.kind is AccessResult.DENIED
    assert "must come from [[group S0SEC]]" in more.reason
    assert approval_advances(APPROVER, ["UOP"], 2, ops).kind is AccessResult.ALLOWED
    assert approval_advances(BOTH, ["UOP"], 3, ops).kind is AccessResult.ALLOWED, (
        "a third is needed in any case"
    )


# Identity


def test_an_id_of_another_workspace_counts_only_within_the_same_organisation() -> None:
    rules = replace(RULES, workspaces=frozenset({"T0ACME", "E0ORG"}), viewers=frozenset({EVERYONE}))
    plan = prepared()[0]
    checks: tuple[Callable[[Actor], Verdict], ...] = (
        lambda who: may_read(who, rules),
        lambda who: may_operate(who, rules),
        lambda who: authorize(plan, who, rules),
        lambda who: may_approve(replace(who, user="UAPP"), NOBODY, rules),
        lambda who: may_break_glass(who, replace(rules, break_glass_users=frozenset({"UOP"}))),
    )
    for check in checks:
        assert check(HOME).kind is not AccessResult.DENIED
        assert check(OFFICE).kind is not AccessResult.DENIED, (
            "one organisation, whatever the channel's workspace"
        )
        assert check(AWAY).kind is AccessResult.DENIED
        assert "another workspace" in check(AWAY).reason
        assert check(replace(AWAY, enterprise="")).kind is AccessResult.DENIED
    everybody = replace(rules, approvers=frozenset({"UOP"}))
    assert "you requested this" in may_approve(OFFICE, HOME, everybody).reason, (
        "another door does not make another person"
    )
    assert may_approve(HOME, BOTH, everybody, (OFFICE.key,)).kind is AccessResult.DENIED


def test_break_glass_takes_an_operator_whom_the_settings_name() -> None:
    for breakers in (frozenset(), frozenset({"UOP"}), frozenset({"UVIEW", "UAPP"})):
        rules = replace(RULES, break_glass_users=breakers)
        for person in (*PEOPLE, *OUTSIDERS):
            allowed = may_break_glass(person, rules).kind is AccessResult.ALLOWED
            assert allowed == (not person.outsider and person.user in breakers & RULES.operators)
    assert "`roles.break_glass`" in may_break_glass(OPERATOR, RULES).reason


# User groups


NAMED = ClusterPolicy(
    operators=frozenset({"S0OPS", "UVIEW"}),
    approvers=frozenset({"S0SEC"}),
    viewers=frozenset({"S0VIEW"}),
    break_glass_users=frozenset({"S0OPS"}),
    approvals_from=("S0OPS", "S0SEC"),
)
KNOWN = GroupMembership({g: Group(m, 1000.0) for g, m in GROUPS.items()}, frozenset({"T0ACME"}))


def test_groups_stand_for_their_members_while_that_is_known() -> None:
    fresh = KNOWN.resolve(NAMED, 1000.0 + STALE)
    assert groups_of(NAMED) == ("S0OPS", "S0SEC", "S0VIEW")
    assert groups_of(fresh) == ("S0OPS", "S0SEC"), (
        "only those that approvals have to come from are still spoken of"
    )
    assert fresh.operators == {"UOP", "UBOTH", "UVIEW"}
    assert fresh.approvers == GROUPS["S0SEC"]
    assert fresh.break_glass_users == GROUPS["S0OPS"]
    assert dict(fresh.group_members) == {g: GROUPS[g] for g in ("S0OPS", "S0SEC")}
    assert fresh.groups_unknown == ""
    assert fresh.workspaces == {"T0ACME"}
    assert [may_read(p, fresh).kind is AccessResult.ALLOWED for p in PEOPLE] == [
        True,
        True,
        True,
        True,
        False,
    ]


def test_after_ten_minutes_no_role_rests_on_a_group_and_reading_goes_on() -> None:
    stale = GroupMembership(
        {**KNOWN.groups, "S0OPS": Group(GROUPS["S0OPS"], 999.0, "Slack answers ratelimited")},
        KNOWN.homes,
    )
    rules = stale.resolve(NAMED, 1000.0 + STALE)
    for plan in prepared():
        for person in (OPERATOR, BOTH):
            verdict = authorize(plan, person, rules)
            assert verdict.kind is AccessResult.DENIED
            assert (
                "the members of the user group S0OPS are not known since 00:16 UTC (10 min ago), "
                "because Slack does not answer (Slack answers ratelimited)" in verdict.reason
            )
            assert may_read(person, rules).kind is AccessResult.ALLOWED
            assert may_break_glass(person, rules).kind is AccessResult.DENIED
        assert authorize(plan, VIEWER, rules).kind is not AccessResult.DENIED, (
            "named one by one, which Slack has no part in"
        )
        unknown = GroupMembership().resolve(NAMED, 2000.0)
        assert "are not known yet" in may_operate(OPERATOR, unknown).reason
        assert may_read(OPERATOR, unknown).kind is AccessResult.DENIED
        assert may_approve(APPROVER, OPERATOR, unknown).kind is AccessResult.DENIED
        assert dict(unknown.group_members) == {"S0OPS": frozenset(), "S0SEC": frozenset()}


def test_unresolved_groups_have_no_members() -> None:
    for person in PEOPLE:
        allowed = person is VIEWER
        assert (may_operate(person, NAMED).kind is AccessResult.ALLOWED) == allowed
        assert may_approve(person, NOBODY, NAMED).kind is AccessResult.DENIED


def test_what_is_known_of_a_later_time_stays() -> None:
    roster = UserGroupCache()
    roster.update("S1", ["UA"], 20.0)
    roster.update("S1", ["UB"], 10.0)
    assert roster.known.groups["S1"] == Group(frozenset({"UA"}), 20.0)
    roster.note_failure("S1", "no answer")
    assert roster.known.groups["S1"] == Group(frozenset({"UA"}), 20.0, "no answer")
    roster.update("S1", [], 30.0)
    assert roster.known.groups["S1"] == Group(frozenset(), 30.0)
    roster.set_home_workspace("T1", "")
    roster.set_home_workspace("T2")
    assert roster.known.homes == {"T1"}
