"""Draws a curve through figures, as SVG."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 300, 64, 44, 40


def curve(title: str, x_name: str, y_name: str, points: Sequence[tuple[float, float]]) -> str:
    """Return a curve; the points are equally far apart on x, and y begins at zero."""
    most = max(y for _, y in points) * 1.15 or 1.0
    step = (WIDTH - LEFT - 24) / max(1, len(points) - 1)
    places = [
        (LEFT + n * step, HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * y / most)
        for n, (_, y) in enumerate(points)
    ]
    marks = "".join(_mark(x, y, point) for (x, y), point in zip(places, points, strict=True))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
        f'<text x="{LEFT}" y="22" font-size="14">{escape(title)}</text>'
        f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - 16}" fill="none" stroke="#888"/>'
        f'<polyline points="{line}" fill="none" stroke="#1264a3" stroke-width="2"/>{marks}'
        f'<text x="{WIDTH - 16}" y="{HEIGHT - 8}" text-anchor="end" fill="#555">'
        f"{escape(x_name)}</text>"
        f'<text x="12" y="{TOP - 4}" fill="#555" transform="rotate(-90 12 {TOP - 4})" '
        f'text-anchor="end">{escape(y_name)}</text></svg>\n'
    )


def _mark(x: float, y: float, point: tuple[float, float]) -> str:
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#1264a3"/>'
        f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{point[1]:.3g}</text>'
        f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle" fill="#555">'
        f"{point[0]:,.0f}</text>"
    )
