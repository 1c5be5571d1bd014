"""Commands and presses are stored before they are acknowledged, and never silently lost."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from handlers.commands.inbox import NOT_TAKEN
from services.common.errors import Unreachable
from services.runs.run import State
from services.store import Commit, Store
from simulators.slack import payloads
from simulators.slack.model import Message, View
from tests.support import virtual
from tests.support.coverage_level import PARTS
from tests.support.crash_injector import CrashPoint, assert_survives_any_crash
from tests.support.scene import Scene
from tests.support.short_scene import short_scene
from tests.support.stories import with_buttons

TAKEN_UP = "It is carried out now"
UNTOUCHED = "nothing was changed"


def play(story: Callable[[Scene], Awaitable[None]], **more: Any) -> None:
    async def whole() -> None:
        async with Scene(**{"media": 2, **more}) as scene:
            await story(scene)

    virtual.run(whole())


def private(scene: Scene, user: str) -> list[Message]:
    return [m for m in scene.person(user).visible_messages("COPS") if m.ephemeral_to == user]


def reads(scene: Scene, user: str) -> str:
    return "\n".join(m.text for m in private(scene, user))


# Killed at any point


async def _others_look_after_it(scene: Scene) -> None:
    """Somebody starts another bot when one has died; nobody types or presses anything."""
    for _ in range(40):
        if scene.crash_injectors[-1].is_dead:
            await scene.start_bot()
        await scene.wait(15)


def command(die_at: CrashPoint) -> int:
    """`scale 3` needs no approval: Ana gets three media nodes, or reads that nothing changed."""

    async def story() -> int:
        async with short_scene(media=2) as scene:
            scene.allowed_complaints = ["not acked"]
            await scene.start_bot(die_at)
            life = scene.crash_injectors[-1]
            failed = await scene.ana.type_text("COPS", "/openvidu scale 3 --now")
            await _others_look_after_it(scene)
            runs = await scene.journal.latest("acme", 5)
            said = reads(scene, "UANA")
            if runs:
                assert runs == ["acme-1"]
                assert (await scene.journal.run("acme-1")).state is State.DONE
                assert scene.estate.pool("acme").target == 3
                assert UNTOUCHED not in said.lower(), said
                await scene.settled(await scene.journal.run("acme-1"))
            else:
                assert scene.estate.pool("acme").target == 2
                assert failed is not None or UNTOUCHED in said.lower() or "type it again" in said, (
                    "nobody told her anything"
                )
            return life.points

    return virtual.run(story())


def press(die_at: CrashPoint) -> int:
    """Ben approves `shutdown`. It is done, or he knows that it is not and can press again."""

    async def story() -> int:
        async with short_scene(media=1) as scene:
            scene.allowed_complaints = ["not acked"]
            await scene.start_bot()
            await scene.ana.type_text("COPS", "/openvidu shutdown")
            card = await with_buttons(scene, "Shut down acme")
            scene.kill()
            await scene.start_bot(die_at)
            life = scene.crash_injectors[-1]
            pressed = await scene.ben.press(card, "Approve")
            await _others_look_after_it(scene)
            said = reads(scene, "UBEN")
            if await scene.journal.latest("acme", 5):
                assert (await scene.journal.run("acme-1")).state is State.DONE
                assert "not taken" not in said.lower(), said
                await scene.settled(await scene.journal.run("acme-1"))
            else:
                assert not pressed.acked or "ot taken" in said, "nobody told him anything"
            return life.points

    return virtual.run(story())


STORIES = {"command": command, "press": press}


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_point(story: str, part: int) -> None:
    assert_survives_any_crash(story, STORIES[story], 40, part)


# One by one


def test_a_bot_that_dies_after_it_opened_the_run_leaves_no_false_word() -> None:
    async def story(scene: Scene) -> None:
        async def answered(name: str) -> None:
            scene.kill()
            await asyncio.sleep(3600)

        scene.bot.inbox.answered = answered  # type: ignore[method-assign]
        await scene.ana.type_text("COPS", "/openvidu scale 4 --now")
        await scene.wait(5)
        await scene.start_bot()
        await scene.ephemeral("UANA", "It was accepted: `acme-1` is running")
        await scene.card("acme has 4 media nodes ·")
        assert UNTOUCHED not in reads(scene, "UANA").lower()

    play(story)


@pytest.mark.parametrize(
    ("words", "sees"),
    [
        ("scale 3 --now", "acme has 3 media nodes ·"),
        ('shutdown --reason "power work" --cluster acme', "Shut down acme"),
    ],
)
def test_a_command_is_taken_up_within_a_minute(words: str, sees: str) -> None:
    async def story(scene: Scene) -> None:
        await dies_over_the_next(scene)
        await scene.ana.type_text("COPS", f"/openvidu {words}")
        await scene.wait(1)
        assert scene.crash_injectors[-1].is_dead
        await scene.start_bot()
        await scene.ephemeral("UANA", TAKEN_UP, timeout=60)
        card = await scene.card(sees)
        assert "power work" in card.text or "scale" in words
        await scene.wait(120)
        assert len([m for m in private(scene, "UANA") if TAKEN_UP in m.text]) == 1

    play(story)


@pytest.mark.parametrize("command", ['hold "exam week" for 2h', "keepup 2h"])
def test_so_is_what_is_no_procedure(command: str) -> None:
    async def story(scene: Scene) -> None:
        await dies_over_the_next(scene)
        await scene.ana.type_text("COPS", f"/openvidu {command}")
        await scene.wait(1)
        await scene.start_bot()
        await scene.ephemeral("UANA", TAKEN_UP, timeout=60)
        await scene.ephemeral("UANA", "on hold until" if "hold" in command else "until")

    play(story, site={"windows": ["nights Mon-Fri 20:00-07:30"]})


def test_a_press_is_taken_up_by_the_next_bot() -> None:
    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "Shut down acme")
        await dies_over_the_next(scene)
        await scene.ben.press(card, "Approve")
        await scene.wait(1)
        await scene.start_bot()
        await scene.card("acme is shut down")

    play(story)


def test_a_newer_command_leaves_the_older_one_behind() -> None:
    async def story(scene: Scene) -> None:
        await dies_over_the_next(scene)
        await scene.ana.type_text("COPS", "/openvidu scale 4 --now")
        await scene.wait(1)
        await scene.start_bot()
        await scene.ana.type_text("COPS", "/openvidu scale 3 --now")
        await scene.card("acme has 3 media nodes ·")
        await scene.wait(300)
        assert "`/openvidu scale 4 --now`. Nothing was changed; type it again" in reads(
            scene, "UANA"
        )
        assert scene.estate.pool("acme").target == 3
        assert await scene.journal.latest("acme", 5) == ["acme-1"]

    play(story)


def test_what_is_minutes_old_is_told_of_only() -> None:
    async def story(scene: Scene) -> None:
        await dies_over_the_next(scene)
        await scene.ana.type_text("COPS", "/openvidu scale 4 --now")
        await scene.wait(600)
        await scene.start_bot()
        await scene.ephemeral(
            "UANA", "`/openvidu scale 4 --now`. Nothing was changed; type it again"
        )
        await scene.wait(300)
        assert await scene.journal.latest("acme", 5) == []

    play(story)


def test_a_bot_that_stops_in_order_hands_over_what_it_could_not_finish() -> None:
    async def story(scene: Scene) -> None:
        hangs = asyncio.Event()

        async def request(*_: Any, **__: Any) -> Any:
            await hangs.wait()

        scene.bot.operations.service.request = request  # type: ignore[method-assign]
        await scene.ana.type_text("COPS", "/openvidu scale 3 --now")
        await scene.wait(5)
        await scene.by_bot(scene.bot.dispatcher.tasks.settle(0.1))
        await scene.wait(1)
        scene.kill()
        await scene.start_bot()
        await scene.card("acme has 3 media nodes ·")

    play(story)


def test_what_slack_delivers_twice_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(scene: Scene) -> None:
        place = scene.slack.workspace
        payload = payloads.slash_command(
            place, place.users["UANA"], place.channels["COPS"], "/openvidu", "shutdown"
        )
        for _ in range(3):
            await scene.slack.delivery.deliver("slash_commands", payload, True)
        await scene.wait(60)
        assert len(await scene.bot.operations.reader.waiting("acme")) == 1
        assert "has already requested this" not in reads(scene, "UANA")
        card = await with_buttons(scene, "Shut down acme")
        action = next(
            e
            for b in card.blocks
            if b["type"] == "actions"
            for e in b["elements"]
            if e["action_id"] == "approve"
        )
        press = payloads.message_action(place, place.users["UBEN"], card, action, {})
        for _ in range(3):
            await scene.slack.delivery.deliver("interactive", press)
        await scene.card("acme is shut down")
        assert private(scene, "UBEN") == [], "the second press was not his"

    play(story)


def test_a_repeat_that_comes_while_the_state_is_away_is_known_by_the_bot_that_took_it() -> None:
    async def story(scene: Scene) -> None:
        place, store = scene.slack.workspace, scene.bot.adapters.store
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "Shut down acme")
        action = next(
            e
            for b in card.blocks
            if b["type"] == "actions"
            for e in b["elements"]
            if e["action_id"] == "approve"
        )
        press = payloads.message_action(place, place.users["UBEN"], card, action, {})
        await scene.slack.delivery.deliver("interactive", press)
        await scene.run_is("acme-1", State.RUNNING)
        store.away = True  # type: ignore[attr-defined]
        await scene.slack.delivery.deliver("interactive", press)
        await scene.wait(120)
        store.away = False  # type: ignore[attr-defined]
        await scene.card("acme is shut down")
        assert private(scene, "UBEN") == []

    play(story)


def test_a_press_that_was_told_as_not_taken_is_not_taken_by_its_second_delivery() -> None:
    """A press that was refused must not happen when Slack delivers it again."""

    async def story(scene: Scene) -> None:
        place, store = scene.slack.workspace, scene.bot.adapters.store
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "Shut down acme")
        action = next(
            e
            for b in card.blocks
            if b["type"] == "actions"
            for e in b["elements"]
            if e["action_id"] == "approve"
        )
        press = payloads.message_action(place, place.users["UBEN"], card, action, {})
        store.delay = 10.0  # type: ignore[attr-defined]
        await scene.slack.delivery.deliver("interactive", press)
        await scene.wait(30)
        assert NOT_TAKEN[1:] in reads(scene, "UBEN")
        store.delay = 0.0  # type: ignore[attr-defined]
        await scene.slack.delivery.deliver("interactive", press)
        await scene.wait(120)
        assert await scene.journal.latest("acme", 5) == []
        await scene.ben.press(card, "Approve")
        await scene.card("acme is shut down")

    play(story)


@pytest.mark.parametrize("delay", [1.5, 10.0])
def test_it_is_acknowledged_in_time_however_slow_the_store_is(delay: float) -> None:
    async def story(scene: Scene) -> None:
        store: Any = scene.bot.adapters.store
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "Shut down acme")
        store.delay = delay
        for act in (
            scene.ana.type_text("COPS", "/openvidu scale 3 --now"),
            scene.ben.press(card, "Approve"),
        ):
            began = scene.clock.now()
            await act
            assert scene.clock.now() - began < 3.0
        await scene.wait(60)
        store.delay = 0.0
        if delay > 3.0:
            assert NOT_TAKEN[1:] in reads(scene, "UANA")
            assert NOT_TAKEN[1:] in reads(scene, "UBEN")
            await scene.wait(600)
            assert await scene.journal.latest("acme", 5) == []
        else:
            await scene.wait(900)
            said = reads(scene, "UANA").lower()
            assert await scene.journal.latest("acme", 5) != [] or UNTOUCHED in said

    play(story)


class Shaky:
    """Writes, and loses the answer: a fail-over, or a time-out after retries."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.loses: Callable[[Commit], bool] = lambda _: False
        self.times = 1

    async def commit(self, commit: Commit) -> bool:
        done = await self._store.commit(commit)
        if self.times and self.loses(commit):
            self.times -= 1
            raise Unreachable("asking Redis: TimeoutError")
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def shaking() -> tuple[list[Shaky], Callable[[Store], Any]]:
    """The stores as each bot reaches them, and how."""
    shaky: list[Shaky] = []

    def reach(store: Store) -> Any:
        shaky.append(Shaky(store))
        return shaky[-1]

    return shaky, reach


