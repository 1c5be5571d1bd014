"""Change `secrets.env` of a Single Node: where it reads it, with its meetings finished first."""

import pytest

from services.cloud.node_scripts import WRITE_SECRETS
from services.runs.run import State
from services.steps import PowerOffHost
from simulators.cloud import SimulatedDroplet
from simulators.cloud.boot_script import SECRETS, SINGLE_ENV
from simulators.node.shell import ShellOutput
from tests.procedures.test_config import NEW, ask, secrets, staged
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import in_full, run_ended, titles, whole

LINE = f"DASHBOARD_ADMIN_PASSWORD={NEW}\n".encode()
APPLIED = [
    "Drain node",
    "Write the new DASHBOARD_ADMIN_PASSWORD to secrets.env (the old file is kept)",
    "Power off the node",
    "Power on the node",
    "Wait until the node is healthy",
    "Verify that the public address answers",
    "Delete the staged file",
    "Wait until node is in service",
]


def node(scene: Scene) -> SimulatedDroplet:
    return scene.estate.masters("acme")[0]


@pytest.mark.sampled
@pytest.mark.parametrize("edition", ["pro", "community"])
def test_a_value_is_written_on_the_node_and_applied_once_its_meetings_have_ended(
    edition: str,
) -> None:
    async def story() -> None:
        async with Scene(deployment="single node", edition=edition) as scene:
            in_bucket, before = secrets(scene), node(scene).node.files[SECRETS]
            scene.estate.open_meeting(people=3, minutes=20)
            card = await ask(scene)
            shown = await in_full(scene.ben, card)
            assert "acme is out of service until it is back. Running meetings finish first" in shown
            assert "It is written on the node itself, over SSH" in shown
            assert node(scene).node.files[SECRETS] == before
            assert len(staged(scene)) == 1
            await scene.ben.press(card, "Approve")
            run = await run_ended(scene)
            assert titles(run) == APPLIED
            assert isinstance(run.steps[2], PowerOffHost), "never before it is seen drained"
            assert LINE in node(scene).node.files[SECRETS]
            assert LINE in node(scene).node.files[SINGLE_ENV], "its boot script has read it"
            assert secrets(scene) == in_bucket, "the bucket's copy is no one's source"
            assert staged(scene) == []
            assert scene.estate.people_disconnected == 0
            assert scene.estate.open_meeting() is not None

    virtual.run(story())


def test_a_node_that_does_not_come_back_gets_its_old_file_back() -> None:
    async def story() -> None:
        async with Scene(deployment="single node") as scene:
            before = node(scene).node.files[SECRETS]
            card = await ask(scene)
            healthy = scene.estate.healthy

            def sick_with_it(master: SimulatedDroplet, for_seconds: float = 0.0) -> bool:
                has_old = LINE not in node(scene).node.files[SECRETS]
                return has_old and healthy(master, for_seconds)

            scene.estate.healthy = sick_with_it  # type: ignore[method-assign]
            await scene.ben.press(card, "Approve")
            await run_ended(scene, State.ROLLED_BACK)
            assert node(scene).node.files[SECRETS] == before
            assert LINE not in node(scene).node.files[SINGLE_ENV]
            assert scene.estate.open_meeting() is not None

    virtual.run(story())


def test_another_writer_on_the_node_is_never_overwritten() -> None:
    async def story() -> None:
        async with Scene(deployment="single node") as scene:
            card = await ask(scene)
            node(scene).node.files[SECRETS] += b"# by hand\n"
            await scene.ben.press(card, "Approve")
            await scene.wait(60)
            assert node(scene).node.files[SECRETS].endswith(b"# by hand\n")
            assert LINE not in node(scene).node.files[SECRETS]

    virtual.run(story())


def test_another_writer_at_the_same_moment_is_never_overwritten() -> None:
    """The node itself compares, right before it replaces the file."""

    async def story() -> None:
        async with Scene(deployment="single node") as scene:
            card = await ask(scene)
            execute, written = scene.environment.shell.execute, []

            def beside(droplet_id: int, command: str, stdin: str = "") -> ShellOutput:
                if command == WRITE_SECRETS and not written:
                    node(scene).node.files[SECRETS] += b"# by hand\n"
                    written.append(command)
                return execute(droplet_id, command, stdin)

            scene.environment.shell.execute = beside  # type: ignore[method-assign]
            await scene.ben.press(card, "Approve")
            await scene.run_is("acme-1", State.STOPPED, State.ROLLED_BACK)
            assert written
            assert node(scene).node.files[SECRETS].endswith(b"# by hand\n")
            assert LINE not in node(scene).node.files[SECRETS]

    virtual.run(story())


def test_the_keys_and_the_problems_are_those_of_the_file_on_the_node() -> None:
    async def story() -> None:
        async with Scene(deployment="single node") as scene:
            node(scene).node.files[SECRETS] += b"ONLY_ON_THE_NODE=1\nREDIS_PASSWORD=a|b\n"
            await scene.ana.type_text("COPS", "/openvidu config list")
            listed = await scene.ephemeral("UANA", "ONLY_ON_THE_NODE")
            assert "a|b" not in whole(listed)
            await scene.ana.type_text("COPS", "/openvidu shutdown")
            await scene.ephemeral("UANA", "REDIS_PASSWORD")
            assert await scene.journal.latest("acme", 1) == [], "it would not start again"

    virtual.run(story())


def test_a_node_that_is_off_is_started_before_its_file_is_changed() -> None:
    async def story() -> None:
        async with Scene(deployment="single node") as scene:
            with scene.estate.by_administrator():
                scene.estate.power.request(node(scene).id, "shutdown")
            await scene.wait(60)
            await scene.ana.type_text("COPS", "/openvidu config list")
            await scene.ephemeral("UANA", "on the disk of the node, which is powered off")

    virtual.run(story())
