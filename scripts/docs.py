#!/usr/bin/env python3
"""Writes docs/reference from the code; `--check` only reports whether anything would change."""

import argparse
import dataclasses
import enum
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from typing_extensions import override

from bot.command_line import SUBCOMMANDS
from bot.options import Subcommands
from bot.terminal.arguments import VERBS
from config.settings import CLUSTER_SECRETS, SECRET_KEYS
from config.values import Secrets, Settings
from handlers.commands.catalog import (
    EVERYWHERE,
    INSTEAD,
    OPTIONS,
    SYNONYMS,
    TOPICS,
    WHERE,
    Rank,
    common_options,
    listed,
)
from handlers.commands.parser import COMMANDS
from scripts import evidence
from services.common.command import CHANGING, Command
from services.common.metrics import KNOWN
from services.runs.run import Event, State

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
MADE = "<!-- Made by `make docs` from the code: change it there. -->"
CLASSES = """\
Who uses which class is a cluster's setting ([roles](../how-to/roles.md)): `look` is for its \
viewers, `break-glass` for
those of `roles.break_glass`, and every other class for its operators, unless `roles.CLASS` names \
others. `cancel`, `resume` and `abandon`
take the class of the command that the run came from; of a run that a window began, `windows` will \
do. Changing a secret key of secrets.env
takes `secrets`, any other `configuration`, both at once both."""
SYNONYMS_READ = """\
A word for a command that only reads is carried out. A word for a command that changes something \
only shows its plan."""
TERMINAL = """
`openvidu-bot COMMAND --help` lists the options. `run` and `plan` take the same words as Slack: \
`openvidu-bot plan scale 4`.
[The how-to](../how-to/slack-down.md) says who may do what there.

Settings: `--config`, else `OPENVIDU_BOT_CONFIG`, else `./settings.yaml`, else \
`/etc/openvidu-bot/settings.yaml`. Secrets: the environment,
then `--env-file` or `OPENVIDU_BOT_ENV_FILE`, else `bot.env` beside `settings.yaml` (`NAME.env` \
beside `NAME.yaml`). A file in the working
directory is used only if it belongs to you or to root.

Exit codes: 0 done; 1 refused, failed, or ended otherwise than requested; 2 wrong arguments or \
settings; 130 interrupted.
`doctor`: 0 fine, 1 something is wrong, 2 something could not be checked. `audit verify`: 0 \
intact, 1 could not be read, 3 not intact.
"""
ONE_FILE = """\
One YAML file: `--config`, else `OPENVIDU_BOT_CONFIG`, else `./settings.yaml`, else \
`/etc/openvidu-bot/settings.yaml`.
[config/example.yaml](../../config/example.yaml) has every setting.
After a mistake the bot does not start: it names the key, what was found, and what is allowed."""
METRICS = """\
On `/metrics` of `health.host` and `health.port`, in Prometheus' text form. Counters are of one \
process.
[deploy/grafana](../../deploy/grafana/openvidu-bot.json) has a dashboard,
[deploy/prometheus](../../deploy/prometheus/alerts.yaml) alert rules."""
SOMEWHERE = {"state.path": "`~/.local/state/openvidu-bot/state.sqlite3`"}


def commands() -> str:
    lines = [
        MADE,
        "",
        "# Commands",
        "",
        "## In Slack",
        "",
        "After `/openvidu`, or after a mention of the bot in a thread.",
        "",
    ]
    for group, kinds in listed(COMMANDS).items():
        lines += [f"### {group.capitalize()}", "", *_group(kinds), ""]
    lines += ["### Options", "", "| option | what it does | for |", "|---|---|---|"]
    lines += [f"| `{_cell(o)}` | {about} | {whom} |" for o, about, whom in _options()]
    lines += ["", "### Other words", "", SYNONYMS_READ, ""]
    lines += ["| typed | means |", "|---|---|"]
    for command, words in SYNONYMS.items():
        means = INSTEAD.get(command, f"`{command}`")
        lines.append(f"| {', '.join(f'`{w}`' for w in words)} | {means} |")
    lines += ["", CLASSES, "", "## In a terminal", ""]
    lines += ["| command | what it does |", "|---|---|"]
    lines += [f"| `{_cell(usage)}` | {_cell(about)} |" for usage, about in _programs()]
    return "\n".join(lines) + f"\n{TERMINAL}"


