"""OpenVidu Single Node, as the vendor's page administers it: meetings run on its one droplet."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from services.access.policy import (
    AccessResult,
    Actor,
    ClusterPolicy,
    approval_reasons,
    authorize,
)
from services.billing.prices import hourly
from services.cluster.model import EVERYTHING, Cluster, NodeStatus
from services.cluster.service_state import service_state
from services.common.errors import Refused
from services.procedures import (
    AddWindow,
    BackupCreate,
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
from services.procedures.secrets_env_check import file_problem
from services.runs.run import State
from services.secrets_env import SecretsUnread
from services.steps import HealthyHost, PowerOffHost, RestartHost
from tests.support import virtual
from tests.support.clusters import DRAINING, IDLE, INSTALLING, SILENT, SOLD, down, single
from tests.support.scene import Scene
from tests.support.stories import (
    in_full,
    question,
    request_and_approve,
    run_ended,
    titles,
    whole,
    with_buttons,
)

BIG = "s-8vcpu-16gb"
OPERATOR = Actor("UANA")
RULES = ClusterPolicy(operators=frozenset({"UANA"}), approvers=frozenset({"UBEN"}))
NAMES = {"pro": "acme-vm-ce-pro", "community": "acme-vm-ce"}
COUNTED = "Count the documents in the database"
STOP = ["Drain node", "Power off the node"]
START = [
    "Power on the node",
    "Wait until the node is healthy",
    "Verify that the public address answers",
    "Wait until node is in service",
]


def node(**more: Any) -> Scene:
    return Scene(deployment="single node", **more)


def steps(cluster: Cluster, procedure: Procedure) -> list[str]:
    return [s.title() for s in make_plan(cluster, procedure).steps]


def looking(look: Any, **more: Any) -> Cluster:
    cluster = single(**more)
    return replace(cluster, media=(replace(cluster.media[0], look=look),))


# Plans


@pytest.mark.parametrize("name", NAMES.values())
def test_every_stop_begins_with_the_drain_and_every_start_ends_in_service(name: str) -> None:
    cluster = single(name=name, sizes=SOLD, snapshots=())
    assert steps(cluster, Shutdown()) == STOP
    assert steps(down(cluster), Startup()) == START
    assert steps(cluster, Restart("node")) == [*STOP, *START]
    assert steps(cluster, Restart("node", service=True)) == [
        "Drain node",
        "Restart OpenVidu on the node",
        *START[1:],
    ]
    assert steps(cluster, ResizeMasters(BIG, grow_disk=True, snapshot=True)) == [
        *STOP,
        "Snapshot the node",
        f"Resize the node to {BIG}, its disk to 320 GB",
        *START,
    ]
    assert steps(cluster, BackupCreate()) == [COUNTED, "Snapshot the node"]
    offline = steps(cluster, BackupCreate(offline=True))
    assert offline == [COUNTED, *STOP, "Snapshot the node", *START]
    assert steps(cluster, DrainNodes()) == ["Drain node"]
    assert steps(cluster, DrainNodes("node")) == ["Drain node"]


def test_an_approval_is_shown_that_all_service_ends() -> None:
    for procedure in (Shutdown(), Restart("node"), DrainNodes(), ResizeMasters(BIG)):
        plan = make_plan(single(sizes=SOLD), procedure)
        assert plan.effects.blocks, "no meeting can be opened from the start"
        assert plan.effects.down, "all of it is out of service"
        assert not plan.effects.cuts_off
        assert authorize(plan, OPERATOR, RULES).kind is AccessResult.NEEDS_APPROVAL
    assert make_plan(single(), DrainNodes()).effects.special == (
        "no one can meet on acme until OpenVidu is restarted there",
    )


def test_without_a_drain_the_meetings_that_end_are_named() -> None:
    plan = make_plan(single(), Shutdown(no_drain=True))
    assert [s.title() for s in plan.steps] == ["Power off the node"]
    assert plan.effects.cuts_off
    assert plan.effects.special == (
        "powers off the node without draining (node: 1 meeting, 5 people now)",
    )
    empty = make_plan(looking(IDLE, rooms=0), Shutdown(no_drain=True))
    assert not empty.effects.cuts_off
    assert empty.effects.special == ()


def test_the_droplet_is_billed_once_and_a_shutdown_saves_nothing() -> None:
    assert hourly(single()).total == Decimal("0.07143")
    plan = make_plan(single(), Shutdown())
    assert plan.saves == 0
    assert plan.stays_billed == Decimal("0.07143")
    assert "Saves nothing" in plan.notes[0]


def test_a_drained_node_is_not_drained_again_and_is_restarted_as_it_is() -> None:
    assert steps(looking(IDLE), Shutdown()) == ["Power off the node"]
    assert steps(looking(IDLE), Restart("node", service=True))[0] == "Restart OpenVidu on the node"
    assert steps(looking(IDLE), DrainNodes()) == []
    assert steps(looking(IDLE), Startup()) == ["Restart OpenVidu on node", *START[1:]]
    assert steps(single(), Startup()) == []


def test_a_drained_node_has_no_service_although_its_pages_answer() -> None:
    state = service_state(looking(IDLE))
    assert state is not None
    assert (state.masters_on, state.serving, state.out, state.can_meet) == (1, 0, 1, False)


@pytest.mark.parametrize(
    "step", [PowerOffHost(("acme-vm-ce-pro",)), RestartHost("acme-vm-ce-pro", "a1")]
)
def test_nothing_is_stopped_before_it_is_proved_drained(step: PowerOffHost | RestartHost) -> None:
    assert "not drained" in step.blocker(single())
    assert "not drained" in step.blocker(looking(DRAINING))
    assert step.blocker(looking(IDLE)) == ""
    assert step.blocker(looking(INSTALLING)) == "", "nothing runs there"
    assert "cannot be observed" in step.missing_evidence(looking(SILENT))
    lying = replace(IDLE, livekit=200)
    assert "not drained" in step.blocker(looking(lying)), "two sources contradict each other"
    agreed = step.without_protection()
    assert agreed.blocker(single()) == agreed.missing_evidence(looking(SILENT)) == ""
    assert agreed.effects(single()).cuts_off


REFUSALS: list[tuple[Procedure, str]] = [
    (Scale(3), "no media nodes can be added. For more capacity, resize it: [[command resize"),
    (ResizeMedia(BIG), f"To resize the node, run [[command resize masters {BIG}]]"),
    (Roll(BIG), f"is always downtime: [[command resize masters {BIG}]]"),
    (Freeze(), "nothing scales by itself, so there is nothing to freeze"),
    (Unfreeze(), "nothing scales by itself, so there is nothing to unfreeze"),
    (Park("node"), "acme has a single node. To stop it, run [[command shutdown]]"),
    (Unpark("node"), "acme has a single node. To start it, run [[command startup]]"),
    (DrainNodes("media-1"), "To drain that node, run [[command drain]]"),
    (DrainNodes("1"), "its meetings run on its only node"),
    (Restart("media-1"), "acme has no node “media-1”. There are: node"),
    (Shutdown(media_only=True), "[[command drain]] ends its meetings and leaves the node powered"),
    (Startup(1), "Run [[command startup]] without a number"),
    (
        AddWindow("nights Mon-Fri 20:00-07:30 --media-only --saves-nothing"),
        "there are no media nodes to remove",
    ),
    (AddWindow("nights Mon-Fri 20:00-07:30 --number 2 --saves-nothing"), "Omit `--number`"),
    (
        AddWindow("nights Mon-Fri 20:00-07:30"),
        "a window would save nothing on acme: it has a single node, and DigitalOcean bills "
        "powered-off droplets in full. To add it anyway: [[command window add nights Mon-Fri "
        "20:00-07:30 --saves-nothing]]",
    ),
]


@pytest.mark.parametrize(("procedure", "text"), REFUSALS)
def test_what_a_single_node_cannot_do_is_refused_with_the_alternative(
    procedure: Procedure, text: str
) -> None:
    with pytest.raises(Refused) as refused:
        make_plan(single(sizes=SOLD), procedure)
    assert text in str(refused.value)


def test_a_rolling_resize_is_refused() -> None:
    with pytest.raises(Refused, match=r"always downtime|only droplet"):
        make_plan(single(sizes=SOLD), ResizeMasters(BIG, rolling=True))


def test_a_node_whose_pages_fail_is_not_restarted_under_its_meetings() -> None:
    step = HealthyHost(("acme-vm-ce-pro",))
    for look, restarts in ((None, False), (SILENT, False), (DRAINING, False), (IDLE, True)):
        cluster = single() if look is None else looking(look)
        (host,) = cluster.masters
        sick = cluster.with_masters({host.name: replace(host, healthy=False)})
        assert step.needs_ask(sick, 1) is restarts


def test_a_node_that_is_off_or_unseen_is_not_drained() -> None:
    for cluster, text in ((down(single()), "acme is shut down"), (looking(SILENT), "over SSH")):
        with pytest.raises(Refused, match=text):
            make_plan(cluster, DrainNodes())


def test_secrets_env_of_a_powered_off_droplet_is_no_fault() -> None:
    unread = replace(single(), lint=SecretsUnread("not observed"), has_bucket=True)
    assert "could not be read (not observed)" in file_problem(unread)
    assert file_problem(down(unread)) == ""


def test_a_window_says_what_it_costs_people_and_that_it_saves_nothing() -> None:
    plan = make_plan(single(), AddWindow("nights Mon-Fri 20:00-07:30 --saves-nothing"))
    assert plan.notes[0] == "[[warning]] Saves nothing; people cannot meet in these hours"
    assert plan.money == "saves nothing: DigitalOcean bills powered-off droplets in full"


def test_what_is_said_of_it_is_about_one_droplet() -> None:
    cluster = single(sizes=SOLD, snapshots=())
    resize = make_plan(cluster, ResizeMasters(BIG, snapshot=True))
    assert resize.afterwards[0].startswith(f'Set `instanceType = "{BIG}"` in the Terraform')
    with pytest.raises(Refused, match="drains the node first"):
        make_plan(cluster, ResizeMasters(BIG, rolling=True))
    window = make_plan(cluster, AddWindow("nights Mon-Fri 20:00-07:30 --saves-nothing"))
    said = [*resize.notes, *resize.afterwards, resize.money, *window.notes, window.money]
    said += make_plan(cluster, BackupCreate(offline=True)).money, *approval_reasons(resize, RULES)
    for word in ("masters ", "media node", "each master", "month each", "master's"):
        assert not [text for text in said if word in text.replace("resize masters", "")], word


# Stories


@pytest.mark.sampled
@pytest.mark.parametrize("edition", NAMES)
def test_stop_and_start_the_node(edition: str) -> None:
    """Its meetings end first; then it is off, and started it takes meetings again."""

    async def story() -> None:
        async with node(edition=edition) as scene:
            estate = scene.estate
            (droplet,) = estate.masters("acme")
            assert droplet.name == NAMES[edition]
            estate.open_meeting(people=3, minutes=20)
            card = await request_and_approve(scene, "shutdown", "Shut down acme")
            assert "Saves nothing" in whole(card)
            await scene.wait(60)
            assert estate.open_meeting() is None, "refused from the start"
            assert droplet.status == "active"
            assert titles(await run_ended(scene)) == STOP
            assert (droplet.status, estate.people_disconnected) == ("off", 0)
            await scene.ana.type_text("COPS", "/openvidu startup")
            asked = await with_buttons(scene, "can start: Start up acme")
            await scene.ana.press(asked, "Start up")
            assert titles(await run_ended(scene, run="acme-2")) == START
            assert estate.open_meeting() is not None
            assert set(estate.signals.values()) == {1}

    virtual.run(story())


def test_people_agree_to_end_the_meetings_with_it() -> None:
    async def story() -> None:
        async with node() as scene:
            scene.estate.allow_disconnects = True
            scene.estate.open_meeting(people=3, minutes=300)
            card = await request_and_approve(
                scene, "shutdown --no-drain", "Shut down acme without draining"
            )
            shown = await in_full(scene.ana, card)
            assert (
                "Powers off the node without draining (node: 1 meeting, 3 people, 1 recording"
                in shown
            )
            await run_ended(scene)
            assert scene.estate.people_disconnected == 3
            assert scene.estate.masters("acme")[0].status == "off"

    virtual.run(story())


def test_at_the_deadline_people_decide() -> None:
    async def story() -> None:
        async with node(site={"drain": {"deadline_minutes": 30}}) as scene:
            scene.estate.open_meeting(people=3, minutes=300)
            await request_and_approve(scene, "shutdown", "Shut down acme")
            asked = await question(scene)
            assert "node: 1 meeting, 3 people" in whole(asked)
            scene.estate.allow_disconnects = True
            await scene.ben.press(asked, "End these meetings")
            await run_ended(scene)
            assert scene.estate.masters("acme")[0].status == "off"
            assert scene.estate.people_disconnected == 3

    virtual.run(story())


def test_a_drain_ends_all_service_and_a_restart_brings_it_back() -> None:
    async def story() -> None:
        async with node() as scene:
            estate = scene.estate
            estate.open_meeting(people=3, minutes=10)
            card = await request_and_approve(scene, "drain", "Drain the node of acme")
            shown = await in_full(scene.ana, card)
            assert "no one can meet on acme until OpenVidu is restarted" in shown
            await run_ended(scene)
            assert estate.healthy(estate.masters("acme")[0]), "its pages answer"
            await scene.ana.type_text("COPS", "/openvidu status")
            status = await scene.ephemeral("UANA", "acme cannot hold meetings")
            assert "drained" in whole(status)
            assert "healthy, takes no meetings" in whole(status)
            assert estate.open_meeting() is None
            await request_and_approve(scene, "restart node --service", "Restart OpenVidu on node")
            back = await run_ended(scene, run="acme-2")
            assert titles(back)[0] == "Restart OpenVidu on the node"
            assert estate.open_meeting() is not None
            assert set(estate.signals.values()) == {1}

    virtual.run(story())


@pytest.mark.sampled
@pytest.mark.parametrize("words", ["restart node", "restart node --service"])
def test_restart_it(words: str) -> None:
    async def story() -> None:
        async with node() as scene:
            scene.estate.open_meeting(people=3, minutes=10)
            what = "Restart OpenVidu on node" if "--service" in words else "Restart node"
            card = await request_and_approve(scene, words, what)
            assert "no one can meet until it is back in service" in await in_full(scene.ana, card)
            await run_ended(scene)
            assert scene.estate.people_disconnected == 0
            assert scene.estate.open_meeting() is not None

    virtual.run(story())


def test_resize_it_with_its_disk_and_a_snapshot_before() -> None:
    async def story() -> None:
        async with node() as scene:
            scene.estate.open_meeting(people=3, minutes=10)
            card = await request_and_approve(
                scene, f"resize masters {BIG} --grow-disk --snapshot", "Resize"
            )
            assert "a disk never shrinks" in await in_full(scene.ana, card)
            await run_ended(scene)
            (droplet,) = scene.estate.masters("acme")
            assert (droplet.size, droplet.disk) == (BIG, 320)
            assert len(droplet.snapshot_ids) == 1
            assert scene.estate.open_meeting() is not None
            assert scene.estate.people_disconnected == 0

    virtual.run(story())


@pytest.mark.sampled
@pytest.mark.parametrize("words", ["backup create", "backup create --offline"])
def test_back_it_up(words: str) -> None:
    async def story() -> None:
        async with node() as scene:
            scene.estate.open_meeting(people=3, minutes=10)
            await scene.ana.type_text("COPS", f"/openvidu {words}")
            card = await with_buttons(scene, "Back up acme")
            if "--offline" in words:
                await scene.ben.press(card, "Approve")
            else:
                await scene.ana.press(card, "Start backup")
            await run_ended(scene)
            assert len(scene.estate.masters("acme")[0].snapshot_ids) == 1
            assert scene.estate.people_disconnected == 0
            assert scene.estate.serving("acme")

    virtual.run(story())


def test_a_window_closes_and_opens_it_once_people_said_that_it_saves_nothing() -> None:
    async def story() -> None:
        async with node() as scene:
            window = "window add nights daily 20:00-06:00 UTC"
            await scene.ana.type_text("COPS", f"/openvidu {window}")
            refused = await scene.ephemeral("UANA", "would save nothing on acme")
            assert "--saves-nothing" in whole(refused)
            card = await request_and_approve(scene, f"{window} --saves-nothing", "window nights")
            assert "Saves nothing; people cannot meet in these hours" in await in_full(
                scene.ana, card
            )
            await run_ended(scene)
            await scene.wait(13 * 3600)
            assert [d.status for d in scene.estate.masters("acme")] == ["off"]
            await scene.wait(10 * 3600)
            assert [d.status for d in scene.estate.masters("acme")] == ["active"]
            assert scene.estate.open_meeting() is not None

    virtual.run(story())


def test_a_status_of_the_node_says_both_what_it_is_and_who_meets_there() -> None:
    async def story() -> None:
        async with node() as scene:
            scene.estate.open_meeting(people=3)
            await scene.ana.type_text("COPS", "/openvidu status node")
            answer = whole(await scene.ephemeral("UANA", "node"))
            assert "Health page: answers" in answer
            assert "1 meeting, 3 people" in answer

    virtual.run(story())


def test_looks_at_it_see_the_droplet_as_both() -> None:
    async def story() -> None:
        async with node() as scene:
            cluster = await scene.bot.operations.reader.look("acme", EVERYTHING)
            assert cluster.masters[0].id == cluster.media[0].id
            assert cluster.masters[0].is_healthy, "asked on the node: no one else may"
            assert cluster.serving
            assert isinstance(cluster.media[0].look, NodeStatus)

    virtual.run(story())


def test_a_node_that_hangs_can_be_restarted_by_people_who_say_so() -> None:
    """Its secrets.env is on its own disk: without an answer, no one can read it before."""

    async def story() -> None:
        async with node() as scene:
            (droplet,) = scene.estate.masters("acme")
            scene.estate.allow_disconnects = True
            scene.estate.open_meeting(people=3, minutes=300)
            execute, booted = scene.environment.shell.execute, droplet.node.boot_id

            def hangs(*args: Any) -> Any:
                if droplet.node.boot_id == booted:
                    raise ConnectionRefusedError("connection refused")
                return execute(*args)

            scene.environment.shell.execute = hangs  # type: ignore[method-assign, assignment]
            await scene.wait(60)
            for words in ("shutdown", "shutdown --no-drain", "restart node"):
                await scene.ana.type_text("COPS", f"/openvidu {words}")
                refused = await scene.ephemeral("UANA", "is not stopped")
                assert "secrets.env on the node could not be read" in refused.text
                assert "`/openvidu restart node --no-drain` restarts it" in refused.text
                await scene.wait(5)
            await scene.ana.type_text("COPS", "/openvidu status")
            status = await scene.ephemeral("UANA", "acme may or may not be in service")
            assert "Whether the node takes meetings was not seen." in whole(status)
            assert "media node" not in whole(status)
            card = await request_and_approve(scene, "restart node --no-drain", "Restart node")
            shown = await in_full(scene.ana, card)
            assert "Ends 1 running meeting: 3 people" in shown
            assert "secrets.env: it could not be read (connection refused)" in shown
            await run_ended(scene)
            assert scene.estate.open_meeting() is not None

    virtual.run(story())


def test_a_cancelled_run_says_what_became_of_the_one_droplet() -> None:
    async def story() -> None:
        async with node() as scene:
            scene.estate.open_meeting(people=3, minutes=30)
            await request_and_approve(scene, "restart node", "Restart node")
            await scene.wait(60)
            await scene.ana.type_text("COPS", "/openvidu cancel")
            run = await run_ended(scene, State.CANCELLED)
            (shown,) = scene.cards_of(run)
            assert "acme needs you: the node takes no meetings" in whole(shown)
            assert "No new meetings on acme: the node is draining or drained." in whole(shown)
            assert "media node" not in whole(shown)

    virtual.run(story())
