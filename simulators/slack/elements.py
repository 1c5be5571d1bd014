"""The elements on a screen that can be pressed, selected or typed into, as a user names them."""

import copy
import re
from collections.abc import Iterator

from simulators.slack.model import JSON
from simulators.slack.workspace import elements_of


class NotPossible(Exception):
    """A real client would not let a user do this."""


# The key of an element's answer in a payload, and the key of its initial value.
ANSWERS = {
    "static_select": ("selected_option", "initial_option"),
    "multi_static_select": ("selected_options", "initial_options"),
    "radio_buttons": ("selected_option", "initial_option"),
    "checkboxes": ("selected_options", "initial_options"),
    "overflow": ("selected_option", ""),
    "users_select": ("selected_user", "initial_user"),
    "multi_users_select": ("selected_users", "initial_users"),
    "channels_select": ("selected_channel", "initial_channel"),
    "multi_channels_select": ("selected_channels", "initial_channels"),
    "conversations_select": ("selected_conversation", "initial_conversation"),
    "multi_conversations_select": ("selected_conversations", "initial_conversations"),
    "datepicker": ("selected_date", "initial_date"),
    "timepicker": ("selected_time", "initial_time"),
    "datetimepicker": ("selected_date_time", "initial_date_time"),
    "plain_text_input": ("value", "initial_value"),
    "email_text_input": ("value", "initial_value"),
    "url_text_input": ("value", "initial_value"),
    "number_input": ("value", "initial_value"),
}
LINES = ("plain_text_input", "email_text_input", "url_text_input", "number_input")
FORMS = {
    "datepicker": r"\d{4}-\d\d-\d\d",
    "timepicker": r"([01]\d|2[0-3]):[0-5]\d",
    "email_text_input": r"[^@\s]+@[^@\s]+\.[^@\s]+",
    "url_text_input": r"https?://\S+",
    "number_input": r"-?\d+(\.\d+)?",
}


def interactive(blocks: list[JSON]) -> Iterator[tuple[JSON, JSON]]:
    """Return every block with an interactive element."""
    for block in blocks:
        for element in elements_of(block):
            if element.get("type") in ANSWERS or element.get("type") == "button":
                yield block, element


def labels(block: JSON, element: JSON) -> set[str]:
    """Return the names by which a user or a test may mean this element."""
    names = [
        element.get("action_id"),
        element.get("text", {}).get("text"),
        element.get("placeholder", {}).get("text"),
    ]
    if block["type"] == "input" or (
        block.get("accessory") is element and element["type"] != "button"
    ):
        label = block.get("label") or block.get("text") or {}
        names += [block["block_id"], label.get("text")]
    return {str(name).casefold().strip() for name in names if name}


def find(
    blocks: list[JSON], name: str, kinds: tuple[str, ...] = (), block_id: str = ""
) -> tuple[JSON, JSON]:
    """Return the block and element with this name."""
    for block, element in interactive(blocks):
        if block_id not in ("", block["block_id"]) or (kinds and element["type"] not in kinds):
            continue
        if name.casefold().strip() in labels(block, element):
            return block, element
    names = sorted(
        element.get("text", {}).get("text") or element["action_id"]
        for _, element in interactive(blocks)
    )
    raise NotPossible(
        f"there is no {name!r} here; there is: {', '.join(names) or 'nothing to use'}"
    )


def options_of(element: JSON) -> list[JSON]:
    """Return all options of an element."""
    return [
        *element.get("options", []),
        *(option for group in element.get("option_groups", []) for option in group["options"]),
    ]


def option(element: JSON, name: object) -> JSON:
    """Return the option with this label or value."""
    for one in options_of(element):
        if name in (one["value"], one["text"]["text"]):
            return one
    offered = ", ".join(str(one["text"]["text"]) for one in options_of(element))
    raise NotPossible(f"{name!r} cannot be chosen; offered: {offered}")


def answered(element: JSON, answer: object) -> JSON:
    """Return the payload of this answer; None or "" empties the element."""
    kind = element["type"]
    key, _ = ANSWERS[kind]
    if answer in (None, ""):
        return {"type": kind, key: _empty(key)}
    if kind in FORMS and not re.fullmatch(FORMS[kind], str(answer)):
        raise NotPossible(f"{answer!r} does not fit into {element['action_id']}")
    if kind in LINES:
        check_line(element, str(answer))
        return {"type": kind, key: str(answer)}
    if "option" in key:
        chosen = answer if isinstance(answer, list | tuple) else [answer]
        picked = [copy.deepcopy(option(element, one)) for one in chosen]
        return {"type": kind, key: picked if key == "selected_options" else picked[0]}
    if key.endswith("s") and not isinstance(answer, list):
        return {"type": kind, key: [answer]}
    if kind == "datetimepicker":
        return {"type": kind, key: int(str(answer))}
    return {"type": kind, key: answer}


def check_line(element: JSON, text: str) -> None:
    """Refuse text that the field would not accept."""
    name = element["action_id"]
    if len(text) > element.get("max_length", 3000):
        raise NotPossible(f"{name} takes at most {element.get('max_length', 3000)} characters")
    if len(text) < element.get("min_length", 0):
        raise NotPossible(f"{name} takes at least {element['min_length']} characters")
    if "\n" in text and not element.get("multiline"):
        raise NotPossible(f"{name} is a single line")
    if element["type"] == "number_input":
        if not element["is_decimal_allowed"] and "." in text:
            raise NotPossible(f"{name} takes whole numbers")
        if (
            not float(element.get("min_value", "-inf"))
            <= float(text)
            <= float(element.get("max_value", "inf"))
        ):
            raise NotPossible(
                f"{name} takes numbers from {element.get('min_value', 'any')} "
                f"to {element.get('max_value', 'any')}"
            )


def begins_with(element: JSON) -> JSON:
    """Return the element's payload before anyone touches it."""
    key, initial = ANSWERS[element["type"]]
    if initial and element.get(initial) is not None:
        return {"type": element["type"], key: copy.deepcopy(element[initial])}
    return {"type": element["type"], key: _empty(key)}


def _empty(key: str) -> list[object] | None:
    """Return the value of an element without an answer."""
    if key.endswith("s"):
        return []
    return None


def state_of(blocks: list[JSON], typed: dict[str, dict[str, JSON]]) -> JSON:
    """Return `state.values`: the current answer of every element."""
    values: JSON = {}
    for block, element in interactive(blocks):
        if element["type"] not in ("button", "overflow"):
            answer = typed.get(block["block_id"], {}).get(element["action_id"]) or begins_with(
                element
            )
            values.setdefault(block["block_id"], {})[element["action_id"]] = answer
    return values


def is_empty(element: JSON, answer: JSON) -> bool:
    """Return whether there is no answer."""
    return not answer.get(ANSWERS[element["type"]][0])
