"""Finds what became worse: figures measured now, beside those that are committed.

Only ratios are compared, never seconds or bytes: the two were measured on different machines.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.figures import Figure


def regressions(before: Sequence[Mapping[str, Any]], now: Sequence[Figure]) -> list[str]:
    """Return a line for each figure that is worse than its tolerance allows, or is missing."""
    measured = {(f.group, f.name): f for f in now}
    lines = []
    for record in before:
        figure = measured.get((record["group"], record["name"]))
        if figure is None:
            lines.append(f"{record['group']}: {record['name']}: it is no longer measured")
        elif line := _worse(float(record["ratio"]), figure):
            lines.append(line)
    known = {(record["group"], record["name"]) for record in before}
    fresh = [f for f in now if (f.group, f.name) not in known and f.kept is False]
    return lines + [f"{_what(f)}, and {f.promise} is promised" for f in fresh]


def _worse(before: float, figure: Figure) -> str:
    """Return how it is worse; "" if it is not."""
    kept_before = _is_kept(before, figure)
    if figure.kept is False and kept_before:
        return f"{_what(figure)}, it was {before:.3g}, and {figure.promise} is promised"
    if figure.tolerance is None:
        return ""
    if figure.at_least:
        bound = before / (1 + figure.tolerance)
        is_worse = figure.ratio < bound
    else:
        bound = before * (1 + figure.tolerance)
        is_worse = figure.ratio > bound
    if not is_worse:
        return ""
    return f"{_what(figure)}, it was {before:.3g}, and {bound:.3g} is tolerated"


def _is_kept(ratio: float, figure: Figure) -> bool:
    if figure.limit is None:
        return True
    if figure.at_least:
        return ratio >= figure.limit
    return ratio <= figure.limit


def _what(figure: Figure) -> str:
    return f"{figure.group}: {figure.name}: the ratio is {figure.ratio:.3g}"
