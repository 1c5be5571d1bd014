"""Reasons of decisions: where they are required, who reads them, and that the audit has them."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from handlers.terminal.follow import TerminalContext
from handlers.terminal.session import TerminalCommand, TerminalSession
from services.access.policy import Actor
from services.audit.entries import AuditAction, Entry
from services.common.serialize import decode, encode
from services.runs.journal import from_text as load_record
from services.runs.run import CLASSES, CancelAsked, Ended, Opened, Resumed, State
from simulators.slack.elements import NotPossible
from simulators.slack.faults import SlackFault
from simulators.slack.model import Message, View
from simulators.slack.user import SimulatedUser
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import details, give_reason, with_buttons

ALL = {"reasons_for": ["approve", "cancel", "abandon", "take_over"]}


def play(story: Callable[[Scene], Awaitable[None]], **more: Any) -> None:
    async def whole() -> None:
        async with Scene(media=2, pydo=False, **more) as scene:
            await story(scene)

    virtual.run(whole())


async def audited(scene: Scene, what: AuditAction) -> Entry:
    """The newest entry of that kind."""
    return next(e for e in await scene.journal.chain.newest("acme", 20) if e.what == what)


async def form(who: SimulatedUser) -> View:
    return await who.wait_for(
        lambda: ((m := who.modal()) and m.body["callback_id"] == "reason_form" and m) or None
    )


async def shutting_down(scene: Scene) -> Message:
    """Ana's shutdown, which waits for a meeting."""
    scene.estate.open_meeting(people=3, minutes=30)
    await scene.ana.type_text("COPS", '/openvidu shutdown --reason "power work <!channel>"')
    await scene.ben.press(await scene.card("Shut down acme"), "Approve")
    await scene.run_is("acme-1", State.RUNNING)
    return await with_buttons(scene, "Shutting down acme")


def test_who_rejects_says_why_and_the_requester_reads_it() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await scene.card("Shut down acme")
        await scene.ben.press(card, "Reject…")
        view = await form(scene.ben)
        assert "Shut down acme" in str(view.blocks)
        with pytest.raises(NotPossible, match="Why"):
            await scene.ben.fill_and_submit(view, {})
        left = await scene.ben.fill_and_submit(view, {"Why": "   "})
        assert left is not None
        assert "required" in str(left.errors)
        await scene.ben.fill_and_submit(left, {"Why": "exams until *noon*"})
        closed = await scene.card("rejected by <@UBEN>")
        assert closed.ts == card.ts
        assert "exams until" in closed.text
        told = await scene.card("<@UANA>, <@UBEN> rejected “Shut down acme”")
        assert told.thread_ts == card.ts
        entry = await audited(scene, AuditAction.REJECTED)
        assert (entry.user, entry.reason) == ("UBEN", "exams until *noon*")
        assert await scene.journal.latest("acme", 1) == []
        await scene.ben.type_text("COPS", "/openvidu audit")
        assert "exams until" in (await scene.ephemeral("UBEN", "Decisions about acme")).text

    play(story)


def test_ones_own_request_is_taken_back_without_a_word() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.ana.press(await scene.card("Shut down acme"), "Reject…")
        await scene.card("rejected by <@UANA>")
        shown = await scene.ana.wait_for(
            lambda: ((m := scene.ana.modal()) and "Done. The card shows the state." in str(m.blocks) and m) or None
        )
        assert "submit" not in shown.body
        assert not [m for m in scene.ana.visible_messages("COPS") if "rejected “" in m.text], (
            "nobody else is told"
        )

    play(story)


def test_the_form_is_open_at_once_however_slow_slack_is_about_people() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await scene.card("Shut down acme")
        scene.slack.webapi.faults.add(SlackFault("users.info", delay=8.0))
        await scene.person("UCARLA").press(card, "Reject…")
        assert (await scene.person("UCARLA").wait_for(scene.person("UCARLA").modal, 2.0)).body[
            "callback_id"
        ] == "looking"
        await give_reason(scene.person("UCARLA"), "no")
        await scene.card("rejected by <@UCARLA>")

    play(story)


