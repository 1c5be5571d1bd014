"""Draws a timeline with Pillow: a lane for each source. Loaded only when one is drawn."""

from datetime import UTC, datetime
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from services.timeline import Moment, Source, Timeline

WHITE, GRID, INK, MUTED = "#ffffff", "#e1e4e8", "#1d1c1d", "#646b73"
DOT = {
    Source.RUN: "#2e7d5b",
    Source.AUDIT: "#264678",
    Source.DIGITALOCEAN: "#0069ff",
    Source.POOL: "#0069ff",
    Source.SLACK: "#4a154b",
}
WRONG = "#c0392b"
TROUBLE = ("pauses", "rolls back", "is cancelled")
WIDTH, LEFT, RIGHT, TOP, LANE, TEXT = 900, 130, 24, 34, 46, 13  # pixels
TICKS = 6
# Labels are drawn where there is room for them.
LABEL = 150


def draw_timeline(timeline: Timeline, clock: str = "%H:%M:%S") -> bytes:
    """Return the timeline as PNG. `clock`: how times are written."""
    lanes = [s for s in Source if any(m.source is s for m in timeline.moments)]
    image = Image.new("RGB", (WIDTH, TOP + max(1, len(lanes)) * LANE + 30), WHITE)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(TEXT)
    if timeline.moments:
        begins = min(m.at for m in timeline.moments)
        ends = max(max(m.at, m.until or m.at) for m in timeline.moments)
        scale = (WIDTH - LEFT - RIGHT) / max(1.0, ends - begins)
        _axis(pen, font, begins, ends, len(lanes), clock)
        for index, source in enumerate(lanes):
            found = [m for m in timeline.moments if m.source is source]
            _lane(pen, font, source, found, index, begins, scale)
    data = BytesIO()
    image.save(data, "PNG", optimize=True)
    return data.getvalue()


def _axis(
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    begins: float,
    ends: float,
    lanes: int,
    clock: str,
) -> None:
    for tick in range(TICKS + 1):
        x = LEFT + (WIDTH - LEFT - RIGHT) * tick / TICKS
        at = begins + (ends - begins) * tick / TICKS
        pen.line((x, TOP - 6, x, TOP + lanes * LANE), fill=GRID)
        words = datetime.fromtimestamp(at, UTC).strftime(clock)
        pen.text((x, TOP + lanes * LANE + 6), words, fill=MUTED, font=font, anchor="ma")


def _lane(
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    source: Source,
    moments: list[Moment],
    index: int,
    begins: float,
    scale: float,
) -> None:
    y, free = TOP + index * LANE + LANE / 2, 0.0
    pen.text((8, y), str(source), fill=INK, font=font, anchor="lm")
    pen.line((LEFT, y, WIDTH - RIGHT, y), fill=GRID)
    for moment in moments:
        x = LEFT + (moment.at - begins) * scale
        colour = WRONG if moment.text.startswith(TROUBLE) else DOT[source]
        if moment.until is not None:
            pen.line((x, y, LEFT + (moment.until - begins) * scale, y), fill=colour, width=5)
        pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour)
        if x >= free and x < WIDTH - RIGHT - LABEL / 2:
            pen.text((x, y - 8), moment.text[:22], fill=INK, font=font, anchor="ls")
            free = x + LABEL