def _group(kinds: Iterable[type[Command]]) -> Iterator[str]:
    yield "| command | what it does | downtime | approval | where | class |"
    yield "|---|---|---|---|---|---|"
    for kind in kinds:
        who = " or ".join(c.replace("_", "-") for c in kind.classes)
        if kind.classes == CHANGING:
            who = "the run's, or any"
        topic = TOPICS[kind.command]
        facts = f"{topic.downtime or 'none'} | {topic.approval or 'none'}"
        facts += f" | {WHERE.get(kind.command, EVERYWHERE)}"
        yield f"| `{_cell(kind.usage())}` | {_cell(kind.summary())} | {facts} | {who} |"


def _options() -> Iterator[tuple[str, str, str]]:
    """Yield each common option, what it does, and which commands take it."""
    shown = [k for k in COMMANDS if not k.hidden]
    changing = {k.command for k in shown if TOPICS[k.command].rank is not Rank.READING}
    for name, (value, about) in OPTIONS.items():
        takes = {k.command for k in shown if name in common_options(k)}
        without = sorted(changing - takes)
        whom = "every command that changes something"
        if len(takes) == len(shown):
            whom = "every command"
        elif without:
            whom += f", except {', '.join(f'`{c}`' for c in without)}"
        yield f"--{name} {value}".strip(), about, whom


def _programs() -> Iterator[tuple[str, str]]:
    programs = Programs()
    for add in SUBCOMMANDS:
        add(programs)
    for name, (parser, meaning) in programs.parsers.items():
        usage = parser.format_usage().removeprefix("usage: ")
        if name in VERBS:
            usage = f"openvidu-bot {name} {VERBS[name][0]}"
        yield re.sub(r"\s+", " ", usage).replace("[-h] ", "").strip(), meaning


class Programs(Subcommands):
    """Collects the parser and the meaning of each subcommand."""

    def __init__(self) -> None:
        self.parsers: dict[str, tuple[argparse.ArgumentParser, str]] = {}

    @override
    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser:
        meaning = options.pop("help")
        parser = argparse.ArgumentParser(prog=f"openvidu-bot {name}", **options)
        self.parsers[name] = parser, meaning
        return parser


def settings() -> str:
    meanings = _meanings()
    lines = [MADE, "", "# Settings", "", ONE_FILE, ""]
    for title, rows in (
        ("The whole bot", _rows(Settings, "")),
        ("Each cluster: `clusters.NAME`", _rows(_cluster(), "clusters.NAME.")),
    ):
        lines += [
            f"## {title}",
            "",
            "| key | value | default | meaning |",
            "|---|---|---|---|",
        ]
        for key, kind, default in rows:
            short = key.removeprefix("clusters.NAME.")
            lines.append(
                f"| `{key}` | {_cell(kind)} | {default} | {_cell(meanings.get(short, ''))} |"
            )
        lines.append("")
    lines += [
        "## Secrets",
        "",
        "From the environment, from `bot.env` or the file of `--env-file`, "
        "or each from a file that `NAME_FILE` names.",
        "",
    ]
    lines += ["| variable | for |", "|---|---|"]
    lines += [
        f"| `{variable}` | {_secret(key)} |"
        for key, variable in SECRET_KEYS.items()
        if variable.isupper()
    ]
    return "\n".join([*lines, ""])


def _secret(key: str) -> str:
    if key in CLUSTER_SECRETS:
        return f"`{key}`; a cluster may name a variable of its own in `secrets.{key}`"
    return f"`{key}`"


def _cluster() -> type[BaseModel]:
    kind = get_args(Settings.model_fields["clusters"].annotation)[1]
    assert isinstance(kind, type), "clusters are values by name"
    assert issubclass(kind, BaseModel), "of a model"
    return kind


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        if inner is Secrets or name in SECRET_KEYS:
            continue
        if name == "clusters":
            yield f"{prefix}{name}", "cluster by name, see below", "none: needed"
        elif inner is not None:
            yield from _rows(inner, f"{prefix}{name}.")
        else:
            yield (
                f"{prefix}{name}",
                _kind(field),
                SOMEWHERE.get(f"{prefix}{name}") or _default(field),
            )


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if get_origin(annotation) is dict:
        return None
    options = (annotation, *get_args(annotation))
    return next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)


