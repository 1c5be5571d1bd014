"""What droplets have cost since the month began, and who is remembered to have App Home open."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from handlers.commands.cost import cost_card
from handlers.views.plan import cost_change
from services.billing.prices import cost_this_month, hourly, per_hour
from services.billing.savings import BillingFacts, report
from services.cluster.model import Cluster, Droplet
from services.common.clock import loop_clock
from services.memory.home_viewers import HomeViewers, Viewer
from services.procedures import Shutdown
from services.procedures.plan import make_plan
from services.store.sqlite import SqliteStore
from tests.support import virtual
from tests.support.clusters import ready

ORIGIN = 1_800_000_000.0
PRICE = Decimal("0.07")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("created", "now", "hours"),
    [
        ("2026-01-01T00:00:00Z", "2026-11-01T10:00", 10),
        ("2026-11-05T08:00:00Z", "2026-11-05T10:00", 2),
        ("2026-01-01T00:00:00Z", "2026-10-31T23:00", 672),  # a month is billed as 28 days at most
        ("2026-11-05T11:00:00Z", "2026-11-05T10:00", 0),  # clocks that differ owe nobody money
        ("", "2026-11-02T00:00", 24),
    ],
)
def test_a_month_so_far(created: str, now: str, hours: int) -> None:
    droplet = Droplet(1, "a", "off", size="s-4vcpu-8gb", hourly=PRICE, created_at=created)
    assert cost_this_month([droplet, droplet], at(now)) == 2 * PRICE * hours


def summed_up(amount: Decimal | None) -> Decimal:
    assert amount is not None
    return round(amount, 2)


def test_a_month_of_a_v5_droplet_is_billed_to_its_end() -> None:
    """744 h in October at $0.15529: $115.54, whatever its monthly price is.

    A bundled plan of that price would stop at 672 h.
    """
    for monthly in ("0", "104.36", "113.36"):
        droplet = Droplet(
            7,
            "a",
            "active",
            size="g5-4vcpu-8gb-80gb",
            hourly=Decimal("0.15529"),
            monthly=Decimal(monthly),
        )
        assert summed_up(cost_this_month([droplet], at("2026-11-01T00:00") - 1)) == Decimal(
            "115.54"
        )
    bundled = Droplet(
        7, "a", "active", size="g-2vcpu-8gb", hourly=Decimal("0.15529"), monthly=Decimal("104.36")
    )
    assert summed_up(cost_this_month([bundled], at("2026-11-01T00:00") - 1)) == Decimal("104.35")


def test_a_price_that_is_not_known_is_not_nothing() -> None:
    priced = Droplet(1, "a", "active", size="s-4vcpu-8gb", hourly=PRICE)
    silent = Droplet(2, "b", "active", size="s-9vcpu-9gb")
    both = hourly(Cluster("acme", "acme", masters=(priced, silent)))
    assert [both.media, both.masters, both.total] == [Decimal(0), None, None]
    assert per_hour(both.total) == "unknown"
    assert cost_this_month([priced, silent], at("2026-11-02T00:00")) is None


def test_a_plan_does_not_promise_what_it_cannot_know() -> None:
    up = ready(3)
    silent = replace(
        up, media=tuple(replace(n, droplet=replace(n.droplet, hourly=None)) for n in up.media)
    )
    assert cost_change(make_plan(up, Shutdown())).startswith("saves $0.21/h")
    assert cost_change(make_plan(silent, Shutdown())).startswith(
        "what it changes is unknown: DigitalOcean's price of a droplet was not seen"
    )


def test_what_the_month_does_not_count_is_said_below_its_sums() -> None:
    month = replace(
        report("acme", 2026, 10, BillingFacts(), at("2026-11-01T00:00")),
        unpriced=2,
        addresses=Decimal("744.00"),
    )
    said = cost_card(month).text
    assert "Not counted: 2 media nodes whose price is unknown" in said
    assert "Not counted: 744.0 address-hours" in said


def test_addresses_that_are_billed_apart_are_counted() -> None:
    v5 = Droplet(1, "a", "active", size="s5-2vcpu-4gb", hourly=PRICE)
    assert hourly(Cluster("acme", "acme", masters=(v5, v5))).addresses == 2


def test_viewers_are_few_and_forgotten_in_time() -> None:
    async def story() -> None:
        clock = loop_clock(ORIGIN)
        homes = HomeViewers(SqliteStore(None, clock, threaded=False))
        for number in range(HomeViewers.MOST + 50):
            await homes.opened(Viewer(f"U{number}", "T", "", ORIGIN + 100 + number), ORIGIN)
        await homes.opened(Viewer("U249", "T", "", ORIGIN + 900), ORIGIN)
        found = await homes.viewers(ORIGIN + 1)
        assert len(found) == HomeViewers.MOST
        assert [v.until for v in found if v.user == "U249"] == [ORIGIN + 900]
        assert "U0" not in [v.user for v in found]
        assert [v.user for v in await homes.viewers(ORIGIN + 800)] == ["U249"]

    virtual.run(story())
