"""Months of arrivals, drawn from a seed, and what windows make of them. Pure: no bot runs.

The windows are decided by the bot's own functions, minute by minute. What is simulated is around
them: people, start-ups, looks that see nothing, and restarts of the bot.
"""

import heapq
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from services.billing.droplet_hours import Month, Stay, bill, cents
from services.windows import (
    Exceptions,
    KeepUp,
    Meeting,
    SchedulePolicy,
    Window,
    decide,
    keep_up,
    parse_window,
)
from services.windows.closures import span_at
from services.windows.quiet import (
    Emptiness,
    closing_now,
    opened_early,
    quiet_state,
    with_closing,
)

MADRID = ZoneInfo("Europe/Madrid")
BEGIN = datetime(2027, 2, 1, tzinfo=MADRID).timestamp()  # a Monday; clocks change on 28 March
WEEK, DAY, HOUR, MINUTE = 7 * 86400, 86400, 3600, 60
MONTH = 4 * WEEK  # 672 hours: as long as a capped month
# Two media nodes of 4 dedicated processors.
NODES, HOURLY, MONTHLY = 2, Decimal("0.125"), Decimal(84)
WAKES, WAKE_HOURS = 5, 2 * HOUR  # in seven days, as `wake` of a cluster is set by default
SHUTDOWN = 120.0


@dataclass(frozen=True)
class Visit:
    """A meeting: when its first person comes, how long it lasts, whether a calendar has it."""

    at: float
    seconds: float
    planned: bool = False


@dataclass(frozen=True)
class Months:
    """What happens, whatever the windows are. `blind`: no look succeeds; `restarts` of the bot."""

    until: float
    visits: tuple[Visit, ...]
    blind: tuple[tuple[float, float], ...]
    restarts: tuple[float, ...]
    startups: tuple[float, ...]


def draw(seed: int, weeks: int) -> Months:
    """Draw some weeks: offices by day, a few late meetings, some in a calendar."""
    dice = random.Random(seed)
    until = BEGIN + weeks * WEEK
    visits = sorted(_visits(dice, until), key=lambda v: v.at)
    blind = [
        (at, at + dice.choice((2, 10, 45, 240)) * MINUTE) for at in _events(dice, until, 3 / WEEK)
    ]
    startups = tuple(dice.uniform(6, 10) * MINUTE for _ in range(500))
    restarts = tuple(_events(dice, until, 5 / WEEK))
    return Months(until, tuple(visits), tuple(blind), restarts, startups)


def _events(dice: random.Random, until: float, rate: float) -> Iterator[float]:
    at = BEGIN + dice.expovariate(rate)
    while at < until:
        yield at
        at += dice.expovariate(rate)


def _visits(dice: random.Random, until: float) -> Iterator[Visit]:
    for at in _events(dice, until, 8 / HOUR):
        if dice.random() < _busy(at):
            yield Visit(at, min(dice.lognormvariate(3.4, 0.7), 240) * MINUTE)
    for at in _events(dice, until, 2 / WEEK):
        hour = at // HOUR * HOUR
        yield Visit(hour, dice.choice((30, 60, 90)) * MINUTE, planned=True)


def _busy(at: float) -> float:
    """Return the share of the busiest hour."""
    local = datetime.fromtimestamp(at, MADRID)
    working = local.weekday() < 5
    match local.hour:
        case h if 8 <= h < 18:
            return 1.0 if working else 0.01
        case h if 18 <= h < 22:
            return 0.12 if working else 0.01
        case _:
            return 0.002


