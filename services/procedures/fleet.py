"""How the media fleet is let go and brought back: the one place that differs between kinds of deployment."""

from collections.abc import Iterator

from services.cluster import Cluster
from services.steps import Drain, MediaGone, MediaServing, PoolTarget, Revive, Step
from services.steps.pool import keep_one


def let_go(cluster: Cluster, *, drain: bool = True, alone: bool = False) -> Iterator[Step]:
    """Every media node finishes and is removed; nothing with the media tag is left. `alone`: the masters stay on afterwards."""
    assert cluster.pool is not None, "checked before: a cluster without a pool is refused"
    was = cluster.pool.target
    if drain:
        yield Drain(number=len(cluster.media))
    if kept(cluster):
        yield from keep_one(cluster, (), was, harsh=not drain)
        return
    yield PoolTarget(0, remember=True, was=was, harsh=not drain, alone=alone)
    yield MediaGone()


def kept(cluster: Cluster) -> tuple[int, ...]:
    """The members that stay, drained, when DigitalOcean is known to refuse 0 and the cluster's policy is to keep one."""
    if cluster.zero_refused and cluster.zero_policy == "keep_one":
        return tuple(n.id for n in cluster.members)
    return ()


def bring_back(cluster: Cluster, number: int) -> Iterator[Step]:
    """The pool has that many members and all of them serve."""
    assert cluster.pool is not None, "checked before: a cluster without a pool is refused"
    yield PoolTarget(number, was=cluster.pool.target)
    drained = tuple(n.id for n in cluster.members[:number] if n.resting or n.draining)
    if drained:
        yield Revive(drained)
    yield MediaServing(number)
