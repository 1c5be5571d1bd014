"""What a window's standing approval covers, and what not."""

from dataclasses import replace
from typing import Any

import pytest

from services.access.policy import Actor, ClusterPolicy, PolicyImpact, impacts
from services.procedures import AddWindow, Shutdown, Startup
from services.procedures.plan import make_plan
from services.runs.run import Opened, Run, fold
from services.runs.standing_approval import (
    StandingApproval,
    allowed_startup,
    ends_soon,
    lapsed,
    may_start,
    standing_of,
    why_not_covered,
)
from services.steps import Effects
from services.windows import Edge, parse_window
from tests.support.clusters import down, ready

ANA, BEN, CARLA = (Actor(u, "T0ACME") for u in ("UANA", "UBEN", "UCARLA"))
PEOPLE = frozenset({"UANA", "UBEN", "UCARLA"})
RULES = ClusterPolicy(
    operators=PEOPLE, approvers=PEOPLE, break_glass_users=frozenset({"UANA"}), confirm_seconds=100.0
)
LIMITED = replace(RULES, scale_up_to=3, approvals_for=((PolicyImpact.MEDIA_ADDED, 2),))
NOW = 1000.0
WORDS = "nights Mon-Fri 20:00-07:30 Europe/Madrid"
ADDING = make_plan(ready(2), AddWindow(WORDS))


def run(*approvers: Actor, **more: Any) -> Run:
    return fold([Opened(NOW, "acme-1", ADDING, ANA, approvers, "", **more)])


def standing(*approvers: Actor, words: str = WORDS, **more: Any) -> StandingApproval:
    return standing_of(parse_window(words), run(*approvers, **more))


def edge(kind: str = "close", **more: Any) -> Edge:
    made = {
        "at": NOW,
        "start": NOW,
        "until": NOW,
        "local": "2027-01-15T20:00",
        "zone": "UTC",
        "windows": ("nights",),
        "closes": "shutdown",
    }
    rest = {"number": None, "remembered": True, "meetings": "wait", "wait_limit": 60.0}
    return Edge(name=f"nights-{kind}@2027-01-15T20:00", kind=kind, **{**made, **rest, **more})  # type: ignore[arg-type]


def test_it_covers_closing_until_it_has_to_be_confirmed_again() -> None:
    mine = standing(BEN)
    assert lapsed(mine, RULES, NOW + 100.0) == ""
    assert (
        lapsed(mine, RULES, NOW + 101.0)
        == "the standing approval of window nights has expired and must be renewed"
    )
    assert mine.until(RULES) == NOW + 100.0


def test_it_rests_on_people_who_may_approve_still() -> None:
    assert lapsed(standing(BEN), replace(RULES, approvers=PEOPLE - {"UBEN"}), NOW) == (
        "window nights: the approval of [[person UBEN]] no longer counts"
    )
    assert "the policy now requires 2 approvals" in lapsed(
        standing(BEN), replace(RULES, approvals_for=((PolicyImpact.MASTERS_STOPPED, 2),)), NOW
    )
    assert (
        lapsed(
            standing(BEN, CARLA),
            replace(RULES, approvals_for=((PolicyImpact.MASTERS_STOPPED, 2),)),
            NOW,
        )
        == ""
    )
    assert lapsed(standing(BEN), LIMITED, NOW) == "", (
        "what its number would take is no question of closing"
    )
    assert "the policy now requires 1 approval" in lapsed(standing(), RULES, NOW)


def test_break_glass_gave_none() -> None:
    said = (
        "window nights has no approval: break-glass by [[person UANA]], which covers one run only"
    )
    assert lapsed(standing(glass=True), RULES, NOW) == said
    assert lapsed(standing(BEN, glass=True), RULES, NOW) == said


def test_the_settings_file_s_windows_are_whoever_keeps_it_s_decision() -> None:
    mine = standing_of(parse_window(f"{WORDS} --number 9"), None)
    assert lapsed(mine, RULES, NOW + 1e9) == ""
    assert mine.until(RULES) is None
    assert ends_soon(mine, RULES, NOW) is None
    assert may_start([mine], LIMITED, NOW, before=0) == 9


