"""Lists: runs, and everything that can be said."""

from handlers.slack.blocks import Card, context, day, section
from handlers.views.text import plain
from services.runs.run import Run

HELP_LINES = 10  # commands in a block; Slack takes 3,000 characters

PAGES = "https://openvidu.io/latest/docs/self-hosting"
OUTSIDE = (
    f"Not from chat, but at a keyboard: editing files under `config/` ({PAGES}/configuration/changing-config/), in-place upgrades "
    f"({PAGES}/ha/digitalocean/upgrade/), restic and mongodump backups, restore, uninstall ({PAGES}/ha/digitalocean/admin/)."
)


def _glass(run: Run) -> str:
    return ", break-glass" if run.glass else ""


def runs_card(name: str, runs: list[Run]) -> Card:
    """The newest runs."""
    if not runs:
        return Card(f"{name} has had no runs yet.", (section(f"*{name}* has had no runs yet."),))
    lines = [
        f"`{r.id}` {r.plan.procedure.words()} · {r.state} · {day(r.opened_at)} · by {r.requester.mention}{_glass(r)}"
        for r in runs
    ]
    return Card(
        f"Runs of {name}: {plain('; '.join(lines))}",
        (section(f"*Runs of {name}*\n" + "\n".join(lines)),),
    )


def help_card(usages: list[tuple[str, str]], may: str, extra: list[str]) -> Card:
    """Every command with its meaning, from the procedures themselves."""
    lines = [f"`/openvidu {usage}`\n{text}" for usage, text in usages]
    tail = [
        'Add `--dry-run` to see the plan only, `--at 22:00` to do it later, `--reason "…"` to say why, '
        "`--cluster NAME` for another cluster than this channel's.",
        "In a thread, mention the bot instead: `@openvidu status`.",
        *extra,
        may,
    ]
    # What somebody may do comes first: a long text is cut at its end.
    text = (
        f"{plain(may)} Commands: "
        + "; ".join(f"/openvidu {usage}" for usage, _ in usages)
        + ". "
        + plain(" ".join(tail[:-1]))
    )
    parts = [
        section("\n".join(lines[n : n + HELP_LINES])) for n in range(0, len(lines), HELP_LINES)
    ]
    return Card(text, (*parts, context("\n".join(tail))))
