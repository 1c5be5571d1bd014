"""A month of opening hours as a PNG: a chart of thirty bars is not worth a large library."""

import struct
import zlib
from collections.abc import Sequence

from services.billing.savings import Day

Colour = tuple[int, int, int]
WHITE, GRID, INK = (255, 255, 255), (225, 228, 232), (70, 78, 86)
OPEN, CLOSED, KEPT = (208, 226, 214), (38, 70, 120), (230, 140, 40)
BAR, GAP, HOUR = 18, 4, 6  # pixels: a day's width, between days, an hour's height
LEFT, TOP, BELOW = 30, 10, 22
SCALE = 2  # of the digits
# Each digit in five rows of three pixels, as octal: 0 is 7 5 5 5 7.
ROWS = ("75557", "26227", "71747", "71717", "55711", "74717", "74757", "71111", "75757", "75717")


class Canvas:
    """A grid of RGB pixels that can be encoded as PNG."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._rows = [bytearray(bytes(WHITE) * width) for _ in range(height)]

    def fill(self, left: int, top: int, width: int, height: int, colour: Colour) -> None:
        """Fill a rectangle."""
        width = min(width, self.width - left)
        for row in self._rows[max(0, top) : max(0, top + height)]:
            row[left * 3 : (left + width) * 3] = bytes(colour) * width

    def number(self, left: int, top: int, text: str) -> None:
        """Draw digits."""
        for place, digit in enumerate(text):
            for y, bits in enumerate(ROWS[int(digit)]):
                for x in range(3):
                    if int(bits) >> (2 - x) & 1:
                        self.fill(
                            left + (place * 4 + x) * SCALE, top + y * SCALE, SCALE, SCALE, INK
                        )

    def png(self) -> bytes:
        """Return the picture as a PNG file."""
        head = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        data = zlib.compress(b"".join(b"\0" + bytes(row) for row in self._rows), 9)
        return (
            b"\x89PNG\r\n\x1a\n"
            + _chunk(b"IHDR", head)
            + _chunk(b"IDAT", data)
            + _chunk(b"IEND", b"")
        )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def month_picture(days: Sequence[Day]) -> bytes:
    """Draw a bar per day.

    Closed hours are dark, from the bottom; kept-up hours are orange, above them; the rest was open.
    """
    canvas = Canvas(LEFT + len(days) * (BAR + GAP) + GAP, TOP + 24 * HOUR + BELOW)
    for index, day in enumerate(days):
        left = LEFT + GAP + index * (BAR + GAP)
        closed, kept = round(float(day.closed) * HOUR), round(float(day.kept) * HOUR)
        kept = min(kept, 24 * HOUR - closed)
        canvas.fill(left, TOP, BAR, 24 * HOUR, OPEN)
        canvas.fill(left, TOP + 24 * HOUR - closed, BAR, closed, CLOSED)
        canvas.fill(left, TOP + 24 * HOUR - closed - kept, BAR, kept, KEPT)
        number = str(int(day.date[-2:]))
        canvas.number(left + (BAR - len(number) * 8 + 2) // 2, TOP + 24 * HOUR + 6, number)
    for hour in (0, 6, 12, 18, 24):
        height = TOP + (24 - hour) * HOUR
        canvas.fill(LEFT - 4, height, canvas.width, 1, GRID)
        canvas.number(LEFT - 8 - len(str(hour)) * 8, height - 5, str(hour))
    return canvas.png()


def alt_text(days: Sequence[Day]) -> str:
    """Return the picture's alternative text: days on which the cluster was closed or kept up."""
    entries = "; ".join(_described(day) for day in days if day.closed or day.kept)
    return f"Hours closed per day. {entries or 'Open all the time'}."


def _described(day: Day) -> str:
    closed = f"{day.date[-2:]}: {day.closed:.1f} h closed"
    if not day.kept:
        return closed
    return f"{closed}, {day.kept:.1f} h kept up"
