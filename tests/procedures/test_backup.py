"""Backups: taken live or inside a shutdown, listed, pruned; restored by a person, as described."""

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from services.access.policy import Actor
from services.cluster.backups import (
    backup_label,
    backups,
    deletable_backups,
    made_by_bot,
    snapshot_name,
)
from services.cluster.model import Cluster, Snapshot
from services.common.errors import Refused
from services.procedures import BackupCreate, BackupPrune
from services.procedures.plan import make_plan
from services.runs.run import State
from services.secrets_env import SecretsFindings
from services.steps import DropBackups
from simulators.cloud.model import SimulatedDroplet
from simulators.cloud.model import SimulatedSnapshot as Image
from tests.support import virtual
from tests.support.clusters import down, ready
from tests.support.scene import Scene
from tests.support.stories import request_and_approve, whole

ANA = Actor("UANA", "T0ACME")


def stored(scene: Scene, key: str) -> bytes | None:
    """Return the object in the cluster's bucket; None when there is none."""
    return scene.environment.spaces.read(scene.estate.clusters["acme"].bucket, key)


def copy_of(label: str) -> str:
    """Return the key of the copy of secrets.env that belongs to this backup."""
    return f"openvidu-bot/backups/{label}/secrets.env"


def held(*days: int, kind: str = "backup", masters: int = 4, off: str = "") -> tuple[Snapshot, ...]:
    return tuple(
        Snapshot(
            f"{d}-{n}",
            f"acme-{kind}-202701{d:02d}T080000Z-master-{n}{off}",
            n,
            size=Decimal("5.20"),
        )
        for d in days
        for n in range(1, masters + 1)
    )


def stocked(*snapshots: Snapshot, **more: Any) -> Cluster:
    return replace(ready(), snapshots=snapshots, **more)


def labels(cluster: Cluster) -> list[str]:
    return [b.label for b in deletable_backups(cluster)]


# What is a backup


def test_a_name_holds_the_stack_the_time_and_the_master() -> None:
    created = snapshot_name(
        backup_label("acme", "backup", "20270115T080000Z"), "acme-master-node-2", off=True
    )
    assert created == "acme-backup-20270115T080000Z-master-2-off"
    assert made_by_bot("acme", created)
    for other in (
        "before the upgrade",
        "acme-2-backup-20270115T080000Z-master-1",
        "acme-backup-20270115T080000Z",
        f"{created}-copy",
    ):
        assert not made_by_bot("acme", other), other
    assert made_by_bot("acme-2", "acme-2-backup-20270115T080000Z-master-1")


def test_the_newest_come_first_and_only_complete_ones_count() -> None:
    cluster = stocked(
        *held(1, 3),
        *held(2, masters=3),
        *held(4, kind="resize"),
        Snapshot("x", "before the upgrade", 1),
    )
    created = backups(cluster)
    assert [b.label[-16:-8] for b in created] == ["20270104", "20270103", "20270102", "20270101"]
    assert [b.complete for b in created] == [False, True, False, True]
    assert created[1].size == Decimal("20.80")
    assert created[1].monthly == Decimal("1.248")


# Pruning


def test_the_newest_ones_stay_and_older_ones_are_deleted() -> None:
    cluster = stocked(*held(1, 2, 3, 4, 5), keep_backups=3)
    assert labels(cluster) == ["acme-backup-20270102T080000Z", "acme-backup-20270101T080000Z"]


def test_the_last_complete_one_is_never_pruned_and_incomplete_ones_do_not_count() -> None:
    assert labels(stocked(*held(1), keep_backups=1)) == []
    assert labels(stocked(*held(1), *held(2, 3, masters=2), keep_backups=1)) == []
    assert labels(stocked(*held(1, 2, masters=2))) == [], "nothing whole is there: everything stays"
    assert labels(stocked(*held(1, masters=2), *held(2, 3), keep_backups=1)) == [
        "acme-backup-20270102T080000Z",
        "acme-backup-20270101T080000Z",
    ]


