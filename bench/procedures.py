"""Measures duration and requests of the bot's procedures, beside the critical path."""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.figures import SIMULATED_TIME, Figure
from bench.runbook import POLL, STACK, Operator
from services.runs.run import State
from simulators.cloud.delays import PUBLISHED
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import with_buttons

BIG = "s-8vcpu-16gb"
MEDIA = 3
OVERHEAD = 1.05
FRUGAL = 4.0
FASTER = 2.0
Play = Callable[[Operator], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """A procedure as a command, and as an operator does it. `before` prepares the cluster."""

    name: str
    words: str
    play: Play
    before: Play | None = None


CASES = (
    Case("shutdown", "shutdown", lambda o: o.shutdown()),
    Case("start-up", f"startup {MEDIA}", lambda o: o.startup(MEDIA), lambda o: o.shutdown()),
    Case("scale 3 → 5", "scale 5", lambda o: o.scale(5)),
    Case("scale 3 → 2", "scale 2", lambda o: o.scale(2)),
    Case("resize media", "resize media c-8", lambda o: o.resize_media("c-8")),
    Case("resize masters", f"resize masters {BIG}", lambda o: o.resize_masters(BIG)),
)


@dataclass(frozen=True)
class Cost:
    """Simulated seconds, and requests to DigitalOcean."""

    seconds: float
    requests: int


def by_operator(case: Case, poll: float | None = None) -> Cost:
    """Return what an operator needs."""

    async def story() -> Cost:
        async with Scene(media=MEDIA, start=False) as scene:
            scene.estate.delays = PUBLISHED
            scene.promises = False  # they hold for the bot only
            if case.before is not None:
                await case.before(Operator(scene.estate))
            began, operator = scene.clock.now(), Operator(scene.estate, poll)
            await case.play(operator)
            return Cost(scene.clock.now() - began, operator.requests)

    return virtual.run(story())


def by_bot(case: Case) -> Cost:
    """Return what the bot needs, from the start of the run to its end."""

    async def story() -> Cost:
        async with Scene(media=MEDIA) as scene:
            scene.estate.delays = PUBLISHED
            scene.estate.allow_template_keys.add("size")
            if case.before is not None:
                await case.before(Operator(scene.estate))
            # A procedure that disconnects no one starts without approval, at once with `--now`.
            await scene.ana.type_text("COPS", f"/openvidu {case.words} --now")
            with contextlib.suppress(AssertionError):
                await scene.ben.press(await with_buttons(scene, "Approve", 10.0), "Approve")
            run = await scene.run_is(f"{STACK}-1", State.DONE, State.STOPPED)
            if run.state is not State.DONE:
                raise AssertionError(f"{case.name}: {run.state}, {run.stopped}")
            asked = [
                moment
                for *_, moment in scene.estate.requests
                if run.opened_at <= moment <= run.ended_at
            ]
            return Cost(run.ended_at - run.opened_at, len(asked))

    return virtual.run(story())


def measure(cases: tuple[Case, ...] = CASES) -> list[Figure]:
    """Measure time and requests of each procedure, and of the vendor's page for the longest."""
    time, asked = "Procedures: estate time", "Procedures: requests to DigitalOcean"
    figures: list[Figure] = []
    for case in cases:
        bot, ideal = by_bot(case), by_operator(case)
        figures.append(
            Figure(
                time,
                case.name,
                bot.seconds,
                ideal.seconds,
                "s",
                "critical path of the estate's delays",
                OVERHEAD,
                tolerance=SIMULATED_TIME,
            )
        )
        figures.append(
            Figure(
                asked,
                case.name,
                bot.requests,
                ideal.requests,
                "requests",
                "each write, and one look for each change",
                FRUGAL,
                tolerance=SIMULATED_TIME,
            )
        )
        if case.name == "resize masters":
            careful = by_operator(case, POLL)
            beside = "the vendor's page step by step, a look every 5 s, over the bot's"
            figures.append(
                Figure(
                    time,
                    "resize masters by hand",
                    careful.seconds,
                    bot.seconds,
                    "s",
                    beside,
                    FASTER,
                    at_least=True,
                    tolerance=SIMULATED_TIME,
                )
            )
    return sorted(figures, key=lambda f: f.group, reverse=True)
