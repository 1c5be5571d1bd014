"""What a message says after the bot lost the state that it is about."""

from handlers.slack.blocks import Card, escape, header, section
from handlers.views.text import sentence, without_formatting
from services.runs.run import Run


def lost_card(cluster: str, why: str, run: Run | None) -> Card:
    """Return a card without buttons. `run`: as it was last seen, for a message about a run."""
    title = f"The bot lost this request of {cluster}"
    if run is not None:
        title = f"The bot lost {run.id}: nothing drives it now"
    reason, text = sentence(escape(why), (cluster,)), _consequence(cluster, run)
    spoken = without_formatting(f"{reason} {text}")
    return Card(f"{title} · {spoken}", (header(title), section(f"{reason}\n{text}")))


def _consequence(cluster: str, run: Run | None) -> str:
    if run is None:
        return f"Nothing was changed. Request it again once {cluster} is no longer on hold."
    at, of = run.place
    where = f"step {at} of {of}"
    if run.step is not None:
        where += f": {run.step.title()}"
    return (
        f"`{run.id}` ({escape(run.plan.procedure.command_line())}) was last seen at {where}. "
        "Nothing was undone. "
        f"{cluster} is on hold; `/openvidu status` shows its state."
    )
