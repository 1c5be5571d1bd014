"""The first nights of the year. `make nights` plays all of them."""

import pytest

from tests.nights.luck import night
from tests.nights.play import play
from tests.support.coverage_level import FULL


@pytest.mark.parametrize("number", range(365 if FULL else 6))
def test_a_night_keeps_its_promises(number: int) -> None:
    assert list(play(night(number)).faults()) == []
