"""Commands about OpenVidu's modules: which are on, and turning one on or off."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from handlers.commands.base import CommandContext, InstantCommand
from handlers.commands.config import CONFIG, plan_of
from handlers.commands.config_files import may_configure
from handlers.slack.blocks import Card
from handlers.views.config_file import modules_card
from services.common.command import argument
from services.common.errors import BotError, Refused
from services.config_files import LIVEKIT, file_named
from services.config_files.modules import KEY, MODULES, Module, enabled, module_named, switched
from services.config_files.webhooks import webhooks
from services.procedures import SwitchModule
from services.secrets_env import SecretsFile


@dataclass(frozen=True)
class ModuleList(InstantCommand):
    """List OpenVidu's modules: which are on, what each runs and needs."""

    command: ClassVar[str] = "module list"
    help_text: ClassVar[str] = "List OpenVidu's modules: which are on, and what each needs."
    classes = CONFIG[:1]

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        may_configure(ctx, name)
        file = await ctx.operations.secrets_bucket(name, ctx.actor).read()
        on = enabled(file.value(KEY) or "")
        return modules_card(name, MODULES, on, await _missing(ctx, name, file))


async def _missing(ctx: CommandContext, name: str, file: SecretsFile) -> dict[str, str]:
    """Return by module what it needs and does not have."""
    missing = {}
    for module in MODULES:
        lacks = [key for key in module.needs if not file.value(key)]
        if lacks:
            missing[module.name] = f"needs {', '.join(lacks)} in secrets.env"
    try:
        content = await ctx.operations.config_file(ctx.actor, name, file_named(LIVEKIT))
        posts = [hook.url for hook in webhooks(content.text)]
    except BotError as error:
        unknown = f"Whether its webhook is set is unknown: {error}"
        return {m.name: unknown for m in MODULES if m.webhook} | missing
    for module in MODULES:
        if module.webhook and not any(module.webhook in url for url in posts):
            missing[module.name] = _needs_webhook(module)
    return missing


def _needs_webhook(module: Module) -> str:
    return f"Needs its webhook in livekit.yaml: `/openvidu webhook add {module.name}`"


async def _switch(ctx: CommandContext, module: Module, *, on: bool) -> Card | None:
    name = ctx.cluster()
    may_configure(ctx, name)
    if on:
        await _check_needs(ctx, name, module)
    outcome = await ctx.operations.configure(
        ctx.actor,
        name,
        partial(_switched, module=module, on=on),
        reason=ctx.reason,
        channel=ctx.channel if ctx.dry_run else await ctx.card_channel(name) or ctx.channel,
        words=f"module {'on' if on else 'off'} {module.name}",
        dry=ctx.dry_run,
        later=ctx.later,
        kind=partial(SwitchModule, module=module.name, on=on),
    )
    return plan_of(outcome)


async def _check_needs(ctx: CommandContext, name: str, module: Module) -> None:
    """Refuse a module whose webhook or keys are missing: it would start and not work."""
    file = await ctx.operations.secrets_bucket(name, ctx.actor).read()
    if lacks := [key for key in module.needs if not file.value(key)]:
        raise Refused(f"{module.name} needs {', '.join(lacks)} in secrets.env, which has no value")
    if not module.webhook:
        return
    content = await ctx.operations.config_file(ctx.actor, name, file_named(LIVEKIT))
    if not any(module.webhook in hook.url for hook in webhooks(content.text)):
        raise Refused(
            f"LiveKit does not post its events to {module.name} yet, which it needs. First run "
            f"[[command webhook add {module.name}]], then this again"
        )


def _switched(file: SecretsFile, module: Module, on: bool) -> SecretsFile:
    return file.set(KEY, switched(file.value(KEY) or "", module, on=on))


@dataclass(frozen=True)
class ModuleOn(InstantCommand):
    """Turn a module of OpenVidu on; waits for approval."""

    command: ClassVar[str] = "module on"
    help_text: ClassVar[str] = "Turn a module of OpenVidu on. It waits for approval."
    classes = CONFIG[:1]
    changes: ClassVar[bool] = True
    plans: ClassVar[bool] = True
    later: ClassVar[bool] = True
    module: str = argument("openviduMeet, observability or v2compatibility")

    async def answer(self, ctx: CommandContext) -> Card | None:
        return await _switch(ctx, module_named(self.module), on=True)


@dataclass(frozen=True)
class ModuleOff(InstantCommand):
    """Turn a module of OpenVidu off; waits for approval."""

    command: ClassVar[str] = "module off"
    help_text: ClassVar[str] = (
        "Turn a module of OpenVidu off. The plan says what stops working; it waits for approval."
    )
    classes = CONFIG[:1]
    changes: ClassVar[bool] = True
    plans: ClassVar[bool] = True
    later: ClassVar[bool] = True
    module: str = argument("openviduMeet, observability or v2compatibility")

    async def answer(self, ctx: CommandContext) -> Card | None:
        return await _switch(ctx, module_named(self.module), on=False)
