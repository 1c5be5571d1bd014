"""The list of runs."""

from handlers.slack.blocks import Card, section
from handlers.slack.markup import date_time
from handlers.views.text import without_formatting
from services.runs.run import Run


def runs_card(name: str, runs: list[Run]) -> Card:
    """List the newest runs of a cluster."""
    if not runs:
        return Card(f"{name} has had no runs yet.", (section(f"*{name}* has had no runs yet."),))
    lines = [_line(run) for run in runs]
    return Card(
        f"Runs of {name}: {without_formatting('; '.join(lines))}",
        (section(f"*Runs of {name}*\n" + "\n".join(lines)),),
    )


def _line(run: Run) -> str:
    what = f"`{run.id}` {run.plan.procedure.command_line()}"
    line = f"{what} · {run.state} · {date_time(run.opened_at)} · by {run.requester.mention}"
    if run.glass:
        line += ", break-glass"
    return line
