"""A cluster that should be in service by its schedule and is not: since when, and what stands in the way. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from services.cluster.model import Cluster
from services.procedures import Startup
from services.runs.run import Run, State
from services.windows import Due, Edge

GRACE = 60.0  # seconds that a start-up may be late to begin, or a cluster to serve, before people are called
UNTOLD = "its start-up has not begun"


@dataclass(frozen=True)
class Overdue:
    """`edge`: the opening that nothing has come of so far. `by`: when it could serve at the earliest, if all goes well.

    `moves`: a start-up is under way. `run`: the run that brings it up, or that stands in the way.
    """

    edge: Edge
    by: float
    why: str
    moves: bool = False
    run: str = ""

    def passed(self, now: float) -> bool:
        """Whether its time has come: it should be in service."""
        return now >= self.edge.at

    def late(self, now: float) -> bool:
        """Whether it will not serve in time, as far as is known without an estimate: nothing moves, or its time is over."""
        return now >= (self.by if self.moves else min(self.by, self.edge.start)) + GRACE


def serves(edge: Edge) -> str:
    """What is noted in a book once a look has shown that it serves after all."""
    return f"{edge.name}/serves"


def in_service(cluster: Cluster) -> bool:
    """Whether people can meet there, as far as a look can prove it."""
    return cluster.up and bool(cluster.serving) and cluster.front is not False


@dataclass(frozen=True)
class Known:
    """What an answer rests on. `ended`: the newest runs that are over, the newest first. `why`: what the last try to open it met.

    `down`: since when all of its masters are seen powered off.
    """

    due: Due
    done: Collection[str]
    holder: Run | None
    ended: Sequence[Run]
    lead: float = 0.0
    why: str = ""
    down: float | None = None


def overdue(known: Known, now: float) -> Overdue | None:
    """What is overdue now; None while nothing is."""
    due, holder = known.due, known.holder
    opens = due.since_edge
    if (
        due.state != "open"
        or opens is None
        or opens.kind != "open"
        or not opens.acts
        or serves(opens) in known.done
    ):
        return None
    began = [
        r
        for r in known.ended
        if isinstance(r.plan.procedure, Startup) and r.ended_at >= opens.start
    ]
    if any(r.state is State.DONE for r in began):
        return _gone_down(opens, began[0], known)
    by = max(opens.at, opens.start + known.lead)
    if holder is not None:
        return _in_the_way(opens, holder, max(by, holder.opened_at + known.lead))
    own = next((r for r in began if r.edge == opens.name), None)
    if (
        own is not None and own.state is not State.CANCELLED
    ):  # a person who cancels it is in front of everybody
        return Overdue(opens, by, f"{own.id} is {own.state}: {own.end_text}", run=own.id)
    if opens.name not in known.done and now > opens.start:
        return Overdue(opens, by, known.why or UNTOLD)
    return None


def _in_the_way(opens: Edge, holder: Run, by: float) -> Overdue:
    """What the run that has the cluster does for it: a start-up brings it into service, anything else keeps it from that."""
    said = f"{holder.id} ({holder.plan.procedure.words()})"
    if holder.state is State.STOPPED:
        return Overdue(opens, by, f"{said} has stopped: {holder.stopped}", run=holder.id)
    if holder.question is not None:
        return Overdue(
            opens, by, f"{said} waits for an answer: {holder.question.text}", run=holder.id
        )
    if isinstance(holder.plan.procedure, Startup):
        step = holder.step.title() if holder.step else "its end"
        return Overdue(opens, by, f"{said} is at “{step}”", moves=True, run=holder.id)
    return Overdue(opens, by, f"{said} has it", run=holder.id)


def _gone_down(opens: Edge, opened: Run, known: Known) -> Overdue | None:
    """It was opened, and its masters have been seen powered off since, without a run that does that."""
    if known.down is None or known.holder is not None or known.down < opened.ended_at:
        return None
    return Overdue(opens, opens.at, "its masters are powered off, and no run of the bot did that")
