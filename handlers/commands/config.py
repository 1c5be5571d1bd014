"""Commands about `secrets.env`.

Values are typed into a form and go to the bucket; they are never posted in a channel.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card, escape, section
from handlers.slack.markup import date_time
from handlers.views.secret_form import config_form
from handlers.views.secrets_list import secrets_card
from services.access.clusters import raise_if_denied
from services.common.command import CommandClass, argument, rest
from services.common.errors import Refused
from services.operations.results import Outcome, Planned
from services.procedures import Configure
from services.procedures.configure import classes_of
from services.runs.run import Run, State
from services.secrets_env import (
    SecretsFile,
    changes,
    consequences,
    damaged_keys,
    findings,
    lint,
    may_change,
)
from services.secrets_env.keys import URLS

CONFIG = (CommandClass.CONFIGURATION, CommandClass.SECRETS)
SHOWN = 20
# For a dry run: two values of each format, so that one of them differs from the file's.
SAMPLES = (
    "example-value-of-a-dry-run-0000000001",
    "Example-value-of-a-dry-run-0000000002",
    "dry.example",
    "run.example",
    "observability",
    "openviduMeet",
    "pion",
    "mediasoup",
)
NOT_HERE = (
    "type only the key, as in `/openvidu config set DASHBOARD_ADMIN_PASSWORD`; "
    "a form asks for the value. The bot did not keep what you typed. "
    "If it was a real secret, choose another one: "
    "Slack, or your shell's history and process list, may have kept it"
)


@dataclass(frozen=True)
class ConfigList(InstantCommand):
    """List the keys of secrets.env, without values."""

    command: ClassVar[str] = "config list"
    help_text: ClassVar[str] = (
        "List the keys of secrets.env: which are secret, and which may be changed."
    )
    classes: ClassVar[tuple[CommandClass, ...]] = CONFIG

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        _may(ctx, name)
        file = await ctx.operations.secrets_bucket(name, ctx.actor).read()
        problems = [str(p) for p in file.problems()]
        problems += [str(f) for f in findings(file) if str(f) not in problems]
        return secrets_card(name, file, problems)


@dataclass(frozen=True)
class ConfigSet(InstantCommand):
    """Change one key of secrets.env: opens a form for the value, then asks for approval."""

    command: ClassVar[str] = "config set"
    help_text: ClassVar[str] = (
        "Change one key of secrets.env. A form asks for the value; then it waits for approval."
    )
    classes: ClassVar[tuple[CommandClass, ...]] = CONFIG
    plans: ClassVar[bool] = True
    later: ClassVar[bool] = True
    # All words, so that a refusal repeats none of them: one may be a value.
    key: str = rest("the key only; a form asks for the value", syntax="KEY")

    async def answer(self, ctx: CommandContext) -> Card | None:
        name = ctx.cluster()
        _may(ctx, name)
        words = self.key.split()
        if len(words) != 1 or "=" in words[0]:
            raise Refused(NOT_HERE)
        key = words[0].upper()
        ctx.operations.must_use(name, ctx.actor, *classes_of([key]))
        verdict = may_change(key)
        if not verdict.ok:
            raise Refused(verdict.reason)
        ctx.operations.secrets_bucket(name, ctx.actor)
        if ctx.dry_run:
            outcome = await ctx.operations.configure(
                ctx.actor, name, partial(_with_sample, key), words=self.command_line(), dry=True
            )
            return plan_of(outcome)
        if not ctx.trigger:
            raise Refused(
                "only the slash command can open the form: "
                f"type it in Slack, with `config set {key}`"
            )
        await ctx.open_modal(config_form(name, key, ctx.channel, ctx.reason, ctx.later))
        return None


@dataclass(frozen=True)
class ConfigHistory(InstantCommand):
    """Earlier versions of secrets.env: when, by whom, which keys. No values."""

    command: ClassVar[str] = "config history"
    help_text: ClassVar[str] = (
        "List earlier versions of secrets.env: when, by whom, which keys. No values."
    )
    classes: ClassVar[tuple[CommandClass, ...]] = CONFIG

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        _may(ctx, name)
        versions = await ctx.operations.secrets_bucket(name, ctx.actor).versions()
        newest = await ctx.operations.runs(name, ctx.actor, 200)
        runs = {
            r.plan.procedure.staged: r for r in newest if isinstance(r.plan.procedure, Configure)
        }
        if not versions:
            return views.text_card(
                f"secrets.env of {name} has no earlier versions. The bot has not changed it yet."
            )
        lines = [
            f"`{escape(v.name)}` · replaced {date_time(v.at)}{_by(runs.get(v.name))}"
            for v in versions[:SHOWN]
        ]
        lines.append("`/openvidu config rollback VERSION` restores one, after approval.")
        head = f"*Versions of secrets.env of {name}*"
        return Card(
            views.without_formatting(f"{head}: {'; '.join(lines)}"),
            (section("\n".join([head, *lines])),),
        )


def _by(run: Run | None) -> str:
    if run is None or not isinstance(run.plan.procedure, Configure):
        return ""
    change = f"changing {', '.join(run.plan.procedure.keys)}"
    if run.state is State.ROLLED_BACK:
        change += ", which failed and was rolled back"
    return f" · by {run.requester.mention}, {change} (`{run.id}`)"


@dataclass(frozen=True)
class ConfigRollback(InstantCommand):
    """Put an earlier version of secrets.env back; shows which keys change and asks for approval."""

    command: ClassVar[str] = "config rollback"
    help_text: ClassVar[str] = (
        "Restore an earlier version of secrets.env. It shows which keys change, and needs approval."
    )
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = CONFIG
    plans: ClassVar[bool] = True
    later: ClassVar[bool] = True
    version: str = argument("a version from config history")

    async def answer(self, ctx: CommandContext) -> Card | None:
        name = ctx.cluster()
        _may(ctx, name)
        vault = ctx.operations.secrets_bucket(name, ctx.actor)
        old = await vault.version(self.version)
        refused = _never_changed(await vault.read(), old)
        if refused:
            raise Refused(
                f"that version would also change {', '.join(refused)}, which must never change. "
                "Set single keys instead"
            )
        outcome = await ctx.operations.configure(
            ctx.actor,
            name,
            lambda _: old,
            reason=": ".join(filter(None, (f"back to version {self.version}", ctx.reason))),
            channel=await self._channel(name, ctx),
            words=self.command_line(),
            dry=ctx.dry_run,
            later=ctx.later,
        )
        return plan_of(outcome)

    async def _channel(self, cluster: str, ctx: CommandContext) -> str:
        if ctx.dry_run:
            return ctx.channel
        return await ctx.card_channel(cluster) or ctx.channel


def _never_changed(now: SecretsFile, old: SecretsFile) -> list[str]:
    """List the keys that differ between two versions although they must never change."""
    names = [c.name for c in changes(now, old)]
    # URLs change with the domain that they are made from; lost keys come back, whatever they are.
    allowed = {*damaged_keys(now)}
    if "DOMAIN_NAME" in names:
        allowed |= {*URLS}
    return [n for n in names if n not in allowed and consequences([n]).refused]


def set_key(file: SecretsFile, key: str, value: str) -> SecretsFile:
    """Return the file with another value, and with the URLs that are made from it."""
    changed = file.set(key, value)
    if key == "DOMAIN_NAME":
        return changed.with_fresh_urls()
    return changed


def _with_sample(key: str, file: SecretsFile) -> SecretsFile:
    """Return the file with a valid value that it does not have, to plan such a change."""
    sample = next(v for v in SAMPLES if lint(key, v).ok and v != file.value(key))
    return set_key(file, key, sample)


def plan_of(outcome: Outcome) -> Card | None:
    """Return the card of a plan that was not filed; None where a card in the channel answers."""
    if not isinstance(outcome, Planned):
        return None
    return views.plan_card(outcome.plan, dry=outcome.dry, observes=outcome.observes)


def _may(ctx: CommandContext, name: str) -> None:
    raise_if_denied(ctx.operations.permission(name, ctx.actor, ConfigList))
