"""What nodes report of themselves: each planted fault is named, and none in a healthy world."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from handlers.views.conditions import condition_lines
from services.cloud.condition import CONDITION, CUT_OFF, read_condition
from services.cluster.node_condition import (
    ContainerState,
    DiskFill,
    MongoMember,
    NodeCondition,
    RedisState,
    Severity,
    findings,
    unseen_condition,
    unseen_text,
)
from services.common.observed import Unobserved
from tests.support import virtual
from tests.support.clusters import ready
from tests.support.scene import Scene

MEMBERS = (
    MongoMember("master-1", "PRIMARY", healthy=True),
    *(MongoMember(f"master-{n}", "SECONDARY", healthy=True, lag=1.0) for n in (2, 3, 4)),
)
CONTAINERS = (ContainerState("caddy", "running", age=90_000.0),)


def well(number: int) -> NodeCondition:
    """A master without any trouble; the first one is the primary of Redis."""
    redis = RedisState(primary=True, replicas=3, lags=(0.0, 1.0, 0.0))
    if number > 1:
        redis = RedisState(primary=False)
    return NodeCondition(
        number, f"master-{number}", is_master=True, disks=(DiskFill("/", 34, 90 * 1024**2),),
        containers=CONTAINERS, offset=0.0, redis=redis, mongo=MEMBERS, minio=200, routes=1,
    )  # fmt: skip


HEALTHY = tuple(well(n) for n in (1, 2, 3, 4))


def with_master(number: int, **change: Any) -> tuple[NodeCondition, ...]:
    return tuple(replace(n, **change) if n.id == number else n for n in HEALTHY)


def kinds(nodes: tuple[NodeCondition, ...], idle: tuple[int, ...] = ()) -> list[str]:
    return [f"{f.kind}@{f.node}" for f in findings(nodes, idle)]


def test_a_healthy_cluster_has_no_findings() -> None:
    assert kinds(HEALTHY) == []
    assert unseen_text(HEALTHY) == ()


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        (with_master(2, disks=(DiskFill("/", 85, 9),)), ["disk@master-2"]),
        (with_master(2, disks=(DiskFill("/", 84, 9),)), []),
        (with_master(3, containers=(ContainerState("mongo", "restarting", 9),)),
         ["restarts mongo@master-3"]),
        (with_master(3, containers=(ContainerState("mongo", "running", 9, age=60.0),)),
         ["restarts mongo@master-3"]),
        # It was restarted days ago, and has run since.
        (with_master(3, containers=(ContainerState("mongo", "running", 9, age=90_000.0),)), []),
        (with_master(3, containers=(ContainerState("loki", "exited", exit_code=137),)),
         ["ended loki@master-3"]),
        (with_master(3, containers=(ContainerState("openvidu-init", "exited"),)), []),
        (with_master(4, offset=40.0), ["clock@master-4"]),
        (with_master(4, offset=-40.0), ["clock@master-4"]),
        (with_master(4, offset=4.0), []),
        (tuple(replace(n, offset=-39.0) for n in HEALTHY), ["clock@bot"]),
        (with_master(1, redis=RedisState(primary=True, replicas=2)), ["redis replicas@master-1"]),
        (with_master(2, redis=RedisState(primary=False, link=False)), ["redis link@master-2"]),
        (with_master(1, redis=RedisState(primary=True, replicas=3, lags=(11.0,))),
         ["redis lag@master-1"]),
        (with_master(2, redis=RedisState(primary=True, replicas=3)),
         ["redis primary@master-1 and master-2"]),
        (with_master(1, redis=RedisState(primary=False)),
         ["redis primary@master-1, master-2, master-3 and master-4"]),
        # What one master does not say, another is not blamed for.
        ((replace(HEALTHY[0], redis=RedisState(primary=True, replicas=2)), *HEALTHY[1:3],
          replace(HEALTHY[3], redis=Unobserved("silent"))), []),
        (with_master(1, minio=503), ["minio@master-1"]),
        (with_master(2, routes=0), ["route@master-2"]),
        # A cluster that is not reached that way.
        (tuple(replace(n, routes=0) for n in HEALTHY), []),
        (tuple(replace(n, mongo=(*MEMBERS[:3], replace(MEMBERS[3], healthy=False)))
               for n in HEALTHY), ["mongo master-4@master-1"]),
        (tuple(replace(n, mongo=(*MEMBERS[:3], replace(MEMBERS[3], state="STARTUP2")))
               for n in HEALTHY), ["mongo master-4@master-1"]),
        (tuple(replace(n, mongo=(*MEMBERS[:3], replace(MEMBERS[3], lag=61.0))) for n in HEALTHY),
         ["mongo lag master-4@master-1"]),
        (tuple(replace(n, mongo=MEMBERS[1:]) for n in HEALTHY), ["mongo primary@master-1"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found_and_nothing_else(
    nodes: tuple[NodeCondition, ...], expected: list[str]
) -> None:
    assert kinds(nodes) == expected


def test_what_is_worst_comes_first_each_with_its_remedy() -> None:
    nodes = with_master(
        2, disks=(DiskFill("/", 86, 9),), containers=(ContainerState("x", "dead", 1, 1),)
    )
    found = findings(nodes)
    assert [f.severity for f in found] == [Severity.URGENT, Severity.WARNING]
    assert all("`" in f.remedy or "[[command " in f.remedy for f in found)
    lines = condition_lines(ready(3), nodes)
    assert lines[0].startswith("master-2: x ended with code 1. `/openvidu logs master-2 x`")


def test_a_node_that_was_stopped_on_purpose_has_no_missing_databases() -> None:
    ended = tuple(replace(c, status="exited", exit_code=143) for c in CONTAINERS)
    silent = Unobserved("it did not answer within its time")
    nodes = (
        replace(HEALTHY[0], redis=RedisState(primary=True, replicas=2)),
        *HEALTHY[1:3],
        replace(HEALTHY[3], containers=ended, redis=silent, mongo=silent, minio=0),
    )
    nodes = tuple(replace(n, mongo=(*MEMBERS[:3], replace(MEMBERS[3], healthy=False)))
                  if n.id < 4 else n for n in nodes)  # fmt: skip
    assert kinds(nodes, idle=(4,)) == []
    reached = replace(HEALTHY[0], redis=RedisState(primary=True, replicas=2))
    others = tuple(replace(n, mongo=nodes[0].mongo) for n in (reached, *HEALTHY[1:3]))
    assert findings(others, away=("master-4",)) == ()
    assert [f.kind for f in findings(others)] == ["mongo master-4"]
    assert kinds(nodes) != []


def test_what_was_not_seen_is_unknown_and_never_fine() -> None:
    nodes = (*HEALTHY[:3], unseen_condition(4, "master-4", "Connection refused", is_master=True))
    assert kinds(nodes) == []
    assert unseen_text(nodes) == (("disk, containers and clock of master-4", "Connection refused"),)
    assert condition_lines(ready(3), nodes) == [
        "Unknown: disk, containers and clock of master-4 (Connection refused)."
    ]


# The script's lines

REPORT = """clock=1800000010
disk=34 87000000 /
disk=34 87000000 /
routes=1
container=caddy running 0 0 2027-01-15T07:00:00.000000001Z
container=mongo restarting 7 137 2027-01-15T08:00:00.5Z
redis=asked
redis=role:master
redis=connected_slaves:1
redis=slave0:ip=10.10.10.3,port=7000,state=online,offset=12,lag=3
mongo=asked
mongo=10.10.10.2:20000 PRIMARY 1 0
mongo=10.10.10.3:20000 notreachablehealthy 0 12
minio=200
end
"""


def read(
    text: str, asked: float = 1_800_000_010.2, answered: float = 1_800_000_010.9
) -> NodeCondition:
    seen = read_condition(text, 1, "master-1", is_master=True, asked=asked, answered=answered)
    assert isinstance(seen, NodeCondition)
    return seen


def test_the_lines_of_the_script() -> None:
    seen = read(REPORT)
    assert seen.disks == (DiskFill("/", 34, 87_000_000),)
    assert seen.containers == (
        ContainerState("caddy", "running", 0, 0, 3610.0),
        ContainerState("mongo", "restarting", 7, 137, 10.0),
    )
    assert (seen.offset, seen.minio, seen.routes) == (0.0, 200, 1)
    assert seen.redis == RedisState(primary=True, replicas=1, lags=(3.0,))
    assert seen.mongo == (
        MongoMember("10.10.10.2:20000", "PRIMARY", healthy=True),
        MongoMember("10.10.10.3:20000", "notreachablehealthy", healthy=False, lag=12.0),
    )


def test_a_clock_is_wrong_only_beyond_what_the_measurement_leaves_open() -> None:
    assert read(REPORT, 1_800_000_000.0, 1_800_000_020.0).offset == 0.0
    assert read(REPORT, 1_799_999_969.0, 1_799_999_970.0).offset == 40.0
    assert read(REPORT, 1_800_000_051.0, 1_800_000_052.0).offset == -40.0


@pytest.mark.parametrize("cut", range(0, len(REPORT) - 1, 29))
def test_a_truncated_report_has_seen_nothing(cut: int) -> None:
    seen = read_condition(REPORT[:cut], 1, "master-1", is_master=True, asked=0.0, answered=1.0)
    assert seen == CUT_OFF


def test_a_silent_database_is_unknown_and_a_missing_one_is_none() -> None:
    silent = "".join(line + "\n" for line in REPORT.splitlines() if "redis=" not in line)
    assert read(silent).redis is None
    asked = read(silent.replace("end\n", "redis=asked\nend\n"))
    assert isinstance(asked.redis, Unobserved)
    refused = read("clock=1\nrefused=docker: Cannot connect\nend\n")
    assert isinstance(refused.containers, Unobserved)
    assert isinstance(refused.disks, Unobserved)


def test_no_password_is_an_argument_or_printed() -> None:
    for line in CONDITION.splitlines():
        if "docker exec" in line:
            assert "$REDISCLI_AUTH" not in line
            assert "$BOT_PASSWORD" not in line
    assert 'echo "$(value' not in CONDITION


# In the simulated world


async def status(scene: Scene, node: str = "") -> str:
    await scene.ana.type_text("COPS", f"/openvidu status {node}".strip())
    shown = await scene.ephemeral("UANA", f"{node} of acme: " if node else "acme is ")
    return f"{shown.text} {shown.blocks}"


FAULTS: dict[str, tuple[Callable[[Scene], object], str]] = {
    "disk full": (lambda s: s.environment.faults.make_ill("acme-master-node-2", "disk-full"),
                  "master-2: / is 97 % full"),
    "replica down": (lambda s: s.environment.faults.make_ill("acme-master-node-3", "replica-down"),
                     "MongoDB: master-3 is not reachable"),
    "clock 40 s off": (lambda s: s.environment.faults.make_ill("acme-master-node-4", "clock-off"),
                       "master-4: its clock is 39 s ahead"),  # at least: date names whole seconds
    "no route": (lambda s: s.environment.faults.make_ill("acme-master-node-1", "route-missing"),
                 "master-1: drops what the load balancer sends"),
    "crash loop": (lambda s: s.estate.crashes.begin(s.estate.masters("acme")[0], "grafana"),
                   "master-1: grafana keeps restarting"),
    "docker down": (lambda s: s.environment.faults.make_ill("acme-master-node-2", "docker-down"),
                    "Unknown: containers of master-2 (docker: Cannot connect"),
    "redis silent": (lambda s: s.environment.faults.make_ill("acme-master-node-2", "redis-silent"),
                     "Unknown: Redis of master-2"),
}  # fmt: skip


@pytest.mark.sampled
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named_in_the_status(fault: str) -> None:
    plant, expected = FAULTS[fault]

    async def story() -> None:
        async with Scene(media=1) as scene:
            plant(scene)
            await scene.wait(30)
            assert expected in await status(scene)

    virtual.run(story())


@pytest.mark.parametrize("kind", ["pool", "fixed", "autoscaler"])
def test_a_healthy_world_shows_none(kind: str) -> None:
    async def story() -> None:
        async with Scene(media=2, kind=kind) as scene:
            scene.estate.open_meeting(people=5, minutes=60)
            cluster = await scene.bot.operations.reader.look("acme")
            world = scene.bot.operations.service.clusters.cluster("acme").world
            nodes = await world.conditions(cluster)
            assert len(nodes) == 6
            assert condition_lines(cluster, nodes) == []
            assert all(n.redis is not None and n.mongo is not None for n in nodes if n.is_master)

    virtual.run(story())


@pytest.mark.parametrize("deployment", ["elastic", "single node"])
def test_one_master_has_no_replicas_to_miss(deployment: str) -> None:
    async def story() -> None:
        async with Scene(media=1, deployment=deployment) as scene:
            cluster = await scene.bot.operations.reader.look("acme")
            world = scene.bot.operations.service.clusters.cluster("acme").world
            nodes = await world.conditions(cluster)
            assert condition_lines(cluster, nodes) == []
            assert all(n.redis is None and n.mongo is None for n in nodes)
            (master,) = scene.estate.masters("acme")
            scene.environment.faults.make_ill(master.name, "disk-full")
            lines = condition_lines(cluster, await world.conditions(cluster))
            assert "/ is 97 % full" in lines[0]

    virtual.run(story())


def test_the_status_of_one_node_shows_its_parts() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            shown = await status(scene, "master-1")
            for part in (
                "Disk: 34 % full",
                "Clock: as the bot's",
                "primary with 3 replicas",
                "4 of 4 members healthy, primary master-1",
                "MinIO: has its quorum",
            ):
                assert part in shown
            assert "Disk: 34 % full" in await status(scene, "media-1")

    virtual.run(story())
