"""A simulated world looks like the cluster it was built from: a look at it finds the same."""

import asyncio
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args, get_type_hints

import pytest

from bot.rehearsal.estate import build_world, sold
from bot.rehearsal.play import play
from bot.rehearsal.run import ASKS, operations_of
from services.access.policy import Actor
from services.cluster.account_facts import AccountFact, AccountFacts
from services.cluster.model import Cluster, Load, NodeStatus
from services.common.clock import loop_clock
from services.common.serialize import read, write
from services.operations.rehearsal import CLASSES, Ending, Rehearsal, Scenario
from services.operations.rehearsals import Rehearsals
from services.procedures import Scale, Shutdown
from services.procedures.plan import make_plan
from simulators import virtual
from simulators.cloud.delays import Delays
from simulators.cloud.model import Kind
from tests.support.scene import Scene

FLEETS: tuple[Kind, ...] = ("pool", "fixed", "autoscaler")
Prepare = Callable[[Scene], object]


def scenario_of(prepare: Prepare, **options: Any) -> Scenario:
    """Return what a rehearsal starts from in a scene, after its way through JSON."""

    async def story() -> Scenario:
        async with Scene(pydo=False, **options) as scene:
            scene.promises = False
            done = prepare(scene)
            if asyncio.iscoroutine(done):
                await done
            parts = scene.bot.operations
            gathers = Rehearsals(
                parts.clusters, scene.clock, parts.journal, parts.memory, parts.guards, None
            )
            return await gathers.scenario("acme", Shutdown())

    scenario = virtual.run(story())
    assert read(write(scenario, CLASSES), CLASSES, "it") == scenario
    return scenario


def look_at_copy(scenario: Scenario) -> Cluster:
    """Return a look at the simulated world that is built for a scenario."""

    async def story() -> Cluster:
        world = build_world(scenario, 1, Delays())
        parts = operations_of(scenario.cluster, world, loop_clock(scenario.at), 5.0)
        try:
            return await parts.service.look("acme", ASKS)
        finally:
            await parts.aclose()

    with sold(scenario.cluster):
        return virtual.run(story())


def alike(cluster: Cluster) -> dict[str, Any]:
    """Return what a plan rests on, without what differs from one world to another."""
    nodes, load = {}, cluster.load
    for node in cluster.media:
        look: Any = node.look
        if isinstance(node.look, NodeStatus):
            seen = node.look
            look = (seen.running, seen.restarting, seen.drain_marked, seen.rooms, seen.people)
        droplet = node.droplet
        nodes[node.name] = (node.id, droplet.status, droplet.size, node.member_status, look)
    return {
        "masters": [(m.id, m.name, m.status, m.size, m.healthy) for m in cluster.masters],
        "media": nodes,
        "kind": cluster.kind,
        "deployment": cluster.deployment,
        "pool": cluster.pool and (cluster.pool.target, cluster.pool.size, cluster.pool.status),
        "scaling": cluster.autoscaler and cluster.autoscaler.enabled,
        "load": replace(load, longest=0.0) if isinstance(load, Load) else None,
        "room": (cluster.droplet_limit or 0) - (cluster.droplets_in_account or 0),
    }


def busy(scene: Scene) -> None:
    estate = scene.estate
    estate.open_meeting(people=5, minutes=30, recordings=1)
    estate.open_meeting(people=2, minutes=50, recordings=0)


EVERYWHERE = pytest.mark.parametrize(
    "built",
    [
        *({"kind": kind} for kind in FLEETS),
        {"deployment": "elastic", "kind": "pool"},
        {"deployment": "elastic", "kind": "autoscaler"},
        {"deployment": "single node"},
        {"deployment": "single node", "edition": "community"},
    ],
    ids=lambda built: " ".join(built.values()),
)


@EVERYWHERE
def test_a_copy_has_the_same_droplets_and_meetings(built: dict[str, str]) -> None:
    scenario = scenario_of(busy, media=3, masters_size="s-8vcpu-16gb", **built)
    assert scenario.cluster.load.people == 7  # type: ignore[union-attr]
    assert alike(look_at_copy(scenario)) == alike(scenario.cluster)


