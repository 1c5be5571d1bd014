"""When an approval holds no more, and what a request that is closed says of itself."""

from dataclasses import replace

import pytest

from services.access.policy import (
    AccessResult,
    Actor,
    ClusterPolicy,
    PolicyImpact,
    approval_reasons,
    impacts,
    may_break_glass,
    may_operate,
    people_to_ask,
)
from services.cluster.model import Load
from services.procedures import Shutdown
from services.procedures.plan import Plan, make_plan
from services.runs.request import Request, RequestState, plan_grew
from services.steps import Effects
from tests.support.clusters import ready

ANA, BEN = Actor("UANA", "T0ACME"), Actor("UBEN", "T0ACME")
PLAN = make_plan(ready(2), Shutdown())


def carrying(people: int, recordings: int = 0) -> Plan:
    return replace(PLAN, load=Load(rooms=1, people=people, recordings=recordings))


@pytest.mark.parametrize(
    ("then", "now", "why"),
    [
        ((10, 1), (10, 1), ""),
        ((10, 1), (15, 1), ""),
        ((10, 1), (16, 1), "16 people are in meetings; there were 10 when this was requested"),
        ((10, 1), (9, 0), ""),
        ((0, 0), (1, 0), "1 people are in meetings; there were 0 when this was requested"),
        ((0, 0), (0, 0), ""),
        ((10, 0), (10, 1), "1 recording is running; there were 0 when this was requested"),
        ((10, 1), (2, 3), "3 recordings are running; there were 1 when this was requested"),
        ((10, 2), (16, 1), "16 people are in meetings; there were 10 when this was requested"),
    ],
)
def test_half_as_many_people_again_or_a_new_recording_asks_again(
    then: tuple[int, int], now: tuple[int, int], why: str
) -> None:
    assert plan_grew(carrying(*then), carrying(*now), ClusterPolicy(growth=0.5)) == why


def test_how_many_more_is_the_policy_s_word() -> None:
    assert plan_grew(carrying(10), carrying(11), ClusterPolicy(growth=0.0))
    assert not plan_grew(carrying(10), carrying(20), ClusterPolicy(growth=1.0))
    assert plan_grew(carrying(10), carrying(21), ClusterPolicy(growth=1.0))
    assert not plan_grew(carrying(10), carrying(10), ClusterPolicy(growth=-0.5)), (
        "as many as before are no more"
    )


def test_where_no_one_is_disconnected_unknown_meetings_ask_for_nothing() -> None:
    unknown = replace(PLAN, load=None)
    assert plan_grew(unknown, carrying(100, 5), ClusterPolicy()) == ""
    assert plan_grew(carrying(1), unknown, ClusterPolicy()) == ""
    assert plan_grew(unknown, unknown, ClusterPolicy()) == ""


def test_where_people_are_disconnected_unknown_then_or_now_asks_again() -> None:
    def cutting(load: Load | None) -> Plan:
        return replace(
            PLAN, load=load, unseen="LiveKit does not answer", effects=Effects(cuts_off=True)
        )

    full, none, unknown = cutting(Load(8, 64, 8)), cutting(Load(0, 0, 0)), cutting(None)
    assert "64 people are in meetings; the number was unknown" in plan_grew(
        unknown, full, ClusterPolicy()
    )
    assert "now unknown (LiveKit does not answer)" in plan_grew(full, unknown, ClusterPolicy())
    assert "now unknown" in plan_grew(none, unknown, ClusterPolicy())
    assert plan_grew(unknown, none, ClusterPolicy()) == ""
    assert plan_grew(unknown, unknown, ClusterPolicy()) == "", "it was approved as unknown"


def test_it_is_enough_that_one_of_the_two_plans_disconnects_people() -> None:
    full, unknown = replace(PLAN, load=Load(8, 64, 8)), replace(PLAN, load=None, unseen="x")
    cuts = Effects(cuts_off=True)
    assert plan_grew(replace(unknown, effects=cuts), full, ClusterPolicy())
    assert plan_grew(unknown, replace(full, effects=cuts), ClusterPolicy())
    assert plan_grew(unknown, full, ClusterPolicy()) == ""


def request(needs: int = 1, approvals: tuple[Actor, ...] = (), *, glass: bool = False) -> Request:
    return Request("r1", PLAN, ANA, "", 0.0, 1800.0, needs, "", approvals=approvals, glass=glass)


def test_a_new_request_is_open_and_says_nothing_else() -> None:
    made = Request("r1", PLAN, ANA, "", 0.0, 1800.0, 1, "")
    assert made.state is RequestState.OPEN
    assert not made.glass
    assert (made.closed_by, made.closed_at, made.run, made.replaced_by) == (None, 0.0, "", "")


@pytest.mark.parametrize(
    ("needs", "approvals", "left"),
    [
        (1, (), 1),
        (2, (), 2),
        (2, (BEN,), 1),
        (1, (BEN,), 0),
        (1, (BEN, ANA), 0),
        (3, (BEN, ANA), 1),
    ],
)
def test_how_many_approvals_are_missing(
    needs: int, approvals: tuple[Actor, ...], left: int
) -> None:
    assert request(needs, approvals).left == left


