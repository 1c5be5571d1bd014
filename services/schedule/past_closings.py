"""What a window's closing that is over tells of how long people met after it began. Pure."""

from services.procedures import Shutdown
from services.runs.run import Run
from services.steps import Drain, Left
from services.windows.ends import Evening


def evening_of(run: Run) -> Evening | None:
    """How long its meetings went on; None where it was no closing of a window, or did not come as far as its drain."""
    if not run.edge or not isinstance(run.plan.procedure, Shutdown):
        return None
    drains = [
        i
        for i, s in enumerate(run.steps)
        if isinstance(s, Left) or (isinstance(s, Drain) and not s.beyond)
    ]
    if not drains or run.position < drains[0]:
        return None
    cut = next((a.at for a in run.answers if a.choice in ("up", "force")), None)
    ended = [r.at for r in run.reached if r.step in drains]
    if cut is None and ended:
        return run.edge, max(ended) - run.opened_at, True
    # Given up, cancelled, or ended by people: they would have gone on for longer.
    return run.edge, (run.ended_at if cut is None else cut) - run.opened_at, False
