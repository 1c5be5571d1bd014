"""A run: one execution of a plan, recorded as events.

Card, audit trail and the point to resume from are all computed from that list.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, reduce

from services.access.policy import Actor
from services.cluster import model as facts
from services.cluster.identity import UNKNOWN_IDENTITY, Identity
from services.cluster.service_state import ServiceState
from services.common.serialize import Classes
from services.common.values import replace
from services.procedures import PROCEDURES
from services.procedures.plan import Plan, StepOutline
from services.runs.request import Act, Request, RequestState, Vote
from services.steps import STEPS, Choice, Effects, Question, Step
from services.steps.results import changes

# How a note about messages to meetings begins.
ABOUT_MESSAGES = "meetings"


@dataclass(frozen=True)
class Opened:
    """The run exists and has locked the cluster."""

    at: float
    run: str
    plan: Plan
    requester: Actor
    approvers: tuple[Actor, ...]
    reason: str
    channel: str = ""
    request: str = ""  # the approved request it came from
    edge: str = ""  # of a window: the edge that asked for it
    by: float = 0.0  # of a window that opens: when it is to serve
    glass: bool = False  # break-glass: no one else approved it
    bound: Identity = UNKNOWN_IDENTITY  # the cluster that it is about, whatever is called so later
    remarks: tuple[tuple[str, str], ...] = ()  # comments of approvers, by their key
    standing: float = 0.0  # of a window: when its standing approval was given
    agreed: float = 0.0  # of what was planned for later: when it was approved
    # Of a window that closes: when it opens again; 0: not as far as is known.
    opens: float = 0.0


@dataclass(frozen=True)
class Taken:
    """A worker drives it from here. `again`: it was driven before, by whichever process."""

    at: float
    worker: str
    epoch: int
    again: bool
    watched: float = 0.0  # seconds of the current step that bots before this one watched


@dataclass(frozen=True)
class EndedMeetings:
    """How many people a step disconnects, as the look before it shows. None: that is not seen.

    `named`: how many the card or question that people agreed to has named.
    """

    people: int | None
    named: int | None


@dataclass(frozen=True)
class Asked:
    """The request for a step is about to be sent. Written before it is sent, never after."""

    at: float
    step: int
    again: int
    # Of a step that ends meetings: who is in them as last seen, and who was on the card.
    ends: EndedMeetings | None = None


@dataclass(frozen=True)
class Reached:
    """The step's goal was observed to be reached."""

    at: float
    step: int
    basis: facts.Basis | None = None  # what the bot left, for the next look to compare with


@dataclass(frozen=True)
class Noted:
    """Something people should know that does not change the steps."""

    at: float
    text: str
    # It says that the run waits, and is of no interest once the run is over.
    waiting: bool = False
    # It says that people were disconnected whom no card had named; how many is not known.
    disconnects: bool = False

    @property
    def is_about_messages(self) -> bool:
        """Whether it counts the messages that meetings got."""
        return self.text.startswith(ABOUT_MESSAGES)

    @property
    def is_lasting(self) -> bool:
        """Whether it is still of interest once the run is over."""
        # A version that did not store `waiting` began such texts with these words.
        return not self.waiting and not self.text.startswith("still waiting")


@dataclass(frozen=True)
class Questioned:
    """People are asked."""

    at: float
    question: Question


@dataclass(frozen=True)
class Answered:
    """A choice was made; `choice` is "" when the goal was reached without one.

    `plan`: what those who approved the answer were shown; the run rests on that from here on. None:
    it rests on the approval of before.
    """

    at: float
    question: str
    choice: str
    by: Actor | None
    plan: Plan | None = None
    approvers: tuple[Actor, ...] = ()
    request: str = ""  # the approved request it came from


@dataclass(frozen=True)
class CancelAsked:
    """A person cancelled it: it stops at the next safe point."""

    at: float
    by: Actor
    reason: str = ""


@dataclass(frozen=True)
class Recovering:
    """A step's goal cannot be reached; `steps` lead back to a safe state."""

    at: float
    reason: str
    steps: tuple[Step, ...]
    basis: facts.Basis | None = None  # as the failed step left it


@dataclass(frozen=True)
class Stopped:
    """The run paused. The cluster stays locked until a person resumes or abandons the run."""

    at: float
    reason: str
    basis: facts.Basis | None = None  # as it was left
    brief: str = ""  # the reason in a few words, for a header
    service: ServiceState | None = None  # as the last look showed it


