"""The logs command: what a node or one of its containers printed, as a private file."""

import re
from dataclasses import dataclass
from typing import ClassVar

from handlers.commands.base import CommandContext, InstantCommand
from handlers.slack.blocks import Card
from handlers.views.logs import log_file, logs_card, no_lines_card, no_such_service
from services.common.command import CHANGING, CommandClass, argument, option
from services.common.errors import Refused
from services.windows.times import parse_length

MOST = 7 * 86400.0  # seconds
SHORTEST = 1.0  # seconds
UNITS = re.compile(r"\d{1,4}d(?:ays?)?", re.IGNORECASE)


@dataclass(frozen=True)
class Logs(InstantCommand):
    """What a node printed: OpenVidu's unit, or one of its containers."""

    command: ClassVar[str] = "logs"
    help_text: ClassVar[str] = (
        "Send the newest log lines of a node, or of one container there, to you alone."
    )
    classes: ClassVar[tuple[CommandClass, ...]] = CHANGING
    meanwhile: ClassVar[str] = "Reading the log…"
    node: str = argument("master-2, media-3, a droplet's name or its id")
    service: str | None = argument(
        "a container, such as caddy; without one, OpenVidu's unit", default=None
    )
    since: str = option("how far back; 30 minutes by default", default="30m", syntax="30m")

    async def answer(self, ctx: CommandContext) -> Card:
        seconds = how_far_back(self.since)
        name = ctx.cluster()
        logs = await ctx.operations.logs(name, self.node, self.service or "", seconds, ctx.actor)
        if logs.refused:
            why = logs.refused.removeprefix("docker: ")
            raise Refused(f"docker on {logs.node} does not answer: {why}")
        if logs.missing:
            raise Refused(no_such_service(logs))
        if not logs.lines:
            return no_lines_card(logs)
        where = await ctx.send_file(logs_card(logs), log_file(logs, ctx.clock.now()))
        return logs_card(logs, where)


def how_far_back(text: str) -> int:
    """Return the seconds of `30m`, `2h` or `3d`. Refused beyond a week."""
    if UNITS.fullmatch(text):
        seconds = int(re.sub(r"\D", "", text)) * 86400.0
    else:
        seconds = parse_length(text, "")
    if not SHORTEST <= seconds <= MOST:
        raise Refused("logs reach back 7 days at most; write `--since 30m`, `--since 6h` or less")
    return int(seconds)
