"""One bad thing stays one bad thing.

Whatever a part of the bot does, or one cluster's part of it, everything else does its work.
"""

import asyncio
import json
import logging
import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from slack_sdk.web.async_client import AsyncWebClient

from bot.app import Bot
from bot.scheduler import Ticker
from bot.serve import Serving
from services.common.bulkheads import LIMIT, Bulkheads
from services.common.clock import Clock, loop_clock
from services.common.errors import BadRecord
from services.common.metrics import METRICS
from services.store import Commit
from tests.support import virtual
from tests.support.coverage_level import share
from tests.support.scene import Scene
from tests.support.stories import request_and_approve, run_ended

Misdeed = Callable[[], Any]


async def raises(error: BaseException) -> None:
    raise error


async def hangs() -> None:
    await asyncio.sleep(1e9)


async def ignores_being_cancelled() -> None:
    for _ in range(20):  # bounded: the end of the story waits for it
        try:
            await asyncio.sleep(1e4)
        except asyncio.CancelledError:
            continue


MISDEEDS: dict[str, Misdeed] = {
    "a library's error": lambda: raises(ValueError("invalid literal")),
    "a mistake of ours": lambda: raises(AttributeError("'NoneType' object has no attribute 'id'")),
    "an endless recursion": lambda: raises(RecursionError()),
    "no memory": lambda: raises(MemoryError()),
    "an unreadable record": lambda: raises(BadRecord("request r1 cannot be read: it is damaged")),
    "a cancellation that is nobody's": lambda: raises(asyncio.CancelledError()),
    "the end of the process": lambda: raises(SystemExit(3)),
    "garbage": lambda: "garbage",
    "nothing, for ever": hangs,
    "nothing, also when it is cancelled": ignores_being_cancelled,
}


def method_of(bot: Bot, part: str) -> tuple[Any, str]:
    """The object that a part is looked after by, and the name of its method."""
    bound = bot.parts[part]
    return bound.__self__, bound.__name__  # type: ignore[attr-defined]