def test_snapshots_of_others_are_never_touched() -> None:
    own, other = held(1, 2, 3, 4), Snapshot("x", "before the upgrade", 1)
    near = Snapshot("y", "acme-2-backup-20270101T080000Z-master-1", 99)
    plan = make_plan(stocked(*own, other, near, keep_backups=1), BackupPrune())
    assert [s.title() for s in plan.steps] == ["Delete 3 old backups (12 snapshots)"]
    (drop,) = plan.steps
    assert isinstance(drop, DropBackups)
    assert {"x", "y"}.isdisjoint(drop.snapshots)
    assert plan.money == "saves $3.74 a month (62.4 GB of snapshots at $0.06)"
    assert plan.effects.special[0].startswith("deletes acme-backup-20270103T080000Z, ")


def test_an_unknown_list_is_not_an_empty_one() -> None:
    for procedure in (BackupCreate(), BackupPrune()):
        with pytest.raises(Refused, match="snapshot:read"):
            make_plan(replace(ready(), snapshots=None), procedure)


# The plan


def test_the_plan_says_whether_the_disks_are_at_rest() -> None:
    live = make_plan(stocked(), BackupCreate())
    assert [s.title() for s in live.steps] == [
        "Count the documents in the database",
        "Snapshot masters 1-4",
    ]
    assert "crash-consistent" in live.notes[0]
    assert not live.effects.down
    off = make_plan(stocked(has_bucket=True, lint=SecretsFindings()), BackupCreate(offline=True))
    assert [s.title() for s in off.steps][:7] == [
        "Count the documents in the database",
        "Copy secrets.env within the bucket",
        "Drain 3 media nodes",
        "Set media pool to 0",
        "Verify that media droplets are deleted",
        "Power off masters 1-4",
        "Snapshot masters 1-4",
    ]
    assert off.steps[-1].title() == "Wait until 3 media nodes are in service"
    assert "are consistent" in off.notes[0]
    assert off.outage is not None


def test_a_cluster_that_is_down_is_backed_up_as_it_is() -> None:
    plan = make_plan(replace(down(ready()), snapshots=()), BackupCreate())
    assert [s.title() for s in plan.steps] == ["Snapshot masters 1-4"]
    assert "are consistent" in plan.notes[0]


def test_the_digest_does_not_depend_on_the_time() -> None:
    cluster = stocked()
    assert (
        make_plan(cluster, BackupCreate()).digest
        == make_plan(replace(cluster, seen_at=cluster.seen_at + 60), BackupCreate()).digest
    )


# In Slack


def images(scene: Scene) -> list[str]:
    return sorted(s.name for s in scene.estate.snapshots.values())


def test_a_live_backup_disconnects_no_one() -> None:
    async def story() -> None:
        async with Scene() as scene:
            scene.estate.open_meeting(people=5, minutes=30, recordings=1)
            await scene.ana.type_text("COPS", "/openvidu backup create --dry-run")
            answer = whole(await scene.ephemeral("UANA", "Dry run: Back up acme"))
            wanted = (
                "disconnected",
                "only crash-consistent",
                "$0.06 a month",
                "Takes about",
                "2. Copy secrets.env",
                "3. Snapshot",
            )
            for expected in wanted:
                assert expected in answer, f"{expected!r} in {answer}"
            assert images(scene) == []
            await scene.ana.type_text("COPS", "/openvidu backup create --now")
            await scene.card("acme is backed up ·")
            created = images(scene)
            assert len(created) == 4
            text = created[0].removesuffix("-master-1")
            assert created == [f"{text}-master-{n}" for n in range(1, 5)]
            assert stored(scene, copy_of(text)) == stored(scene, "secrets.env")
            assert len(scene.estate.serving("acme")) == 3
            await scene.ana.type_text("COPS", "/openvidu status")
            card = await scene.ephemeral("UANA", "Cost now")
            assert re.search(r"\*Backups\*\\n\d+ \w+ old \(live\)", str(card.blocks))

    virtual.run(story())


def test_an_offline_backup_goes_down_and_comes_back() -> None:
    async def story() -> None:
        async with Scene() as scene:
            scene.estate.open_meeting(people=5, minutes=12)
            await scene.ana.type_text("COPS", "/openvidu backup create --offline")
            card = await scene.card("Back up acme")
            assert "New meetings blocked; back in service after" in card.text
            await scene.ben.press(card, "Approve")
            await scene.card("acme is backed up ·")
            assert [n.endswith("-off") for n in images(scene)] == [True] * 4
            assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
            assert len(scene.estate.serving("acme")) == 3

    virtual.run(story())


