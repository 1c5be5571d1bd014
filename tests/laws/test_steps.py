"""Laws of every step, in every cluster."""

import asyncio
from collections.abc import Iterator
from dataclasses import fields, replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cluster.drills import DrillSeen
from services.cluster.leftovers import Leftover, LeftoversSeen
from services.cluster.model import Cluster, Fact, NodeStatus, SecretsState, Snapshot
from services.common.errors import Rejected
from services.common.serialize import encode
from services.procedures import (
    PROCEDURES,
    AllowScaling,
    BackupPrune,
    DeleteWaste,
    Drill,
    Procedure,
    ResizeMasters,
    ResizeMedia,
    Restart,
    Shutdown,
    Start,
    Upgrade,
)
from services.procedures.plan import make_plan
from services.secrets_env import SecretsFindings
from services.steps import STEPS, Effects, Question, Step
from services.steps.drill import DatabaseOpened
from services.steps.fixed_nodes import NodeSize
from tests.support.clusters import (
    OLD,
    SOLD,
    autoscaled,
    clusters,
    configured,
    elastic,
    fixed,
    folded,
    law,
    plan_of,
    procedures,
    ready,
    single,
    steps,
    with_stopped,
)

about = clusters().flatmap(lambda c: st.tuples(st.just(c), steps(c)))


# What is requested of something other than a droplet of the cluster. A drill's own resources are
# named by its stack: `DrillWriter` touches no others.
NOT_DROPLETS = (
    "pool",
    "window",
    "backup schedule",
    "scaling",
    "bucket",
    "autoscaler",
    "memory",
    "drill",
)


