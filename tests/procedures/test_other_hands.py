"""External changes during a run: reported, nothing more is written, and people decide."""

from collections.abc import Callable
from typing import Any

import pytest

from services.runs.run import Questioned, State
from services.steps import Question
from tests.support import virtual
from tests.support.scene import OFTEN, Scene
from tests.support.stories import (
    everything_read,
    goes_on,
    question,
    request_and_approve,
    run_ended,
    whole,
)


def set_pool(scene: Scene, number: int) -> None:
    """Set the pool's number as the control panel or Terraform does."""
    pool = scene.estate.pool("acme")
    body = {
        "name": pool.name,
        "config": {"target_number_instances": number},
        "droplet_template": pool.template,
    }
    scene.estate.settle()
    scene.estate.pool_scaler.edit(pool.id, body)


def set_size(scene: Scene, size: str) -> None:
    pool = scene.estate.pool("acme")
    scene.estate.allow_template_keys.add("size")
    template = {**scene.estate.pool_scaler.shown_template(pool), "size": size}
    scene.estate.settle()
    body = {
        "name": pool.name,
        "config": {"target_number_instances": pool.target},
        "droplet_template": template,
    }
    scene.estate.pool_scaler.edit(pool.id, body)


async def drains(scene: Scene, command: str, sees: str) -> None:
    """Start a shutdown that waits for a meeting of another 10 min."""
    for _ in scene.estate.media("acme"):
        scene.estate.open_meeting(people=4, minutes=10)
    await request_and_approve(scene, command, sees)
    await scene.wait(30)


CASES: dict[str, tuple[str, str, Callable[[Scene], None], str]] = {
    "grown during a scale": (
        "scale 2",
        "Scale acme to 2",
        lambda s: set_pool(s, 4),
        "the pool's number from 3 to 4",
    ),
    "grown during a shutdown": (
        "shutdown",
        "Shut down acme",
        lambda s: set_pool(s, 4),
        "the pool's number from 3 to 4",
    ),
    "another template during a resize": (
        "resize media c-8",
        "Resize the media",
        lambda s: set_size(s, "c-4"),
        "the pool's template",
    ),
}


@pytest.mark.sampled
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("answer", ["Continue from new state", "Stop here"])
def test_the_pool_was_changed_between_two_steps(case: str, answer: str) -> None:
    command, sees, change, external = CASES[case]

    async def story() -> None:
        async with Scene(media=3) as scene:
            scene.estate.allow_template_keys.update({"size"} if "resize" in command else ())
            # Caused by the external change: it replaced nodes that still had meetings.
            scene.estate.allow_disconnects = "template" in case
            await drains(scene, command, sees)
            change(scene)
            card = await question(scene)
            assert f"changed outside this run: {external}" in whole(card)
            assert "The run has changed nothing since" in whole(card)
            target, template = scene.estate.pool("acme").target, scene.estate.pool("acme").template
            await scene.wait(1800)
            assert (scene.estate.pool("acme").target, scene.estate.pool("acme").template) == (
                target,
                template,
            )
            assert all(m.on for m in scene.estate.masters("acme"))
            if answer == "Stop here":
                await scene.ana.press(card, answer)
                run = await run_ended(scene, State.LEFT)
                assert run.end_text.startswith(f"stopped (changed outside this run: {external}")
                assert scene.estate.pool("acme").target == target
                return
            await goes_on(scene, card)
            await run_ended(scene)
            match command.split()[0]:
                case "scale":
                    assert len(scene.estate.media("acme")) == len(scene.estate.serving("acme")) == 2
                case "shutdown":
                    assert scene.estate.media("acme") == []
                    assert not any(m.on for m in scene.estate.masters("acme"))
                case _:
                    assert [d.size for d in scene.estate.media("acme")] == ["c-8"] * 3

    virtual.run(story())


@pytest.mark.parametrize("command", ["scale 2", "shutdown"])
def test_a_pool_that_was_changed_between_plan_and_approval_gets_a_new_plan(command: str) -> None:
    async def story() -> None:
        async with Scene(media=3) as scene:
            await scene.ana.type_text("COPS", f"/openvidu {command}")
            card = await scene.card("Approve or reject")
            set_pool(scene, 5)
            await scene.wait(300)
            await scene.ben.press(card, "Approve")
            await scene.ephemeral("UBEN", "the cluster changed since this was requested")
            assert scene.estate.signals == {}
            assert scene.estate.pool("acme").target == 5

    virtual.run(story())


def test_a_pool_that_was_changed_at_the_very_moment_of_the_edit_is_not_overwritten() -> None:
    """The observation showed the old number; the read just before the write shows the new one."""

    async def story() -> None:
        async with Scene(media=2) as scene:
            world = scene.bot.operations.clusters.cluster("acme").world
            api = world.account.api  # type: ignore[attr-defined]
            read = api.pool

            async def slow(pool_id: str) -> object:
                if scene.estate.pool("acme").target == 2:
                    set_pool(scene, 5)
                return await read(pool_id)

            api.pool = slow
            await scene.ana.type_text("COPS", "/openvidu scale 3 --now")
            card = await question(scene)
            assert "the pool's number from 2 to 5" in whole(card)
            assert scene.estate.pool("acme").target == 5
            await scene.ana.press(card, "Stop here")
            await run_ended(scene, State.LEFT)

    virtual.run(story())


