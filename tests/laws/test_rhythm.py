"""How often a run looks: bounded, and most often when the change is expected."""

from hypothesis import given
from hypothesis import strategies as st

from services.runs.polling import EAGER, poll_delay

seconds = st.floats(0, 86400)


@given(seconds, seconds, st.floats(0.01, 60))
def test_it_stays_within_bounds(waited: float, takes: float, look: float) -> None:
    assert EAGER * look <= poll_delay(waited, takes, look) <= 4 * look


@given(st.floats(10, 3600))
def test_it_looks_closest_when_the_change_is_usually_there(takes: float) -> None:
    assert poll_delay(takes, takes, 5.0) == 5.0 * EAGER
    assert poll_delay(takes - 9, takes, 5.0) < 5.0
    assert poll_delay(0, takes, 5.0) > 5.0 * EAGER


def test_a_change_is_noticed_late_by_a_twentieth_of_the_wait_when_it_comes_as_usual() -> None:
    takes = 60.0
    for late in range(-10, 11):
        now, comes = 0.0, takes + late
        while now < comes:
            now += poll_delay(now, takes, 5.0)
        assert now - comes < 0.05 * comes + 5.0 * EAGER, comes