def opens(commit: Commit) -> bool:
    return any(key.startswith("claim:") and value for key, value in commit.puts.items())


def test_a_note_whose_answer_was_lost_is_not_carried_out_behind_its_senders_back() -> None:
    """Ana was told that it was not taken: so it is not, also not by the next bot."""
    shaky, reach = shaking()

    async def story(scene: Scene) -> None:
        shaky[0].loses = lambda commit: bool(commit.appends) and commit.appends[0][0] == "intake"
        shaky[0].times = 5
        await scene.ana.type_text("COPS", "/openvidu scale 4 --now")
        await scene.ephemeral("UANA", NOT_TAKEN[1:])
        scene.kill()
        await scene.start_bot()
        await scene.wait(600)
        assert await scene.journal.latest("acme", 5) == []

    play(story, reach=reach)


async def dies_over_the_next(scene: Scene) -> None:
    """Kill the newest bot at its next look or decision for a person."""
    operations = scene.bot.operations

    async def dies(*_: Any, **__: Any) -> Any:
        await asyncio.sleep(0.5)  # it is held by then
        scene.kill()
        await asyncio.sleep(3600)

    operations.service.request = dies  # type: ignore[method-assign]
    operations.service.approve = dies  # type: ignore[method-assign]
    scene.bot.scheduler.overrides.hold = dies  # type: ignore[method-assign]
    scene.bot.scheduler.overrides.keep = dies  # type: ignore[method-assign]


