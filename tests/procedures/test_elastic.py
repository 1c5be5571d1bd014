"""Elastic on DigitalOcean, as the vendor's administration page orders it: one master, no spare.

Media nodes go first and come back last; a change of the only master is always downtime.
"""

import re
from dataclasses import replace

import pytest
from hypothesis import given

from handlers.views import cluster_facts
from handlers.views import plan as card
from services.access.policy import (
    AccessResult,
    Actor,
    ClusterPolicy,
    approval_reasons,
    authorize,
)
from services.cluster.model import Cluster, SecretsState
from services.common.errors import Refused
from services.procedures import (
    AddWindow,
    BackupCreate,
    Configure,
    Procedure,
    ResizeMasters,
    Restart,
    Shutdown,
    Startup,
    Stop,
)
from services.procedures.plan import make_plan
from services.secrets_env import SecretsFindings
from tests.support import virtual
from tests.support.clusters import (
    SOLD,
    autoscaled,
    clusters,
    down,
    elastic,
    fixed,
    law,
    plan_of,
    procedures,
    ready,
    with_one_master,
    with_stopped,
)
from tests.support.scene import Scene
from tests.support.stories import request_and_approve, run_ended, titles, whole

AWAY = ["Drain 3 media nodes", "Set media pool to 0", "Verify that media droplets are deleted"]
BACK = ["Set media pool to 3", "Wait until 3 media nodes are in service"]
UP = [
    "Power on the master",
    "Wait until the master is healthy",
    "Verify that the public address answers",
]
COUNTED = "Count the documents in the database"
WRONG = ("four", "other three", "masters 1-4", "all masters", "load balancer", "two masters")


def steps(cluster: Cluster, procedure: Procedure) -> list[str]:
    return [s.title() for s in make_plan(cluster, procedure).steps]


def started(cluster: Cluster) -> Cluster:
    return replace(cluster, masters=tuple(replace(m, start="a1") for m in cluster.masters))


def test_shut_down_media_nodes_then_the_master_and_start_in_the_other_order() -> None:
    assert steps(elastic(), Shutdown()) == [*AWAY, "Power off the master"]
    assert steps(with_one_master(down(ready(3))), Startup()) == [*UP, *BACK]


def test_a_restart_of_the_master_is_between_the_two() -> None:
    assert steps(elastic(), Restart("master")) == [*AWAY, "Power off the master", *UP, *BACK]
    service = steps(started(elastic()), Restart("master", service=True))
    assert service == [*AWAY, "Restart OpenVidu on the master", *UP[1:], *BACK]


def test_it_is_downtime_on_the_card_and_needs_approval() -> None:
    plan = make_plan(elastic(), Restart("master"))
    rules = ClusterPolicy(operators=frozenset({"UANA"}), approvers=frozenset({"UBEN"}))
    assert authorize(plan, Actor("UANA"), rules).kind is AccessResult.NEEDS_APPROVAL
    assert plan.effects.down
    assert plan.effects.stops_masters
    assert not plan.effects.cuts_off
    assert card.new_meetings(plan) == "blocked from the start"
    assert card.disconnected(plan) == "no one; meetings finish first"
    assert plan.outage is not None
    assert "It is the only master: acme is out of service until it is back" in plan.notes[0]


def test_without_draining_the_card_says_who_is_disconnected() -> None:
    plan = make_plan(elastic(), Restart("master", no_drain=True))
    assert plan.effects.cuts_off
    assert card.disconnected(plan).startswith("everyone: ")
    with pytest.raises(Refused, match="is for the only master of a deployment"):
        make_plan(ready(3), Restart("master-2", no_drain=True))


def test_a_sick_master_is_restarted_at_once_and_its_meetings_are_on_the_card() -> None:
    sick = elastic()
    sick = sick.with_masters({m.name: replace(m, healthy=False) for m in sick.masters})
    plan = make_plan(sick, Restart("master"))
    assert [s.title() for s in plan.steps] == ["Power off the master", *UP]
    assert plan.effects.down
    assert plan.effects.cuts_off
    assert "is not healthy, so it is restarted at once" in plan.notes[0]


def test_rolling_is_refused_with_its_reason() -> None:
    with pytest.raises(Refused) as refused:
        make_plan(elastic(sizes=SOLD), ResizeMasters("s-8vcpu-16gb", rolling=True))
    assert str(refused.value) == (
        "acme cannot be resized with `--rolling`: it is Elastic: a change of its only master is "
        "always downtime. Omit it: [[command resize masters s-8vcpu-16gb]] drains the media nodes "
        "first, so running meetings finish"
    )
    way = steps(elastic(sizes=SOLD), ResizeMasters("s-8vcpu-16gb"))
    assert way == [
        *(*AWAY, "Power off the master", "Resize the master to s-8vcpu-16gb"),
        *(*UP, *BACK),
    ]


def test_secrets_env_is_applied_while_no_one_meets() -> None:
    cluster = elastic(secrets=SecretsState("d1", staged=("s1",)), has_bucket=True)
    way = steps(cluster, Configure(("DOMAIN_NAME",), "s1", "d1", "d2"))
    assert way[:3] == AWAY
    assert way[3].startswith("Write the new DOMAIN_NAME to secrets.env")
    assert way[4:] == ["Power off the master", *UP, "Delete the staged file", *BACK]


def test_a_backup_has_one_snapshot_and_is_complete() -> None:
    cluster = elastic(snapshots=())
    assert steps(cluster, BackupCreate()) == [COUNTED, "Snapshot the master"]
    offline = steps(cluster, BackupCreate(offline=True))
    assert offline == [COUNTED, *AWAY, "Power off the master", "Snapshot the master", *UP, *BACK]
    assert "same instant" not in " ".join(make_plan(cluster, BackupCreate()).notes)


