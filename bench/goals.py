"""The goals, each with what was measured, and what it is measured against."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.figures import Figure

OURS, RATIO = "ours", "ratio"
READY_BEFORE = 3.43  # times the bare app, before anything was done about it (2026-11-25)


@dataclass(frozen=True)
class Goal:
    """A goal: the figures it is about, by group and name; the worst of them decides.

    `of`: whether `most` is about our value or about the ratio.
    """

    text: str
    group: str
    name: str
    most: float
    of: str = RATIO

    def figures(self, figures: Iterable[Figure]) -> list[Figure]:
        """Return the figures that it is about."""
        return [
            f
            for f in figures
            if f.group.startswith(self.group) and f.name.startswith(self.name) and not f.at_least
        ]

    def value(self, figure: Figure) -> float:
        """Return the value that it limits."""
        return figure.ours if self.of == OURS else figure.ratio


ASKED, TIMES = "Procedures: requests", "Procedures: estate time"
SHARED = "1,000 clusters on 3 bots"
DROPLET = "An hour on a droplet"
GOALS = (
    Goal("Idle memory ≤ 90 MB", "Weight", "memory, idle", 90.0, OURS),
    Goal(
        f"Ready in ≤ 0.8 × before, that is ≤ {0.8 * READY_BEFORE:.2f} × the bare app",
        "Weight",
        "process start to listening",
        0.8 * READY_BEFORE,
    ),
    Goal("Installed ≤ 80 MB in the image", "Weight", "installed in the image", 80.0, OURS),
    Goal("Each procedure ≤ 4 × the least requests", ASKED, "", 4.0),
    Goal("… at ≤ 1.05 × the critical path", TIMES, "", 1.05),
    Goal("A crowd of 100 within a minute's budget", "100 clusters", "most requests in a m", 1.0),
    Goal("… and within an hour's", "100 clusters", "most requests in an h", 1.0),
    Goal("`make test` ≤ 180 s on two quiet cores", "`make test`", "alone", 180.0, OURS),
    Goal("… ≤ 400 s beside two busy loops", "`make test`", "beside", 400.0, OURS),
    Goal("10,000 seeds ≤ 15 minutes", "Simulation", "10,000 seeds", 15.0, OURS),
    Goal("No cluster without a driver for longer than the lease", SHARED, "a killed bot", 1.0),
    Goal("1,000 clusters: a round ends before the next begins", SHARED, "one round", 1.0),
    Goal(
        "10,000 clusters: at most half of Redis's core",
        "The state of 10,000",
        "share of a core, R",
        0.5,
    ),
    Goal("An hour in 512 MB", DROPLET, "memory, at most", 1.0),
    Goal("… without swapping, and none killed", DROPLET, "swapped", 0.0),
    Goal("… memory never full", DROPLET, "times that memory", 0.0),
    Goal("… on one core", DROPLET, "processor time", 1.0),
)


def goals_table(figures: Sequence[Figure], goals: Sequence[Goal] = GOALS) -> str:
    """Return the goals as a table for docs/performance.md."""
    head = ("goal", "now", "floor or peer", "ratio", "")
    rows = [head, tuple("---" for _ in head), *(_row(goal, figures) for goal in goals)]
    return "### Goals\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _row(goal: Goal, figures: Sequence[Figure]) -> tuple[str, ...]:
    about = goal.figures(figures)
    if not about:
        return (goal.text, "not measured", "", "", "")
    worst = max(about, key=goal.value)
    now, peer = worst.amounts
    verdict = "met"
    if (value := goal.value(worst)) > goal.most:
        verdict = f"MISSED by {_beyond(value, goal.most)}"
    name = f" ({worst.name})" if len(about) > 1 else ""
    return (goal.text, f"{now}{name}", f"{peer}: {worst.against}", f"{worst.ratio:.3g}", verdict)


def _beyond(value: float, most: float) -> str:
    if not most:
        return f"{value:.3g}"
    return f"{(value / most - 1) * 100:.0f} %"
