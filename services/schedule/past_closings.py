"""How long people met after a window's closing began, from a run that is over. Pure."""

from services.procedures import Shutdown
from services.runs.run import Run
from services.steps import Drain, Left
from services.windows.ends import ClosingRecord


def closing_record_of(run: Run) -> ClosingRecord | None:
    """Return how long its meetings went on.

    None if it is no window's closing, or never reached its drain.
    """
    if not run.edge or not isinstance(run.plan.procedure, Shutdown):
        return None
    drains = [
        i
        for i, s in enumerate(run.steps)
        if isinstance(s, Left) or (isinstance(s, Drain) and not s.beyond)
    ]
    if not drains or run.position < drains[0]:
        return None
    # Someone answered to give up or to end the meetings.
    cut_short = [a.at for a in run.answers if a.choice in ("up", "force")]
    drained = [r.at for r in run.reached if r.step in drains]
    if drained and not cut_short:
        return run.edge, max(drained) - run.opened_at, True
    # Given up, cancelled, or ended by people: the meetings would have lasted longer.
    until = next(iter(cut_short), run.ended_at)
    return run.edge, until - run.opened_at, False
