"""Rehearsals: what one starts from, how one simulated run ended, and what all of them say. Pure.

`RehearsalStage` is how a simulated world is reached, which nothing here knows.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from services.cluster import model
from services.cluster.account_facts import AccountFact, AccountFacts
from services.cluster.backup_notes import BackupNotes, BackupSchedule, CountsNoted, DrillResult
from services.cluster.configuration import KeptFile, NodeConfiguration
from services.cluster.drills import DrillDroplet, DrillPart, DrillReport, DrillSeen
from services.cluster.installation import Installation, Updater, UpdateRecord
from services.cluster.leftovers import KeptThing, Leftover, LeftoversSeen, WasteNotes
from services.cluster.meeting_messages import MeetingMessages
from services.cluster.scaling import ScalingPermission
from services.common.observed import Unobserved
from services.common.serialize import Classes
from services.procedures import Procedure
from services.procedures.plan import Plan
from services.runs.run import CLASSES as RUN_CLASSES
from services.secrets_env import SecretsUnread

RUNS = 200
# Of twenty simulated runs, how many the range of durations holds where all of them finish.
OF_TWENTY = 19


@dataclass(frozen=True)
class Scenario:
    """What a rehearsal starts from. Times in seconds.

    `cluster`: as one look saw it, with what is kept of it. `usual`: of each kind of step, as
    measured on this cluster. `endings`: how long the last meeting went on after each recorded
    closing. `assumed`: what was not seen and is assumed, in sentences. `runs`: with bad luck, as
    many as fit into `seconds`.
    """

    cluster: model.Cluster
    procedure: Procedure
    at: float
    usual: tuple[tuple[str, float], ...] = ()
    endings: tuple[float, ...] = ()
    assumed: tuple[str, ...] = ()
    runs: int = RUNS
    seconds: float = math.inf
    seed: int = 0


class Ending(StrEnum):
    """How a simulated run ended, or why it did not."""

    DONE = "done"
    ROLLED_BACK = "rolled back"
    # It waits for an answer of people.
    ASKS = "asks"
    # It paused, for people to decide.
    STOPS = "stops"
    # It was still waiting for something when the rehearsal of this run was ended.
    WAITS = "waits"


@dataclass(frozen=True)
class PosedQuestion:
    """A question of a simulated run: its kind, and what decides in a few words."""

    kind: str
    headline: str


@dataclass(frozen=True)
class SimulatedRun:
    """How one simulated run ended.

    `seconds`: until then. `stopped`: in a few words; `step`: the kind of step that stopped.
    `resumed`: whether Resume brought it to its end once the trouble was over; None where it was
    not resumed. `disconnected`: people who lost their meeting by what the bot did. `gap`: longest
    time in which no new meeting could be opened. `serves`: whether one can be at its end.
    """

    ending: Ending
    seconds: float
    questions: tuple[PosedQuestion, ...] = ()
    stopped: str = ""
    step: str = ""
    resumed: bool | None = None
    disconnected: int = 0
    gap: float = 0.0
    serves: bool = True
    luck: tuple[str, ...] = ()

    @property
    def finished(self) -> bool:
        """Return whether it came to its end by itself, without a question."""
        return self.ending is Ending.DONE and not self.questions

    @property
    def kinds(self) -> frozenset[str]:
        """Return what happened that people have to deal with; or only that it is done."""
        happened = {f"asks {question.kind}" for question in self.questions}
        if self.ending is Ending.STOPS:
            happened.add(f"stops at {self.step}")
        elif self.ending is not Ending.ASKS:
            happened.add(str(self.ending))
        return frozenset(happened)


@dataclass(frozen=True)
class Often:
    """Something that happened in several simulated runs."""

    what: str
    runs: int


@dataclass(frozen=True)
class Rehearsal:
    """The result: the plan, one run as expected, and the runs with bad luck.

    `assumed`: what was assumed, in sentences. `measured`: kinds of steps that last here as long as
    they did on the real cluster.
    """

    plan: Plan
    expected: SimulatedRun
    runs: tuple[SimulatedRun, ...]
    assumed: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()
    wanted: int = RUNS

    # Durations

    @property
    def durations(self) -> list[float]:
        """Return how long those took that finished by themselves, the shortest first."""
        return sorted(run.seconds for run in self.runs if run.finished)

    @property
    def of_twenty(self) -> int:
        """Return how many of twenty runs the range holds: fewer where fewer finish."""
        if not self.runs:
            return 0
        return min(OF_TWENTY, 20 * len(self.durations) // len(self.runs))

    @property
    def has_answers_open(self) -> bool:
        """Return whether any run ended at a question or a pause: what follows was not played."""
        unfinished = (Ending.ASKS, Ending.STOPS, Ending.WAITS)
        return any(run.ending in unfinished for run in (self.expected, *self.runs))

    @property
    def slowest(self) -> float:
        """Return within how many seconds `of_twenty` of twenty runs finish."""
        needed = math.ceil(self.of_twenty / 20 * len(self.runs))
        return self.durations[needed - 1] if needed else 0.0

    @property
    def range(self) -> tuple[float, float]:
        """Return the shortest and the longest duration to expect of a run that finishes.

        One run of forty is faster, one of forty slower.
        """
        times = self.durations
        if not times:
            return self.expected.seconds, self.expected.seconds
        return _quantile(times, 0.025), _quantile(times, 0.975)

    # What may happen

    @property
    def kinds(self) -> frozenset[str]:
        """Return everything that happened in any simulated run."""
        return frozenset().union(self.expected.kinds, *(run.kinds for run in self.runs))

    @property
    def asking(self) -> list[SimulatedRun]:
        """Return the runs that asked people something."""
        return [run for run in self.runs if run.questions]

    @property
    def stopping(self) -> list[SimulatedRun]:
        """Return the runs that paused."""
        return [run for run in self.runs if run.ending is Ending.STOPS]

    @property
    def waiting(self) -> list[SimulatedRun]:
        """Return the runs that had no end within the time of the rehearsal, and no question."""
        return [r for r in self.runs if r.ending is Ending.WAITS and not r.questions]

    @property
    def rolling_back(self) -> list[SimulatedRun]:
        """Return the runs that undid what they had begun."""
        return [run for run in self.runs if run.ending is Ending.ROLLED_BACK]

    @property
    def questions(self) -> list[Often]:
        """Return what was asked and how often, by kind, the most frequent first."""
        asked = [{q.kind: q.headline for q in run.questions} for run in self.runs]
        counts = Counter(kind for one in asked for kind in one)
        return [
            Often(_most_frequent(one[kind] for one in asked if kind in one), number)
            for kind, number in counts.most_common()
        ]

    @property
    def stops(self) -> list[Often]:
        """Return where runs paused and how often, the most frequent first."""
        counts = Counter(run.step for run in self.stopping)
        return [
            Often(_most_frequent(r.stopped for r in self.stopping if r.step == step), number)
            for step, number in counts.most_common()
        ]

    @property
    def resumed(self) -> int:
        """Return how many of the paused runs Resume finished once the trouble was over."""
        return len([run for run in self.stopping if run.resumed])

    @property
    def disconnected(self) -> int:
        """Return the most people that any run disconnected."""
        return max((r.disconnected for r in (self.expected, *self.runs)), default=0)

    @property
    def gap(self) -> float:
        """Return the longest time without service of the runs that finished."""
        finished = (r.gap for r in (self.expected, *self.runs) if r.ending is Ending.DONE)
        return max(finished, default=self.expected.gap)

    @property
    def luck(self) -> list[str]:
        """Return the kinds of bad luck that runs had, the most frequent first."""
        counts = Counter(kind for run in self.runs for kind in run.luck)
        return [kind for kind, _ in counts.most_common()]


def least_media(cluster: model.Cluster) -> int:
    """Return the autoscaler's least number of media nodes: as the settings say, else as seen."""
    if cluster.autoscaler_minimum is not None:
        return cluster.autoscaler_minimum
    before = cluster.last_seen.media if cluster.last_seen is not None else 0
    return max(len(cluster.media), before, cluster.nodes_before_shutdown or 0, 1)


