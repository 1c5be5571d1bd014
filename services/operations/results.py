"""Results of a change request, and a cluster's status."""

from dataclasses import dataclass

from services.cluster.certificates import CertificateSeen
from services.cluster.model import Cluster
from services.cluster.node_condition import NodeCondition
from services.procedures.plan import Plan
from services.runs.progress import Progress
from services.runs.request import Request
from services.runs.run import Run


@dataclass(frozen=True)
class Started:
    """A run was opened."""

    run: Run


@dataclass(frozen=True)
class WaitingForApproval:
    """A request waits for approval; or, where none is needed, for its requester to start it."""

    request: Request


@dataclass(frozen=True)
class Planned:
    """A dry run, a plan with nothing to do, or the plan of a bot that only observes."""

    plan: Plan
    dry: bool
    observes: bool = False  # nothing comes of it: this bot only observes


@dataclass(frozen=True)
class Replanned:
    """The plan or the load changed since it was requested: `new` took the place of `old`."""

    old: Request
    new: Request
    why: str


@dataclass(frozen=True)
class AwaitingStart:
    """A plan that needs no approval, and that its requester has not confirmed yet."""

    plan: Plan


Outcome = Started | WaitingForApproval | Planned | Replanned | AwaitingStart


@dataclass(frozen=True)
class Status:
    """A cluster as it is now, with its run and requests."""

    cluster: Cluster
    run: Run | None
    progress: Progress | None
    waiting: tuple[Request, ...] = ()
    cautions: tuple[str, ...] = ()  # what the state store may lose, in sentences
    known: bool = True  # False: runs and requests could not be read
    later: tuple[Request, ...] = ()  # approved, for later
    observes: bool = False  # this bot changes nothing
    # What each node reports of itself; empty: not asked.
    conditions: tuple[NodeCondition, ...] = ()
    certificate: CertificateSeen | None = None  # of the public address; None: nothing was looked at