# After a lost answer: look, then speak


def decides(commit: Commit) -> bool:
    """A decision is written with its entry in the audit."""
    return any(log.startswith("audit:") for log, _ in commit.appends)


LOST = (
    ("scale 3 --now", "It was accepted: `acme-1` is"),
    ("shutdown", "It was accepted: the request waits for approval"),
    (
        'break-glass shutdown --reason "fire"',
        "It was accepted: the audit of acme has “break-glass asked for”",
    ),
    ('hold "exam week" for 2h', "It was accepted: the audit of acme has “put on hold”"),
    ("keepup 2h", "It was accepted: the audit of acme has “kept up”"),
    ("window skip 2027-02-01", "It was accepted: the audit of acme has “days off added”"),
    ("window remove nights", "It was accepted: the audit of acme has “window removed”"),
)


@pytest.mark.parametrize(("words", "found"), LOST)
def test_a_command_whose_answer_was_lost_is_looked_for_before_anything_is_said_of_it(
    words: str, found: str
) -> None:
    shaky, reach = shaking()

    async def story(scene: Scene) -> None:
        await scene.wait(30)  # the window of the settings is in the book
        shaky[0].loses = decides
        await scene.ana.type_text("COPS", f"/openvidu {words}")
        first = await scene.ephemeral(
            "UANA", "It is not known yet whether it was accepted. The bot checks"
        )
        assert UNTOUCHED not in first.text.lower()
        assert shaky[0].times == 0
        await scene.ephemeral("UANA", found)
        assert UNTOUCHED not in reads(scene, "UANA").lower()

    play(
        story,
        reach=reach,
        site={"windows": ["nights Mon-Fri 20:00-07:30"]},
        roles={"break_glass": ["UANA"]},
    )


