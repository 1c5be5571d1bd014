"""What a run asks DigitalOcean for: little while it waits, all before it changes something."""

import pytest

from bench.procedures import CASES, FRUGAL, OVERHEAD, Case, by_bot, by_operator
from services.runs.run import Run, State
from services.steps import PowerOn
from simulators.cloud.delays import PUBLISHED, Delays
from tests.support import virtual
from tests.support.scene import OFTEN, Scene
from tests.support.stories import request_and_approve, run_ended

LISTED = "/v2/droplets"
POOLS = "/v2/droplets/autoscale"
JUST_NOW = 2.0  # seconds


def asked(scene: Scene, method: str, ending: str, since: float = 0.0) -> list[float]:
    """Return when such a request was made."""
    return [
        moment
        for how, path, _, moment in scene.estate.requests
        if how == method and path.split("?")[0].endswith(ending) and moment >= since
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_procedure_is_frugal_and_not_slower(case: Case) -> None:
    bot, ideal = by_bot(case), by_operator(case)
    assert bot.requests <= FRUGAL * ideal.requests
    assert bot.seconds <= OVERHEAD * ideal.seconds


def test_everything_is_looked_at_right_before_a_change() -> None:
    """A look that only waits decides nothing: droplets and pool are read before each request."""

    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.estate.delays = PUBLISHED
            await request_and_approve(scene, "resize masters s-8vcpu-16gb", "Approve")
            await run_ended(scene)
            edits = asked(scene, "PUT", "")
            actions = asked(scene, "POST", "/actions")
            assert len(edits) == 2
            assert len(actions) == 12
            droplets = asked(scene, "GET", LISTED)
            pools = asked(scene, "GET", POOLS)
            for moment in (*edits, *actions):
                assert any(moment - JUST_NOW <= d <= moment for d in droplets), moment
            # The masters go off, and are resized, only where the pool was seen as well.
            for moment in (*edits, *actions[:8]):
                assert any(moment - JUST_NOW <= p <= moment for p in pools), moment

    virtual.run(story())


def test_that_no_media_droplet_is_left_is_read_twice_before_masters_go_off() -> None:
    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.estate.delays = PUBLISHED
            gone: list[float] = []
            await request_and_approve(scene, "shutdown", "Approve")
            while not gone:
                await scene.wait(1)
                if not scene.estate.media("acme"):
                    gone.append(scene.clock.now())
            await run_ended(scene)
            first_off = min(asked(scene, "POST", "/actions"))
            for listing in (LISTED, POOLS, "/members"):
                looks = [m for m in asked(scene, "GET", listing, gone[0] - 1) if m <= first_off]
                assert max(looks) - min(looks) >= 10, listing

    virtual.run(story())


def test_hours_of_meetings_cost_a_request_now_and_then() -> None:
    """The drain shows on the nodes: DigitalOcean is asked for what others may do meanwhile."""

    async def story() -> None:
        async with Scene(media=2) as scene:
            scene.estate.open_meeting(people=4, minutes=60, recordings=0)
            await request_and_approve(scene, "shutdown", "Approve")
            await scene.wait(300)
            began = scene.clock.now()
            await scene.wait(1800)
            run = await scene.journal.run("acme-1")
            assert run.state is State.RUNNING
            assert run.position == 0
            requests = [r for r in scene.estate.requests if r[3] >= began]
            assert len(requests) <= 1800 / 60
            assert asked(scene, "GET", LISTED, began + 1800 - 120)

    virtual.run(story())


def test_a_node_that_falls_silent_is_looked_for_at_once() -> None:
    """It may be powered off: another listing tells, before the next one is due."""

    async def story() -> None:
        async with Scene(media=2, site=OFTEN) as scene:
            scene.estate.open_meeting(people=4, minutes=60, recordings=0)
            await request_and_approve(scene, "shutdown", "Approve")
            await scene.wait(300)
            before = asked(scene, "GET", LISTED)[-1]
            while scene.clock.now() - before < 10 or asked(scene, "GET", LISTED)[-1] > before:
                before = asked(scene, "GET", LISTED)[-1]
                await scene.wait(1)
            scene.promises = False  # others disconnect the people there
            node = next(d for d in scene.estate.media("acme"))
            scene.estate.power.request(node.id, "power_off", {})
            went = scene.clock.now()
            await scene.wait(30)
            assert asked(scene, "GET", LISTED, went)

    virtual.run(story())


def test_what_was_measured_on_a_cluster_times_the_next_looks() -> None:
    """Masters that take long to power on are looked for in vain once, and not the next time."""

    async def story() -> tuple[list[int], list[float]]:
        async with Scene(media=1) as scene:
            scene.estate.delays = Delays(power_on=100.0)
            looks, late = [], []
            for number in (1, 2):
                await request_and_approve(scene, "shutdown", "Approve")
                await run_ended(scene, run=f"acme-{2 * number - 1}")
                await scene.ana.type_text("COPS", "/openvidu startup 1 --now")
                run = await run_ended(scene, run=f"acme-{2 * number}")
                begins, ends = _powering_on(run)
                looks.append(len([m for m in asked(scene, "GET", LISTED, begins) if m <= ends]))
                late.append(ends - begins)
            return looks, late

    looks, took = virtual.run(story())
    assert looks[1] < looks[0] / 1.5
    assert took[1] <= took[0]


def _powering_on(run: Run) -> tuple[float, float]:
    """Return when the first master was asked to power on, and when the last one was seen on."""
    on = [r.at for r in run.reached if isinstance(run.steps[r.step], PowerOn)]
    return run.opened_at, max(on)
