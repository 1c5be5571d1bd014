"""Options of `openvidu-bot audit verify|export`."""

from bot.options import Subcommands, add_settings_options


def add_audit(commands: Subcommands) -> None:
    """Add `audit` with its two subcommands."""
    audit = commands.add_parser(
        "audit", help="who decided what: check that nothing was changed, or write it all out"
    ).add_subparsers(metavar="COMMAND", required=True)
    verify = audit.add_parser(
        "verify",
        help="exit code 0: whole, 3: something was changed, removed or moved (each is named), "
        "1: it could not be read",
    )
    export = audit.add_parser("export", help="every decision as one line of JSON, oldest first")
    for parser in (verify, export):
        add_settings_options(parser)
        parser.add_argument("--cluster", metavar="NAME", help="one cluster only")
    head_help = "one that was kept: a file, NUMBER:HASH, or a hash"
    verify.add_argument(
        "--head", action="append", default=[], metavar="FILE-OR-HASH", help=head_help
    )
    verify.add_argument(
        "--no-bucket", action="store_true", help="leave the heads in the bucket alone"
    )
    verify.set_defaults(entry="bot.audit.verify:run_verify")
    export.add_argument(
        "--since", metavar="DATE-OR-DAYS", default="", help="such as 2026-11-01 (UTC) or 30d"
    )
    export.add_argument("--format", choices=("jsonl",), default="jsonl", help="how it is written")
    export.set_defaults(entry="bot.audit.verify:run_export")
