"""Slack as patient as the tests are."""

import pytest

from simulators.slack import delivery
from tests.support.patience import HANG


@pytest.fixture(autouse=True)
def _patient_slack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an acknowledgement of a real process come late: on a busy machine, 3 s are too few.

    That it comes within them is shown in virtual time, and measured by `make bench`.
    """
    monkeypatch.setattr(delivery, "ACK_SECONDS", HANG)
