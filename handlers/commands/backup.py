"""Backups that were taken: which there are, and how a person brings one back."""

from dataclasses import dataclass
from typing import ClassVar

from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card
from handlers.views import backups as restoring
from services.cluster.backups import backups
from services.common.command import argument
from services.common.errors import Refused
from services.steps.backup import UNKNOWN


@dataclass(frozen=True)
class BackupList(InstantCommand):
    """The backups that there are: age, size, cost, and which the policy would prune."""

    command: ClassVar[str] = "backup list"

    async def answer(self, asked: CommandContext) -> Card:
        cluster = (await asked.operations.status(asked.cluster(), asked.actor)).cluster
        return restoring.backups_card(cluster)


@dataclass(frozen=True)
class BackupShow(InstantCommand):
    """How a person at a keyboard brings that backup back, step by step; the bot itself never does."""

    command: ClassVar[str] = "backup show"
    backup: str = argument("the backup's label, or the last part of it")

    async def answer(self, asked: CommandContext) -> Card:
        cluster = (await asked.operations.status(asked.cluster(), asked.actor)).cluster
        if cluster.snapshots is None:
            raise Refused(UNKNOWN)
        made = backups(cluster)
        found = [b for b in made if b.label == self.backup] or [
            b for b in made if b.label.lower().endswith(f"-{self.backup.lower()}")
        ]
        if len(found) != 1:
            labels = (
                ", ".join(f"`{b.label}`" for b in made[:5])
                or "none yet; `/openvidu backup create` takes one"
            )
            raise Refused(f"there is no backup {self.backup}; there are: {labels}")
        return restoring.restore_card(cluster, found[0])
