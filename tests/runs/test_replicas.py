"""Several bots on one state: they share Slack's events and take over from each other."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from handlers import views
from services.memory.message_refs import MessageRefs
from services.procedures import Shutdown
from services.runs.request import RequestState
from services.runs.run import State, Taken
from services.store import Commit
from simulators.slack import payloads
from simulators.slack.model import Message
from tests.runs.test_crash import ANA, BEN, insist
from tests.support import virtual
from tests.support.scene import Scene


def test_a_dead_bots_run_is_taken_over_within_its_lease_and_one_sweep() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.estate.open_meeting(people=4, minutes=30)
            await scene.by_bot(_open(scene))
            await scene.wait(60)
            first = scene.crash_injectors[0]
            await scene.start_bot()
            await scene.wait(60)
            first.crash()
            died_at = scene.clock.now()
            await scene.wait(45)
            taken = [e for e in await scene.journal.events("acme-1") if isinstance(e, Taken)]
            assert [t.again for t in taken] == [False, True]
            assert taken[0].worker != taken[1].worker
            assert taken[1].at - died_at <= 30 + 10 + 1
            run = await scene.run_is("acme-1", State.DONE)
            assert set(scene.estate.signals.values()) == {1}
            await scene.settled(run)
            shown = [
                m
                for m in scene.ana.visible_messages("COPS")
                if "acme-1" in m.text and "bot restarted" not in m.text
            ]
            assert len([m for m in shown if m.ts == shown[0].ts]) == 1

    virtual.run(story())


def test_three_bots_one_run_one_message() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            await scene.start_bot()
            await scene.start_bot()
            scene.estate.open_meeting(people=4, minutes=10)
            run = await insist(scene, Shutdown())
            assert run.state is State.DONE
            assert len([e for e in await scene.journal.events(run.id) if isinstance(e, Taken)]) == 1
            assert set(scene.estate.signals.values()) == {1}
            await scene.settled(run)
            top = [m for m in scene.ana.visible_messages("COPS") if m.thread_ts in (None, m.ts)]
            assert len(top) == 1

    virtual.run(story())


def test_bots_divide_the_requests_of_their_token() -> None:
    """Two bots that each send a token's whole share are refused by DigitalOcean together."""

    async def story() -> None:
        scene = Scene(media=2)
        shared = scene.settings.state.model_copy(update={"redis_url": SecretStr("redis://shared")})
        scene.settings = scene.settings.model_copy(update={"state": shared})
        async with scene:
            await scene.wait(70)
            [alone] = {a.api.requests.pace.allowance for a in scene.bots[0].accounts}
            await scene.start_bot()
            await scene.wait(70)
            for bot in scene.bots:
                for account in bot.accounts:
                    assert account.api.requests.pace.allowance.hour == alone.hour // 2
                    assert account.api.requests.pace.allowance.minute == alone.minute // 2
            scene.crash_injectors[0].crash()
            await scene.wait(30)
            assert {a.api.requests.pace.allowance for a in scene.bots[1].accounts} == {alone}

    virtual.run(story())


def test_a_paused_bot_that_wakes_up_cannot_act() -> None:
    """A bot suspended (SIGSTOP) longer than its lease does nothing more of what it had begun."""

    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.estate.open_meeting(people=4, minutes=20)
            await scene.by_bot(_open(scene))
            await scene.wait(30)
            sleeper = scene.crash_injectors[0]
            sleeper.pause()
            await scene.start_bot()
            await scene.wait(120)
            taken = [e for e in await scene.journal.events("acme-1") if isinstance(e, Taken)]
            assert len(taken) == 2
            before = sleeper.points
            sleeper.go_on()
            await scene.wait(5)
            assert sleeper.writes_since(before) == []
            run = await scene.run_is("acme-1", State.DONE)
            assert run.takes == 2
            assert set(scene.estate.signals.values()) == {1}

    virtual.run(story())


