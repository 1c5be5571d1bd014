"""What journals and the audit tell, as moments. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from services.audit.entries import AuditAction, Entry, action_text
from services.runs.run import (
    Answered,
    Asked,
    CancelAsked,
    Ended,
    Event,
    Noted,
    Opened,
    Questioned,
    Reached,
    Recovering,
    Resumed,
    Run,
    Stopped,
    Taken,
    apply,
    fold,
)
from services.steps import Step
from services.timeline.moments import Moment, Source, entry_digest

# What a journal says too, in more words: one line, which the audit vouches for.
SAME = {
    AuditAction.OPENED: Opened,
    AuditAction.CANCELLED: CancelAsked,
    AuditAction.RESUMED: Resumed,
    AuditAction.ANSWERED: Answered,
    AuditAction.ENDED: Ended,
}
# Seconds between an event and its audit entry, which are written in one commit.
ONE_COMMIT = 5.0
# DigitalOcean's names of what a step asks for, by the step's class.
ACTIONS: Mapping[str, tuple[str, ...]] = {
    "PowerOff": ("shutdown", "power_off"),
    "PowerOffHost": ("shutdown", "power_off"),
    "NodesOff": ("shutdown", "power_off"),
    "PowerOn": ("power_on",),
    "NodesOn": ("power_on",),
    "Resize": ("resize",),
    "NodeSize": ("resize",),
    "Snapshots": ("snapshot",),
}
POOL_STEPS = ("PoolTarget",)
# Seconds that two clocks may differ by, for an event to be taken as the effect of a request.
MOST_SKEW = 900.0


def run_moments(events: Sequence[Event], texts: Sequence[str]) -> list[Moment]:
    """Return what a run's journal tells. `texts`: the same entries as stored."""
    if not events or not isinstance(events[0], Opened):
        return []
    run = fold(events[:1])
    moments = []
    for place, (event, text) in enumerate(zip(events, texts, strict=True)):
        if place:
            run_before, run = run, apply(run, event)
        else:
            run_before = run
        words, user = _words(run_before, event)
        moments.append(
            Moment(
                event.at,
                Source.RUN,
                words,
                run.id,
                user,
                f"journal {run.id}/{place}:{entry_digest(text)}",
                place=place,
                sees=isinstance(event, Reached | Stopped | Recovering | Ended),
            )
        )
    return moments


def _words(  # noqa: C901, PLR0912 - a table in the shape of a match
    run: Run, event: Event
) -> tuple[str, str]:
    """Return what happened, and the id of the person who did it."""
    match event:
        case Opened(requester=by):
            return f"begins: {run.plan.title}", by.user
        case Taken(worker=worker, again=again):
            return f"{'taken over' if again else 'taken'} by the bot {worker}", ""
        case Asked(step=step, again=again):
            repeated = f" (request {again + 1})" if again else ""
            return f"asks: {_title(run, step)}{repeated}", ""
        case Reached(step=step):
            return f"sees it done: {_title(run, step)}", ""
        case Noted(text=text):
            return f"notes: {text}", ""
        case Questioned(question=question):
            return f"asks people: {question.text}", ""
        case Answered(by=by, question=question, choice=choice):
            label = run.labels.get((question, choice), choice)
            if by is None:
                return "needs no answer any more", ""
            return f"is answered: “{label}”", by.user
        case CancelAsked(by=by, reason=reason):
            return f"is cancelled{_because(reason)}", by.user
        case Recovering(reason=reason):
            return f"rolls back: {reason}", ""
        case Stopped(reason=reason):
            return f"pauses: {reason}", ""
        case Resumed(by=by, reason=reason):
            return f"is resumed{_because(reason)}", by.user
        case Ended(how=how, text=text, by=by):
            return f"ends: {how}{f', {text}' if text else ''}", by.user if by else ""
    return type(event).__name__, ""


def _because(reason: str) -> str:
    return f" (“{reason}”)" if reason else ""


def _title(run: Run, step: int) -> str:
    return run.steps[step].title() if step < len(run.steps) else f"step {step + 1}"


def audit_moments(entries: Sequence[Entry], known: Sequence[Moment]) -> list[Moment]:
    """Return what the audit tells beside what the journals do.

    `known`: the journals' moments.
    """
    said = {(m.about, round(m.at)) for m in known}
    return [
        Moment(
            entry.at,
            Source.AUDIT,
            _entry_words(entry),
            entry.about,
            entry.user,
            f"audit {entry.number}:{entry.hash}",
            place=entry.number,
        )
        for entry in entries
        if not (entry.what in SAME and _is_said(entry, said))
    ]


def _is_said(entry: Entry, said: set[tuple[str, int]]) -> bool:
    near = range(round(entry.at - ONE_COMMIT), round(entry.at + ONE_COMMIT) + 1)
    return any((entry.about, at) in said for at in near)


def _entry_words(entry: Entry) -> str:
    change = " → ".join(v for v in (entry.before, entry.after) if v)
    parts = [action_text(entry.what), entry.about, f"“{entry.reason}”" if entry.reason else ""]
    return " · ".join(" ".join(p.split()) for p in (*parts, change) if p)


@dataclass(frozen=True)
class Span:
    """When a step was asked for, and when it was seen to be done, by the bots' clock."""

    step: Step
    after: float
    before: float

    def asked_for(self, kind: str, droplet: int, name: str) -> bool:
        """Tell whether the step asks DigitalOcean for this action on this droplet."""
        if kind not in ACTIONS.get(type(self.step).__name__, ()):
            return False
        ids = (*getattr(self.step, "ids", ()), getattr(self.step, "id", 0))
        names = (*getattr(self.step, "names", ()), getattr(self.step, "name", ""))
        return droplet in ids or name in names

    @property
    def asked_the_pool(self) -> bool:
        """Tell whether the step edits the pool, which then scales."""
        return type(self.step).__name__ in POOL_STEPS

    def is_near(self, at: float) -> bool:
        """Tell whether a time of another clock may be of this span."""
        return self.after - MOST_SKEW <= at <= self.before + MOST_SKEW


def spans_of(events: Sequence[Event], moments: Sequence[Moment]) -> list[Span]:
    """Return when the steps of a run were asked for and done. `moments`: of the same events."""
    if not events or not isinstance(events[0], Opened):
        return []
    spans: list[Span] = []
    asked: dict[int, float] = {}
    run = fold(events[:1])
    for event, moment in zip(events[1:], moments[1:], strict=True):
        if isinstance(event, Asked):
            asked.setdefault(event.step, moment.at)
        elif isinstance(event, Reached) and event.step in asked and event.step < len(run.steps):
            spans.append(Span(run.steps[event.step], asked.pop(event.step), moment.at))
        run = apply(run, event)
    return spans


def bounded(moments: Sequence[Moment], spans: Sequence[Sequence[Span]]) -> list[Moment]:
    """Return moments of another clock between their cause and their effect, where both are certain.

    `spans`: of each moment, the steps that may have asked for it. Certain: there is one step, and
    no other moment may be of the same step.
    """
    near = [
        [s for s in fits if s.is_near(moment.at)]
        for moment, fits in zip(moments, spans, strict=True)
    ]
    claimed = Counter(
        (id(fits[0]), m.about, m.text) for m, fits in zip(moments, near, strict=True) if fits
    )
    found = []
    for moment, fits in zip(moments, near, strict=True):
        certain = len(fits) == 1 and claimed[(id(fits[0]), moment.about, moment.text)] == 1
        if certain:
            found.append(replace(moment, after=fits[0].after, before=fits[0].before))
        else:
            found.append(moment)
    return found
