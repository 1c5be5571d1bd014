"""The lists of runs and of commands."""

from handlers.slack.blocks import Card, context, section
from handlers.slack.markup import date_time
from handlers.views.text import without_formatting
from services.runs.run import Run

HELP_LINES = 10  # commands in a block; Slack takes 3,000 characters

PAGES = "https://openvidu.io/latest/docs/self-hosting"
OUTSIDE = (
    "Not from chat, but at a keyboard: "
    f"editing files under `config/` ({PAGES}/configuration/changing-config/), "
    f"in-place upgrades ({PAGES}/ha/digitalocean/upgrade/), "
    f"restic and mongodump backups, restore, uninstall ({PAGES}/ha/digitalocean/admin/)."
)


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


def help_card(usages: list[tuple[str, str]], may: str, extra: list[str]) -> Card:
    """List commands as pairs of usage and summary. `may`: what the reader may do, in words."""
    lines = [f"`/openvidu {usage}`\n{text}" for usage, text in usages]
    tail = [
        "Add `--dry-run` to see the plan only, `--at 22:00` to do it later, "
        '`--reason "…"` to say why, `--cluster NAME` for another cluster than this channel\'s.',
        "In a thread, mention the bot instead: `@openvidu status`.",
        *extra,
    ]
    commands = "; ".join(f"/openvidu {usage}" for usage, _ in usages)
    # What the reader may do comes first: a long text is cut at its end.
    text = f"{without_formatting(may)} Commands: {commands}. {without_formatting(' '.join(tail))}"
    parts = [
        section("\n".join(lines[n : n + HELP_LINES])) for n in range(0, len(lines), HELP_LINES)
    ]
    return Card(text, (*parts, context("\n".join([*tail, may]))))