@pytest.mark.parametrize(
    ("label", "loses", "found"),
    [
        ("Approve", opens, "Your approval counted: the run is `acme-1`"),
        ("Reject…", decides, "It was accepted: the request is rejected"),
    ],
)
def test_so_is_a_press(label: str, loses: Callable[[Commit], bool], found: str) -> None:
    shaky, reach = shaking()

    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "Shut down acme")
        shaky[0].loses = loses
        await scene.ben.press(card, label)
        if label == "Reject…":
            view = await scene.ben.wait_for(lambda: _form(scene))
            await scene.ben.fill_and_submit(view, {"Why": "not tonight"})
        await scene.ephemeral("UBEN", "It is not known yet whether it was accepted")
        await scene.ephemeral("UBEN", found)
        assert UNTOUCHED not in reads(scene, "UBEN").lower()

    play(story, reach=reach)


def _form(scene: Scene) -> View | None:
    shown = scene.ben.modal()
    return shown if shown is not None and "submit" in shown.body else None


def test_what_was_never_written_is_said_to_be_untaken_once_that_is_known() -> None:
    async def story(scene: Scene) -> None:
        store: Any = scene.bot.adapters.store
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "Shut down acme")
        operations, approve = scene.bot.operations, scene.bot.operations.service.approve

        async def away(*told: Any, **more: Any) -> Any:
            store.away = True
            return await approve(*told, **more)

        operations.service.approve = away  # type: ignore[method-assign]
        await scene.ben.press(card, "Approve")
        await scene.ephemeral("UBEN", "It is not known yet whether it was accepted")
        await scene.wait(120)
        store.away = False
        await scene.ephemeral("UBEN", "It was not accepted, and nothing was changed")
        assert await scene.journal.latest("acme", 1) == []

    play(story)


def test_who_may_have_been_told_nothing_is_told_by_the_next_bot() -> None:
    """The answer was lost, the bot looks, and dies before it can speak."""
    shaky, reach = shaking()

    async def story(scene: Scene) -> None:
        await scene.ana.type_text("COPS", "/openvidu shutdown")
        card = await with_buttons(scene, "Shut down acme")
        shaky[0].loses = opens
        await scene.ben.press(card, "Approve")
        await scene.ephemeral("UBEN", "It is not known yet whether it was accepted")
        scene.kill()
        await scene.start_bot()
        await scene.ephemeral(
            "UBEN",
            "The bot was restarted while it took your press. Your approval counted: "
            "the run is `acme-1`",
        )

    play(story, reach=reach)