@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_whatever_a_part_does_every_other_part_does_its_work(
    misdeed: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with Scene(media=1, start=False) as scene:
            scene.promises = False
            await scene.start_bot()
            bot, calls = scene.bot, Counter[str]()
            for part in bot.parts:
                spied_on(bot, part, calls)
            for part in share(list(bot.parts), list(MISDEEDS).index(misdeed), 4):
                owner, method = method_of(bot, part)
                well = getattr(owner, method)
                setattr(owner, method, MISDEEDS[misdeed])
                await scene.wait(60)
                calls.clear()
                caplog.clear()
                await scene.wait(300)
                others = {p: n for p, n in calls.items() if p != part}
                assert set(others) == set(bot.parts) - {part}, (
                    f"{part} stopped {set(bot.parts) - {part} - set(others)}"
                )
                assert min(others.values()) >= 25, f"{part} holds up the others: {others}"
                named = [t for t in bot.operations.bulkheads.failures if t.part == part]
                assert named, f"{part} is in trouble, and nothing says so"
                assert METRICS.value("openvidu_bot_part_failing", part=part, cluster="") == 1
                loud = [
                    r
                    for r in caplog.records
                    if r.levelno >= logging.ERROR and r.name == "services.common.bulkheads"
                ]
                assert len(loud) <= 1, "one line, not one each time"
                setattr(owner, method, well)
                await scene.wait(LIMIT + 60)
                if "cancelled" not in misdeed or "nobody" in misdeed:
                    assert not [t for t in bot.operations.bulkheads.failures if t.part == part], (
                        f"{part} works again, and nothing says so"
                    )

    virtual.run(story())


def spied_on(bot: Bot, part: str, calls: Counter[str]) -> None:
    owner, method = method_of(bot, part)
    well = getattr(owner, method)

    async def counted() -> None:
        calls[part] += 1
        await well()

    setattr(owner, method, bound_to(owner, counted, method))


def bound_to(owner: Any, work: Callable[[], Awaitable[None]], name: str) -> Any:
    async def method(_self: Any) -> None:
        await work()

    method.__name__ = name
    return method.__get__(owner)


def test_a_round_in_which_a_part_fails_is_no_round() -> None:
    """The age of the last round is what /healthz and the alert go by.

    Rounds that fail let it grow.
    """

    async def story() -> None:
        async with Scene(media=1) as scene:
            scene.promises = False
            await scene.wait(15)
            assert await scene.bot.run_round()
            scene.bot.scheduler.tick = lambda: raises(ValueError())  # type: ignore[method-assign]
            assert not await scene.bot.run_round()

    virtual.run(story())


def test_the_tick_counts_whole_rounds_only_and_knows_whether_any_ended() -> None:
    """/healthz goes by whole rounds.

    The watchdog by rounds that ended, since a part that fails would fail after a restart too.
    """

    async def story(work: Callable[[], Awaitable[bool]]) -> tuple[bool, bool]:
        tick = Ticker(work, 0.01, Clock())
        tick.start()
        began = asyncio.get_running_loop().time()
        for _ in range(500):
            if len(rounds) > (0 if work is hung else 5):
                break
            await asyncio.sleep(0.01)
        tick.stop()
        at_least = asyncio.get_running_loop().time() - began
        silent, stalled = tick.silent_for(), tick.stalled_for()
        return silent >= at_least, stalled >= at_least

    rounds: list[int] = []

    async def well() -> bool:
        rounds.append(1)
        return True

    async def ill() -> bool:
        rounds.append(1)
        return False

    async def hung() -> bool:
        rounds.append(1)
        await asyncio.sleep(1e9)
        return True

    assert asyncio.run(story(well)) == (False, False), "it ends well, and both ages begin anew"
    rounds.clear()
    assert asyncio.run(story(ill)) == (True, False), "it fails: the one age goes on from the start"
    rounds.clear()
    assert asyncio.run(story(hung)) == (True, True), "it never ends: both go on"


async def page(serving: Serving, path: str) -> tuple[int, str]:
    """What is answered to whoever asks for it."""
    (handler,) = [r.handler for r in serving._health.own_routes() if r.path == path]
    answer = await handler(make_mocked_request("GET", path))
    assert isinstance(answer, web.Response)
    return answer.status, str(answer.text)


def test_the_health_page_names_what_fails_and_is_not_well_when_no_round_is() -> None:
    """It said that all was well.

    For as long as every single round failed; so nothing restarted the bot, and no alert went off.
    """

    async def story() -> None:
        async with Scene(media=1) as scene:
            scene.promises = False
            serving, tick = (made := Serving(scene.bot, AsyncWebClient())), made._ticker
            tick._last = tick._ended = asyncio.get_running_loop().time()

            async def rounds(seconds: int) -> None:
                for _ in range(seconds // 10):
                    await tick._once()
                    await scene.wait(10)

            await rounds(60)
            assert await page(serving, "/healthz") == (
                200,
                '{"ok": true, "problems": [], "cautions": []}',
            )
            await scene.store.commit(Commit(puts={"pending:acme": "{"}))
            await rounds(600)
            status, text = await page(serving, "/healthz")
            assert (status, "requests of acme: " in text) == (200, True), (
                "named, and no reason for a restart"
            )
            await scene.store.commit(Commit(puts={"pending:acme": "[]"}))
            scene.bot.scheduler.tick, well = lambda: raises(ValueError()), scene.bot.scheduler.tick  # type: ignore[method-assign]
            await rounds(280)
            assert (await page(serving, "/healthz"))[0] == 200
            await rounds(60)
            status, text = await page(serving, "/healthz")
            assert status == 503
            assert "no scheduler round has succeeded for 3" in text
            assert "hours: ValueError at test_bulkheads.py" in text
            assert serving._stuck() == [], "it would fail after a restart, too: the watchdog is fed"
            ready, text = await page(serving, "/readyz")
            assert (ready, "hours: ValueError" in text) == (503, True)
            _, metrics = await page(serving, "/metrics")
            age = re.search(r"^openvidu_bot_sweep_age_seconds (\S+)", metrics, re.MULTILINE)
            assert age is not None
            assert float(age[1]) > 300, "what the alert goes by"
            failing = re.findall(r"^openvidu_bot_part_failing\{(.*)\} 1", metrics, re.MULTILINE)
            assert [
                labels for labels in failing if 'part="hours"' in labels and 'cluster=""' in labels
            ], metrics
            scene.bot.scheduler.tick = well  # type: ignore[method-assign]
            await rounds(60)
            assert await page(serving, "/healthz") == (
                200,
                '{"ok": true, "problems": [], "cautions": []}',
            )
            await scene.wait(310)  # and no round ends at all
            assert serving._stuck(), "that is what a restart helps"
            assert (await page(serving, "/healthz"))[0] == 503

    virtual.run(story())


# One cluster


NIGHTS = {"windows": ["nights Mon-Sun 20:00-07:30 UTC"], "channel": "COPS"}
EVENING = datetime(2027, 1, 15, 19, 28, tzinfo=UTC).timestamp()
FROM_LATER = json.dumps({"is": "OpenedByNewerVersion", "at": 1.0, "v": 7})

POISON: dict[str, Commit] = {
    "a run of a newer version": Commit(
        puts={"claim:acme": "acme-9"}, appends=[("run:acme-9", FROM_LATER), ("runs:acme", "acme-9")]
    ),
    "a request of a newer version": Commit(
        puts={
            "pending:acme": json.dumps(["r1"]),
            "request:r1": json.dumps(
                {
                    "is": "Request",
                    "id": "r1",
                    "plan": {"is": "Plan", "procedure": {"is": "ProcedureOfNextVersion"}},
                }
            ),
        }
    ),
    "a request that is damaged": Commit(
        puts={"pending:acme": json.dumps(["r1"]), "request:r1": '{"is": "Requ'}
    ),
    "a list of requests that is damaged": Commit(puts={"pending:acme": "{"}),
    "a book that is damaged": Commit(puts={"hours:acme": "{corrupt"}),
    "a book of a newer version": Commit(
        puts={"hours:acme": json.dumps({"is": "Book", "windows": [{"is": "Tide"}]})}
    ),
    "a claim of a run that is not there": Commit(puts={"claim:acme": "acme-9"}),
    "a run that does not begin with its opening": Commit(
        puts={"claim:acme": "acme-9"},
        appends=[("run:acme-9", json.dumps({"is": "Noted", "at": 1.0, "text": "hm"}))],
    ),
    "a card that is damaged": Commit(puts={"cards": json.dumps(["acme-9"]), "card:acme-9": "[1]"}),
    "what is remembered of its media nodes": Commit(
        puts={"media:acme": "7", "kind:acme": "{}", "pause:acme": "[]"}
    ),
    "records of what was billed": Commit(appends=[("usage:acme", "{corrupt")]),
    "a head of the audit that is none": Commit(
        puts={"audit-head:acme": "no:head", "audit-kept:acme": "no", "audit-told:acme": "no"}
    ),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("poison", POISON)
def test_one_unreadable_value_of_a_cluster_is_no_other_clusters_trouble(poison: str) -> None:
    """The other one closes on time.

    With its notices, and opens again; and what cannot be read is named.
    """

    async def story() -> None:
        async with Scene(
            stacks=("acme", "beta"), media=1, origin=EVENING, site=NIGHTS, pydo=False
        ) as scene:
            scene.promises = False
            await scene.wait(30)
            commit = POISON[poison]
            await scene.store.commit(Commit(puts=commit.puts, appends=commit.appends))
            await keeps_its_hours(scene, "beta")
            told = [
                m.text
                for m in scene.ana.visible_messages("COPS")
                if "acme: the bot cannot do part of its work" in m.text
            ]
            troubles = {(t.part, t.cluster) for t in scene.bot.operations.bulkheads.failures}
            assert len(told) == len(set(told)), "told once"
            assert {c for _, c in troubles} <= {"acme", ""}
            if (
                poison == "records of what was billed"
            ):  # the bot has its own copy; whoever asks is told
                await scene.ana.type_text("COPS", "/openvidu cost --cluster acme")
                await scene.ephemeral(
                    "UANA",
                    "acme was billed is unknown: a usage record in the state store is damaged",
                )
            else:
                assert {c for _, c in troubles} == {"acme"}, "what cannot be read is named"
                assert {t.part for t in scene.bot.operations.bulkheads.failures} <= told_parts(
                    told
                ), "and told"
            assert await scene.bot.run_round(), "a cluster's trouble is not the round's"

    virtual.run(story())


def told_parts(told: list[str]) -> set[str]:
    """The parts that these messages are about."""
    return {text.partition(" · ")[2].partition(" failed: ")[0] for text in told}


async def keeps_its_hours(scene: Scene, cluster: str) -> None:
    """From before the first notice until it is closed."""
    at_eight = EVENING + 32 * 60
    await scene.wait(at_eight - scene.clock.now() + 900)
    said = [m.text for m in scene.ana.visible_messages("COPS")]
    # One 30 minutes before and one 5; how long it is still to go is taken out of them as the time
    # comes.
    assert len([t for t in said if t.startswith(f"{cluster} closes at 20:00")]) == 2, (
        f"no notices before: {said}"
    )
    assert [m.on for m in scene.estate.masters(cluster)] == [False] * 4, (
        f"{cluster} is not closed: {said}"
    )
    closed = await scene.journal.run(f"{cluster}-1")
    assert abs(closed.opened_at - at_eight) < 1


OUTSIDES: dict[str, Callable[..., Any]] = {
    "raises": lambda *_: raises(ValueError("Invalid header value b'Bearer dop_v1_x\\n'")),
    "hangs": lambda *_: hangs(),
    "returns garbage": lambda *_: "garbage",
    "sees garbage": lambda *_: gives(7),
}


async def gives(value: object) -> object:
    return value


@pytest.mark.sampled(2)
@pytest.mark.parametrize("outside", OUTSIDES)
def test_a_cluster_that_cannot_be_looked_at_is_no_other_clusters_trouble(outside: str) -> None:
    """A token with a line feed at its end made every round of every cluster end in ValueError."""

    async def story() -> None:
        async with Scene(
            stacks=("acme", "beta"), media=1, origin=EVENING, site=NIGHTS, pydo=False
        ) as scene:
            scene.promises = False
            scene.bot.operations.clusters.cluster("acme").world.observe = OUTSIDES[outside]  # type: ignore[method-assign]
            await keeps_its_hours(scene, "beta")
            assert {t.cluster for t in scene.bot.operations.bulkheads.failures} == {"acme"}
            assert all(
                "dop_v1" not in t.text_line for t in scene.bot.operations.bulkheads.failures
            ), "what an error says may be a secret"
            told = [
                m.text
                for m in scene.ana.visible_messages("COPS")
                if "acme: the bot cannot do part of its work" in m.text
            ]
            assert told, "the operators are told"
            assert len(told) == len(set(told)), "once"
            assert all("dop_v1" not in t for t in told)

    virtual.run(story())


def test_a_run_whose_drive_always_fails_is_taken_up_ever_more_seldom() -> None:
    """Each take-up is an entry of its journal and a line in its thread."""

    async def story() -> None:
        async with Scene(media=1) as scene:
            scene.promises = False
            scene.estate.open_meeting(people=2, minutes=30)
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await scene.wait(30)
            scene.kill()
            await scene.wait(40)
            bot, times = await scene.start_bot(), 0
            drive = bot.operations.driver._executor.drive

            async def fails(_: str, _wait: float) -> None:
                nonlocal times
                times += 1
                raise KeyError("x")

            bot.operations.driver._executor.drive = fails  # type: ignore[method-assign, assignment]
            await scene.wait(3600)
            assert 5 <= times < 15, f"taken up {times} times in an hour"
            assert [
                t.cluster for t in bot.operations.bulkheads.failures if t.part == "driving runs"
            ] == ["acme"]
            bot.operations.driver._executor.drive = drive  # type: ignore[method-assign]
            await run_ended(scene)
            assert not [t for t in bot.operations.bulkheads.failures if t.part == "driving runs"]

    virtual.run(story())


def test_one_who_listens_badly_keeps_no_news_from_the_others() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:

            def deaf(_: object) -> None:
                raise ZeroDivisionError

            scene.bot.operations.subscribers.runs.insert(0, deaf)
            scene.bot.operations.subscribers.requests.insert(0, deaf)
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await run_ended(scene)
            assert {t.part for t in scene.bot.operations.bulkheads.failures} == {
                f"news of {what} for "
                f"test_one_who_listens_badly_keeps_no_news_from_the_others.<locals>.story.<locals>.deaf"
                for what in ("runs", "requests")
            }

    virtual.run(story())


def test_what_passes_by_itself_is_no_trouble_and_is_said_once_an_hour(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        bulkheads = Bulkheads(loop_clock(0.0))
        with caplog.at_level("WARNING"):
            for _ in range(720):
                assert await bulkheads.run(
                    "cards", lambda: raises(Unreachable_("asking Slack: ratelimited")), "acme"
                )
                await asyncio.sleep(10)
        assert bulkheads.failures == ()
        assert caplog.text.count("ratelimited") == 2

    from services.common.errors import Unreachable as Unreachable_  # noqa: PLC0415 - beside its one use

    virtual.run(story())


@pytest.mark.parametrize("together", [False, True])
def test_many_clusters_that_hang_cost_the_others_no_more_than_one(together: bool) -> None:
    """Each of them cost ten seconds of everybody's round.

    And a place among those that are looked after at once until it was cancelled.
    """

    async def story() -> None:
        bulkheads, loop, names = (
            Bulkheads(loop_clock(0.0)),
            asyncio.get_running_loop(),
            [f"c{n:02}" for n in range(60)],
        )
        bad, done = set(names[::2]), Counter[str]()

        async def work(name: str) -> None:
            await asyncio.sleep(1e9 if name in bad else 0.2)
            done[name] += 1

        for turn in range(1, 41):
            began = loop.time()
            await bulkheads.run_each("notices", names, work, together=together, at_once=16)
            assert loop.time() - began <= 60 * 0.2 + 45, (
                "what one may cost, and a second for each more"
            )
            assert done == dict.fromkeys(set(names) - bad, turn)
            await asyncio.sleep(10)
        assert {t.cluster for t in bulkheads.failures} == bad
        await bulkheads.aclose()

    virtual.run(story())


def test_a_part_that_fails_now_and_then_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Each failure came after a success, so each was new: a traceback for every one of them."""

    async def story() -> None:
        bulkheads, dice = Bulkheads(loop_clock(0.0)), random.Random(1)
        with caplog.at_level("INFO"):
            for _ in range(720):  # two hours
                error = dice.choice([None, ValueError("x"), KeyError("y"), OSError("z")])
                assert await bulkheads.run(
                    "cards",
                    lambda e=error: raises(e) if e else asyncio.sleep(0),  # type: ignore[misc]
                    "acme",
                ) is (error is None)
                assert bool(bulkheads.failures) is (error is not None)
                await asyncio.sleep(10)
        assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) <= 9, (
            "each kind once an hour"
        )
        assert len(caplog.records) <= 18, "and once an hour that it works again after it"

    virtual.run(story())


def test_work_that_is_slow_is_not_begun_twice() -> None:
    async def story() -> None:
        bulkheads, running, begun = Bulkheads(loop_clock(0.0)), 0, 0

        async def slow() -> None:
            nonlocal running, begun
            begun, running = begun + 1, running + 1
            assert running == 1
            await asyncio.sleep(45)
            running -= 1

        for _ in range(12):
            assert await bulkheads.run("hours", slow, "acme")
            await asyncio.sleep(10)
        assert begun == 3
        await bulkheads.aclose()

    virtual.run(story())
