"""The table of what the simulators rest on: from their marks, and from the recordings there are."""

import importlib
import pkgutil
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import simulators
from bot.record.node_output import SCRIPTS
from bot.replay.story import read
from simulators.cloud.delays import FIELDS, measured
from simulators.evidence import MARKS, Evidence, Source

ROOT = Path(__file__).resolve().parent.parent
RECORDINGS = ROOT / "tests" / "recordings"
PARTIES = {"digitalocean": "DigitalOcean", "livekit": "LiveKit", "spaces": "Spaces",
    "ssh": "scripts", "slack": "Slack"}  # fmt: skip
LINK = " ([the table](docs/reference/evidence.md))"
# Scripts by the name that a recording has for them.
COMMANDS = {name: command for command, name in SCRIPTS.items() if "\n" not in command}
HEALTH_PAGE = "GET health page"
HEALTH = ("masters", "/health/caddy answers 200 on a master in service")
SUMMARY = re.compile(r"(?<=<!-- evidence -->\n).*?(?=\n<!-- /evidence -->)", re.DOTALL)


@cache
def marks() -> tuple[Evidence, ...]:
    """Return every mark; what a recording of a real account shows rests on that."""
    for module in pkgutil.walk_packages(simulators.__path__, "simulators."):
        importlib.import_module(module.name)
    shown = recorded()
    return tuple(
        Evidence(mark.party, mark.what, Source.RECORDING, f"{shown[key]}; {mark.where}")
        if (key := _key(mark.party, mark.what)) in shown
        else mark
        for mark in sorted(MARKS.values(), key=lambda m: (m.party, m.what))
    )


def recorded(folder: Path = RECORDINGS) -> dict[tuple[str, str], str]:
    """Return which recording of a real account shows a behaviour."""
    shown: dict[tuple[str, str], str] = {}
    for file in sorted(folder.glob("*.jsonl")):
        for story in read(file):
            for line in () if story.published else story.lines:
                if not line.get("lost"):
                    what: str = COMMANDS.get(line["ask"]) or line["ask"]
                    key = HEALTH if what == HEALTH_PAGE else _key(_party(line), what)
                    shown.setdefault(key, file.name)
    for what in measured():
        if what in FIELDS:
            shown.setdefault(("durations", FIELDS[what]), "simulators/cloud/durations.json")
    return shown


def _party(line: dict[str, Any]) -> str:
    return PARTIES.get(line["party"], "")


def _key(party: str, what: str) -> tuple[str, str]:
    """Return a key in which the names of a path's parameters do not matter."""
    return party, re.sub(r"\{\w+\}", "{}", what)


def counts() -> Counter[Source]:
    """Return how many behaviours rest on what."""
    return Counter(mark.source for mark in marks())


def summary() -> str:
    """Return the summary for ARCHITECTURE.md."""
    found, total = counts(), len(marks())
    first, *parts = (f"{found[source]} on {source.value}" for source in Source)
    return (
        f"Of {total} behaviours of the simulators, {first.replace(' ', ' rest ', 1)}, "
        f"{', '.join(parts)}"
        f"{LINK}."
    )


def page() -> str:
    """Return the page of the reference."""
    lines = [
        "<!-- Made by `make docs` from the code: change it there. -->",
        "",
        "# What the simulators rest on",
        "",
        "Tests play against simulators. This is the evidence for each behaviour of theirs, from "
        "the marks beside the code",
        "(`simulators/evidence.py`) and from the recordings in `tests/recordings`.",
        "",
        summary().replace(LINK, ""),
        "",
        "`openvidu-bot record FILE` makes a recording of your account,\n"
        "`openvidu-bot replay FILE` compares it with the simulators.",
        "",
        "| part | behaviour | rests on | which |",
        "|---|---|---|---|",
    ]
    rows = (
        f"| {mark.party} | {_cell(mark.what)} | {mark.source} | {_cell(mark.where)} |"
        for mark in marks()
    )
    return "\n".join([*lines, *rows, ""])


def architecture() -> str:
    """Return ARCHITECTURE.md with the summary as it is now."""
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    assert SUMMARY.search(text), "the place of the summary"
    return SUMMARY.sub(lambda _: summary(), text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
