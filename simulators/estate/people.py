"""The people who meet, and do not know that anybody operates anything."""

import random
from typing import TYPE_CHECKING

from simulators.estate.things import Droplet, Meeting

if TYPE_CHECKING:
    from simulators.estate.estate import Estate


class People:
    """Opens meetings, ends them, and loses them when a node goes."""

    def __init__(self, estate: "Estate", seed: int) -> None:
        self.estate = estate
        self.dice = random.Random(f"people {seed}")  # noqa: S311 - repeatable, not secret
        self.rates: dict[str, float] = {}

    def open(
        self,
        stack: str,
        people: int,
        minutes: float,
        recordings: int,
        ingresses: int,
        *,
        hidden: int = 0,
        roomless: bool = False,
        on: Droplet | None = None,
    ) -> Meeting | None:
        """A meeting begins on the least loaded node that takes new ones, or on that one; None when it does not serve."""
        estate = self.estate
        nodes = [d for d in estate.serving(stack) if on is None or d is on]
        if not nodes:
            return None
        node = min(nodes, key=lambda d: (sum(m.people for m in estate.meetings_on(d.id)), d.id))
        number = estate.number()
        ends = estate.moment + minutes * 60
        meeting = Meeting(
            f"RM_{number}",
            f"room-{number}",
            stack,
            node.id,
            people,
            estate.moment,
            ends,
            recordings,
            ingresses,
            hidden,
            roomless,
        )
        estate.meetings[meeting.id] = meeting
        with estate.timeline.because("world", "people meet"):
            estate.timeline.after(minutes * 60, lambda: self.end(meeting))
        return meeting

    def team(self, stack: str, people: int, recordings: int, minutes: tuple[float, float]) -> None:
        """A team meets for so many minutes, and at that very moment for as many again, for ever; refused, it asks every second."""
        lasts = self.dice.uniform(*minutes)
        met = self.open(stack, people, lasts, recordings, 0)
        self.estate.timeline.after(
            lasts * 60 if met else 1.0, lambda: self.team(stack, people, recordings, minutes)
        )

    def end(self, meeting: Meeting) -> None:
        """Everybody says goodbye."""
        if (
            self.estate.meetings.pop(meeting.id, None) is not None
            and meeting.droplet_id in self.estate.droplets
        ):
            self.estate.nodes.work_ended(self.estate.droplets[meeting.droplet_id])

    def throw_out(self, meetings: list[Meeting], why: str) -> None:
        """The connection is gone in the middle of a sentence."""
        self.estate.watch.people_lost(meetings, why)
        for meeting in meetings:
            self.end(meeting)

    def cut_recordings(self, meetings: list[Meeting], why: str) -> None:
        """The recordings end in the middle; whoever is recorded goes on talking."""
        self.estate.watch.recordings_lost(meetings, why)
        for meeting in meetings:
            meeting.recordings = 0

    def traffic(self, stack: str, per_hour: float) -> None:
        """From now on meetings begin by themselves at this rate; 0 stops it."""
        was_running = self.rates.get(stack, 0.0) > 0
        self.rates[stack] = per_hour
        if per_hour > 0 and not was_running:
            self._next(stack)

    def _next(self, stack: str) -> None:
        if self.rates[stack] > 0:
            self.estate.timeline.after(
                self.dice.expovariate(self.rates[stack] / 3600), lambda: self._arrive(stack)
            )

    def _arrive(self, stack: str) -> None:
        dice = self.dice
        people, minutes, recorded = (
            dice.randint(2, 9),
            dice.uniform(4, 40),
            int(dice.random() < 0.25),
        )
        if self.rates[stack] > 0:
            self.open(stack, people, minutes, recorded, 0)
        self._next(stack)
