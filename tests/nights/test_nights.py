"""The first nights of the year. `make nights` plays all of them."""

import pytest

from tests.nights.luck import night
from tests.nights.play import play
from tests.support.coverage_level import by_level


@pytest.mark.parametrize("number", range(by_level(1, 6, 365)))
def test_a_night_keeps_its_promises(number: int) -> None:
    assert list(play(night(number)).faults()) == []
