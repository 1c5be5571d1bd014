"""The month as a picture: a file that any reader of PNG takes, and its words."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO

import pytest
from PIL import Image

from handlers.views.month_chart import alt_text, month_picture
from handlers.views.month_drawing import CLOSED, KEPT, OPEN, PEOPLE, SHUT
from services.billing.busy_hours import BusyHour, HourCounts, busy_hours, counted
from services.billing.droplet_hours import Closing, month_of
from services.billing.savings import Day

DAYS = [
    Day(
        f"2026-11-{n:02}",
        Decimal("11.5") if n % 7 else Decimal(24),
        Decimal("1.5") if n == 4 else Decimal(0),
    )
    for n in range(1, 31)
]


def drawn(days: list[Day], hours: Sequence[BusyHour] = ()) -> Image.Image:
    image = Image.open(BytesIO(asyncio.run(month_picture("acme", days, hours)).png))
    assert image.format == "PNG"
    image.load()
    return image


def share(image: Image.Image, colour: str) -> float:
    """Return the share of pixels of that colour."""
    wanted = tuple(bytes.fromhex(colour.removeprefix("#")))
    pixels = list(image.convert("RGB").get_flattened_data())
    return pixels.count(wanted) / len(pixels)


def test_closed_open_and_kept_up_hours_have_their_share() -> None:
    image = drawn(DAYS)
    closed, kept = sum(float(d.closed) for d in DAYS), sum(float(d.kept) for d in DAYS)
    still_open = 24.0 * len(DAYS) - closed - kept
    assert share(image, CLOSED) / share(image, OPEN) == pytest.approx(closed / still_open, rel=0.1)
    assert 0 < share(image, KEPT) < 0.01


def test_an_empty_month_and_very_many_days_are_pictures_of_a_bounded_size() -> None:
    assert drawn([]).width <= drawn(DAYS * 20).width < 1000
    assert alt_text([]) == "Hours closed per day. Open all the time."


def test_its_words() -> None:
    assert alt_text(DAYS[3:4]) == "Hours closed per day. 04: 11.5 h closed, 1.5 h kept up."


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def counted_month() -> tuple[BusyHour, ...]:
    """Thirty people at 10:00 UTC, none at 15:00, closed 20:00-06:00, never counted at 7:00."""
    counts: HourCounts = {}
    for day in range(1, 11):
        for hour, people in ((10, 20), (10, 40), (15, 0)):
            counts = counted(counts, at(f"2026-11-{day:02}T{hour}:30"), people, 40 * 86400.0)
    nights = [
        Closing("closed", at(f"2026-11-{d:02}T20:00"), at(f"2026-11-{d + 1:02}T06:00"), (), ())
        for d in range(1, 10)
    ]
    return busy_hours(counts, nights, month_of(2026, 11, at("2026-11-11T00:00")), "UTC")


def test_people_by_hour_of_the_day_and_the_closed_share() -> None:
    hours = counted_month()
    assert [h.hour for h in hours] == list(range(24))
    assert (hours[10].people, hours[10].most) == (Decimal(30), 40)
    assert hours[10].closed == 0
    assert (hours[15].people, hours[15].most) == (Decimal(0), 0)
    assert hours[7].people is None, "not counted is not no one"
    assert hours[21].closed == Decimal("0.90")
    said = alt_text(DAYS, hours)
    assert "10:00: 30, most 40" in said
    assert "21:00: closed 90% of the time" in said
    assert "Not counted at 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12" in said


def test_the_hours_are_those_of_the_cluster() -> None:
    counts = counted({}, at("2026-11-02T23:30"), 5, 1e9)
    hours = busy_hours(counts, (), month_of(2026, 11, at("2026-11-05T00:00")), "Europe/Madrid")
    assert [h.hour for h in hours if h.most] == [0]
    assert busy_hours({}, (), month_of(2026, 11, at("2026-11-05T00:00")), "UTC") == ()


def test_counts_of_long_ago_are_dropped() -> None:
    counts = counted({}, at("2026-09-01T10:00"), 5, 63 * 86400.0)
    assert list(counted(counts, at("2026-11-20T10:00"), 5, 63 * 86400.0)) == ["2026-11-20"]


def test_both_charts_are_drawn() -> None:
    image = drawn(DAYS, counted_month())
    assert image.height == 2 * drawn(DAYS).height
    assert share(image, PEOPLE) > 0
    assert share(image, SHUT) > share(image, PEOPLE)


def test_pillow_is_loaded_only_when_a_chart_is_drawn() -> None:
    code = "import bot.app, handlers.commands.cost, sys; print('PIL' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
