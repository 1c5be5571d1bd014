"""Killed, cancelled and unlucky at any point on a Single Node: people are never disconnected."""

from collections.abc import Callable
from functools import partial

import pytest

from services.access.policy import Actor
from services.common.errors import BotError
from services.procedures import (
    BackupCreate,
    DrainNodes,
    Procedure,
    ResizeMasters,
    Restart,
    Shutdown,
    Startup,
)
from services.runs.run import OVER, State
from services.steps import Drain
from simulators.cloud.boot_script import SECRETS, SINGLE_ENV
from simulators.faults import WorldFaults
from tests.runs.test_crash import BEN, insist
from tests.support import virtual
from tests.support.absence import ABSENCES, AT_ONCE, restart_after_absence
from tests.support.coverage_level import FULL, PARTS
from tests.support.crash_injector import CrashPoint, assert_survives_any_crash
from tests.support.scene import Scene
from tests.support.short_scene import short_scene

Check = Callable[[Scene], None]
ANA = Actor("UANA", "T0ACME")
BIG = "s-8vcpu-16gb"


def _off(scene: Scene) -> None:
    assert scene.estate.masters("acme")[0].status == "off"


def _serves(scene: Scene) -> None:
    assert scene.estate.healthy(scene.estate.masters("acme")[0])
    assert len(scene.estate.serving("acme")) == 1


def _big(scene: Scene) -> None:
    assert scene.estate.masters("acme")[0].size == BIG
    _serves(scene)


def _drained(scene: Scene) -> None:
    assert scene.estate.healthy(scene.estate.masters("acme")[0])
    assert scene.estate.serving("acme") == []


def _backed_up(scene: Scene) -> None:
    assert len(scene.estate.masters("acme")[0].snapshot_ids) == 1
    _serves(scene)


# what is done before the bot that dies, what it does, and how it ends
STORIES: dict[str, tuple[Procedure | None, Procedure, Check]] = {
    "shutdown": (None, Shutdown(), _off),
    "startup": (Shutdown(), Startup(), _serves),
    "restart": (None, Restart("node"), _serves),
    "restart of openvidu": (None, Restart("node", service=True), _serves),
    "drain": (None, DrainNodes(), _drained),
    "startup of a drained node": (DrainNodes(), Startup(), _serves),
    "resize": (None, ResizeMasters(BIG), _big),
    "backup offline": (None, BackupCreate(offline=True), _backed_up),
}


def tell(name: str, away: str, die_at: CrashPoint) -> int:
    first, procedure, check = STORIES[name]

    async def story() -> int:
        async with short_scene(deployment="single node", away=away) as scene:
            scene.estate.open_meeting(people=4, minutes=1, recordings=1)
            if first is not None:
                await scene.start_bot()
                await insist(scene, first)
                scene.kill()
                await scene.wait(120)
            await scene.start_bot(die_at)
            life = scene.crash_injectors[-1]
            run = await insist(scene, procedure)
            assert run.state is State.DONE, run.stopped
            check(scene)
            assert set(scene.estate.signals.values()) <= {1}, (
                "drained once per start of its media server"
            )
            assert scene.estate.people_disconnected == 0
            await scene.settled(run)
            return life.points

    return virtual.run(story())


@pytest.mark.sampled
@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("away", ABSENCES)
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_point(name: str, away: str, part: int) -> None:
    assert_survives_any_crash(
        f"single node, {name}, {away}", partial(tell, name, away), 2 if away == AT_ONCE else 1, part
    )


def change_secrets(away: str, die_at: CrashPoint) -> int:
    """The file on the node's own disk is replaced once, whenever the bot dies."""
    new = b"DASHBOARD_ADMIN_PASSWORD=Correct-Horse-Battery-9\n"

    async def story() -> int:
        async with short_scene(deployment="single node", away=away) as scene:
            scene.estate.open_meeting(people=4, minutes=1, recordings=1)
            await scene.start_bot()
            operations = scene.bot.operations
            await operations.service.configure(
                ANA,
                "acme",
                lambda f: f.set(*new.decode().strip().split("=")),
                channel="COPS",
            )
            (request,) = await operations.reader.waiting("acme")
            life = scene.crash_injectors[-1]
            life.points, life.die_at = 0, die_at
            for _ in range(400):
                if scene.crash_injectors[-1].is_dead:
                    await restart_after_absence(scene)
                runs = await scene.journal.latest("acme", 1)
                if runs and (await scene.journal.run(runs[0])).over:
                    break
                if not runs:
                    await scene.by_bot(scene.bot.operations.service.approve(request.id, BEN))
                await scene.wait(5)
            run = await scene.journal.run("acme-1")
            assert run.state is State.DONE, run.stopped
            files = scene.estate.masters("acme")[0].node.files
            assert new in files[SECRETS]
            assert new in files[SINGLE_ENV], "and its boot script has read it"
            assert scene.estate.people_disconnected == 0
            assert set(scene.estate.signals.values()) == {1}
            _serves(scene)
            return life.points

    return virtual.run(story())


