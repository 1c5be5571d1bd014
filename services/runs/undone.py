"""Which earlier goal of a run was undone by others. Pure."""

from services.cluster.model import Cluster, Pool
from services.common.values import replace
from services.runs.run import Run
from services.steps import Step

UNSEEN = Pool(id="", name="", target=0)


def undone_goal(run: Run, cluster: Cluster) -> str:
    """Describe the first reached goal that this look shows undone; "" if all hold or were not seen.

    Only goals that are meant to last: a later step may undo one on purpose (off, then on again),
    and the steps to come may restore it. What was reached before the current plan was made is its
    start.
    """
    reached = sorted(
        {r.step for r in run.reached if run.way_from <= r.step < run.position} - set(run.skipped)
    )
    for index in reached:
        lost = run.steps[index].regression(cluster)
        if (
            lost
            and _lasts(run, index, cluster)
            and not _comes_back(run, index, cluster)
            and not _own_doing(run, index, cluster)
        ):
            return lost
    return ""


def _lasts(run: Run, index: int, cluster: Cluster) -> bool:
    """Whether nothing that was done since, or is being done, undoes that goal."""
    goal, here = run.steps[index], with_healthy_masters(_whole(cluster))
    for step in _ways(run, index, run.position + 1):
        was = goal.is_done(here)
        here = step.after(here)
        if step is not goal and ((was and not goal.is_done(here)) or step.supersedes(goal)):
            return False
    return True


def _comes_back(run: Run, index: int, cluster: Cluster) -> bool:
    """Whether the steps to come restore it.

    What is only waited for does not come by itself.
    """
    here = _whole(cluster)
    for step in _ways(run, run.position, len(run.steps)):
        here = here if step.is_verification else step.after(here)
    return not run.steps[index].regression(here)


def _own_doing(run: Run, index: int, cluster: Cluster) -> bool:
    """Whether an ask of a step that was left takes effect only now, and undoes that goal."""
    goal = run.steps[index]
    held = goal.after(_whole(cluster))
    late = [run.steps[i] for i in run.begun if i in run.skipped]
    return any(step.is_done(cluster) and not goal.is_done(step.after(held)) for step in late)


def _ways(run: Run, start: int, end: int) -> list[Step]:
    return [s for i, s in enumerate(run.steps[start:end], start) if i not in run.skipped]


def with_healthy_masters(cluster: Cluster) -> Cluster:
    """The same with every master on and healthy: only what steps do counts from there on."""
    return replace(
        cluster,
        masters=tuple(
            replace(m, status="active", locked=False, healthy=True) for m in cluster.masters
        ),
    )


def _whole(cluster: Cluster) -> Cluster:
    """The look with a pool, where none was looked for: steps simulate what they do to it."""
    return cluster if cluster.pool is not None else replace(cluster, pool=UNSEEN)
