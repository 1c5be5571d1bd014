"""Restart one node through Slack, and show its status."""

from dataclasses import replace
from typing import Any

import pytest

from services.access.policy import AccessResult, Actor, ClusterPolicy, authorize
from services.cluster.model import Cluster
from services.common.errors import Refused
from services.procedures import Restart
from services.procedures.plan import make_plan
from services.runs.run import State
from tests.support import virtual
from tests.support.clusters import IDLE, INSTALLING, SILENT, down, ready
from tests.support.scene import Scene
from tests.support.stories import everything_read, question, request_and_approve, run_ended, titles

OPERATOR = Actor("UANA")
RULES = ClusterPolicy(operators=frozenset({"UANA"}), approvers=frozenset({"UBEN"}))


def started(cluster: Cluster) -> Cluster:
    return replace(cluster, masters=tuple(replace(m, start="a1") for m in cluster.masters))


def steps(cluster: Cluster, procedure: Restart) -> list[str]:
    return [s.title() for s in make_plan(cluster, procedure).steps]


def test_a_master_is_restarted_and_its_health_is_waited_for() -> None:
    assert steps(ready(3), Restart("master-2")) == [
        "Power off master 2",
        "Power on master 2",
        "Wait until master 2 is healthy",
        "Verify that the public address answers",
    ]
    plan = make_plan(ready(3), Restart("master-2"))
    assert authorize(plan, OPERATOR, RULES).kind is AccessResult.NEEDS_APPROVAL
    assert not plan.effects.down


def test_only_openvidu_on_a_master() -> None:
    assert steps(started(ready(3)), Restart("acme-master-node-2", service=True)) == [
        "Restart OpenVidu on master 2",
        "Wait until master 2 is healthy",
        "Verify that the public address answers",
    ]
    assert (
        authorize(
            make_plan(started(ready(3)), Restart("master-2", service=True)), OPERATOR, RULES
        ).kind
        is AccessResult.NEEDS_APPROVAL
    )


def test_a_media_node_finishes_first() -> None:
    assert steps(ready(3), Restart("media-2")) == [
        "Drain media-2",
        "Restart OpenVidu on media-2",
    ]
    idle = ready(2)
    idle = replace(idle, media=(replace(idle.media[0], look=IDLE), idle.media[1]))
    plan = make_plan(idle, Restart("media-1"))
    assert [s.title() for s in plan.steps] == ["Restart OpenVidu on media-1"]
    assert authorize(plan, OPERATOR, RULES).kind is AccessResult.ALLOWED, (
        "nothing runs there that could be disturbed"
    )


def test_the_last_media_node_that_serves_is_named_in_the_approval() -> None:
    plan = make_plan(ready(1), Restart("media-1"))
    assert plan.effects.special == ("no one can meet on acme until OpenVidu is restarted there",)
    assert plan.outage is not None
    assert 0 < plan.outage < 120


def _with_master(cluster: Cluster, index: int, **change: Any) -> Cluster:
    master = cluster.masters[index]
    return cluster.with_masters({master.name: replace(master, **change)})