def test_a_hundred_presses_at_once_are_one_run() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            operations = scene.bot.operations
            await operations.service.request(ANA, "acme", Shutdown(), channel="COPS")
            (request,) = await operations.reader.waiting("acme")
            presses = await asyncio.gather(
                *(operations.service.approve(request.id, BEN) for _ in range(100)),
                return_exceptions=True,
            )
            assert len([p for p in presses if not isinstance(p, Exception)]) == 1
            told = {str(p).split(" ago")[0] for p in presses if isinstance(p, Exception)}
            assert all(
                "approved by [[person UBEN]]" in t
                or "at the same moment" in t
                or "is locked by" in t
                for t in told
            ), told
            assert await scene.journal.latest("acme", 10) == ["acme-1"]
            await scene.run_is("acme-1", State.DONE)

    virtual.run(story())


@pytest.mark.parametrize("left", ["handed over", "not handed over", "shown twice"])
def test_a_message_is_handed_over_whatever_bot_died_over_it(left: str) -> None:
    """A bot may crash between any two writes from an approval to its run's message."""

    async def story() -> None:
        async with Scene(media=1) as scene:
            run = await insist(scene, Shutdown())
            await scene.settled(run)
            operations = scene.bot.operations
            asked, taken = (
                await operations.message_refs.get(run.request),
                await operations.message_refs.get(run.id),
            )
            assert asked is not None
            assert taken is not None
            scene.kill()
            request = replace(await scene.journal.request(run.request), state=RequestState.OPEN)
            shown, place = views.request_card(request, "an approver"), scene.slack.workspace
            if left == "not handed over":
                message = place.channel("COPS").messages[taken.ts]
                message.text, message.blocks = shown.text, list(shown.blocks)
                await scene.store.commit(Commit(puts={f"card:{run.id}": None}))
            if left == "shown twice":
                asked = replace(
                    asked,
                    ts=place.post(
                        place.channel("COPS"), place.bot.id, shown.text, list(shown.blocks)
                    ).ts,
                )
            await MessageRefs(scene.store).put(run.request, replace(asked, final=False))
            await scene.start_bot()
            await scene.wait(60)
            assert await MessageRefs(scene.store).unfinished() == []
            buttons = [
                m.text
                for m in scene.ana.visible_messages("COPS")
                if any(
                    e["action_id"].partition(":")[0] not in ("next", "link")
                    for b in m.blocks
                    if b["type"] == "actions"
                    for e in b["elements"]
                )
            ]
            assert buttons == [], "nothing is left to decide"
            await scene.settled(run)

    virtual.run(story())


def test_an_event_that_comes_again_to_another_bot_is_answered_once() -> None:
    """Slack delivers events at least once, each time to any bot."""

    async def story() -> None:
        async with Scene(media=1) as scene:
            first = scene.slack.delivery
            await scene.start_bot()
            second = scene.slack.delivery
            event = mention(scene, "status")
            taken = [
                d.deliver("events_api", event)
                for d in (first, second, first, second)
                for _ in range(3)
            ]
            assert all(d.acked for d in await asyncio.gather(*taken))
            await scene.wait(30)
            assert len(whispers(scene, "UANA")) == 1
            await second.deliver("events_api", mention(scene, "status"))
            await scene.wait(30)
            assert len(whispers(scene, "UANA")) == 2

    virtual.run(story())


def mention(scene: Scene, words: str) -> dict[str, Any]:
    place = scene.slack.workspace
    return payloads.mention(
        place, place.post(place.channel("COPS"), "UANA", f"<@{place.bot.id}> {words}")
    )


def whispers(scene: Scene, user: str) -> list[Message]:
    return [m for m in scene.person(user).visible_messages("COPS") if m.ephemeral_to == user]


async def _open(scene: Scene) -> None:
    operations = scene.bot.operations
    await operations.service.request(ANA, "acme", Shutdown(), channel="COPS")
    for request in await operations.reader.waiting("acme"):
        await operations.service.approve(request.id, BEN)
