"""One evaluation of a cluster's schedule.

The document as it was read, as it is to be written, and the run to open with it.
"""

from dataclasses import dataclass, field

from services.access.policy import Actor
from services.cluster.model import Cluster
from services.common.errors import BotError
from services.memory.announcements import Subject
from services.memory.observed import ObservedNight
from services.memory.schedule import Book, announcement
from services.procedures.plan import Plan
from services.runs.standing_approval import StandingApproval
from services.schedule.overdue import Overdue
from services.windows import Edge


@dataclass
class Evaluation:
    """One tick of one cluster. `text` is the stored document that `before` was read from.

    `holder` the id of the open run.
    """

    name: str
    text: str | None
    holder: str | None
    now: float
    before: Book
    book: Book
    # Kinds of the edges that were missed, counted once the document is written.
    missed: list[str] = field(default_factory=list)
    # Why nothing was done about the edge that is due.
    why: str = ""
    # The cluster should be in service, and was not seen in service.
    overdue: Overdue | None = None
    # Of a bot that only observes: closings that it would have made.
    nights: list[ObservedNight] = field(default_factory=list)

    def announce(
        self,
        name: str,
        subject: Subject,
        *,
        calls: bool = False,
        until: float = 0.0,
        at: float = 0.0,
    ) -> None:
        """Add an announcement to the outbox, unless one of that name was made before."""
        message = announcement(name, subject, calls=calls, until=until, at=at)
        self.book = self.book.with_announcement(message)


@dataclass(frozen=True)
class RunToOpen:
    """A run to open for an edge. `yes`: who answered where the window asks first."""

    plan: Plan
    cluster: Cluster
    edge: Edge
    requester: Actor
    standings: tuple[StandingApproval, ...]
    yes: Actor | None
    reason: str
    # When the cluster serves again after a closing; 0: unknown.
    opens: float = 0.0


class EdgeDropped(BotError):
    """Nothing comes of this edge, whatever the next tick finds."""
