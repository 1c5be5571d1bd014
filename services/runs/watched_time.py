"""How long a run was really watched.

Time without a bot, or in which no look came through, is not time waited.
"""

import json
from dataclasses import dataclass

GAP = 180.0
"""The most that counts between two sightings.

After a longer one the process was suspended, or its clock was set.
"""

KEPT = 30 * 86400.0
"""Seconds that the store keeps the record of a run that no bot drives."""


@dataclass
class Stopwatch:
    """Adds up the time between sightings.

    `began` names what it measures: something else begins at 0.
    """

    began: float = 0.0
    seconds: float = 0.0
    last: float | None = None

    def tick(self, began: float, now: float) -> None:
        """Seen now; the time since the last sighting counts, if nothing came between."""
        if began != self.began:
            self.began, self.seconds, self.last = began, 0.0, None
        if self.last is not None:
            self.seconds += min(max(0.0, now - self.last), GAP)
        self.last = now

    def interrupt(self) -> None:
        """The time until the next sighting does not count."""
        self.last = None

    def read(self, began: float) -> float:
        """Seconds of what began then."""
        return self.seconds if began == self.began else 0.0


class Watch:
    """The clocks of one run.

    `step` and `wait` count time between looks that came through, `question` time with a bot there.

    `record` is what the bot before left of them.
    """

    def __init__(self, record: str | None = None) -> None:
        left: dict[str, tuple[float, float]] = json.loads(record) if record else {}
        self.step, self.wait, self.question = (
            Stopwatch(*left.get(name, (0.0, 0.0))) for name in ("step", "wait", "question")
        )

    def record(self) -> str:
        """The clocks as text, for the next worker."""
        clocks = {"step": self.step, "wait": self.wait, "question": self.question}
        return json.dumps({name: (clock.began, clock.seconds) for name, clock in clocks.items()})

    def interrupt(self) -> None:
        """A look did not come through."""
        self.step.interrupt()
        self.wait.interrupt()
