"""Stories that leave something in the state: told by one version, gone on with by the next."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.runs.run import State
from simulators.slack.model import Message
from tests.support.scene import Scene
from tests.support.stories import question, request_and_approve, run_ended, with_buttons

BIG = "s-8vcpu-16gb"
TWO = {"approvals": 1, "approvals_for": {"meetings_cut": 2}}


@dataclass(frozen=True)
class Story:
    """How it comes to a state, and the scene that it plays in."""

    tell: Callable[[Scene], Awaitable[None]]
    scene: Mapping[str, Any] = field(default_factory=dict)


async def asks_for_a_secret(scene: Scene) -> Message:
    await scene.ana.type_text("COPS", "/openvidu config set DASHBOARD_ADMIN_PASSWORD")
    view = await scene.ana.wait_for(scene.ana.modal)
    await scene.ana.fill_and_submit(
        view,
        {"New value": "Correct-Horse-Battery-9", "Reason (shown to others)": "rotation"},
    )
    return await scene.card("Change DASHBOARD_ADMIN_PASSWORD of acme")


async def waiting(scene: Scene) -> None:
    """A window, days off, a hold, and two requests that wait for approval (one has half of it)."""
    await scene.ana.type_text(
        "COPS", "/openvidu window add nights Mon-Fri 20:00-07:30 Europe/Madrid"
    )
    card = await with_buttons(scene, "Add window nights to acme")
    for who in (scene.ben, scene.person("UCARLA")):
        await who.press(card, "Approve")
        await scene.wait(5)
    await run_ended(scene)
    await scene.ana.type_text("COPS", "/openvidu window skip 2027-12-24")
    await scene.ephemeral("UANA", "stays in service on")
    await asks_for_a_secret(scene)
    await scene.ana.type_text("COPS", "/openvidu shutdown --reason works")
    await scene.ben.press(await with_buttons(scene, "Shut down acme"), "Approve")
    await scene.wait(5)
    await scene.person("UCARLA").type_text("COPS", "/openvidu hold demo for 2h")
    await scene.ephemeral("UCARLA", "is on hold until")


async def draining(scene: Scene) -> None:
    """A shutdown that waits for a meeting to end."""
    scene.estate.open_meeting(people=3, minutes=40)
    await request_and_approve(scene, "shutdown", "Shut down acme")
    await scene.wait(300)


async def autoscaled(scene: Scene) -> None:
    """The same where an autoscaler was paused for it."""
    await draining(scene)


async def asking(scene: Scene) -> None:
    """A drain that is late: people are asked, and one of two wants to force it."""
    scene.estate.allow_disconnects = True
    scene.estate.open_meeting(people=6, minutes=300)
    await request_and_approve(scene, "shutdown", "Shut down acme")
    await scene.ben.press(await question(scene), "End these meetings")
    await scene.wait(5)


async def stopped(scene: Scene) -> None:
    """A run that cannot go on."""
    scene.estate.allow_rolling = True
    scene.environment.faults.add("ssh", "cut-before", "systemctl restart", times=-1)
    await request_and_approve(scene, "restart master-2 --service", "requests approval")
    await scene.run_is("acme-1", State.STOPPED)
    await with_buttons(scene, "acme-1 is paused")


async def ended(scene: Scene) -> None:
    """Runs that ended in every way."""
    scene.estate.allow_rolling = True
    await scene.ana.type_text("COPS", "/openvidu scale 3 --now")
    await run_ended(scene)
    scene.estate.outcome = lambda kind, d: (
        "errored" if kind == "resize" and d.name.endswith("-2") else "done"
    )
    await request_and_approve(scene, f"resize masters {BIG} --rolling", "requests approval")
    await run_ended(scene, State.ROLLED_BACK, run="acme-2")
    scene.environment.faults.add("ssh", "cut-before", "systemctl restart", times=-1)
    await request_and_approve(scene, "restart master-2 --service", "requests approval")
    await scene.run_is("acme-3", State.STOPPED)
    await scene.ben.press(await with_buttons(scene, "acme-3 is paused"), "Abandon run…")
    await run_ended(scene, State.ABANDONED, run="acme-3")
    scene.environment.faults.clear()
    scene.estate.open_meeting(people=6, minutes=140)
    busy = next(d for d in scene.estate.media("acme") if scene.estate.meetings_on(d.id))
    name = f"media-{scene.estate.media('acme').index(busy) + 1}"
    await request_and_approve(scene, f"drain {name}", f"Drain {name} of acme")
    await scene.ben.press(await question(scene, run="acme-4"), "Stop here")
    await run_ended(scene, State.LEFT, run="acme-4")
    await scene.ana.type_text("COPS", "/openvidu scale 4 --now")
    await scene.run_is("acme-5", State.RUNNING)
    await scene.ana.type_text("COPS", "/openvidu cancel acme-5")
    await scene.run_is("acme-5", State.CANCELLED, State.DONE)
    await scene.wait(30)


STORIES: Mapping[str, Story] = {
    "waiting": Story(waiting, {"media": 2, "policy": {"approvals": 2}}),
    "draining": Story(draining, {"media": 2}),
    "autoscaled": Story(autoscaled, {"media": 2, "kind": "autoscaler"}),
    "asking": Story(asking, {"media": 2, "policy": TWO}),
    "stopped": Story(stopped, {"media": 1}),
    "ended": Story(ended, {"media": 2}),
}