@dataclass(frozen=True)
class Resumed:
    """A person resumed it from that step.

    `plan`: what those who approved the resume were shown, where it needed an approval.
    """

    at: float
    by: Actor
    step: int
    plan: Plan | None = None
    approvers: tuple[Actor, ...] = ()
    request: str = ""  # the approved request it came from
    reason: str = ""


@dataclass(frozen=True)
class Ended:
    """It is over and the cluster is unlocked."""

    at: float
    how: str
    text: str
    by: Actor | None = None
    reason: str = ""  # that this person gave
    service: ServiceState | None = None  # as the last look showed it


Event = (
    Opened
    | Taken
    | Asked
    | Reached
    | Noted
    | Questioned
    | Answered
    | CancelAsked
    | Recovering
    | Stopped
    | Resumed
    | Ended
)


class State(StrEnum):
    """The states of a run, as its message names them."""

    RUNNING = "running"
    ASKING = "asking"
    STOPPED = "stopped"
    DONE = "done"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    ROLLED_BACK = "rolled back"
    LEFT = "left"  # a person chose to finish by hand

    @property
    def words(self) -> str:
        """The state in a sentence: `acme-1 is paused`."""
        return WORDS.get(self, str(self))


# Where the stored name is not what people read.
WORDS = {
    State.ASKING: "waiting for a decision",
    State.STOPPED: "paused",
    State.LEFT: "stopped for manual work",
}


OVER = frozenset({State.DONE, State.CANCELLED, State.ABANDONED, State.ROLLED_BACK, State.LEFT})


@dataclass(frozen=True)
class Run:
    """A run as its events make it. `position` is the current step; times are epoch seconds."""

    id: str
    plan: Plan
    requester: Actor
    approvers: tuple[Actor, ...]
    reason: str
    channel: str
    request: str
    opened_at: float
    steps: tuple[Step, ...]
    position: int = 0
    state: State = State.RUNNING
    events: int = 1
    asks: int = 0
    asked_at: float = 0.0
    step_began: float = 0.0
    wait_until: float = 0.0
    wait_from: float = 0.0  # when people granted more time, until `wait_until`
    watched: float = 0.0  # seconds of the current step that earlier workers watched
    asked_here: bool = False  # the last ask was made by the bot that drives it
    unsure: bool = False  # the last ask is an earlier worker's, and may never have been sent
    question: Question | None = None
    question_at: float = 0.0
    cancel: Actor | None = None
    leaving: str = ""  # a person chose to finish by hand
    left_by: Actor | None = None
    stopped: str = ""
    stopped_brief: str = ""
    stopped_at: float = 0.0
    service: ServiceState | None = None  # when it stopped or ended, as far as that was seen
    # Seconds by step that was begun, without those in which the run was stopped.
    spent: tuple[tuple[int, float], ...] = ()
    outcome: str = ""  # the state it ends in, where an answer led to another one than planned
    recovering: str = ""  # why it returns to a safe state
    basis: facts.Basis = facts.NOTHING_KNOWN
    notes: tuple[Noted, ...] = ()
    reached: tuple[Reached, ...] = ()
    answers: tuple[Answered, ...] = ()
    worker: str = ""
    takes: int = 0
    ended_at: float = 0.0
    ended_by: Actor | None = None
    end_text: str = ""
    edge: str = ""
    by: float = 0.0
    turned_back: str = ""  # why it returned, by people's choice or by default
    skipped: tuple[int, ...] = field(default=())
    glass: bool = False
    asked: tuple[Question, ...] = ()
    bound: Identity = UNKNOWN_IDENTITY
    begun: tuple[int, ...] = ()  # steps that were asked for, whatever became of them
    following: str = ""  # what to do next, shown at the end
    # The first step of the current plan: the cluster was looked at again when it was made.
    way_from: int = 0
    remarks: tuple[tuple[str, str], ...] = ()  # comments of approvers, by their key
    why_cancelled: str = ""
    why_ended: str = ""  # the reason that was given for abandoning it
    approved_at: float = 0.0  # when `approvers` approved what it rests on
    renewed: Plan | None = None  # what they were shown, where that was approved after the beginning
    standing: float = 0.0  # of a window: when its standing approval was given
    # Of what was planned for later: when it was approved. `approved_at` is when that was checked
    # again and the run opened.
    agreed: float = 0.0
    opens: float = 0.0  # of a window that closes: when it opens by itself again

    @property
    def shown(self) -> Plan:
        """The plan that the current approval was given for."""
        return self.renewed or self.plan

    @property
    def to_come(self) -> tuple[Step, ...]:
        """The steps from the current one on, without those that are skipped."""
        return tuple(
            s for i, s in enumerate(self.steps) if i >= self.position and i not in self.skipped
        )

    def asking(self, question: Question) -> Question:
        """The question with an id that is unique in this run."""
        return replace(question, id=f"{question.kind}.{len(self.asked) + 1}")

    @property
    def over(self) -> bool:
        return self.state in OVER

    @property
    def cluster(self) -> str:
        return self.plan.cluster

    @property
    def step(self) -> Step | None:
        """The current step; None when all are reached."""
        return self.steps[self.position] if self.position < len(self.steps) else None

    @property
    def labels(self) -> dict[tuple[str, str], str]:
        """The labels of all choices of its questions, by question and choice."""
        return {(q.id, c.id): c.label for q in self.asked for c in q.choices}

    @cached_property
    def stays_done(self) -> tuple[str, ...]:
        """What stays done if it ends now, with what was begun and is not undone."""
        step = self.step
        if step is not None and (not self.asked_at or type(step).request is Step.request):
            step = None
        return tuple(changes(self.steps_reached, step))

    @property
    def steps_reached(self) -> tuple[Step, ...]:
        """The steps that were reached, in order. One that was repeated counts where it was last."""
        indices = [r.step for r in self.reached if r.step < len(self.steps)]
        last = dict.fromkeys(reversed(indices))
        return tuple(self.steps[i] for i in reversed(last))

    @property
    def place(self) -> tuple[int, int]:
        """Which step it is at, and of how many, as people count them: without skipped ones."""
        counted = [i for i in range(len(self.steps)) if i not in self.skipped]
        before = [i for i in counted if i < self.position]
        return min(len(before) + 1, len(counted)), len(counted)

    def seconds_spent(self, step: int) -> float | None:
        """Return how long a step took so far; None if it was not begun."""
        spent = [seconds for index, seconds in self.spent if index == step]
        return sum(spent) if spent else None


