"""Help: what can be done now, all commands, one command. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from handlers.slack.blocks import Block, Card, context, escape, fields, header, section
from handlers.views.text import without_formatting

HELP_LINES = 10  # commands in a block; Slack takes 3,000 characters
MOST_EXPLAINED = 9  # commands with their summary on the screen of a phone; more are names only
FAMILY = 3  # commands with the same first word that are shown as one
PAGES = "https://openvidu.io/latest/docs/self-hosting"
OUTSIDE = (
    "Not possible from Slack: restic and mongodump backups, restore, uninstall "
    f"({PAGES}/ha/digitalocean/admin/)."
)
MORE = (
    "`/openvidu help shutdown` explains one command, `/openvidu help all` lists all.",
    "In a thread, mention the bot instead of typing `/openvidu`.",
)
EXPLAINED = "`/openvidu help backup` explains all of one kind, `/openvidu help drill` one command."
SHORTLY = "Options of a command: `/openvidu help shutdown`. All commands: `/openvidu help all`."
EVERYWHERE = (
    "Add `--dry-run` to see the plan only, `--at 22:00` to run it later, "
    '`--reason "…"` to say why, `--cluster NAME` for another cluster.'
)


def help_card(about: str, commands: Mapping[str, Sequence[str]], notes: Sequence[str] = ()) -> Card:
    """List the commands that make sense now, by group. `about`: the cluster and its state."""
    lines = [
        f"*{group.capitalize()}* {' '.join(_with_families(names))}"
        for group, names in commands.items()
        if names
    ]
    foot = "\n".join([*notes, *MORE])
    spoken = {g: ", ".join(_with_families(names)).replace("`", "") for g, names in commands.items()}
    aloud = "; ".join(f"{group}: {text}" for group, text in spoken.items() if text)
    text = _sentences(without_formatting(about), f"You can type {aloud}", without_formatting(foot))
    blocks = (header("What you can do now"), context(about), section("\n".join(lines)))
    return Card(text, (*blocks, context(foot)))


def _sentences(*parts: str) -> str:
    """Join texts, each with a full stop at its end."""
    return " ".join(p if p.endswith((".", "?", "!")) else f"{p}." for p in parts if p)


def _with_families(names: Sequence[str]) -> Iterator[str]:
    """Yield commands in code marks; several of one family as `window` list, add, remove."""
    seen: set[str] = set()
    for name in names:
        first = name.split()[0]
        family = [n.partition(" ")[2] for n in names if n.startswith(f"{first} ")]
        if len(family) < FAMILY:
            yield f"`{name}`"
        elif first not in seen:
            seen.add(first)
            yield f"`{first}` {'/'.join(family)}"


def all_names_card(
    title: str, commands: Mapping[str, Sequence[str]], notes: Sequence[str] = ()
) -> Card:
    """List the names of commands by group: too many for one screen with their summaries."""
    lines = [
        f"*{group.capitalize()}* {' '.join(_with_families(names))}"
        for group, names in commands.items()
    ]
    foot = "\n".join([EXPLAINED, *notes, EVERYWHERE, OUTSIDE])
    aloud = "; ".join(f"{group}: {', '.join(names)}" for group, names in commands.items())
    text = _sentences(f"Commands: {aloud}", without_formatting(foot))
    return Card(text, (header(title), section("\n".join(lines)), context(foot)))


def all_help_card(
    commands: Mapping[str, Sequence[tuple[str, str]]], notes: Sequence[str] = ()
) -> Card:
    """List commands as pairs of usage and summary, by group."""
    blocks: list[Block] = []
    for group, usages in commands.items():
        blocks.append(header(f"{group.capitalize()} commands"))
        lines = [f"`/openvidu {usage}`\n{about}" for usage, about in usages]
        blocks += [
            section("\n".join(lines[n : n + HELP_LINES])) for n in range(0, len(lines), HELP_LINES)
        ]
    aloud = "; ".join(f"/openvidu {u}" for usages in commands.values() for u, _ in usages)
    foot = "\n".join([*notes, SHORTLY])
    text = f"Commands: {without_formatting(aloud)}. {without_formatting(foot)}"
    return Card(text, (*blocks, context(foot)))


@dataclass(frozen=True)
class OptionHelp:
    """One option or argument: as usage shows it, and what it does."""

    syntax: str
    about: str


@dataclass(frozen=True)
class CommandHelp:
    """What help says about one command.

    `acts`: a synonym does what the command does, instead of showing its plan.
    """

    name: str
    usage: str
    summary: str
    example: str
    options: tuple[OptionHelp, ...] = ()
    downtime: str = ""
    approval: str = ""
    # In which deployments and media fleets it exists; "": in every one.
    where: str = ""
    synonyms: tuple[str, ...] = ()
    acts: bool = True


def command_help_card(command: CommandHelp) -> Card:
    """Explain one command: options, an example, downtime, approval."""
    usage, example = f"`/openvidu {command.usage}`", f"`/openvidu {command.example}`"
    facts = [("Example", example)]
    if command.downtime:
        facts += [("Downtime", command.downtime), ("Approval", command.approval)]
    if command.where:
        facts.append(("Where", command.where))
    options = [f"`{o.syntax}` {escape(o.about)}" for o in command.options if o.syntax != o.about]
    blocks = [
        header(f"Help for {command.name}"),
        section(f"{command.summary}\n{usage}"),
        fields(*facts),
    ]
    if options:
        blocks.append(section("\n".join(options)))
    foot = ""
    if command.synonyms:
        does = "also understood" if command.acts else "show its plan"
        foot = f"{', '.join(command.synonyms)}: {does}."
        blocks.append(context(foot))
    told = (f"{label}: {value}" for label, value in facts)
    takes = "Options: " + "; ".join(options)
    text = _sentences(command.summary, f"Usage: {usage}", *told, takes, foot)
    return Card(without_formatting(text), tuple(blocks))
