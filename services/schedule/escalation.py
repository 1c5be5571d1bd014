"""What waits for a person and is repeated until acknowledged.

When, to whom, and when on-call is paged. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

# Seconds after which it is repeated the first and the second time, and from then on.
FIRST, SECOND, EVERY = 900.0, 3600.0, 3600.0


class Audience(IntEnum):
    """Who is mentioned: these and all before them. OUTSIDE: on-call is paged."""

    REQUESTER = 0
    APPROVERS = 1
    OPERATORS = 2
    OUTSIDE = 3


@dataclass(frozen=True)
class WaitingMatter:
    """Something that waits for a person. `key` is the same at each look.

    `who`: the requester's member id; empty for a window. `urgent`: people cannot meet because of
    it, so on-call is paged at once. `widest`: the widest audience that is called.
    """

    key: str
    cluster: str
    since: float
    summary: str
    who: tuple[str, ...] = ()
    urgent: bool = False
    widest: Audience = Audience.OUTSIDE
    run: str = ""


@dataclass(frozen=True)
class EscalationState:
    """What has been done about a matter. `times`: how often it was repeated.

    `outside`: on-call was paged. `by`: who acknowledged it.
    """

    since: float
    summary: str
    times: int = 0
    outside: bool = False
    by: str = ""


@dataclass(frozen=True)
class Escalation:
    """What to do about a matter now. `says`: repeat it, to `audience`. `pages`: page on-call.

    `after`: what is stored then.
    """

    matter: WaitingMatter
    after: EscalationState
    says: bool
    audience: Audience
    pages: bool


def repeats(waited: float) -> int:
    """Return how often it is repeated within so many seconds: at 15 min, at 1 h, then hourly."""
    if waited < SECOND:
        return int(waited >= FIRST)
    return 2 + int((waited - SECOND) // EVERY)


def audience(matter: WaitingMatter, times: int) -> Audience:
    """Return who is mentioned at that repetition.

    At first the requester, of a window the approvers, then one group more each time.
    """
    if matter.urgent:
        return matter.widest
    begin = Audience.REQUESTER if matter.who else Audience.APPROVERS
    further = max(0, times - 1)
    return Audience(min(Audience.OUTSIDE, begin + further, matter.widest))


def decide(matter: WaitingMatter, told: EscalationState | None, now: float) -> Escalation | None:
    """Return what to do now; None for nothing. An acknowledged matter is quiet until it is over.

    After a break it is repeated once.
    """
    before = told or EscalationState(matter.since, matter.summary)
    if before.by:
        return None
    times = max(before.times, repeats(now - before.since))
    whom = audience(matter, times)
    says = times > before.times
    pages = whom is Audience.OUTSIDE and (not before.outside or says)
    if not says and not pages and told is not None:
        return None
    return Escalation(
        matter, replace(before, summary=matter.summary, times=times), says, whom, pages
    )


def no_longer_waiting(
    told: Mapping[str, EscalationState], matters: Iterable[WaitingMatter]
) -> dict[str, EscalationState]:
    """Return the noted matters that wait no more."""
    waiting = {m.key for m in matters}
    return {key: one for key, one in told.items() if key not in waiting}
