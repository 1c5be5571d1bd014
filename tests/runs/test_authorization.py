"""An approval covers what was shown: going on with more needs another one."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from services.audit.entries import AuditAction
from services.common.errors import Forbidden, Unreachable
from services.runs.request import RequestState
from services.runs.run import Answered, Resumed, State
from simulators.slack.faults import SlackFault
from simulators.slack.model import Message
from tests.procedures.test_other_hands import set_pool
from tests.support import virtual
from tests.support.coverage_level import by_level
from tests.support.scene import Scene
from tests.support.stories import (
    details,
    everything_read,
    question,
    rejects,
    request_and_approve,
    run_ended,
    with_buttons,
)

NOT_YET = "was not resumed"


def play(story: Callable[[Scene], Any], **more: Any) -> None:
    async def whole() -> None:
        async with Scene(**more) as scene:
            scene.estate.allow_disconnects = True  # each story says how many
            await story(scene)

    virtual.run(whole())


def meetings(scene: Scene, count: int, people: int = 5, recordings: int = 0) -> None:
    for _ in range(count):
        scene.estate.open_meeting(people=people, minutes=600, recordings=recordings)


async def stopped_before_the_pool(
    scene: Scene, words: str = "shutdown --no-drain", sees: str = "Shut down acme"
) -> Callable[[], None]:
    """Approved without meetings.

    DigitalOcean refuses the pool's number until the result is called.
    """
    api = scene.bot.operations.clusters.cluster("acme").world.account.api  # type: ignore[attr-defined]
    writes = api.writes

    async def refuse(*_: object, **__: object) -> None:
        raise Forbidden("changing autoscale pool: the token lacks", status=403)

    api.writes = partial(_with, writes, put_pool=refuse)
    await request_and_approve(scene, words, sees)
    await scene.run_is("acme-1", State.STOPPED)

    def mended() -> None:
        api.writes = writes

    return mended


def _with(writes: Callable[[object], object], check: object, **changed: object) -> object:
    """The requests that change something, some of them replaced."""
    made = writes(check)
    vars(made).update(changed)
    return made


async def resumes(scene: Scene) -> None:
    await scene.ana.press(await with_buttons(scene, "acme-1 is paused"), "Resume run")


async def request_of(scene: Scene, text: str = "Resume acme-1") -> Message:
    return await scene.card(text)


def test_a_resume_hours_later_with_people_there_is_a_new_request() -> None:
    async def story(scene: Scene) -> None:
        mended = await stopped_before_the_pool(scene)
        mended()
        await scene.wait(14 * 3600)
        meetings(scene, 8, recordings=1)
        await scene.wait(60)
        await resumes(scene)
        await scene.ephemeral("UANA", NOT_YET)
        card = await request_of(scene)
        shown = str((await details(scene.ben, card)).body)
        for words in (
            "now ends running meetings. The approved card did not show that",
            "8 recordings are running. There were 0",
            "t was approved 14 h",
            "Removes 3 media nodes",
        ):
            assert words in shown, shown
        assert "Ends 8 running meetings: 40 people" in card.text
        await scene.wait(900)
        assert scene.estate.people_disconnected == 0
        assert (await scene.journal.run("acme-1")).state is State.STOPPED
        await scene.ana.press(card, "Approve")
        await scene.ephemeral("UANA", "someone else must approve it")
        await scene.person("UCARLA").press(card, "Approve")
        run = await scene.run_is("acme-1", State.DONE)
        assert [a.user for a in run.approvers] == ["UCARLA"]
        assert scene.estate.people_disconnected == 40
        (resumed,) = [e for e in await scene.journal.events("acme-1") if isinstance(e, Resumed)]
        assert (resumed.by.user, [a.user for a in resumed.approvers], bool(resumed.plan)) == (
            "UANA",
            ["UCARLA"],
            True,
        )
        assert "acme-1 continues" in (await request_of(scene, "approved by <@UCARLA>")).text
        said = [e.what for e in await scene.journal.chain.newest("acme", 9)]
        assert said[0] == AuditAction.ENDED
        assert {AuditAction.ASKED, AuditAction.APPROVED, AuditAction.RESUMED} <= {*said}

    play(story, media=3)


def test_what_a_run_stopped_for_is_not_forgotten_because_its_step_came_about_by_itself() -> None:
    """A shutdown stopped because a media node was added.

    Then the masters are powered off manually.
    """

    async def story(scene: Scene) -> None:
        scene.estate.allow_to_stay([scene.estate.media("acme")[0].id])
        await request_and_approve(scene, "shutdown", "Shut down acme")
        scene.environment.faults.switch("shutdown_ignored")
        await scene.run_is("acme-1", State.RUNNING)
        while (await scene.journal.run("acme-1")).begun[-1:] != (2,):
            await scene.wait(1)
        with scene.estate.by_administrator("a node destroyed"):
            scene.estate.power.destroy(scene.estate.media("acme")[0].id)
        run = await scene.run_is("acme-1", State.STOPPED)
        assert "not deleted yet: masters are stopped only without media droplets" in run.stopped
        await scene.wait(60)
        with scene.estate.by_administrator("masters off"):
            for master in scene.estate.masters("acme"):
                if master.on:
                    scene.estate.power.request(master.id, "power_off")
        await scene.wait(120)
        await resumes(scene)
        await scene.ephemeral("UANA", "acme-1 has no steps left, but")
        assert (await scene.journal.run("acme-1")).state is State.STOPPED

    play(story, media=1, allow_zero="refused", policy={"zero_refused": "keep_one"})


def test_a_resume_soon_after_with_nobody_there_is_one_press() -> None:
    async def story(scene: Scene) -> None:
        mended = await stopped_before_the_pool(scene)
        mended()
        await resumes(scene)
        run = await scene.run_is("acme-1", State.DONE)
        assert [a.user for a in run.approvers] == ["UBEN"]
        assert [e.plan for e in await scene.journal.events("acme-1") if isinstance(e, Resumed)] == [
            None
        ]

    play(story, media=2)


def test_a_resume_that_takes_nothing_from_anyone_is_one_press_however_late() -> None:
    async def story(scene: Scene) -> None:
        await request_and_approve(scene, "shutdown", "Shut down acme")
        await run_ended(scene)
        scene.environment.faults.add("web", "503", match="acme-master-node-4", times=-1)
        await scene.ana.type_text("COPS", "/openvidu startup --now")
        await scene.run_is("acme-2", State.STOPPED)
        scene.environment.faults.rules.clear()
        await scene.wait(by_level(5, 20, 20) * 3600)
        await scene.ana.press(await with_buttons(scene, "acme-2 is paused"), "Resume run")
        await scene.run_is("acme-2", State.DONE)

    play(story, media=2)


@pytest.mark.parametrize("cause", ["age", "load", "unknown", "approver"])
def test_each_thing_that_is_not_as_it_was_approved_asks_again(cause: str) -> None:
    async def story(scene: Scene) -> None:
        meetings(scene, 1, people=10)
        mended = await stopped_before_the_pool(scene)
        mended()
        match cause:
            case "age":
                await scene.wait(1900)
            case "load":
                meetings(scene, 2)
            case "unknown":
                people = scene.bot.operations.clusters.cluster("acme").world._people  # type: ignore[attr-defined]

                async def gone() -> None:
                    raise Unreachable("livekit does not answer")

                people.load = gone
            case "approver":
                scene.slack.workspace.users["UBEN"].deleted = True
        await scene.wait(601 if cause == "approver" else 5)
        await resumes(scene)
        await scene.ephemeral("UANA", NOT_YET)
        await scene.wait(60)
        said = {
            "age": "n approval lasts 30 min",
            "load": "20 people are in meetings. There were 10",
            "unknown": "the number of people in meetings is now unknown",
            "approver": "the approval of <@UBEN> no longer counts",
        }[cause]
        carla = scene.person("UCARLA")
        assert said in str((await details(carla, await request_of(scene))).body)
        assert scene.estate.people_disconnected == 0
        scene.estate.allow_disconnects = True

    play(story, media=2)


def test_a_resume_rejected_or_expired_leaves_the_run_stopped_and_may_be_requested_again() -> None:
    async def story(scene: Scene) -> None:
        mended = await stopped_before_the_pool(scene)
        mended()
        await scene.wait(3600)
        await resumes(scene)
        await rejects(scene.ben, await request_of(scene))
        await request_of(scene, "rejected by <@UBEN>")
        await resumes(scene)
        await request_of(scene)
        await scene.wait(1900)
        await request_of(scene, "Press Resume again on the message of acme-1")
        assert (await scene.journal.run("acme-1")).state is State.STOPPED
        await resumes(scene)
        await scene.ana.press(await with_buttons(scene, "acme-1 is paused"), "Resume run")
        await scene.ephemeral("UANA", "has already requested this")
        card = await with_buttons(scene, "Resume acme-1")
        value = next(
            e["value"]
            for b in card.blocks
            for e in b.get("elements", ())
            if e.get("action_id") == "approve"
        )
        await scene.ana.press(await with_buttons(scene, "acme-1 is paused"), "Abandon run…")
        await scene.run_is("acme-1", State.ABANDONED)
        await scene.ben.press(card, "Approve")
        await scene.ephemeral("UBEN", "acme-1 has moved on and is now abandoned")
        assert (await scene.journal.request(value)).state is RequestState.SUPERSEDED
        await request_of(scene, "acme-1 has moved on since")

    play(story, media=2)


def test_a_request_about_a_run_that_has_moved_on_is_closed_without_a_press() -> None:
    async def story(scene: Scene) -> None:
        mended = await stopped_before_the_pool(scene)
        mended()
        await scene.wait(3600)
        await resumes(scene)
        await request_of(scene)
        await scene.ana.press(await with_buttons(scene, "acme-1 is paused"), "Abandon run…")
        await scene.run_is("acme-1", State.ABANDONED)
        await scene.wait(30)
        assert await scene.bot.operations.reader.waiting("acme") == []
        card = await request_of(scene, "acme-1 has moved on since")
        assert not [b for b in card.blocks if b["type"] == "actions"]

    play(story, media=2)


def test_what_changes_between_the_request_to_resume_and_its_approval_is_shown_again() -> None:
    async def story(scene: Scene) -> None:
        mended = await stopped_before_the_pool(scene)
        mended()
        await scene.wait(3600)
        await resumes(scene)
        card = await request_of(scene)
        meetings(scene, 4)
        await scene.ben.press(card, "Approve")
        await scene.ephemeral("UBEN", "Not started: 20 people are in meetings; there were 0")
        new = await with_buttons(scene, "20 people are in meetings. There were 0")
        assert "Resume acme-1" in new.text
        assert scene.estate.people_disconnected == 0
        await scene.ben.press(new, "Approve")
        await scene.run_is("acme-1", State.DONE)
        assert scene.estate.people_disconnected == 20

    play(story, media=2)


def test_going_on_from_a_new_state_is_a_new_plan_for_other_people_to_approve() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu scale 2 --no-drain")
        card = await with_buttons(scene, "Scale acme to 2")
        api = scene.bot.operations.clusters.cluster("acme").world.account.api  # type: ignore[attr-defined]
        read, done = api.pool, list[int]()

        async def slow(pool_id: str) -> object:
            if not done:
                done.append(1)
                set_pool(scene, 6)
            return await read(pool_id)

        api.pool = slow
        await scene.ben.press(card, "Approve")
        ask = await question(scene)
        await scene.wait(900)
        meetings(scene, 12)
        await scene.ana.press(ask, "Continue from new state")
        await scene.ephemeral("UANA", NOT_YET)
        card = await request_of(scene, "“Continue from new state” for acme-1 (Scale acme to 2")
        shown = str((await details(scene.ben, card)).body)
        for said in (
            "60 people are in meetings. There were 0",
            "3 media nodes were added since the approval",
        ):
            assert said in shown, shown
        await scene.wait(600)
        assert scene.estate.people_disconnected == 0
        await scene.ben.press(card, "Approve")
        run = await run_ended(scene)
        assert scene.estate.people_disconnected > 0
        (answer,) = run.answers
        assert (answer.by and answer.by.user, [a.user for a in answer.approvers]) == (
            "UANA",
            ["UBEN"],
        )

    play(story, media=3)


@pytest.mark.parametrize("when", ["asked", "approved"])
def test_people_who_were_unknown_then_or_are_now_are_shown_before_they_are_disconnected(
    when: str,
) -> None:
    async def story(scene: Scene) -> None:
        people = scene.bot.operations.clusters.cluster("acme").world._people  # type: ignore[attr-defined]
        load = people.load

        async def gone() -> None:
            raise Unreachable("livekit does not answer")

        people.load = gone if when == "asked" else load
        await scene.ana.type_text("COPS", "/openvidu shutdown --no-drain")
        card = await with_buttons(scene, "Shut down acme")
        assert ("is unknown" in card.text) == (when == "asked")
        meetings(scene, 8, people=8)
        people.load = gone if when == "approved" else load
        await scene.wait(60)
        await scene.ben.press(card, "Approve")
        await scene.ephemeral("UBEN", "Not started")
        new = await with_buttons(scene, "Changed: ")
        assert "unknown" in new.text
        assert await scene.journal.latest("acme", 1) == []
        assert scene.estate.people_disconnected == 0

    play(story, media=2)


# Answers that lose something


async def at_the_deadline(scene: Scene) -> Message:
    meetings(scene, 4, people=10)
    await request_and_approve(scene, "shutdown", "Shut down acme")
    return await question(scene)


ENDS = "End these meetings"
SHORT = {"drain": {"deadline_minutes": 10}}
TWO = {"approvals_for": {"meetings_cut": 2}}


def test_votes_are_of_one_question_and_the_next_asking_is_another() -> None:
    async def story(scene: Scene) -> None:
        ask = await at_the_deadline(scene)
        await scene.ben.press(ask, ENDS)
        await scene.ephemeral("UBEN", "one more person must press the same button")
        await scene.ben.press(ask, "Wait 30 min more")
        await scene.run_is("acme-1", State.RUNNING)
        await scene.run_is("acme-1", State.ASKING)
        again = await with_buttons(scene, "acme-1 needs a decision")
        await scene.person("UCARLA").press(again, ENDS)
        await scene.ephemeral("UCARLA", "one more person must press the same button")
        await scene.wait(300)
        assert scene.estate.people_disconnected == 0
        assert len({q.id for q in (await scene.journal.run("acme-1")).asked}) == 2
        await scene.ben.press(again, ENDS)
        run = await run_ended(scene)
        assert sorted(a.user for a in run.approvers) == ["UBEN", "UCARLA"]
        assert scene.estate.people_disconnected == 40

    play(story, media=2, policy=TWO, site=SHORT)


def test_a_press_on_an_older_question_answers_nothing_and_is_told_what_is_asked_now() -> None:
    async def story(scene: Scene) -> None:
        old = await at_the_deadline(scene)
        value = next(
            e["value"]
            for b in old.blocks
            for e in b.get("elements", ())
            if e.get("action_id") == "answer:force"
        )
        await scene.ben.press(old, "Wait 30 min more")
        await scene.run_is("acme-1", State.RUNNING)
        await scene.run_is("acme-1", State.ASKING)
        run_id, question_id, choice = value.split("|")
        before = (await scene.journal.run("acme-1")).question
        assert before is not None
        assert before.id != question_id
        with pytest.raises(
            Exception,
            match=r"no longer open: \[\[person UBEN\]\] answered it .* ago.* question "
            r"is now: .*did not drain in time",
        ):
            await scene.bot.operations.service.answer(
                run_id, question_id, choice, (await scene.journal.run("acme-1")).approvers[0]
            )
        assert (await scene.journal.run("acme-1")).question == before
        assert scene.estate.people_disconnected == 0

    play(story, media=2, site=SHORT)


@pytest.mark.parametrize(
    ("leaves", "seconds"),
    [(True, 700), (False, 1900)],
    ids=["lost the account", "older than an approval may be"],
)
def test_a_vote_that_counts_no_more_at_the_last_press(*, leaves: bool, seconds: float) -> None:
    async def story(scene: Scene) -> None:
        ask = await at_the_deadline(scene)
        await scene.ben.press(ask, ENDS)
        await scene.ephemeral("UBEN", "one more person")
        scene.slack.workspace.users["UBEN"].deleted = leaves
        await scene.wait(seconds)
        await scene.person("UCARLA").press(ask, ENDS)
        await scene.ephemeral("UCARLA", "one more person")
        assert scene.estate.people_disconnected == 0

    play(story, media=2, policy=TWO, site=SHORT)


def test_more_people_than_on_the_question_s_card_are_asked_about_again() -> None:
    async def story(scene: Scene) -> None:
        ask = await at_the_deadline(scene)
        assert "2 meetings, 20 people" in str(ask.blocks)
        scene.estate.settle()
        for meeting in scene.estate.meetings.values():
            meeting.people = 30
        await scene.ben.press(ask, ENDS)
        await scene.ephemeral("UBEN", "120 people are in meetings; there were 40")
        assert scene.estate.people_disconnected == 0
        again = await with_buttons(scene, "2 meetings, 60 people")
        await scene.ben.press(again, ENDS)
        await run_ended(scene)
        assert scene.estate.people_disconnected == 120

    play(story, media=2, site=SHORT)


def test_a_hold_stops_every_answer_that_loses_something_and_no_other() -> None:
    async def story(scene: Scene) -> None:
        ask = await at_the_deadline(scene)
        await scene.person("UCARLA").type_text("COPS", '/openvidu hold "VIP event" for 5h')
        await scene.card("acme is on hold")
        await scene.ben.press(ask, ENDS)
        await scene.ephemeral("UBEN", "acme is on hold for another 5 h")
        await scene.wait(300)
        assert scene.estate.people_disconnected == 0
        assert sum(m.on for m in scene.estate.masters("acme")) == 4
        await scene.ben.press(ask, "Wait 30 min more")
        await scene.run_is("acme-1", State.RUNNING)

    play(story, media=2, site=SHORT)


def test_after_an_answer_that_ends_meetings_the_run_rests_on_that_answer() -> None:
    async def story(scene: Scene) -> None:
        ask = await at_the_deadline(scene)
        await scene.wait(3000)
        await scene.ben.press(ask, ENDS)
        run = await run_ended(scene)
        (answer,) = [e for e in await scene.journal.events("acme-1") if isinstance(e, Answered)]
        assert answer.plan is not None
        assert run.shown == answer.plan
        assert scene.estate.people_disconnected == 40
        assert "not as it was" not in everything_read(scene)

    play(story, media=2, site=SHORT)


# Nothing to approve any more


def test_a_request_that_needs_no_approval_any_more_is_started_by_whoever_asked() -> None:
    """A node to drain and restart, whose media server was stopped manually before the approval."""

    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu restart media-1")
        card = await with_buttons(scene, "Restart media-1")
        node = scene.estate.media("acme")[0].node
        for name in ("openvidu", "ingress", "egress", "agent-speech-processing"):
            if name in node.containers:
                node.containers[name].running = False
        await scene.ben.press(card, "Approve")
        await scene.ephemeral("UBEN", "The new plan needs no approval: <@UANA> can start it")
        card = await with_buttons(scene, "needs no approval; only <@UANA> can start it")
        await scene.ben.press(card, "Approve")
        await scene.ephemeral("UBEN", "This needs no approval; only <@UANA> can start it")
        assert await scene.journal.latest("acme", 3) == []
        await scene.ana.press(card, "Approve")
        run = await run_ended(scene)
        assert run.approvers == ()
        assert (AuditAction.STARTED, "UANA") in [
            (e.what, e.user) for e in await scene.journal.chain.newest("acme", 5)
        ]

    play(story, media=2)


def test_typing_it_again_with_now_starts_what_needs_no_approval_any_more() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu restart media-1")
        card = await with_buttons(scene, "Restart media-1")
        node = scene.estate.media("acme")[0].node
        for name in ("openvidu", "ingress", "egress", "agent-speech-processing"):
            if name in node.containers:
                node.containers[name].running = False
        await scene.ben.press(card, "Approve")
        await with_buttons(scene, "needs no approval; only")
        await scene.ana.type_text("COPS", "/openvidu restart media-1")
        await scene.ephemeral("UANA", "Its plan is in the channel already")
        assert await scene.journal.latest("acme", 3) == []
        await scene.ana.type_text("COPS", "/openvidu restart media-1 --now")
        run = await run_ended(scene)
        (request,) = [
            r
            for r in [await scene.journal.request(run.request)]
            if r.state is RequestState.APPROVED
        ]
        assert request.startable

    play(story, media=2)


def test_a_policy_that_asks_for_no_approval_any_more_offers_the_start() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu scale 5")
        await with_buttons(scene, "Approve or reject")
        scene.kill()
        values = scene.settings.model_dump()
        values["clusters"]["acme"]["policy"]["scale_up_without_approval_to"] = 9
        scene.settings = type(scene.settings).model_validate(values)
        await scene.start_bot()
        card = await with_buttons(scene, "needs no approval; only <@UANA> can start it")
        await scene.ana.press(card, "Approve")
        await run_ended(scene)
        assert len(scene.estate.serving("acme")) == 5

    play(story, media=2, policy={"scale_up_without_approval_to": 3})


# Break-glass


GLASS = {"operators": ["UANA", "UBEN", "UCARLA"], "break_glass": ["UANA"]}


def test_break_glass_buys_no_standing_permission() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text(
            "COPS", '/openvidu break-glass window add w Mon-Sun 09:00-17:00 UTC --reason "x"'
        )
        await scene.ephemeral("UANA", "break-glass covers one run, now")
        await scene.wait(6 * 3600)
        assert await scene.journal.latest("acme", 3) == []

    play(story, media=2, roles=GLASS, policy={"approvals_for": {"windows_added": 2}})


def test_a_run_by_break_glass_says_for_ever_that_it_has_no_approval_and_by_whom() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text(
            "COPS", '/openvidu break-glass shutdown --no-drain --reason "smoke"'
        )
        await scene.ana.press(await with_buttons(scene, "Break-glass by"), "Run without approval")
        run = await run_ended(scene)
        assert run.glass
        assert "no approval: break-glass by <@UANA>" in (await scene.card("acme is shut down")).text
        opened = next(
            e for e in await scene.journal.chain.newest("acme", 5) if e.what == AuditAction.OPENED
        )
        assert "no approval: break-glass by UANA" in opened.after

    play(story, media=2, roles=GLASS)


def test_a_run_by_break_glass_that_stopped_is_confirmed_anew_by_whoever_broke_the_glass() -> None:
    async def story(scene: Scene) -> None:
        api = scene.bot.operations.clusters.cluster("acme").world.account.api  # type: ignore[attr-defined]
        writes = api.writes

        async def refuse(*_: object, **__: object) -> None:
            raise Forbidden("changing autoscale pool: the token lacks", status=403)

        api.writes = partial(_with, writes, put_pool=refuse)
        await scene.ana.type_text(
            "COPS", '/openvidu break-glass shutdown --no-drain --reason "smoke"'
        )
        await scene.ana.press(await with_buttons(scene, "Break-glass by"), "Run without approval")
        await scene.run_is("acme-1", State.STOPPED)
        api.writes = writes
        await scene.wait(3600)
        meetings(scene, 2)
        await resumes(scene)
        card = await with_buttons(scene, "without approval: Resume acme-1")
        assert "Changed: " in card.text
        assert scene.estate.people_disconnected == 0
        await scene.ben.press(card, "Run without approval")
        await scene.ephemeral("UBEN", "You may not use break-glass")
        await scene.ana.press(card, "Run without approval")
        run = await scene.run_is("acme-1", State.DONE)
        assert (run.glass, run.approvers) == (True, ())

    play(story, media=2, roles=GLASS)


def test_while_slack_does_not_report_who_has_left_an_approval_counts_until_it_expires() -> None:
    """Else nothing could be approved at a terminal while Slack is away."""

    async def story(scene: Scene) -> None:
        mended = await stopped_before_the_pool(scene)
        mended()
        scene.slack.faults.add(SlackFault("users.info", times=1000, status=500))
        await scene.wait(700)
        run = await scene.journal.run("acme-1")
        await scene.bot.operations.service.resume("acme-1", run.requester)
        await scene.run_is("acme-1", State.DONE)

    play(story, media=2)
