"""The lists of runs and of commands."""

from handlers.slack.blocks import Card, context, header, section
from handlers.slack.markup import date_time, markup
from handlers.views.cluster_facts import run_line
from handlers.views.plan import title
from handlers.views.text import without_formatting
from services.common.text import duration
from services.runs.run import Run, State

MARKS = {State.DONE: "✓"}

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
    mark, ended = MARKS.get(run.state, "–"), f"{run.state} {date_time(run.ended_at)}"
    took = f"took {duration(run.ended_at - run.opened_at)}"
    what = f"{mark} *{title(run.plan)}*"
    line = " · ".join((what, ended, took, markup(run.requester.mention), name))
    if run.glass:
        line += " · break-glass"
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