@pytest.mark.parametrize("answer", ["Continue from new state", "Stop here"])
def test_a_master_was_powered_on_by_hand_in_the_middle_of_a_shutdown(answer: str) -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            masters = scene.estate.masters("acme")
            stubborn = masters[3]
            scene.estate.outcome = lambda kind, d: (
                "ignored" if kind == "shutdown" and d is stubborn else "done"
            )
            await request_and_approve(scene, "shutdown", "Shut down acme")
            while masters[1].on or masters[1].status != "off":
                await scene.wait(2)
            await scene.wait(15)
            scene.estate.settle()
            scene.estate.power.request(masters[1].id, "power_on")
            card = await question(scene)
            assert (
                "changed outside this run: master 2 is powered on again after being powered off"
                in whole(card)
            )
            await scene.wait(900)
            assert masters[1].on, "nobody fights over it"
            await scene.ana.press(card, answer)
            scene.estate.outcome = lambda _kind, _d: "done"
            if answer == "Stop here":
                run = await run_ended(scene, State.LEFT)
                assert "master 2 is powered on again after being powered off" in run.end_text
                assert masters[1].on
            else:
                await run_ended(scene)
                assert not any(m.on for m in masters)

    virtual.run(story())


def test_a_node_that_was_to_stay_was_deleted_by_hand_during_a_scale() -> None:
    """The pool replaces the node, and the new one is the newest: it would be removed undrained."""

    async def story() -> None:
        async with Scene(media=3) as scene:
            scene.estate.allow_disconnects = True
            await drains(scene, "scale 2", "Scale acme to 2")
            scene.estate.settle()
            scene.estate.power.destroy(scene.estate.media("acme")[0].id)
            card = await question(scene)
            assert "media-4 not drained: removal would end what runs there" in whole(card)
            assert "Steps from the new state: " in whole(card)
            assert len(scene.estate.media("acme")) == 3
            await goes_on(scene, card)
            await run_ended(scene)
            assert len(scene.estate.serving("acme")) == len(scene.estate.media("acme")) == 2

    virtual.run(story())


@pytest.mark.parametrize("which", [0, 2])
def test_a_node_was_deleted_by_hand_during_a_shutdown(which: int) -> None:
    """Every media node is drained, so the replacement that the pool adds is drained too."""

    async def story() -> None:
        async with Scene(media=3) as scene:
            scene.estate.allow_disconnects = True
            await drains(scene, "shutdown", "Shut down acme")
            scene.estate.settle()
            scene.estate.power.destroy(scene.estate.media("acme")[which].id)
            await run_ended(scene)
            assert scene.estate.media("acme") == []
            assert not any(m.on for m in scene.estate.masters("acme"))
            assert set(scene.estate.signals.values()) == {1}

    virtual.run(story())


# A reached goal is reverted


def switch(scene: Scene, droplet: Any, action: str) -> None:
    """Switch a droplet as the control panel does."""
    scene.estate.settle()
    scene.estate.power.request(droplet.id, action)


async def goes_down(scene: Scene) -> None:
    await request_and_approve(scene, "shutdown", "Shut down acme")
    await run_ended(scene)
    await scene.wait(60)


async def starting(scene: Scene, title: str) -> None:
    """Start up until that step."""
    await scene.ana.type_text("COPS", "/openvidu startup --now")
    for _ in range(2000):
        if (await scene.journal.latest("acme", 1))[0] == "acme-2":
            run = await scene.journal.run("acme-2")
            if run.step is not None and title in run.step.title():
                return
        await scene.wait(1)
    raise AssertionError(f"it never came to {title}")


async def asks_again(scene: Scene, run: str = "acme-2") -> list[Question]:
    return [e.question for e in await scene.journal.events(run) if isinstance(e, Questioned)]


@pytest.mark.parametrize(
    "at",
    [
        "Power on master 4",
        "Wait until masters 1-4 are healthy",
        "Verify that the public address",
        "media nodes are in service",
    ],
)
def test_a_master_powered_off_during_a_start_up_is_started_again_and_posted_at_once(
    at: str,
) -> None:
    """Once, the run waited twenty minutes and paused, or ended with a master off."""

    async def story() -> None:
        async with Scene(media=2, site=OFTEN) as scene:
            scene.promises = False  # the external change does not wait for the media nodes
            await goes_down(scene)
            await starting(scene, at)
            off, began = scene.estate.masters("acme")[1], scene.clock.now()
            switch(scene, off, "power_off")
            await scene.card(
                "master 2 is powered off: changed outside this run. "
                "The run continues from the new state: Power on master 2",
                timeout=60,
            )
            assert scene.clock.now() - began < 60
            run = await run_ended(scene, run="acme-2")
            assert run.ended_at - began < 900
            assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
            assert len(scene.estate.serving("acme")) == 2
            assert len(await asks_again(scene)) == 1
            assert "needs a decision" not in everything_read(scene)

    virtual.run(story())


