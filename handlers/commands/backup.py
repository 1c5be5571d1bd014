"""Commands about backups: the list, and how to restore one by hand."""

from dataclasses import dataclass
from typing import ClassVar

from handlers.commands.base import CommandContext, InstantCommand
from handlers.commands.menu import offered_now
from handlers.slack.blocks import Card, escape
from handlers.views import text_card
from handlers.views.backups import backups_card, restore_card
from services.cluster.backups import Backup, backups
from services.cluster.model import Cluster
from services.common.command import CommandClass, argument
from services.common.errors import Refused
from services.steps.backup import SNAPSHOTS_UNREADABLE


@dataclass(frozen=True)
class BackupList(InstantCommand):
    """The backups: age, size, cost, and which the policy would prune."""

    command: ClassVar[str] = "backup list"
    help_text: ClassVar[str] = (
        "List the backups: age, size, cost, and which ones the policy deletes."
    )

    async def answer(self, ctx: CommandContext) -> Card:
        status = await ctx.operations.status(ctx.cluster(), ctx.actor)
        return backups_card(status.cluster, await offered_now(ctx, status))


@dataclass(frozen=True)
class BackupUnschedule(InstantCommand):
    """Remove a schedule of backups."""

    command: ClassVar[str] = "backup unschedule"
    help_text: ClassVar[str] = "Take no more backups by this schedule. Those that exist stay."
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.CAPACITY,)
    schedule: str = argument("the schedule's name")

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        await ctx.operations.unschedule_backups(name, self.schedule.lower(), ctx.actor)
        return text_card(
            f"The backup schedule {escape(self.schedule)} of {name} is removed. "
            "The backups that exist stay."
        )


@dataclass(frozen=True)
class BackupProtect(InstantCommand):
    """Protect a backup: the bot never deletes it."""

    command: ClassVar[str] = "backup protect"
    help_text: ClassVar[str] = "Protect a backup: neither a schedule nor `backup prune` deletes it."
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.CAPACITY,)
    backup: str = argument("the backup's label, or the last part of it")

    async def answer(self, ctx: CommandContext) -> Card:
        return await _protect(ctx, self.backup, protected=True)


@dataclass(frozen=True)
class BackupUnprotect(InstantCommand):
    """End the protection of a backup."""

    command: ClassVar[str] = "backup unprotect"
    help_text: ClassVar[str] = "End the protection of a backup: it may be deleted when it is old."
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.CAPACITY,)
    backup: str = argument("the backup's label, or the last part of it")

    async def answer(self, ctx: CommandContext) -> Card:
        return await _protect(ctx, self.backup, protected=False)


async def _protect(ctx: CommandContext, typed: str, *, protected: bool) -> Card:
    name = ctx.cluster()
    ctx.operations.must_use(name, ctx.actor, CommandClass.CAPACITY)
    cluster = (await ctx.operations.status(name, ctx.actor)).cluster
    label = _named(cluster, typed).label
    await ctx.operations.protect_backup(name, label, ctx.actor, protected=protected)
    if protected:
        return text_card(f"`{label}` is protected. Only `/openvidu backup unprotect` ends that.")
    return text_card(f"`{label}` is no longer protected. It is deleted like any other backup.")


@dataclass(frozen=True)
class BackupShow(InstantCommand):
    """Show how to restore a backup by hand, step by step."""

    command: ClassVar[str] = "backup show"
    help_text: ClassVar[str] = (
        "Show the steps to restore a backup manually. The bot never restores one."
    )
    backup: str = argument("the backup's label, or the last part of it")

    async def answer(self, ctx: CommandContext) -> Card:
        cluster = (await ctx.operations.status(ctx.cluster(), ctx.actor)).cluster
        return restore_card(cluster, _named(cluster, self.backup))


def _named(cluster: Cluster, typed: str) -> Backup:
    """Return the backup of that label, or whose label ends like that. Refused with those there."""
    if cluster.snapshots is None:
        raise Refused(SNAPSHOTS_UNREADABLE)
    existing = backups(cluster)
    suffix = f"-{typed.lower()}"
    exact = [b for b in existing if b.label == typed]
    matches = exact or [b for b in existing if b.label.lower().endswith(suffix)]
    if len(matches) != 1:
        there = "; none was taken yet. [[command backup create]] takes one"
        if existing:
            there = f"; there are: {', '.join(f'`{b.label}`' for b in existing[:5])}"
        raise Refused(f"there is no backup “{typed}”{there}")
    return matches[0]
