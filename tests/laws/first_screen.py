"""What a person reads before they press: the notification text, and a card's first screen.

The first screen of a card is everything above its first buttons or its first divider, whichever
comes first: details stand below. A golden is checked by an entry in `tests/laws/answers`: where its
text and its first screen answer the five questions of `QUESTIONS`, or why a question does not
apply.
"""

import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent / "golden"
MOST_WORDS, MOST_IN_TEXT, MOST_IN_SENTENCE = 80, 60, 20
QUESTIONS = {
    "who": "Who is affected?",
    "long": "How long?",
    "cost": "What does it cost?",
    "do": "What must I do?",
    "undo": "Can it be undone?",
}
CODE = re.compile(r"`[^`\n]*`")
TOKEN = re.compile(r"<(?:[@#!]|https?:)[^<>]*>")
ENDS = re.compile(r"[.!?](?=\s|$)|\n| · ")
# A text of a notification is read without the card.
POINTS_AT_THE_CARD = re.compile(r"\b(?:above|below|this card|this message)\b")


@dataclass(frozen=True)
class NotAsked:
    """Why a question does not apply."""

    why: str


@dataclass(frozen=True)
class Answers:
    """Where the five questions are answered, in words that the golden contains.

    A pair holds the words of the notification text, and those of the first screen.
    """

    who: str | tuple[str, str] | NotAsked
    long: str | tuple[str, str] | NotAsked
    cost: str | tuple[str, str] | NotAsked
    do: str | tuple[str, str] | NotAsked
    undo: str | tuple[str, str] | NotAsked


def golden(name: str) -> dict[str, Any]:
    """Return a golden by its path below `golden`, without `.json`: `request`, `views/home`."""
    made: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    shown: dict[str, Any] = made.get("view", made)
    return shown


def texts_above_buttons(blocks: list[dict[str, Any]]) -> list[str]:
    """Return every text of the first screen, in order."""
    texts: list[str] = []
    for block in blocks:
        if block["type"] in ("actions", "divider"):
            break
        texts += _texts(block)
    return texts


def _texts(block: Mapping[str, Any]) -> Iterator[str]:
    if "text" in block:
        yield str(block["text"]["text"])
    for element in (*block.get("fields", ()), *block.get("elements", ())):
        if isinstance(element.get("text"), str):
            yield element["text"]


def button_labels(blocks: list[dict[str, Any]]) -> list[str]:
    """Return the labels of the first row of buttons."""
    rows = [b for b in blocks if b["type"] == "actions"]
    return [str(e["text"]["text"]) for row in rows[:1] for e in row["elements"] if "text" in e]


def plain(text: str) -> str:
    """Return a text as it is read: without formatting, in one line, tokens as one word."""
    text = TOKEN.sub(lambda m: m[0].partition("|")[2].rstrip(">").replace(" ", "_") or m[0], text)
    return " ".join(html.unescape(text).replace("*", "").replace("`", "").split())


def words(text: str) -> int:
    """Count the words; a mention, a time and a command's name are one each."""
    return len([w for w in plain(text).split() if re.search(r"\w", w)])


def long_sentences(text: str) -> list[str]:
    """Return the sentences with too many words."""
    return [s.strip() for s in ENDS.split(text) if words(s) > MOST_IN_SENTENCE]


def not_copyable(text: str) -> list[str]:
    """Return what cannot be copied: code or a command with a zero-width space in it."""
    typed = re.findall(r"/openvidu[^\n]{0,60}", text)
    return [part for part in (*CODE.findall(text), *typed) if "\u200b" in part]


def problems(name: str, *, notified: bool = True) -> list[str]:
    """Return what is wrong with a golden's first screen and text. `notified`: it has a text."""
    made = golden(name)
    blocks: list[dict[str, Any]] = made["blocks"]
    screen, found = texts_above_buttons(blocks), []
    if not blocks or blocks[0]["type"] != "header":
        found.append("it does not begin with a header")
    if (count := sum(map(words, screen))) > MOST_WORDS:
        found.append(f"{count} words above the buttons")
    texts = screen
    if notified:
        texts = [made["text"], *screen]
        if (count := words(made["text"])) > MOST_IN_TEXT:
            found.append(f"{count} words in the text")
        if pointing := POINTS_AT_THE_CARD.search(made["text"]):
            found.append(f"the text does not stand alone: {pointing[0]!r}")
    for text in texts:
        found += [f"a long sentence: {sentence}" for sentence in long_sentences(text)]
    return found


def unanswered(name: str, answers: Answers) -> list[str]:
    """Return which questions are not answered where `answers` says."""
    made = golden(name)
    blocks = made["blocks"]
    screen = plain(" ".join([*texts_above_buttons(blocks), *button_labels(blocks)]))
    found = []
    for field in fields(answers):
        answer = getattr(answers, field.name)
        if isinstance(answer, NotAsked):
            continue
        in_text, on_screen = _both(answer)
        question = QUESTIONS[field.name]
        if in_text not in plain(made.get("text", in_text)):
            found.append(f"{question} {in_text!r} is not in the text")
        if on_screen not in screen:
            found.append(f"{question} {on_screen!r} is not on the first screen")
    return found


def _both(answer: str | tuple[str, str]) -> tuple[str, str]:
    if isinstance(answer, str):
        return answer, answer
    return answer


def checklist(entries: Mapping[str, Answers]) -> str:
    """Return the checklist of all goldens as Markdown."""
    lines = [
        "# What each card answers",
        "",
        "Written by `OPENVIDU_BOT_UPDATE=1 pytest tests/laws/test_first_screen.py` from",
        "`tests/laws/answers`. In quotes: the words that answer, in the notification text and on",
        "the first screen (everything above the buttons). Without quotes: why it is not asked.",
    ]
    for name in sorted(entries):
        lines += ["", f"## {name}", ""]
        for field in fields(Answers):
            answer = getattr(entries[name], field.name)
            lines.append(f"- {QUESTIONS[field.name]} {_shown(answer)}")
    return "\n".join([*lines, ""])


def _shown(answer: str | tuple[str, str] | NotAsked) -> str:
    if isinstance(answer, NotAsked):
        return answer.why
    in_text, on_screen = _both(answer)
    if in_text == on_screen:
        return f"“{in_text}”"
    return f"text “{in_text}”, screen “{on_screen}”"
