"""Scaling by the forecast against a fixed number and against reacting, on held-out weeks.

`python -m scripts.forecast --write` writes docs/reference/forecast.md. Arrivals are simulated from
a seed; the forecast sees only what was counted before each day, as the bot does, and the changes
are decided by the bot's own functions.
"""

import argparse
import math
import random
import statistics
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from services.billing.demand import (
    DemandForecast,
    QuarterCounts,
    demand_forecast,
    nodes_ahead,
    nodes_for,
)
from services.cluster.scaling import ScalingChange, ScalingNotes, ScalingPermission

PAGE = Path(__file__).parent.parent / "docs/reference/forecast.md"
BEGIN = date(2027, 1, 4)  # a Monday
STEP, STEPS = 300.0, 288  # seconds; of a day
TRAINED, HELD_OUT = 8, 12  # weeks
PER_NODE = 50
PRICE = Decimal("0.125")  # dollars a node and hour
STARTS, LEAVES = 2, 6  # steps until a node serves; until a drained one is deleted
COOLS = 9  # steps below the need before reacting removes nodes
PERMISSION = ScalingPermission(2, 10, 2400, 8, 365, since=0.0)
SEEDS = range(5)


@dataclass(frozen=True)
class Arrivals:
    """A kind of demand. `growth`: a week; `spikes`: a week; `holidays`: known, of all days."""

    name: str
    growth: float = 1.0
    spikes: float = 0.0
    holidays: float = 0.0


KINDS = (
    Arrivals("Steady weeks"),
    Arrivals("Growth of 3% a week", growth=1.03),
    Arrivals("Holidays, on one day in 20", holidays=0.05),
    Arrivals("Spikes, two a week", spikes=2.0),
    Arrivals("All of them", growth=1.03, spikes=2.0, holidays=0.05),
)


@dataclass(frozen=True)
class Weeks:
    """People by day and step of five minutes, and which days are holidays."""

    people: tuple[tuple[int, ...], ...]
    holidays: frozenset[date]

    def counts(self, until: int) -> QuarterCounts:
        """Return what the bot has counted before that day: every ten minutes."""
        first = max(0, until - 7 * (TRAINED + 1))
        return {
            f"{BEGIN + timedelta(days=day)}": [
                [max(self.people[day][q * 3 : q * 3 + 3 : 2]), 1] for q in range(96)
            ]
            for day in range(first, until)
        }


