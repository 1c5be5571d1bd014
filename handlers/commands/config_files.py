"""Commands about OpenVidu's configuration files: list, show, edit in a form, set one value."""

import hashlib
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from handlers.commands.base import CommandContext, InstantCommand
from handlers.commands.config import CONFIG, NOT_HERE, plan_of
from handlers.commands.errors import error_text
from handlers.slack.blocks import Card
from handlers.views.config_file import (
    MOST_TEXT,
    FormState,
    edit_form,
    failed_view,
    file_card,
    files_card,
    reading_view,
)
from services.access.clusters import raise_if_denied
from services.common.command import argument, rest
from services.common.errors import BotError, Refused
from services.config_files import ConfigFile, ConfigText, file_named, is_shown, shown_text
from services.config_files.masking import shown_lines
from services.config_files.values import section_of, sections, with_value

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,_-/:[]\"'+*")


@dataclass(frozen=True)
class ConfigFileList(InstantCommand):
    """List the configuration files that can be edited, and those that cannot, with the reason."""

    command: ClassVar[str] = "config file list"
    help_text: ClassVar[str] = "List OpenVidu's configuration files that can be edited here."
    classes = CONFIG[:1]

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        may_configure(ctx, name)
        return files_card(name)


@dataclass(frozen=True)
class ConfigFileShow(InstantCommand):
    """Show one configuration file, without what may be secret."""

    command: ClassVar[str] = "config file show"
    help_text: ClassVar[str] = "Show a configuration file. Values that may be secret are hidden."
    classes = CONFIG[:1]
    file: str = argument("livekit.yaml, or another file of config file list")
    part: str = argument("a section of it", default="")

    async def answer(self, ctx: CommandContext) -> Card:
        name, file = ctx.cluster(), file_named(self.file)
        may_configure(ctx, name)
        content = await ctx.operations.config_file(ctx.actor, name, file)
        lines = shown_lines(file, content.text.rstrip("\n"))
        if self.part:
            begin, end = section_of(file, content.text, self.part)
            lines = lines[begin:end]
        return file_card(name, file, lines, self.part)


@dataclass(frozen=True)
class ConfigFileEdit(InstantCommand):
    """Edit one configuration file in a form; its difference waits for approval."""

    command: ClassVar[str] = "config file edit"
    help_text: ClassVar[str] = (
        "Edit a configuration file in a form. The difference then waits for approval."
    )
    classes = CONFIG[:1]
    plans: ClassVar[bool] = True
    later: ClassVar[bool] = True
    file: str = argument("livekit.yaml, or another file of config file list")
    part: str = argument("a section of it", default="")

    async def answer(self, ctx: CommandContext) -> Card | None:
        name, file = ctx.cluster(), file_named(self.file)
        may_configure(ctx, name)
        ctx.operations.must_use(name, ctx.actor, *CONFIG[:1])
        ctx.operations.secrets_bucket(name, ctx.actor)
        if ctx.dry_run:
            raise Refused(
                "a form has no dry run: sending it only asks for approval. "
                "[[command config file set FILE KEY VALUE --dry-run]] plans a single value"
            )
        if not ctx.trigger:
            raise Refused(
                "only the slash command can open the form. Here, a single value is changed with "
                "[[command config file set FILE KEY VALUE]]"
            )
        # A trigger lasts three seconds, and reading the file may take longer.
        view = str(await ctx.open_modal(reading_view(name, file.name)))
        try:
            content = await ctx.operations.config_file(ctx.actor, name, file)
            form = self._form(ctx, name, content)
        except BotError as error:
            await ctx.update_modal(view, failed_view(error_text(error, [name])))
            return None
        await ctx.update_modal(view, form)
        return None

    def _form(self, ctx: CommandContext, name: str, content: ConfigText) -> dict[str, object]:
        text, left = editable(content, self.part)
        at, zone = ctx.later or (0.0, "")
        digest = hashlib.sha256(content.data).hexdigest()
        state = FormState(name, ctx.channel, content.file.name, self.part, digest, at, zone)
        return edit_form(state, content.file, text, ctx.reason, left)


