"""`openvidu-bot init`: asks questions, looks up what it can, and writes a valid settings file."""

import argparse
import asyncio
import os
import pwd
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bot.init.discovery import FoundStack, look_up
from bot.init.files import MEANING, env_text, secrets_wanted, settings_text
from bot.init.prompts import InputEnded, ask, pick, print_line, secret
from bot.init.questions import QUESTIONS, Standins
from bot.init.repository import could_be_committed
from bot.options import own_zone
from config.settings import SettingsError, load
from services.common.errors import BotError


def run(options: argparse.Namespace) -> int:
    """Run the command; return 0: files written, 1: nothing written, 2: an answer is wrong."""
    env_file = _env_file(options)
    for path in filter(None, (options.config, env_file)):
        if path.exists():
            flag = "--config" if path == options.config else "--env-file"
            print_line(f"{path} is there already and is not overwritten; name another with {flag}")
            return 1
    try:
        return _make(options, env_file)
    except InputEnded:
        print_line("\nstopped: nothing was written")
        return 1


def _env_file(options: argparse.Namespace) -> Path | None:
    """Return the file for secrets; None when none is wanted (`--env-file -`)."""
    if options.env_file is None:
        beside: Path = options.config.with_name("bot.env")
        return beside
    if str(options.env_file) == "-":
        return None
    return Path(options.env_file)


def _make(options: argparse.Namespace, env_file: Path | None) -> int:
    values = {name: os.environ[name] for name in MEANING if os.environ.get(name)}
    if "DIGITALOCEAN_TOKEN" not in values and _may_ask(options):
        meaning = f"{MEANING['DIGITALOCEAN_TOKEN']}; with it your stacks are looked up now"
        if token := secret("DIGITALOCEAN_TOKEN", meaning):
            values["DIGITALOCEAN_TOKEN"] = token
    standins = Standins(**{name: getattr(options, name) for name in Standins.__dataclass_fields__})
    answers = _answers(options, _stack(options, values.get("DIGITALOCEAN_TOKEN", "")))
    if answers is None:
        return 2
    user = _user()
    if user == "root" and answers["me"]:
        print_line(
            "(root stands for you in `terminal.users` now: "
            "whoever can become root here acts as you; put your own user there)"
        )
    text = settings_text(answers, standins, user)
    if problems := _problems(text):
        print_line("\n".join(problems))
        return 2
    secrets = _secrets(secrets_wanted(answers), values, options)
    _write(options.config, text, 0o644)
    if env_file is not None:
        _write(env_file, env_text(secrets), 0o600)
    _print_next_steps(options.config, env_file, secrets)
    return 0


def _may_ask(options: argparse.Namespace) -> bool:
    """Return whether secrets can be asked for: on a terminal, unless questions are off."""
    return not options.no_questions and sys.stdin.isatty()


def _answers(options: argparse.Namespace, found: FoundStack | None) -> dict[str, str] | None:
    """Return an answer to each question, from options or asked; None after a wrong option.

    The name and region of the stack that was found count as answers.
    """
    looked_up = {}
    if found is not None:
        looked_up = {"stack": found.stack, "region": found.region}
    answers: dict[str, str] = {}
    for question in QUESTIONS:
        given = getattr(options, question.key)
        known = looked_up.get(question.key, "")
        default = known or question.default(answers)
        if given is None and not options.no_questions and not known:
            answers[question.key] = ask(question, default)
            continue
        answer = default if given is None else given
        try:
            answers[question.key] = question.check(answer)
        except ValueError as error:
            print_line(f"{question.flag}: found {given or 'nothing'}; allowed: {error}")
            return None
    return answers


def _user() -> str:
    """Return the user at this terminal; behind sudo, the one who called it."""
    user = pwd.getpwuid(os.getuid()).pw_name
    if user == "root":
        return os.environ.get("SUDO_USER", user)
    return user


def _stack(options: argparse.Namespace, token: str) -> FoundStack | None:
    """Let the user pick a stack of the account; None if none was found or the option names one."""
    if not token or options.stack is not None:
        return None
    try:
        found = asyncio.run(look_up(token, options.digitalocean_api))
    except BotError as error:
        print_line(f"(your stacks could not be looked up: {error})")
        return None
    if options.no_questions:
        if len(found) == 1:
            return found[0]
        return None
    if not found:
        print_line(
            "(no stack with four droplets named STACK-master-node-1 to 4 is visible to this token)"
        )
        return None
    title = "Stacks of this account that look like OpenVidu High Availability:"
    chosen = pick(title, [f.words() for f in found])
    if chosen is None:
        return None
    return found[chosen]


def _secrets(
    wanted: list[str], known: Mapping[str, str], options: argparse.Namespace
) -> dict[str, str]:
    """Return the content of the file of secrets, without those that the environment holds."""
    secrets = {}
    for name in wanted:
        if os.environ.get(name):
            continue
        value = known.get(name, "")
        if not value and _may_ask(options) and str(options.env_file) != "-":
            value = secret(name, MEANING[name])
        secrets[name] = value
    return secrets


def _problems(text: str) -> list[str]:
    """Return what `serve` would find wrong with these settings."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder, "settings.yaml")
        trial.write_text(text, "utf-8")
        try:
            load(trial, {"HOME": os.environ.get("HOME", "")}, own_zone)
        except SettingsError as error:
            return error.problems
    return []


def _write(path: Path, text: str, mode: int) -> None:
    # O_EXCL: a file created meanwhile is not overwritten either. The mode applies from the start.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _print_next_steps(config: Path, env_file: Path | None, secrets: Mapping[str, str]) -> None:
    options = f" --config {config}"
    print_line(f"\n{config} is written; it holds no secret.")
    from_env = [name for name in MEANING if os.environ.get(name)]
    if from_env:
        print_line(f"From the environment, and not written down: {', '.join(from_env)}.")
    if env_file is not None:
        options += f" --env-file {env_file}"
        text = f"{env_file} is for the secrets; only you can open it."
        empty = [name for name, value in secrets.items() if not value and name != "REDIS_URL"]
        if empty:
            text += f" Fill in: {', '.join(empty)}."
        print_line(text)
        if (top := could_be_committed(env_file)) is not None:
            print_line(
                f"WARNING: {env_file} is inside the git repository {top}, which does not ignore it."
                f" Add it to {top}/.gitignore now."
            )
    print_line(f"Next: openvidu-bot doctor{options}\nThen: openvidu-bot serve{options}")
