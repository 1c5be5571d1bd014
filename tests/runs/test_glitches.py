"""One wrong answer stops nothing; one that persists is posted once and stops the run."""

import dataclasses
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from services.cloud.fleet_survey import AGED
from services.cluster.model import Fact
from services.runs.run import Asked, Noted, Run, State, Taken
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import everything_read, request_and_approve, run_ended

Ask = Callable[..., Any]
Change = Callable[[Ask, str, str, tuple[Any, ...]], Any]


def answers(scene: Scene, change: Change) -> None:
    """Let DigitalOcean's answers come as `change(ask, method, path, more)` makes them."""
    api = scene.bot.operations.clusters.cluster("acme").world.account.api  # type: ignore[attr-defined]
    transport = api.requests._transport
    handle = transport._handle
    transport._handle = lambda method, path, *more: change(handle, method, path, more)


def body(answer: Any, change: Callable[[dict[str, Any]], None]) -> Any:
    """The same answer with another body."""
    made = json.loads(answer.body)
    change(made)
    return dataclasses.replace(answer, body=json.dumps(made).encode())


def only(times: int, what: Callable[[str, str], bool], then: Change) -> Change:
    """The first `times` requests that are like that are answered otherwise; -1: all of them."""
    left = [times]

    def change(ask: Ask, method: str, path: str, more: tuple[Any, ...]) -> Any:
        if not left[0] or not what(method, path):
            return ask(method, path, *more)
        left[0] -= 1
        return then(ask, method, path, more)

    return change


def droplets(method: str, path: str) -> bool:
    return method == "GET" and path.endswith("/v2/droplets")


def without(*names: str) -> Change:
    """These droplets are not on the list, nor in its total."""

    def drop(made: dict[str, Any]) -> None:
        made["droplets"] = [d for d in made["droplets"] if not any(n in d["name"] for n in names)]
        made["meta"] = {"total": len(made["droplets"])}

    return lambda ask, method, path, more: body(ask(method, path, *more), drop)


def refused(status: int) -> Change:
    """Nothing is done."""
    said = json.dumps({"id": "x", "message": "flake"}).encode()
    return lambda ask, _method, _path, more: dataclasses.replace(
        ask("GET", "/v2/account", {}, *more[1:]), status=status, body=said
    )


def done_and_refused(status: int) -> Change:
    """It is done, and the answer says that it is not."""
    said = json.dumps({"id": "x", "message": "flake"}).encode()
    return lambda ask, method, path, more: dataclasses.replace(
        ask(method, path, *more), status=status, body=said
    )


async def half_way(scene: Scene) -> None:
    """A shutdown that waits for two meetings of ten minutes."""
    for _ in range(2):
        scene.estate.open_meeting(people=3, minutes=10)
    await request_and_approve(scene, "shutdown", "Shut down acme")
    await scene.wait(30)


GLITCHES: dict[str, Change] = {
    "an empty list": only(1, droplets, without("acme")),
    "one master missing": only(2, droplets, without("master-node-3")),
    "401 for a list": only(1, droplets, refused(401)),
    "403 for the members": only(
        1, lambda m, p: m == "GET" and p.endswith("/members"), refused(403)
    ),
    "401 for an action": only(1, lambda m, p: m == "POST" and p.endswith("/actions"), refused(401)),
    "404 for an action": only(2, lambda m, p: m == "POST" and p.endswith("/actions"), refused(404)),
    "403 for the pool's edit": only(2, lambda m, _: m == "PUT", refused(403)),
    "401 for an action that is made": only(
        3, lambda m, p: m == "POST" and p.endswith("/actions"), done_and_refused(401)
    ),
    "403 for an edit that is made": only(1, lambda m, _: m == "PUT", done_and_refused(403)),
}


@pytest.mark.sampled(6)
@pytest.mark.parametrize("glitch", GLITCHES)
def test_one_wrong_answer_stops_nothing(glitch: str) -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            await half_way(scene)
            answers(scene, GLITCHES[glitch])
            run = await run_ended(scene)
            assert run.takes == 1
            assert set(scene.estate.signals.values()) == {1}

    virtual.run(story())


def test_while_a_master_is_missing_nothing_is_asked_for_and_the_card_says_what_is_doubted() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            await half_way(scene)
            answers(scene, only(-1, droplets, without("master-node-3")))
            began = scene.clock.now()
            # A drain shows on the nodes; DigitalOcean's list of droplets is read now and then.
            late = AGED[Fact.DROPLETS] + scene.settings.clusters["acme"].timings.look
            await scene.card("DigitalOcean shows 3 of 4 masters; trying again", timeout=late)
            run = await scene.run_is("acme-1", State.STOPPED, timeout=600)
            assert "acme has 3 masters" in run.stopped
            assert scene.clock.now() - began >= 60
            assert not [
                e
                for e in await scene.journal.events("acme-1")
                if isinstance(e, Asked) and e.at > began
            ]

    virtual.run(story())


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_that_lasts_stops_after_three_tries_over_a_minute(status: int) -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            answers(scene, only(-1, lambda m, _: m == "PUT", refused(status)))
            await request_and_approve(scene, "shutdown", "Shut down acme")
            run = await scene.run_is("acme-1", State.STOPPED, timeout=600)
            tries = [
                e.at
                for e in await scene.journal.events("acme-1")
                if isinstance(e, Asked) and e.step == 1
            ]
            assert len(tries) >= 3
            assert 60 <= tries[-1] - tries[0] < 120
            assert f"({status})" in run.stopped

    virtual.run(story())


