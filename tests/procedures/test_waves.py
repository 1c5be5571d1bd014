"""Media nodes that stay in service until a closing is final, and through every other change."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.views.plan import impact
from services.cluster.model import Cluster
from services.common.errors import Refused
from services.common.observed import Unobserved
from services.procedures import DrainNodes, Park, Procedure, ResizeMedia, Restart, Scale, Shutdown
from services.procedures.plan import make_plan
from services.runs.run import State
from services.steps import Drain, Left, Step
from services.steps.planned_nodes import IN_SERVICE
from services.steps.waves import is_proved_empty
from tests.laws.test_steps import ask
from tests.procedures.test_windows import add, at, down, every_kind, play, until, up
from tests.support import virtual
from tests.support.clusters import SOLD, autoscaled, clusters, fixed, law, ready
from tests.support.scene import ORIGIN, Scene
from tests.support.serving_record import witnessed
from tests.support.stories import request_and_approve, run_ended, whole, with_buttons

pytestmark = pytest.mark.nights(3)  # each is a night or more, and costs seconds

NIGHTS = "nights Mon-Fri 20:00-07:30 --meetings wait:10"
SLOW = {"timings": {"look": 20}}  # nothing in these scenarios happens within seconds
START = "2026-11-25T19:50"


def meeting_on_each(scene: Scene, minutes: float) -> None:
    for _ in scene.estate.media("acme"):
        scene.estate.open_meeting(people=3, minutes=minutes)


@every_kind
def test_a_closing_that_is_given_up_always_kept_a_node_in_service(kind: str) -> None:
    """Two nodes with a long meeting each: without an answer the cluster stays up.

    New meetings can start all the time.
    """

    async def story(scene: Scene) -> None:
        meeting_on_each(scene, minutes=80)
        async with witnessed(scene) as witness:
            await until(scene, "2026-11-25T20:20")
            card = await scene.card("acme-1 needs a decision")
            assert "stays in service until it has no meetings" in whole(card)
            await until(scene, "2026-11-25T21:35")
        assert witness.least(at(START)) == 1, witness.seen
        run = await scene.journal.run("acme-1")
        assert run.state is State.ROLLED_BACK
        assert run.turned_back
        assert (
            "when the last meeting ends is unknown: no closing at 20:00 is recorded yet"
            in run.reason
        )
        noted = (await scene.bot.operations.reader.look("acme")).past_closings
        assert [(edge, ended) for edge, _, ended in noted] == [
            ("nights-close@2026-11-25T20:00", False)
        ]
        assert up(scene)
        given_up = next(a.at for a in run.answers if a.choice == "up")
        # No droplet is added there: the drained one is back when its meeting has ended.
        if not kind.endswith("fixed"):
            back = next(
                moment for moment, number in witness.seen if moment > given_up and number >= 2
            )
            assert back - given_up < 600, "capacity is back within one start of a node"

    play(story, START, [NIGHTS], SLOW, kind=kind)


def test_people_can_choose_to_drain_the_last_one_too() -> None:
    """From then on it is final: no new meeting can start, and running ones end by themselves."""

    async def story(scene: Scene) -> None:
        await add(scene, f"{NIGHTS} Europe/Madrid")
        meeting_on_each(scene, minutes=40)
        async with witnessed(scene) as witness:
            await until(scene, "2026-11-25T20:15")
            assert witness.least(at(START)) == 1, witness.seen
            card = await with_buttons(scene, "did not drain in time")
            await scene.ben.press(card, "Drain all, block new meetings")
            await until(scene, "2026-11-25T20:19")
            assert witness.seen[-1][1] == 0
            await until(scene, "2026-11-25T20:50")
        assert down(scene)
        assert scene.estate.people_disconnected == 0
        ((_, lasted, ended),) = (await scene.bot.operations.reader.look("acme")).past_closings
        assert ended
        assert 1800 <= lasted < 2100, "40 min of meetings, which began 10 min before"

    play(story, START, (), SLOW)


def test_the_media_nodes_of_a_pool_serve_until_no_one_meets_there_before_another_size() -> None:
    async def story() -> None:
        async with Scene(media=2, site=SLOW, pydo=False) as scene:
            scene.estate.allow_template_keys.add("size")
            meeting_on_each(scene, minutes=30)
            async with witnessed(scene) as witness:
                await request_and_approve(
                    scene,
                    "resize media c-8",
                    "1 media node stays open until empty",
                )
                await run_ended(scene)
            none = [moment for moment, number in witness.seen if number == 0]
            again = next(moment for moment, number in witness.seen if moment > none[0] and number)
            assert len(none) == 1
            assert none[0] - ORIGIN > 1800, "one served as long as people met"
            assert again - none[0] < 420, "one start of a node"

    virtual.run(story())


# What is refused, or stated in the approval


def asks_for(least: int, cluster: Cluster) -> Cluster:
    return replace(cluster, min_serving=least)


@pytest.mark.parametrize(
    ("cluster", "procedure"),
    [
        (ready(3), Scale(1)),
        (fixed(3), Park("2")),
        (fixed(3), DrainNodes("2")),
        (autoscaled(3, autoscaler_minimum=None), DrainNodes("2")),
    ],
)
def test_min_serving_is_kept(cluster: Cluster, procedure: Procedure) -> None:
    assert make_plan(cluster, procedure).steps
    with pytest.raises(
        Refused, match=r"1 media node would stay in service, but `drain.min_serving` of acme is 2"
    ):
        make_plan(asks_for(2, cluster), procedure)


@pytest.mark.parametrize(
    ("cluster", "procedure"),
    [
        (ready(2), Restart("media-1")),
        (ready(2), DrainNodes("media-1")),
        (fixed(2, sizes=SOLD), ResizeMedia("s-8vcpu-16gb")),
    ],
)
def test_a_plan_below_min_serving_states_it_in_the_approval(
    cluster: Cluster, procedure: Procedure
) -> None:
    assert make_plan(cluster, procedure).effects.special == ()
    special = make_plan(asks_for(2, cluster), procedure).effects.special
    assert any(
        message.startswith("leaves 1 media node in service")
        and "`min_serving` of acme is 2" in message
        for message in special
    )


def test_a_closing_that_can_be_given_up_shows_how_many_stay() -> None:
    plan = make_plan(asks_for(2, ready(3)), Shutdown(limit=600.0, gives_up=1800.0))
    assert "*New meetings*: 2 media nodes stay open until empty" in impact(plan)
    by_hand = make_plan(ready(3), Shutdown())
    assert "*New meetings*: blocked from the start" in impact(by_hand), "that is final as it starts"


# The law


def ask_of(step: Step, cluster: Cluster) -> list[tuple[object, ...]]:
    """Return what the first step requests for this cluster."""
    return ask(step, cluster, 0) if step.needs_ask(cluster, 0) else []


@law
@given(st.data(), clusters(), st.integers(1, 3), st.booleans())
def test_no_drain_takes_the_last_nodes_out_of_service(
    data: st.DataObject, cluster: Cluster, floor: int, ends: bool
) -> None:
    """So many nodes stay, or all that serve, whatever is seen.

    Unless all leaving nodes are proved empty.
    """
    ids = data.draw(st.sampled_from([(), *[(n.id,) for n in cluster.media]]))
    for step in (Drain(ids, floor=floor, ends=ends), Left(ids, floor=floor, ends=ends)):
        leaving = {call[0] for call in ask_of(step, cluster) if call[1] in ("drain", "send away")}
        left = [n for n in cluster.serving if n.id not in leaving]
        going = [n for n in cluster.media if not ids or n.id in ids]
        if not (ends and all(is_proved_empty(n) for n in going if n.member_status != "deleting")):
            assert len(left) >= min(floor, len(cluster.serving))


def test_the_same_nodes_stay_at_each_observation() -> None:
    """The node that stays does not change between two observations, whatever meets where."""
    cluster = ready(3)
    calm = tuple(
        replace(n, look=replace(IN_SERVICE, rooms=0, people=0, recordings=0)) for n in cluster.media
    )
    busy = replace(IN_SERVICE, rooms=1, people=2, recordings=0)
    for index in range(3):
        media = tuple(replace(n, look=busy) if i == index else n for i, n in enumerate(calm))
        leaving = [
            call[0] for call in ask_of(Drain(floor=1, ends=True), replace(cluster, media=media))
        ]
        assert leaving == [n.id for n in cluster.media[1:]]
    assert len(ask_of(Drain(floor=1, ends=True), replace(cluster, media=calm))) == 3, (
        "no one meets: all at once, as quickly as ever"
    )


def test_an_unseen_node_may_be_the_last_one_in_service() -> None:
    """Without SSH it is unknown which nodes serve.

    An autoscaler's nodes could be tagged for draining all the same.
    """
    cluster = autoscaled(3)
    unseen = tuple(replace(n, look=Unobserved("connection refused")) for n in cluster.media)
    blind = replace(cluster, media=unseen)
    assert ask_of(Left(floor=1, ends=True), blind) == []
    one = replace(
        cluster,
        media=(
            replace(cluster.media[0], look=replace(IN_SERVICE, rooms=1, people=2, recordings=0)),
            *unseen[1:],
        ),
    )
    assert cluster.media[0].id not in [call[0] for call in ask_of(Left(floor=1, ends=True), one)]