def weeks_of(kind: Arrivals, seed: int, held_out: int = HELD_OUT) -> Weeks:
    """Return the weeks of a kind of demand, the same for a seed."""
    dice = random.Random(f"{kind.name}/{seed}")  # noqa: S311 - the same for a seed
    days, holidays = [], set()
    for day in range(7 * (TRAINED + held_out)):
        level = 200.0 * kind.growth ** (day / 7) * dice.gauss(1.0, 0.06)
        if day % 7 >= 5:
            level *= 0.25
        if dice.random() < kind.holidays:
            holidays.add(BEGIN + timedelta(days=day))
            level *= 0.1
        # Meetings begin on the hour and at half past, and last at least half an hour.
        people = [level * _shape(step // 6 / 2) for step in range(STEPS)]
        if dice.random() < kind.spikes / 7:
            begin, more = dice.randrange(90, 220), dice.uniform(80, 220)
            people[begin : begin + 18] = [p + more for p in people[begin : begin + 18]]
        days.append(tuple(max(0, round(p * dice.gauss(1.0, 0.05))) for p in people))
    return Weeks(tuple(days), frozenset(holidays))


def _shape(hour: float) -> float:
    """Return the share of the day's level: meetings in the morning and in the afternoon."""
    morning = math.exp(-((hour - 10.5) ** 2) / 3.0)
    afternoon = 0.85 * math.exp(-((hour - 15.5) ** 2) / 4.0)
    return 0.03 + morning + afternoon


Decide = Callable[[float, int, int, int], int]  # moment, day, people, nodes: nodes


@dataclass(frozen=True)
class Outcome:
    """Of the held-out weeks: minutes over capacity and dollars a week, the most changes a day."""

    minutes: float
    dollars: float
    changes: float
    most_changes: int
    most_nodes: int


def play(weeks: Weeks, decide: Decide, nodes: int) -> Outcome:
    """Play the held-out weeks with one way to decide."""
    coming: deque[tuple[int, int]] = deque()  # step, nodes in service from then on
    serving, leaving, over, billed = nodes, deque[int](), 0, 0.0
    held_out = len(weeks.people) // 7 - TRAINED
    changes, most = [0] * (7 * held_out), nodes
    for step, (moment, day, people) in enumerate(_moments(weeks)):
        while coming and coming[0][0] <= step:
            serving = coming.popleft()[1]
        while leaving and leaving[0] <= step:
            leaving.popleft()
        wanted = decide(moment, day, people, nodes)
        if wanted != nodes:
            changes[day - 7 * TRAINED] += 1
            if wanted > nodes:
                coming.append((step + STARTS, wanted))
            else:
                coming.clear()
                serving = wanted
                leaving.extend([step + LEAVES] * (nodes - wanted))
            nodes = wanted
        most = max(most, nodes)
        # Drained nodes still bear the meetings that they have.
        over += people > (serving + len(leaving)) * PER_NODE
        billed += nodes + len(leaving)
    return Outcome(
        over * STEP / 60 / held_out,
        float(PRICE) * billed * STEP / 3600 / held_out,
        statistics.mean(changes),
        max(changes),
        most,
    )


def _moments(weeks: Weeks) -> Iterator[tuple[float, int, int]]:
    begin = datetime(BEGIN.year, BEGIN.month, BEGIN.day, tzinfo=UTC).timestamp()
    for day in range(7 * TRAINED, len(weeks.people)):
        for step, people in enumerate(weeks.people[day]):
            yield begin + day * 86400 + step * STEP, day, people


def fixed(nodes: int) -> Decide:
    """Return the decision never to change."""
    return lambda _moment, _day, _people, _nodes: nodes


def reactive() -> Decide:
    """Return the decision to follow what is counted: up at once, down after some time."""
    low = 0

    def decide(_moment: float, _day: int, people: int, nodes: int) -> int:
        nonlocal low
        needed = min(PERMISSION.most, max(PERMISSION.least, nodes_for(people * 1.2, PER_NODE)))
        low = low + 1 if needed < nodes else 0
        if needed > nodes or low >= COOLS:
            low = 0
            return needed
        return nodes

    return decide


def by_forecast(weeks: Weeks, notes: ScalingNotes) -> Decide:
    """Return the decision of the bot, under a permission."""
    forecasts: dict[int, DemandForecast] = {}
    assert notes.permission is not None
    allowed = notes.permission

    def decide(moment: float, day: int, people: int, nodes: int) -> int:
        nonlocal notes
        if day not in forecasts:
            forecasts.clear()
            counts = weeks.counts(day)
            forecasts[day] = demand_forecast(counts, "UTC", moment, lambda d: d in weeks.holidays)
        forecast = forecasts[day]
        left = allowed.changes - notes.used(moment)
        wanted = nodes_ahead(
            forecast, allowed, PER_NODE, PRICE, moment, people, nodes, left=left
        ).number
        if wanted is None:
            return nodes
        notes = notes.with_change(ScalingChange(moment, wanted, ""))
        return wanted

    return decide


def compare(kind: Arrivals, seed: int, held_out: int = HELD_OUT) -> dict[str, Outcome]:
    """Return the outcome of each way for the held-out weeks of one seed."""
    weeks = weeks_of(kind, seed, held_out)
    before = [p for day in weeks.people[: 7 * TRAINED] for p in day]
    peak = nodes_for(max(before), PER_NODE)
    least = PERMISSION.least
    mean = nodes_for(statistics.mean(before) * 2, PER_NODE)
    notes = ScalingNotes(PERMISSION)
    return {
        "fixed at the highest count so far": play(weeks, fixed(peak), peak),
        "fixed at twice the mean": play(weeks, fixed(mean), mean),
        "reactive": play(weeks, reactive(), least),
        "by the forecast": play(weeks, by_forecast(weeks, notes), least),
    }


def rows(kind: Arrivals) -> list[str]:
    """Return the rows of the table for a kind of demand: the mean of the seeds."""
    results = [compare(kind, seed) for seed in SEEDS]
    return [_row(kind.name, way, [r[way] for r in results]) for way in results[0]]


def sample() -> list[str]:
    """Return the rows that a test plays again: one seed and one week."""
    result = compare(KINDS[-1], 0, held_out=1)
    return [_row("All, one week of one seed", way, [outcome]) for way, outcome in result.items()]


def _row(name: str, way: str, outcomes: list[Outcome]) -> str:
    minutes = statistics.mean(o.minutes for o in outcomes)
    dollars = statistics.mean(o.dollars for o in outcomes)
    hours = dollars / float(PRICE)
    changes = statistics.mean(o.changes for o in outcomes)
    most = max(o.most_changes for o in outcomes)
    sums = f"{minutes:.0f} | {hours:.0f} | ${dollars:.2f}"
    return f"| {name} | {way} | {sums} | {changes:.1f} | {most} |"


def page() -> str:
    """Return the whole page."""
    table = "\n".join([*(row for kind in KINDS for row in rows(kind)), *sample()])
    return f"""# The forecast, measured

`python -m scripts.forecast --write` makes this page from simulated arrivals:
{len(SEEDS)} seeds of each kind, {TRAINED} weeks of history and {HELD_OUT} held-out weeks.
Each day's forecast sees only what was counted before that day. A node bears {PER_NODE} people and
costs ${PRICE} an hour. It is in service {STARTS * 5} minutes after its request, and is billed until
{LEAVES * 5} minutes after its drain began.

By the forecast: at most {PERMISSION.changes} changes a day between {PERMISSION.least} and
{PERMISSION.most} nodes, for {PERMISSION.dollars} a day at most above {PERMISSION.least}.
Reactive: more nodes as soon as they are 5/6 full, fewer after {COOLS * 5} minutes, without a limit.

Per week: minutes in which more people met than the nodes in service bear, node-hours,
dollars. Per day: changes on average, and at most.

| arrivals | nodes | minutes over | node-hours | dollars | changes | most |
|---|---|---|---|---|---|---|
{table}
"""


def main() -> None:
    """Print the page, or write it with `--write`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    if parser.parse_args().write:
        PAGE.write_text(page(), "utf-8")
    else:
        print(page())


if __name__ == "__main__":
    main()
