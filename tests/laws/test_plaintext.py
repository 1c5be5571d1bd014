"""Cards in a terminal: nothing is lost, no mark of Slack is left, and offered commands exist.

`OPENVIDU_BOT_UPDATE=1 pytest tests/laws/test_plaintext.py` writes the golden files anew.
"""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.terminal.arguments import VERBS
from handlers import views
from handlers.commands.parser import COMMANDS, parse
from handlers.slack.blocks import Card, escape, section
from handlers.slack.markup import date_time, time_of_day
from handlers.terminal.plaintext import TerminalReader, render_card, render_text
from services.procedures import Procedure
from services.runs.request import Request
from tests.laws.test_cards import APPROVERS, NAMES, shown
from tests.support.clusters import law, requests
from tests.support.goldens import check_golden

GOLDEN = Path(__file__).parent / "golden" / "terminal"
KEPT = ("request", "run-draining", "run-zero-question", "run-stopped", "run-done", "status-unknown")
READER = TerminalReader(100, "Europe/Madrid", {"UANA": "ana", "UBEN": "ben", "UCARLA": "carla"})
COMMAND = re.compile(r"openvidu-bot ([a-z]+)((?: (?![·(,;.])[\w.-]+)*)")


def fit_to_read(text: str) -> None:
    assert not re.search(r"<[@#!]|&(lt|gt|amp);|\u200b|:warning:", text), text
    assert "/openvidu" not in text
    for line in text.splitlines():
        assert len(line) <= READER.width or " " not in line.strip(), line
    for verb, _ in COMMAND.findall(text):
        assert verb in VERBS, verb


@pytest.mark.parametrize("name", NAMES)
def test_every_card_can_be_read(name: str) -> None:
    card = shown()[name]
    text = render_card(card, READER)
    fit_to_read(text)
    said = [
        e
        for b in card.blocks
        if b["type"] == "actions"
        for e in b["elements"]
        if e["action_id"] != views.DETAILS
    ]
    for element in said:
        assert element["text"]["text"].removesuffix("…") in text, "each button has its command"
    numbers = set(re.findall(r"\$\d+\.\d\d|acme-\d+", str(card.blocks)))
    assert all(n in text for n in numbers)


@pytest.mark.parametrize("name", KEPT)
def test_cards_look_as_they_did(name: str) -> None:
    made = render_card(shown()[name], READER) + "\n"
    check_golden(GOLDEN / f"{name}.txt", made)


def test_no_golden_file_is_left_over() -> None:
    assert sorted(p.name for p in GOLDEN.iterdir()) == sorted(f"{name}.txt" for name in KEPT)


@law
@given(requests())
def test_requests(request: Request) -> None:
    fit_to_read(render_card(views.request_card(replace(request, reason=""), APPROVERS), READER))
    typed = render_card(
        views.request_card(replace(request, reason="\x1b[2J<!channel> \x9b31m\r*bold*"), APPROVERS),
        READER,
    )
    assert "[2J<!channel> 31m *bold*" in " ".join(typed.split()), (
        "shown as it is, and steers nothing"
    )
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", typed)


@law
@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=30))
def test_what_somebody_typed_is_shown_as_it_was_typed(typed: str) -> None:
    assert render_text(escape(typed), READER) == typed.replace(":warning:", "!")


def test_marks() -> None:
    moment = 1_800_000_000
    times = f"{time_of_day(moment)} {date_time(moment)}"
    said = (
        f"*Money* saves <https://example.com|much>, <@UBEN> · `acme-7` _why_ · {times} "
        f"<!subteam^S1|@ops>"
    )
    assert render_text(said, READER) == (
        "Money: saves much (https://example.com), @ben · acme-7 why · 09:00 Fri 15 Jan 09:00 @ops"
    )


def test_a_command_of_slack_is_one_of_the_terminal() -> None:
    for spoken in COMMANDS:
        shown_as = render_text(f"`/openvidu {spoken.command}`", READER)
        verb, *rest = shlex.split(shown_as)[1:]
        assert verb in VERBS
        assert (verb == "run") == issubclass(spoken, Procedure)
        assert " ".join(rest if verb in ("run", "say") else [verb, *rest]) == spoken.command


def test_what_the_terminal_offers_is_understood() -> None:
    for verb in ("status", "runs", "cancel", "resume", "abandon"):
        assert parse(f"{verb} acme-7").command.command == verb


def test_a_long_text_is_wrapped_and_steps_hang() -> None:
    card = Card("", (section("✓ " + "step " * 40),))
    first, second, *_ = render_card(card, READER).splitlines()
    assert len(first) <= READER.width
    assert second.startswith("    step")
