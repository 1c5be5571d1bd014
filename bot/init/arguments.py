"""Options of `openvidu-bot init`: one for each question."""

import argparse
from pathlib import Path

from bot.init.questions import QUESTIONS
from bot.options import Subcommands

STANDINS = argparse.SUPPRESS  # for a simulated world; `demo --world-only` prints them


def add_init(commands: Subcommands) -> None:
    """Add `init`."""
    init = commands.add_parser(
        "init",
        help="ask a few things and write a settings file",
        description="Asks a few things and writes a settings file that `serve` takes, and beside "
        "it a file for the secrets, which only you can open. Nothing that is there is overwritten. "
        "Secrets are never written into the settings file.",
    )
    init.add_argument(
        "--config",
        type=Path,
        default=Path("settings.yaml"),
        metavar="FILE",
        help="the file to make (default settings.yaml)",
    )
    init.add_argument(
        "--env-file",
        type=Path,
        metavar="FILE",
        help="the file for secrets (default bot.env beside it; - for none)",
    )
    init.add_argument(
        "--no-questions",
        action="store_true",
        help="take flags and defaults; refuse when something is missing",
    )
    for question in QUESTIONS:
        meaning = question.asks[:1].lower() + question.asks[1:]
        init.add_argument(question.flag, metavar="VALUE", help=meaning)
    for flag in ("--digitalocean-api", "--slack-api", "--spaces-endpoint", "--health-url"):
        init.add_argument(flag, default="", help=STANDINS)
    init.add_argument("--ssh-port", type=int, default=22, help=STANDINS)
    init.add_argument("--health-port", type=int, default=8080, help=STANDINS)
    init.set_defaults(entry="bot.init.command:run")
