"""How long the bot's procedures take, and how much they ask of DigitalOcean, beside what the estate's own delays leave no way around."""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.figures import Figure
from bench.runbook import POLL, STACK, Hand
from services.runs.run import State
from simulators.estate.delays import PUBLISHED
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import with_buttons

BIG = "s-8vcpu-16gb"
MEDIA = 3
OVERHEAD = 1.05
FASTER = 2.0
Play = Callable[[Hand], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """One procedure: as people say it, and as a hand does it. `before`: what is so when it begins."""

    name: str
    words: str
    play: Play
    before: Play | None = None


CASES = (
    Case("shutdown", "shutdown", lambda h: h.shutdown()),
    Case("start-up", f"startup {MEDIA}", lambda h: h.startup(MEDIA), lambda h: h.shutdown()),
    Case("scale 3 → 5", "scale 5", lambda h: h.scale(5)),
    Case("scale 3 → 2", "scale 2", lambda h: h.scale(2)),
    Case("resize media", "resize media c-8", lambda h: h.resize_media("c-8")),
    Case("resize masters", f"resize masters {BIG}", lambda h: h.resize_masters(BIG)),
)


@dataclass(frozen=True)
class Taken:
    """Estate seconds, and requests to DigitalOcean."""

    seconds: float
    requests: int


def by_hand(case: Case, poll: float | None = None) -> Taken:
    """What a hand needs for it."""

    async def story() -> Taken:
        async with Scene(media=MEDIA, start=False) as scene:
            scene.estate.delays = PUBLISHED
            scene.promises = False  # the hands are not the ones who promised
            if case.before is not None:
                await case.before(Hand(scene.estate))
            began, hand = scene.clock.now(), Hand(scene.estate, poll)
            await case.play(hand)
            return Taken(scene.clock.now() - began, hand.requests)

    return virtual.run(story())


def by_bot(case: Case) -> Taken:
    """What the bot needs for it, from the moment it may begin to the end of the run."""

    async def story() -> Taken:
        async with Scene(media=MEDIA) as scene:
            scene.estate.delays = PUBLISHED
            scene.estate.allow_template_keys.add("size")
            if case.before is not None:
                await case.before(Hand(scene.estate))
            await scene.ana.types("COPS", f"/openvidu {case.words}")
            with contextlib.suppress(
                AssertionError
            ):  # what disturbs nobody begins without approval
                await scene.ben.presses(await with_buttons(scene, "Approve", 10.0), "Approve")
            run = await scene.run_is(f"{STACK}-1", State.DONE, State.STOPPED)
            if run.state is not State.DONE:
                raise AssertionError(f"{case.name}: {run.state}, {run.stopped}")
            asked = [
                moment
                for *_, moment in scene.estate.requests
                if run.opened_at <= moment <= run.ended_at
            ]
            return Taken(run.ended_at - run.opened_at, len(asked))

    return virtual.run(story())


def measure(cases: tuple[Case, ...] = CASES) -> list[Figure]:
    """Time and requests of each, and the vendor's page for the longest."""
    time, asked = "Procedures: estate time", "Procedures: requests to DigitalOcean"
    found: list[Figure] = []
    for case in cases:
        bot, ideal = by_bot(case), by_hand(case)
        found.append(
            Figure(
                time,
                case.name,
                bot.seconds,
                ideal.seconds,
                "s",
                "critical path of the estate's delays",
                OVERHEAD,
            )
        )
        found.append(
            Figure(
                asked,
                case.name,
                bot.requests,
                ideal.requests,
                "requests",
                "each write, and one look for each change",
            )
        )
        if case.name == "resize masters":
            careful = by_hand(case, POLL)
            beside = "the vendor's page step by step, a look every 5 s, over the bot's"
            found.append(
                Figure(
                    time,
                    "resize masters by hand",
                    careful.seconds,
                    bot.seconds,
                    "s",
                    beside,
                    FASTER,
                    at_least=True,
                )
            )
    return sorted(found, key=lambda f: f.group, reverse=True)
