"""The question why a cluster is as it is."""

from dataclasses import dataclass
from typing import ClassVar

from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card, escape, section
from handlers.slack.markup import date_time
from handlers.views.cluster_facts import state_of
from handlers.views.schedule import schedule_words
from handlers.views.text import italic_reason, without_formatting
from services.common.errors import Unreachable
from services.runs.run import Run

UNKNOWN = "*Runs and windows* are unknown: the state store does not answer."


@dataclass(frozen=True)
class Why(InstantCommand):
    """Show why a cluster is as it is: its last run, its schedule, and who decided."""

    command: ClassVar[str] = "why"
    several: ClassVar[bool] = True

    async def answer(self, ctx: CommandContext) -> Card:
        name = ctx.cluster()
        status = await ctx.operations.status(name, ctx.actor)
        lines = [f"*{state_of(status.cluster).headline(name)}*"]
        try:
            lines += await _reasons(ctx, name)
        except Unreachable:
            # Reading works without the state store.
            lines.append(UNKNOWN)
        lines.append("`/openvidu audit` lists all decisions.")
        return Card(without_formatting(" ".join(lines)), (section("\n".join(lines)),))


async def _reasons(ctx: CommandContext, name: str) -> list[str]:
    runs = await ctx.visible.latest(name, ctx.actor, 1)
    lines = [f"*Last run* none: the bot has not changed {name} yet."]
    if runs:
        lines = [f"*Last run* {_run_line(runs[0])}"]
    if hours := schedule_words(await ctx.visible.schedule(name, ctx.actor)):
        lines.append(f"*Schedule* {hours}")
    return lines


def _run_line(run: Run) -> str:
    what = f"`{run.id}` {escape(run.plan.title)}"
    who = f"by {run.requester.mention}{italic_reason(run.reason)}"
    if run.ended_at:
        return f"{what}, {run.state} {date_time(run.ended_at)} {who}."
    return f"{what}, {run.state} since {date_time(run.opened_at)} {who}."
