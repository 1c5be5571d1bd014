"""`rehearse` in Slack and in a terminal: the card, what is refused, and that nothing is changed."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from bot.rehearsal.play import play
from bot.terminal.local import terminal_context
from handlers.commands import COMMANDS
from handlers.commands.parser import parse
from handlers.commands.rehearse import Rehearse
from handlers.terminal.follow import OutputLine
from handlers.terminal.session import TerminalCommand, TerminalSession
from services.access.policy import Actor
from services.common.errors import Refused
from services.operations.rehearsal import Rehearsal, RehearsalStage, Scenario
from simulators.slack.model import Message
from tests.support import virtual
from tests.support.scene import Scene


class Here(RehearsalStage):
    """Plays in a thread of this process; `runs` with bad luck, after `seconds`."""

    def __init__(self, runs: int = 2, seconds: float = 5.0) -> None:
        self.runs, self.seconds = runs, seconds
        self.scenarios: list[Scenario] = []

    async def play(self, scenario: Scenario) -> Rehearsal:
        self.scenarios.append(scenario)
        await asyncio.sleep(self.seconds)
        return await asyncio.to_thread(play, replace(scenario, runs=self.runs))

    async def aclose(self) -> None:
        """Nothing is left."""


async def answer(scene: Scene, text: str, sees: str, user: str = "UANA") -> Message:
    await scene.person(user).type_text("COPS", f"/openvidu {text}")
    return await scene.ephemeral(user, sees)


def in_scene(story: Any, **options: Any) -> Any:
    async def whole() -> Any:
        async with Scene(pydo=False, **options) as scene:
            return await story(scene)

    return virtual.run(whole())


# What is typed


def test_any_command_that_changes_something_can_follow() -> None:
    parsed = parse("rehearse resize masters s-8vcpu-16gb --rolling")
    assert parsed.command == Rehearse("resize masters s-8vcpu-16gb --rolling")
    assert parse("rehearse scale 3 --cluster beta").cluster == "beta"
    assert not parsed.command.changes
    assert Rehearse in COMMANDS


def test_without_a_command_its_usage_is_shown() -> None:
    with pytest.raises(Refused, match="COMMAND is missing"):
        parse("rehearse")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("status", "takes a command that changes the cluster"),
        ("shutdwn", "did you mean"),
        ("window add nights Mon-Fri 20:00-07:30", "cannot be rehearsed"),
        ("restart media-9", "media-9"),
    ],
)
def test_what_is_refused(words: str, why: str) -> None:
    async def story(scene: Scene) -> None:
        await answer(scene, f"rehearse {words}", why)

    stage = Here()
    in_scene(story, stage=stage)
    assert stage.scenarios == []


def test_a_refusal_is_the_one_of_the_command_itself() -> None:
    async def story(scene: Scene) -> tuple[str, str]:
        itself = await answer(scene, "scale 5", "Terraform")
        rehearsed = await answer(scene, "rehearse scale 5", "Terraform")
        return itself.text, rehearsed.text

    itself, rehearsed = in_scene(story, kind="fixed", stage=Here())
    assert itself == rehearsed


def test_a_bot_without_a_stage_says_so() -> None:
    in_scene(lambda scene: answer(scene, "rehearse shutdown", "not available here"))


# The answer


def test_nothing_is_changed_and_only_who_asked_reads_it() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=5, minutes=30, recordings=0)
        await scene.ana.type_text("COPS", "/openvidu rehearse shutdown")
        await scene.ephemeral("UANA", "Rehearsing, about 20 s")
        card = await scene.ephemeral("UANA", "Rehearsal: Shut down acme")
        assert card.ephemeral_to == "UANA"
        assert "Done in " in card.text
        assert "of 2 runs" in card.text
        assert {method for method, *_ in scene.estate.requests} == {"GET"}
        assert scene.estate.signals == {}
        assert await scene.bot.operations.reader.open_run("acme") is None
        assert await scene.bot.operations.reader.waiting("acme") == []
        # The channel reads nothing.
        assert all(m.ephemeral_to for m in scene.dora.visible_messages("COPS"))

    in_scene(story, stage=Here())


def test_whoever_may_look_may_rehearse_and_no_one_else() -> None:
    async def story(scene: Scene) -> None:
        await answer(scene, "rehearse scale +1", "Rehearsal: Scale", user="UCARLA")
        await answer(scene, "rehearse shutdown", "role", user="UDORA")

    roles = {"operators": ["UANA", "UBEN"], "viewers": ["UCARLA"]}
    in_scene(story, stage=Here(runs=1), roles=roles)


def test_where_nothing_is_left_to_do_its_plan_is_the_answer() -> None:
    async def story(scene: Scene) -> None:
        await answer(scene, "rehearse startup", "nothing to do")

    stage = Here()
    in_scene(story, stage=stage)
    assert stage.scenarios == []


def test_what_the_bot_has_measured_and_kept_counts() -> None:
    """A cluster that was closed is opened again, with the number of nodes it had."""

    async def story(scene: Scene) -> Rehearsal:
        service = scene.bot.operations.service
        outcome: Any = await service.request(Actor("UANA"), "acme", parse("shutdown").command)  # type: ignore[arg-type]
        started: Any = await service.approve(outcome.request.id, Actor("UBEN"))
        await scene.run_is(started.run.id, "done")
        found = await service.rehearse(Actor("UANA"), "acme", parse("startup").command)  # type: ignore[arg-type]
        assert isinstance(found, Rehearsal)
        return found

    stage = Here(runs=1)
    found = in_scene(story, stage=stage, media=2)
    assert found.expected.serves
    assert found.plan.effects.adds == 2
    assert dict(stage.scenarios[0].usual)["PowerOff"] > 0


def test_what_is_in_its_way_now_is_said() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu hold audit for 2h")
        await scene.card("hold")
        await scene.ana.type_text("COPS", "/openvidu rehearse scale +1")
        card = await scene.ephemeral("UANA", "Rehearsal: Scale")
        assert "Now it is refused: acme is on hold" in str(card.blocks)

    in_scene(story, stage=Here(runs=1))


# A terminal


def test_in_a_terminal() -> None:
    async def story(scene: Scene) -> list[OutputLine]:
        bot = scene.bot
        terminal = TerminalSession(
            bot.operations.service,
            bot.operations.sweep,
            bot.scheduler,
            scene.clock,
            terminal_context(scene.settings),
            drives=False,
        )
        order = TerminalCommand("rehearse", "shutdown")
        return [line async for line in terminal.run(order, Actor("system:nobody", name="nobody"))]

    lines = in_scene(story, stage=Here(runs=1))
    assert lines[0].live
    assert lines[0].text.startswith("Rehearsing, about 20 s")
    assert "Shut down acme: rehearsal" in lines[1].text
    assert "openvidu-bot run shutdown" in lines[1].text
    assert lines[-1].code == 0
