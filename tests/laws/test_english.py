"""Docstrings and comments: plain technical English, at most 100 columns, first lines complete."""

from pathlib import Path

import pytest

from scripts.english import HELD, ROOT, Problem, check, first_lines, is_held, long_lines, words_in
from tests.support.folders import by_folder

FOLDERS = by_folder(file for folder in HELD for file in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: str(f.relative_to(ROOT)))
def test_docstrings_and_comments_are_plain_english(folder: Path) -> None:
    problems: list[Problem] = [found for file in FOLDERS[folder] for found in check(file)]
    assert not problems, "\n" + "\n".join(map(str, problems))


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ('"""Somebody asks."""', "Somebody"),
        ("x = 1  # nobody is there", "nobody"),
        ("x = 1  # whoever comes", "whoever"),
        ('def f():\n    """Media nodes are let go."""', "let go"),
        ("# The bot is told of it.", "told"),
        ("# A node that has gone.", "gone"),
        ("# What a restart mends.", "mends"),
        ("# Users are cut off.", "cut off"),
        ("# Seen by another hand.", "another hand"),
        ("# Unless it is so.", "is so"),
        ("# noqa: BLE001 - nobody knows", "nobody"),
        ('class A:\n    """Fine.\n\n    What was said.\n    """', "What was said"),
    ],
)
def test_a_word_of_the_list_is_found(source: str, word: str) -> None:
    ((_, complaint),) = words_in(source)
    assert complaint.startswith(f"“{word}”")


@pytest.mark.parametrize(
    "source",
    [
        "x = 'somebody'",
        '"""Return `whoever` as it was typed."""',
        '"""Match \\"nobody\\"."""',
        "# On the other hand, no one waits.",
        "# Slack said hello, so that it is seen.",
        "import x  # noqa: PLC0415",
        "# Mentions of the runbook, letters and categories.",
    ],
)
def test_other_text_is_left_alone(source: str) -> None:
    assert list(words_in(source)) == []


def test_a_word_is_reported_with_its_line() -> None:
    assert [line for line, _ in words_in('"""A.\n\nB.\nSomebody.\n"""\n# nobody')] == [4, 6]


def test_long_lines_and_incomplete_first_lines_are_found() -> None:
    assert [line for line, _ in long_lines(f"\n{'x' * 101}\n{'x' * 100}")] == [2]
    assert list(first_lines('"""Complete.\n\nMore\n"""')) == []
    assert len(list(first_lines('"""Goes on\nin the next line."""'))) == 1
    assert len(list(first_lines('def f():\n    """Is it up?"""'))) == 1


def test_only_what_is_held_is_checked() -> None:
    assert is_held(ROOT / "bot" / "app.py")
    assert not is_held(ROOT / "tests" / "laws" / "test_english.py")
    assert not is_held(Path("/elsewhere/bot/app.py"))
    assert not is_held(ROOT / "README.md")