def _kind(field: FieldInfo) -> str:
    annotation = field.annotation
    options: tuple[Any, ...] = (annotation,)
    if type(None) in get_args(annotation):
        options = tuple(a for a in get_args(annotation) if a is not type(None))
    kinds = " or ".join(_word(option) for option in options)
    limits = [str(part) for part in field.metadata if re.match(r"(Ge|Gt|Le|Lt)\(", repr(part))]
    if not limits:
        return kinds
    return f"{kinds} ({', '.join(_limit(part) for part in limits)})"


def _limit(constraint: str) -> str:
    words = {"ge": "from", "gt": "more than", "le": "to", "lt": "less than"}
    name, value = re.findall(r"(ge|gt|le|lt)=([\d.]+)", constraint)[0]
    return f"{words[name]} {value}"


def _word(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if origin is tuple:
        return "a list"
    if origin is dict:
        return "keys and values"
    if origin is Annotated:
        return _word(get_args(annotation)[0])
    if origin is not None:
        return " or ".join(dict.fromkeys(_word(a) for a in get_args(annotation)))
    return {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        SecretStr: "a secret",
        Path: "a file",
    }.get(annotation, "text")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "none: needed"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ((), {}):
        return "nothing"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def _meanings() -> dict[str, str]:
    """Return the comment of each key in the example; keys of a cluster without `clusters.NAME`."""
    meanings: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in (ROOT / "config" / "example.yaml").read_text("utf-8").splitlines():
        match = re.match(r"(?P<indent>\s*)(?:# )?(?P<more>\s*)(?P<key>[a-z_]+):(?P<rest>.*)$", line)
        if match is None:
            continue
        indent = len(match["indent"]) + len(match["more"])
        path = [(at, key) for at, key in path if at < indent] + [(indent, match["key"])]
        keys = [key for _, key in path]
        if keys[0] == "clusters" and len(keys) > 2:
            keys = keys[2:]
        comment = re.search(r"\s# (.*)$", match["rest"])
        if comment:
            meanings[".".join(keys)] = comment[1].strip()
    return meanings


def metrics() -> str:
    lines = [
        MADE,
        "",
        "# Metrics",
        "",
        METRICS,
        "",
        "| metric | kind | labels | meaning |",
        "|---|---|---|---|",
    ]
    for name, known in KNOWN.items():
        labels = ", ".join(f"`{label}`" for label in known.labels)
        lines.append(f"| `{name}` | {known.kind} | {labels} | {_cell(known.help)} |")
    return "\n".join([*lines, ""])


def events() -> str:
    lines = [
        MADE,
        "",
        "# Events",
        "",
        "What is written down of a run, in order, and never changed. "
        "`/openvidu runs RUN` shows them.",
        "",
    ]
    lines += ["| event | what happened | holds |", "|---|---|---|"]
    for kind in get_args(Event):
        fields = ", ".join(f"`{f.name}`" for f in dataclasses.fields(kind))
        meaning = (kind.__doc__ or "").strip().splitlines()[0]
        lines.append(f"| `{kind.__name__}` | {_cell(meaning)} | {fields} |")
    states = ", ".join(f"`{state.value}`" for state in State)
    lines += ["", f"A run is in one of these states: {states}. The last five are ends.", ""]
    assert issubclass(State, enum.StrEnum)
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES = {
    "commands": commands,
    "settings": settings,
    "metrics": metrics,
    "events": events,
    "evidence": evidence.page,
}


def main() -> int:
    stale = []
    for name, make in PAGES.items():
        path, text = REFERENCE / f"{name}.md", make()
        if not path.is_file() or path.read_text("utf-8") != text:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(text, "utf-8")
    architecture = ROOT / "ARCHITECTURE.md"
    if architecture.read_text("utf-8") != evidence.architecture():
        stale.append(architecture.name)
        if "--check" not in sys.argv:
            architecture.write_text(evidence.architecture(), "utf-8")
    if stale and "--check" in sys.argv:
        print(f"docs: {', '.join(stale)} would change; run: make docs")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
