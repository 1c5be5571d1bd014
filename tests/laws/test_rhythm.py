"""How often a run looks: bounded, and most often when the change is expected."""

from hypothesis import given
from hypothesis import strategies as st

from services.runs.polling import (
    EAGER,
    EARLY,
    LONGEST,
    OF_USUAL,
    OF_WAITED,
    poll_delay,
    request_delay,
)

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


def noticed(takes: float, comes: float, not_before: float = 0.0) -> tuple[float, int]:
    """Return when a change that comes then is noticed, and the looks at DigitalOcean until then."""
    now, looks = 0.0, 0
    while now < comes:
        now += request_delay(now, takes, 5.0, not_before)
        looks += 1
    return now, looks


@given(seconds, seconds, st.floats(0.01, 60))
def test_requests_stay_within_bounds(waited: float, takes: float, look: float) -> None:
    delay = request_delay(waited, takes, look)
    assert delay >= EAGER * look
    assert delay <= max(LONGEST, takes * OF_USUAL, look)


@given(st.floats(20, 600), st.floats(0.9, 1.1))
def test_a_change_that_comes_as_usual_takes_few_looks_and_is_noticed_soon(
    takes: float, off: float
) -> None:
    comes = takes * off
    seen, looks = noticed(takes, comes)
    assert looks <= 14
    assert seen - comes <= 0.1 * comes


@given(st.floats(5, 600), st.floats(5, 3000))
def test_a_change_is_noticed_late_by_a_part_of_what_it_took(takes: float, comes: float) -> None:
    seen, _ = noticed(takes, comes)
    assert seen - comes <= max(EARLY, OF_WAITED * comes)


@given(st.floats(300, 600))
def test_nothing_is_looked_for_that_is_known_not_to_come(takes: float) -> None:
    _, looks = noticed(takes, takes, not_before=takes * 0.8)
    assert looks < noticed(takes, takes)[1]
