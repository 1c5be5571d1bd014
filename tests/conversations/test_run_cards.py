"""The card of a run: what it says while it goes on, what Cancel leaves, what to do at the end."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from handlers.slack.markup import markup
from services.runs.run import Run, State
from simulators.slack.model import Message
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import question, request_and_approve, run_ended, with_buttons


def play(story: Callable[[Scene], Awaitable[None]], **more: Any) -> None:
    async def whole() -> None:
        async with Scene(**{"media": 3, **more}) as scene:
            await story(scene)

    virtual.run(whole())


def title(card: Message) -> str:
    """Return the header of a card."""
    assert card.blocks[0]["type"] == "header"
    return str(card.blocks[0]["text"]["text"])


def elements(card: Message) -> list[dict[str, Any]]:
    """Return the buttons of a card."""
    return [e for b in card.blocks if b["type"] == "actions" for e in b["elements"]]


def labels(card: Message) -> list[str]:
    return [str(e["text"]["text"]) for e in elements(card)]


def dialog(card: Message, label: str) -> str:
    """Return what the dialog of a button says."""
    button = next(e for e in elements(card) if e["text"]["text"] == label)
    return str(button["confirm"]["text"]["text"])


async def card_of(scene: Scene, run: Run) -> Message:
    (card,) = scene.cards_of(run)
    return card


async def starts(scene: Scene) -> None:
    """Ana reads the plan that a button leads to, and starts it."""
    plan = await with_buttons(scene, "<@UANA> can start: ")
    await scene.ana.press(plan, labels(plan)[0])


async def cancelled_in_the_drain(scene: Scene) -> tuple[Run, Message]:
    """A shutdown that is cancelled while two people go on meeting."""
    scene.estate.open_meeting(people=2, minutes=20)
    await request_and_approve(scene, "shutdown", "Shut down acme")
    await scene.wait(300)
    card = await with_buttons(scene, "Shutting down acme")
    said = dialog(card, "Cancel run…")
    assert said == (
        "3 media nodes are already draining: no new meetings on acme until you restore service."
    )
    await scene.ana.press(card, "Cancel run…")
    run = await run_ended(scene, State.CANCELLED)
    return run, await card_of(scene, run)


def test_a_run_says_which_step_what_it_waits_for_and_what_happens_then() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=2, minutes=600)
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await scene.wait(300)
        card = await with_buttons(scene, "Shutting down acme")
        assert title(card) == "Shutting down acme · step 1 of 4"
        shown = str(card.blocks)
        assert "2 of 3 media nodes drained" in shown
        assert "████████░░░░" in shown
        assert "1 meeting, 2 people" in shown
        assert re.search(r"[Ii]f meetings are still running at <!date[^>]*> I will ask", shown)
        assert "times out" not in shown
        assert "2 people" in card.text, "the notification alone says it"

    play(story)


def test_the_step_times_stay_and_every_step_counts_its_own() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=2, minutes=12)
        await request_and_approve(scene, "shutdown", "Shut down acme")
        run = await run_ended(scene)
        card = await card_of(scene, run)
        steps = next(t for b in card.blocks if "✓" in (t := str(b.get("text", {}).get("text"))))
        lines = steps.splitlines()
        assert len(lines) == 4
        assert lines[0].endswith("· 12 min")
        assert all(re.fullmatch(r"✓ .+ · \d+ (s|min)", line) for line in lines)
        spent = [run.seconds_spent(i) or 0.0 for i in range(4)]
        assert sum(spent) == run.ended_at - run.opened_at

    play(story)


def test_a_cancelled_run_says_that_no_one_can_meet_and_one_press_restores_service() -> None:
    async def story(scene: Scene) -> None:
        _, card = await cancelled_in_the_drain(scene)
        assert title(card) == "acme needs you: 3 media nodes take no meetings"
        assert "No new meetings on acme: 3 media nodes draining or drained" in card.text
        assert labels(card)[:2] == ["Restore service", "Open in DigitalOcean"]
        scene.kill()
        await scene.start_bot()
        await scene.dora.press(card, "Restore service")
        await scene.ephemeral("UDORA", "Only operators")
        await scene.ana.press(card, "Restore service")
        await starts(scene)
        await run_ended(scene, run="acme-2")
        assert len(scene.estate.serving("acme")) == 3
        await scene.ana.press(card, "Restore service")
        await scene.ephemeral("UANA", "nothing to do")

    play(story)


def test_the_end_of_a_shutdown_offers_to_start_it_and_links_to_its_pool() -> None:
    async def story(scene: Scene) -> None:
        await request_and_approve(scene, "shutdown", "Shut down acme")
        run = await run_ended(scene)
        card = await card_of(scene, run)
        assert labels(card) == ["Start up acme", "Open in DigitalOcean"]
        pool = scene.estate.pool("acme").id
        url = f"https://cloud.digitalocean.com/droplets/autoscale-pools/{pool}"
        assert elements(card)[1]["url"] == url
        await scene.ana.press(card, "Start up acme")
        await starts(scene)
        await run_ended(scene, run="acme-2")
        started = await card_of(scene, await scene.journal.run("acme-2"))
        assert "OpenVidu dashboard" in labels(started)
        assert "Grafana" in labels(started)

    play(story)


def test_the_press_of_a_link_is_acknowledged_and_changes_nothing() -> None:
    async def story(scene: Scene) -> None:
        await request_and_approve(scene, "shutdown", "Shut down acme")
        card = await card_of(scene, await run_ended(scene))
        before, audit = card.text, await scene.journal.latest("acme", 5)
        read = len(scene.ana.visible_messages("COPS"))
        delivered = await scene.ana.press(card, "Open in DigitalOcean")
        assert delivered.acked
        await scene.wait(60)
        assert card.text == before
        assert await scene.journal.latest("acme", 5) == audit
        assert len(scene.ana.visible_messages("COPS")) == read, "no one is told anything"

    play(story)


def test_a_change_of_size_can_be_undone_with_one_press() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.allow_template_keys.add("size")
        was = scene.estate.pool("acme").template["size"]
        await request_and_approve(scene, "resize media c-8", "Resize the media nodes of acme")
        run = await run_ended(scene)
        card = await card_of(scene, run)
        assert labels(card)[0] == "Undo resize"
        await scene.ana.press(card, "Undo resize")
        asks = await with_buttons(scene, f"Resize the media nodes of acme to {was}")
        await scene.ben.press(asks, "Approve")
        await run_ended(scene, run="acme-2")
        assert scene.estate.pool("acme").template["size"] == was

    play(story)


def test_a_question_says_what_decides_and_a_stop_what_it_leaves() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=2, minutes=6000)
        await request_and_approve(scene, "shutdown", "Shut down acme")
        card = await question(scene)
        assert re.fullmatch(r"acme needs a decision: media-\d still has 1 meeting", title(card))
        assert "acme-1 ends here" in dialog(card, "Stop here")
        assert "media-" in dialog(card, "Stop here")
        await scene.ben.press(card, "Stop here")
        run = await run_ended(scene, State.LEFT)
        assert "acme needs you" in title(await card_of(scene, run))

    play(story)


def test_a_paused_run_says_why_and_what_stays_locked_and_no_time_that_freezes() -> None:
    async def story(scene: Scene) -> None:
        for act in ("shutdown", "power_off"):
            scene.environment.faults.add(
                "action", "ignored", match=f"{act} acme-master-node-2", times=999
            )
        await request_and_approve(scene, "shutdown", "Shut down acme")
        run = await scene.run_is("acme-1", State.STOPPED)
        card = await with_buttons(scene, "acme-1 is paused")
        assert title(card).startswith("acme-1 is paused: ")
        assert "timed out after" in title(card)
        shown = markup(str(card.blocks))
        assert "acme stays locked until you choose Resume run or Abandon run" in shown
        assert "No new meetings on acme" in shown
        assert "running for" not in shown
        assert f"Paused at <!date^{int(run.stopped_at)}^" in shown
        assert "acme is unlocked" in dialog(card, "Abandon run…")
        await scene.ben.press(card, "Abandon run…")
        ended = await run_ended(scene, State.ABANDONED)
        assert "Restore service" in labels(await card_of(scene, ended))

    play(story)
