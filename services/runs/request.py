"""Requests for approval, and votes on questions. The default is to change nothing."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from services.access.policy import Actor, ClusterPolicy
from services.cluster.model import Load
from services.common.observed import Observed, Unobserved
from services.procedures.plan import Plan

GRACE = 900.0  # seconds after its moment in which a change for later is still done


class RequestState(StrEnum):
    """Where a request for approval stands."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"  # the plan changed since; another request took its place


OPEN = RequestState.OPEN


@dataclass(frozen=True)
class Act:
    """What an approval is for during a run: its resume, or with `question` an answer to that."""

    run: str
    question: str = ""
    choice: str = ""
    label: str = ""  # of that choice, as it stands on its button


@dataclass(frozen=True)
class Vote:
    """One person's vote for an answer to a question, given at that time (epoch seconds)."""

    by: Actor
    choice: str
    at: float


@dataclass(frozen=True)
class Request:
    """A plan that waits for approval. Bound to the plan's digest, used once.

    `until`: when it expires (epoch seconds).
    """

    id: str
    plan: Plan
    requester: Actor
    reason: str
    made_at: float
    until: float
    needs: int
    why: str
    special: tuple[str, ...] = ()
    channel: str = ""
    approvals: tuple[Actor, ...] = ()
    state: RequestState = RequestState.OPEN
    closed_by: Actor | None = None
    closed_at: float = 0.0
    run: str = ""
    replaced_by: str = ""
    glass: bool = False  # break-glass: no approval is needed, the requester confirms it
    lacks: tuple[str, ...] = ()  # user groups whose approval is still missing
    why_closed: str = ""  # the reason of the person who rejected it
    remarks: tuple[tuple[str, str], ...] = ()  # what approvers wrote with it, by their key
    act: Act | None = None  # an open run goes on with it; None: it opens a run
    differs: str = ""  # in what it differs from the card that was approved before
    later: float = 0.0  # when to do it (epoch seconds); 0: as soon as it is approved
    zone: str = ""  # the time zone that `later` was given in
    agreed_at: float = 0.0  # of one for later: when it had all approvals
    waits: str = ""  # of one for later whose moment has come: what is in its way
    # As it was read: a change is written only over this text.
    text: str = field(default="", compare=False, repr=False, metadata={"stored": False})

    @property
    def left(self) -> int:
        """How many approvals are missing."""
        return 0 if self.glass else max(0, self.needs - len(self.approvals))

    @property
    def scheduled(self) -> bool:
        """Whether it has all approvals that it needs and waits for its moment."""
        return self.state is RequestState.OPEN and self.later > 0 and self.agreed_at > 0

    @property
    def moment(self) -> str:
        """`Mon 30 Nov 2026, 22:00 Europe/Madrid`: when it is to be done, where that is later."""
        if not self.later:
            return ""
        local = datetime.fromtimestamp(self.later, ZoneInfo(self.zone))
        return f"{local:%a %d %b %Y, %H:%M} {self.zone}"

    def agreed(self, at: float) -> "Request":
        """The request with all approvals: they count until its moment, and `GRACE` longer."""
        return replace(self, agreed_at=at, until=self.later + GRACE)

    @property
    def startable(self) -> bool:
        """Whether no approval is needed, so that its requester alone can start it."""
        return not self.glass and self.needs == 0 and not self.later

    def remarked(self, by: Actor, remark: str) -> "Request":
        """The request with this person's remark, if there is one."""
        if not remark:
            return self
        return replace(self, remarks=(*self.remarks, (by.key, remark)))

    def closed(
        self,
        state: RequestState,
        at: float,
        by: Actor | None = None,
        *,
        run: str = "",
        replaced_by: str = "",
    ) -> "Request":
        return replace(
            self, state=state, closed_by=by, closed_at=at, run=run, replaced_by=replaced_by
        )


def answered(before: Request, after: Request) -> bool | None:
    """Return whether a change of a request is its answer by a person: False where none came.

    None: it is no answer, or none was needed from anyone else.
    """
    if before.glass or before.needs == 0 or before.agreed_at or before.state is not OPEN:
        return None
    match after.state:
        case RequestState.OPEN:
            return True if after.needs and after.agreed_at else None
        case RequestState.APPROVED:
            return True
        case RequestState.EXPIRED:
            return False
        case RequestState.REJECTED:
            by = after.closed_by
            return True if by is not None and by.key != after.requester.key else None
        case _:
            return None


def plan_grew(then: Plan, now: Plan, rules: ClusterPolicy) -> str:
    """Why an approval does not cover the same plan any more; "" when it does.

    A new recording, many more people; or, where people are disconnected, meetings that were unknown
    on the card and are seen now, or the other way round. What was unknown on the card and still is
    was approved as unknown.
    """
    if (then.load is None or now.load is None) and not (
        now.effects.cuts_off or then.effects.cuts_off
    ):
        return ""
    return load_grew(then.meetings, now.meetings, rules.growth)


def load_grew(then: Observed[Load], now: Observed[Load], growth: float) -> str:
    """How the load exceeds the approved one, or is unknown; "" when it is covered."""
    if isinstance(now, Unobserved):
        if isinstance(then, Unobserved):
            return ""
        known = "it was known when this was requested"
        return f"the number of people in meetings is now unknown ({now.reason}); {known}"
    if isinstance(then, Unobserved):
        if now.idle:
            return ""
        unknown = "the number was unknown when this was requested"
        return f"{now.people} people are in meetings; {unknown}"
    if now.recordings > then.recordings:
        running = f"{now.recordings} recordings are"
        if now.recordings == 1:
            running = "1 recording is"
        return f"{running} running; there were {then.recordings} when this was requested"
    if now.people > then.people * (1 + growth) and now.people > then.people:
        return (
            f"{now.people} people are in meetings; there were {then.people} when this was requested"
        )
    return ""
