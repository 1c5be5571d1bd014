"""Laws of every procedure, on every cluster."""

import re
from collections.abc import Sequence
from dataclasses import MISSING, Field, replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given

from services.cluster.model import Cluster
from services.common.errors import Refused
from services.procedures import PROCEDURES, Procedure, Shutdown, Startup
from services.procedures.plan import make_plan
from services.steps import Step
from tests.support.clusters import clusters, down, end_of, folded, law, plan_of, procedures, ready


@law
@given(clusters(), procedures())
def test_after_a_plan_nothing_is_left(cluster: Cluster, procedure: Procedure) -> None:
    """After a plan nothing is left to do, with or without a number in the request."""
    plan = plan_of(cluster, procedure)
    if plan is None or procedure.repeatable:
        return
    assert make_plan(end_of(cluster, plan.steps), procedure).steps == ()


@law
@given(clusters(), procedures())
def test_a_plan_can_be_resumed_from_any_point(cluster: Cluster, procedure: Procedure) -> None:
    """Resuming is planning again: from any point of a plan nothing is left to do at the end."""
    plan = plan_of(cluster, procedure)
    for _, _, here in folded(cluster, plan.steps if plan else ()):
        end = end_of(here, make_plan(here, procedure).steps)
        assert procedure.repeatable or make_plan(end, procedure).steps == ()


@law
@given(clusters(), procedures())
def test_planning_is_pure(cluster: Cluster, procedure: Procedure) -> None:
    assert plan_of(cluster, procedure) == plan_of(cluster, procedure)


@law
@given(clusters(), procedures())
def test_a_cluster_with_a_problem_is_refused_with_it(
    cluster: Cluster, procedure: Procedure
) -> None:
    with pytest.raises(Refused, match=r"^two pools$"):
        make_plan(replace(cluster, problem="two pools"), procedure)


@law
@given(clusters(), procedures())
def test_every_rollback_can_be_reached(cluster: Cluster, procedure: Procedure) -> None:
    """`recover` yields reachable steps, whichever step failed."""
    plan = plan_of(cluster, procedure)
    for step, before, _ in folded(cluster, plan.steps if plan else ()):
        for back, _, after in folded(before, tuple(procedure.recover(before, step))):
            assert isinstance(back, Step)
            assert back.is_done(after)


@law
@given(clusters(), procedures())
def test_texts_for_people(cluster: Cluster, procedure: Procedure) -> None:
    for text in (
        procedure.command_line(),
        procedure.next_step(cluster),
        *procedure.follow_up(cluster),
    ):
        assert "\n" not in text
        assert not text.endswith(".")


@pytest.mark.parametrize("kind", PROCEDURES, ids=lambda k: k.__name__)
def test_every_procedure_describes_itself(kind: type[Procedure]) -> None:
    assert kind.__doc__
    assert len(kind.summary()) < 120
    assert kind.summary().endswith(".")
    assert re.fullmatch(r"[a-z]+( [a-z]+)?", kind.command)
    assert kind.verb[0].isupper()
    assert kind.doing[0].isupper()
    assert kind.done[0].islower()
    assert kind.usage().startswith(kind.command)
    for field in kind.parameters():
        assert field.metadata["help"], f"{kind.__name__}.{field.name} explains itself"


SAMPLES = {
    "argument": ("2", "3"),
    "flag": (False, True),
    "rest": ("nights daily", "days daily"),
    "option": ("2", "3"),
}


@pytest.mark.parametrize("kind", PROCEDURES, ids=lambda k: k.__name__)
def test_a_title_tells_apart_whatever_can_be_typed(kind: type[Procedure]) -> None:
    """No flag and no argument is left out: two people who read a title mean the same change."""
    parameters = kind.parameters()
    samples = [SAMPLES[field.metadata["kind"]] for field in parameters]
    variants = [kind(**_typed(parameters, values)) for values in product(*samples)]
    variants += [kind()] if all(f.default is not MISSING for f in parameters) else []
    for say in (lambda p: f"{p.verb} {p.target_text('acme')}", Procedure.command_line):
        assert len({say(variant) for variant in variants}) == len(set(variants))
    assert all("acme" in variant.target_text("acme") for variant in variants)


def _typed(parameters: Sequence[Field[Any]], values: Sequence[Any]) -> dict[str, Any]:
    """Return values of the fields' own types."""
    return {
        f.name: int(value) if "int" in str(f.type) else value
        for f, value in zip(parameters, values, strict=True)
    }


def test_every_command_is_unique() -> None:
    commands = [k.command for k in PROCEDURES]
    assert len(commands) == len(set(commands))


# Start-up and the number of media nodes


def test_a_startup_uses_the_recorded_number_or_asks() -> None:
    cold = down(ready(3))
    assert Startup().number(cold) == 3
    assert Startup(5).number(cold) == 5
    with pytest.raises(Refused, match="how many media nodes"):
        make_plan(replace(cold, nodes_before_shutdown=None), Startup())


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "needs at least 1 media node"),
        (1001, "at most 1000 droplets"),
        (40, "the account's limit is 25"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_with_the_limit(number: int, words: str) -> None:
    cold = replace(down(ready(3)), droplet_limit=25, droplets_in_account=4)
    with pytest.raises(Refused, match=words):
        make_plan(cold, Startup(number))


def test_a_startup_takes_nothing_away() -> None:
    grown = replace(ready(5), nodes_before_shutdown=3)
    assert make_plan(grown, Startup()).is_empty, "five are there, whatever was remembered"
    with pytest.raises(Refused, match="has 5 media nodes, and a start-up removes none"):
        make_plan(grown, Startup(3))


# Zero is refused


def known_to_refuse(media: int = 3) -> Cluster:
    return replace(ready(media), zero_refused=True, zero_policy="keep_one")


def test_a_known_refusal_of_zero_is_planned_for_when_the_policy_keeps_one() -> None:
    titles = [s.title() for s in make_plan(known_to_refuse(), Shutdown()).steps]
    assert titles == [
        "Drain 3 media nodes",
        "Set media pool to 1",
        "Verify that only 1 drained media node is left",
        "Power off masters 1-4",
    ]


def test_the_kept_node_is_drained_first_even_with_no_drain() -> None:
    titles = [s.title() for s in make_plan(known_to_refuse(), Shutdown(no_drain=True)).steps]
    assert titles[:2] == ["Drain 1 media node", "Set media pool to 1"]


def test_the_masters_stay_on_when_only_the_media_nodes_were_to_go() -> None:
    for cluster in (known_to_refuse(), ready()):
        plan = make_plan(cluster, Shutdown(media_only=True))
        assert not plan.effects.stops_masters
        assert not any("master" in s.title() for s in plan.steps)
