"""One change of several clusters: which part begins when, and when the rest does not. Pure.

A batch is a request with a part for each cluster. Each part is an ordinary request with a plan of
its own, and later an ordinary run; the batch decides only in which order they begin, at most
`at_once` at a time, and that the rest is not started after `stop_after` failures.

The document is replaced by compare-and-set. The commit that opens the run of a part also records it
here, so that of all bots one begins it, once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from services.access.policy import Actor
from services.common.serialize import Classes, read, write
from services.procedures import PROCEDURES, Procedure
from services.store.keys import BATCH_PART

MOST_CLUSTERS = 50  # in one batch: what one message and its details can show
DAY = 86400.0
LASTS = DAY  # seconds from its beginning in which the last part has to begin


class BatchState(StrEnum):
    """Where a batch stands. Its parts may still run when no further one begins."""

    OPEN = "open"  # waits for its approval, or for its requester to start it
    APPROVED = "approved"  # parts begin
    REJECTED = "rejected"
    EXPIRED = "expired"
    STOPPED = "stopped"  # too many failures: nothing more begins
    CANCELLED = "cancelled"


class PartState(StrEnum):
    """Where the part of one cluster stands."""

    REFUSED = "refused"  # when it was requested: it is not in what was approved
    UNNEEDED = "nothing to do"
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"  # its run ended otherwise than done
    CHANGED = (
        "not covered"  # at its turn: the approval does not cover it, or something is in its way
    )
    DROPPED = "not started"  # the batch was stopped, cancelled, rejected, or has expired


SETTLED = frozenset(PartState) - {PartState.WAITING, PartState.RUNNING}


@dataclass(frozen=True)
class Part:
    """One cluster of a batch. `why`: why it is not done; `run`: what does it."""

    cluster: str
    state: PartState = PartState.WAITING
    request: str = ""
    why: str = ""
    run: str = ""
    paused: bool = False  # its run has stopped and waits for people
    asked: bool = False  # its run was asked to stop, because the batch was cancelled
    waits: str = ""  # at its turn: what could not be read, so that it has not begun
    waits_since: float = 0.0

    @property
    def settled(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in SETTLED


@dataclass(frozen=True)
class Batch:
    """A change of several clusters. Times are epoch seconds.

    `needs`: the most approvals that any part needs; 0: its requester starts it. `until`: when it
    expires, and once approved, until when parts may begin. `label`: what chose the clusters, for
    people; which clusters they are is fixed when it is requested.
    """

    id: str
    procedure: Procedure
    requester: Actor
    parts: tuple[Part, ...]
    made_at: float
    until: float
    needs: int
    reason: str = ""
    channel: str = ""
    label: str = ""
    at_once: int = 1
    stop_after: int = 1
    state: BatchState = BatchState.OPEN
    approvals: tuple[Actor, ...] = ()
    remarks: tuple[tuple[str, str], ...] = ()
    left: int = 0  # approvals that are missing
    agreed_at: float = 0.0
    later: float = 0.0  # when to begin; 0: as soon as it is approved
    zone: str = ""
    closed_by: Actor | None = None
    closed_at: float = 0.0
    why_closed: str = ""
    # As it was read: it is written only over this text.
    text: str = field(default="", compare=False, repr=False, metadata={"stored": False})

    @property
    def startable(self) -> bool:
        """Whether no approval is needed, so that its requester alone can start it."""
        return self.state is BatchState.OPEN and self.needs == 0

    @property
    def over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state is not BatchState.OPEN and all(part.settled for part in self.parts)

    @property
    def clusters(self) -> tuple[str, ...]:
        """The clusters that it changes, or was to change."""
        return tuple(part.cluster for part in self.parts)

    @property
    def included(self) -> tuple[Part, ...]:
        """The parts that an approval covers: those with a request."""
        return tuple(part for part in self.parts if part.request)

    @property
    def failures(self) -> int:
        """How many runs ended otherwise than done, or have stopped and wait for people."""
        return sum(part.state is PartState.FAILED or part.paused for part in self.parts)

    @property
    def succeeded(self) -> bool:
        """Whether every cluster is as requested."""
        done = (PartState.DONE, PartState.UNNEEDED)
        return all(part.state in done for part in self.parts)

    @property
    def moment(self) -> str:
        """`Mon 30 Nov 2026, 22:00 Europe/Madrid`: when it begins, where that is later."""
        if not self.later:
            return ""
        local = datetime.fromtimestamp(self.later, ZoneInfo(self.zone))
        return f"{local:%a %d %b %Y, %H:%M} {self.zone}"

    def of(self, *states: PartState) -> tuple[Part, ...]:
        """The parts in one of these states."""
        return tuple(part for part in self.parts if part.state in states)

    def part(self, cluster: str) -> Part:
        """The part of that cluster."""
        return next(part for part in self.parts if part.cluster == cluster)

    def with_parts(self, changed: Iterable[Part]) -> "Batch":
        """The batch with these parts in the place of those of the same clusters."""
        by_cluster: Mapping[str, Part] = {part.cluster: part for part in changed}
        parts = tuple(by_cluster.get(part.cluster, part) for part in self.parts)
        return replace(self, parts=parts)

    def dropped(self, why: str) -> "Batch":
        """The batch without the parts that have not begun."""
        waiting = self.of(PartState.WAITING)
        return self.with_parts(replace(p, state=PartState.DROPPED, why=why) for p in waiting)


def startable_parts(batch: Batch, now: float) -> tuple[Part, ...]:
    """The parts that may begin now, in order: as many as are free of `at_once`.

    A run that has stopped keeps its place: when it is resumed, no more than `at_once` run.
    """
    if batch.state is not BatchState.APPROVED or now < batch.later or has_to_stop(batch):
        return ()
    free = batch.at_once - len(batch.of(PartState.RUNNING))
    return batch.of(PartState.WAITING)[: max(0, free)]


def has_to_stop(batch: Batch) -> bool:
    """Whether so many have failed that nothing more may begin."""
    return batch.failures >= batch.stop_after


def stop_words(batch: Batch) -> str:
    """Why the rest is not started, for a card."""
    failed = [part.cluster for part in batch.parts if part.state is PartState.FAILED or part.paused]
    return f"not started, because {', '.join(failed)} failed"


def part_id(batch: str, number: int) -> str:
    """The id of a part's request."""
    return f"{BATCH_PART}{batch}.{number}"


def batch_of(request: str) -> str:
    """The id of the batch that a request is part of; "" for any other request."""
    if not request.startswith(BATCH_PART):
        return ""
    return request.removeprefix(BATCH_PART).rpartition(".")[0]


CLASSES: Classes = {k.__name__: k for k in (Batch, Part, Actor, *PROCEDURES)}


def to_text(batch: Batch) -> str:
    """Return a batch as stored; written over what was read, so that unknown fields stay."""
    return write(batch, CLASSES, batch.text or None)


def from_text(text: str, name: str) -> Batch:
    """Return a stored batch. BadRecord where it cannot be read."""
    batch = read(text, CLASSES, f"the batch {name}")
    assert isinstance(batch, Batch), "nothing else is stored there"
    return replace(batch, text=text)
