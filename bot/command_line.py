"""All subcommands with their options; the module of a subcommand is imported when it is chosen.

A subcommand names its function as `module:function` in `entry`. Here and in the modules imported
here stand only the options, so that `--help` and `--version` do not load what a command needs.
"""

import argparse
import contextlib
import gc
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from typing_extensions import override

from bot.argument_parser import CommandParser
from bot.audit.arguments import add_audit
from bot.init.arguments import add_init
from bot.options import Subcommands, add_settings_options, examples, number_between
from bot.probe.arguments import add_probe
from bot.record.arguments import add_record, add_replay
from bot.settings_files import ORDER
from bot.terminal.arguments import add_terminal_commands
from bot.version import own_version
from config.settings import SettingsError
from handlers.slack.markup import markup

DESCRIPTION = "Operate OpenVidu on DigitalOcean from Slack."
WIDEST = 10  # columns of a command's name


class CommandFunction(Protocol):
    """The function behind a subcommand: takes the parsed options, returns the exit code."""

    def __call__(self, options: argparse.Namespace, /) -> int: ...


def run(arguments: Sequence[str]) -> int:
    """Run one subcommand; return its exit code."""
    words = list(arguments)
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    parser = build_parser()
    if not words:
        sys.stdout.write(parser.format_help())
        return 0
    options = parser.parse_args(words)
    try:
        return load_command(options.entry)(options)
    except SettingsError as error:
        with contextlib.suppress(BrokenPipeError):
            sys.stderr.write(f"{markup(str(error))}\n")
        return 2
    except KeyboardInterrupt:
        return 130


def load_command(entry: str) -> CommandFunction:
    """Import `module:function`."""
    module, _, function = entry.partition(":")
    # What is imported stays: looking for garbage in it again and again takes a tenth of the time.
    gc.disable()
    try:
        command: CommandFunction = getattr(importlib.import_module(module), function)
    finally:
        gc.enable()
    return command


class ProgramParser(CommandParser):
    """The parser of the program; its help shows the commands in groups."""

    groups: tuple[tuple[str, list[tuple[str, str]]], ...] = ()

    @override
    def format_help(self) -> str:
        lines = [f"{DESCRIPTION}", "", "usage: openvidu-bot COMMAND [OPTIONS]"]
        for title, commands in self.groups:
            lines += ["", title]
            lines += [f"  {name:<{WIDEST}}{text}" for name, text in commands]
        lines += [
            "",
            "first steps:",
            "  openvidu-bot demo              (no account needed)",
            "  openvidu-bot init, then doctor, then serve",
            "",
            f"Settings file: {ORDER}.",
            "Options and examples of a command: openvidu-bot COMMAND --help",
        ]
        return "\n".join(lines) + "\n"


