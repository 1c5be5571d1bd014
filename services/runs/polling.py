"""How long a run waits until its next look at the cluster. Pure."""

from services.cluster.model import Cluster
from services.steps import Step

EAGER = 0.1  # of the usual interval: the shortest
NEAR = 0.3


def poll_delay(waited: float, expected: float, look: float) -> float:
    """Seconds to the next look: short at first and when the step is usually done, long between.

    A drain of an hour is looked at every twenty seconds. In a fixed rhythm a change would be
    noticed half an interval late on average; a look every second would cost several times the
    requests.
    """
    if waited < 60:
        longest = look
    elif waited < 600:
        longest = look * 3
    else:
        longest = look * 4
    return max(look * EAGER, min(longest, abs(expected - waited) * NEAR))


def expected_until_seen(step: Step, cluster: Cluster) -> float:
    """Seconds until a step is usually seen done, for the first time where it must be seen twice."""
    expected = step.expected_seconds(cluster)
    if step.confirm:
        expected -= step.confirm_after(cluster)
    return max(0.0, expected)
