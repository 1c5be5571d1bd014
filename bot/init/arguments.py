"""Options of `openvidu-bot init`: one for each question."""

import argparse
from pathlib import Path

from bot.init.questions import QUESTIONS
from bot.options import Subcommands, examples
from bot.settings_files import CONFIG_VARIABLE, SETTINGS

HIDDEN = argparse.SUPPRESS  # for a simulated world, as is OPENVIDU_BOT_STANDINS


def add_init(commands: Subcommands) -> None:
    """Add `init`."""
    init = commands.add_parser(
        "init",
        help="answer a few questions: writes settings.yaml and bot.env",
        description="Ask a few questions, then write the settings file, and beside it the file of "
        "secrets,\nwhich only you can read. Lists what it finds in your accounts.\n"
        "Can be run again: values are defaults, other content stays, and it asks before it "
        "overwrites.",
        **examples(
            "openvidu-bot init",
            "openvidu-bot init --no-questions --stack acme --region ams3 "
            "--public-url https://meet.example.com/ --operators U0000ANA,U0000BEN",
        ),
    )
    init.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"settings file to write (default: {CONFIG_VARIABLE}, else {SETTINGS})",
    )
    init.add_argument(
        "--env-file",
        type=Path,
        metavar="FILE",
        help="file of secrets to write (default: bot.env beside settings.yaml; - for none)",
    )
    init.add_argument(
        "--no-questions",
        action="store_true",
        help="take options and defaults; fail if a required one is missing",
    )
    init.add_argument(
        "--overwrite",
        action="store_true",
        help="with --no-questions: update files that exist",
    )
    group = init.add_argument_group("answers")
    for question in QUESTIONS:
        group.add_argument(question.flag, metavar="VALUE", help=question.asks)
    for flag in ("--digitalocean-api", "--slack-api", "--spaces-endpoint", "--health-url"):
        init.add_argument(flag, default="", help=HIDDEN)
    init.add_argument("--ssh-port", type=int, default=22, help=HIDDEN)
    init.add_argument("--health-port", type=int, default=8080, help=HIDDEN)
    init.set_defaults(entry="bot.init.command:run")
