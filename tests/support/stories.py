"""What people do in most stories: ask, approve, look how it ended."""

import re

from services.runs import Run, State
from simulators.slack.model import Message
from tests.support.scene import Scene


async def asked(scene: Scene, words: str, sees: str, *, by_ben: bool = True) -> Message:
    """Ana types it and Ben approves. Returns the card that was approved."""
    await scene.ana.types("COPS", f"/openvidu {words}")
    card = await scene.card(sees)
    if by_ben:
        await scene.ben.presses(card, "Approve")
    return card


async def the_run(scene: Scene) -> Run:
    """The newest run, once there is one."""
    for _ in range(60):
        names = await scene.journal.latest("acme", 1)
        if names:
            return await scene.journal.run(names[0])
        await scene.passes(1)
    raise AssertionError("no run was opened")


async def over(scene: Scene, state: State = State.DONE, timeout: float = 6 * 3600.0) -> Run:
    """The newest run, when it has ended like that."""
    run = await scene.run_is((await the_run(scene)).id, state, State.STOPPED, timeout=timeout)
    assert run.state == state, f"{run.state}: {run.stopped or run.end_text}"
    await scene.settled(run)
    return run


async def question(scene: Scene, timeout: float = 6 * 3600.0) -> Message:
    """The card of the newest run, once it asks people something."""
    run = await scene.run_is((await the_run(scene)).id, State.ASKING, State.STOPPED, timeout=timeout)
    assert run.state == State.ASKING, f"{run.state}: {run.stopped}"
    return await scene.card(f"{run.id} needs a decision")


def titles(run: Run) -> list[str]:
    """Its steps as people read them."""
    return [s.title() for s in run.steps]


def told(scene: Scene) -> str:
    """Everything the channel's people can read, as one text."""
    return "\n".join(f"{m.text} {m.blocks}" for m in scene.ana.sees("COPS"))


def money_in(text: str) -> list[str]:
    """The amounts that a card names."""
    return re.findall(r"\$\d+\.\d\d", text)
