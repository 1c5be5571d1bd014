"""Commands about Terraform variables: what an apply would do, the patch, and its pull request."""

from dataclasses import dataclass
from typing import ClassVar

from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card
from handlers.views.terraform import drift_card, patch_card, pull_card
from services.common.command import CommandClass, argument

CONFIGURATION = (CommandClass.CONFIGURATION,)


@dataclass(frozen=True)
class TerraformDriftCommand(InstantCommand):
    """What an apply of Terraform would change on the cluster; with `patch`, the remedy."""

    command: ClassVar[str] = "terraform"
    help_text: ClassVar[str] = (
        "Show what an apply of Terraform would change; `terraform patch` shows the remedy."
    )
    several: ClassVar[bool] = True
    what: str = argument("drift or patch", default="drift", choices=("drift", "patch"))

    async def answer(self, ctx: CommandContext) -> Card:
        report = await ctx.operations.terraform.report(ctx.cluster(), ctx.actor)
        if self.what == "patch":
            return patch_card(report)
        return drift_card(report)


@dataclass(frozen=True)
class TerraformOpen(InstantCommand):
    """Open the pull request of a patch that was shown."""

    command: ClassVar[str] = "terraform open"
    help_text: ClassVar[str] = "Open a pull request with the patch that `terraform patch` showed."
    hidden: ClassVar[bool] = True
    changes: ClassVar[bool] = True
    classes: ClassVar[tuple[CommandClass, ...]] = CONFIGURATION
    patch: str = argument("as `terraform patch` shows it")

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        note = await ctx.operations.terraform.open_pull(name, self.patch.lower(), ctx.actor)
        return pull_card(note)
