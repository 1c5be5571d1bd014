"""Draws a curve through figures, and the floor below it, as SVG."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 300, 64, 44, 56
DASHED = ' stroke-dasharray="5 4"'
OURS, FLOOR = "#1264a3", "#888888"
Points = Sequence[tuple[float, float]]


def curve(
    title: str, x_name: str, y_name: str, points: Points, floor: Points, floor_name: str
) -> str:
    """Return a curve and its floor; points are equally far apart on x, and y begins at zero."""
    if [x for x, _ in points] != [x for x, _ in floor]:
        raise ValueError("a floor has the same places as the curve above it")
    most = max(y for _, y in (*points, *floor)) * 1.15
    places = _places(points, most)
    marks = "".join(_mark(x, y, value) for (x, y), value in zip(places, points, strict=True))
    edge, left = HEIGHT - BOTTOM, WIDTH - 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12" role="img" aria-label="{escape(title)}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
        f'<text x="{LEFT}" y="22" font-size="14">{escape(title)}</text>'
        f'<text x="{LEFT}" y="40" fill="{FLOOR}">- - floor: {escape(floor_name)}</text>'
        f'<path d="M{LEFT} {TOP}V{edge}H{left}" fill="none" stroke="#888"/>'
        f"{_line(_places(floor, most), FLOOR, DASHED)}"
        f"{_line(places, OURS)}{marks}"
        f'<text x="{left}" y="{HEIGHT - 8}" text-anchor="end" fill="#555">'
        f"{escape(x_name)}</text>"
        f'<text x="12" y="{TOP - 4}" fill="#555" transform="rotate(-90 12 {TOP - 4})" '
        f'text-anchor="end">{escape(y_name)}</text></svg>\n'
    )


def _places(points: Points, most: float) -> list[tuple[float, float]]:
    step = (WIDTH - LEFT - 40) / max(1, len(points) - 1)
    height = HEIGHT - BOTTOM - TOP
    return [
        (LEFT + 8 + n * step, HEIGHT - BOTTOM - height * y / most)
        for n, (_, y) in enumerate(points)
    ]


def _line(places: Sequence[tuple[float, float]], colour: str, more: str = "") -> str:
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"{more}/>'


def _mark(x: float, y: float, point: tuple[float, float]) -> str:
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{OURS}"/>'
        f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{point[1]:.3g}</text>'
        f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle" fill="#555">'
        f"{point[0]:,.0f}</text>"
    )