@dataclass(frozen=True)
class ConfigFileSet(InstantCommand):
    """Change one value of a configuration file that is no secret."""

    command: ClassVar[str] = "config file set"
    help_text: ClassVar[str] = (
        "Change one value of a configuration file that is no secret, such as a number."
    )
    classes = CONFIG[:1]
    plans: ClassVar[bool] = True
    later: ClassVar[bool] = True
    # All words, so that a refusal repeats none of them: one may be a secret. So it is not stored.
    words: str = rest("the file, the key and the value", syntax="FILE KEY VALUE")

    async def answer(self, ctx: CommandContext) -> Card | None:
        name = ctx.cluster()
        may_configure(ctx, name)
        words = self.words.split(maxsplit=2)
        if len(words) != 3:
            raise Refused(
                "name the file, the key and the value: "
                "[[command config file set livekit.yaml room.max_participants 50]]"
            )
        file, path, value = file_named(words[0]), words[1], words[2].strip()
        if not is_shown(file, path):
            raise Refused(
                f"that key of {file.name} may be a secret, or is unknown: {NOT_HERE}. "
                f"For this file the form is [[command config file edit {file.name}]]"
            )
        if not set(value) <= PLAIN:
            raise Refused(
                "a value that is typed has letters, digits and . , _ - / : only. "
                f"Others go into the form of [[command config file edit {file.name}]]"
            )
        outcome = await ctx.operations.change_file(
            ctx.actor,
            name,
            file,
            partial(_set, path=path, value=value),
            reason=ctx.reason,
            channel=ctx.channel if ctx.dry_run else await ctx.card_channel(name) or ctx.channel,
            words=f"config file set {file.name} {path} {value}",
            what=path,
            dry=ctx.dry_run,
            later=ctx.later,
        )
        return plan_of(outcome)


def _set(content: ConfigText, path: str, value: str) -> str:
    return with_value(content.file, content.text, path, value)


def editable(content: ConfigText, part: str) -> tuple[str, str]:
    """Return the text of a file for a form, and what else to know. Refused if it is too long."""
    shown = shown_text(content.file, content.text).text
    if part:
        begin, end = section_of(content.file, content.text, part)
        shown = "\n".join(shown.split("\n")[begin:end])
    if len(shown) > MOST_TEXT:
        raise Refused(
            f"{content.file.name} is longer than a form of Slack. {_shorter(content, part)}"
        )
    return shown, ""


def _shorter(content: ConfigText, part: str) -> str:
    parts = ", ".join(sections(content.file, content.text)[:30])
    if part or not parts:
        return "[[command config file set FILE KEY VALUE]] changes a single value"
    return f"Name a section: [[command config file edit {content.file.name} SECTION]], of {parts}"


def edited_text(content: ConfigText, part: str, edited: str) -> str:
    """Return the whole new content, from what a form brought back.

    Refused where what is not shown would become visible, or a mark is unknown.
    """
    file, shown = content.file, shown_text(content.file, content.text)
    # Phones and web pages put in blanks and line ends that no node understands.
    edited = edited.replace("\r\n", "\n").replace("\u00a0", " ")
    if part:
        begin, end = section_of(file, content.text, part)
        lines = shown.text.split("\n")
        whole = "\n".join([*lines[:begin], *edited.rstrip("\n").split("\n"), *lines[end:]])
    else:
        whole = edited
        if content.text.endswith("\n") and not whole.endswith("\n"):
            whole += "\n"
    if shown.surfaced(file, whole):
        raise Refused(
            "a value that is not shown would become visible under another key. "
            "Leave each mark at its key. Nothing was changed"
        )
    return shown.restored(whole)


def digest_of(content: ConfigText) -> str:
    """Return the digest of a file, to notice that it was changed."""
    return hashlib.sha256(content.data).hexdigest()


def may_configure(ctx: CommandContext, name: str) -> None:
    """Refused unless this person may read the configuration."""
    raise_if_denied(ctx.operations.permission(name, ctx.actor, ConfigFileList))


def changed_by(state: FormState, edited: str, content: ConfigText) -> str:
    """Return the new content for a sent form. Refused if the file was changed meanwhile."""
    if digest_of(content) != state.shown:
        raise Refused(
            f"{content.file.name} was changed since the form was opened. Nothing was changed. "
            f"Open it again: [[command config file edit {content.file.name}]]"
        )
    return edited_text(content, state.part, edited)


__all__ = [
    "ConfigFile",
    "ConfigFileEdit",
    "ConfigFileList",
    "ConfigFileSet",
    "ConfigFileShow",
    "changed_by",
    "digest_of",
    "edited_text",
    "replace",
]