def _quantile(times: Sequence[float], share: float) -> float:
    """Return the value below which this share of sorted times lies."""
    at = share * (len(times) - 1)
    low = math.floor(at)
    high = min(low + 1, len(times) - 1)
    return times[low] + (times[high] - times[low]) * (at - low)


def _most_frequent(words: Iterable[str]) -> str:
    return Counter(words).most_common(1)[0][0]


class RehearsalStage(Protocol):
    """Plays a scenario in a simulated world, apart from the bot.

    Refused when one is being played already, or when none can be.
    """

    async def play(self, scenario: Scenario) -> Rehearsal:
        """Play it within its time."""
        ...

    async def aclose(self) -> None:
        """End what is being played."""
        ...


@dataclass(frozen=True)
class RefusedPlan:
    """Why the plan was refused in the simulated world."""

    reason: str


CLASSES: Classes = {
    **RUN_CLASSES,
    **{
        kind.__name__: kind
        for kind in (
            *(Scenario, PosedQuestion, SimulatedRun, Rehearsal, RefusedPlan),
            *(model.Cluster, model.Droplet, model.MediaNode, model.NodeStatus, model.Agent),
            *(model.Signal, model.Pool, model.Autoscaler, model.Size, model.Snapshot),
            *(
                AccountFact,
                AccountFacts,
                KeptFile,
                NodeConfiguration,
                model.KnownFleet,
                model.StoppedNode,
                model.SecretsState,
                Installation,
                Updater,
                UpdateRecord,
                model.Timings,
                MeetingMessages,
                Unobserved,
                SecretsUnread,
            ),
            *(BackupNotes, BackupSchedule, CountsNoted, DrillResult, ScalingPermission),
            *(DrillSeen, DrillPart, DrillDroplet, DrillReport),
            *(LeftoversSeen, Leftover, WasteNotes, KeptThing),
        )
    },
}
