"""Every card says in five seconds, and in its notification, what a person needs to decide.

`OPENVIDU_BOT_UPDATE=1 pytest tests/laws/test_first_screen.py` writes the checklist anew. Write the
golden files first.
"""

import json

import pytest

from tests.laws.answers import ANSWERS, SILENT
from tests.laws.first_screen import (
    GOLDEN,
    checklist,
    long_sentences,
    not_copyable,
    plain,
    problems,
    unanswered,
    words,
)
from tests.support.goldens import check_golden

CHECKLIST = GOLDEN / "CHECKLIST.md"
FILES = sorted(p.relative_to(GOLDEN).as_posix() for p in GOLDEN.rglob("*.json"))


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_a_card_is_read_in_five_seconds(name: str) -> None:
    assert problems(name, notified=name not in SILENT) == []


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_a_card_answers_the_five_questions(name: str) -> None:
    assert unanswered(name, ANSWERS[name]) == []


def test_the_checklist_is_up_to_date() -> None:
    check_golden(CHECKLIST, checklist(ANSWERS))


@pytest.mark.parametrize("name", FILES)
def test_what_is_to_be_typed_can_be_copied(name: str) -> None:
    text = json.dumps(json.loads((GOLDEN / name).read_text()), ensure_ascii=False)
    assert not_copyable(text.replace("\\n", "\n")) == []


def test_how_words_are_counted() -> None:
    assert words("*Takes* about 2 min · <@UANA> <!date^1^{time}|08:30 UTC> :warning:") == 7
    assert plain("&lt;b&gt; `x`") == "<b> x"
    assert long_sentences("One two. " + "word " * 21) == [("word " * 21).strip()]
    assert not_copyable("`config\u200b list`") == ["`config\u200b list`"]
