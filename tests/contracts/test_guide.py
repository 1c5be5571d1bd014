"""The guide of the simulated Slack's page: which step is done, and which is not."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bot.demo.world import DETOUR, GUIDE
from simulators.slack.fake_slack import FakeSlack
from simulators.slack.screen import Guide
from tests.contracts.slack_town import HandClock, button, card, team

CARDS = Path(__file__).parents[1] / "laws" / "golden"


async def _takes(_kind: str, _payload: dict[str, Any]) -> None:
    return None


def slack() -> FakeSlack:
    """Return a workspace with an app that acknowledges everything."""
    town = team()
    town.connect(_takes)
    return town


def ticks(guide: Guide) -> list[bool]:
    return [step["ticked"] for step in guide.as_json()]


def posts(town: FakeSlack, label: str, text: str = "a plan", **more: Any) -> str:
    place = town.workspace
    blocks = card(text, button(label, "x"))
    return place.post(place.channels["COPS"], place.bot.id, text, blocks, **more).ts


def does(town: FakeSlack, user: str, where: str, label: str) -> None:
    asyncio.run(town.user(user).press(where, label))


def test_a_dry_run_is_no_request() -> None:
    town = slack()
    guide = Guide(town, GUIDE)
    asyncio.run(town.user("UANA").type_text("COPS", "/openvidu shutdown --dry-run"))
    posts(town, "Request approval")
    posts(town, "Approve", ephemeral_to="UANA")
    assert not ticks(guide)[0]
    posts(town, "Approve shutdown")
    assert ticks(guide)[0]


def test_an_approval_is_bens_and_a_form_is_no_approval() -> None:
    town = slack()
    guide = Guide(town, GUIDE)
    shown = posts(town, "Approve shutdown")
    does(town, "UANA", shown, "Approve shutdown")
    assert ticks(guide)[:3] == [True, False, False]
    form = posts(town, "Approve with a note…")
    does(town, "UBEN", form, "Approve with a note…")
    assert ticks(guide)[:3] == [True, False, False]
    does(town, "UBEN", shown, "Approve shutdown")
    assert ticks(guide)[:3] == [True, False, True]


def test_a_fact_counts_in_its_turn_only() -> None:
    town, facts = slack(), {"draining", "drained", "down", "in service"}
    guide = Guide(town, GUIDE, lambda: facts)
    assert not any(ticks(guide))
    posts(town, "Approve shutdown")
    town.workspace.record_action("UBEN", "acting_as", "ben")
    town.workspace.record_action("UBEN", "pressed", "Approve shutdown")
    facts.clear()
    assert ticks(guide)[:4] == [True, True, True, False]
    facts |= {"draining"}
    assert ticks(guide)[3:7] == [False, False, False, False]
    facts |= {"drained", "down"}
    assert ticks(guide)[3:7] == [True, False, False, False], "the run has not ended yet"
    posts(town, "Start up acme")
    assert ticks(guide)[3:7] == [True, True, False, False]
    facts |= {"starting", "in service"}
    assert ticks(guide)[3:7] == [True, True, True, False], "the message still says it is starting"
    posts(town, "Open in DigitalOcean", "acme is back in service")
    assert ticks(guide)[3:7] == [True, True, True, True]
    assert guide.as_json()[7]["ticked"] is False


def test_what_was_done_before_a_step_does_not_count_for_a_fresh_one() -> None:
    town, clock = slack(), HandClock()
    town.workspace.clock = clock
    steps = [
        {"text": "Look", "done": {"opened": "home"}},
        {"text": "Approve", "done": {"pressed": "Approve", "fresh": True}},
    ]
    guide = Guide(town, steps)
    town.workspace.record_action("UBEN", "pressed", "Approve")
    clock.time += 1
    town.workspace.record_action("UBEN", "opened", "home")
    assert ticks(guide) == [True, False]
    clock.time += 1
    town.workspace.record_action("UBEN", "pressed", "Approve")
    assert ticks(guide) == [True, True]


def test_a_question_takes_the_place_of_the_step() -> None:
    town = slack()
    guide = Guide(town, GUIDE, detour=DETOUR)
    posts(town, "Approve shutdown")
    assert guide.as_json()[1]["text"] == GUIDE[1]["text"]
    asked = posts(town, "Keep 1 media node", "acme needs a decision: DigitalOcean refused")
    shown = guide.as_json()
    assert [step["text"] == DETOUR["text"] for step in shown[:3]] == [False, True, False]
    assert not shown[1]["press"]
    place = town.workspace
    place.channels["COPS"].messages[asked].text = "acme is shut down"
    place.channels["COPS"].messages[asked].blocks = []
    assert guide.as_json()[1]["text"] == GUIDE[1]["text"]


def test_a_missed_notice_is_no_dead_end() -> None:
    """The window closes acme although no one pressed *Keep running*: the guide goes on."""
    town, facts = slack(), {"down"}
    begins = next(n for n, step in enumerate(GUIDE) if "Wait for the notice" in step["text"])
    guide = Guide(town, GUIDE, lambda: facts)
    guide.ticked |= set(range(begins))
    assert ticks(guide)[begins : begins + 3] == [True, True, False]


def test_what_the_guide_waits_for_is_what_the_cards_say() -> None:
    """A heading that is worded anew must be worded anew in the guide, or it waits for ever."""
    cards = "".join(path.read_text() for path in sorted(CARDS.rglob("*.json")))
    either = [one for step in GUIDE for one in _either(step)]
    said = [str(done["said"]) for done in (*either, DETOUR) if "said" in done]
    assert len(said) == 2
    assert [text for text in said if text.removeprefix("acme ") not in cards] == []
    labels = {label for step in GUIDE for label in step.get("press", ())}
    # The notice before a closing is no golden; tests/e2e/test_story.py holds its buttons.
    assert [label for label in labels - {"Keep running 1 h"} if label not in cards] == []


def _either(step: dict[str, Any]) -> list[dict[str, Any]]:
    done = step["done"]
    return done if isinstance(done, list) else [done]


@pytest.mark.parametrize(("number", "step"), list(enumerate(GUIDE, 1)))
def test_each_step_says_what_to_do_and_can_be_done(number: int, step: dict[str, Any]) -> None:
    known = {"offered", "said", "fact", "typed", "pressed", "opened", "submitted", "acting_as"}
    either = step["done"] if isinstance(step["done"], list) else [step["done"]]
    assert all(known & done.keys() for done in either), number
    assert len(step["text"].split()) <= 20
    assert step["text"][0].isupper()