def test_a_failed_snapshot_is_reported_and_an_offline_one_starts_everything_again() -> None:
    def fails(kind: str, droplet: SimulatedDroplet) -> str:
        return "errored" if kind == "snapshot" and droplet.name.endswith("-2") else "done"

    async def story() -> None:
        async with Scene() as scene:
            scene.estate.outcome = fails
            await scene.ana.type_text("COPS", "/openvidu backup create --now")
            await scene.card(
                "acme-1 is paused. “Snapshot masters 1-4” failed: "
                "DigitalOcean could not snapshot master 2"
            )
            await scene.bot.operations.service.abandon("acme-1", ANA)
            await scene.ana.type_text("COPS", "/openvidu backup create --offline")
            await scene.ben.press(await scene.card("Back up acme"), "Approve")
            await scene.card("acme-2 failed and was rolled back ·")
            assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
            assert len(scene.estate.serving("acme")) == 3
            await scene.ana.type_text("COPS", "/openvidu backup list")
            answer = (await scene.ephemeral("UANA", "Backups of acme:")).text
            assert answer.count("incomplete: only master-1, master-3, master-4") == 2

    virtual.run(story())


def test_a_failed_backup_resumes_where_it_failed() -> None:
    """Resume requests the one missing snapshot, under the same label."""

    async def story() -> None:
        async with Scene() as scene:
            scene.estate.outcome = lambda kind, droplet: (
                "errored" if kind == "snapshot" and droplet.name.endswith("-2") else "done"
            )
            await scene.ana.type_text("COPS", "/openvidu backup create --now")
            await scene.card("acme-1 is paused")
            scene.estate.outcome = lambda _kind, _droplet: "done"
            await scene.bot.operations.service.resume("acme-1", ANA)
            await scene.card("acme is backed up ·")
            assert len(images(scene)) == 4
            assert len({n[: n.index("-master")] for n in images(scene)}) == 1

    virtual.run(story())


@pytest.mark.parametrize("kind", ["500-after", "reset-after", "503-before", "429-minute"])
def test_a_lost_answer_does_not_make_a_second_snapshot(kind: str) -> None:
    async def story() -> None:
        async with Scene() as scene:
            scene.environment.faults.add("digitalocean", kind, match="POST", skip=1, times=2)
            await scene.ana.type_text("COPS", "/openvidu backup create --now")
            await scene.card("acme is backed up ·")
            assert len(images(scene)) == 4
            assert len([a for a in scene.estate.actions.values() if a.type == "snapshot"]) == 4

    virtual.run(story())


def test_a_master_that_is_busy_with_something_else_is_snapshotted_afterwards() -> None:
    async def story() -> None:
        async with Scene() as scene:
            second = scene.estate.masters("acme")[1]
            scene.estate.power.request(second.id, "snapshot", {"name": "by hand"})
            await scene.ana.type_text("COPS", "/openvidu backup create --now")
            await scene.card("acme is backed up ·")
            assert len(images(scene)) == 5
            assert len([n for n in images(scene) if n.startswith("acme-backup-")]) == 4

    virtual.run(story())


def old_backups(scene: Scene, count: int) -> None:
    """Add snapshots of earlier days: several of the bot, and one made by hand."""
    for day in range(1, count + 1):
        for n, m in enumerate(scene.estate.masters("acme"), 1):
            text = f"acme-backup-202701{day:02d}T020000Z-master-{n}"
            created = Image(scene.estate.number(), text, m.id, m.region, m.disk, scene.clock.now())
            scene.estate.snapshots[created.id] = created
            m.snapshot_ids.append(created.id)
    hand = Image(
        scene.estate.number(),
        "before the upgrade",
        scene.estate.masters("acme")[0].id,
        "ams3",
        160,
        scene.clock.now(),
    )
    scene.estate.snapshots[hand.id] = hand
    scene.estate.masters("acme")[0].snapshot_ids.append(hand.id)