def _opened(event: Opened) -> Run:
    return Run(
        id=event.run,
        plan=event.plan,
        requester=event.requester,
        approvers=event.approvers,
        reason=event.reason,
        channel=event.channel,
        request=event.request,
        opened_at=event.at,
        steps=tuple(s.bind_run(event.run, event.at) for s in event.plan.steps),
        basis=event.plan.basis,
        step_began=event.at,
        edge=event.edge,
        by=event.by,
        glass=event.glass,
        bound=event.bound,
        following=event.plan.following,
        remarks=event.remarks,
        approved_at=event.at,
        standing=event.standing,
        agreed=event.agreed,
        opens=event.opens,
    )


def _answered(run: Run, event: Answered) -> Run:
    question = run.question
    if question is None or question.id != event.question:
        return run
    run = _renewed(
        replace(run, question=None, state=State.RUNNING, answers=(*run.answers, event)), event
    )
    choice = next((c for c in question.choices if c.id == event.choice), None)
    if choice is None:
        return run
    if choice.basis is not None:
        run = replace(run, basis=run.basis.merged(choice.basis))
    if choice.ends:
        return replace(run, leaving=choice.ends, left_by=event.by)
    if choice.wait is not None:
        return replace(run, wait_until=event.at + choice.wait, wait_from=event.at)
    if choice.skip:
        run = _spent(run, event.at)
        rest = tuple(s.without_protection() for s in run.steps[run.position + 1 :])
        run = replace(
            run, steps=run.steps[: run.position + 1] + rest, skipped=(*run.skipped, run.position)
        )
        return _next(run, run.position + 1, event.at)
    if choice.steps is not None:
        run = _spent(run, event.at)
        # The step that was refused counts as skipped; what was chosen comes after it.
        chosen = tuple(s.bind_run(run.id, run.opened_at) for s in choice.steps)
        if choice.goes_on:
            chosen += run.steps[run.position + 1 :]
        run = replace(
            run, steps=run.steps[: run.position + 1] + chosen, skipped=(*run.skipped, run.position)
        )
        run = replace(
            run,
            recovering=choice.back or run.recovering,
            turned_back=choice.back or run.turned_back,
        )
        run = replace(
            run,
            following=choice.following or run.following,
            outcome=choice.outcome or run.outcome,
            way_from=run.position + 1,
        )
        return _next(run, run.position + 1, event.at)
    return run


def _renewed(run: Run, event: Answered | Resumed) -> Run:
    """Replace the approval that the run rests on, where the event has a new one."""
    if event.plan is None:
        return run
    return replace(
        run, renewed=event.plan, approvers=event.approvers, approved_at=event.at, agreed=0.0
    )


