"""`openvidu-bot init`: asks, looks up what it can, and writes a settings file that `serve` takes."""

import argparse
import asyncio
import os
import pwd
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bot.init.discovery import Found, look_up
from bot.init.files import MEANING, env_text, secrets_wanted, settings_text
from bot.init.prompts import Stopped, ask, pick, secret, tell
from bot.init.questions import QUESTIONS, Standins
from bot.init.repository import could_be_committed
from bot.options import own_zone
from config.settings import SettingsError, load
from services.common.errors import BotError

STANDINS = argparse.SUPPRESS  # for a pretend world on this machine; `demo --world-only` prints them


def add_init_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command and its flags: one for each question."""
    init = commands.add_parser(
        "init",
        help="ask a few things and write a settings file",
        description="Asks a few things and writes a settings file that `serve` takes, and beside it a file for the secrets, which only "
        "you can open. Nothing that is there is overwritten. Secrets are never written into the settings file.",
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
        init.add_argument(
            question.flag, metavar="VALUE", help=question.asks[:1].lower() + question.asks[1:]
        )
    for flag in ("--digitalocean-api", "--slack-api", "--spaces-endpoint", "--health-url"):
        init.add_argument(flag, default="", help=STANDINS)
    init.add_argument("--ssh-port", type=int, default=22, help=STANDINS)
    init.add_argument("--health-port", type=int, default=8080, help=STANDINS)
    init.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Exit code 0: both files are written. 1: nothing was written. 2: an answer is missing or wrong."""
    env_file = (
        None if str(asked.env_file) == "-" else asked.env_file or asked.config.with_name("bot.env")
    )
    for path in filter(None, (asked.config, env_file)):
        if path.exists():
            flag = "--config" if path == asked.config else "--env-file"
            tell(f"{path} is there already and is not overwritten; name another with {flag}")
            return 1
    try:
        return _make(asked, env_file)
    except Stopped:
        tell("\nstopped: nothing was written")
        return 1


def _make(asked: argparse.Namespace, env_file: Path | None) -> int:
    values = {name: os.environ[name] for name in MEANING if os.environ.get(name)}
    token = values.get("DIGITALOCEAN_TOKEN", "")
    if not token and not asked.no_questions and sys.stdin.isatty():
        token = secret(
            "DIGITALOCEAN_TOKEN",
            f"{MEANING['DIGITALOCEAN_TOKEN']}; with it your stacks are looked up now",
        )
    found = _stack(asked, token)
    standins = Standins(**{name: getattr(asked, name) for name in Standins.__dataclass_fields__})
    answers: dict[str, str] = {}
    for question in QUESTIONS:
        given = getattr(asked, question.key)
        known = (
            {"stack": found.stack, "region": found.region}.get(question.key, "") if found else ""
        )
        default = known or question.default(answers)
        if given is None and not asked.no_questions and not known:
            answers[question.key] = ask(question, default)
            continue
        try:
            answers[question.key] = question.check(given if given is not None else default)
        except ValueError as error:
            tell(f"{question.flag}: found {given or 'nothing'}; allowed: {error}")
            return 2
    user = _user()
    if user == "root" and answers["me"]:
        tell(
            "(root stands for you in `terminal.users` now: whoever can become root here acts as you; put your own user there)"
        )
    text = settings_text(answers, standins, user)
    if problems := _problems(text):
        tell("\n".join(problems))
        return 2
    typed = _secrets(
        secrets_wanted(answers), {**values, "DIGITALOCEAN_TOKEN": token} if token else values, asked
    )
    _write(asked.config, text, 0o644)
    if env_file is not None:
        _write(env_file, env_text(typed), 0o600)
    _close(asked.config, env_file, typed)
    return 0


def _user() -> str:
    """Who sits at this terminal: behind `sudo`, whoever typed it."""
    me = pwd.getpwuid(os.getuid()).pw_name
    return os.environ.get("SUDO_USER", me) if me == "root" else me


def _stack(asked: argparse.Namespace, token: str) -> Found | None:
    """Picked from what the account holds, when it can be looked up and was not said."""
    if not token or asked.stack is not None:
        return None
    try:
        found = asyncio.run(look_up(token, asked.digitalocean_api))
    except BotError as error:
        tell(f"(your stacks could not be looked up: {error})")
        return None
    if asked.no_questions:
        return found[0] if len(found) == 1 else None
    if not found:
        tell(
            "(no stack with four droplets named STACK-master-node-1 to 4 is visible to this token)"
        )
        return None
    chosen = pick(
        "Stacks of this account that look like OpenVidu High Availability:",
        [f.words() for f in found],
    )
    return None if chosen is None else found[chosen]


def _secrets(
    wanted: list[str], known: Mapping[str, str], asked: argparse.Namespace
) -> dict[str, str]:
    """For the file of secrets: what the environment holds is not written down a second time."""
    typed = {}
    for name in wanted:
        if os.environ.get(name):
            continue
        value = known.get(name, "")
        if (
            not value
            and not asked.no_questions
            and sys.stdin.isatty()
            and str(asked.env_file) != "-"
        ):
            value = secret(name, MEANING[name])
        typed[name] = value
    return typed


def _problems(text: str) -> list[str]:
    """What `serve` would say of these settings."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder, "settings.yaml")
        trial.write_text(text, "utf-8")
        try:
            load(trial, {"HOME": os.environ.get("HOME", "")}, own_zone)
        except SettingsError as error:
            return error.problems
    return []


def _write(path: Path, text: str, mode: int) -> None:
    # O_EXCL: what somebody else made meanwhile is not overwritten either; the mode is there from the first byte on.
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8"
    ) as file:
        file.write(text)


def _close(config: Path, env_file: Path | None, typed: Mapping[str, str]) -> None:
    named = f" --config {config}" + (f" --env-file {env_file}" if env_file else "")
    tell(f"\n{config} is written; it holds no secret.")
    from_env = [name for name in MEANING if os.environ.get(name)]
    if from_env:
        tell(f"From the environment, and not written down: {', '.join(from_env)}.")
    if env_file is not None:
        empty = [name for name, value in typed.items() if not value and name != "REDIS_URL"]
        tell(
            f"{env_file} is for the secrets; only you can open it."
            + (f" Fill in: {', '.join(empty)}." if empty else "")
        )
        if (top := could_be_committed(env_file)) is not None:
            tell(
                f"WARNING: {env_file} is inside the git repository {top}, which does not ignore it. Add it to {top}/.gitignore now."
            )
    tell(f"Next: openvidu-bot doctor{named}\nThen: openvidu-bot serve{named}")