TWO_WEEKS = 14 * 24 * 3600


@pytest.mark.parametrize(
    ("after", "soon"), [(-TWO_WEEKS - 1, False), (-TWO_WEEKS, True), (0.0, True), (1.0, False)]
)
def test_its_end_is_announced_two_weeks_before(after: float, soon: bool) -> None:
    until = NOW + RULES.confirm_seconds
    assert ends_soon(standing(BEN), RULES, until + after) == (until if soon else None)


def test_a_number_is_covered_by_as_many_as_the_policy_asks_for_now() -> None:
    words = f"{WORDS} --number 9"
    assert may_start([standing(BEN, words=words)], RULES, NOW, before=0) is None, (
        "no number takes an approval"
    )
    assert may_start([standing(BEN, CARLA, words=words)], LIMITED, NOW, before=0) == 9
    assert may_start([standing(BEN, words=words)], LIMITED, NOW, before=0) == 3
    assert may_start([standing(BEN, words=words)], LIMITED, NOW, before=5) == 5, (
        "as many as there were come back"
    )
    assert may_start([standing(BEN, CARLA, words=words)], LIMITED, NOW + 101.0, before=0) == 3
    assert may_start([standing(BEN, words=f"{WORDS} --number 3")], LIMITED, NOW, before=0) == 3
    assert may_start([standing(BEN, words=f"{WORDS} --number 2")], LIMITED, NOW, before=0) == 3
    assert (
        may_start([standing(BEN, CARLA, words=words), standing(BEN)], LIMITED, NOW, before=0) == 9
    )
    assert (
        may_start([standing(BEN, CARLA), standing(BEN, CARLA, words=words)], LIMITED, NOW, before=0)
        == 9
    )
    assert may_start([], LIMITED, NOW, before=1) == 3
    assert may_start([standing(glass=True, words=words)], LIMITED, NOW, before=0) == 3
    one = replace(LIMITED, scale_up_to=0)
    assert may_start([standing(BEN, CARLA, words=f"{WORDS} --number 1")], one, NOW, before=0) == 1
    assert may_start([standing(BEN, words=f"{WORDS} --number 1")], one, NOW, before=0) == 0


def test_an_opening_starts_what_is_covered_and_says_what_is_not() -> None:
    words = f"{WORDS} --number 9"
    cluster = replace(down(ready(2)), nodes_before_shutdown=2)
    assert allowed_startup(edge("open"), cluster, [standing(BEN)], LIMITED, NOW) == (Startup(), "")
    named = edge("open", number=9, remembered=False)
    assert allowed_startup(named, cluster, [standing(BEN, CARLA, words=words)], LIMITED, NOW) == (
        Startup(9),
        "",
    )
    less = allowed_startup(named, cluster, [standing(BEN, words=words)], LIMITED, NOW)
    assert less == (
        Startup(3),
        "3 of 9 media nodes: its window is not approved for more",
    )
    assert allowed_startup(named, cluster, [standing(BEN, words=words)], RULES, NOW) == (
        Startup(9),
        "",
    )
    many = replace(cluster, nodes_before_shutdown=6)
    assert allowed_startup(named, many, [standing(BEN, words=words)], LIMITED, NOW)[0] == Startup(6)
    assert allowed_startup(edge("open", number=2), many, [standing(BEN)], LIMITED, NOW) == (
        Startup(6),
        "",
    ), "as many as before"
    assert allowed_startup(
        edge("open", number=2, remembered=False), many, [standing(BEN)], LIMITED, NOW
    ) == (Startup(2), "")
    there = ready(4)
    assert allowed_startup(
        edge("open", number=2, remembered=False), there, [standing(BEN)], LIMITED, NOW
    ) == (Startup(4), "")
    none = replace(LIMITED, scale_up_to=0)
    nothing = replace(down(ready(2)), nodes_before_shutdown=None)
    assert allowed_startup(
        edge("open", number=9), nothing, [standing(BEN, words=words)], none, NOW
    )[0] == Startup(1)


