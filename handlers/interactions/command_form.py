"""Modals: a command's fields to pick from, its plan before anything is asked for, and a word while it is looked for. Pure."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import Field, dataclass
from typing import Any

from handlers.commands.holds import HoldTalk
from handlers.commands.parser import CURLY
from handlers.interactions.options import LENGTHS, Pick, initial, kind_of, picks
from handlers.slack.blocks import (
    OPTION,
    Block,
    Card,
    context,
    cut,
    divider,
    menu,
    modal,
    option,
    section,
    words,
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
class Meant:
    """What a modal is about; travels with it. `words`: the command that it leads to, once that is known."""

    command: str
    cluster: str
    channel: str = ""
    words: str = ""
    reason: str = ""

    @classmethod
    def of(cls, view: Mapping[str, Any]) -> "Meant":
        """What that modal is about."""
        return cls(**json.loads(view["private_metadata"]))

    def text(self) -> str:
        return json.dumps(self.__dict__)


def looking_view(meant: Meant, what: str) -> Block:
    """Shown at once, and replaced when the look is done."""
    said = f"{what} {meant.cluster} … If nothing comes within a minute, close this and try again; nothing was changed."
    return modal("looking", _title(meant.command), [section(said)])


def _title(command: str) -> str:
    return command.capitalize()


# A command's fields


def command_form(kind: type[Command], cluster: Cluster, meant: Meant) -> Block:
    """Everything that the command takes, picked from lists where there are such."""
    blocks: list[Block] = [section(f"*{cluster.name}* · {kind.summary()}")]
    if kind is HoldTalk:
        blocks += [
            _line("what", "Why", "others read it"),
            _select(LENGTH, "For how long", LENGTHS, "2h"),
        ]
        return modal(
            FORM,
            _title(kind.command),
            blocks,
            meant=meant.text(),
            submit="Put on hold",
            close="Leave it",
        )
    blocks += [_field(kind, f, cluster) for f in kind.parameters() if f.metadata["kind"] != "flag"]
    if flags := [f for f in kind.parameters() if f.metadata["kind"] == "flag"]:
        blocks.append(_flags(flags))
    if not issubclass(kind, Procedure):
        return modal(
            FORM, _title(kind.command), blocks, meant=meant.text(), submit="Go on", close="Leave it"
        )
    blocks += [
        _line(REASON, "Why", "shown to others, and kept with the run", optional=True),
        context("Next comes the plan. Nothing is changed yet."),
    ]
    return modal(
        FORM,
        _title(kind.command),
        blocks,
        meant=meant.text(),
        submit="Show the plan",
        close="Leave it",
    )


def _field(kind: type[Command], field: Field[Any], cluster: Cluster) -> Block:
    optional = field.default is None or isinstance(field.default, str)
    offered = picks(kind, field, cluster)
    label = LABELS.get(field.name, field.name.capitalize())
    if not offered:
        return _line(field.name, label, field.metadata["help"], optional=optional)
    return _select(field.name, label, offered, initial(kind, field, cluster), optional=optional)


def _select(
    block: str, label: str, offered: tuple[Pick, ...], begins: str = "", *, optional: bool = False
) -> Block:
    listed = {p.value: option(p.label, p.value, p.about) for p in offered}
    element = menu("Choose", block, list(listed.values()), listed.get(begins))
    return {
        "type": "input",
        "block_id": block,
        "optional": optional,
        "label": words(label, 100),
        "element": element,
    }


def _line(block: str, label: str, hint: str, *, optional: bool = False) -> Block:
    element = {"type": "plain_text_input", "action_id": block, "max_length": TYPED}
    return {
        "type": "input",
        "block_id": block,
        "optional": optional,
        "label": words(label, 100),
        "element": element,
        "hint": words(hint, 200),
    }


def _flags(flags: list[Field[Any]]) -> Block:
    offered = [
        option(_sentence(f.metadata["help"]), f.name, f"--{f.name.replace('_', '-')}")
        for f in flags
    ]
    element = {"type": "checkboxes", "action_id": FLAGS, "options": offered}
    return {
        "type": "input",
        "block_id": FLAGS,
        "optional": True,
        "label": words("How", 100),
        "element": element,
    }


def _sentence(text: str) -> str:
    return cut(text[:1].upper() + text[1:], OPTION)


# What was picked


def said_in(view: Mapping[str, Any]) -> Meant:
    """The command that a filled-in form means, and the reason."""
    meant = Meant.of(view)
    kind = kind_of(meant.command.replace(" ", "-"))
    if kind is None:
        raise Refused(f"there is no command {meant.command}")
    if kind is HoldTalk:
        said = [kind.command, _typed(view, "what"), "for", _typed(view, LENGTH)]
        return Meant(
            meant.command,
            meant.cluster,
            meant.channel,
            " ".join([said[0], _quoted(said[1]), *said[2:]]),
        )
    said = [kind.command]
    for field in kind.parameters():
        if field.metadata["kind"] != "flag" and (value := _typed(view, field.name)):
            said.append(_quoted(value))
    chosen = _ticked(view)
    said += [f"--{f.name.replace('_', '-')}" for f in kind.parameters() if f.name in chosen]
    return Meant(meant.command, meant.cluster, meant.channel, " ".join(said), _typed(view, REASON))


def _quoted(text: str) -> str:
    """As one word of a command. Parsing straightens curly quotes, so they are straight before they are quoted."""
    return shlex.quote(text.translate(CURLY))


def first_field(view: Mapping[str, Any]) -> str:
    """The block under which a refusal is shown."""
    return next((str(b["block_id"]) for b in view["blocks"] if b["type"] == "input"), REASON)


def _typed(view: Mapping[str, Any], block: str) -> str:
    state = view["state"]["values"].get(block, {}).get(block, {})
    picked = state.get("selected_option")
    return str(picked["value"]) if picked else " ".join(str(state.get("value") or "").split())


def _ticked(view: Mapping[str, Any]) -> frozenset[str]:
    state = view["state"]["values"].get(FLAGS, {}).get(FLAGS, {})
    return frozenset(str(o["value"]) for o in state.get("selected_options") or [])


# The plan


def plan_view(card: Card, meant: Meant, *, submit: str, note: str) -> Block:
    """What it would do; with `submit`, what asking for it is called."""
    blocks = [*card.blocks, divider(), context(note)]
    return modal(
        PLAN,
        _title(meant.command),
        blocks,
        meant=meant.text() if submit else "",
        submit=submit,
        close="Leave it",
    )
