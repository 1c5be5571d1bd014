"""Reads recordings. Pure."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from bot.record.recorder import FORMAT

Json = dict[str, Any]
PARTIES = frozenset({"digitalocean", "livekit", "http", "spaces", "ssh", "slack"})
LONGEST_LINE = 8 * 1024 * 1024
LONGEST = 366 * 86400.0  # seconds of a story


class CannotRead(Exception):
    """The file is no recording, or of a newer version."""


@dataclass
class Story:
    """What was recorded in one go: its first line, and its exchanges in order.

    `broken`: lines that cannot be read, such as the last one of a bot that was killed.
    """

    header: Json
    lines: list[Json] = field(default_factory=list)
    broken: int = 0

    @property
    def kind(self) -> str:
        """The kind of the media fleet, "unknown" where it was not seen."""
        return str(self.header.get("kind", "unknown"))

    @property
    def published(self) -> str:
        """What published material it was made from: "examples", "parts" of such, or "".

        Each line stands alone then: no states, times or pages follow from one another.
        """
        return str(self.header.get("published", ""))

    def answers(self, ask: str) -> list[Json]:
        """Return the successful answers to a request, in order."""
        return [
            line["answer"]
            for line in self.lines
            if line["ask"] == ask
            and line.get("status") in (200, 201)
            and isinstance(line.get("answer"), dict)
        ]


def read(path: Path) -> list[Story]:
    """Return the stories of a file. CannotRead when it is no recording."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return parse(_bounded(file), str(path))
    except OSError as error:
        raise CannotRead(f"{path}: {error.strerror}") from None


def parse(lines: Iterable[str], name: str) -> list[Story]:
    """Return the stories of these lines."""
    stories: list[Story] = []
    for text in lines:
        if not text.strip():
            continue
        line = _line(text)
        if line is not None and "format" in line:
            if line["format"] != FORMAT:
                raise CannotRead(f"{name}: format {line['format']}; this version reads {FORMAT}")
            stories.append(Story(line))
        elif not stories:
            raise CannotRead(f"{name}: not a recording of openvidu-bot")
        elif line is None or not _is_exchange(line):
            stories[-1].broken += 1
        else:
            stories[-1].lines.append(line)
    if not stories:
        raise CannotRead(f"{name}: empty")
    return stories


def _bounded(file: TextIO) -> Iterator[str]:
    """Yield the lines of a file. Of one that is too long, the beginning: it cannot be read."""
    while text := file.readline(LONGEST_LINE + 1):
        yield text
        while len(text) > LONGEST_LINE and not text.endswith("\n"):
            text = file.readline(LONGEST_LINE + 1)


def _line(text: str) -> Json | None:
    try:
        line = json.loads(text) if len(text) <= LONGEST_LINE else None
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) else None


def _is_exchange(line: Json) -> bool:
    return (
        isinstance(line.get("party"), str)
        and line["party"] in PARTIES
        and isinstance(line.get("ask"), str)
        and _is_moment(line.get("t"))
        and isinstance(line.get("status", 0), int)
        and all(isinstance(line.get(k, {}), dict) for k in ("params", "query", "headers"))
    )


def _is_moment(value: object) -> bool:
    return isinstance(value, int | float) and -LONGEST <= value <= LONGEST