def test_break_glass_waits_for_nobody() -> None:
    assert request(2, glass=True).left == 0


def test_only_what_needs_no_approval_is_started_by_whoever_asked() -> None:
    assert request(0).startable
    assert not request(1).startable
    assert not request(0, glass=True).startable


def test_a_closed_request_says_how_when_by_whom_and_what_came_of_it() -> None:
    closed = request().closed(RequestState.APPROVED, 7.0, BEN, run="acme-3")
    assert (closed.state, closed.closed_at, closed.closed_by, closed.run) == (
        RequestState.APPROVED,
        7.0,
        BEN,
        "acme-3",
    )
    assert closed.replaced_by == ""
    gone = request().closed(RequestState.SUPERSEDED, 8.0, replaced_by="r2")
    assert (gone.state, gone.closed_at, gone.closed_by, gone.run) == (
        RequestState.SUPERSEDED,
        8.0,
        None,
        "",
    )
    assert gone.replaced_by == "r2"


def test_at_most_three_people_are_named_and_always_the_same() -> None:
    assert (
        people_to_ask(frozenset({"U5", "U1", "U4", "U2", "U3"}))
        == "[[person U1]], [[person U2]] or [[person U3]]"
    )
    assert people_to_ask(frozenset({"U1"})) == "[[person U1]]"
    assert "bot's administrator" in people_to_ask(frozenset())


def test_who_comes_by_no_workspace_is_vouched_for_by_the_settings() -> None:
    rules = ClusterPolicy(
        operators=frozenset({"UANA", "ops"}), workspaces=frozenset({"T0ACME", "E0ACME"})
    )
    assert may_operate(Actor("ops"), rules).kind is AccessResult.ALLOWED
    assert may_operate(Actor("UANA", "T0ACME"), rules).kind is AccessResult.ALLOWED
    assert may_operate(Actor("UANA", "T9ELSE", "E0ACME"), rules).kind is AccessResult.ALLOWED
    elsewhere = may_operate(Actor("UANA", "T9ELSE"), rules)
    assert elsewhere.kind is AccessResult.DENIED
    assert "another workspace" in elsewhere.reason
    assert (
        may_operate(Actor("UANA", "T9ELSE"), replace(rules, workspaces=frozenset())).kind
        is AccessResult.ALLOWED
    )


def test_break_glass_is_for_operators_among_those_who_are_named() -> None:
    rules = ClusterPolicy(
        operators=frozenset({"UANA", "UBEN"}), break_glass_users=frozenset({"UBEN", "UDORA"})
    )
    assert may_break_glass(BEN, rules).kind is AccessResult.ALLOWED
    assert may_break_glass(Actor("UDORA", "T0ACME"), rules).kind is AccessResult.DENIED, (
        "being named makes nobody an operator"
    )
    denied = may_break_glass(ANA, rules)
    assert denied.kind is AccessResult.DENIED
    assert "Ask [[person UBEN]] or [[person UDORA]]" in denied.reason
    nobody = may_break_glass(ANA, replace(rules, break_glass_users=frozenset()))
    assert nobody.kind is AccessResult.DENIED
    assert "Ask " not in nobody.reason


def test_more_nodes_than_the_quota_need_nobody_when_none_is_added() -> None:
    rules = ClusterPolicy(scale_up_to=1)
    quiet = replace(PLAN, media=5, effects=Effects())
    assert impacts(quiet, rules) == ()
    assert impacts(replace(quiet, effects=Effects(adds=1)), rules) == (PolicyImpact.MEDIA_ADDED,)
    assert impacts(replace(quiet, effects=Effects(adds=1)), ClusterPolicy(scale_up_to=6)) == ()
    assert impacts(replace(quiet, effects=Effects(adds=1)), ClusterPolicy(scale_up_to=None)) == ()


def test_windows_and_people_are_called_by_what_they_are() -> None:
    window = Actor("window:nights")
    assert (window.is_window, window.mention) == (True, "window [[strong nights]]")
    assert (ANA.is_window, ANA.mention) == (False, "[[person UANA]]")


def test_what_cannot_be_taken_back_is_said_so_only_where_it_is_all_that_there_is_to_say() -> None:
    alone = replace(PLAN, effects=Effects(special=("grows the disks for good",)))
    assert approval_reasons(alone, ClusterPolicy()) == ("is not reversible",)
    both = replace(PLAN, effects=Effects(special=("grows the disks for good",), stops_masters=True))
    assert approval_reasons(both, ClusterPolicy()) == ("stops the masters",)


def test_an_impact_that_asks_for_nothing_more_asks_for_no_approval_by_itself() -> None:
    assert ClusterPolicy(approvals=0).approvals_needed((PolicyImpact.MASTERS_STOPPED,)) == 0
    assert (
        ClusterPolicy(
            approvals=1, approvals_for=((PolicyImpact.MASTERS_STOPPED, 2),)
        ).approvals_needed((PolicyImpact.MASTERS_STOPPED,))
        == 2
    )
    assert (
        ClusterPolicy(
            approvals=1, approvals_for=((PolicyImpact.MASTERS_STOPPED, 2),)
        ).approvals_needed((PolicyImpact.SECRETS_EDITED,))
        == 1
    )
