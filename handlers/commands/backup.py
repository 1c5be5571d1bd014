"""Commands about backups: the list, and how to restore one by hand."""

from dataclasses import dataclass
from typing import ClassVar

from handlers.commands.base import CommandContext, InstantCommand
from handlers.commands.menu import offered_now
from handlers.slack.blocks import Card
from handlers.views.backups import backups_card, restore_card
from services.cluster.backups import backups
from services.common.command import argument
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
class BackupShow(InstantCommand):
    """Show how to restore a backup by hand, step by step."""

    command: ClassVar[str] = "backup show"
    help_text: ClassVar[str] = (
        "Show the steps to restore a backup manually. The bot never restores one."
    )
    backup: str = argument("the backup's label, or the last part of it")

    async def answer(self, ctx: CommandContext) -> Card:
        cluster = (await ctx.operations.status(ctx.cluster(), ctx.actor)).cluster
        if cluster.snapshots is None:
            raise Refused(SNAPSHOTS_UNREADABLE)
        existing = backups(cluster)
        suffix = f"-{self.backup.lower()}"
        exact = [b for b in existing if b.label == self.backup]
        matches = exact or [b for b in existing if b.label.lower().endswith(suffix)]
        if len(matches) != 1:
            there = "; none was taken yet. [[command backup create]] takes one"
            if existing:
                there = f"; there are: {', '.join(f'`{b.label}`' for b in existing[:5])}"
            raise Refused(f"there is no backup “{self.backup}”{there}")
        return restore_card(cluster, matches[0])