@EVERYWHERE
def test_a_copy_of_a_closed_cluster_is_closed(built: dict[str, str]) -> None:
    async def close(scene: Scene) -> None:
        service = scene.bot.operations.service
        outcome: Any = await service.request(Actor("UANA"), "acme", Shutdown())
        started: Any = await service.approve(outcome.request.id, Actor("UBEN"))
        await scene.run_is(started.run.id, "done")

    scenario = scenario_of(close, media=2, **built)
    assert scenario.cluster.is_down
    assert alike(look_at_copy(scenario)) == alike(scenario.cluster)
    usual = dict(scenario.usual)
    assert usual.get("PowerOffHost" if "single node" in built.values() else "PowerOff", 0) > 0


@pytest.mark.parametrize("deployment", ["elastic", "single node"])
def test_a_shutdown_is_rehearsed_as_expected_and_with_bad_luck(deployment: str) -> None:
    scenario = scenario_of(busy, deployment=deployment, kind="fixed")
    played = play(replace(scenario, runs=3, seconds=60.0))
    assert played.expected.ending is Ending.DONE
    assert played.expected.seconds > 60
    assert len(played.runs) == 3
    assert all(run.disconnected == 0 for run in (played.expected, *played.runs)), played.runs


def test_a_node_that_crashes_and_one_that_drains_do_so_in_the_copy() -> None:
    def ill(scene: Scene) -> None:
        busy(scene)
        nodes = scene.estate.media("acme")
        scene.estate.crashes.begin(nodes[2], lives=3.0, waits=600.0)
        scene.estate.containers.signal_workers(nodes[0], "SIGQUIT")

    scenario = scenario_of(ill, media=3)
    copy = look_at_copy(scenario)
    seen = {node.name: node for node in scenario.cluster.media}
    for node in copy.media:
        assert node.serving == seen[node.name].serving, node.name
    assert [n.serving for n in copy.media].count(True) == 1


def test_a_size_that_only_this_account_has_is_sold_in_the_copy() -> None:
    scenario = scenario_of(busy, media=2)
    cluster = scenario.cluster
    odd = replace(cluster.sizes[0], slug="x9-special", disk=500)
    masters = tuple(replace(m, size="x9-special", disk=500) for m in cluster.masters)
    cluster = replace(cluster, sizes=(*cluster.sizes, odd), masters=masters)
    copy = look_at_copy(replace(scenario, cluster=cluster))
    assert {m.size for m in copy.masters} == {"x9-special"}
    assert copy.size("x9-special") is not None


# Across the process boundary


def _reachable(kind: Any, found: set[type]) -> None:
    """Collect the dataclasses that a value of this type may hold."""
    for part in get_args(kind):
        _reachable(part, found)
    if isinstance(kind, type) and is_dataclass(kind) and kind not in found:
        found.add(kind)
        hints = get_type_hints(kind)
        for each in fields(kind):
            _reachable(hints[each.name], found)


@pytest.mark.parametrize("whole", [Scenario, Rehearsal])
def test_whatever_a_scenario_or_a_result_may_hold_can_be_read_again(whole: type) -> None:
    found: set[type] = set()
    _reachable(whole, found)
    assert Cluster in found or whole is Rehearsal
    unknown = {kind.__name__ for kind in found} - set(CLASSES)
    # Two have only subclasses, and what secrets.env is like stays with the bot.
    assert unknown <= {"Procedure", "Step", "Finding", "SecretsFindings"}


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("zero", ["accepted", "refused", "ignored"])
def test_what_probes_found_holds_in_the_simulated_world(order: str, zero: str) -> None:
    plain = scenario_of(busy, kind="pool", media=3)
    facts = (AccountFact("removal", order, plain.at), AccountFact("zero", zero, plain.at))
    cluster = replace(
        plain.cluster, account=AccountFacts(facts), zero_refused=zero in ("refused", "ignored")
    )
    scenario = replace(plain, cluster=cluster, procedure=Scale(2), runs=0)

    async def story() -> None:
        estate = build_world(scenario, 0, Delays()).estate
        pool = estate.pools[estate.clusters["acme"].pool_id]
        assert estate.pool_scaler.removal_order == order
        assert pool.allow_zero == {"accepted": "yes"}.get(zero, zero)

    virtual.run(story())
    assert play(scenario).plan.notes == make_plan(cluster, Scale(2)).notes
