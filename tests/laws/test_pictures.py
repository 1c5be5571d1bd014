"""The month as a picture: a file that any reader of PNG takes, and its words."""

import struct
import zlib
from decimal import Decimal

from handlers.views.month_chart import CLOSED, KEPT, alt_text, month_picture
from services.billing.savings import Day

DAYS = [
    Day(
        f"2026-11-{n:02}",
        Decimal("11.5") if n % 7 else Decimal(24),
        Decimal("1.5") if n == 4 else Decimal(0),
    )
    for n in range(1, 31)
]


def test_it_is_a_whole_png() -> None:
    data = month_picture(DAYS)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    at, found = 8, {}
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(
            kind + body
        )
        found[kind] = body
        at += 12 + length
    width, height = struct.unpack(">II", found[b"IHDR"][:8])
    pixels = zlib.decompress(found[b"IDAT"])
    assert len(pixels) == height * (1 + width * 3)
    assert set(pixels[:: 1 + width * 3]) == {0}
    assert bytes(CLOSED) in pixels
    assert bytes(KEPT) in pixels


def test_an_empty_month_is_a_picture_too() -> None:
    assert month_picture([]).startswith(b"\x89PNG")
    assert alt_text([]) == "Hours closed per day. Open all the time."


def test_its_words() -> None:
    assert alt_text(DAYS[3:4]) == "Hours closed per day. 04: 11.5 h closed, 1.5 h kept up."
