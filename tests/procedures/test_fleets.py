"""Every kind of media fleet: a command has the same effect, or is refused with the alternative."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from handlers.interactions.options import initial_value, options_for
from services.cluster.model import Cluster, FleetKind, KnownFleet
from services.common.errors import Refused
from services.procedures import (
    DrainNodes,
    Freeze,
    Park,
    Procedure,
    ResizeMasters,
    ResizeMedia,
    Restart,
    Roll,
    Scale,
    Shutdown,
    Startup,
    Unfreeze,
    Unpark,
)
from services.procedures.plan import make_plan
from services.runs.run import State
from tests.procedures.test_config import NEW, ask, secrets
from tests.support import virtual
from tests.support.clusters import SOLD, autoscaled, down, fixed, ready
from tests.support.scene import Scene
from tests.support.stories import (
    everything_read,
    question,
    request_and_approve,
    run_ended,
    titles,
    whole,
)

KINDS = ("pool", "fixed", "autoscaler")
MAKE: dict[str, Callable[..., Cluster]] = {"pool": ready, "fixed": fixed, "autoscaler": autoscaled}
WAY_DOWN = {
    "pool": [
        "Drain 3 media nodes",
        "Set media pool to 0",
        "Verify that media droplets are deleted",
    ],
    "fixed": ["Drain 3 media nodes", "Power off media-1, media-2 and media-3"],
    "autoscaler": [
        "Pause the autoscaler",
        "Wait for an autoscaler run in progress to end",
        "Drain and remove the media nodes",
        "Verify that media droplets are deleted and the autoscaler is paused",
    ],
}
WAY_UP = {
    "pool": ["Set media pool to 3", "Wait until 3 media nodes are in service"],
    "fixed": [
        "Power on media-1, media-2 and media-3",
        "Wait until media-1, media-2 and media-3 are in service",
    ],
    "autoscaler": [
        "Resume the autoscaler",
        "Wait until the autoscaler has 1 media node in service",
    ],
}


def every_kind(test: Callable[..., None]) -> Callable[..., None]:
    """Play it with each kind of fleet; in `make test` with one, another one in the next test."""
    of_each: Callable[..., None] = pytest.mark.parametrize("kind", KINDS)(test)
    few: Callable[..., None] = pytest.mark.sampled(1)(of_each)
    return few


def every_deployment(test: Callable[..., None]) -> Callable[..., None]:
    """Play it with each kind of fleet, beside four masters and beside one."""
    kinds = (*KINDS, *(f"elastic {kind}" for kind in KINDS))
    of_each: Callable[..., None] = pytest.mark.parametrize("kind", kinds)(test)
    few: Callable[..., None] = pytest.mark.sampled(2)(of_each)
    return few


def steps(cluster: Cluster, procedure: Procedure) -> list[str]:
    return [s.title() for s in make_plan(cluster, procedure).steps]


# Plans


@every_kind
def test_a_shutdown_removes_the_media_nodes_and_then_stops_the_masters(kind: str) -> None:
    assert steps(MAKE[kind](), Shutdown()) == [*WAY_DOWN[kind], "Power off masters 1-4"]
    assert steps(MAKE[kind](), Shutdown(media_only=True)) == WAY_DOWN[kind]


@every_kind
def test_a_startup_begins_with_the_masters_and_ends_with_the_media_nodes(kind: str) -> None:
    way = steps(down(MAKE[kind]()), Startup())
    assert way[:4] == [f"Power on master {n}" for n in range(1, 5)]
    assert way[6:] == WAY_UP[kind]


@every_kind
def test_a_resize_of_the_masters_is_between_shutdown_and_start_up(kind: str) -> None:
    way = steps(MAKE[kind](sizes=SOLD), ResizeMasters("s-8vcpu-16gb"))
    assert way[: len(WAY_DOWN[kind])] == WAY_DOWN[kind]
    assert "Resize masters 1-4 to s-8vcpu-16gb" in way
    assert way[-len(WAY_UP[kind]) :] == WAY_UP[kind]
    rolling = steps(MAKE[kind](sizes=SOLD), ResizeMasters("s-8vcpu-16gb", rolling=True))
    assert not [t for t in rolling if "media" in t or "autoscaler" in t], (
        "one at a time touches no media node"
    )


@pytest.mark.parametrize(
    ("kind", "saves"), [("pool", "0.21429"), ("fixed", "0.00000"), ("autoscaler", "0.21429")]
)
def test_savings_are_those_of_the_kind(kind: str, saves: str) -> None:
    plan = make_plan(MAKE[kind](), Shutdown())
    assert str(plan.saves) == saves
    assert ("Saves nothing" in " ".join(plan.notes)) == (kind == "fixed")


@every_kind
def test_a_shutdown_without_a_drain_names_what_is_lost(kind: str) -> None:
    plan = make_plan(MAKE[kind](), Shutdown(no_drain=True))
    assert plan.effects.cuts_off
    assert "without draining (" in plan.effects.special[0]
    assert not [t for t in (s.title() for s in plan.steps) if t.startswith("Let ")]


def test_an_approval_depends_on_the_nodes_except_those_of_an_autoscaler() -> None:
    for kind in KINDS:
        one, two = MAKE[kind](2), MAKE[kind](3)
        same = make_plan(one, Shutdown()).digest == make_plan(two, Shutdown()).digest
        assert same == (kind == "autoscaler"), "it may add a node at any minute"


REFUSALS: list[tuple[str, Procedure, str]] = [
    (
        "fixed",
        Scale(5),
        "`fixedNumberOfMediaNodes = 5`. [[strong That apply replaces every media node]] "
        "(not only the difference)",
    ),
    ("fixed", Scale(2), "To run fewer for now: [[command park 1]] (saves nothing)"),
    ("fixed", Startup(4), "acme has 3 fixed media nodes: start 1 to 3"),
    (
        "fixed",
        Freeze(),
        "acme has fixed media nodes: nothing scales by itself, so there is nothing to freeze",
    ),
    ("fixed", Unfreeze(), "there is nothing to unfreeze"),
    ("fixed", Roll("c-4"), "olling is for an autoscaler; acme has fixed media nodes"),
    ("fixed", Park("3"), "that would leave no media node known to be in service"),
    (
        "fixed",
        ResizeMedia("c-4"),
        "c-4 has a 50 GB disk and the media nodes have 160 GB; a disk cannot shrink",
    ),
    ("fixed", DrainNodes("4"), "Choose a number from 1 to 3, not 4"),
    (
        "autoscaler",
        Scale(5),
        "both 5 means exactly 5",
    ),
    ("autoscaler", Scale(2), "[[command drain 1]] drains and removes 1 node"),
    (
        "autoscaler",
        Scale(5),
        "This redeploys (and unpauses) the autoscaler",
    ),
    ("autoscaler", Startup(4), "Run [[command startup]] without a number"),
    (
        "autoscaler",
        ResizeMedia("c-4"),
        '`mediaNodeInstanceType = "c-4"` and apply (read its plan before you apply it)',
    ),
    (
        "autoscaler",
        ResizeMedia("c-4"),
        "Then replace the nodes of the old size one by one with [[command roll c-4]]",
    ),
    ("autoscaler", DrainNodes("all"), "[[command shutdown --media-only]] pauses it"),
    (
        "autoscaler",
        DrainNodes("2"),
        "1 node would stay, and the autoscaler would immediately add others: its minimum is 2",
    ),
    (
        "autoscaler",
        Restart("media-1001"),
        "Run [[command drain media-1001]] instead: it drains, and the autoscaler replaces it",
    ),
    (
        "autoscaler",
        Park("1"),
        "arking is for fixed media nodes; acme has an autoscaler. To run fewer: "
        "[[command drain 1]]",
    ),
    ("autoscaler", Unpark("all"), "arking is for fixed media nodes"),
    (
        "pool",
        Freeze(),
        "acme has an autoscale pool: nothing scales by itself, so there is nothing to freeze",
    ),
    ("pool", Unfreeze(), "there is nothing to unfreeze"),
    (
        "pool",
        Roll("c-4"),
        "olling is for an autoscaler; acme has an autoscale pool. "
        "Resize its media nodes with [[command resize media]]",
    ),
    (
        "pool",
        Park("1"),
        "arking is for fixed media nodes; acme has an autoscale pool. "
        "Change their number with [[command scale]]",
    ),
    ("pool", Unpark("1"), "arking is for fixed media nodes"),
]


@pytest.mark.parametrize(("kind", "procedure", "expected"), REFUSALS)
def test_what_a_kind_cannot_do_is_refused_with_the_alternative(
    kind: str, procedure: Procedure, expected: str
) -> None:
    with pytest.raises(Refused, match=re.escape(expected)):
        make_plan(replace(MAKE[kind](sizes=SOLD), autoscaler_minimum=2), procedure)


def test_no_refusal_advises_what_would_replace_masters() -> None:
    """These are in the masters' user_data: an apply that changes one destroys all four.

    Their data is lost too.
    """
    replaces = (
        "doToken",
        "openviduLicense",
        "rtcEngine",
        "domainName",
        "stackName",
        "certificateType",
        "initialMeet",
        "spaceRegion",
    )
    for kind, procedure, _ in REFUSALS:
        with pytest.raises(Refused) as refusal:
            make_plan(replace(MAKE[kind](sizes=SOLD), autoscaler_minimum=2), procedure)
        assert not [word for word in replaces if word in str(refusal.value)]


def test_an_apply_is_never_advised_without_reading_its_plan() -> None:
    for kind, procedure, _ in REFUSALS:
        with pytest.raises(Refused) as refusal:
            make_plan(replace(MAKE[kind](sizes=SOLD), autoscaler_minimum=2), procedure)
        text = str(refusal.value)
        assert "`" not in text or "apply" not in text or "read its plan" in text, text


@pytest.mark.parametrize("kind", [FleetKind.MIXED, FleetKind.UNKNOWN])
def test_an_uncertain_kind_is_refused_with_its_reason(kind: FleetKind) -> None:
    strange = replace(ready(), kind=kind, pool=None, problem="two things at once")
    for procedure in (Shutdown(), Startup(), Scale(2), Freeze(), Park()):
        with pytest.raises(Refused, match=r"^two things at once$"):
            make_plan(strange, procedure)


def test_without_media_nodes_the_masters_can_be_operated() -> None:
    absent = replace(ready(0), kind=FleetKind.NONE, pool=None)
    absent = replace(absent, last_seen=KnownFleet(FleetKind.AUTOSCALER, 3, absent.seen_at - 7200))
    plan = make_plan(absent, Shutdown())
    assert [s.title() for s in plan.steps] == ["Power off masters 1-4"]
    known = "Its last known media fleet, 2 h ago: an autoscaler with 3 nodes"
    assert plan.notes[0] == f"No media node was found, so none is drained. {known}"
    off = replace(
        absent, masters=tuple(replace(m, status="off", healthy=False) for m in absent.masters)
    )
    up = make_plan(off, Startup())
    assert [s.title() for s in up.steps][-1] == "Verify that the public address answers"
    assert "terraform apply" in up.afterwards[0]
    for procedure in (Scale(2), ResizeMedia("c-4"), Startup(2)):
        with pytest.raises(Refused, match="terraform apply"):
            make_plan(absent, procedure)


# A night, in every kind


@dataclass
class FleetExpectation:
    """What a scenario expects of a kind of fleet."""

    kind: str
    scene: Scene

    def is_down(self) -> bool:
        estate = self.scene.estate
        off = all(m.status == "off" for m in estate.masters("acme"))
        media = estate.media("acme")
        return off and (
            all(d.status == "off" for d in media) if self.kind == "fixed" else not media
        )

    def serves(self, number: int) -> bool:
        return len(self.scene.estate.serving("acme")) >= number and self.scene.estate.front_is_up(
            "acme"
        )


def play(
    kind: str,
    story: Callable[[Scene, FleetExpectation], Awaitable[None]],
    media: int = 2,
    minimum: int = 2,
    **more: Any,
) -> None:
    deployment, _, of_fleet = kind.rpartition(" ")
    more |= {"deployment": deployment or "high availability", "kind": of_fleet}

    async def scene_of_it() -> None:
        site = {"autoscaler": {"minimum": minimum}} if of_fleet == "autoscaler" else {}
        async with Scene(media=media, site=site, **more) as scene:
            await story(scene, FleetExpectation(of_fleet, scene))

    virtual.run(scene_of_it())


@every_deployment
def test_down_and_up_twice_and_no_one_is_disconnected(kind: str) -> None:
    """The second night too: a fixed node that was drained before can be drained again."""

    async def story(scene: Scene, fleet: FleetExpectation) -> None:
        for night in range(2):
            scene.estate.open_meeting(people=4, minutes=12)
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await run_ended(scene, run=f"acme-{2 * night + 1}")
            assert fleet.is_down()
            await scene.wait(3600)
            assert fleet.is_down(), "nothing comes by itself while it is down"
            await scene.ana.type_text("COPS", "/openvidu startup --now")
            await run_ended(scene, run=f"acme-{2 * night + 2}")
            assert fleet.serves(2)
        assert scene.estate.people_disconnected == 0
        assert set(scene.estate.signals.values()) == {1}
        assert "secret" not in everything_read(scene)

    play(kind, story)


@every_deployment
def test_media_only_leaves_the_masters_on(kind: str) -> None:
    async def story(scene: Scene, fleet: FleetExpectation) -> None:
        await request_and_approve(
            scene, "shutdown --media-only", "Shut down only the media nodes of acme"
        )
        await run_ended(scene)
        assert {m.status for m in scene.estate.masters("acme")} == {"active"}
        assert scene.estate.serving("acme") == []
        await scene.ana.type_text("COPS", "/openvidu startup --now")
        await run_ended(scene, run="acme-2")
        assert fleet.serves(2)

    play(kind, story)


@every_deployment
def test_a_meeting_that_does_not_end_is_ended_only_by_a_choice(kind: str) -> None:
    async def story(scene: Scene, fleet: FleetExpectation) -> None:
        scene.estate.open_meeting(people=4, minutes=900)
        await request_and_approve(scene, "shutdown", "Shut down acme")
        card = await question(scene)
        assert "1 meeting, 4 people" in whole(card)
        assert scene.estate.people_disconnected == 0
        scene.estate.allow_disconnects = True
        label = "Delete them now" if fleet.kind == "autoscaler" else "End these meetings"
        await scene.ben.press(card, label)
        await run_ended(scene)
        assert fleet.is_down()
        assert scene.estate.people_disconnected == 4

    play(kind, story)


@every_deployment
def test_masters_of_another_size(kind: str) -> None:
    async def story(scene: Scene, fleet: FleetExpectation) -> None:
        masters = "master" if "elastic" in kind else "masters"
        await request_and_approve(
            scene, "resize masters s-8vcpu-16gb", f"Resize the {masters} of acme to s-8vcpu-16gb"
        )
        run = await run_ended(scene)
        assert run.plan.outcome.startswith("acme has a master of") == ("elastic" in kind)
        assert {m.size for m in scene.estate.masters("acme")} == {"s-8vcpu-16gb"}
        assert fleet.serves(2)
        variable = "masterNodeInstanceType" if "elastic" in kind else "masterNodesInstanceType"
        assert variable in " ".join(run.plan.afterwards)

    play(kind, story)


@every_kind
def test_masters_one_at_a_time_touch_no_media_node(kind: str) -> None:
    async def story(scene: Scene, fleet: FleetExpectation) -> None:
        scene.estate.allow_rolling = True
        before = {d.id for d in scene.estate.media("acme")}
        await request_and_approve(
            scene,
            "resize masters s-8vcpu-16gb --rolling",
            "Resize the masters of acme to s-8vcpu-16gb",
        )
        await run_ended(scene)
        assert {d.id for d in scene.estate.media("acme")} == before
        assert fleet.serves(2)
        assert scene.estate.signals == {}

    play(kind, story)


@every_deployment
def test_an_offline_backup(kind: str) -> None:
    async def story(scene: Scene, fleet: FleetExpectation) -> None:
        await request_and_approve(scene, "backup create --offline", "Back up acme")
        await run_ended(scene)
        assert len(scene.estate.snapshots) == len(scene.estate.masters("acme"))
        assert fleet.serves(2)

    play(kind, story)


@every_deployment
def test_status_shows_the_kind_and_what_it_means(kind: str) -> None:
    words = {
        "pool": "pool at 2, 2 droplets of s-4vcpu-8gb",
        "fixed": "2 fixed droplets of s-4vcpu-8gb",
        "autoscaler": "autoscaler enabled, minimum 2 (settings); 2 droplets",
    }

    async def story(scene: Scene, fleet: FleetExpectation) -> None:
        await scene.ana.type_text("COPS", "/openvidu status")
        card = await scene.ephemeral("UANA", "Cost now")
        assert words[fleet.kind] in str(card.blocks)
        assert ("A shutdown saves nothing" in str(card.blocks)) == (fleet.kind == "fixed")
        sets = "Terraform sets numbers and sizes" in str(card.blocks)
        assert sets == (fleet.kind == "autoscaler")

    play(kind, story)


# What only one kind can do


def test_fixed_nodes_are_parked_and_stay_parked_through_a_night() -> None:
    async def story(scene: Scene, fleet: FleetExpectation) -> None:
        scene.estate.open_meeting(people=4, minutes=5)
        await request_and_approve(scene, "park", "Park 1 media node of acme")
        await run_ended(scene)
        parked = scene.estate.droplet_named("acme-media-node-3")
        assert parked.status == "off"
        assert len(scene.estate.serving("acme")) == 2
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene, run="acme-2")
        await scene.ana.type_text("COPS", "/openvidu startup --now")
        await run_ended(scene, run="acme-3")
        assert parked.status == "off"
        assert len(scene.estate.serving("acme")) == 2
        await scene.ana.type_text("COPS", "/openvidu unpark media-3 --now")
        await run_ended(scene, run="acme-4")
        assert len(scene.estate.serving("acme")) == 3

    play("fixed", story, media=3)


def test_fixed_nodes_are_resized_one_after_the_other() -> None:
    async def story(scene: Scene, fleet: FleetExpectation) -> None:
        scene.estate.open_meeting(people=4, minutes=5)
        await request_and_approve(
            scene, "resize media s-8vcpu-16gb", "Resize the media nodes of acme to s-8vcpu-16gb"
        )
        run = await run_ended(scene)
        assert [(d.size, d.disk) for d in scene.estate.media("acme")] == [("s-8vcpu-16gb", 160)] * 2
        assert fleet.serves(2)
        assert 'mediaNodeInstanceType = "s-8vcpu-16gb"' in run.plan.afterwards[0]
        assert titles(run)[:5] == [
            "Drain media-1",
            "Power off media-1",
            "Resize media-1 to s-8vcpu-16gb",
            "Power on media-1",
            "Wait until media-1 is in service",
        ]

    play("fixed", story)


@pytest.mark.parametrize("command", ["drain media-2", "restart media-2"])
def test_a_fixed_node_is_drained_and_comes_back_by_a_restart(command: str) -> None:
    async def story(scene: Scene, fleet: FleetExpectation) -> None:
        await request_and_approve(scene, command, "media-2 of acme")
        await run_ended(scene)
        if command.startswith("drain"):
            assert len(scene.estate.serving("acme")) == 1
            await scene.ana.type_text("COPS", "/openvidu restart media-2 --now")
            await run_ended(scene, run="acme-2")
        assert fleet.serves(2)
        assert len(scene.estate.media("acme")) == 2

    play("fixed", story)


def test_a_fixed_node_whose_unit_does_not_start_at_boot_gets_one_restart() -> None:
    async def story(scene: Scene, fleet: FleetExpectation) -> None:
        scene.estate.media("acme")[0].node.starts_at_boot = False
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene)
        await scene.ana.type_text("COPS", "/openvidu startup --now")
        run = await run_ended(scene, run="acme-2")
        assert fleet.serves(2)
        assert run.ended_at - run.opened_at > 300

    play("fixed", story)


def test_some_nodes_of_an_autoscaler_finish_and_go() -> None:
    async def story(scene: Scene, fleet: FleetExpectation) -> None:
        scene.estate.functions.code["acme"].minimum = 1
        # Exactly its target load: it neither adds nor drains.
        scene.estate.functions.cpu = lambda _droplet: 50.0
        scene.estate.open_meeting(people=4, minutes=60)
        busy = scene.estate.media("acme")[0]
        await request_and_approve(scene, "drain 2", "Drain 2 media nodes of acme")
        run = await run_ended(scene)
        assert titles(run) == ["Drain and remove media-1002 and media-1003"]
        assert scene.estate.media("acme") == [busy]
        assert scene.estate.functions.scales("acme")

    play("autoscaler", story, media=3, minimum=1)


def test_freezing_and_unfreezing() -> None:
    async def story(scene: Scene, fleet: FleetExpectation) -> None:
        await scene.ana.type_text("COPS", "/openvidu freeze --now")
        await run_ended(scene)
        scene.estate.functions.cpu = lambda _droplet: 95.0
        await scene.wait(1800)
        assert len(scene.estate.media("acme")) == 2, "hot as they are"
        await scene.ana.type_text("COPS", "/openvidu status")
        assert "The autoscaler was frozen by acme-1" in whole(
            await scene.ephemeral("UANA", "Cost now")
        )
        await scene.ana.type_text("COPS", "/openvidu unfreeze --now")
        await run_ended(scene, run="acme-2")
        await scene.wait(600)
        assert len(scene.estate.media("acme")) > 2

    play("autoscaler", story)


def test_nodes_of_an_old_size_are_rolled() -> None:
    async def story(scene: Scene, fleet: FleetExpectation) -> None:
        scene.estate.functions.code["acme"].size = "s-8vcpu-16gb"
        scene.estate.open_meeting(people=4, minutes=10)
        before = {d.id for d in scene.estate.media("acme")}
        await request_and_approve(
            scene, "roll s-8vcpu-16gb", "Roll the media nodes of acme to s-8vcpu-16gb"
        )
        await run_ended(scene, State.DONE)
        assert {d.size for d in scene.estate.serving("acme")} == {"s-8vcpu-16gb"}
        assert not before & {d.id for d in scene.estate.media("acme")}
        assert scene.estate.people_disconnected == 0

    play("autoscaler", story)


@every_deployment
@pytest.mark.parametrize("works", [True, False])
def test_a_configuration_is_changed_while_nothing_adds_a_node(kind: str, works: bool) -> None:
    """A node added meanwhile would install itself from a file that is not verified yet."""

    async def story(scene: Scene, fleet: FleetExpectation) -> None:
        scene.estate.allow_rolling = True
        before = secrets(scene)
        card = await ask(scene)
        read = scene.estate.read_secrets
        assert read is not None
        scene.estate.read_secrets = lambda stack: (
            None if not works and NEW.encode() in secrets(scene) else read(stack)
        )
        await scene.ben.press(card, "Approve")
        if works:
            run = await run_ended(scene)
            assert NEW in secrets(scene).decode()
        else:
            run = await scene.run_is("acme-1", State.ROLLED_BACK)
            assert secrets(scene) == before
        assert ("Resume the autoscaler" in titles(run)) == (fleet.kind == "autoscaler")
        scales = scene.estate.functions.scales("acme")
        assert scales == (fleet.kind == "autoscaler"), "as it was before"
        assert fleet.serves(2)

    play(kind, story)


@every_kind
def test_one_master_is_restarted_while_all_media_nodes_serve(kind: str) -> None:
    async def story(scene: Scene, fleet: FleetExpectation) -> None:
        scene.estate.allow_rolling = True
        await request_and_approve(scene, "restart master-2", "Restart master-2 of acme")
        await run_ended(scene)
        assert fleet.serves(2)
        assert scene.estate.signals == {}
        assert scene.estate.functions.scales("acme") == (fleet.kind == "autoscaler")

    play(kind, story)


@every_deployment
def test_a_live_backup_touches_no_media_node(kind: str) -> None:
    async def story(scene: Scene, fleet: FleetExpectation) -> None:
        await scene.ana.type_text("COPS", "/openvidu backup create --now")
        await run_ended(scene)
        assert len(scene.estate.snapshots) == len(scene.estate.masters("acme"))
        assert fleet.serves(2)

    play(kind, story)


@every_deployment
def test_a_shutdown_is_cancelled_where_the_card_says_and_a_startup_restores_all(kind: str) -> None:
    async def story(scene: Scene, fleet: FleetExpectation) -> None:
        scene.estate.open_meeting(people=4, minutes=30)
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await scene.wait(400)
        await scene.ana.type_text("COPS", "/openvidu cancel acme-1")
        await scene.run_is("acme-1", State.CANCELLED)
        assert {m.status for m in scene.estate.masters("acme")} == {"active"}
        assert scene.estate.people_disconnected == 0
        await scene.ana.type_text("COPS", "/openvidu startup --now")
        await run_ended(scene, run="acme-2")
        assert fleet.serves(2)
        assert scene.estate.functions.scales("acme") == (fleet.kind == "autoscaler")

    play(kind, story)


@pytest.mark.parametrize(
    ("kind", "picked", "numbers"),
    [("pool", "3", range(1, 21)), ("fixed", "3", range(1, 4)), ("autoscaler", "", range(0))],
)
def test_the_form_of_a_startup_offers_no_number_that_would_be_refused(
    kind: str, picked: str, numbers: range
) -> None:
    cold = down(MAKE[kind]())
    (field,) = [f for f in Startup.parameters() if f.name == "media"]
    offered = options_for(Startup, field, cold)
    assert initial_value(Startup, field, cold) == picked
    assert [int(p.value) for p in offered] == list(numbers)
    for pick in offered:
        make_plan(cold, Startup(int(pick.value)))
