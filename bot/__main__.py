"""The command line: `openvidu-bot serve`, `demo`, `init`, `doctor`, `manifest`, and the desk from a terminal."""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Sequence

from bot.early import hear_signals
from bot.version import own_version
from handlers.slack.markup import markup

DESCRIPTION = "Operate OpenVidu High Availability on DigitalOcean from Slack."


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 it could not be done, 2 it was asked for wrongly."""
    hear_signals(sys.argv[1:] if words is None else words)
    from config.settings import SettingsError  # noqa: PLC0415 - what takes long to import comes after that

    asked = parser().parse_args(words)
    try:
        return int(asked.run(asked))
    except SettingsError as error:
        return _say(str(error), 2)
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    # Here, because a stop has to be heard before what takes long to import.
    from bot.audit.command import add_audit_to  # noqa: PLC0415
    from bot.init.command import add_init_to  # noqa: PLC0415
    from bot.options import add_settings_to  # noqa: PLC0415
    from bot.terminal.command import add_terminal_to  # noqa: PLC0415

    made = argparse.ArgumentParser(prog="openvidu-bot", description=DESCRIPTION)
    made.add_argument("--version", action="version", version=f"openvidu-bot {own_version()}")
    commands = made.add_subparsers(metavar="COMMAND", required=True)

    serve = commands.add_parser(
        "serve", help="the bot: listens to Slack and looks after runs, until it is stopped"
    )
    add_settings_to(serve)
    serve.set_defaults(run=_serve)

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
    demo.set_defaults(run=_demo)

    manifest = commands.add_parser("manifest", help="print the manifest to make the Slack app from")
    manifest.add_argument(
        "--http",
        metavar="URL",
        default="",
        help="requests over HTTP, to this public address, instead of sockets",
    )
    manifest.set_defaults(run=_manifest)

    add_init_to(commands)
    doctor = commands.add_parser(
        "doctor",
        help="look at everything the settings name: what is fine, what is wrong, and the remedy",
    )
    add_settings_to(doctor)
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
    doctor.set_defaults(run=_doctor)
    add_terminal_to(commands)
    add_audit_to(commands)
    return made


def _serve(asked: argparse.Namespace) -> int:
    # Here, so that --help and --version do not wait for what only serving needs.
    from bot import logs  # noqa: PLC0415
    from bot.options import read_settings, settings_file  # noqa: PLC0415
    from bot.serve import CannotStart, serve  # noqa: PLC0415

    settings = read_settings(asked)
    logs.set_up(settings)
    try:
        asyncio.run(serve(settings, asked.clock, settings_file(asked)))
    except CannotStart as error:
        return _say(str(error), 1)
    return 0


def _demo(asked: argparse.Namespace) -> int:
    from bot.demo import run, run_world  # noqa: PLC0415

    if asked.world_only:
        return run_world(asked.port, asked.speed or 1.0, kind=asked.kind)
    return run(asked.port, asked.speed or 12.0, browser=not asked.no_browser, kind=asked.kind)


def _manifest(asked: argparse.Namespace) -> int:
    from bot.manifest import manifest  # noqa: PLC0415

    sys.stdout.write(manifest(asked.http))
    return 0


def _doctor(asked: argparse.Namespace) -> int:
    from bot import logs  # noqa: PLC0415
    from bot.doctor import doctor, probing  # noqa: PLC0415
    from bot.doctor.check import whereabouts  # noqa: PLC0415
    from bot.options import read_settings  # noqa: PLC0415

    settings = read_settings(asked, secrets=False)
    logs.set_up(settings, quiet=True)
    looking = (
        probing(settings, asked.clock)
        if asked.probe
        else doctor(settings, asked.clock, json=asked.json, write_probe=asked.write_probe)
    )
    try:
        return asyncio.run(looking)
    except BrokenPipeError:
        return 2  # the reader of our output has gone
    except Exception as error:  # noqa: BLE001 - a traceback is no answer to the operator, and may hold a secret
        return _say(
            f"the doctor itself failed: {whereabouts(error)}; this is the bot's own fault, report it",
            2,
        )


def _say(text: str, code: int) -> int:
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(f"{markup(text)}\n")
    return code


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


if __name__ == "__main__":
    sys.exit(main())
