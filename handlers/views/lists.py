"""The list of runs."""

from handlers.slack.blocks import Card, context, header, section
from handlers.slack.markup import date_time, markup
from handlers.views.cluster_facts import run_line
from handlers.views.plan import title
from handlers.views.text import without_formatting
from services.common.text import duration
from services.runs.run import Run, State

MARKS = {State.DONE: "✓"}


def runs_card(name: str, runs: list[Run]) -> Card:
    """List the newest runs of a cluster."""
    if not runs:
        return Card(f"{name} has had no runs yet.", (section(f"{name} has had no runs yet."),))
    head, lines = f"Runs of {name}", [_line(run) for run in runs]
    foot = "`/openvidu run ID` shows one in full."
    return Card(
        f"{head}: {without_formatting('; '.join(lines))}",
        (header(head), section("\n".join(lines)), context(foot)),
    )


def _line(run: Run) -> str:
    if run.over:
        return ended_run_line(run)
    return run_line(run)


def ended_run_line(run: Run, link: str = "") -> str:
    """Return how a run ended, when, how long it took and whose it was. `link`: to its message."""
    name = f"`{run.id}`"
    if link:
        name = f"<{link}|{run.id}>"
    mark, ended = MARKS.get(run.state, "–"), f"{run.state.words} {date_time(run.ended_at)}"
    took = f"took {duration(run.ended_at - run.opened_at)}"
    what = f"{mark} *{title(run.plan)}*"
    line = " · ".join((what, ended, took, markup(run.requester.mention), name))
    if run.glass:
        line += " · break-glass"
    return line