def test_an_edge_stops_only_what_its_windows_approved_and_only_while_all_of_them_count() -> None:
    plan = make_plan(ready(2), Shutdown())
    mine, late = (
        standing(BEN),
        replace(standing(BEN), window=parse_window(WORDS.replace("nights", "late"))),
    )
    assert why_not_covered(plan, edge(), [mine], RULES, NOW) == ""
    assert why_not_covered(plan, edge(), [mine, late], RULES, NOW + 101.0) == (
        "the standing approval of window nights has expired and must be renewed; "
        "the standing approval of window late has expired and must be renewed"
    )
    assert (
        why_not_covered(
            make_plan(down(ready(2)), Startup(2)), edge("open"), [mine], RULES, NOW + 101.0
        )
        == ""
    ), "more up needs none"
    assert (
        why_not_covered(plan, edge(closes="media-only"), [mine], RULES, NOW)
        == "it would power off the masters; its window leaves them on"
    )
    assert (
        why_not_covered(
            make_plan(ready(2), Shutdown(media_only=True)),
            edge(closes="media-only"),
            [mine],
            RULES,
            NOW,
        )
        == ""
    )
    cuts = replace(plan, effects=replace(plan.effects, cuts_off=True))
    assert (
        why_not_covered(cuts, edge(), [mine], RULES, NOW)
        == "a window never does this: it ends running meetings"
    )
    special = replace(plan, effects=Effects(special=("removes 2 media nodes", "and more")))
    assert (
        why_not_covered(special, edge("open"), [mine], RULES, NOW)
        == "a window never does this: removes 2 media nodes; and more"
    )


def test_a_window_that_starts_many_takes_what_scaling_to_that_number_takes() -> None:
    many = make_plan(ready(2), AddWindow(f"{WORDS} --number 4"))
    assert PolicyImpact.MEDIA_ADDED in impacts(many, LIMITED)
    assert PolicyImpact.MEDIA_ADDED not in impacts(many, replace(LIMITED, scale_up_to=4))
    assert PolicyImpact.MEDIA_ADDED not in impacts(many, RULES)
    assert PolicyImpact.MEDIA_ADDED not in impacts(ADDING, replace(LIMITED, scale_up_to=0))
    assert LIMITED.approvals_needed(impacts(many, LIMITED)) == 2


def test_the_same_window_again_renews_its_approval_and_says_so() -> None:
    words = parse_window(WORDS).to_text()
    there = replace(ready(2), windows=(words,), window_versions=(("nights", 3),))
    plan = make_plan(there, AddWindow(WORDS))
    (step,) = plan.steps
    assert not step.is_done(there)
    assert step.is_done(step.after(there))
    assert "this window exists: approving renews its standing approval" in plan.notes
    other = make_plan(there, AddWindow(f"{WORDS} --media-only"))
    assert not any(special.startswith("replaces") for special in plan.effects.special)
    assert f"replaces the window [[strong {words}]]" in other.effects.special
    assert other.steps[0].is_done(
        replace(there, windows=(parse_window(f"{WORDS} --media-only").to_text(),))
    )


def test_money_is_what_it_costs() -> None:
    cluster = ready(2)
    night = "w Mon-Sun 09:00-10:00 UTC"
    assert make_plan(cluster, AddWindow(night)).money.startswith("saves about $")
    assert "it opens with" not in make_plan(cluster, AddWindow(f"{night} --number 2")).money
    many = make_plan(cluster, AddWindow(f"{night} --number 30")).money
    assert many.startswith("it opens with 30 media nodes (2 now): costs about $")
    assert "more in four weeks" in many
    fewer = make_plan(cluster, AddWindow(f"{night} --number 1")).money
    assert fewer.startswith("it opens with 1 media node (2 now): saves about $")
