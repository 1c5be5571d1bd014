"""The people in meetings. They do not know that anyone operates the cluster."""

from simulators.cloud.events import DataReceived, Emit, MeetingEnded, MeetingsLost, RecordingsLost
from simulators.cloud.model import SimulatedDroplet, SimulatedMeeting
from simulators.cloud.state import CloudState
from simulators.dice import dice_of
from simulators.evidence import Source, rests_on

RETRY = 1.0
"""Seconds until a team that was refused tries again."""


class Meetings:
    """Opens and ends meetings, and loses them when a node fails."""

    def __init__(self, state: CloudState, emit: Emit) -> None:
        self.state, self.emit = state, emit
        self.dice = dice_of(f"people {state.seed}")
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
        on: SimulatedDroplet | None = None,
    ) -> SimulatedMeeting | None:
        """Open a meeting on the least loaded node that serves, or on the node `on`.

        None when it does not serve.
        """
        state = self.state
        nodes = [d for d in state.serving(stack) if on is None or d is on]
        if not nodes:
            return None
        node = min(nodes, key=lambda d: (sum(m.people for m in state.meetings_on(d.id)), d.id))
        number = state.number()
        meeting = SimulatedMeeting(
            f"RM_{number}",
            f"room-{number}",
            stack,
            node.id,
            people,
            state.now,
            state.now + minutes * 60,
            recordings,
            ingresses,
            hidden,
            roomless,
        )
        state.meetings[meeting.id] = meeting
        with state.timeline.caused_by("world", "people meet"):
            state.timeline.after(minutes * 60, lambda: self.end(meeting))
        return meeting

    def team(self, stack: str, people: int, recordings: int, minutes: tuple[float, float]) -> None:
        """Let a team meet for a random number of minutes, again and again.

        When refused, it retries every second.
        """
        minutes_long = self.dice.uniform(*minutes)
        meeting = self.open(stack, people, minutes_long, recordings, 0)
        seconds = minutes_long * 60 if meeting else RETRY
        self.state.timeline.after(seconds, lambda: self.team(stack, people, recordings, minutes))

    def receive(self, meeting: SimulatedMeeting, topic: str, data: bytes) -> None:
        """Let everyone in a meeting receive data."""
        again = any((topic, data) == (t, d) for t, d, _ in meeting.received)
        meeting.received.append((topic, data, self.state.now))
        self.emit(DataReceived(meeting, topic, data, again))

    def end(self, meeting: SimulatedMeeting) -> None:
        """End a meeting in the usual way."""
        ended = self.state.meetings.pop(meeting.id, None)
        if ended is not None and meeting.droplet_id in self.state.droplets:
            self.emit(MeetingEnded(self.state.droplets[meeting.droplet_id]))

    def throw_out(self, meetings: list[SimulatedMeeting], why: str) -> None:
        """Disconnect everyone in these meetings."""
        self.emit(MeetingsLost(tuple(meetings), why))
        for meeting in meetings:
            self.end(meeting)

    def cut_recordings(self, meetings: list[SimulatedMeeting], why: str) -> None:
        """Lose the recordings of these meetings; the meetings continue."""
        self.emit(RecordingsLost(tuple(meetings), why))
        for meeting in meetings:
            meeting.recordings = 0

    def traffic(self, stack: str, per_hour: float) -> None:
        """Let meetings begin at this rate from now on; 0 stops it."""
        was_running = self.rates.get(stack, 0.0) > 0
        self.rates[stack] = per_hour
        if per_hour > 0 and not was_running:
            self._schedule_next(stack)

    def _schedule_next(self, stack: str) -> None:
        if self.rates[stack] > 0:
            seconds = self.dice.expovariate(self.rates[stack] / 3600)
            self.state.timeline.after(seconds, lambda: self._arrive(stack))

    def _arrive(self, stack: str) -> None:
        dice = self.dice
        people, minutes = dice.randint(2, 9), dice.uniform(4, 40)
        recordings = int(dice.random() < 0.25)
        if self.rates[stack] > 0:
            self.open(stack, people, minutes, recordings, 0)
        self._schedule_next(stack)


rests_on(
    "containers",
    Source.SOURCE,
    "livekit pkg/service/roommanager.go: hidden participants are participants",
    "hidden recorders and agents hold a drain",
)