def _left(run: Run, basis: facts.Basis | None) -> Run:
    """Note what the bot itself left half done: that is no external change."""
    if basis is None:
        return run
    return replace(run, basis=run.basis.merged(basis))


def _spent(run: Run, at: float) -> Run:
    """Note how long the current step took; not while the run is stopped."""
    if run.step is None or run.state is State.STOPPED:
        return run
    return replace(run, spent=(*run.spent, (run.position, max(0.0, at - run.step_began))))


def _next(run: Run, position: int, at: float) -> Run:
    fresh = replace(run, asks=0, asked_at=0.0, asked_here=False, unsure=False, watched=0.0)
    return replace(fresh, position=position, step_began=at, wait_until=0.0, wait_from=0.0)


def _taken(run: Run, event: Taken) -> Run:
    """Discount an earlier worker's last ask: whether it was sent is unknown; it is repeated."""
    run = replace(run, worker=event.worker, takes=run.takes + 1, watched=event.watched)
    if not run.asked_here:
        return run
    return replace(run, asks=run.asks - 1, asked_here=False, unsure=True)


def apply(run: Run, event: Event) -> Run:  # noqa: C901 - a table in the shape of a match
    """The run after one more event."""
    run = replace(run, events=run.events + 1)
    match event:
        case Taken():
            return _taken(run, event)
        case Asked():
            begun = tuple(dict.fromkeys((*run.begun, event.step)))
            return replace(
                run,
                begun=begun,
                asks=event.again + 1,
                asked_at=event.at,
                asked_here=True,
                unsure=False,
            )
        case Reached():
            run = _spent(run, event.at)
            run = _left(replace(run, reached=(*run.reached, event)), event.basis)
            return _next(run, event.step + 1, event.at)
        case Noted():
            return replace(run, notes=(*run.notes, event))
        case Questioned():
            return replace(
                run,
                asked=(*run.asked, event.question),
                question=event.question,
                question_at=event.at,
                state=State.ASKING,
            )
        case Answered():
            return _answered(run, event)
        case CancelAsked():
            return replace(run, cancel=event.by, why_cancelled=event.reason)
        case Recovering():
            run = _spent(run, event.at)
            steps = run.steps[: run.position + 1] + event.steps
            run = replace(
                run,
                steps=steps,
                skipped=(*run.skipped, run.position),
                recovering=event.reason,
                cancel=None,
            )
            run = _left(replace(run, way_from=run.position + 1), event.basis)
            # What was begun may still change the sizes: they are known again after the first step
            # back.
            run = replace(run, basis=replace(run.basis, sizes=None))
            return _next(run, run.position + 1, event.at)
        case Stopped():
            run = _spent(run, event.at)
            run = replace(
                run,
                state=State.STOPPED,
                stopped=event.reason,
                stopped_brief=event.brief,
                stopped_at=event.at,
                service=event.service,
                question=None,
            )
            return _left(run, event.basis)
        case Resumed():
            return _next(
                _renewed(
                    replace(
                        run,
                        state=State.RUNNING,
                        stopped="",
                        stopped_brief="",
                        service=None,
                        cancel=None,
                    ),
                    event,
                ),
                event.step,
                event.at,
            )
        case Ended():
            run = _spent(run, event.at)
            run = replace(
                run,
                state=State(event.how),
                ended_at=event.at,
                end_text=event.text,
                ended_by=event.by,
                question=None,
                service=event.service or run.service,
            )
            return replace(run, why_ended=event.reason)
        case Opened():
            return run


def fold(events: Iterable[Event]) -> Run:
    """The run that these events make. The first one opens it."""
    listed = iter(events)
    first = next(listed)
    if not isinstance(first, Opened):
        raise TypeError("a run's first event opens it")
    return reduce(apply, listed, _opened(first))


CLASSES: Classes = {
    kind.__name__: kind
    for kind in (
        *STEPS,
        *PROCEDURES,
        *(
            Opened,
            Taken,
            EndedMeetings,
            Asked,
            Reached,
            Noted,
            Questioned,
            Answered,
            CancelAsked,
            Recovering,
            Stopped,
            Resumed,
            Ended,
        ),
        *(
            Plan,
            StepOutline,
            Effects,
            Choice,
            Question,
            Actor,
            Act,
            Vote,
            Request,
            facts.Load,
            facts.Basis,
            Identity,
            ServiceState,
        ),
    )
}

__all__ = ["CLASSES", "OVER", "Event", "Request", "RequestState", "Run", "State", "apply", "fold"]
