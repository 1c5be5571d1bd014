"""One measured ratio, and how a list of them is shown."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """What was measured beside what. `ratio` is ours divided by the peer's; `limit` is what was promised of it, None when nothing was."""

    group: str
    name: str
    ours: float
    peer: float
    unit: str
    against: str
    limit: float | None = None
    at_least: bool = False  # the promise is a lower bound

    @property
    def ratio(self) -> float:
        return self.ours / self.peer if self.peer else float("inf")

    @property
    def kept(self) -> bool | None:
        """Whether the promise is kept; None when there is none."""
        if self.limit is None:
            return None
        return self.ratio >= self.limit if self.at_least else self.ratio <= self.limit

    def record(self) -> dict[str, object]:
        """The figure as JSON has it."""
        return {**asdict(self), "ratio": round(self.ratio, 4), "kept": self.kept}


def rows(figures: Iterable[Figure]) -> list[tuple[str, ...]]:
    """The table's cells, header first."""
    head = ("what", "ours", "beside it", "", "ratio", "promised", "")
    return [head, *(_row(f) for f in figures)]


def _row(figure: Figure) -> tuple[str, ...]:
    sign = "≥" if figure.at_least else "≤"
    promised = "" if figure.limit is None else f"{sign} {figure.limit:g}"
    kept = {None: "", True: "kept", False: "MISSED"}[figure.kept]
    both = (_said(figure.ours, figure.unit), _said(figure.peer, figure.unit))
    return (figure.name, *both, figure.against, f"{figure.ratio:.3g}", promised, kept)


def _said(value: float, unit: str) -> str:
    digits = f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
    return f"{digits} {unit}".strip()


def as_text(figures: Sequence[Figure]) -> str:
    """For a terminal, a block for each group."""
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
    """For docs/performance.md."""
    parts = []
    for group in dict.fromkeys(f.group for f in figures):
        head, *body = rows(f for f in figures if f.group == group)
        lines = [f"| {' | '.join(row)} |" for row in (head, tuple("---" for _ in head), *body)]
        parts.append(f"### {group}\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"
