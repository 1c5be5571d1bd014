"""Counts actions, faults and findings while they happen, and prints them at the end."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class ChaosTally:
    """`problems` is what must stay empty; everything else only shows that something happened."""

    seed: int
    seconds: float
    say: Callable[[str], None] = print
    faults: Counter[str] = field(default_factory=Counter)
    people: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    facts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def told(self) -> str:
        """The summary."""
        lines = [f"chaos: seed {self.seed}, {self.seconds:.0f} s of it"]
        for name, counted in (
            ("went wrong", self.faults),
            ("people", self.people),
            ("runs", self.runs),
            ("seen", self.facts),
        ):
            lines.append(
                f"  {name}: "
                + (", ".join(f"{what} {n}" for what, n in counted.most_common()) or "nothing")
            )
        lines.append("  problems: " + ("none" if not self.problems else f"{len(self.problems)}"))
        return "\n".join([*lines, *(f"    {p}" for p in self.problems)])
