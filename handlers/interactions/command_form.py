"""Modals of the menu: a command's fields, its plan, and a placeholder. Pure."""

import json
from collections.abc import Mapping
from dataclasses import Field, dataclass
from typing import Any

from handlers.commands.holds import HoldCommand
from handlers.commands.typed_words import quote_word
from handlers.interactions.options import (
    LENGTHS,
    Option,
    command_of_action,
    initial_value,
    options_for,
)
from handlers.slack.blocks import (
    OPTION,
    Block,
    Card,
    context,
    divider,
    modal,
    option,
    plain_text,
    section,
    static_select,
    truncate,
)
from services.cluster.model import Cluster
from services.common.command import Command
from services.common.errors import Refused
from services.procedures import Procedure

FORM, PLAN = "command_form", "command_plan"
REASON, FLAGS, LENGTH = "reason", "flags", "length"
TYPED = 300  # characters of what is typed into one field
LABELS = {
    "number": "How many media nodes",
    "media": "How many media nodes",
    "size": "Droplet size",
    "node": "Which node",
}


@dataclass(frozen=True)
class ModalState:
    """What a modal is about, in its private metadata.

    `words`: the command that it leads to, once that is known. `shown`: the digest of the plan that
    it shows. The field names stand in modals that are open while the bot is updated.
    """

    command: str
    cluster: str
    channel: str = ""
    words: str = ""
    reason: str = ""
    shown: str = ""

    @classmethod
    def of(cls, view: Mapping[str, Any]) -> "ModalState":
        """Read the state of a modal."""
        return cls(**json.loads(view["private_metadata"]))

    def text(self) -> str:
        """Return the private metadata. Versions without `shown` read a form that shows no plan."""
        return json.dumps({k: v for k, v in self.__dict__.items() if v or k != "shown"})


def looking_view(state: ModalState, what: str) -> Block:
    """Return the placeholder that is shown at once, and replaced when the look is done."""
    text = (
        f"{what} {state.cluster} … Nothing is changed. "
        "If nothing appears within a minute, close this and try again."
    )
    return modal("looking", _title(state.command), [section(text)])


def _title(command: str) -> str:
    return command.capitalize()


# The form


# Fields that begin with what the button was about.
BEGINS = ("thing", "things")


def command_form(kind: type[Command], cluster: Cluster, state: ModalState) -> Block:
    """Return the form with a command's fields; lists where there is something to pick."""
    blocks: list[Block] = [section(f"*{cluster.name}* · {kind.summary()}")]
    if kind is HoldCommand:
        blocks += [
            _line("what", "Reason", "everyone in the channel can read it"),
            _select(LENGTH, "For how long", LENGTHS, "2h"),
        ]
        return _form(kind, blocks, state, "Put on hold")
    blocks += [
        _field(kind, f, cluster, state.words)
        for f in kind.parameters()
        if f.metadata["kind"] != "flag"
    ]
    if flags := [f for f in kind.parameters() if f.metadata["kind"] == "flag"]:
        blocks.append(_flags(flags))
    if not issubclass(kind, Procedure):
        return _form(kind, blocks, state, "Continue")
    blocks += [
        _line(REASON, "Reason", "Shown on the card and kept with the run", optional=True),
        context("The plan comes next. Nothing is changed yet."),
    ]
    return _form(kind, blocks, state, "Show plan")


def _form(kind: type[Command], blocks: list[Block], state: ModalState, submit: str) -> Block:
    return modal(
        FORM,
        _title(kind.command),
        blocks,
        metadata=state.text(),
        submit=submit,
        close="Cancel",
    )


def _field(kind: type[Command], field: Field[Any], cluster: Cluster, begins: str) -> Block:
    optional = field.default is None or isinstance(field.default, str)
    offered = options_for(kind, field, cluster)
    label = LABELS.get(field.name, field.name.capitalize())
    if not offered:
        line = _line(field.name, label, field.metadata["help"], optional=optional)
        if begins and field.name in BEGINS:
            line["element"]["initial_value"] = begins
        return line
    return _select(
        field.name, label, offered, initial_value(kind, field, cluster), optional=optional
    )


def _select(
    block: str, label: str, offered: tuple[Option, ...], begins: str = "", *, optional: bool = False
) -> Block:
    options = {p.value: option(p.label, p.value, p.about) for p in offered}
    element = static_select("Choose", block, list(options.values()), options.get(begins))
    return _input(block, label, element, optional=optional)


def _line(block: str, label: str, hint: str, *, optional: bool = False) -> Block:
    element = {"type": "plain_text_input", "action_id": block, "max_length": TYPED}
    return _input(block, label, element, optional=optional) | {"hint": plain_text(hint, 200)}


def _flags(flags: list[Field[Any]]) -> Block:
    options = [option(_sentence(f.metadata["help"]), f.name, _flag(f)) for f in flags]
    element = {"type": "checkboxes", "action_id": FLAGS, "options": options}
    return _input(FLAGS, "How", element, optional=True)


def _flag(field: Field[Any]) -> str:
    return f"--{field.name.replace('_', '-')}"


def _input(block: str, label: str, element: Block, *, optional: bool) -> Block:
    return {
        "type": "input",
        "block_id": block,
        "optional": optional,
        "label": plain_text(label, 100),
        "element": element,
    }


def _sentence(text: str) -> str:
    return truncate(text[:1].upper() + text[1:], OPTION)


# The sent form


def read_command_form(view: Mapping[str, Any]) -> ModalState:
    """Return the state of a sent form, with the command that it means and the reason."""
    state = ModalState.of(view)
    kind = command_of_action(state.command.replace(" ", "-"))
    if kind is None:
        raise Refused(f"there is no command {state.command}")
    if kind is HoldCommand:
        reason, length = quote_word(_typed(view, "what")), _typed(view, LENGTH)
        words = f"{kind.command} {reason} for {length}"
        return ModalState(state.command, state.cluster, state.channel, words)
    arguments = [_typed(view, f.name) for f in kind.parameters() if f.metadata["kind"] != "flag"]
    chosen = _ticked(view)
    flags = [_flag(f) for f in kind.parameters() if f.name in chosen]
    words = " ".join([kind.command, *map(quote_word, filter(None, arguments)), *flags])
    return ModalState(state.command, state.cluster, state.channel, words, _typed(view, REASON))


def first_field(view: Mapping[str, Any]) -> str:
    """Return the block under which a refusal is shown."""
    return next((str(b["block_id"]) for b in view["blocks"] if b["type"] == "input"), REASON)


def _typed(view: Mapping[str, Any], block: str) -> str:
    state = view["state"]["values"].get(block, {}).get(block, {})
    if picked := state.get("selected_option"):
        return str(picked["value"])
    return " ".join(str(state.get("value") or "").split())


def _ticked(view: Mapping[str, Any]) -> frozenset[str]:
    state = view["state"]["values"].get(FLAGS, {}).get(FLAGS, {})
    return frozenset(str(o["value"]) for o in state.get("selected_options") or [])


# The plan


def plan_view(card: Card, state: ModalState, *, submit: str, note: str) -> Block:
    """Return the plan and a note below it. `submit`: the label of the button; "" for none."""
    metadata = ""
    if submit:
        metadata = state.text()
    return modal(
        PLAN,
        _title(state.command),
        [*card.blocks, divider(), context(note)],
        metadata=metadata,
        submit=submit,
        close="Cancel",
    )
