"""One story over a real OpenSSH server: scripts, shell, docker's exit codes and /run of a node."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from services.runs.run import State
from simulators.slack.model import Message
from tests.support.openssh import USER, Node, node
from tests.support.patience import HANG, LOOKS
from tests.support.scene import Scene

PATIENCE = HANG
SITE = {"timings": {"look": 0.2, "second_look": 0.2}}


async def until(found: Callable[[], Any], what: str) -> Any:
    """What that finds, as soon as it finds it."""
    for _ in range(LOOKS):
        if it := found():
            return it
        await asyncio.sleep(0.1)
    raise AssertionError(f"there was no sign of {what}")


def played(story: Callable[[Scene, Node], Coroutine[Any, Any, None]], user: str) -> None:
    """The story, in real time: nothing in it waits longer than for a real program.

    Not in pytest's folder: each pytest that starts closes that to other users, who then cannot
    log in here.
    """

    async def whole() -> None:
        with TemporaryDirectory() as box:
            await on(Path(box))

    async def on(box: Path) -> None:
        async with node(box) as machine:
            shell = machine.shell(user)
            async with Scene(media=1, site=SITE, pydo=False, shell=lambda _: shell) as scene:
                try:
                    await story(scene, machine)
                finally:
                    await shell.aclose()

    asyncio.run(whole())


async def status(scene: Scene) -> str:
    await scene.ana.type_text("COPS", "/openvidu status")

    def newest() -> Message | None:
        return next(
            (m for m in reversed(scene.ana.visible_messages("COPS")) if "Media nodes" in m.text),
            None,
        )

    message: Message = await until(newest, "a status")
    return f"{message.text} {message.blocks}"


async def approved(scene: Scene, words: str, title: str) -> None:
    await scene.ana.type_text("COPS", f"/openvidu {words}")
    card: Message = await until(
        lambda: next(
            (
                m
                for m in scene.ana.visible_messages("COPS")
                if title in m.text and "Approve" in str(m.blocks)
            ),
            None,
        ),
        "a card",
    )
    await scene.ben.press(card, "Approve")


def drained_card(scene: Scene) -> str:
    return next(
        (
            f"{m.text} {m.blocks}"
            for m in reversed(scene.ana.visible_messages("COPS"))
            if "acme-1" in f"{m.text} {m.blocks}"
        ),
        "",
    )


def test_root_drains_a_node_once_and_its_meeting_ends_by_itself() -> None:
    async def story(scene: Scene, machine: Node) -> None:
        seen = await status(scene)
        assert "media-1 · in service · 1 meeting, 3 people" in seen
        # The pretend LiveKit knows of no meeting: neither count is kept back.
        assert "Meetings now: 1 (3 people) on the nodes; LiveKit counts none" in seen
        await approved(scene, "drain media-1", "Drain media-1 of acme")
        await until(lambda: machine.signals() == ["openvidu", "egress"], "both signals")
        (machine.box / "stopped").touch()  # dockerd is restarted, and its containers live on
        await until(
            lambda: any(
                "Cannot connect to the Docker daemon" in m.text
                for m in scene.ana.visible_messages("COPS")
            ),
            "the reason",
        )
        run = await scene.journal.run("acme-1")
        assert run.state is State.RUNNING, "silence is not absence"
        (machine.box / "stopped").unlink()
        (machine.box / "meeting").unlink()
        await until(lambda: not machine.runs("openvidu"), "the media server to end")
        await scene.run_is("acme-1", State.DONE, timeout=PATIENCE)
        assert machine.signals() == ["openvidu", "egress"], (
            "each once, and none for the agent that would end by it"
        )
        assert not (machine.box / "thrown-out").exists()
        assert machine.runs("agent-captions")

    played(story, "root")


def test_a_user_without_docker_sees_nothing_and_drains_nothing() -> None:
    async def story(scene: Scene, machine: Node) -> None:
        seen = await status(scene)
        assert (
            "media-1 · on, not seen: docker: permission denied while trying to connect "
            "to the Docker daemon socket" in seen
        )
        assert "drained" not in seen
        await approved(scene, "drain media-1", "Drain media-1 of acme")
        await scene.run_is("acme-1", State.RUNNING, timeout=PATIENCE)
        await until(lambda: "permission denied" in drained_card(scene), "the reason")
        assert (await scene.journal.run("acme-1")).state is State.RUNNING
        assert machine.signals() == []
        assert machine.runs("openvidu")

    played(story, USER)
