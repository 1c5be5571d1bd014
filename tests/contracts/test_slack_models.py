"""Everything the bot says, as Slack's own SDK and Slack's published limits see it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.test_blockkit import BAD, GOOD, modal, plain, section
from tests.support.slack_models import complaints_about_message, complaints_about_view

GOLDEN = Path(__file__).resolve().parents[1] / "laws" / "golden"
Json = dict[str, Any]


def golden() -> Iterator[tuple[str, Json]]:
    """Every message and every view of the golden files."""
    for path in sorted(GOLDEN.rglob("*.json")):
        content = json.loads(path.read_text())
        for number, made in enumerate(content if isinstance(content, list) else [content]):
            yield f"{path.relative_to(GOLDEN)} {number}", made


def complaints(made: Json) -> list[str]:
    if "view" in made:
        return complaints_about_view(made["view"])
    return complaints_about_message(made["text"], made["blocks"])


def test_slacks_sdk_knows_all_that_the_bot_sends() -> None:
    wrong = {name: found for name, made in golden() if (found := complaints(made))}
    assert wrong == {}


def test_every_kind_of_payload_is_looked_at() -> None:
    made = [made for _, made in golden()]
    views = [m["view"]["type"] for m in made if "view" in m]
    assert {"home", "modal"} == set(views)
    assert len(made) - len(views) > 100


@pytest.mark.parametrize("block", GOOD, ids=lambda block: block["type"])
def test_what_slack_takes_is_no_complaint(block: Json) -> None:
    assert complaints_about_message("x", [block]) == []


def test_a_second_validator_finds_most_of_what_slack_refuses() -> None:
    """What it does not find is about several fields at once, which ours knows alone."""
    missed = [words for block, words in BAD if not complaints_about_message("x", [block])]
    assert len(missed) <= len(BAD) / 4, missed


@pytest.mark.parametrize(
    "made",
    [
        {"text": "", "blocks": [section()]},
        {"text": "x" * 4001, "blocks": [section()]},
        {"text": "x", "blocks": [section()] * 51},
        {"text": "x", "blocks": [section() | {"colour": "red"}]},
        {"text": "x", "blocks": [{"type": "actions", "elements": [{"type": "knob"}]}]},
        {"view": modal(*[section()] * 101)},
        {"view": modal(title=plain("t" * 25))},
        {"view": modal(private_metadata="x" * 3001)},
        {"view": modal(sbumit=plain("Go"))},
    ],
    ids=str,
)
def test_a_payload_that_is_too_long_or_unknown_is_found(made: Json) -> None:
    assert complaints(made)
