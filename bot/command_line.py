"""All subcommands with their options; the module of a subcommand is imported when it is chosen.

A subcommand names its function as `module:function` in `entry`. Here and in the modules imported
here stand only the options, so that `--help` and `--version` do not load what a command needs.
"""

import argparse
import contextlib
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from bot.audit.arguments import add_audit
from bot.init.arguments import add_init
from bot.options import Subcommands, add_settings_options
from bot.terminal.arguments import add_terminal_commands
from bot.version import own_version
from config.settings import SettingsError
from handlers.slack.markup import markup

DESCRIPTION = "Operate OpenVidu High Availability on DigitalOcean from Slack."


class CommandFunction(Protocol):
    """The function behind a subcommand: takes the parsed options, returns the exit code."""

    def __call__(self, options: argparse.Namespace, /) -> int: ...


def run(arguments: Sequence[str]) -> int:
    """Run one subcommand; return its exit code."""
    options = build_parser().parse_args(arguments)
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
    command: CommandFunction = getattr(importlib.import_module(module), function)
    return command


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with every subcommand."""
    parser = argparse.ArgumentParser(prog="openvidu-bot", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"openvidu-bot {own_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in SUBCOMMANDS:
        add(commands)
    return parser


def _add_serve(commands: Subcommands) -> None:
    serve = commands.add_parser(
        "serve", help="the bot: listens to Slack and looks after runs, until it is stopped"
    )
    add_settings_options(serve)
    serve.set_defaults(entry="bot.serve:run")


def _add_demo(commands: Subcommands) -> None:
    demo = commands.add_parser(
        "demo", help="the bot with a pretend Slack, DigitalOcean and OpenVidu, on this machine only"
    )
    demo.add_argument(
        "--port",
        type=_port,
        default=8300,
        help="where the page is (default 8300; 0 takes a free one)",
    )
    demo.add_argument(
        "--speed",
        type=_speed,
        help="how many seconds pass there in one of ours (default 12; with --world-only 1)",
    )
    demo.add_argument(
        "--kind",
        choices=("pool", "fixed", "autoscaler"),
        default="pool",
        help="what keeps the media nodes (default pool)",
    )
    demo.add_argument("--no-browser", action="store_true", help="only print the page's address")
    demo.add_argument(
        "--world-only",
        action="store_true",
        help="no bot: print what `init`, `doctor` and `serve` need to meet this world",
    )
    demo.set_defaults(entry="bot.demo:run")


def _add_manifest(commands: Subcommands) -> None:
    manifest = commands.add_parser("manifest", help="print the manifest to make the Slack app from")
    manifest.add_argument(
        "--http",
        metavar="URL",
        default="",
        help="requests over HTTP, to this public address, instead of sockets",
    )
    manifest.set_defaults(entry="bot.manifest:run")


def _add_doctor(commands: Subcommands) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="look at everything the settings name: what is fine, what is wrong, and the remedy",
    )
    add_settings_options(doctor)
    doctor.add_argument(
        "--json",
        action="store_true",
        help="for scripts (exit code 0: fine, 1: something wrong, 2: something not checked)",
    )
    doctor.add_argument(
        "--write-probe",
        action="store_true",
        help="also put, read and delete an object of its own in each bucket",
    )
    doctor.add_argument(
        "--probe",
        action="store_true",
        help="instead: try out what only a real account answers; asks before each",
    )
    doctor.set_defaults(entry="bot.doctor:run")


# In the order of `--help`.
SUBCOMMANDS: tuple[Callable[[Subcommands], None], ...] = (
    _add_serve,
    _add_demo,
    _add_manifest,
    add_init,
    _add_doctor,
    add_terminal_commands,
    add_audit,
)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not a port (0 to 65535)")
    return port


def _speed(text: str) -> float:
    speed = float(text)
    if not 1 <= speed <= 200:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 200")
    return speed
