"""Several clusters from a terminal: the same plans, a line for each that moves, and exit codes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from services.runs.batch import BatchState
from services.runs.run import State
from tests.conversations.test_from_a_terminal import ANA, BEN, TerminalProcess, shell_of
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import with_buttons

WINDOW = "window add nights daily 20:00-07:00"
LABELLED = {"beta": {"labels": ["production"]}}


def play(story: Callable[[Scene, TerminalProcess], Awaitable[None]], **more: Any) -> None:
    async def whole() -> None:
        options = {"stacks": ("acme", "beta"), "media": 1, "pydo": False, "sites": LABELLED}
        async with Scene(**{**options, **more}) as scene, shell_of(scene) as shell:
            await story(scene, shell)

    virtual.run(whole())


async def waiting(scene: Scene) -> str:
    """Return the id of the one batch, once it is there."""
    for _ in range(60):
        if names := await scene.bot.operations.batch_records.unfinished_ids():
            return names[0]
        await scene.wait(1)
    raise AssertionError("nothing was requested")


def test_requested_here_approved_in_slack_and_followed_to_its_end() -> None:
    async def story(scene: Scene, shell: TerminalProcess) -> None:
        asking = asyncio.create_task(shell.types(ANA, "run", f"{WINDOW} --cluster acme,beta"))
        card = await with_buttons(scene, "Add window nights to 2 clusters?")
        await scene.ben.press(card, "Approve window of 2 clusters")
        code, said = await asking
        assert code == 0, said
        assert "1. Save the window" in said, "no one can press Details here"
        assert "acme: done (acme-1)" in said
        assert "beta: done (beta-1)" in said
        assert "Add window nights to 2 clusters: done" in said

    play(story)


def test_approved_here_after_it_was_shown() -> None:
    async def story(scene: Scene, shell: TerminalProcess) -> None:
        code, said = await shell.types(ANA, "run", f"{WINDOW} --label production", follow=False)
        assert code == 0
        name = await waiting(scene)
        assert f"openvidu-bot watch {name}" in said
        first, _ = await shell.types(BEN, "show", name)
        assert first == 0
        assert (await scene.bot.operations.batch_records.get(name)).state is BatchState.OPEN
        code, said = await shell.types(BEN, "approve", name)
        assert code == 0, said
        assert "beta: done (beta-1)" in said

    play(story)


def test_the_exit_code_says_that_some_failed() -> None:
    async def story(scene: Scene, shell: TerminalProcess) -> None:
        asking = asyncio.create_task(shell.types(ANA, "run", "shutdown --cluster acme,beta"))
        card = await with_buttons(scene, "Shut down 2 clusters?")
        await scene.ben.press(card, "Approve shutdown of 2 clusters")
        await scene.run_is("acme-1", State.RUNNING)
        await scene.bot.operations.service.cancel("acme-1", BEN)
        code, said = await asking
        assert code == 1
        assert "stopped, 0 of 2 done" in said
        assert "shutdown --cluster acme,beta" in said.rpartition("To request what was not done")[2]

    play(story)


def test_a_refused_cluster_is_no_success() -> None:
    async def story(scene: Scene, shell: TerminalProcess) -> None:
        await scene.ana.type_text("COPS", '/openvidu hold "exam" until 23:00 --cluster beta')
        await scene.wait(5)
        asking = asyncio.create_task(shell.types(ANA, "run", f"{WINDOW} --cluster acme,beta"))
        card = await with_buttons(scene, "Add window nights to 1 cluster?")
        await scene.ben.press(card, "Approve window of 1 cluster")
        code, said = await asking
        assert code == 1
        assert "not included: beta is on hold" in said

    play(story)


def test_rejected_here() -> None:
    async def story(scene: Scene, shell: TerminalProcess) -> None:
        await shell.types(ANA, "run", f"{WINDOW} --cluster acme,beta", follow=False)
        name = await waiting(scene)
        code, said = await shell.types(BEN, "reject", f'{name} --reason "not tonight"')
        assert code == 0
        assert "Rejected by @ben" in said
        code, said = await shell.types(ANA, "watch", name)
        assert code == 1

    play(story)


def test_plans_and_status_of_several() -> None:
    async def story(scene: Scene, shell: TerminalProcess) -> None:
        code, said = await shell.types(ANA, "plan", "shutdown --cluster acme,beta")
        assert code == 0
        assert "Shut down 2 clusters: dry run" in said
        for words in ("", "--all", "--cluster acme,beta"):
            code, said = await shell.types(ANA, "status", words)
            assert (code, "2 clusters: 2 in service" in said) == (0, True), said
        code, said = await shell.types(ANA, "status", "--label production")
        assert "1 cluster: 1 in service" in said
        code, said = await shell.types(ANA, "say", "config list --cluster acme,beta")
        assert code == 1
        assert "takes one cluster at a time" in said
        assert await scene.bot.operations.batch_records.unfinished_ids() == []

    play(story)


def test_what_needs_no_approval_is_shown_before_it_starts() -> None:
    async def story(scene: Scene, shell: TerminalProcess) -> None:
        code, said = await shell.types(ANA, "run", "scale 2 --cluster acme,beta")
        assert code == 1
        name = await waiting(scene)
        assert f"Not started yet: openvidu-bot approve {name}" in said
        code, said = await shell.types(ANA, "approve", name)
        assert code == 0, said
        assert "Scale 2 clusters to 2 media nodes: done" in said

    play(story)
