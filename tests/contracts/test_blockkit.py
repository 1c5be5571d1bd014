"""What Slack accepts and refuses, one line each."""

from collections import deque
from typing import Any

import pytest
from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block

from simulators.slack.blockkit import check_blocks, check_view
from tests.contracts.slack_town import team
from tests.support.virtual import run


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def md(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}


def option(text: str = "One", value: str = "1", **more: Any) -> dict[str, Any]:
    return {"text": plain(text), "value": value} | more


def button(**more: Any) -> dict[str, Any]:
    return {"type": "button", "text": plain("Go"), "action_id": "go"} | more


def actions(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


def section(**more: Any) -> dict[str, Any]:
    return {"type": "section"} | (more or {"text": md("hello")})


def select(**more: Any) -> dict[str, Any]:
    return {"type": "static_select", "action_id": "s", "options": [option()]} | more


def asks(element: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "input", "label": plain("Why"), "element": element} | more


def line(**more: Any) -> dict[str, Any]:
    return {"type": "plain_text_input", "action_id": "line"} | more


def modal(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "modal",
        "title": plain("Title"),
        "submit": plain("Send"),
        "blocks": list(blocks or (section(),)),
    } | more


CONFIRM = {
    "title": plain("Sure?"),
    "text": md("really"),
    "confirm": plain("Yes"),
    "deny": plain("No"),
}
IMAGE = {"type": "image", "image_url": "http://127.0.0.1/x.png", "alt_text": "a plot"}

GOOD = [
    section(),
    section(fields=[md("a"), plain("b")]),
    section(
        text=md("x" * 3000), accessory=button(confirm=CONFIRM, style="danger", value="v" * 2000)
    ),
    section(
        text=md("x"), accessory={"type": "overflow", "options": [option(url="http://127.0.0.1")]}
    ),
    section(fields=[md("x" * 2000)] * 10),
    {"type": "header", "text": plain("h" * 150)},
    {"type": "header", "text": plain("Shut down acme?") | {"emoji": True}, "block_id": "h"},
    actions(button(url="https://cloud.digitalocean.com/droplets/1", style="primary")),
    actions(button(confirm=CONFIRM | {"style": "danger"}, style="danger")),
    actions(button(confirm=CONFIRM | {"text": plain("x" * 300)})),
    section(text=md("x"), accessory=IMAGE),
    {"type": "divider", "block_id": "d"},
    {"type": "context", "elements": [md("a"), IMAGE]},
    actions(
        button(),
        select(placeholder=plain("pick"), initial_option=option()),
        button(action_id="b2", url="http://127.0.0.1"),
    ),
    IMAGE | {"title": plain("t")},
    {"type": "image", "alt_text": "a", "slack_file": {"id": "F1"}},
    asks(
        line(
            multiline=True, min_length=1, max_length=3000, placeholder=plain("p"), initial_value=""
        )
    ),
    asks(
        {
            "type": "checkboxes",
            "options": [option(description=md("more"))],
            "initial_options": [option(description=md("more"))],
        }
    ),
    asks(
        {"type": "radio_buttons", "options": [option()], "initial_option": option()},
        optional=True,
        hint=plain("h"),
    ),
    asks({"type": "number_input", "is_decimal_allowed": False, "min_value": "0", "max_value": "9"}),
    asks({"type": "datepicker", "initial_date": "2027-10-31"}),
    asks({"type": "timepicker", "initial_time": "20:00"}, dispatch_action=True),
    asks({"type": "multi_users_select", "initial_users": ["U1"], "max_selected_items": 3}),
    {"type": "markdown", "text": "**bold**"},
]

BAD: list[tuple[dict[str, Any], str]] = [
    (section(fields=[]), "no fewer than 1 items allowed [json-pointer:/blocks/0/fields]"),
    ({"type": "section"}, "missing required field: text"),
    (section(text=md("")), "must be more than 0 characters"),
    (
        section(text=md("x" * 3001)),
        "must be less than 3001 characters [json-pointer:/blocks/0/text/text]",
    ),
    (section(fields=[md("x")] * 11), "no more than 10 items"),
    (section(fields=[md("x" * 2001)]), "must be less than 2001"),
    (section(text="plain"), "unsupported type"),
    (section(text=md("x"), colour="red"), "invalid additional property: colour"),
    (section(text=md("x"), accessory=line()), "unsupported type: plain_text_input"),
    ({"type": "header", "text": md("h")}, "must be one of plain_text"),
    ({"type": "header", "text": plain("")}, "must be more than 0"),
    ({"type": "header"}, "missing required field: text"),
    ({"type": "header", "text": plain("h"), "fields": [md("x")]}, "additional property: fields"),
    (section(fields=[md("")]), "must be more than 0 characters [json-pointer:/blocks/0/fields/0"),
    (section(fields=[button()]), "unsupported type: button"),
    (actions(button(url="cloud.digitalocean.com")), "does not match"),
    (actions(button(url="https://x/" + "y" * 3000)), "must be less than 3001"),
    (actions(button(confirm=CONFIRM | {"style": "default"})), "must be one of primary, danger"),
    (actions(button(confirm=CONFIRM | {"text": md("x" * 301)})), "must be less than 301"),
    (actions(button(confirm=CONFIRM | {"confirm": plain("x" * 31)})), "must be less than 31"),
    (actions(button(confirm=CONFIRM | {"deny": plain("x" * 31)})), "must be less than 31"),
    (actions(button(confirm=CONFIRM | {"title": md("x")})), "must be one of plain_text"),
    (IMAGE | {"image_url": "data:image/png;base64,AA=="}, "does not match"),
    (IMAGE | {"alt_text": ""}, "must be more than 0 characters"),
    (IMAGE | {"alt_text": "x" * 2001}, "must be less than 2001"),
    (IMAGE | {"title": md("t")}, "must be one of plain_text"),
    (
        {"type": "context", "elements": [IMAGE | {"title": plain("t")}]},
        "additional property: title",
    ),
    ({"type": "header", "text": plain("h" * 151)}, "must be less than 151"),
    ({"type": "context", "elements": [md("x")] * 11}, "no more than 10"),
    ({"type": "context", "elements": [button()]}, "unsupported type: button"),
    (actions(), "no fewer than 1"),
    (actions(*[button(action_id=f"b{n}") for n in range(26)]), "no more than 25"),
    (actions(button(), button()), "duplicate action_id: go"),
    (
        actions(button(text=plain("x" * 76))),
        "must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]",
    ),
    (actions(button(text=md("x"))), "must be one of plain_text"),
    (actions(button(style="default")), "must be one of primary, danger"),
    (actions(button(value="v" * 2001)), "must be less than 2001"),
    (actions(button(action_id="a" * 256)), "must be less than 256"),
    (actions(button(confirm=CONFIRM | {"title": plain("x" * 101)})), "must be less than 101"),
    (actions(button(confirm={"title": plain("x")})), "missing required field: deny"),
    (actions(button(accessibility_label="x" * 76)), "must be less than 76"),
    (actions(select(options=[])), "no fewer than 1"),
    (actions(select(options=[option(value=str(n)) for n in range(101)])), "no more than 100"),
    (actions(select(options=[option("x" * 76)])), "must be less than 76"),
    (actions(select(options=[option(value="v" * 151)])), "must be less than 151"),
    (
        actions(select(option_groups=[{"label": plain("g"), "options": [option()]}])),
        "exactly one of options, option_groups",
    ),
    (
        actions(select(initial_option=option("Two", "2"))),
        "initial option is not one of the options",
    ),
    (actions(select(placeholder=plain("x" * 151))), "must be less than 151"),
    (
        actions({"type": "overflow", "options": [option(value=str(n)) for n in range(6)]}),
        "no more than 5",
    ),
    (
        actions({"type": "checkboxes", "options": [option(value=str(n)) for n in range(11)]}),
        "no more than 10",
    ),
    (
        actions({"type": "radio_buttons", "options": [option(value=str(n)) for n in range(11)]}),
        "no more than 10",
    ),
    ({"type": "image", "image_url": "http://127.0.0.1"}, "missing required field: alt_text"),
    (IMAGE | {"slack_file": {"id": "F"}}, "exactly one of image_url, slack_file"),
    (asks(line(max_length=3001)), "integer from 1 to 3000"),
    (asks(line(min_length=5, max_length=4)), "min_length must not be more"),
    (asks(button()), "unsupported type: button"),
    (asks(line(), label=plain("x" * 2001)), "must be less than 2001"),
    (asks({"type": "number_input"}), "missing required field: is_decimal_allowed"),
    (asks({"type": "datepicker", "initial_date": "31.10.2027"}), "does not match"),
    ({"type": "plan"}, "unsupported type: plan"),
    ({"text": md("x")}, "unsupported type: None"),
]


@pytest.mark.parametrize("block", GOOD, ids=lambda block: str(block["type"]))
def test_slack_takes_it(block: dict[str, Any]) -> None:
    assert check_blocks([block]) == []


@pytest.mark.parametrize(
    ("block", "complaint"), BAD, ids=[f"{n}-{text[:30]}" for n, (_, text) in enumerate(BAD)]
)
def test_slack_refuses_it(block: dict[str, Any], complaint: str) -> None:
    assert any(complaint in str(problem) for problem in check_blocks([block]))


def test_a_message_has_at_most_fifty_blocks_with_ids_of_their_own() -> None:
    assert check_blocks([section()] * 50) == []
    assert "no more than 50 items allowed" in str(check_blocks([section()] * 51)[0])
    assert "block_id already exists: x" in str(
        check_blocks([section(text=md("a"), block_id="x")] * 2)[0]
    )


@pytest.mark.parametrize(
    ("view", "complaint"),
    [
        (
            modal(title=plain("t" * 25)),
            "must be less than 25 characters [json-pointer:/view/title/text]",
        ),
        (modal(submit=plain("t" * 25)), "must be less than 25"),
        (modal(private_metadata="x" * 3001), "must be less than 3001"),
        (modal(*[section()] * 101), "no more than 100"),
        (
            {"type": "modal", "title": plain("t"), "blocks": [asks(line())]},
            "missing required field: submit",
        ),
        (
            {"type": "home", "title": plain("t"), "blocks": [section()]},
            "invalid additional property: title",
        ),
        ({"type": "modal", "blocks": [section()]}, "missing required field: title"),
        (modal({"type": "markdown", "text": "x"}), "unsupported type: markdown"),
        (
            modal(asks(line(focus_on_load=True)), asks(line(focus_on_load=True))),
            "only one element can have focus_on_load",
        ),
    ],
)
def test_slack_refuses_the_view(view: dict[str, Any], complaint: str) -> None:
    assert any(complaint in str(problem) for problem in check_view(view))


def test_slack_takes_a_modal_and_a_home() -> None:
    assert (
        check_view(modal(asks(line()), notify_on_close=True, callback_id="c", private_metadata=""))
        == []
    )
    assert check_view({"type": "home", "blocks": [section()] * 100}) == []


def test_what_slacks_own_models_refuse_is_refused_here_too() -> None:
    for block, complaint in BAD:
        try:
            parsed = Block.parse(block)
            parsed.validate_json() if parsed else None
        except (SlackObjectFormationError, TypeError, ValueError):
            assert check_blocks([block]), complaint


def test_a_press_on_a_link_is_posted_without_a_value() -> None:
    town, posted = team(), []

    async def takes(_kind: str, payload: dict[str, Any]) -> None:
        posted.append(payload)

    town.connect(takes)
    link = button(url="https://cloud.digitalocean.com/droplets/1")
    place = town.workspace
    message = place.post(place.channels["COPS"], place.bot.id, "x", [actions(link)])
    assert run(town.user("UANA").press(message, "Go")).acked
    (action,) = posted[0]["actions"]
    assert (action["type"], action["action_id"]) == ("button", "go")
    assert "value" not in action
    assert town.journal.problems == deque()