class Recorder:
    """Records requests, and sends none."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.gone: list[str] = []
        self.kept: list[str] = []

    async def request_droplet_action(
        self, droplet_id: int, action: str, **extra: str | bool
    ) -> None:
        self.asked.append((droplet_id, action, *extra.items()))

    async def set_pool_target(self, number: int, *, remember: int) -> None:
        self.asked.append(("pool", number, remember))

    async def drain(self, droplet_id: int, *, stays: bool) -> None:
        self.asked.append((droplet_id, "drain"))

    async def promote_secrets(self, staged: str, before: str, after: str) -> None:
        self.asked.append(("bucket", staged, before, after))

    async def restore_secrets(self, staged: str, after: str) -> None:
        self.asked.append(("bucket", staged, after))

    async def delete_staged(self, staged: str) -> None:
        self.asked.append(("bucket", staged))

    async def break_secrets_lock(self, lock: str) -> None:
        self.asked.append(("bucket", "lock"))

    async def save_window(self, words: str) -> None:
        self.asked.append(("window", words))

    async def restart_service(self, droplet_id: int) -> None:
        self.asked.append((droplet_id, "restart"))

    async def stop_service(self, droplet_id: int) -> None:
        self.asked.append((droplet_id, "stop"))

    async def stop_node(self, droplet_id: int) -> None:
        self.asked.append((droplet_id, "stop"))

    async def start_node(self, droplet_id: int) -> None:
        self.asked.append((droplet_id, "start"))

    async def start_services(self, droplet_id: int) -> None:
        self.asked.append((droplet_id, "start"))

    async def fetch_updater(self, droplet_id: int, version: str) -> None:
        self.asked.append((droplet_id, "fetch", version))

    async def update_openvidu(self, droplet_id: int, was: str, version: str) -> None:
        self.asked.append((droplet_id, "update", was, version))

    async def restore_openvidu(self, droplet_id: int, was: str, version: str) -> None:
        self.asked.append((droplet_id, "restore", was, version))

    async def record_version(self, was: str, version: str) -> None:
        self.asked.append(("bucket", was, version))

    async def set_template_size(self, size: str) -> None:
        self.asked.append(("pool", size))

    async def pause_autoscaler(self, *, frozen: bool) -> None:
        self.asked.append(("autoscaler", "pause", frozen))

    async def resume_autoscaler(self) -> None:
        self.asked.append(("autoscaler", "resume"))

    async def tag_for_draining(self, droplet_id: int, *, uncount: bool) -> None:
        self.asked.append((droplet_id, "send away"))

    async def remove_from_autoscaler(self, droplet_id: int) -> None:
        self.asked.append((droplet_id, "uncount"))

    async def delete_node(self, droplet_id: int) -> None:
        self.asked.append((droplet_id, "delete"))

    async def record_powered_on(self, droplet_ids: tuple[int, ...]) -> None:
        self.asked.append(("memory", droplet_ids))

    async def action_failed(self, droplet_id: int, action: str) -> bool:
        return False

    async def delete_snapshot(self, snapshot_id: str) -> None:
        self.gone.append(snapshot_id)

    async def delete_leftover(self, ref: str, shown: str) -> None:
        self.gone.append(ref)

    async def save_backup_schedule(self, words: str) -> None:
        self.asked.append(("backup schedule", words))

    async def save_scaling(self, words: str) -> None:
        self.asked.append(("scaling", words))

    async def note_counts(self, label: str) -> None:
        self.kept.append(label)

    async def create_drill_network(self, name: str, region: str) -> None:
        self.asked.append(("drill", name, region))

    async def create_drill_droplet(self, name: str, snapshot: str, size: str, region: str) -> None:
        self.asked.append(("drill", name, snapshot, size, region))

    async def open_drill_database(self, droplet_id: int, label: str) -> None:
        self.asked.append(("drill", droplet_id, label))

    async def record_drill(
        self, stamp: str, label: str, reason: str, *, proven: bool, compared: bool
    ) -> None:
        self.kept.append(label)

    async def delete_drills(self, seen: DrillSeen) -> None:
        self.gone += [part.id for part in seen.parts]

    async def write_config(
        self, droplet_id: int, name: str, staged: str, before: str, after: str
    ) -> None:
        self.asked.append((droplet_id, "write", name, staged, before, after))

    async def restore_config(
        self, droplet_id: int, name: str, staged: str, before: str, after: str
    ) -> None:
        self.asked.append((droplet_id, "put back", name, staged, before, after))

    async def forget_config(self, droplet_id: int, staged: str) -> None:
        self.asked.append((droplet_id, "forget", staged))

    async def copy_secrets(self, label: str) -> None:
        self.kept.append(label)

    async def delete_secrets_copy(self, label: str) -> None:
        self.gone.append(label)


def planned(cluster: Cluster, procedure: Procedure) -> Iterator[tuple[Step, Cluster, Cluster]]:
    """Yield each step of the plan, with the cluster before and after it. None when refused."""
    plan = plan_of(cluster, procedure)
    if plan is not None:
        yield from folded(cluster, plan.steps)


def ask(step: Step, cluster: Cluster, again: int) -> list[tuple[object, ...]]:
    recorder = Recorder()
    if isinstance(step, DatabaseOpened) and not step.needs_ask(cluster, again):
        return []  # there may be no copy yet
    asyncio.run(step.request(recorder, cluster, again))
    return recorder.asked


@law
@given(clusters(), procedures())
def test_the_goal_is_reached_afterwards(cluster: Cluster, procedure: Procedure) -> None:
    for step, _, after in planned(cluster, procedure):
        assert step.is_done(after), f"{step} is not so in {after}"
        assert step.is_done(step.after(after)), "reaching it twice is reaching it"
        assert not step.blocker(after)


@law
@given(clusters(), procedures())
def test_no_step_objects_when_it_starts(cluster: Cluster, procedure: Procedure) -> None:
    """A plan must not fail its own checks after approval, halfway."""
    for step, before, _ in planned(cluster, procedure):
        assert step.blocker(before) == "", f"{step} in {procedure}"


@law
@given(clusters(), procedures())
def test_the_steps_of_every_choice_reach_their_goals(
    cluster: Cluster, procedure: Procedure
) -> None:
    """`steps` of a choice start from the cluster before the refused step."""
    for step, before, _ in planned(cluster, procedure):
        question = step.refusal_question(
            before, Rejected("refused", status=422, message="at least 1")
        )
        for choice in question.choices if question else ():
            for chosen, at, after in folded(before, choice.steps or ()):
                assert chosen.is_done(after), f"{chosen} of {choice.id} is not so in {after}"
                assert chosen.blocker(at) == "", f"{chosen} of {choice.id}"


@law
@given(about)
def test_looking_changes_nothing(both: tuple[Cluster, Step]) -> None:
    cluster, step = both
    seen = [
        (
            step.is_done(cluster),
            step.effects(cluster),
            step.needs_ask(cluster, n),
            step.waits_for(cluster),
        )
        for n in (0, 1, 1, 0)
    ]
    assert seen[0] == seen[3]
    assert seen[1] == seen[2]
    assert step.after(cluster) == step.after(cluster)
    assert isinstance(step.effects(cluster), Effects)


@law
@given(about)
def test_texts_and_times_can_be_shown(both: tuple[Cluster, Step]) -> None:
    cluster, step = both
    for text in (step.title(), step.residue(), step.without_protection().title()):
        assert text
        assert text == text.strip().rstrip(".")
        assert "\n" not in text
    assert step.title()[0].isupper()
    assert "\n" not in step.waits_for(cluster) + step.blocker(cluster)
    assert step.expected_seconds(cluster) > 0
    assert step.deadline(cluster) > step.expected_seconds(cluster) or step.deadline(cluster) >= 60
    nudge = step.retry_after(cluster)
    assert nudge is None or 0 < nudge < step.deadline(cluster)


@law
@given(about)
def test_only_fields_are_stored(both: tuple[Cluster, Step]) -> None:
    """Class data such as `timing` can change from one release to the next."""
    _, step = both
    assert set(encode(step)) == {"is", *(f.name for f in fields(step))}
    assert "timing" not in encode(step)


@law
@given(about)
def test_questions_can_be_answered(both: tuple[Cluster, Step]) -> None:
    cluster, step = both
    error = Rejected("putting the pool: refused (422)", status=422, message="must be at least 1")
    for question in filter(
        None, (step.timeout_question(cluster), step.refusal_question(cluster, error))
    ):
        assert isinstance(question, Question)
        assert question.text
        ids = [c.id for c in question.choices]
        assert len(ids) == len(set(ids)) <= 5
        for choice in question.choices:
            ways = [
                choice.steps is not None,
                choice.skip,
                choice.wait is not None,
                bool(choice.ends),
            ]
            assert ways.count(True) == 1, f"{choice.id} says what happens in one way"
            assert 0 < len(choice.label) <= 75
        assert any(not c.loses for c in question.choices), "there is an answer that loses nothing"


@law
@given(about, st.integers(0, 3))
def test_only_its_own_objects_are_requested(both: tuple[Cluster, Step], again: int) -> None:
    cluster, step = both
    mine = {m.id for m in cluster.masters} | {n.id for n in cluster.media}
    for who, *_ in ask(step, cluster, again):
        if isinstance(step, NodeSize) and step.id not in mine:
            assert not step.needs_ask(cluster, again), "a node that has gone is asked for nothing"
        else:
            assert who in NOT_DROPLETS or who in mine


@law
@given(about, st.integers(0, 3))
def test_a_node_that_cannot_be_seen_is_neither_drained_nor_restarted(
    both: tuple[Cluster, Step], again: int
) -> None:
    cluster, step = both
    looks = {n.id: n.look for n in cluster.media}
    for who, what, *_ in ask(step, cluster, again):
        if what == "drain":
            look = looks[int(str(who))]
            assert isinstance(look, NodeStatus)
            assert not look.drain_marked or look.undelivered, "no second signal"
            assert look.running
        if what == "restart" and who in looks:
            look = looks[int(str(who))]
            assert isinstance(look, NodeStatus)
            if getattr(step, "harsh", False):
                continue  # people approved that what runs there ends
            assert not {"openvidu", "ingress", "egress"} & set(look.running), (
                "a restart would end what runs there"
            )
            assert not look.contradiction


@pytest.mark.parametrize("kind", STEPS, ids=lambda k: k.__name__)
def test_every_step_describes_itself(kind: type[Step]) -> None:
    assert kind.__doc__
    assert kind.__doc__ != Step.__doc__
    assert kind.needs
    assert kind.needs <= set(Fact)
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_every_step_is_used_somewhere() -> None:
    """By a procedure, its rollback or a choice. Unused steps are deleted."""
    used: set[type[Step]] = set()

    def collect(cluster: Cluster, procedure: Procedure) -> None:
        for step, before, _ in planned(cluster, procedure):
            used.add(type(step))
            for question in filter(
                None,
                (
                    step.timeout_question(before),
                    step.refusal_question(before, Rejected("", status=422)),
                ),
            ):
                used.update(type(s) for c in question.choices for s in c.steps or ())
            used.update(type(s) for s in procedure.recover(before, step))

    up = ready(
        3,
        sizes=SOLD,
        has_bucket=True,
        snapshots=(),
        secrets_copies=(),
        secrets=SecretsState("d1", 60.0, version=OLD.version),
    )
    up = replace(up, masters=tuple(replace(m, start="a1", installation=OLD) for m in up.masters))
    up = replace(up, configuration=configured(up.masters))
    for cluster in (up, elastic(up), single()):
        for service in (False, True):
            collect(cluster, Restart(cluster.masters[0].name, service=service))
        collect(replace(cluster, sizes=SOLD), ResizeMasters("s-8vcpu-16gb"))
    for kind in PROCEDURES:
        law(given(st.just(up) | clusters(), procedures(kind))(collect))()
    backup = tuple(
        Snapshot(f"{n}", f"acme-backup-20270101T000000Z-master-{n}", n) for n in range(1, 5)
    )
    collect(replace(up, snapshots=backup), Drill())
    priced = replace(up, people_per_node=20, media_price=Decimal("0.1"))
    collect(priced, AllowScaling("2-5", "20"))
    unlocked = SecretsState("d1", version=OLD.version)
    collect(replace(up, secrets=unlocked, lint=SecretsFindings()), Upgrade("3.7.0"))
    for cluster in (ready(3, sizes=SOLD), fixed(2, sizes=SOLD), autoscaled(2)):
        for procedure in (
            Shutdown(),
            Shutdown(no_drain=True),
            Shutdown(gives_up=1800.0),
            ResizeMedia("s-8vcpu-16gb"),
        ):
            collect(cluster, procedure)
    backups = tuple(
        Snapshot(f"{day}-{n}", f"acme-backup-202701{day:02d}T000000Z-master-{n}", n)
        for day in range(1, 7)
        for n in range(1, 5)
    )
    collect(ready(3, snapshots=backups, secrets_copies=(), keep_backups=1), BackupPrune())
    collect(with_stopped(ready(3), 2), Start("master-2"))
    unused = LeftoversSeen((Leftover("volume", "v1", "acme-old", size="10 GB"),))
    collect(ready(3, leftovers=unused), DeleteWaste("volume:v1"))
    collect(ready(3, sizes=SOLD), ResizeMasters("s-8vcpu-16gb"))
    assert used == set(STEPS)


@law
@given(clusters(), procedures())
def test_masters_stop_last_and_start_first(cluster: Cluster, procedure: Procedure) -> None:
    """No master is stopped while a media droplet exists that is not named as kept and drained."""
    for step, before, after in planned(cluster, procedure):
        stopped = [m.name for m in before.masters if m.status != "off" and after.master(m.name).off]
        rolling = getattr(step, "media_stays", False)
        if stopped and not rolling:
            # A Single Node is its own media node: drained, unless people gave that up.
            own = {m.id for m in before.masters if m.name in stopped}
            for node in before.media:
                if node.id in own:
                    assert node.drained or getattr(step, "harsh", False)
                else:
                    assert node.drained
                    assert node.id in getattr(step, "kept", ())
        grew = (
            after.pool is not None
            and before.pool is not None
            and after.pool.target > before.pool.target
        )
        if grew and after.pool is not None and after.pool.target > 1:
            assert all(m.active and m.healthy for m in before.masters), "the pool comes up last"


def test_a_plan_of_an_up_cluster_reads_like_the_runbook() -> None:
    assert [s.title() for s in make_plan(ready(), Shutdown()).steps] == [
        "Drain 3 media nodes",
        "Set media pool to 0",
        "Verify that media droplets are deleted",
        "Power off masters 1-4",
    ]