def test_people_are_told_how_long_meetings_may_delay_the_return() -> None:
    cluster = elastic(sizes=SOLD, snapshots=(), has_bucket=True, lint=SecretsFindings())
    # The backup copies a file before: the meetings that it waits for count all the same.
    for procedure in (BackupCreate(offline=True), Restart("master"), ResizeMasters("s-8vcpu-16gb")):
        plan = make_plan(cluster, procedure)
        assert " to 2 h " in card.back_in_service(plan)
        assert plan.outage_drain_timeout == 7200


def test_what_is_said_of_it_is_about_one_master() -> None:
    cluster = started(elastic(sizes=SOLD, snapshots=()))
    resize = make_plan(cluster, ResizeMasters("s-8vcpu-16gb"))
    assert resize.afterwards[0] == (
        'Set `masterNodeInstanceType = "s-8vcpu-16gb"` in the Terraform variables. '
        "Otherwise the next apply powers off the master and resizes it back"
    )
    assert resize.money.startswith("the master from s-4vcpu-8gb at ")
    assert approval_reasons(resize, ClusterPolicy())[-1] == "stops the master"
    assert "for each GB in use" in make_plan(cluster, BackupCreate()).money
    service = make_plan(cluster, Restart("master", service=True))
    assert "while off" not in card.cost_change(service), "nothing is powered off"
    assert "The master stays billed while off" in card.cost_change(resize)
    stop = make_plan(cluster, Stop("master"))
    assert "masters" not in card.cost_in_short(stop)
    window = make_plan(cluster, AddWindow("nights Mon-Fri 20:00-07:30"))
    assert "the master stays billed" in window.money
    assert "masters" not in " ".join(window.notes)


@law
@given(clusters().map(with_one_master), procedures())
def test_no_plan_speaks_of_other_masters(cluster: Cluster, procedure: Procedure) -> None:
    plan = plan_of(cluster, procedure)
    if plan is None:
        return
    said = [s.title() for s in plan.steps] + [s.residue() for s in plan.steps]
    said += [*plan.notes, *plan.afterwards, plan.money, plan.following]
    said += [o.waits_for for o in plan.outline] + [t for o in plan.outline for t in o.rollback]
    assert not [
        (text, w) for text in said for w in WRONG if w in re.sub("(every|in) four", "", text)
    ]
    if plan.effects.stops_masters:
        assert plan.effects.down, "there is no other master"


@pytest.mark.sampled(1)
@pytest.mark.parametrize("kind", ["pool", "fixed", "autoscaler"])
@pytest.mark.parametrize("command", ["restart master", "restart master --service"])
def test_the_master_is_restarted_and_no_one_is_disconnected(kind: str, command: str) -> None:
    async def story() -> None:
        site = {"autoscaler": {"minimum": 2}} if kind == "autoscaler" else {}
        async with Scene(media=2, deployment="elastic", kind=kind, site=site) as scene:
            scene.estate.open_meeting(people=4, minutes=3)
            said = "OpenVidu on master" if "--service" in command else "master"
            shown = await request_and_approve(scene, command, f"Restart {said} of acme")
            assert "blocked from the start" in whole(shown)
            run = await run_ended(scene)
            assert "Wait until the master is healthy" in titles(run)
            assert scene.estate.front_is_up("acme")
            assert len(scene.estate.serving("acme")) >= 2
            assert scene.estate.people_disconnected == 0
            assert scene.estate.functions.scales("acme") == (kind == "autoscaler")

    virtual.run(story())


def test_a_stopped_master_that_is_resized_does_not_return_by_the_old_size() -> None:
    cluster = with_stopped(elastic(ready(0), sizes=SOLD), 1)
    plan = make_plan(cluster, ResizeMasters("s-8vcpu-16gb"))
    assert card.back_in_service(plan) == "when someone starts it"
    assert cluster_facts.state_of(cluster).detail == "OpenVidu was stopped on the master."


def test_status_names_the_one_master() -> None:
    async def story() -> None:
        async with Scene(media=1, deployment="elastic") as scene:
            await scene.ana.type_text("COPS", "/openvidu status")
            shown = await scene.ephemeral("UANA", "Cost now")
            assert "1 of 1 healthy" in str(shown.blocks)
            assert "missing" not in str(shown.blocks)
            await scene.ana.type_text("COPS", "/openvidu status master")
            node = await scene.ephemeral("UANA", "through the reserved IP")
            assert "load balancer" not in str(node.blocks)

    virtual.run(story())


@pytest.mark.parametrize("cluster", [fixed(2), autoscaled(2)], ids=["fixed", "autoscaler"])
def test_media_nodes_of_every_kind_go_before_the_master(cluster: Cluster) -> None:
    way = steps(elastic(cluster), Shutdown())
    assert way[:-1] == steps(cluster, Shutdown())[:-1], "as beside four masters"
    assert way[-1] == "Power off the master"


def test_help_says_where_a_command_exists() -> None:
    async def story() -> None:
        async with Scene(media=1, deployment="elastic") as scene:
            await scene.ana.type_text("COPS", "/openvidu help resize masters")
            await scene.ephemeral("UANA", "`--rolling` only in High Availability")

    virtual.run(story())


def test_the_health_page_that_its_firewall_hides_is_asked_for_on_the_master() -> None:
    async def story() -> None:
        page = {"health_url": "http://{address}:7880/health/caddy"}
        async with Scene(media=1, deployment="elastic", site=page) as scene:
            await scene.ana.type_text("COPS", "/openvidu status")
            shown = await scene.ephemeral("UANA", "Cost now")
            assert "1 of 1 healthy" in str(shown.blocks)

    virtual.run(story())
