"""Upgrade OpenVidu in place through Slack, as the vendor's page orders it, and undo it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from services.access.policy import AccessResult, Actor, ClusterPolicy, authorize
from services.cluster.account_facts import AccountFact, AccountFacts
from services.cluster.installation import Installation, Updater, UpdateRecord, UpdateState
from services.cluster.model import Autoscaler, Cluster, SecretsState
from services.common.errors import Refused
from services.common.observed import Unobserved
from services.procedures import Upgrade
from services.procedures.plan import make_plan
from services.runs.run import Run, State
from services.secrets_env import SecretsFindings
from services.steps import (
    MediaServing,
    RecordVersion,
    RestoreMaster,
    StartServices,
    UpdateMaster,
)
from simulators.cloud.nodes import version_of
from tests.support import virtual
from tests.support.clusters import NOW, autoscaled, down, fixed, ready
from tests.support.coverage_level import by_level
from tests.support.scene import Scene
from tests.support.short_scene import short_scene
from tests.support.stories import everything_read, in_full, request_and_approve, run_ended, titles

SEES = "Upgrade acme to OpenVidu 3.7.0"
OLD = Installation("3.6.1", "active", 80_000)
SECOND = "acme-master-node-2"
ENV = "/opt/openvidu/config/cluster/openvidu.env"


@asynccontextmanager
async def quick(**options: Any) -> AsyncIterator[Scene]:
    """Return a scene in which less time passes between the same events."""
    async with short_scene(**options) as scene:
        scene.estate.delays = replace(scene.estate.delays, update=40)
        await scene.start_bot()
        yield scene


def versions(scene: Scene) -> set[str]:
    nodes = [*scene.estate.masters("acme"), *scene.estate.media("acme")]
    return {version_of(d) for d in nodes}


def in_bucket(scene: Scene) -> bytes:
    file = scene.environment.spaces.read(scene.estate.clusters["acme"].bucket, "secrets.env")
    lines = (file or b"").splitlines()
    return next(line for line in lines if line.startswith(b"OPENVIDU_VERSION="))


def serves(scene: Scene, media: int = 2) -> None:
    assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
    assert len(scene.estate.serving("acme")) == media


def rolled_back(scene: Scene) -> None:
    """Everything is as it was: versions, configuration, bucket, and no marker is left."""
    serves(scene)
    assert versions(scene) == {"3.6.1"}
    assert in_bucket(scene) == b"OPENVIDU_VERSION=3.6.1"
    for master in scene.estate.masters("acme"):
        assert b"NEW=" not in master.node.files[ENV]
        assert not [p for p in master.node.files if p.startswith("/var/lib/openvidu-bot/update-")]


# --- the vendor's page


@pytest.mark.parametrize("kind", ["pool", "autoscaler"])
def test_the_vendors_page_in_slack(kind: Any) -> None:
    async def story() -> None:
        async with quick(media=2, kind=kind) as scene:
            scene.estate.open_meeting(people=4, minutes=20)
            await request_and_approve(scene, "upgrade 3.7.0", SEES)
            run = await run_ended(scene)
            assert versions(scene) == {"3.7.0"}
            assert in_bucket(scene) == b"OPENVIDU_VERSION=3.7.0"
            serves(scene, 2 if kind == "pool" else 1)
            page = titles(run)
            middle = page.index("Update master 1 to 3.7.0 with update.sh")
            assert page[:3] == [
                "Download update.sh of 3.7.0 to masters 1-4",
                "Copy secrets.env within the bucket",
                "Snapshot masters 1-4",
            ]
            assert page[middle : middle + 8] == [
                *(f"Update master {n} to 3.7.0 with update.sh" for n in range(1, 5)),
                "Write OPENVIDU_VERSION 3.7.0 to secrets.env (the old file is kept)",
                "Start OpenVidu 3.7.0 on masters 1-4",
                "Wait until masters 1-4 are healthy",
                "Verify that the public address answers",
            ]
            assert page[-1] == "Verify that every node has OpenVidu 3.7.0"
            assert [name for name, _ in scene.estate.updates.runs] == [
                m.name for m in scene.estate.masters("acme")
            ], "once on each, one after the other"
            assert "acme runs OpenVidu 3.7.0" in everything_read(scene)

    virtual.run(story())


def test_the_card_names_the_way_back_and_where_it_ends_before_anyone_presses() -> None:
    async def story() -> None:
        async with quick(media=2) as scene:
            await scene.ana.type_text("COPS", "/openvidu upgrade 3.7.0")
            card = await scene.card(SEES)
            text = await in_full(scene.ana, card)
            for part in (
                "a failure restores the old version by itself",
                "Point of no return",
                "Restore OpenVidu 3.6.1 on master 4 from its backup",
                "the databases are opened by OpenVidu 3.7.0",
                "$0.06 a month for each GB",
                "OpenVidu recommends a new deployment",
                "The autoscale pool stays",
            ):
                assert part in text, part

    virtual.run(story())


def test_a_cluster_with_that_version_has_nothing_to_do() -> None:
    async def story() -> None:
        async with quick(media=2) as scene:
            await scene.ana.type_text("COPS", "/openvidu upgrade 3.6.1")
            await scene.ephemeral("UANA", "acme runs OpenVidu 3.6.1")
            assert scene.estate.updates.runs == []

    virtual.run(story())


@pytest.mark.thorough
def test_a_version_that_the_bucket_missed_is_corrected_with_new_media_nodes() -> None:
    async def story() -> None:
        async with quick(media=2) as scene:
            spaces, bucket = scene.environment.spaces, scene.estate.clusters["acme"].bucket
            file = spaces.read(bucket, "secrets.env") or b""
            spaces.write(bucket, "secrets.env", file.replace(b"VERSION=3.6.1", b"VERSION=3.6.0"))
            node = scene.estate.media("acme")[0].node
            node.files["/opt/openvidu/deployment-info.yaml"] = b"version: 3.6.0\n"
            await request_and_approve(scene, "upgrade 3.6.1", "Upgrade acme to OpenVidu 3.6.1")
            await run_ended(scene)
            assert versions(scene) == {"3.6.1"}
            assert in_bucket(scene) == b"OPENVIDU_VERSION=3.6.1"
            assert scene.estate.updates.runs == []
            serves(scene)

    virtual.run(story())


# --- what goes wrong, and the way back


@pytest.mark.sampled
@pytest.mark.parametrize("trouble", ["docker", "middle", "unchanged"])
@pytest.mark.parametrize("kind", ["pool", "autoscaler"])
def test_a_failed_update_is_rolled_back(trouble: str, kind: Any) -> None:
    async def story() -> None:
        async with quick(media=2, kind=kind) as scene:
            scene.estate.updates.trouble[SECOND] = trouble
            await request_and_approve(scene, "upgrade 3.7.0", SEES)
            run = await run_ended(scene, State.ROLLED_BACK)
            assert "master-2" in run.recovering
            assert len(scene.estate.updates.runs) == 2
            if kind == "pool":
                rolled_back(scene)
            assert versions(scene) == {"3.6.1"}

    virtual.run(story())


@pytest.mark.thorough
def test_after_a_rollback_the_same_version_can_be_tried_again() -> None:
    async def story() -> None:
        async with quick(media=2) as scene:
            scene.estate.updates.trouble[SECOND] = "middle"
            await request_and_approve(scene, "upgrade 3.7.0", SEES)
            await run_ended(scene, State.ROLLED_BACK)
            rolled_back(scene)
            scene.estate.updates.trouble.clear()
            await request_and_approve(scene, "upgrade 3.7.0", SEES)
            await run_ended(scene, run="acme-2")
            assert versions(scene) == {"3.7.0"}

    virtual.run(story())


def test_a_master_that_others_updated_is_named_at_once_when_the_others_are_restored() -> None:
    cluster = seen(ready(2), OLD, replace(OLD, version="3.8.0"), OLD, OLD)
    master = cluster.masters[1].name
    step = RestoreMaster(master, "3.6.1", "3.7.0")
    assert "master-2 has OpenVidu 3.8.0, which the bot did not install" in step.blocker(cluster)
    assert step.blocker(seen(ready(2))) == ""


def test_a_reboot_in_the_middle_is_seen_and_update_sh_is_not_repeated() -> None:
    async def story() -> None:
        async with quick(media=2) as scene:
            await request_and_approve(scene, "upgrade 3.7.0", SEES)
            await _until_updating(scene, SECOND)
            master = next(m for m in scene.estate.masters("acme") if m.name == SECOND)
            with scene.estate.by_administrator():
                scene.estate.nodes.power_down(master, "a power cut")
                scene.estate.nodes.power_up(master)
            run = await run_ended(scene, State.ROLLED_BACK)
            assert "was interrupted on master-2, and is never repeated" in run.recovering
            assert [n for n, _ in scene.estate.updates.runs].count(SECOND) == 1
            rolled_back(scene)

    virtual.run(story())


@pytest.mark.thorough
def test_a_master_that_others_power_off_stops_the_run_and_nothing_runs_twice() -> None:
    async def story() -> None:
        async with quick(media=2) as scene:
            await request_and_approve(scene, "upgrade 3.7.0", SEES)
            await _until_updating(scene, SECOND)
            master = next(m for m in scene.estate.masters("acme") if m.name == SECOND)
            with scene.estate.by_administrator():
                scene.estate.nodes.power_down(master, "somebody")
                master.status = "off"
            run = await scene.run_is("acme-1", State.STOPPED, timeout=24 * 3600.0)
            assert "master 2 is powered off" in run.stopped
            assert [n for n, _ in scene.estate.updates.runs].count(SECOND) == 1

    virtual.run(story())


@pytest.mark.thorough
def test_a_lost_connection_does_not_interrupt_the_update() -> None:
    async def story() -> None:
        async with quick(media=2) as scene:
            for times in range(2):
                scene.environment.faults.add(
                    "ssh", "cut-after", match="script=/var/lib/openvidu-bot", skip=times
                )
            await request_and_approve(scene, "upgrade 3.7.0", SEES)
            await run_ended(scene)
            assert versions(scene) == {"3.7.0"}
            assert len(scene.estate.updates.runs) == 4

    virtual.run(story())


@pytest.mark.thorough
def test_an_update_that_never_ends_is_not_undone_under_it() -> None:
    async def story() -> None:
        async with quick(media=2) as scene:
            scene.estate.updates.trouble[SECOND] = "endless"
            await request_and_approve(scene, "upgrade 3.7.0", SEES)
            run = await scene.run_is("acme-1", State.STOPPED, timeout=24 * 3600.0)
            assert "Update master 2 to 3.7.0" in run.recovering
            assert "Restore OpenVidu 3.6.1 on master 2" in run.stopped
            assert b"NEW" not in scene.estate.masters("acme")[2].node.files[ENV]
            assert len(scene.estate.updates.runs) == 2

    virtual.run(story())


@pytest.mark.thorough
def test_after_the_start_nothing_is_rolled_back_by_itself() -> None:
    async def story() -> None:
        async with quick(media=2) as scene:
            await request_and_approve(scene, "upgrade 3.7.0", SEES)
            await _until(scene, "Wait until masters 1-4 are healthy")
            scene.environment.faults.add("web", "503", match=SECOND, times=-1)
            run = await scene.run_is("acme-1", State.STOPPED, timeout=24 * 3600.0)
            assert not run.recovering
            assert {version_of(m) for m in scene.estate.masters("acme")} == {"3.7.0"}

    virtual.run(story())


def test_a_version_that_cannot_be_downloaded_drains_nothing() -> None:
    async def story() -> None:
        async with quick(media=2) as scene:
            scene.estate.updates.withdrawn.add("3.7.0")
            await request_and_approve(scene, "upgrade 3.7.0", SEES)
            run = await run_ended(scene, State.ROLLED_BACK)
            assert "404" in run.recovering
            assert scene.estate.signals == {}
            assert scene.estate.snapshots == {}
            rolled_back(scene)

    virtual.run(story())


@pytest.mark.thorough
def test_cancelled_anywhere_no_two_versions_are_left_behind() -> None:
    points = len(make_plan(seen(ready(2)), Upgrade("3.7.0")).steps)

    async def story(at: int) -> None:
        async with quick(media=2) as scene:
            operations = scene.bot.operations
            await request_and_approve(scene, "upgrade 3.7.0", SEES)
            run = await scene.run_is("acme-1", State.RUNNING)
            while run.position < at and not run.over:
                await scene.wait(2)
                run = await operations.journal.run("acme-1")
            if run.over:
                return
            await operations.service.cancel("acme-1", Actor("UANA"))
            run = await scene.run_is("acme-1", State.CANCELLED, State.DONE, timeout=6 * 3600.0)
            masters = scene.estate.masters("acme")
            (version,) = {version_of(m) for m in masters}
            assert in_bucket(scene) == b"OPENVIDU_VERSION=" + version.encode()
            assert {m.node.unit for m in masters} == {"active"}
            assert all(not m.node.updating for m in masters)

    for at in range(0, points, by_level(6, 1, 1)):
        virtual.run(story(at))


async def _until(scene: Scene, title: str) -> Run:
    await scene.run_is("acme-1", State.RUNNING)
    for _ in range(20_000):
        run = await scene.bot.operations.journal.run("acme-1")
        if run.step is not None and run.step.title() == title:
            return run
        await scene.wait(1)
    raise AssertionError(f"it never came to {title!r}")


async def _until_updating(scene: Scene, name: str) -> None:
    await _until(scene, "Update master 2 to 3.7.0 with update.sh")
    for _ in range(1000):
        if name in [n for n, _ in scene.estate.updates.runs]:
            return await scene.wait(30)
        await scene.wait(1)
    raise AssertionError("update.sh did not begin")


# --- refusals


def seen(cluster: Cluster, *masters: Installation | Unobserved, **more: Any) -> Cluster:
    """Return the cluster with what a look shows of its versions and its bucket."""
    each = masters or (OLD,) * 4
    installed = tuple(
        replace(m, installation=i) for m, i in zip(cluster.masters, each, strict=True)
    )
    media = tuple(replace(n, droplet=replace(n.droplet, installation=OLD)) for n in cluster.media)
    known: dict[str, Any] = {
        "has_bucket": True,
        "snapshots": (),
        "secrets_copies": (),
        "secrets": SecretsState("d1", version="3.6.1"),
        "lint": SecretsFindings(),
    }
    return replace(cluster, masters=installed, media=media, **{**known, **more})


def with_record(record: UpdateRecord, version: str = "3.6.1") -> tuple[Installation, ...]:
    return (OLD, replace(OLD, version=version, updates=(record,)), OLD, OLD)


FULL = replace(OLD, free=2048)
ZERO = AccountFacts((AccountFact("zero", "refused", NOW),))
AN_APPLY = "only `terraform apply` replaces with"


REFUSALS: list[tuple[Cluster, str, str]] = [
    (seen(ready(2)), "latest", "“latest” is no release of OpenVidu: use three numbers"),
    (seen(ready(2)), "3.7", "“3.7” is no release"),
    (seen(ready(2)), "3.7.0; reboot", "is no release"),
    (seen(ready(2)), "3.6.0", "3.6.0 is older than the 3.6.1 that the masters have"),
    (seen(ready(2)), "3.6.9", "update.sh has no path from 3.6.1 to 3.6.9"),
    (seen(ready(2)), "3.9.0", "skips releases"),
    (seen(ready(2)), "4.0.0", "skips releases"),
    (
        seen(ready(2), *(replace(OLD, version="3.5.0"),) * 4),
        "3.6.1",
        "DigitalOcean begins with 3.6.0",
    ),
    (
        seen(
            ready(2),
            *(replace(OLD, version="3.6.0"),) * 4,
            secrets=SecretsState("d", version="3.6.0"),
        ),
        "3.7.0",
        r"leads through 3.6.1. Run \[\[command upgrade 3.6.1\]\] first",
    ),
    (
        seen(ready(2), OLD, replace(OLD, version="3.6.0"), OLD, OLD),
        "3.7.0",
        r"different versions of OpenVidu \(master-1 3.6.1, master-2 3.6.0,",
    ),
    (
        seen(ready(2), OLD, replace(OLD, version="3.7.0"), OLD, OLD),
        "3.7.0",
        "different versions of OpenVidu",
    ),
    (
        seen(ready(2), OLD, Unobserved("ssh does not answer"), OLD, OLD),
        "3.7.0",
        "the version on master-2 is unknown: ssh does not answer",
    ),
    (
        seen(ready(2), *(Unobserved("ssh does not answer"),) * 4),
        "3.6.1",
        "the version on master-1 is unknown",
    ),
    (
        replace(seen(ready(1)), media=ready(1).media),
        "3.6.1",
        "the version on media-1 is unknown",
    ),
    (seen(ready(2), FULL, OLD, OLD, OLD), "3.7.0", "master-1 has 2.0 GB free, .* needs 10 GB"),
    (
        seen(ready(2), replace(OLD, free=None), OLD, OLD, OLD),
        "3.7.0",
        "how much disk is free on master-1 is unknown",
    ),
    (seen(ready(2), has_bucket=False), "3.7.0", "no bucket is configured"),
    (seen(ready(2), secrets=None), "3.7.0", "the bucket with secrets.env cannot be read"),
    (
        seen(ready(2), secrets=SecretsState("d1")),
        "3.7.0",
        "secrets.env names no OPENVIDU_VERSION",
    ),
    (
        seen(ready(2), secrets=SecretsState("d1", version="3.6.0")),
        "3.7.0",
        r"names OpenVidu 3.6.0, and the masters have 3.6.1. Run \[\[command upgrade 3.6.1\]\]",
    ),
    (seen(ready(2), snapshots=None), "3.7.0", "list of snapshots cannot be read"),
    (seen(down(ready(2))), "3.7.0", "acme is shut down"),
    (
        seen(ready(2)).with_masters({SECOND: replace(ready(2).masters[1], status="off")}),
        "3.7.0",
        "master-2 is not powered on, and every master is upgraded",
    ),
    (
        seen(ready(2).with_masters({SECOND: replace(ready(2).masters[1], healthy=False)})),
        "3.7.0",
        "master-2 is not healthy, and only a healthy cluster is upgraded",
    ),
    (seen(fixed(2)), "3.7.0", AN_APPLY),
    (seen(ready(2), account=ZERO), "3.7.0", "does not accept a pool of 0"),
    (seen(ready(2), zero_refused=True), "3.7.0", "does not accept a pool of 0"),
    (
        seen(autoscaled(2, autoscaler=Autoscaler("fn-1", "acme-autoscale-cron"))),
        "3.7.0",
        "No media nodes would be added afterwards",
    ),
    (
        seen(ready(2), *with_record(UpdateRecord("3.7.0", UpdateState.INTERRUPTED))),
        "3.7.0",
        "the update to 3.7.0 was interrupted on master-2 and is not repeated",
    ),
    (
        seen(ready(2), *with_record(UpdateRecord("3.7.0", UpdateState.ENDED, 1))),
        "3.7.0",
        "ended with status 1 on master-2 and is not repeated",
    ),
    (
        seen(ready(2), *with_record(UpdateRecord("3.7.0", UpdateState.ENDED, 0))),
        "3.7.0",
        "an earlier update of master-2 to 3.7.0 ended, and it has 3.6.1 now",
    ),
    (replace(seen(ready(2)), problem="two fleets"), "3.7.0", "two fleets"),
    (
        replace(seen(ready(2)), secrets=SecretsState("d", version="3.6.1", lock_age=7200.0)),
        "3.7.0",
        "lock.lock has been in the bucket for 2 h",
    ),
    (seen(ready(2)), "3.8.٠", "is no release of OpenVidu"),
    (seen(ready(2)), "3.08.0", "is no release of OpenVidu"),
]


def test_what_makes_no_sense_is_refused_with_its_reason() -> None:
    for cluster, version, expected in REFUSALS:
        with pytest.raises(Refused, match=expected):
            make_plan(cluster, Upgrade(version))


def test_openvidu_is_started_when_it_runs_on_every_master() -> None:
    names = tuple(m.name for m in ready(2).masters)
    step = StartServices(names, "3.6.1")
    stopped = replace(OLD, unit="inactive")
    assert step.is_done(seen(ready(2)))
    assert not step.is_done(seen(ready(2), OLD, stopped, OLD, OLD))
    assert not step.is_done(seen(ready(2), OLD, Unobserved("ssh does not answer"), OLD, OLD))
    newer = replace(stopped, version="3.7.0")
    assert "no two versions are started together" in step.blocker(
        seen(ready(2), OLD, newer, OLD, OLD)
    )


def test_a_rollback_starts_openvidu_before_it_needs_the_bucket() -> None:
    """A bucket that cannot be read must not leave the masters stopped with their old version."""
    cluster = seen(ready(2))
    plan = make_plan(cluster, Upgrade("3.7.0"))
    (update, *_) = [s for s in plan.steps if isinstance(s, UpdateMaster)]
    back = [type(step) for step in Upgrade("3.7.0").recover(cluster, update)]
    assert back.index(StartServices) < back.index(RecordVersion)
    assert back.index(RecordVersion) < back.index(MediaServing), "they install what it names"


def test_a_newer_release_than_the_bot_knows_is_planned_with_a_warning() -> None:
    now = replace(OLD, version="3.7.0")
    secrets = SecretsState("d", version="3.7.0")
    plan = make_plan(seen(ready(2), now, now, now, now, secrets=secrets), Upgrade("3.8.0"))
    assert "3.8.0 is newer than what this bot knows" in plan.notes[0]


def test_an_upgrade_that_was_left_goes_on_where_it_is() -> None:
    done = replace(
        OLD,
        version="3.7.0",
        unit="inactive",
        updates=(UpdateRecord("3.7.0", UpdateState.ENDED, 0),),
        updaters=(Updater("3.7.0", "3.7.0", (("3.6.1", "3.7.0"),)),),
    )
    waits = replace(OLD, updaters=done.updaters)
    plan = make_plan(seen(ready(2), done, waits, waits, waits), Upgrade("3.7.0"))
    found = [s.title() for s in plan.steps]
    assert "Update master 1 to 3.7.0 with update.sh" not in found
    assert "Update master 2 to 3.7.0 with update.sh" in found
    assert not [t for t in found if "Snapshot" in t], "the old version can no longer be kept"


def test_it_needs_approval_and_says_that_the_cluster_is_out_of_service() -> None:
    plan = make_plan(seen(ready(2)), Upgrade("3.7.0"))
    rules = ClusterPolicy(operators=frozenset({"UANA"}), approvers=frozenset({"UBEN"}))
    assert authorize(plan, Actor("UANA"), rules).kind is AccessResult.NEEDS_APPROVAL
    assert plan.effects.down
    assert plan.effects.stops_masters
    assert plan.outage is not None
    assert plan.outage > 4 * 300
    now = replace(OLD, version="3.7.0")
    secrets = SecretsState("d1", version="3.7.0")
    other = make_plan(seen(ready(2), now, now, now, now, secrets=secrets), Upgrade("3.8.0"))
    assert plan.digest != other.digest, "an approval covers the exact version"


# --- other deployments


def test_elastic_has_one_master_and_the_same_page() -> None:
    async def story() -> None:
        async with quick(media=2, deployment="elastic") as scene:
            scene.estate.open_meeting(people=4, minutes=20)
            await request_and_approve(scene, "upgrade 3.7.0", SEES)
            run = await run_ended(scene)
            assert versions(scene) == {"3.7.0"}
            page = titles(run)
            assert "Update the master to 3.7.0 with update.sh" in page
            assert "Start OpenVidu 3.7.0 on the master" in page
            assert len(scene.estate.updates.runs) == 1

    virtual.run(story())


def test_a_single_node_is_refused_by_name() -> None:
    async def story() -> None:
        async with quick(deployment="single node") as scene:
            await scene.ana.type_text("COPS", "/openvidu upgrade 3.8.0")
            await scene.ephemeral("UANA", "acme is a single node: its meetings run on the droplet")
            assert scene.estate.updates.runs == []

    virtual.run(story())
