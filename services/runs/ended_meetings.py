"""How many people a step is about to disconnect, and how many of them people agreed to. Pure."""

from services.cluster.model import Cluster, Fact, Load
from services.common.observed import Observed
from services.runs.run import EndedMeetings, Run
from services.steps import Step


def ended_meetings(run: Run, step: Step, cluster: Cluster) -> EndedMeetings | None:
    """Return who is in the meetings that a step ends; None where it ends none.

    People are counted as cards count them: all of the cluster.
    """
    if Fact.LOAD not in step.needs or not step.effects(cluster).cuts_off:
        return None
    people = _people(cluster.load)
    if people == 0:
        return None
    return EndedMeetings(people, named(run))


def named(run: Run) -> int | None:
    """Return how many people the approved cards of a run disconnect; None where one did not see."""
    counts: list[int | None] = [0]
    if run.shown.effects.cuts_off:
        counts.append(_people(run.shown.meetings))
    asked = {question.id: question for question in run.asked}
    for answer in run.answers:
        question = asked.get(answer.question)
        if question is not None and any(
            c.id == answer.choice and c.loses for c in question.choices
        ):
            counts.append(_people(question.at_stake))
    seen = [count for count in counts if count is not None]
    return max(seen) if len(seen) == len(counts) else None


def _people(load: Observed[Load]) -> int | None:
    return load.people if isinstance(load, Load) else None
