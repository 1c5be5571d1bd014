"""Resize the masters as the vendor describes: stop the cluster, resize, start it.

Or one master at a time.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from services.access.policy import Actor
from services.cluster.model import Cluster
from services.common.errors import Refused
from services.procedures import ResizeMasters
from services.procedures.plan import make_plan
from services.runs.run import State
from simulators.cloud.model import SimulatedDroplet, unprocessable
from tests.support import virtual
from tests.support.clusters import SOLD, down, price, ready
from tests.support.coverage_level import by_level
from tests.support.scene import Scene
from tests.support.stories import details

BIG = "s-8vcpu-16gb"
OLD = "s-4vcpu-8gb"
ANA = Actor("UANA", "T0ACME")


def shop(cluster: Cluster, **more: Any) -> Cluster:
    masters = tuple(replace(m, disk=160, monthly=Decimal(48)) for m in cluster.masters)
    return replace(cluster, masters=masters, sizes=SOLD, snapshots=(), **more)


def titles(cluster: Cluster, procedure: ResizeMasters) -> list[str]:
    return [s.title() for s in make_plan(cluster, procedure).steps]


# The order


def test_the_whole_cluster_reads_like_the_vendors_page() -> None:
    assert titles(shop(ready()), ResizeMasters(BIG)) == [
        "Drain 3 media nodes",
        "Set media pool to 0",
        "Verify that media droplets are deleted",
        "Power off masters 1-4",
        "Resize masters 1-4 to s-8vcpu-16gb",
        "Power on master 1",
        "Power on master 2",
        "Power on master 3",
        "Power on master 4",
        "Wait until masters 1-4 are healthy",
        "Verify that the public address answers",
        "Set media pool to 3",
        "Wait until 3 media nodes are in service",
    ]


def test_one_at_a_time_each_is_back_and_all_are_healthy_before_the_next() -> None:
    one = [
        "Power off master {}",
        "Resize master {} to s-8vcpu-16gb",
        "Power on master {}",
        "Wait until masters 1-4 are healthy",
        "Verify that the public address answers",
    ]
    wanted = [line.format(n) for n in range(1, 5) for line in one]
    assert titles(shop(ready()), ResizeMasters(BIG, rolling=True)) == wanted


def test_only_masters_that_have_another_size_are_resized() -> None:
    cluster = shop(ready())
    half = replace(
        cluster, masters=tuple(replace(m, size=BIG) if m.id < 3 else m for m in cluster.masters)
    )
    assert "Resize masters 3 and 4 to s-8vcpu-16gb" in titles(half, ResizeMasters(BIG))
    assert make_plan(cluster, ResizeMasters(OLD)).is_empty, (
        "nothing to do, and nothing goes down for it"
    )


def test_what_was_down_stays_down() -> None:
    plan = make_plan(shop(down(ready())), ResizeMasters(BIG, snapshot=True))
    assert [s.title() for s in plan.steps] == [
        "Snapshot masters 1-4",
        "Resize masters 1-4 to s-8vcpu-16gb",
    ]
    assert any("stays shut down" in line for line in plan.afterwards)


def test_a_rolling_resize_resumes_at_the_master_that_is_off() -> None:
    cluster = shop(ready())
    off = replace(
        cluster,
        masters=tuple(
            replace(m, status="off", healthy=False) if m.id == 2 else m for m in cluster.masters
        ),
    )
    assert titles(off, ResizeMasters(BIG, rolling=True))[:3] == [
        "Resize master 2 to s-8vcpu-16gb",
        "Power on master 2",
        "Wait until masters 1-4 are healthy",
    ]


# Notes


def test_the_plan_shows_price_outage_and_that_it_is_reversible() -> None:
    plan = make_plan(shop(ready()), ResizeMasters(BIG))
    assert plan.saves == 4 * (price(SOLD[0]) - price(SOLD[1]))
    assert plan.outage is not None
    assert plan.outage > 600
    assert (
        "4 masters from s-4vcpu-8gb at $48.00 to s-8vcpu-16gb at $96.00 a month each: "
        "$192.00 more a month" in plan.money
    )
    notes = " ".join(plan.notes)
    assert "[[command resize masters s-4vcpu-8gb]] reverts it" in notes
    assert "No snapshot is taken first" in notes
    assert not plan.effects.special
    assert 'masterNodesInstanceType = "s-8vcpu-16gb"' in plan.afterwards[0]


def test_growing_a_disk_needs_explicit_approval() -> None:
    plan = make_plan(shop(ready()), ResizeMasters(BIG, grow_disk=True))
    assert plan.effects.special == (
        "grows the disks of masters 1-4 from 160 GB to 320 GB permanently",
    )
    assert "a disk never shrinks" in plan.effects.irreversible[-1]
    assert "Reversible" not in " ".join(plan.notes)


def test_rolling_has_no_outage() -> None:
    plan = make_plan(shop(ready()), ResizeMasters(BIG, rolling=True))
    assert not plan.effects.down
    assert not plan.effects.blocks
    assert plan.outage is None


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (
            "s-8vcpu-16g",
            r"has no size s-8vcpu-16g. Did you mean `s-8vcpu-16gb`\?.*: "
            r"`s-8vcpu-16gb` \(8 vCPU, 16 GB, 320 GB disk, \$96",
        ),
        (
            "c-4",
            r"c-4 has a 50 GB disk and the masters have 160 GB; a disk cannot shrink. "
            r"Possible sizes: `s-8vcpu-16gb`",
        ),
        ("g5-4vcpu-8gb", r"does not resize other sizes to g5-4vcpu-8gb"),
        ("s-8vcpu-32gb", r"DigitalOcean does not offer s-8vcpu-32gb in ams3 now"),
    ],
)
def test_sizes_that_cannot_be_are_refused_with_those_that_can(size: str, expected: str) -> None:
    more = (
        replace(SOLD[1], slug="g5-4vcpu-8gb"),
        replace(SOLD[1], slug="s-8vcpu-32gb", regions=("nyc3",)),
    )
    cluster = replace(shop(ready()), sizes=(*SOLD, *more))
    with pytest.raises(Refused, match=expected):
        make_plan(cluster, ResizeMasters(size))


def test_without_the_list_of_sizes_nothing_is_resized() -> None:
    with pytest.raises(Refused, match="sizes:read"):
        make_plan(replace(shop(ready()), sizes=()), ResizeMasters(BIG))


def test_rolling_needs_three_healthy_masters() -> None:
    cluster = shop(ready())
    sick = replace(cluster, masters=tuple(replace(m, healthy=m.id > 2) for m in cluster.masters))
    with pytest.raises(Refused, match="master-1 and master-2 are not healthy"):
        make_plan(sick, ResizeMasters(BIG, rolling=True))


def test_the_same_size_does_not_grow_a_disk() -> None:
    with pytest.raises(Refused, match="only together with a resize"):
        make_plan(
            replace(shop(ready()), sizes=(replace(SOLD[0], disk=200), *SOLD[1:])),
            ResizeMasters(OLD, grow_disk=True),
        )


def test_one_master_that_has_the_size_and_not_its_disk_is_named_before_anything_is_changed() -> (
    None
):
    """Otherwise the other three would be stopped, and that one would keep its size."""
    mixed = shop(ready())
    mixed = replace(mixed, masters=(*mixed.masters[:3], replace(mixed.masters[3], size=BIG)))
    with pytest.raises(
        Refused,
        match=r"^master-4 already has s-8vcpu-16gb, and DigitalOcean grows a disk only "
        r"together with",
    ):
        make_plan(mixed, ResizeMasters(BIG, grow_disk=True))
    assert not make_plan(mixed, ResizeMasters(BIG)).is_empty


# In Slack


def approved(
    scene: Scene, command: str, card: str = "Resize the masters of acme", rolling: bool = False
) -> Any:
    async def ask() -> None:
        scene.estate.allow_rolling = rolling
        await scene.ana.type_text("COPS", f"/openvidu {command}")
        await scene.ben.press(await scene.card(card), "Approve")

    return ask()


def sizes(scene: Scene) -> list[str]:
    return [m.size for m in scene.estate.masters("acme")]


def all_serve(scene: Scene, media: int = 3) -> None:
    assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
    assert len(scene.estate.serving("acme")) == media
    assert scene.estate.pool("acme").target == media


def test_a_dry_run_shows_everything_and_changes_nothing() -> None:
    async def story() -> None:
        async with Scene() as scene:
            scene.estate.open_meeting(people=5, minutes=12, recordings=1)
            await scene.ana.type_text("COPS", f"/openvidu resize masters {BIG} --dry-run")
            dry = await scene.ephemeral("UANA", "Dry run: Resize the masters of acme")
            answer = f"{dry.text} {dry.blocks}"
            for expected in (
                "No one is disconnected: 1 meeting (5 people, 1 recording) finishes first",
                "New meetings blocked; back in service after",
                "$0.29/h more",
                "The masters stay billed while off ($0.57/h)",
                "$192.00 more a month",
                "only CPU and memory change",
                "after the last meeting",
                "5. Resize masters 1-4 to s-8vcpu-16gb",
            ):
                assert expected in answer, f"{expected!r} in {answer}"
            assert sizes(scene) == [OLD] * 4
            assert scene.estate.signals == {}

    virtual.run(story())


def test_all_masters_inside_a_shutdown() -> None:
    async def story() -> None:
        async with Scene() as scene:
            scene.estate.open_meeting(people=5, minutes=12, recordings=1)
            await approved(scene, f'resize masters {BIG} --snapshot --reason "more calls"')
            done = await scene.card(f"acme has masters of {BIG} ·")
            assert 'masterNodesInstanceType = "s-8vcpu-16gb"' in done.text
            assert sizes(scene) == [BIG] * 4
            assert [m.disk for m in scene.estate.masters("acme")] == [160] * 4, (
                "only CPU and memory"
            )
            assert len(scene.estate.snapshots) == 4
            asked = [
                (a.type, a.droplet_id) for a in scene.estate.actions.values() if a.type == "resize"
            ]
            assert len(asked) == 4
            begun = {a.started_at for a in scene.estate.actions.values() if a.type == "resize"}
            assert max(begun) - min(begun) < 10, "side by side"
            all_serve(scene)
            await scene.ana.type_text("COPS", f"/openvidu resize masters {BIG}")
            await scene.ephemeral("UANA", "nothing to do")

    virtual.run(story())


def test_one_at_a_time_never_has_two_masters_down() -> None:
    async def story() -> None:
        async with Scene() as scene:
            scene.estate.open_meeting(people=5, minutes=60, recordings=1)
            await approved(scene, f"resize masters {BIG} --rolling", rolling=True)
            await scene.card(f"acme has masters of {BIG} ·")
            assert sizes(scene) == [BIG] * 4
            assert scene.estate.signals == {}, "no media node was touched"
            all_serve(scene)

    virtual.run(story())


def test_growing_the_disks_is_approved_explicitly() -> None:
    async def story() -> None:
        async with Scene() as scene:
            await scene.ana.type_text("COPS", f"/openvidu resize masters {BIG} --grow-disk")
            card = await scene.card("Resize the masters of acme")
            assert "Grows the disks of masters 1-4 from 160 GB to 320 GB permanently" in card.text
            assert "a disk never shrinks" in str((await details(scene.ben, card)).body)
            await scene.ben.press(card, "Approve")
            await scene.card(f"acme has masters of {BIG} ·")
            assert [m.disk for m in scene.estate.masters("acme")] == [320] * 4

    virtual.run(story())


def test_a_refusal_comes_before_any_request() -> None:
    async def story() -> None:
        async with Scene() as scene:
            await scene.ana.type_text("COPS", "/openvidu resize masters c-8")
            answer = (await scene.ephemeral("UANA", "a disk cannot shrink")).text
            assert "`s-4vcpu-16gb-amd` (4 vCPU, 16 GB, 200 GB disk, $84.00/month)" in answer
            await scene.ana.type_text("COPS", "/openvidu resize masters so1_5-4vcpu-32gb")
            await scene.ephemeral("UANA", "has no size so1_5-4vcpu-32gb")

    virtual.run(story())


# When it fails


def fails(scene: Scene, kind: str, *masters: str) -> None:
    def outcome(action: str, droplet: SimulatedDroplet) -> str:
        return "errored" if action == kind and droplet.name.endswith(masters) else "done"

    scene.estate.outcome = outcome


def refuses(scene: Scene, *masters: str) -> None:
    """Refuse the resize of these masters with 422 "too large"."""
    ask = scene.estate.power.request

    def refusing(droplet_id: int, kind: str, options: Mapping[str, Any] | None = None) -> Any:
        if kind == "resize" and scene.estate.droplet(droplet_id).name.endswith(masters):
            raise unprocessable("Size is too large to fit on your droplet's server")
        return ask(droplet_id, kind, dict(options or {}))

    scene.estate.power.request = refusing  # type: ignore[method-assign]


def test_a_resize_that_fails_brings_everything_back_at_the_old_size() -> None:
    async def story() -> None:
        async with Scene() as scene:
            fails(scene, "resize", "-1", "-2", "-3", "-4")
            await approved(scene, f"resize masters {BIG}")
            done = await scene.card("acme-1 failed and was rolled back")
            assert "DigitalOcean could not resize masters 1-4" in done.text
            assert sizes(scene) == [OLD] * 4
            all_serve(scene)

    virtual.run(story())


def test_a_resize_that_is_refused_brings_everything_back() -> None:
    async def story() -> None:
        async with Scene() as scene:
            refuses(scene, "-1", "-2", "-3", "-4")
            await approved(scene, f"resize masters {BIG}")
            done = await scene.card("acme-1 failed and was rolled back")
            assert "too large to fit on your droplet's server" in done.text
            assert sizes(scene) == [OLD] * 4
            assert [a for a in scene.estate.actions.values() if a.type == "resize"] == []
            all_serve(scene)

    virtual.run(story())


@pytest.mark.parametrize("way", [fails, refuses])
def test_when_only_some_could_be_resized_all_serve_and_the_card_says_which(way: Any) -> None:
    async def story() -> None:
        async with Scene() as scene:
            way(scene, "resize", "-3") if way is fails else way(scene, "-3")
            await approved(scene, f"resize masters {BIG}")
            done = await scene.card("failed, and acme was restored")
            assert f"now have {BIG}" in done.text
            assert f"still {OLD}" in done.text
            assert f"`/openvidu resize masters {BIG}`".replace("`", "") in done.text
            assert sizes(scene)[2] == OLD
            all_serve(scene)
            scene.estate.outcome = lambda _kind, _droplet: "done"
            scene.estate.power.__dict__.pop("request", None)
            await approved(scene, f"resize masters {BIG}")
            await scene.card(f"acme has masters of {BIG} ·")
            assert sizes(scene) == [BIG] * 4

    virtual.run(story())


def test_resizes_that_end_one_after_the_other_are_no_external_change() -> None:
    """Two masters are still being resized while the rollback, caused by the third, has begun."""

    async def story() -> None:
        async with Scene() as scene:
            refuses(scene, "-3")
            lasts = iter((40.0, 120.0))
            plain = scene.estate.power._duration
            scene.estate.power._duration = lambda kind: (  # type: ignore[method-assign]
                next(lasts) if kind == "resize" else plain(kind)
            )
            await approved(scene, f"resize masters {BIG}")
            await scene.card("failed, and acme was restored")
            assert sizes(scene) == [BIG, BIG, OLD, OLD]
            all_serve(scene)

    virtual.run(story())


def test_a_rolling_resize_that_fails_stops_at_that_master() -> None:
    async def story() -> None:
        async with Scene() as scene:
            fails(scene, "resize", "-2")
            await approved(scene, f"resize masters {BIG} --rolling", rolling=True)
            done = await scene.card("failed, and acme was restored")
            assert f"master 1 now has {BIG}" in done.text
            assert sizes(scene) == [BIG, OLD, OLD, OLD]
            all_serve(scene)

    virtual.run(story())


def test_a_rolling_resize_waits_while_a_master_is_unhealthy() -> None:
    async def story() -> None:
        async with Scene(settings={}) as scene:
            await approved(scene, f"resize masters {BIG} --rolling", rolling=True)
            while sizes(scene)[0] != BIG:
                await scene.wait(5)
            third = scene.estate.masters("acme")[2]
            scene.estate.nodes.stop_unit(third)
            await scene.wait(400)
            assert sizes(scene)[1:] == [OLD] * 3, "nobody else goes down"
            await scene.card(f"acme has masters of {BIG} ·")  # one restart of OpenVidu fixed it
            all_serve(scene)

    virtual.run(story())


def test_a_lost_answer_does_not_resize_twice() -> None:
    async def story() -> None:
        async with Scene() as scene:
            scene.environment.faults.add(
                "digitalocean", "500-after", match="actions", skip=4, times=3
            )
            await approved(scene, f"resize masters {BIG}")
            await scene.card(f"acme has masters of {BIG} ·")
            resizes = [a.droplet_id for a in scene.estate.actions.values() if a.type == "resize"]
            assert sorted(resizes) == sorted(set(resizes))
            all_serve(scene)

    virtual.run(story())


# Cancel


def test_a_cancel_at_each_step_ends_where_the_card_says() -> None:
    """Cancel at every step: it is completed first, and the card names what remains."""
    points = len(make_plan(shop(ready()), ResizeMasters(BIG)).steps)

    async def story(at: int) -> None:
        async with Scene() as scene:
            operations = scene.bot.operations
            await approved(scene, f"resize masters {BIG}")
            run = await scene.run_is("acme-1", State.RUNNING)
            while run.position < at and not run.over:
                await scene.wait(1)
                run = await operations.journal.run("acme-1")
            if run.over:
                return
            await operations.service.cancel("acme-1", ANA)
            run = await scene.run_is("acme-1", State.CANCELLED, State.DONE)
            card = await scene.card(
                "acme-1 was cancelled"
                if run.state is State.CANCELLED
                else f"acme has masters of {BIG} ·"
            )
            for stays in run.stays_done:
                assert stays in card.text
            off = {m.name for m in scene.estate.masters("acme") if not m.on}
            said_off = [s for s in run.stays_done if s.endswith("off")]
            assert bool(off) <= bool(said_off)
            assert ("masters 1-4 resized to s-8vcpu-16gb" in run.stays_done) == (
                sizes(scene) == [BIG] * 4
            )

    for at in range(0, points, by_level(4, 1, 1)):
        virtual.run(story(at))
