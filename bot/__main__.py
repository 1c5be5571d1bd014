"""The command line: `openvidu-bot serve`, `demo`, `manifest`."""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import config
from services.clock import Clock

DESCRIPTION = "Operate OpenVidu High Availability on DigitalOcean from Slack."


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 it could not be done, 2 it was asked for wrongly."""
    asked = _parser().parse_args(words)
    with contextlib.suppress(KeyboardInterrupt):
        return int(asked.run(asked))
    return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="openvidu-bot", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"openvidu-bot {_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    serve = commands.add_parser("serve", help="the bot: listens to Slack and looks after runs, until it is stopped")
    serve.add_argument("--config", type=Path, metavar="FILE", help="the settings (else OPENVIDU_BOT_CONFIG names them)")
    serve.add_argument("--clock", type=_clock, default=Clock(), help=argparse.SUPPRESS)
    serve.set_defaults(run=_serve)

    demo = commands.add_parser("demo", help="the bot with a pretend Slack, DigitalOcean and OpenVidu, on this machine only")
    demo.add_argument("--port", type=_port, default=8300, help="where the page is (default 8300; 0 takes a free one)")
    demo.add_argument("--speed", type=_speed, default=12.0, help="how many seconds pass there in one of ours (default 12)")
    demo.add_argument("--no-browser", action="store_true", help="only print the page's address")
    demo.set_defaults(run=_demo)

    manifest = commands.add_parser("manifest", help="print the manifest to make the Slack app from")
    manifest.set_defaults(run=_manifest)
    return parser


def _serve(asked: argparse.Namespace) -> int:
    # Here, so that --help and --version do not wait for what only serving needs.
    from bot import logs  # noqa: PLC0415
    from bot.serve import CannotStart, serve  # noqa: PLC0415
    from config.settings import SettingsError, check_secrets, load  # noqa: PLC0415

    try:
        settings = load(asked.config, os.environ)
        check_secrets(settings)
    except SettingsError as error:
        return _say(str(error), 2)
    logs.set_up(settings)
    try:
        asyncio.run(serve(settings, asked.clock))
    except CannotStart as error:
        return _say(str(error), 1)
    return 0


def _demo(asked: argparse.Namespace) -> int:
    from bot.demo import run  # noqa: PLC0415

    return run(asked.port, asked.speed, browser=not asked.no_browser)


def _manifest(_asked: argparse.Namespace) -> int:
    sys.stdout.write(Path(config.__file__).with_name("slack-manifest.yaml").read_text("utf-8"))
    return 0


def _say(text: str, code: int) -> int:
    sys.stderr.write(f"{text}\n")
    return code


def _version() -> str:
    try:
        return version("openvidu-bot")
    except PackageNotFoundError:
        import tomllib  # noqa: PLC0415 - run from a clone, which is not installed

        project = Path(__file__).resolve().parent.parent / "pyproject.toml"
        return str(tomllib.loads(project.read_text("utf-8"))["project"]["version"]) if project.is_file() else "unknown"


def _clock(text: str) -> Clock:
    speed, origin, started = (float(part) for part in text.split(":"))
    return Clock(speed=speed, origin=origin, started=started)


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
