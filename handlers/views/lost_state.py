"""What a message says from the moment on when the bot has lost its memory of what it is about."""

from handlers.slack.blocks import Card, escape, section
from handlers.views.text import plain
from services.runs.run import Run


def lost_card(cluster: str, why: str, run: Run | None) -> Card:
    """No buttons: nothing of it can be decided any more. `run`: as it was seen last, where it is about one."""
    lost = f"*The bot lost its memory of this* · {escape(why)}."
    if run is None:
        words = f"{lost} Nothing was changed. Ask again with the command, when {cluster} is not on hold any more."
    else:
        at = f"step {min(run.position + 1, len(run.steps))} of {len(run.steps)}"
        doing = f", {run.step.title()}" if run.step is not None else ""
        words = (
            f"{lost} `{run.id}` {escape(run.plan.procedure.words())} was seen last at {at}{doing}. "
            f"Nobody drives it now, and nothing was undone. {cluster} is on hold; `/openvidu status` shows how it is."
        )
    return Card(plain(words), (section(words),))
