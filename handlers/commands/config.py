"""Talks about `secrets.env`. Values are typed into a form and go to the bucket; they are never said in a channel."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card, day, escape, section
from handlers.views.secret_form import config_form
from services.access.clusters import raise_if_denied
from services.common.command import CommandClass, argument, rest
from services.common.errors import Refused
from services.operations.results import Outcome, Planned
from services.procedures import Configure
from services.procedures.configure import classes_of
from services.runs.run import Run, State
from services.secrets_env import (
    KEYS,
    Policy,
    SecretsFile,
    changes,
    damaged,
    effects,
    findings,
    lint,
    may_change,
)
from services.secrets_env.keys import URLS

CONFIG = (CommandClass.CONFIGURATION, CommandClass.SECRETS)
SHOWN = 20
# For a dry run: of each form two values, so that one of them is another than the file's.
SAMPLES = ("example-value-of-a-dry-run-0000000001", "Example-value-of-a-dry-run-0000000002", "dry.example", "run.example", "observability",
           "openviduMeet", "pion", "mediasoup")  # fmt: skip
NOT_HERE = (
    "the value is not typed here: say only the key, as in `/openvidu config set DASHBOARD_ADMIN_PASSWORD`, and a form asks for the value. "
    "What you typed was not kept by the bot; if it was a real secret, it was seen where it was typed (Slack, or the process list and the "
    "history of your shell): choose another one"
)


@dataclass(frozen=True)
class ConfigList(InstantCommand):
    """The keys of secrets.env: which are secret, which may be changed, and why the others may not."""

    command: ClassVar[str] = "config list"
    classes: ClassVar[tuple[CommandClass, ...]] = CONFIG

    async def answer(self, asked: CommandContext) -> Card:
        name = asked.cluster()
        _may(asked, name)
        file = await asked.operations.vault(name, asked.actor).read()
        lines = []
        for key in file.names():
            known = KEYS.get(key)
            if known is None:
                lines.append(f"`{escape(key[:40])}` · not known here; the programs ignore it")
                continue
            value = "secret" if known.secret else f"`{escape((file.value(key) or '')[:60])}`"
            verdict = may_change(key)
            how = {Policy.ALLOW: "may be changed", Policy.GUARDED: "may be changed, with care"}.get(
                known.policy, verdict.reason
            )
            lines.append(f"`{key}` · {value} · {escape(how)}")
        told = [str(p) for p in file.problems()]
        told += [str(f) for f in findings(file) if str(f) not in told]
        lines += [f":warning: {escape(t)}" for t in told]
        blocks = [section("\n".join(lines[n : n + 12])) for n in range(0, len(lines), 12)]
        return Card(
            views.plain(f"secrets.env of {name}: " + "; ".join(lines)),
            (section(f"*secrets.env of {name}*"), *blocks),
        )


@dataclass(frozen=True)
class ConfigSet(InstantCommand):
    """Change one key of secrets.env: opens a form for the value, then asks for approval."""

    command: ClassVar[str] = "config set"
    classes: ClassVar[tuple[CommandClass, ...]] = CONFIG
    plans: ClassVar[bool] = True
    later: ClassVar[bool] = True
    key: str = rest(
        "the key, such as DASHBOARD_ADMIN_PASSWORD; never the value"
    )  # all words, so that none of them is ever said back

    async def answer(self, asked: CommandContext) -> Card | None:
        name = asked.cluster()
        _may(asked, name)
        words = self.key.split()
        if len(words) != 1 or "=" in words[0]:
            raise Refused(NOT_HERE)
        key = words[0].upper()
        asked.operations.may_use(name, asked.actor, *classes_of([key]))
        verdict = may_change(key)
        if not verdict.ok:
            raise Refused(verdict.reason)
        asked.operations.vault(name, asked.actor)
        if asked.dry:
            return _shown(
                await asked.operations.configure(
                    asked.actor, name, partial(_imagined, key), words=self.words(), dry=True
                )
            )
        if not asked.trigger:
            raise Refused(
                f"a form can only be opened by the slash command: type `/openvidu config set {key}` in the channel"
            )
        await asked.open_modal(config_form(name, key, asked.channel, asked.reason, asked.later))
        return None


@dataclass(frozen=True)
class ConfigHistory(InstantCommand):
    """Earlier versions of secrets.env: when, by whom, which keys. No values."""

    command: ClassVar[str] = "config history"
    classes: ClassVar[tuple[CommandClass, ...]] = CONFIG

    async def answer(self, asked: CommandContext) -> Card:
        name = asked.cluster()
        _may(asked, name)
        versions = await asked.operations.vault(name, asked.actor).versions()
        newest = await asked.operations.runs(name, asked.actor, 200)
        runs = {
            r.plan.procedure.staged: r for r in newest if isinstance(r.plan.procedure, Configure)
        }
        lines = [
            f"`{escape(v.name)}` · replaced {day(v.at)}{_by(runs.get(v.name))}"
            for v in versions[:SHOWN]
        ]
        if not lines:
            return views.words_card(
                f"secrets.env of {name} has no earlier versions: the bot has not changed it yet."
            )
        lines.append(
            "Put one back with `/openvidu config rollback VERSION`; it needs approval like any change."
        )
        head = f"*Versions of secrets.env of {name}*"
        return Card(
            views.plain(f"{head}: {'; '.join(lines)}"), (section("\n".join([head, *lines])),)
        )


def _by(run: Run | None) -> str:
    if run is None or not isinstance(run.plan.procedure, Configure):
        return ""
    put_back = ", which did not work and was put back" if run.state is State.ROLLED_BACK else ""
    return f" · by {run.requester.mention}, changing {', '.join(run.plan.procedure.keys)}{put_back} (`{run.id}`)"


@dataclass(frozen=True)
class ConfigRollback(InstantCommand):
    """Put an earlier version of secrets.env back; shows which keys change and asks for approval."""

    command: ClassVar[str] = "config rollback"
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = CONFIG
    plans: ClassVar[bool] = True
    later: ClassVar[bool] = True
    version: str = argument("from config history")

    async def answer(self, asked: CommandContext) -> Card | None:
        name = asked.cluster()
        _may(asked, name)
        vault = asked.operations.vault(name, asked.actor)
        old = await vault.version(self.version)
        now = await vault.read()
        names = [c.name for c in changes(now, old)]
        derived = (
            URLS if "DOMAIN_NAME" in names else ()
        )  # they go with the domain that they are made from
        # What the file has lost comes back with it, whatever the key.
        refused = [
            n for n in names if n not in derived and n not in damaged(now) and effects([n]).refused
        ]
        if refused:
            raise Refused(
                f"that version would also change {', '.join(refused)}, which must never change; set single keys instead"
            )
        why = f"back to version {self.version}{': ' if asked.reason else ''}{asked.reason}"
        channel = asked.channel if asked.dry else await asked.card_channel(name) or asked.channel
        configure = partial(
            asked.operations.configure,
            reason=why,
            channel=channel,
            words=self.words(),
            dry=asked.dry,
            later=asked.later,
        )
        return _shown(await configure(asked.actor, name, lambda _: old))


def _imagined(key: str, file: SecretsFile) -> SecretsFile:
    """The file as if a value had been typed that it does not have, to see what such a change would do."""
    sample = next(v for v in SAMPLES if lint(key, v).ok and v != file.value(key))
    return (
        file.set(key, sample).with_fresh_urls() if key == "DOMAIN_NAME" else file.set(key, sample)
    )


def _shown(made: Outcome) -> Card | None:
    return views.plan_card(made.plan, dry=made.dry) if isinstance(made, Planned) else None


def _may(asked: CommandContext, name: str) -> None:
    raise_if_denied(asked.operations.may_say(name, asked.actor, ConfigList))
