"""Questions put to people: an approval is one. The default is to change nothing."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from services.access.policy import Actor, Rules
from services.cluster.model import Load
from services.common.observed import NotSeen, Observed
from services.procedures.plan import Plan

GRACE = 900.0  # seconds after its moment in which a change for later is still done


class RequestState(StrEnum):
    """Where a request for approval stands."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"  # the plan changed since; another request took its place


@dataclass(frozen=True)
class Act:
    """What an approval is for where a run is under way: its resume, or with `question` an answer to it."""

    run: str
    question: str = ""
    choice: str = ""
    label: str = ""  # of that choice, as it stands on its button


@dataclass(frozen=True)
class Vote:
    """One person wants that answer to a question, since then (epoch seconds)."""

    by: Actor
    choice: str
    at: float


@dataclass(frozen=True)
class Request:
    """A plan that waits for other people. Bound to the plan's digest, consumed once, expires at `until` (epoch seconds)."""

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
    glass: bool = False  # break-glass: no approval is asked for, and whoever asked confirms it
    lacks: tuple[
        str, ...
    ] = ()  # user groups of which nobody has approved it yet, and somebody has to
    why_closed: str = ""  # the reason that whoever rejected it gave
    remarks: tuple[tuple[str, str], ...] = ()  # what approvers said with it, by their key
    act: Act | None = None  # a run that is under way goes on with it; None: it opens a run
    differs: str = ""  # what is unlike the card that was approved before
    later: float = 0.0  # when it is to be done (epoch seconds); 0: as soon as it is approved
    zone: str = ""  # that moment was meant in
    agreed_at: float = 0.0  # of a later one: when it had all approvals that it needs
    waits: str = ""  # of a later one whose moment has come: what is in its way
    text: str = field(
        default="", compare=False, repr=False, metadata={"stored": False}
    )  # as it was read: what a change has to find there

    @property
    def left(self) -> int:
        """How many approvals are missing."""
        return 0 if self.glass else max(0, self.needs - len(self.approvals))

    @property
    def scheduled(self) -> bool:
        """Approved, or in need of no approval, and waiting for its moment."""
        return self.state is RequestState.OPEN and self.later > 0 and self.agreed_at > 0

    @property
    def moment(self) -> str:
        """`Mon 30 Nov 2026, 22:00 Europe/Madrid`: when it is to be done, where that is later."""
        return (
            f"{datetime.fromtimestamp(self.later, ZoneInfo(self.zone)):%a %d %b %Y, %H:%M} {self.zone}"
            if self.later
            else ""
        )

    def agreed(self, at: float) -> "Request":
        """A later one with all approvals that it needs: they count until its moment and a little longer."""
        return replace(self, agreed_at=at, until=self.later + GRACE)

    @property
    def startable(self) -> bool:
        """No approval is needed any more: whoever asked starts it with one press."""
        return not self.glass and self.needs == 0 and not self.later

    def remarked(self, by: Actor, remark: str) -> "Request":
        """With what this person said; as it is when that is nothing."""
        return replace(self, remarks=(*self.remarks, (by.key, remark))) if remark else self

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


def grew(then: Plan, now: Plan, rules: Rules) -> str:
    """Why an approval has to be asked for again although the plan is the same; "" when it still covers what is there.

    A new recording, many more people; or, where people are disconnected, meetings that were unknown on the card and are seen now, or
    the other way round. What was unknown and still is was approved as unknown.
    """
    if (then.load is None or now.load is None) and not (
        now.effects.cuts_off or then.effects.cuts_off
    ):
        return ""
    return load_grew(then.meetings, now.meetings, rules.growth)


def load_grew(then: Observed[Load], now: Observed[Load], growth: float) -> str:
    """How the people who meet are more than there were, or are unknown; "" when they are covered."""
    if isinstance(now, NotSeen):
        known = "it was known when it was asked for"
        return (
            ""
            if isinstance(then, NotSeen)
            else f"how many people are in meetings is unknown now ({now.reason}); {known}"
        )
    if isinstance(then, NotSeen):
        return (
            ""
            if now.idle
            else f"{now.people} people are in meetings; how many was unknown when it was asked for"
        )
    if now.recordings > then.recordings:
        running = "1 recording is" if now.recordings == 1 else f"{now.recordings} recordings are"
        return f"{running} running; there were {then.recordings} when it was asked for"
    if now.people > then.people * (1 + growth) and now.people > then.people:
        return (
            f"{now.people} people are in meetings; there were {then.people} when it was asked for"
        )
    return ""