@pytest.mark.sampled
@pytest.mark.parametrize("away", ABSENCES)
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_while_it_changes_secrets(away: str, part: int) -> None:
    assert_survives_any_crash(
        f"single node, config set, {away}",
        partial(change_secrets, away),
        4 if away == AT_ONCE else 2,
        part,
    )


def cancelled_after(procedure: Procedure, seconds: float) -> None:
    """Ana cancels the run after that long: it ends where nothing is left half done."""

    async def story() -> None:
        async with short_scene(deployment="single node") as scene:
            await scene.start_bot()
            scene.estate.open_meeting(people=4, minutes=2, recordings=1)
            service = scene.bot.operations.service
            await service.request(ANA, "acme", procedure, channel="COPS")
            for waiting in await scene.bot.operations.reader.waiting("acme"):
                ben = Actor("UBEN", "T0ACME")
                await service.approve(waiting.id, ANA if waiting.startable else ben)
            await scene.wait(seconds)
            try:
                await service.cancel("acme-1", ANA)
            except BotError:
                assert (await scene.journal.run("acme-1")).state in OVER, "too late to cancel"
            run = await scene.run_is("acme-1", *OVER)
            assert run.state in (State.CANCELLED, State.DONE)
            assert scene.estate.people_disconnected == 0
            assert set(scene.estate.signals.values()) <= {1}
            (droplet,) = scene.estate.masters("acme")
            if isinstance(procedure, Restart):
                assert droplet.status == "active", "a restart is not left half done"
            if run.state is State.CANCELLED:
                # What a cancel left drained or off, a start-up brings back.
                await scene.wait(300)
                scene.estate.settle()
                if not scene.estate.serving("acme"):
                    again = await insist(scene, Startup())
                    assert again.state is State.DONE
                _serves(scene)

    virtual.run(story())


MOMENTS = range(0, 330, 5 if FULL else 15)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("seconds", MOMENTS)
@pytest.mark.parametrize(
    "procedure", [Shutdown(), Restart("node"), Restart("node", service=True), ResizeMasters(BIG)]
)
def test_cancelled_at_any_moment(procedure: Procedure, seconds: float) -> None:
    cancelled_after(procedure, float(seconds))


@pytest.mark.sampled
@pytest.mark.parametrize("seed", range(20 if FULL else 3))
def test_bad_luck_on_every_side(seed: int) -> None:
    """Answers are lost and refused: DigitalOcean's, and those of the node itself."""

    async def story() -> None:
        cloud = {
            "500-before": 0.03,
            "503-after": 0.03,
            "reset-before": 0.02,
            "reset-after": 0.03,
            "429-minute": 0.01,
        }
        faults = WorldFaults(
            seed, {"digitalocean": cloud, "ssh": {"cut-before": 0.05, "cut-after": 0.05}}
        )
        async with Scene(deployment="single node", seed=seed, faults=faults) as scene:
            scene.allowed_complaints = ["ratelimited"]
            scene.estate.open_meeting(people=4, minutes=10, recordings=1)
            for procedure, check in (
                (Restart("node"), _serves),
                (Shutdown(), _off),
                (Startup(), _serves),
            ):
                run = await insist(scene, procedure)
                assert run.state is State.DONE, run.stopped
                check(scene)
            assert scene.estate.people_disconnected == 0
            assert set(scene.estate.signals.values()) <= {1}

    virtual.run(story())


def test_every_story_that_stops_the_node_begins_with_its_drain() -> None:
    """The plan that ran, not only the one that a test expects."""

    async def story() -> None:
        async with short_scene(deployment="single node") as scene:
            await scene.start_bot()
            for number, procedure in enumerate((Restart("node"), ResizeMasters(BIG)), 1):
                run = await insist(scene, procedure)
                assert run.id == f"acme-{number}"
                assert isinstance(run.steps[0], Drain)

    virtual.run(story())
