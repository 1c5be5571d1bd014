"""What people read: the terms of the word list, at most 20 words a sentence in Slack.

`python -m scripts.words` lists what is wrong, with the lines of the source that say it.
"""

from pathlib import Path

import pytest

from scripts.words import (
    EXCEPTIONS,
    ROOT,
    Problem,
    check,
    goldens,
    held_sources,
    literals_of,
    long_in,
    sentences,
    sources_of,
    texts_of,
    words_in,
)
from tests.support.folders import by_folder

FOLDERS = by_folder((*goldens(), *held_sources()))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: str(f.relative_to(ROOT)))
def test_what_people_read_is_plain_english(folder: Path) -> None:
    problems: list[Problem] = [found for file in FOLDERS[folder] for found in check(file)]
    assert not problems, "\n" + "\n".join(map(str, problems))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Somebody pressed Resume.", "Somebody"),
        ("acme stays down until whoever starts it.", "whoever"),
        ("Let 3 media nodes finish", "Let 3 media nodes finish"),
        ("2 media nodes serve", "serve"),
        ("masters 1-4 off", "masters 1-4 off"),
        ("Power work asked for by ana", "asked for"),
        ("See that no media droplet is left", "See that"),
        ("people there were cut off", "cut off"),
        ("This cannot be taken back.", "taken back"),
        ("Stopped by hand.", "by hand"),
        ("acme is claimed.", "claimed"),
        ("Go on from the new state", "Go on"),
    ],
)
def test_a_word_of_the_list_is_found(text: str, word: str) -> None:
    assert f"“{word}”" in " ".join(p.text for p in words_in("here", text))


@pytest.mark.parametrize(
    "text",
    [
        "Drain 3 media nodes",
        "masters 1-4 powered off",
        "acme closes for its off-hours window.",
        "Run `openvidu-bot serve` again.",
        "On the other node, [[strong nobody]] and <https://nobody.example|:wish:>",
        "The run is handed over when it exits.",
    ],
)
def test_other_text_is_left_alone(text: str) -> None:
    assert list(words_in("here", text)) == []


def test_a_sentence_of_more_than_20_words_is_found() -> None:
    word = "word "
    assert list(long_in("here", word * 20)) == []
    assert len(list(long_in("here", word * 21))) == 1
    assert list(long_in("here", f"{word * 15}. {word * 15}\n{word * 15} · {word * 15}")) == []
    mark = "<!date^1800000000^{date_short_pretty} {time}|Fri 20:00> `a b c d e f` "
    assert list(long_in("here", mark * 10)) == []


def test_sentences_end_at_full_stops_lines_and_separators() -> None:
    text = "*One.* Two: three\nfour · five; six"
    assert list(sentences(text)) == ["*One.", "Two:", "three", "four", "five;", "six"]


def test_every_text_of_a_message_is_read() -> None:
    message = {"text": "a", "blocks": [{"text": {"type": "mrkdwn", "text": "b"}}, {"value": "c"}]}
    assert list(texts_of(message)) == ["a", "b"]


def test_the_source_of_a_sentence_is_found(tmp_path: Path) -> None:
    file = ROOT / "services" / "steps" / "removal.py"
    assert sources_of("verify that media droplets are deleted", list(literals_of(file)))
    assert sources_of("nothing that is said anywhere", list(literals_of(file))) == []


def test_every_exception_has_a_reason() -> None:
    assert all(pattern and len(reason) > 10 for pattern, reason in EXCEPTIONS)
