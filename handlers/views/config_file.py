"""Configuration files: the list, one of them, and the forms that change them. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from handlers.slack.blocks import (
    Block,
    Card,
    context,
    escape,
    header,
    modal,
    plain_text,
    section,
    truncate,
)
from handlers.slack.markup import date_time
from handlers.views.text import without_formatting
from services.common.text import count_of, join_words
from services.config_files import FILES, ConfigFile, Place, Syntax
from services.config_files.catalog import REFUSED
from services.config_files.modules import Module
from services.config_files.webhooks import Webhook

EDIT, WEBHOOK_FORM = "config_file", "webhook_add"
TEXT, URL, REASON = "file_text", "webhook_url", "reason"
# Slack takes 3,000 characters in a form's field, and in a block.
MOST_TEXT = 2900
MOST = {TEXT: 3000, URL: 2000, REASON: 300}
BLOCKS = 8


@dataclass(frozen=True)
class FormState:
    """What a form brings back: which file it shows, and of which content."""

    cluster: str
    channel: str
    file: str = ""
    part: str = ""
    # The digest of the whole file as it was shown.
    shown: str = ""
    at: float = 0.0
    zone: str = ""

    def dump(self) -> str:
        """Return it for the form's metadata."""
        return json.dumps({f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def of(cls, view: Mapping[str, Any]) -> "FormState":
        """Read it from a sent form."""
        loaded = json.loads(view["private_metadata"])
        return cls(**{f.name: loaded[f.name] for f in fields(cls) if f.name in loaded})

    @property
    def later(self) -> tuple[float, str] | None:
        """When the change is made, and the time zone; None for now."""
        return (self.at, self.zone) if self.zone else None


# Cards


def files_card(cluster: str) -> Card:
    """List the files that can be edited, by the nodes that read them."""
    title = f"Configuration files of {cluster}"
    blocks = [header(title)]
    for place in Place:
        names = [f"`{f.name}`" for f in FILES if f.place is place]
        blocks.append(section(f"*Read by {place}*\n{', '.join(names)}"))
    blocks.append(
        section(
            "*Not edited here*\n" + "\n".join(f"`{n}`: {_plain(w)}" for n, w in REFUSED.items())
        )
    )
    blocks.append(context("`/openvidu config file show FILE` shows one, without secret values."))
    listed = ", ".join(f.name for f in FILES)
    return Card(f"{title}: {listed}.", tuple(blocks))


def _plain(text: str) -> str:
    return text.replace("[[command ", "`/openvidu ").replace("]]", "`")


def file_card(cluster: str, file: ConfigFile, lines: Sequence[str], part: str = "") -> Card:
    """Show a file, with what may be shown of it."""
    title = f"{file.name} of {cluster}"
    if part:
        title += f": {part}"
    blocks = [header(truncate(title, 140))]
    blocks += [section(f"```{text}```") for text in _chunks(lines)[:BLOCKS]]
    if len(_chunks(lines)) > BLOCKS:
        blocks.append(section("The rest is left out. Name a section: `config file show FILE PART`"))
    blocks.append(
        context(
            f"Comments and values that may be secret are hidden. "
            f"`/openvidu config file edit {file.name}` changes it."
        )
    )
    return Card(f"{title}: {count_of(len(lines), 'line')}.", tuple(blocks))


def _chunks(lines: Sequence[str]) -> list[str]:
    chunks = [""]
    for text in lines:
        line = escape(truncate(text.replace("`", "’"), 400)) + "\n"
        if len(chunks[-1]) + len(line) > MOST_TEXT:
            chunks.append("")
        chunks[-1] += line
    return [chunk for chunk in chunks if chunk.strip()]


def modules_card(
    cluster: str, modules: Sequence[Module], on: Sequence[str], missing: Mapping[str, str]
) -> Card:
    """List the modules: which are on, what each runs and needs."""
    title = f"Modules of {cluster}"
    lines = []
    for module in modules:
        is_on = module.name in on
        state = ":large_green_circle: on" if is_on else ":white_circle: off"
        runs = join_words(names[0] for names in module.containers)
        lines.append(f"*{module.name}* {state} · {module.title}")
        lines.append(f"      Runs {runs} on each master. Licence: {module.licence}.")
        if lack := missing.get(module.name):
            mark = ":warning: " if is_on else ""
            lines.append(f"      {mark}{lack}")
        if not is_on:
            lines.append(f"      Off: {module.without}.")
    unknown = [name for name in on if name not in {m.name for m in modules}]
    if unknown:
        lines.append(f":warning: Unknown: {', '.join(escape(n[:40]) for n in unknown)}")
    lines.append("`/openvidu module on NAME` and `module off NAME` change it, after approval.")
    return Card(without_formatting(f"{title}: {'; '.join(lines)}"), (header(title), *_split(lines)))


def _split(lines: Sequence[str]) -> list[Block]:
    return [section("\n".join(lines))]


def webhooks_card(cluster: str, hooks: Sequence[Webhook]) -> Card:
    """List the webhooks, without what may be secret in their URLs."""
    title = f"Webhooks of {cluster}"
    lines = [
        f"{hook.number}. `{escape(hook.shown.replace('`', '’'))}`"
        f"{' · a module of OpenVidu' if hook.is_internal else ''}"
        for hook in hooks
    ]
    lines = lines or ["None: LiveKit posts its events nowhere."]
    lines.append("`/openvidu webhook add` and `webhook remove NUMBER` change it, after approval.")
    text = without_formatting(f"{title}: {'; '.join(lines)}")
    return Card(text, (header(title), section("\n".join(lines))))


# Forms


def reading_view(cluster: str, name: str) -> Block:
    """Return the placeholder that is shown while a file is read."""
    text = f"Reading {name} of {cluster} … Nothing is changed."
    return modal("looking", "Configuration", [section(text)])


def failed_view(text: str) -> Block:
    """Return what is shown where the file could not be read."""
    return modal("looking", "Configuration", [section(text)])


def edit_form(
    state: FormState, file: ConfigFile, text: str, reason: str = "", left: str = ""
) -> Block:
    """Return the form with the text of a file, or of a part of it."""
    what = f"*{file.name}* of {state.cluster}{f', section {state.part}' if state.part else ''}."
    intro = (
        f"{what} A mark such as `<kept 1>` stands for a value or comment that is not shown: leave "
        "it, or write a new value in its place."
    )
    if state.zone:
        intro += f" It is changed {date_time(state.at)} ({state.zone})."
    hint = f"{file.syntax}. What is approved is the difference, and only that."
    if left:
        hint += f" {left}"
    blocks = [
        section(intro),
        _input(TEXT, "Content", hint, initial=text, multiline=True),
        _input(REASON, "Reason (shown to others)", optional=True, initial=reason[:300]),
    ]
    return modal(
        EDIT,
        f"Edit {file.name}"[:24],
        blocks,
        metadata=state.dump(),
        submit="Request change",
        close="Cancel",
    )


def webhook_form(state: FormState, reason: str = "") -> Block:
    """Return the form for a new webhook."""
    intro = (
        f"LiveKit of {state.cluster} posts its events to this URL. It goes to the private bucket "
        "and to the masters; the plan hides what may be secret in it."
    )
    blocks = [
        section(intro),
        _input(URL, "URL", "It begins with https://"),
        _input(REASON, "Reason (shown to others)", optional=True, initial=reason[:300]),
    ]
    return modal(
        WEBHOOK_FORM,
        "Add a webhook",
        blocks,
        metadata=state.dump(),
        submit="Request change",
        close="Cancel",
    )


def typed(view: Mapping[str, Any], block: str) -> str:
    """Return what was typed into a field of a sent form."""
    return str(view["state"]["values"].get(block, {}).get(block, {}).get("value") or "")


def _input(
    block_id: str,
    label: str,
    hint: str = "",
    *,
    optional: bool = False,
    initial: str = "",
    multiline: bool = False,
) -> Block:
    element: Block = {
        "type": "plain_text_input",
        "action_id": block_id,
        "max_length": MOST[block_id],
    }
    if multiline:
        element["multiline"] = True
    block: Block = {
        "type": "input",
        "block_id": block_id,
        "optional": optional,
        "label": plain_text(label, 2000),
        "element": element,
    }
    if initial:
        element["initial_value"] = initial
    if hint:
        block["hint"] = plain_text(hint, 2000)
    return block


def is_env(file: ConfigFile) -> bool:
    """Return whether a file has no sections."""
    return file.syntax is Syntax.ENV
