"""When a run looks at the cluster again. Pure.

A round of a run reads the journal, so that people's answers count soon. Most rounds look at the
cluster too; at DigitalOcean, where every look costs requests, only the rounds do that come when
something may have happened.
"""

from services.cluster.model import Cluster, Fact
from services.steps import Step

# What DigitalOcean is asked for. All else is seen on the nodes and in the bucket.
REQUESTS = frozenset({Fact.DROPLETS, Fact.POOL, Fact.SNAPSHOTS, Fact.SIZES})

EAGER = 0.1  # of the usual interval: the shortest
NEAR = 0.3
# Of the usual interval, and of what is usually waited for: the shortest between two requests.
APART, OF_USUAL = 0.2, 0.03
# Of the time until a step is usually done, what passes before the next request.
AHEAD = 0.6
# Seconds, and of the time waited, that a change which comes earlier than usual is noticed late.
EARLY, OF_WAITED = 40.0, 0.6
LONGEST = 240.0
# Of a step's own figure: the least that a measured one may be.
LEAST = 0.25


def poll_delay(waited: float, expected: float, look: float) -> float:
    """Seconds to the next look: short at first and when the step is usually done, long between.

    A drain of an hour is looked at every twenty seconds. In a fixed rhythm a change would be
    noticed half an interval late on average; a look every second would cost several times the
    work.
    """
    return max(look * EAGER, min(round_delay(waited, look), abs(expected - waited) * NEAR))


def request_delay(waited: float, expected: float, look: float, not_before: float = 0.0) -> float:
    """Seconds to the next look at DigitalOcean.

    Each look comes after the greater part of the time that is usually left, so that few come before
    a change and the last one soon after it. A change that comes earlier, or later, is noticed late
    by a part of what it took, unless nothing happens before `not_before`. What others do is noticed
    within minutes.
    """
    shortest = max(look * EAGER, min(look * APART, expected * NEAR), expected * OF_USUAL)
    if waited >= expected:
        return max(shortest, min(round_delay(waited, look), (waited - expected) * NEAR))
    early = max(EARLY, waited * OF_WAITED, not_before - waited)
    return max(shortest, min(LONGEST, early, (expected - waited) * AHEAD))


def round_delay(waited: float, look: float) -> float:
    """Seconds until the journal is read again, for what people decide meanwhile."""
    if waited < 60:
        return look
    if waited < 600:
        return look * 3
    return look * 4


def costs_requests(step: Step, cluster: Cluster) -> bool:
    """Whether a look at what the step waits for costs requests to DigitalOcean."""
    return not REQUESTS.isdisjoint(step.watched_facts(cluster))


def expected_until_seen(step: Step, cluster: Cluster, usual: float | None = None) -> float:
    """Seconds until a step is usually seen done, for the first time where it must be seen twice.

    `usual`: as measured on this cluster. None: not known.
    """
    expected = step.expected_seconds(cluster)
    if usual is not None:
        # A goal that was nearly reached before takes less than it does from the beginning.
        expected = min(max(usual, expected * LEAST), step.deadline(cluster))
    if step.confirm:
        expected -= step.confirm_after(cluster)
    return max(0.0, expected)
