"""What a message says after the bot lost the state that it is about."""

from handlers.slack.blocks import Card, escape, section
from handlers.views.text import without_formatting
from services.runs.run import Run


def lost_card(cluster: str, why: str, run: Run | None) -> Card:
    """Return a card without buttons. `run`: as it was last seen, for a message about a run."""
    lost = f"*The bot lost its memory of this* · {escape(why)}."
    text = f"{lost} {_consequence(cluster, run)}"
    return Card(without_formatting(text), (section(text),))


def _consequence(cluster: str, run: Run | None) -> str:
    if run is None:
        return (
            "Nothing was changed. "
            f"Ask again with the command, when {cluster} is not on hold any more."
        )
    at = f"step {min(run.position + 1, len(run.steps))} of {len(run.steps)}"
    if run.step is not None:
        at += f", {run.step.title()}"
    return (
        f"`{run.id}` {escape(run.plan.procedure.command_line())} was seen last at {at}. "
        "Nobody drives it now, and nothing was undone. "
        f"{cluster} is on hold; `/openvidu status` shows how it is."
    )
