"""`openvidu-bot audit verify|export`: what can be asked of the audit from a terminal."""

import argparse

from bot.options import add_settings_to


def add_audit_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`audit` with its two commands."""
    audit = commands.add_parser(
        "audit", help="who decided what: check that nothing was changed, or write it all out"
    ).add_subparsers(metavar="COMMAND", required=True)
    check = audit.add_parser(
        "verify",
        help="exit code 0: whole, 3: something was changed, removed or moved (each is named), 1: it could not be read",
    )
    export = audit.add_parser("export", help="every decision as one line of JSON, oldest first")
    for parser in (check, export):
        add_settings_to(parser)
        parser.add_argument("--cluster", metavar="NAME", help="one cluster only")
    kept = "one that was kept: a file, NUMBER:HASH, or a hash"
    check.add_argument("--head", action="append", default=[], metavar="FILE-OR-HASH", help=kept)
    check.add_argument(
        "--no-bucket", action="store_true", help="leave the heads in the bucket alone"
    )
    check.set_defaults(run=_verify)
    export.add_argument(
        "--since", metavar="DATE-OR-DAYS", default="", help="such as 2026-11-01 (UTC) or 30d"
    )
    export.add_argument("--format", choices=("jsonl",), default="jsonl", help="how it is written")
    export.set_defaults(run=_export)


def _verify(asked: argparse.Namespace) -> int:
    # Here, so that --help and --version do not wait for what only this needs.
    from bot.audit.verify import run, verify_all  # noqa: PLC0415

    return run(asked, verify_all)


def _export(asked: argparse.Namespace) -> int:
    from bot.audit.verify import export, run  # noqa: PLC0415

    return run(asked, export)
