"""Each look that a press needs is retried before the press is given up."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.common.errors import Unconfirmed, Unreachable
from services.common.retry import PATIENCE, retry_read
from services.runs.run import State
from simulators.slack.faults import SlackFault
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import question, request_and_approve, with_buttons


def play(story: Callable[[Scene], Awaitable[None]], **more: Any) -> None:
    async def whole() -> None:
        async with Scene(**{"media": 1, **more}) as scene:
            await story(scene)

    virtual.run(whole())


def heard(scene: Scene, user: str) -> list[str]:
    return [m.text for m in scene.person(user).visible_messages("COPS") if m.ephemeral_to == user]


@pytest.mark.sampled
@pytest.mark.parametrize("kind", ["429-minute", "html-502", "reset-before"])
@pytest.mark.parametrize("nth", range(4))
def test_one_look_that_fails_loses_no_approval(kind: str, nth: int) -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "Shut down acme")
        await scene.wait(30)
        fails_once(scene, kind, nth)
        await scene.ben.press(card, "Approve")
        await scene.run_is("acme-1", State.DONE)
        assert heard(scene, "UBEN") == []

    play(story)


@pytest.mark.parametrize("nth", range(4))
def test_nor_a_command_nor_a_resume(nth: int) -> None:
    async def story(scene: Scene) -> None:
        fails_once(scene, "html-502", nth)
        await scene.ana.type_text("COPS", "/openvidu scale 2 --now")
        await scene.run_is("acme-1", State.DONE)
        assert not [t for t in heard(scene, "UANA") if "o usable answer" in t]

    play(story)


def test_nor_an_answer() -> None:
    async def story(scene: Scene) -> None:
        scene.promises = False  # the meeting is ended by the answer
        scene.estate.open_meeting(people=3, minutes=600)
        await request_and_approve(scene, "shutdown", "Shut down acme")
        card = await question(scene)
        label = next(
            e["text"]["text"]
            for b in card.blocks
            if b["type"] == "actions"
            for e in b["elements"]
            if "force" in e["action_id"]
        )
        fails_once(scene, "html-502", 0)
        await scene.ben.press(card, label)
        await scene.run_is("acme-1", State.DONE)
        assert not [t for t in heard(scene, "UBEN") if "o usable answer" in t]

    play(story, site={"drain": {"deadline_minutes": 5}})


@pytest.mark.parametrize(
    "fault",
    [
        SlackFault("users.info", status=429, retry_after=2),
        SlackFault("users.info", status=502),
        SlackFault("users.info", error="internal_error"),
    ],
    ids=["429", "502", "internal_error"],
)
def test_who_it_is_is_asked_again_too(fault: SlackFault) -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "Shut down acme")
        scene.slack.faults.add(fault)
        await scene.ben.press(card, "Approve")
        await scene.run_is("acme-1", State.DONE)
        assert heard(scene, "UBEN") == []

    play(story)


def fails_once(scene: Scene, kind: str, nth: int) -> None:
    """The look at DigitalOcean that comes as the nth from now."""
    scene.environment.faults.add("digitalocean", kind, match="GET", skip=nth, times=1)


class Clockwork:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (Unreachable("no answer"), 4),
        (Unreachable("too many requests", again_in=2.0), 4),
        (Unreachable("too many requests", again_in=60.0), 1),
        (Unconfirmed("401", 0.0), 4),
    ],
    ids=["silence", "429", "429 for a minute", "unconfirmed"],
)
def test_it_ends_with_the_patience(error: Unreachable, tries: int) -> None:
    clock: Any = Clockwork()
    looked = 0

    async def look() -> None:
        nonlocal looked
        looked += 1
        raise error

    with pytest.raises(Unreachable):
        virtual.run(retry_read(clock, look))
    assert looked == tries
    assert clock.time <= PATIENCE
