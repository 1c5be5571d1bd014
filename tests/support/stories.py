"""What people do in most stories: request, approve, see how it ended."""

from handlers.commands.decisions import REASONED
from handlers.views import DETAILS_VIEW
from services.runs.run import Run, State
from simulators.slack.model import Message, View
from simulators.slack.user import SimulatedUser
from tests.support.scene import Scene


async def request_and_approve(scene: Scene, words: str, sees: str) -> Message:
    """Ana types it and Ben approves. Returns the message that was approved."""
    await scene.ana.type_text("COPS", f"/openvidu {words}")
    card = await with_buttons(scene, sees)
    await scene.ben.press(card, "Approve")
    return card


async def give_reason(who: SimulatedUser, why: str = "not tonight", timeout: float = 30.0) -> None:
    """Fill in the form that asks for a reason, once it is there."""
    view = await who.wait_for(
        lambda: (m := who.modal()) and m.body["callback_id"] == REASONED and m, timeout
    )
    assert isinstance(view, View), "it is there"
    await who.fill_and_submit(view, {"Why": why})


async def details(who: SimulatedUser, card: Message) -> View:
    """Press Details and return the modal, once it is filled."""
    await who.press(card, "Details")
    view = await who.wait_for(
        lambda: (m := who.modal()) and m.body["callback_id"] == DETAILS_VIEW and m, 30.0
    )
    assert isinstance(view, View), "it is there"
    return view


async def rejects(
    who: SimulatedUser, card: Message, why: str = "not tonight", label: str = "Reject…"
) -> None:
    """Press Reject and give the reason."""
    await who.press(card, label)
    await give_reason(who, why)


async def with_buttons(scene: Scene, text: str, seconds: float = 60.0) -> Message:
    """Return the newest message of the channel with this text and buttons, now or soon.

    Not a private answer, and not one that only mentions people.
    """
    for _ in range(int(seconds)):
        cards = [
            m
            for m in scene.ana.visible_messages("COPS")
            if text in f"{m.text} {m.blocks}"
            and "actions" in [b["type"] for b in m.blocks]
            and not m.ephemeral_to
        ]
        cards = [m for m in cards if "'Acknowledge'" not in str(m.blocks)]
        if cards:
            return cards[-1]
        await scene.wait(1)
    raise AssertionError(
        f"no card says {text!r} and has buttons: "
        f"{[m.text for m in scene.ana.visible_messages('COPS')]}"
    )


async def goes_on(
    scene: Scene, card: Message, *, label: str = "Continue from new state", run: str = "acme-1"
) -> None:
    """Ben presses a button of a run that no approved message covers, so Carla approves it again."""
    await scene.ben.press(card, label)
    heading = f"“{label}” for {run} ("
    if label == "Resume run":
        heading = f"Resume {run} ("
    asks = await with_buttons(scene, heading)
    assert "Changed: " in asks.text
    await scene.person("UCARLA").press(asks, "Approve")


async def run_ended(
    scene: Scene, state: State = State.DONE, *, run: str = "acme-1", timeout: float = 6 * 3600.0
) -> Run:
    """Return that run, once it has ended like that."""
    ended = await scene.run_is(run, state, State.STOPPED, timeout=timeout)
    assert ended.state == state, f"{ended.state}: {ended.stopped or ended.end_text}"
    await scene.settled(ended)
    return ended


async def question(scene: Scene, *, run: str = "acme-1", timeout: float = 6 * 3600.0) -> Message:
    """Return the message of that run, once it asks a question."""
    run_then = await scene.run_is(run, State.ASKING, State.STOPPED, timeout=timeout)
    assert run_then.state == State.ASKING, f"{run_then.state}: {run_then.stopped}"
    return await with_buttons(scene, f"{run} needs a decision")


def titles(run: Run) -> list[str]:
    """Return its steps as people read them."""
    return [s.title() for s in run.steps]


def whole(message: Message) -> str:
    """Return what a message shows: its text and its blocks."""
    return f"{message.text} {message.blocks}"


async def in_full(who: SimulatedUser, card: Message) -> str:
    """Return what a message and its details show."""
    return f"{whole(card)} {(await details(who, card)).body}"


def everything_read(scene: Scene) -> str:
    """Return everything that the channel's people can read, as one text."""
    return "\n".join(whole(m) for m in scene.ana.visible_messages("COPS"))