@pytest.mark.parametrize(
    ("cluster", "procedure", "expected"),
    [
        (
            _with_master(ready(2), 3, healthy=False),
            Restart("master-1"),
            "master-4 is not healthy, and two masters are never down at once",
        ),
        (_with_master(ready(2), 3, status="off"), Restart("master-1"), "master-4 is not healthy"),
        (
            down(ready(2)),
            Restart("master-1"),
            r"acme is shut down. Start it with \[\[command startup\]\]",
        ),
        (
            ready(2),
            Restart("master-1", service=True),
            "master-1 cannot be reached over SSH .*omit `--service`",
        ),
        (ready(2), Restart("media-1", service=True), "`--service` is for masters"),
        (
            ready(2),
            Restart("master-7"),
            "acme has no node “master-7”. There are: master-1, master-2, master-3, master-4, "
            "media-1, media-2",
        ),
        (
            replace(ready(1), media=(replace(ready(1).media[0], look=INSTALLING),)),
            Restart("media-1"),
            "still installing",
        ),
        (
            replace(ready(1), media=(replace(ready(1).media[0], look=SILENT),)),
            Restart("media-1"),
            "cannot be observed over SSH",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_alternative(
    cluster: Cluster, procedure: Restart, expected: str
) -> None:
    with pytest.raises(Refused, match=expected):
        make_plan(cluster, procedure)


def test_the_unhealthy_master_itself_can_be_restarted() -> None:
    assert (
        steps(_with_master(ready(2), 1, healthy=False), Restart("master-2"))[0]
        == "Power off master 2"
    )
    assert (
        steps(_with_master(ready(2), 1, status="off", healthy=False), Restart("master-2"))[0]
        == "Power on master 2"
    )


# Stories


def test_a_masters_droplet_in_slack() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.estate.allow_rolling = True
            scene.estate.open_meeting(people=5, minutes=60)
            master = scene.estate.masters("acme")[1]
            boot = master.node.boot_id
            await scene.ana.type_text("COPS", "/openvidu restart master-2 --dry-run")
            dry = await scene.ephemeral("UANA", "Dry run: Restart master-2 of acme")
            assert "the other three masters stay in service" in str(dry.blocks)
            await request_and_approve(
                scene, "restart master-2", "requests approval: Restart master-2"
            )
            await run_ended(scene)
            await scene.card("master-2 of acme was restarted ·")
            assert master.node.boot_id != boot
            assert scene.estate.healthy(master)
            assert scene.estate.people_disconnected == 0

    virtual.run(story())


def test_only_openvidu_on_a_master_in_slack() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            master = scene.estate.masters("acme")[2]
            boot, start = master.node.boot_id, master.node.invocation
            await request_and_approve(
                scene, "restart master-3 --service", "Restart OpenVidu on master-3 of acme"
            )
            run = await run_ended(scene)
            await scene.card("OpenVidu on master-3 of acme was restarted ·")
            assert master.node.boot_id == boot
            assert master.node.invocation != start
            assert scene.estate.healthy(master)
            asked_for = [
                d
                for d, c, _ in scene.environment.shell.commands
                if c == "systemctl restart openvidu"
            ]
            assert asked_for == [master.id], "once, and nowhere else"
            assert "OpenVidu restarted on master 3" in run.stays_done

    virtual.run(story())


def test_a_media_node_in_slack_keeps_its_meeting_to_the_end() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.estate.open_meeting(people=5, minutes=25)
            busy = next(d for d in scene.estate.media("acme") if scene.estate.meetings_on(d.id))
            start = busy.node.containers["openvidu"].started_at
            name = f"media-{scene.estate.media('acme').index(busy) + 1}"
            await request_and_approve(scene, f"restart {name}", f"Restart {name} of acme")
            run = await run_ended(scene)
            assert run.ended_at - run.opened_at > 24 * 60
            assert busy.node.containers["openvidu"].started_at != start
            assert len(scene.estate.serving("acme")) == 2
            assert scene.estate.people_disconnected == 0

    virtual.run(story())


def test_at_its_deadline_people_may_end_the_meetings_and_it_serves_again() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            scene.estate.allow_disconnects = True
            scene.estate.open_meeting(people=5, minutes=600)
            await request_and_approve(
                scene,
                "restart media-1",
                "o one can meet on acme until OpenVidu is restarted there",
            )
            card = await question(scene)
            await scene.ben.press(card, "End these meetings")
            run = await run_ended(scene)
            assert titles(run)[-2:] == [
                "Stop OpenVidu on 1 media node",
                "Put 1 drained media node back into service",
            ]
            assert scene.estate.people_disconnected == 5
            assert len(scene.estate.serving("acme")) == 1

    virtual.run(story())


@pytest.mark.sampled(3)
@pytest.mark.parametrize("after", [0, 2, 15, 30, 45, 70, 150])
def test_a_cancel_never_leaves_the_master_off(after: float) -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            scene.estate.allow_rolling = True
            master = scene.estate.masters("acme")[1]
            await request_and_approve(
                scene, "restart master-2", "requests approval: Restart master-2"
            )
            await scene.run_is("acme-1", State.RUNNING)
            await scene.wait(after)
            await scene.ana.type_text("COPS", "/openvidu cancel acme-1")
            run = await scene.run_is("acme-1", State.CANCELLED, State.DONE)
            assert master.on
            assert (
                run.end_text == "nothing was changed"
                or run.state == State.DONE
                or "master 2 powered on" in run.end_text
            )

    virtual.run(story())


def test_resumed_it_does_not_go_off_a_second_time() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            scene.estate.allow_rolling = True
            master = scene.estate.masters("acme")[1]
            scene.environment.faults.add("web", "503", times=-1, match=f"{master.name} ")
            await request_and_approve(
                scene, "restart master-2", "requests approval: Restart master-2"
            )
            await scene.run_is("acme-1", State.STOPPED)
            boot = master.node.boot_id
            scene.environment.faults.rules.clear()
            await scene.ana.type_text("COPS", "/openvidu resume acme-1")
            await scene.run_is("acme-1", State.RUNNING, State.DONE)
            await run_ended(scene)
            assert master.node.boot_id == boot

    virtual.run(story())


# The status of one node


def test_status_of_a_master() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            master = scene.estate.masters("acme")[0]
            master.node.containers["grafana"].restarts = 4
            master.node.files["/var/log/openvidu/nodes_errors.log"] = (
                b"10.10.10.9: media node cannot reach redis\n"
            )
            master.node.journal += [
                "redis-server --requirepass hunter2hunter2 started",
                "export DO_TOKEN=dop_v1_" + "ab12" * 16,
                "LIVEKIT_API_SECRET=short mongo://mongoadmin:sesame@10.10.10.2/db",
                "<!channel> *hello*",
            ]
            await scene.dora.type_text("COPS", "/openvidu status master-1")
            shown = await scene.ephemeral("UDORA", "master-1 of acme: ")
            text = f"{shown.text} {shown.blocks}"
            for expected in (
                "Droplet: on",
                "Health page: answers",
                "Public address, through the load balancer: answers",
                "OpenVidu's unit: active",
                "12 of 12 containers run; look at grafana (running, 4 restarts)",
                "media node cannot reach redis",
                "Started openvidu.service",
                "--requirepass •••",
                "LIVEKIT",
            ):
                assert expected in text.replace("\u200b", "").replace("&gt;", ">"), expected
            for secret in ("hunter2", "ab12ab12", "short", "sesame", "<!channel>"):
                assert secret not in text, secret
            assert not any(canary in text for canary in scene.estate.canaries)

    virtual.run(story())


def test_status_of_a_media_node_and_of_one_that_does_not_answer() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.estate.open_meeting(people=7, minutes=60, recordings=1)
            busy = next(d for d in scene.estate.media("acme") if scene.estate.meetings_on(d.id))
            name = f"media-{scene.estate.media('acme').index(busy) + 1}"
            await scene.ana.type_text("COPS", f"/openvidu status {name}")
            shown = await scene.ephemeral("UANA", f"{name} of acme: ")
            assert "Meetings: in service, 1 meeting, 7 people, 1 recording" in shown.text
            assert "nodes_errors.log: nothing in it" in shown.text
            scene.environment.faults.switch("ssh_down")
            await scene.ana.type_text("COPS", "/openvidu status master-2")
            dark = await scene.ephemeral("UANA", "master-2 of acme: ")
            assert "Droplet: on" in dark.text
            assert "Inside: Connect call failed" in dark.text or "Inside: " in dark.text
            await scene.ana.type_text("COPS", "/openvidu status master-9")
            await scene.ephemeral("UANA", "acme has no node “master-9”. There are: master-1")

    virtual.run(story())


def test_help_says_what_stays_outside_chat() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            await scene.ana.type_text("COPS", "/openvidu help all")
            shown = await scene.ephemeral("UANA", "Not possible from Slack")
            for word in ("scale", "drain", "restart", "resize media", "status", "upgrade"):
                assert word in f"{shown.text} {shown.blocks}"
            for word in (
                "restic and mongodump",
                "restore",
                "uninstall",
                "openvidu.io",
            ):
                assert word in everything_read(scene)

    virtual.run(story())