@dataclass
class Outcome:
    """What came of it. `waits`: seconds of those who came while it was closed."""

    cost: Decimal = Decimal(0)
    waits: list[float] = field(default_factory=list)
    refused: int = 0
    disconnected: int = 0
    gave_way: int = 0
    on: list[tuple[float, float]] = field(default_factory=list)
    wakes: list[float] = field(default_factory=list)
    closings: list[float] = field(default_factory=list)

    @property
    def p95(self) -> float:
        """Seconds within which 95 % of them were served."""
        waits = sorted(self.waits)
        return waits[-(-95 * len(waits) // 100) - 1] if waits else 0.0

    @staticmethod
    def most_a_night(moments: Sequence[float]) -> int:
        """Return the most of these in one night, from noon to noon."""
        nights = Counter(
            (datetime.fromtimestamp(m, MADRID) - timedelta(hours=12)).date() for m in moments
        )
        return max(nights.values(), default=0)


class Play:
    """One cluster with some windows, through the months. `windows` as texts."""

    def __init__(self, months: Months, windows: Sequence[str]) -> None:
        self.months = months
        self.quiet = tuple(w for w in map(_parsed, windows) if w.when_empty is not None)
        self.windows: tuple[Window, ...] = tuple(map(_parsed, windows))
        self.terms = SchedulePolicy(lead=600.0)
        planned = tuple(Meeting(v.at, v.at + v.seconds) for v in months.visits if v.planned)
        self.exceptions = Exceptions(meetings=planned)
        self.done: list[str] = []
        self.seen = Emptiness()
        self.serves = BEGIN  # in service from then on; infinity: closed
        self.closed_at = 0.0
        self.since = BEGIN
        self.next = BEGIN  # of the windows' edges
        self.meetings: list[float] = []  # when running ones end
        self.out = Outcome()
        self._startups = iter(months.startups)

    @property
    def closed(self) -> bool:
        return self.serves == float("inf")

    def run(self) -> Outcome:
        """Play all of it, and return what came of it."""
        visits, restarts, blind = (
            iter(self.months.visits),
            iter(self.months.restarts),
            list(self.months.blind),
        )
        visit, restart, now = next(visits, None), next(restarts, None), BEGIN
        while now < self.months.until:
            while visit is not None and visit.at <= now:
                self._comes(visit)
                visit = next(visits, None)
            while self.meetings and self.meetings[0] <= now:
                heapq.heappop(self.meetings)
            if restart is not None and restart <= now:
                self.seen, restart = Emptiness(), next(restarts, None)
            while blind and blind[0][1] <= now:
                blind.pop(0)
            self._look(now, blind=bool(blind) and blind[0][0] <= now)
            if now >= self.next:
                self._edges(now)
            coming = visit.at if visit is not None else float("inf")
            if self._closes(now):
                if now < coming <= now + 5:
                    self.out.gave_way += 1  # the last node drains only once it is empty
                else:
                    self._close(now)
            now += MINUTE
        if not self.closed:
            self.out.on.append((self.since, now))
        self.out.cost = _billed(self.out.on, self.months.until)
        return self.out

    def _comes(self, visit: Visit) -> None:
        at = visit.at
        if self.closed and self._must_wake(at) and not self._wake(at):
            self.out.refused += 1
            return
        begins = max(at, self.serves)
        if begins > at:
            self.out.waits.append(begins - at)
        heapq.heappush(self.meetings, begins + visit.seconds)

    def _must_wake(self, at: float) -> bool:
        """Return whether nothing opens it at this moment anyway."""
        self._edges(at)
        return self.closed

    def _wake(self, at: float) -> bool:
        lately = [w for w in self.out.wakes if w > at - WEEK]
        if len(lately) >= WAKES:
            return False
        self.out.wakes.append(at)
        stays = max((w.stays for w in self.quiet), default=WAKE_HOURS)
        kept = keep_up(self.windows, at, stays, "dora", exceptions=self.exceptions)
        kept_ups = (*self.exceptions.keep_ups, replace(kept, woken=True))
        self.exceptions = replace(self.exceptions, keep_ups=kept_ups).without_old(at)
        self._edges(at)
        assert not self.closed, "a wake-up starts it"
        return True

    def _look(self, now: float, *, blind: bool) -> None:
        if blind or not self.quiet or span_at(self.quiet, now, self.exceptions.days_off) is None:
            return
        kept = self.exceptions.keeps_up(now)
        empty = self.serves <= now and not self.meetings and not kept
        self.seen = self.seen.after(now, empty=empty)

    def _edges(self, now: float) -> None:
        """Act on what the windows want now."""
        quiet = {w.name for w in self.quiet}
        made = decide(self.windows, now, now, self.done, self.exceptions, self.terms)
        assert made.due is not None, "there are windows"
        if quiet and self.closed and made.due.state == "open":
            self.windows = opened_early(self.windows, quiet, now, self.terms.lead)
            made = decide(self.windows, now, now, self.done, self.exceptions, self.terms)
        assert made.due is not None, "there are windows"
        self.next = made.due.next_edge.start if made.due.next_edge else float("inf")
        if made.act is not None:
            self._act(made.act.name, made.act.kind, now)

    def _act(self, name: str, kind: str, now: float) -> None:
        self.done.append(name)
        if kind == "open" and self.closed:
            self.serves = max(now, self.closed_at + SHUTDOWN) + next(self._startups)
            self.since = now
        elif kind == "close" and not self.closed and not self.quiet:
            # By the clock: running meetings have an hour to end.
            last = min(max(self.meetings, default=now), now + HOUR)
            if max(self.meetings, default=now) <= now + HOUR:
                self.meetings.clear()
                self._off(last)

    def _closes(self, now: float) -> bool:
        if self.closed or not self.quiet or self.seen.since is None:
            return False
        if self.seen.lasted(now, float("-inf")) < min(w.when_empty or 0.0 for w in self.quiet):
            return False
        state = quiet_state(self.windows, now, self.seen, self.exceptions, self.terms, self.done)
        return state is not None and state.closes

    def _close(self, now: float) -> None:
        span = span_at(self.quiet, now, self.exceptions.days_off)
        assert span is not None, "a closing is due"
        self.windows = with_closing(self.windows, closing_now(span, now))
        made = decide(self.windows, now, now, self.done, self.exceptions, self.terms)
        if made.act is None or made.act.kind != "close" or made.due is None:
            return
        self.done.append(made.act.name)
        self.out.disconnected += sum(1 for end in self.meetings if end > now)
        assert made.due.next_edge is not None, "it opens again"
        self.next = made.due.next_edge.start
        self._off(now)

    def _off(self, now: float) -> None:
        self.out.on.append((self.since, now))
        self.out.closings.append(now)
        self.serves, self.closed_at, self.seen = float("inf"), now, Emptiness()


def _parsed(text: str) -> Window:
    return parse_window(text, "Europe/Madrid")


def _billed(on: Sequence[tuple[float, float]], until: float) -> Decimal:
    """Return the price of the media nodes, month by month as DigitalOcean bills."""
    total, begin = Fraction(0), BEGIN
    while begin < until:
        month = Month(begin, min(begin + MONTH, until), begin + MONTH)
        for number, (since, end) in enumerate(on):
            if since < month.until and end > month.since:
                stay = Stay(number, since, end, HOURLY, MONTHLY)
                total += NODES * bill(stay, month.seconds(since, end), month)
        begin += MONTH
    return cents(total)


def moment(at: float) -> str:
    """Return a moment for a message of a test."""
    return f"{datetime.fromtimestamp(at, UTC):%a %Y-%m-%d %H:%M:%S}"


__all__ = ["KeepUp", "Months", "Outcome", "Play", "Visit", "draw", "moment"]
