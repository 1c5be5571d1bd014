"""So many media nodes stay in service until a closing is final, and through every change that leaves a cluster up."""

from services.runs import State
from tests.procedures.test_windows import at, every_kind, play, until, up
from tests.support.scene import Scene
from tests.support.witness import witnessed

NIGHTS = "nights Mon-Fri 20:00-07:30 --meetings wait:10"
SLOW = {"timings": {"look": 20}}  # nothing here happens within seconds
START = "2026-11-25T19:50"


def meeting_on_each(scene: Scene, minutes: float) -> None:
    for _ in scene.estate.media("acme"):
        scene.estate.open_meeting(people=3, minutes=minutes)


@every_kind
def test_a_closing_that_is_given_up_never_left_fewer_than_one_in_service(kind: str) -> None:
    """Two nodes, a long meeting on each: nobody answers, so it stays up, and people could open a meeting all the time."""

    async def story(scene: Scene) -> None:
        meeting_on_each(scene, minutes=80)
        async with witnessed(scene) as witness:
            await until(scene, "2026-11-25T20:20")
            card = await scene.card("acme-1 needs a decision")
            assert "stays in service until no one meets there" in card.text
            await until(scene, "2026-11-25T21:35")
        assert witness.least(at(START)) == 1, witness.seen
        run = await scene.journal.run("acme-1")
        assert run.state is State.ROLLED_BACK
        assert run.turned_back
        assert up(scene)
        given_up = next(a.at for a in run.answers if a.choice == "up")
        if kind != "fixed":  # nobody makes another droplet there: the drained one is back when its meeting has ended
            back = next(moment for moment, number in witness.seen if moment > given_up and number >= 2)
            assert back - given_up < 600, "capacity is back within one start of a node"

    play(story, START, [NIGHTS], SLOW, kind=kind)