def test_pruning_needs_approval_and_leaves_the_newest() -> None:
    async def story() -> None:
        async with Scene(policy={"keep_backups": 2}) as scene:
            old_backups(scene, 4)
            for day in (1, 4):
                key = copy_of(f"acme-backup-202701{day:02d}T020000Z")
                scene.environment.spaces.write(scene.estate.clusters["acme"].bucket, key, b"")
            await scene.ana.type_text("COPS", "/openvidu backup list")
            answer = (await scene.ephemeral("UANA", "Backups of acme:")).text
            assert "keeps the newest 2 complete ones and would delete 2" in answer
            await scene.ana.type_text("COPS", "/openvidu backup prune")
            card = await scene.card("Prune the backups of acme")
            assert (
                "Deletes acme-backup-20270102T020000Z and "
                "acme-backup-20270101T020000Z permanently" in card.text
            )
            assert len(images(scene)) == 17, "nothing before the approval"
            await scene.ben.press(card, "Approve")
            await scene.card("acme has only its newest backups")
            left = images(scene)
            assert len(left) == 9
            assert "before the upgrade" in left
            assert {n[12:20] for n in left if n.startswith("acme")} == {"20270103", "20270104"}
            assert stored(scene, copy_of("acme-backup-20270101T020000Z")) is None
            assert stored(scene, copy_of("acme-backup-20270104T020000Z")) is not None
            await scene.ana.type_text("COPS", "/openvidu backup prune")
            await scene.ephemeral("UANA", "nothing to do")

    virtual.run(story())


def test_a_single_list_without_snapshots_does_not_end_a_prune() -> None:
    async def story() -> None:
        async with Scene(policy={"keep_backups": 2}) as scene:
            old_backups(scene, 4)
            await request_and_approve(scene, "backup prune", "Prune the backups of acme")
            scene.environment.faults.add(
                "digitalocean", "503-before", "DELETE /v2/snapshots", times=8
            )
            scene.environment.faults.add(
                "digitalocean", "list-empty", "GET /v2/snapshots", times=1, skip=1
            )
            await scene.card("acme has only its newest backups")
            assert {n[12:20] for n in images(scene) if n.startswith("acme")} == {
                "20270103",
                "20270104",
            }

    virtual.run(story())


def test_show_lists_the_commands_and_restores_nothing() -> None:
    async def story() -> None:
        async with Scene() as scene:
            await scene.ana.type_text("COPS", "/openvidu backup create --now")
            await scene.card("acme is backed up ·")
            before = len(scene.estate.actions)
            text = images(scene)[0].removesuffix("-master-1")
            await scene.ana.type_text("COPS", f"/openvidu backup show {text.rpartition('-')[2]}")
            answer = (await scene.ephemeral("UANA", f"How to restore {text} manually")).text
            for m, image in zip(
                scene.estate.masters("acme"),
                sorted(scene.estate.snapshots.values(), key=lambda s: s.name),
                strict=True,
            ):
                assert (
                    f"{m.name}: doctl compute droplet-action rebuild {m.id} "
                    f"--image {image.id} --wait && " in answer
                )
            assert copy_of(text) in answer
            assert "The bot never does this" in answer
            assert len(scene.estate.actions) == before
            assert stored(scene, "secrets.env")
            await scene.ana.type_text("COPS", "/openvidu backup show 20200101")
            await scene.ephemeral("UANA", f"There is no backup “20200101”; there are: `{text}`")
            await scene.dora.type_text("COPS", "/openvidu backup create --now")
            await scene.ephemeral("UDORA", "Only operators")

    virtual.run(story())


def test_without_a_backup_the_list_says_so() -> None:
    async def story() -> None:
        async with Scene() as scene:
            await scene.ana.type_text("COPS", "/openvidu backup list")
            await scene.ephemeral("UANA", "acme has no backup yet")
            await scene.ana.type_text("COPS", "/openvidu backup")
            await scene.ephemeral("UANA", "needs a second word")

    virtual.run(story())


def test_a_cancel_ends_after_the_snapshots_that_were_begun() -> None:
    async def story() -> None:
        async with Scene() as scene:
            await scene.ana.type_text("COPS", "/openvidu backup create --now")
            run = await scene.run_is("acme-1", State.RUNNING)
            await scene.wait(10)
            await scene.bot.operations.service.cancel(run.id, ANA)
            run = await scene.run_is("acme-1", State.DONE, State.CANCELLED)
            assert len(images(scene)) == 4
            assert run.state is State.DONE

    virtual.run(story())
