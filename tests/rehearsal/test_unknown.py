"""A cluster that is not fully seen is rehearsed as far as it is known; the card has the rest."""

from dataclasses import replace

import pytest

from bot.rehearsal.estate import build_world, sold
from bot.rehearsal.play import play
from handlers.views import rehearsal_card
from services.cluster.model import EVERYTHING, Fact, NodeStatus
from services.common.errors import Unreachable
from services.common.observed import Unobserved
from services.operations.rehearsal import Scenario
from services.operations.rehearsals import assumptions
from simulators import virtual
from simulators.cloud.delays import Delays
from tests.rehearsal.test_estate import busy, scenario_of
from tests.support.scene import Scene


def people_in(scenario: Scenario) -> list[tuple[int, int]]:
    """Return meetings and people of each media node of the simulated copy."""

    async def story() -> list[tuple[int, int]]:
        estate = build_world(scenario, 1, Delays()).estate
        return [
            (len(found), sum(m.people for m in found))
            for found in (estate.meetings_on(d.id) for d in estate.media("acme"))
        ]

    with sold(scenario.cluster):
        return virtual.run(story())


def deaf_node(scene: Scene) -> None:
    busy(scene)
    node = scene.estate.media("acme")[0]
    scene.environment.faults.make_ill(node.name, "docker-down")


def test_a_node_that_is_not_seen_has_the_meetings_that_livekit_counts_beside_the_others() -> None:
    scenario = scenario_of(deaf_node, media=3)
    (blind,) = [n for n in scenario.cluster.media if not isinstance(n.look, NodeStatus)]
    (said,) = scenario.assumed
    assert said.startswith("media-1: not seen (")
    assert said.endswith("Assumed: in service, with the meetings that LiveKit counts.")
    assert sum(people for _, people in people_in(scenario)) == 7
    assert blind.name == scenario.cluster.media[0].name


def test_without_livekit_it_has_a_meeting() -> None:
    """Unknown is never empty."""
    scenario = scenario_of(deaf_node, media=3, livekit=False)
    assert scenario.assumed[0].endswith("Assumed: in service, with one meeting on it.")
    meetings = people_in(scenario)
    assert meetings[0] == (1, 3)
    result = play(replace(scenario, runs=0))
    assert result.assumed == scenario.assumed
    assert result.expected.seconds > 600  # it waits for that meeting
    assert "media-1: not seen" in str(rehearsal_card(result).blocks)


def test_livekit_alone_that_does_not_answer() -> None:
    scenario = scenario_of(busy, media=2, livekit=False)
    (said,) = scenario.assumed
    assert "LiveKit is not configured here" in said
    assert said.endswith("Assumed: those that the nodes report.")
    assert sum(people for _, people in people_in(scenario)) == 7


def test_a_master_whose_health_is_not_seen_is_assumed_to_be_healthy() -> None:
    cluster = scenario_of(busy, media=2).cluster
    first, *others = cluster.masters
    dark = replace(first, healthy=Unobserved("no answer within 5 s"))
    assert assumptions(replace(cluster, masters=(dark, *others)), EVERYTHING) == (
        "1 master: health unknown (no answer within 5 s). Assumed: healthy.",
    )


def test_a_fact_that_was_not_seen_is_named_with_its_reason() -> None:
    cluster = replace(scenario_of(busy, media=2).cluster, unseen=((Fact.SIZES, "no scope"),))
    assert assumptions(cluster, EVERYTHING) == (
        "The sizes that DigitalOcean sells: unknown (no scope). Assumed: as usual.",
    )


def test_the_minimum_of_an_autoscaler_is_assumed() -> None:
    scenario = scenario_of(busy, kind="autoscaler", media=3)
    assert scenario.assumed == (
        "The autoscaler's minimum: not in the settings. Assumed: 3 media nodes.",
    )


def test_nothing_is_rehearsed_without_the_list_of_droplets() -> None:
    with pytest.raises(Unreachable, match="listing droplets"):
        scenario_of(lambda scene: scene.environment.faults.switch("api_down"), media=2)