def test_who_may_not_reject_is_told_so_in_the_form() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.dora.press(await scene.card("Shut down acme"), "Reject…")
        said = "Only approvers of this cluster may approve. Ask <@UBEN> or <@UCARLA>"
        view = await scene.dora.wait_for(
            lambda: ((m := scene.dora.modal()) and said in str(m.blocks) and m) or None
        )
        assert "submit" not in view.body

    play(story)


def test_an_approval_may_carry_a_note() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await scene.card("Shut down acme")
        assert "with a note" not in str((await details(scene.dora, card)).body), (
            "it is for those whose approval counts"
        )
        await scene.ben.press(await details(scene.ben, card), "Approve with a note…")
        await scene.ben.fill_and_submit(await form(scene.ben), {"Why": "only until noon"})
        run = await scene.run_is("acme-1", State.DONE)
        assert run.remarks == (("UBEN", "only until noon"),)
        assert (await scene.card("<@UANA>, <@UBEN> approved it")).thread_ts == card.ts
        await scene.settled(run)
        assert (
            "approved by <@UBEN> (“only until noon”)"
            in (await scene.card("acme is shut down")).text
        )
        assert (await audited(scene, AuditAction.APPROVED)).reason == "only until noon"

    play(story)


def test_a_cancel_may_carry_one_and_the_refusal_names_why_the_cluster_is_busy() -> None:
    async def story(scene: Scene) -> None:
        await shutting_down(scene)
        await scene.ben.type_text("COPS", "/openvidu scale 3 --now")
        busy = await scene.ephemeral("UBEN", "acme is locked by")
        assert "started by <@UANA>" in busy.text
        assert "(“power work ‹!channel›”)" in busy.text, "what was typed calls nobody"
        await scene.ben.type_text("COPS", '/openvidu cancel acme-1 --reason "a class has begun"')
        run = await scene.run_is("acme-1", State.CANCELLED, State.ROLLED_BACK)
        assert run.why_cancelled == "a class has begun"
        assert "a class has begun" in (await scene.card("<@UANA>, <@UBEN> cancelled acme-1")).text
        await scene.settled(run)
        assert "by <@UBEN> · a class has begun" in (await scene.card("was cancelled by")).text
        entry = await audited(scene, AuditAction.CANCELLED)
        assert (entry.user, entry.reason) == ("UBEN", "a class has begun")
        await scene.ana.type_text("COPS", "/openvidu runs acme-1")
        assert "a class has begun" in str(
            (await scene.ephemeral("UANA", "acme-1 was cancelled")).blocks
        )

    play(story)


def test_where_the_policy_says_so_others_need_a_reason_and_one_oneself_does_not() -> None:
    async def story(scene: Scene) -> None:
        scene.estate.open_meeting(people=3, minutes=30)
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.ben.press(await scene.card("Shut down acme"), "Approve")
        await give_reason(scene.ben, "seen")
        await scene.run_is("acme-1", State.RUNNING)
        card = await with_buttons(scene, "Shutting down acme")
        await scene.ben.type_text("COPS", "/openvidu cancel acme-1")
        await scene.ephemeral(
            "UBEN", "Cancelling needs a reason, which <@UANA> reads. Add `--reason"
        )
        await scene.ben.press(card, "Cancel run…")
        view = await form(scene.ben)
        assert "Stays as it is: 2 media nodes draining" in str(view.blocks)
        await scene.ben.close(view)
        assert (await scene.journal.run("acme-1")).cancel is None
        await scene.ana.press(card, "Cancel run…")
        await scene.run_is("acme-1", State.CANCELLED, State.ROLLED_BACK)

    play(story, policy=ALL)


