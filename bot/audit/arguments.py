"""Options of `openvidu-bot audit verify|export`."""

from bot.options import Subcommands, add_settings_options, examples


def add_audit(commands: Subcommands) -> None:
    """Add `audit` with its two subcommands."""
    audit = commands.add_parser(
        "audit",
        help="verify the audit trail, or export it",
        **examples("openvidu-bot audit verify", "openvidu-bot audit export --since 30d"),
    ).add_subparsers(metavar="COMMAND", required=True)
    verify = audit.add_parser(
        "verify",
        help="check that no entry was changed, removed or moved",
        description="Check that no entry was changed, removed or moved; name each that was.\n"
        "Exit code 0: intact, 1: could not be read, 3: not intact.",
        **examples("openvidu-bot audit verify", "openvidu-bot audit verify --head heads.txt"),
    )
    export = audit.add_parser(
        "export",
        help="print every decision as one line of JSON, oldest first",
        **examples("openvidu-bot audit export --since 2026-11-01 > audit.jsonl"),
    )
    for parser in (verify, export):
        add_settings_options(parser)
        parser.add_argument("--cluster", metavar="NAME", help="one cluster only")
    head_help = "a head stored elsewhere: a file, NUMBER:HASH, or a hash (can be repeated)"
    verify.add_argument(
        "--head", action="append", default=[], metavar="FILE-OR-HASH", help=head_help
    )
    verify.add_argument(
        "--no-bucket", action="store_true", help="do not compare with the heads in the bucket"
    )
    verify.add_argument(
        "--timeline",
        metavar="FILE",
        help="check an export of `timeline --form json` against the audit and the journals",
    )
    verify.set_defaults(entry="bot.audit.verify:run_verify")
    export.add_argument(
        "--since",
        metavar="DATE-OR-DAYS",
        default="",
        help="from this date on (UTC), or the last days: 2026-11-01, 30d",
    )
    export.add_argument("--format", choices=("jsonl",), default="jsonl", help="output format")
    export.set_defaults(entry="bot.audit.verify:run_export")
