"""What droplets have cost since the month began, and who is remembered to have App Home open."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from services.clock import loop_clock
from services.cluster import Droplet
from services.memory import Homes, Viewer
from services.prices import so_far
from services.store.sqlite import SqliteStore
from tests.support import virtual

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
    droplet = Droplet(1, "a", "off", hourly=PRICE, created_at=created)
    assert so_far([droplet, droplet], at(now)) == 2 * PRICE * hours


def test_viewers_are_few_and_forgotten_in_time() -> None:
    async def story() -> None:
        clock = loop_clock(ORIGIN)
        homes = Homes(SqliteStore(None, clock, threaded=False))
        for number in range(Homes.MOST + 50):
            await homes.opened(Viewer(f"U{number}", "T", "", ORIGIN + 100 + number), ORIGIN)
        await homes.opened(Viewer("U249", "T", "", ORIGIN + 900), ORIGIN)
        found = await homes.viewers(ORIGIN + 1)
        assert len(found) == Homes.MOST
        assert [v.until for v in found if v.user == "U249"] == [ORIGIN + 900]
        assert "U0" not in [v.user for v in found]
        assert [v.user for v in await homes.viewers(ORIGIN + 800)] == ["U249"]

    virtual.run(story())
