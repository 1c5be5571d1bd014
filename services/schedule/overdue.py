"""A cluster that should be in service by its schedule and is not: since when, and why. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from services.cluster.model import Cluster
from services.procedures import Startup
from services.runs.run import Run, State
from services.windows import Due, Edge

# Seconds that a start-up may begin late, or a cluster serve late, before people are called.
GRACE = 60.0
NOT_BEGUN = "its start-up has not started"


@dataclass(frozen=True)
class Overdue:
    """An opening that has not led to service.

    `edge`: that opening. `by`: when the cluster could serve at the earliest. `moves`: a start-up is
    under way. `run`: the run that starts the cluster, or that prevents it.
    """

    edge: Edge
    by: float
    why: str
    moves: bool = False
    run: str = ""

    def passed(self, now: float) -> bool:
        """Return whether the opening time has come: it should be in service."""
        return now >= self.edge.at

    def late(self, now: float) -> bool:
        """Return whether it will not serve in time, without an estimate.

        No start-up is under way, or its time is over.
        """
        limit = self.by
        if not self.moves:
            limit = min(self.by, self.edge.start)
        return now >= limit + GRACE


def serves(edge: Edge) -> str:
    """Return what the document notes once a look has shown that it serves after all."""
    return f"{edge.name}/serves"


def in_service(cluster: Cluster) -> bool:
    """Return whether people can meet there, as far as a look can prove it."""
    return cluster.is_up and bool(cluster.serving) and cluster.front is not False


@dataclass(frozen=True)
class OverdueFacts:
    """What `overdue` decides from. `ended`: the newest runs that are over, newest first.

    `why`: the error of the last attempt. `down`: since when all of its masters are powered off.
    """

    due: Due
    done: Collection[str]
    holder: Run | None
    ended: Sequence[Run]
    lead: float = 0.0
    why: str = ""
    down: float | None = None


def overdue(known: OverdueFacts, now: float) -> Overdue | None:
    """Return what is overdue now; None if nothing is."""
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
    # A person who cancels it does so in the channel.
    if own is not None and own.state is not State.CANCELLED:
        return Overdue(opens, by, f"{own.id} is {own.state}: {own.end_text}", run=own.id)
    if opens.name not in known.done and now > opens.start:
        return Overdue(opens, by, known.why or NOT_BEGUN)
    return None


def _in_the_way(opens: Edge, holder: Run, by: float) -> Overdue:
    """Return what the open run means for it.

    A start-up brings it into service, any other run prevents that.
    """
    run = f"{holder.id} ({holder.plan.procedure.command_line()})"
    if holder.state is State.STOPPED:
        return Overdue(opens, by, f"{run} is paused: {holder.stopped}", run=holder.id)
    if holder.question is not None:
        why = f"{run} waits for an answer: {holder.question.text}"
        return Overdue(opens, by, why, run=holder.id)
    if isinstance(holder.plan.procedure, Startup):
        step = holder.step.title() if holder.step else "its last step"
        return Overdue(opens, by, f"{run} is at “{step}”", moves=True, run=holder.id)
    return Overdue(opens, by, f"it is locked by {run}", run=holder.id)


def _gone_down(opens: Edge, opened: Run, known: OverdueFacts) -> Overdue | None:
    """Return what is overdue after an opening.

    Its masters were powered off since, by no run of the bot.
    """
    if known.down is None or known.holder is not None or known.down < opened.ended_at:
        return None
    return Overdue(opens, opens.at, "its masters were powered off outside the bot")
