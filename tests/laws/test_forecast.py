"""Laws of the forecast: unknown is never zero, and no quota is ever exceeded."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts import forecast as measured
from services.billing.demand import (
    DOWN_AHEAD,
    LEAST_WEEKS,
    QUARTER,
    Demand,
    DemandForecast,
    QuarterCounts,
    demand_forecast,
    nodes_ahead,
    nodes_for,
    noted,
    propose,
)
from services.cluster.scaling import (
    DAY,
    ScalingChange,
    ScalingNotes,
    ScalingPermission,
    parse_permission,
    permission_text,
    read_permission,
)
from services.common.errors import Refused

MONDAY = datetime(2027, 3, 1, tzinfo=UTC)  # the forecast is made on this day
NOW = MONDAY.timestamp()
QUARTERS = 96


def counts_of(weeks: int, people: int = 40) -> QuarterCounts:
    days = (MONDAY.date() - timedelta(days=d) for d in range(1, 7 * weeks + 1))
    return {f"{day}": [[people, 4]] * QUARTERS for day in days}


permissions = st.builds(
    lambda least, more, cents, changes: ScalingPermission(least, least + more, cents, changes, 30),
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(1, 20000),
    st.integers(1, 12),
)
prices = st.one_of(st.none(), st.decimals("0", "2", places=4))


@given(permissions)
def test_a_permission_reads_as_it_was_written(allowed: ScalingPermission) -> None:
    assert read_permission(permission_text(allowed)) == allowed


@pytest.mark.parametrize("nodes", ["5-2", "3", "0-3", "2-2", "a-b"])
def test_what_is_no_span_of_nodes_is_refused(nodes: str) -> None:
    with pytest.raises(Refused):
        parse_permission(nodes, "20", "6", "30")


@given(
    permissions,
    prices,
    st.integers(1, 60),
    st.lists(st.integers(0, 900), min_size=1, max_size=40),
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 1)), min_size=20, max_size=60),
)
def test_the_permission_never_exceeds_its_quota_and_never_acts_on_unknown(
    allowed: ScalingPermission,
    price: Decimal | None,
    per_node: int,
    demand: list[int],
    moments: list[tuple[int, int]],
) -> None:
    """Days of any demand, known or not: each change is within nodes, dollars and changes."""
    slots = {
        (day, quarter): Demand(demand[(day * QUARTERS + quarter) % len(demand)], 1, 5)
        for day in range(7)
        for quarter in range(QUARTERS)
    }
    forecast = DemandForecast("UTC", {}, _slots=dict(slots))
    gaps = DemandForecast("UTC", {}, _slots={**slots, (0, 40): None})
    notes, nodes, now = ScalingNotes(allowed), allowed.least, NOW
    for people, unknown in moments:
        seen = gaps if unknown else forecast
        left = allowed.changes - notes.used(now)
        number = nodes_ahead(seen, allowed, per_node, price, now, people, nodes, left=left).number
        spans = [now + n * QUARTER for n in range(int(DOWN_AHEAD // QUARTER))]
        if number is not None:
            assert price is not None
            assert price > 0
            assert all(seen.at(at) is not None for at in spans)
            assert allowed.least <= number <= allowed.most
            assert (number - allowed.least) * price * 24 * 100 <= allowed.cents
            fits = nodes_for(people, per_node) <= number
            assert number > nodes or fits, "people who meet now keep their nodes"
            notes, nodes = notes.with_change(ScalingChange(now, number, "")), number
            assert notes.used(now) <= allowed.changes
            assert sum(now - DAY < c.at <= now for c in notes.changes) <= allowed.changes
        now += 2 * QUARTER


def test_what_was_not_counted_is_unknown_and_never_zero() -> None:
    closed = counts_of(6)
    for quarters in closed.values():
        assert isinstance(quarters, list)
        quarters[0:32] = [None] * 32  # closed until 08:00
    forecast = demand_forecast(closed, "UTC", NOW)
    assert forecast.at(NOW + 7 * 3600) is None
    assert forecast.at(NOW + 9 * 3600) == Demand(40, 4, 6)
    proposal = propose(forecast, 20, 1, NOW, NOW + DAY)
    assert proposal is not None
    assert (proposal.unknown, proposal.known, proposal.number) == (32, 64, 2)
    assert (proposal.over, proposal.over_now, proposal.seen) == (0, 64 * 6, 64 * 6)
    assert propose(demand_forecast({}, "UTC", NOW), 20, 1, NOW, NOW + DAY) is None


def test_too_few_weeks_are_no_forecast_and_say_how_many_there_are() -> None:
    few = demand_forecast(counts_of(LEAST_WEEKS - 1), "UTC", NOW)
    assert (few.weeks, few.at(NOW)) == (LEAST_WEEKS - 1, None)
    assert demand_forecast(counts_of(LEAST_WEEKS), "UTC", NOW).at(NOW) == Demand(40, 4, 3)


def test_holidays_say_nothing_about_other_days() -> None:
    counts = {**counts_of(6)}
    holiday = date(2027, 2, 22)  # a Monday
    counts[f"{holiday}"] = [[0, 0]] * QUARTERS
    with_it = demand_forecast(counts, "UTC", NOW)
    without = demand_forecast(counts, "UTC", NOW, lambda day: day == holiday)
    assert (without.days_off, without.growth) == (1, 1.0)
    demand = without.at(NOW + 12 * 3600)
    assert demand is not None
    assert demand.weeks == 5
    seen = with_it.at(NOW + 12 * 3600)
    assert seen is not None
    assert seen.weeks == 6


def test_growth_is_followed() -> None:
    counts = {
        day: [[round(100 * 1.05 ** ((datetime.fromisoformat(day).timestamp() - NOW) / DAY / 7)), 1]]
        * QUARTERS
        for day in counts_of(6)
    }
    forecast = demand_forecast(counts, "UTC", NOW)
    assert 1.04 < forecast.growth < 1.06
    demand = forecast.at(NOW + 12 * 3600)
    assert demand is not None
    assert 97 <= demand.people <= 108


def test_weekdays_are_those_of_the_clusters_zone() -> None:
    """In Auckland it is Monday while UTC has Sunday evening."""
    counts = noted({}, NOW - 7 * DAY - 3600, 70, 3, 63 * DAY)
    forecast = demand_forecast(counts, "Pacific/Auckland", NOW)
    assert list(forecast.samples) == [(0, 48)]


def test_counts_keep_the_most_of_a_quarter_and_forget_old_days() -> None:
    counts = noted({}, NOW, 5, 2, 7 * DAY)
    counts = noted(counts, NOW + 600, 9, 1, 7 * DAY)
    assert counts["2027-03-01"][0] == [9, 2]
    assert counts["2027-03-01"][1] is None
    assert list(noted(counts, NOW + 9 * DAY, 1, 1, 7 * DAY)) == ["2027-03-10"]


def test_the_table_is_what_its_command_makes() -> None:
    page = measured.PAGE.read_text("utf-8")
    for row in measured.sample():
        assert row in page, "python -m scripts.forecast --write"