def test_taking_over_and_abandoning_a_stopped_run_take_a_reason_by_policy() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu scale 3 --now")
        run = await _stopped(scene)
        for words, doing in (("resume", "Taking over"), ("abandon", "Abandoning")):
            await scene.ben.type_text("COPS", f"/openvidu {words} {run}")
            await scene.ephemeral("UBEN", f"{doing} needs a reason, which <@UANA> reads")
        await scene.ben.press(await with_buttons(scene, f"{run} is paused"), "Abandon run…")
        await give_reason(scene.ben, "done by hand")
        ended = await scene.run_is(run, State.ABANDONED)
        assert ended.why_ended == "done by hand"
        await scene.card("was abandoned")
        assert (
            "by <@UBEN> · _done by hand_"
            in (await scene.card(f"<@UANA>, {run} was abandoned")).text
        )
        assert (await audited(scene, AuditAction.ENDED)).reason == "done by hand"

    play(
        story,
        policy=ALL,
        site={"timings": {"pool_deadline": 60, "serving_nudge": 60, "serving_deadline": 120}},
    )


async def _stopped(scene: Scene) -> str:
    """Ana's scale-up stops: its new node never serves."""
    scene.environment.faults.make_ill("*", "livekit-silent")
    return (await scene.run_is("acme-1", State.STOPPED)).id


def test_at_a_terminal_the_reason_is_an_option() -> None:
    async def story(scene: Scene) -> None:
        terminal = TerminalSession(
            scene.bot.operations.service,
            scene.bot.operations.sweep,
            scene.bot.scheduler,
            scene.clock,
            TerminalContext(scene.bot.dispatcher._context),
            drives=False,
        )

        async def types(verb: str, words: str) -> tuple[int | None, str]:
            lines = [
                line
                async for line in terminal.run(
                    TerminalCommand(verb, words, follow=False), Actor("UBEN")
                )
            ]
            return lines[-1].code, "\n".join(line.text for line in lines)

        await scene.ana.type_text("COPS", "/openvidu shutdown")
        await scene.card("Shut down acme")
        code, said = await types("reject", "")
        assert (code, "Rejecting needs a reason" in said) == (1, True)
        code, said = await types("reject", "--because nothing")
        assert (code, "--because is not understood" in said) == (1, True)
        assert (await types("show", '--reason "read twice"'))[0] == 0
        code, said = await types("reject", '--reason "read twice"')
        assert (code, "read twice" in said) == (0, True)
        assert (await audited(scene, AuditAction.REJECTED)).reason == "read twice"

    play(story)


@pytest.mark.parametrize(
    "event",
    [
        CancelAsked(1.0, Actor("UBEN")),
        Resumed(1.0, Actor("UBEN"), 2),
        Ended(1.0, "abandoned", "x", Actor("UBEN")),
    ],
)
def test_what_was_stored_before_there_were_reasons_is_read_without_one(
    event: CancelAsked | Resumed | Ended,
) -> None:
    stored = encode(event)
    del stored["reason"]
    assert load_record(json.dumps(stored)) == event
    assert decode(stored, CLASSES).reason == ""
    assert {"remarks", "reason"} & set(Opened.__dataclass_fields__)


def restarts(scene: Scene, who: SimulatedUser) -> list[str]:
    return [m.text for m in who.visible_messages("COPS") if "restarted" in m.text]


def test_who_rejects_is_told_of_no_restart_that_never_was() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await scene.card("Shut down acme")
        await scene.ben.press(card, "Reject…")
        await give_reason(scene.ben)
        await scene.card("rejected by")
        await scene.wait(120)
        assert restarts(scene, scene.ben) == []

    play(story)


def test_a_rejection_that_a_bot_died_over_is_taken_up_once() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await scene.card("Shut down acme")
        await scene.ben.press(card, "Reject…")
        view = await form(scene.ben)
        hold = scene.bot.inbox.hold

        async def held(name: str, seconds: float) -> None:
            await hold(name, seconds)
            scene.kill()

        scene.bot.inbox.hold = held  # type: ignore[method-assign]
        await scene.ben.fill_and_submit(view, {"Why": "not tonight"})
        await scene.wait(1)
        await scene.start_bot()
        await scene.card("rejected by")
        await scene.wait(120)
        assert restarts(scene, scene.ben) == []  # it was taken now: the card says so

    play(story)