class GroupedCommands(Subcommands):
    """Adds subcommands to a parser and records their help for the overview."""

    def __init__(self, commands: Subcommands) -> None:
        self._commands = commands
        self.added: list[tuple[str, str]] = []

    @override
    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser:
        self.added.append((name, options["help"]))
        return self._commands.add_parser(name, **options)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with every subcommand."""
    parser = ProgramParser(prog="openvidu-bot", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"openvidu-bot {own_version()}")
    commands = parser.add_subparsers(
        metavar="COMMAND", required=True, parser_class=CommandParser, prog="openvidu-bot"
    )
    groups = []
    for title, adders in GROUPS:
        grouped = GroupedCommands(commands)
        for add in adders:
            add(grouped)
        groups.append((title, grouped.added))
    parser.groups = tuple(groups)
    return parser


def _add_serve(commands: Subcommands) -> None:
    serve = commands.add_parser(
        "serve",
        help="run the bot until it is stopped",
        description="Run the bot: answer Slack, drive runs and follow the schedule, until Ctrl-C.",
        **examples("openvidu-bot serve", "openvidu-bot serve --observe"),
    )
    serve.add_argument(
        "--observe",
        action="store_true",
        help="only observe: plan and report, change nothing outside of Slack (as mode: observe)",
    )
    serve.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="also record exchanges with DigitalOcean, nodes, bucket and Slack, redacted "
        "(see openvidu-bot record)",
    )
    add_settings_options(serve)
    serve.set_defaults(entry="bot.serve:run")


def _add_demo(commands: Subcommands) -> None:
    demo = commands.add_parser(
        "demo",
        help="try it on this machine: simulated Slack, DigitalOcean and OpenVidu",
        description="Run the bot with a simulated Slack, DigitalOcean and OpenVidu, on this "
        "machine only. Nothing stays.",
        **examples("openvidu-bot demo --port 9000 --speed 30", "openvidu-bot demo --world-only"),
    )
    demo.add_argument(
        "--port",
        type=_port,
        help="port of the page (default 8300, or a free one if that is in use; 0: any free port)",
    )
    demo.add_argument(
        "--speed",
        type=number_between(1, 200),
        help="simulated seconds per real second (default 12; with --world-only 1)",
    )
    demo.add_argument(
        "--kind",
        choices=("pool", "fixed", "autoscaler", "elastic", "single"),
        default="pool",
        help="High Availability with this kind of media fleet, Elastic, or Single Node "
        "(default pool)",
    )
    demo.add_argument(
        "--second",
        action="store_true",
        help="with a second, small cluster: both have the label production",
    )
    demo.add_argument("--no-browser", action="store_true", help="only print the page's address")
    demo.add_argument(
        "--world-only",
        action="store_true",
        help="without a bot: print how to connect one with `init`, `doctor` and `serve`",
    )
    demo.set_defaults(entry="bot.demo:run")


def _add_manifest(commands: Subcommands) -> None:
    manifest = commands.add_parser(
        "manifest",
        help="print the manifest that the Slack app is created from",
        description="Print the manifest: api.slack.com/apps, Create New App, From a manifest.",
        **examples(
            "openvidu-bot manifest",
            "openvidu-bot manifest --http https://bot.example.com/slack/events",
        ),
    )
    manifest.add_argument(
        "--http",
        metavar="URL",
        default="",
        help="requests over HTTP to this public address instead of Socket Mode",
    )
    manifest.set_defaults(entry="bot.manifest:run")


def _add_doctor(commands: Subcommands) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="check everything the settings name; each problem with its fix",
        description="Check everything the settings name: tokens, scopes, channels, nodes, "
        "addresses, bucket, state.\nChanges nothing without --fix. "
        "Exit code 0: fine, 1: something is wrong, 2: something could not be checked.",
        **examples(
            "openvidu-bot doctor", "openvidu-bot doctor --fix", "openvidu-bot doctor --verbose"
        ),
    )
    doctor.add_argument(
        "--fix",
        action="store_true",
        help="fix what is safe, then check: file modes and line format of the file of secrets, "
        "file mode of the SSH key, missing directories, public channels that the bot is not in "
        "(needs the scope channels:join). Never changes DigitalOcean, nodes, or a secret",
    )
    doctor.add_argument(
        "--verbose", "-v", action="store_true", help="show every check in full, with details"
    )
    doctor.add_argument("--json", action="store_true", help="print every finding as JSON")
    doctor.add_argument(
        "--write-probe",
        action="store_true",
        help="also write, read and delete a test object in each bucket",
    )
    doctor.add_argument(
        "--live-checks",
        action="store_true",
        help="instead: try what only the real cluster shows; asks before each",
    )
    # As it was called in 0.1.
    doctor.add_argument("--probe", dest="live_checks", action="store_true", help=argparse.SUPPRESS)
    add_settings_options(doctor)
    doctor.set_defaults(entry="bot.doctor:run")


# In the order of `--help`.
GROUPS: tuple[tuple[str, tuple[Callable[[Subcommands], None], ...]], ...] = (
    ("set up and run", (_add_demo, add_init, _add_doctor, add_probe, _add_serve)),
    ("operate from a terminal, as in Slack", (add_terminal_commands,)),
    ("more", (_add_manifest, add_audit, add_record, add_replay)),
)
SUBCOMMANDS: tuple[Callable[[Subcommands], None], ...] = tuple(
    add for _, adders in GROUPS for add in adders
)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not a port (0 to 65535)")
    return port
