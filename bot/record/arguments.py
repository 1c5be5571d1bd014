"""Options of `openvidu-bot record` and `openvidu-bot replay`."""

from pathlib import Path

from bot.options import Subcommands, add_settings_options, examples, number_between

LONGEST_MINUTES = 24 * 60


def add_record(commands: Subcommands) -> None:
    """Add `record`."""
    record = commands.add_parser(
        "record",
        help="look at the clusters, and record what they answer, redacted",
        description="Look at the clusters as `status` and `doctor` do, and record each exchange in "
        "FILE, one a line.\nChanges nothing. Kept are numbers, states, sizes and times of "
        "published fields; names and ids become pseudonyms; secrets, addresses and free text are "
        "left out.",
        **examples(
            "openvidu-bot record look.jsonl",
            "openvidu-bot record --cluster acme --minutes 30 night.jsonl",
        ),
    )
    record.add_argument("file", type=Path, metavar="FILE", help="where to; it is appended to")
    record.add_argument("--cluster", metavar="NAME", help="only this cluster (default: all)")
    record.add_argument(
        "--minutes",
        type=number_between(0, LONGEST_MINUTES),
        default=0.0,
        metavar="N",
        help="keep looking for that long, so that the order of states and durations are seen",
    )
    add_settings_options(record)
    record.set_defaults(entry="bot.record.command:run")


def add_replay(commands: Subcommands) -> None:
    """Add `replay`."""
    replay = commands.add_parser(
        "replay",
        help="compare recordings with the simulated world",
        description="Play each exchange of a recording against the simulated world, and list what "
        "is different.\nExit code 0: nothing, or only what is known; 1: differences; "
        "2: a file cannot be read.",
        **examples(
            "openvidu-bot replay look.jsonl", "openvidu-bot replay tests/recordings/*.jsonl"
        ),
    )
    replay.add_argument("files", type=Path, metavar="FILE", nargs="+", help="recordings")
    replay.add_argument(
        "--known",
        type=Path,
        metavar="FILE",
        help="differences that are known, with their reasons (default: known.json beside FILE)",
    )
    replay.add_argument("--verbose", "-v", action="store_true", help="also list what is known")
    replay.add_argument(
        "--durations",
        action="store_true",
        help="instead: print the durations seen in the recordings",
    )
    replay.set_defaults(entry="bot.replay.command:run")
