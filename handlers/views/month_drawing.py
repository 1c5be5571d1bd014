"""Draws the charts of a month with Pillow. Loaded only when a chart is drawn."""

from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from services.billing.busy_hours import BusyHour
from services.billing.savings import Day

WHITE, GRID, INK = "#ffffff", "#e1e4e8", "#464e56"
OPEN, CLOSED, KEPT = "#d0e2d6", "#264678", "#e68c28"
PEOPLE, MOST, SHUT = "#2e7d5b", "#c0392b", "#cdd6e4"
BAR, GAP, HOUR = 18, 4, 6  # pixels: a day's width, between days, an hour's height
LEFT, TOP, BELOW, LEGEND = 40, 12, 24, 26
TEXT = 13  # pixels
STEPS = (0, 6, 12, 18, 24)  # hours that are named
MOST_DAYS, LEAST_DAYS = 31, 24  # bars that there is room for
HEIGHT = 24 * HOUR
PANEL = TOP + HEIGHT + BELOW + LEGEND


Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_month(days: Sequence[Day], hours: Sequence[BusyHour]) -> bytes:
    """Return a chart per day and, with `hours`, one per hour of the day, as PNG."""
    shown = days[:MOST_DAYS]
    width = LEFT + max(len(shown), LEAST_DAYS) * (BAR + GAP) + GAP
    panels = 1 + bool(hours)
    image = Image.new("RGB", (width, panels * PANEL), WHITE)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(TEXT)
    _days(pen, font, shown, width)
    if hours:
        _hours(pen, font, hours[:24], width)
    data = BytesIO()
    image.save(data, "PNG", optimize=True)
    return data.getvalue()


def _days(pen: ImageDraw.ImageDraw, font: Font, days: Sequence[Day], width: int) -> None:
    """Draw a bar per day: closed hours from the bottom, kept-up hours above them."""
    floor = TOP + HEIGHT
    for index, day in enumerate(days):
        left = LEFT + GAP + index * (BAR + GAP)
        closed = min(HEIGHT, round(float(day.closed) * HOUR))
        kept = min(HEIGHT - closed, round(float(day.kept) * HOUR))
        _bar(pen, left, floor, floor - HEIGHT, OPEN)
        _bar(pen, left, floor, floor - closed, CLOSED)
        _bar(pen, left, floor - closed, floor - closed - kept, KEPT)
        number = day.date[-2:].lstrip("0")
        pen.text((left + BAR / 2, floor + 4), number, fill=INK, font=font, anchor="ma")
    for hour in STEPS:
        _line(pen, font, floor - hour * HOUR, f"{hour} h", width)
    _legend(pen, font, floor + BELOW, ((OPEN, "open"), (CLOSED, "closed"), (KEPT, "kept up")))


def _hours(pen: ImageDraw.ImageDraw, font: Font, hours: Sequence[BusyHour], width: int) -> None:
    """Draw a bar per hour: the mean of people, a mark for the most, closed time behind them."""
    floor = PANEL + TOP + HEIGHT
    highest = max(1, *(h.most for h in hours))
    for index, hour in enumerate(hours):
        left = LEFT + GAP + index * (BAR + GAP)
        _bar(pen, left - GAP // 2, floor, floor - round(float(hour.closed) * HEIGHT), SHUT, GAP)
        if hour.people is not None:
            _bar(pen, left, floor, floor - round(float(hour.people) / highest * HEIGHT), PEOPLE)
            top = floor - round(hour.most / highest * HEIGHT)
            pen.line((left, top, left + BAR - 1, top), fill=MOST, width=2)
        pen.text((left + BAR / 2, floor + 4), str(hour.hour), fill=INK, font=font, anchor="ma")
    for share in (0.0, 0.5, 1.0):
        _line(pen, font, floor - round(share * HEIGHT), f"{highest * share:.0f}", width)
    names = ((PEOPLE, "people, mean"), (MOST, "most"), (SHUT, "closed, share of the time"))
    _legend(pen, font, floor + BELOW, names)


def _bar(
    pen: ImageDraw.ImageDraw, left: int, low: int, high: int, colour: str, wider: int = 0
) -> None:
    if high < low:
        pen.rectangle((left, high, left + BAR + wider - 1, low - 1), fill=colour)


def _line(pen: ImageDraw.ImageDraw, font: Font, height: int, words: str, width: int) -> None:
    pen.line((LEFT - 4, height, width, height), fill=GRID)
    pen.text((LEFT - 8, height), words, fill=INK, font=font, anchor="rm")


def _legend(
    pen: ImageDraw.ImageDraw, font: Font, top: int, names: Sequence[tuple[str, str]]
) -> None:
    left = float(LEFT)
    for colour, words in names:
        pen.rectangle((left, top + 2, left + 11, top + 13), fill=colour)
        pen.text((left + 17, top + 8), words, fill=INK, font=font, anchor="lm")
        left += 40 + pen.textlength(words, font=font)
