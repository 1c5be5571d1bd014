"""Which earlier goal of a run another hand took back. Pure."""

from dataclasses import replace

from services.cluster.model import Cluster, Pool
from services.runs.run import Run
from services.steps import Step

UNSEEN = Pool(id="", name="", target=0)


def taken_back(run: Run, cluster: Cluster) -> str:
    """What this look proves to hold no longer of what the run has reached, in words; "" if all of it holds or was not seen.

    Only of what is meant to last: a later step may undo it on purpose (off, then on again), and the way to come may restore it.
    What was reached before the way was found anew is what that way began with.
    """
    reached = sorted(
        {r.step for r in run.reached if run.way_from <= r.step < run.position} - set(run.skipped)
    )
    for index in reached:
        said = run.steps[index].lost(cluster)
        if (
            said
            and _lasts(run, index, cluster)
            and not _comes_back(run, index, cluster)
            and not _own_doing(run, index, cluster)
        ):
            return said
    return ""


def _lasts(run: Run, index: int, cluster: Cluster) -> bool:
    """Whether nothing that was done since, or is being done, takes that goal away."""
    goal, here = run.steps[index], well(_whole(cluster))
    for step in _ways(run, index, run.position + 1):
        was = goal.is_done(here)
        here = step.after(here)
        if step is not goal and ((was and not goal.is_done(here)) or step.settles(goal)):
            return False
    return True


def _comes_back(run: Run, index: int, cluster: Cluster) -> bool:
    """Whether the steps to come ask for what restores it.

    What is only waited for does not come by itself.
    """
    here = _whole(cluster)
    for step in _ways(run, run.position, len(run.steps)):
        here = here if step.checks else step.after(here)
    return not run.steps[index].lost(here)


def _own_doing(run: Run, index: int, cluster: Cluster) -> bool:
    """Whether what was asked for in a step that the run then left takes effect only now, and takes that goal away."""
    goal = run.steps[index]
    held = goal.after(_whole(cluster))
    late = [run.steps[i] for i in run.begun if i in run.skipped]
    return any(step.is_done(cluster) and not goal.is_done(step.after(held)) for step in late)


def _ways(run: Run, start: int, end: int) -> list[Step]:
    return [s for i, s in enumerate(run.steps[start:end], start) if i not in run.skipped]


def well(cluster: Cluster) -> Cluster:
    """The same with every master on and healthy: from there on only what steps do counts, not what another hand did."""
    return replace(
        cluster,
        masters=tuple(
            replace(m, status="active", locked=False, healthy=True) for m in cluster.masters
        ),
    )


def _whole(cluster: Cluster) -> Cluster:
    """The look with a pool, where it was not looked for one: steps imagine what they do to it."""
    return cluster if cluster.pool is not None else replace(cluster, pool=UNSEEN)