@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_definite_refusal_stops_at_once(status: int) -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            answers(scene, only(-1, lambda m, _: m == "PUT", refused(status)))
            await scene.ana.type_text("COPS", "/openvidu scale 2 --now")
            await scene.run_is("acme-1", State.STOPPED, timeout=60)
            assert (
                len([e for e in await scene.journal.events("acme-1") if isinstance(e, Asked)]) == 1
            )

    virtual.run(story())


# Unexpected errors


class Strange(Exception):
    """No error of ours."""


def breaks(scene: Scene, times: int, *, at: str = "observe") -> list[float]:
    """Make that many calls raise an unexpected error; -1: all. Return when they were made."""
    world: Any = scene.bot.operations.clusters.cluster("acme").world
    calls = list[float]()

    def breaking(owner: Any) -> None:
        call = getattr(owner, at)

        async def broken(*given: Any, **more: Any) -> Any:
            if times < 0 or len(calls) < times:
                calls.append(scene.clock.now())
                raise Strange("0x7f")
            return await call(*given, **more)

        setattr(owner, at, broken)

    if hasattr(world, at):
        breaking(world)
        return calls
    make_writer = world.writer

    def writer(*given: Any) -> Any:
        made = make_writer(*given)
        breaking(made)
        return made

    world.writer = writer
    return calls


def thread(scene: Scene) -> list[str]:
    return [m.text for m in scene.ana.visible_messages("COPS") if m.thread_ts not in (None, m.ts)]


async def notes(scene: Scene) -> list[str]:
    return [e.text for e in await scene.journal.events("acme-1") if isinstance(e, Noted)]


def test_an_unexpected_error_is_looked_at_again() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            await half_way(scene)
            breaks(scene, 2)
            run = await run_ended(scene)
            assert run.takes == 1
            assert await notes(scene) == []

    virtual.run(story())


@pytest.mark.parametrize("at", ["observe", "request_droplet_action"])
def test_an_error_that_comes_for_ever_is_posted_once_logged_once_and_stops_the_run(
    at: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It was a traceback and a message in the thread every ten seconds, without end."""
    step = "Drain 2 media nodes" if at == "observe" else "Power off masters 1-4"

    async def story() -> Run:
        async with Scene(media=2) as scene:
            await half_way(scene)
            calls = breaks(scene, -1, at=at)
            run = await scene.run_is("acme-1", State.STOPPED, timeout=3 * 3600)
            assert run.stopped == f"for 1 h: internal error Strange in “{step}”; this is a bug"
            assert 3600 <= run_at(await scene.journal.events("acme-1")) - calls[0] < 3700
            said = [n for n in await notes(scene) if "internal error" in n]
            assert len(said) == 1
            assert len([t for t in thread(scene) if "internal error" in t]) == 2, (
                "once when it lasts, once when it stops"
            )
            assert (
                len([e for e in await scene.journal.events("acme-1") if isinstance(e, Taken)]) == 1
            )
            assert (
                len([e for e in await scene.journal.events("acme-1") if isinstance(e, Asked)]) < 150
            )
            return run

    with caplog.at_level(logging.ERROR):
        virtual.run(story())
    tracebacks = [r for r in caplog.records if r.exc_info and r.name == "services.runs.executor"]
    assert len(tracebacks) <= 1


def run_at(events: list[Any]) -> float:
    return float(events[-1].at)


def test_an_outage_is_posted_once_and_ends_the_run_after_an_hour() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            await half_way(scene)
            scene.environment.faults.add("digitalocean", "503-before", times=-1)
            began = scene.clock.now()
            run = await scene.run_is("acme-1", State.STOPPED, timeout=2 * 3600)
            assert run.stopped.startswith("no answer for 1 h: ")
            assert 3600 <= scene.clock.now() - began < 3900
            assert len([n for n in await notes(scene) if n.startswith("still waiting: ")]) == 1

    virtual.run(story())


def test_a_short_outage_is_not_posted() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            await half_way(scene)
            scene.environment.faults.add("digitalocean", "503-before", times=-1)
            await scene.wait(200)
            scene.environment.faults.rules.clear()
            await run_ended(scene)
            assert await notes(scene) == []
            assert "still waiting" not in everything_read(scene)

    virtual.run(story())


def test_a_key_that_a_node_refuses_once_as_it_is_told_to_finish_stops_nothing() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.environment.faults.add("node", "key-refused", match="drain-", times=1)
            await request_and_approve(scene, "shutdown", "Shut down acme")
            await run_ended(scene)
            assert set(scene.estate.signals.values()) == {1}

    virtual.run(story())


def test_a_key_that_is_refused_for_ever_stops_the_run_and_is_named() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.environment.faults.add("node", "key-refused", match="drain-", times=-1)
            await request_and_approve(scene, "shutdown", "Shut down acme")
            run = await scene.run_is("acme-1", State.STOPPED, State.ASKING)
            assert "the ssh key was refused for user root" in (run.stopped or str(run.question))

    virtual.run(story())
