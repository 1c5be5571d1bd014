"""Measured ratios, and their tables."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

# Parts of a ratio.
SIMULATED_TIME, PROCESSOR_TIME, REAL_TIME = 0.02, 0.3, 0.5


class Unmeasured(RuntimeError):
    """What cannot be measured here, and why. It is an error, and never a number."""


@dataclass(frozen=True)
class Figure:
    """A measured value beside a peer's.

    `ratio` is ours divided by the peer's; `limit` is the promised ratio, None without a promise.
    `count`: it counts something that may not have happened. Every other 0 was not measured.
    `tolerance`: how much worse the ratio may become before `compare` reports it, as a part of it:
    nothing differs between two runs in simulated time, much does in real time. None: not compared.
    """

    group: str
    name: str
    ours: float
    peer: float
    unit: str
    against: str
    limit: float | None = None
    at_least: bool = False  # more is better, and the promise is a lower bound
    count: bool = False
    tolerance: float | None = REAL_TIME

    def __post_init__(self) -> None:
        """Unmeasured where one of both values can be none."""
        for whose, value in (("ours", self.ours), ("beside it", self.peer)):
            if not math.isfinite(value) or value < 0:
                raise Unmeasured(f"{self.group}: {self.name}: {whose} is {value}")
        if not self.peer or not (self.ours or self.count):
            raise Unmeasured(
                f"{self.group}: {self.name}: {self.ours:g} {self.unit} beside {self.peer:g}: "
                "one of both was not measured"
            )

    @property
    def ratio(self) -> float:
        return self.ours / self.peer

    @property
    def kept(self) -> bool | None:
        """Return whether the promise is kept; None if nothing is promised."""
        if self.limit is None:
            return None
        if self.at_least:
            return self.ratio >= self.limit
        return self.ratio <= self.limit

    @property
    def promise(self) -> str:
        """Return the promised ratio as text; "" without a promise."""
        if self.limit is None:
            return ""
        if self.at_least:
            return f"≥ {self.limit:g}"
        return f"≤ {self.limit:g}"

    @property
    def amounts(self) -> tuple[str, str]:
        """Return both values with their unit."""
        return _with_unit(self.ours, self.unit), _with_unit(self.peer, self.unit)

    def record(self) -> dict[str, object]:
        """Return the figure as JSON."""
        return {**asdict(self), "ratio": round(self.ratio, 4), "kept": self.kept}


def rows(figures: Iterable[Figure]) -> list[tuple[str, ...]]:
    """Return the cells of the table, header first."""
    head = ("what", "ours", "beside it", "", "ratio", "promised", "")
    return [head, *(_row(f) for f in figures)]


def _row(figure: Figure) -> tuple[str, ...]:
    verdict = {None: "", True: "kept", False: "MISSED"}[figure.kept]
    return (
        figure.name,
        *figure.amounts,
        figure.against,
        f"{figure.ratio:.3g}",
        figure.promise,
        verdict,
    )


def _with_unit(value: float, unit: str) -> str:
    digits = f"{value:.3g}"
    if value >= 100 or value == int(value):
        digits = f"{value:.0f}"
    return f"{digits} {unit}".strip()


def as_text(figures: Sequence[Figure]) -> str:
    """Return a table for each group, for a terminal."""
    lines: list[str] = []
    for group in dict.fromkeys(f.group for f in figures):
        table = rows(f for f in figures if f.group == group)
        widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
        lines += [
            "",
            group,
            *(
                "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
                for row in table
            ),
        ]
    return "\n".join(lines[1:])


def as_markdown(figures: Sequence[Figure]) -> str:
    """Return a table for each group, for docs/performance.md."""
    parts = []
    for group in dict.fromkeys(f.group for f in figures):
        head, *body = rows(f for f in figures if f.group == group)
        lines = [f"| {' | '.join(row)} |" for row in (head, tuple("---" for _ in head), *body)]
        parts.append(f"### {group}\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"
