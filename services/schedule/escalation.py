"""What waits for a person and is repeated until it is acknowledged: when, to whom, and when on-call outside is called. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

FIRST, SECOND, EVERY = (
    900.0,
    3600.0,
    3600.0,
)  # seconds since it waits: said again then, and from then on each hour


class Audience(IntEnum):
    """Who is mentioned: these and all before them."""

    REQUESTER = 0
    APPROVERS = 1
    OPERATORS = 2
    OUTSIDE = 3


@dataclass(frozen=True)
class Matter:
    """Something that waits for a person. `key` is the same at each look. `who` asked for it, by member id; of a window, no one.

    `urgent`: people cannot meet because of it, so outside is called at once. `widest`: who is called at most.
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
class Told:
    """What has come of a matter so far. `times`: how often it was repeated. `outside`: outside was called. `by`: who acknowledged it."""

    since: float
    summary: str
    times: int = 0
    outside: bool = False
    by: str = ""


@dataclass(frozen=True)
class Call:
    """What is to be done about a matter now. `says`: it is repeated, to `audience`. `pages`: outside is called."""

    matter: Matter
    after: Told
    says: bool
    audience: Audience
    pages: bool


def repeats(waited: float) -> int:
    """How often it is to have been repeated after so many seconds: at 15 min, at 1 h, then hourly."""
    if waited < SECOND:
        return int(waited >= FIRST)
    return 2 + int((waited - SECOND) // EVERY)


def audience(matter: Matter, times: int) -> Audience:
    """Who is mentioned at that repetition. At the first its requester; where nobody asked for it, the approvers."""
    begin = Audience.REQUESTER if matter.who else Audience.APPROVERS
    wanted = (
        Audience.OUTSIDE
        if matter.urgent
        else Audience(min(Audience.OUTSIDE, begin + times - 1))
        if times
        else begin
    )
    return min(wanted, matter.widest)


def decide(matter: Matter, told: Told | None, now: float) -> Call | None:
    """What is to be done now; None when nothing is. Acknowledged is quiet until it is over. After a break it is said once."""
    before = told or Told(matter.since, matter.summary)
    if before.by:
        return None
    times = max(before.times, repeats(now - before.since))
    whom = audience(matter, times)
    says = times > before.times
    pages = whom is Audience.OUTSIDE and (not before.outside or says)
    if not says and not pages and told is not None:
        return None
    return Call(matter, replace(before, summary=matter.summary, times=times), says, whom, pages)


def over(told: Mapping[str, Told], matters: Iterable[Matter]) -> dict[str, Told]:
    """What waits no more, of all that was noted."""
    there = {m.key for m in matters}
    return {key: one for key, one in told.items() if key not in there}