def test_a_master_powered_off_again_is_asked_about() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            await goes_down(scene)
            await starting(scene, "are healthy")
            off = scene.estate.masters("acme")[1]
            switch(scene, off, "power_off")
            await scene.card("continues from the new state", timeout=60)
            await starting_again(scene)
            switch(scene, off, "power_off")
            card = await question(scene, run="acme-2")
            assert (
                "master 2 is powered off: changed outside this run. "
                "Steps from the new state: Power on master 2" in whole(card)
            )
            await scene.wait(900)
            assert not off.on
            await scene.ben.press(card, "Continue from new state")
            await run_ended(scene, run="acme-2")
            assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))

    async def starting_again(scene: Scene) -> None:
        for _ in range(600):
            run = await scene.journal.run("acme-2")
            if (
                run.step is not None
                and "are healthy" in run.step.title()
                and len(run.skipped) == 1
                and scene.estate.masters("acme")[1].on
            ):
                return
            await scene.wait(1)
        raise AssertionError("it was not started again")

    virtual.run(story())


def test_a_fixed_node_deleted_while_it_starts_does_not_count_as_serving() -> None:
    """All of the three requested ones served; so did all of two."""

    async def story() -> None:
        async with Scene(media=3, kind="fixed") as scene:
            scene.promises = False
            await goes_down(scene)
            await starting(scene, "media-1, media-2 and media-3 are in service")
            scene.estate.settle()
            scene.estate.power.destroy(scene.estate.media("acme")[0].id)
            await scene.card("1 media node was deleted", timeout=120)
            await run_ended(scene, run="acme-2")
            assert len(scene.estate.serving("acme")) == 2

    virtual.run(story())


def test_a_fixed_node_powered_off_while_others_start_is_started_again() -> None:
    async def story() -> None:
        async with Scene(media=2, kind="fixed") as scene:
            await goes_down(scene)
            await starting(scene, "media-1 and media-2 are in service")
            switch(scene, scene.estate.media("acme")[1], "power_off")
            await scene.card("media-2 is powered off", timeout=60)
            await run_ended(scene, run="acme-2")
            assert len(scene.estate.serving("acme")) == 2

    virtual.run(story())


@pytest.mark.parametrize("command", ["resize masters s-8vcpu-16gb", "backup create --offline"])
def test_a_master_powered_on_during_a_shutdown_is_noticed_at_once(
    command: str,
) -> None:
    """Its disk is not are consistent any more."""

    async def story() -> None:
        async with Scene(media=1) as scene:
            masters = scene.estate.masters("acme")
            slow = masters[0]  # the others are ready long before it
            scene.estate.outcome = lambda kind, d: (
                "ignored" if kind in ("resize", "snapshot") and d is slow else "done"
            )
            await request_and_approve(scene, command, "acme")
            while not any(a.type in ("resize", "snapshot") for a in scene.estate.actions.values()):
                await scene.wait(1)
            await scene.wait(200)
            began = scene.clock.now()
            switch(scene, masters[2], "power_on")
            card = await question(scene)
            assert (
                "master 3 is powered on: changed outside this run. Steps from the new state: "
                in whole(card)
            )
            assert scene.clock.now() - began < 90
            scene.promises = False

    virtual.run(story())


def test_a_pool_change_while_the_masters_are_resized_is_noticed() -> None:
    """Recorded after a resize: only the sizes, not the pool's number at that moment."""

    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.promises = False
            await request_and_approve(scene, "resize masters s-8vcpu-16gb", "acme")
            masters = scene.estate.masters("acme")
            while not any(a.type == "resize" for a in scene.estate.actions.values()):
                await scene.wait(1)
            assert not any(m.on for m in masters)
            set_pool(scene, 5)
            card = await question(scene)
            assert "changed outside this run: the pool's number from 0 to 5" in whole(card)

    virtual.run(story())


ROUNDS = {
    "resize": "resize masters s-8vcpu-16gb",
    "backup": "backup create --offline",
    "rolling": "resize masters s-8vcpu-16gb --rolling",
}


@pytest.mark.parametrize("command", ROUNDS.values(), ids=ROUNDS)
def test_a_master_powered_off_during_a_start_up_is_not_called_done(command: str) -> None:
    """From there the sizes were right and the backup was taken: nothing seemed left to do."""

    async def story() -> None:
        async with Scene(media=1) as scene:
            scene.promises = False
            scene.estate.allow_rolling = "rolling" in command
            await request_and_approve(scene, command, "acme")
            await scene.wait(5)
            for _ in range(3000):
                run = await scene.journal.run("acme-1")
                last = (
                    len([s for s in run.steps[run.position :] if "are healthy" in s.title()]) == 1
                )
                if run.step is not None and "are healthy" in run.step.title() and last:
                    break
                await scene.wait(1)
            switch(scene, scene.estate.masters("acme")[2], "power_off")
            await scene.card("master 3 is powered off", timeout=90)
            await run_ended(scene)
            assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
            assert len(scene.estate.serving("acme")) == 1

    virtual.run(story())
