"""`openvidu-bot init`: asks questions, looks up what it can, and writes a valid settings file.

Nothing is written before the last answer. Both files are written whole or not at all, and an
existing file is changed only where an answer changes it.
"""

import argparse
import json
import os
import pwd
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from bot.file_writing import PRIVATE, ChangedMeanwhile, write_whole
from bot.init.existing import ExistingFiles, changes, merged, read_existing, with_secrets
from bot.init.files import MEANING, env_text, merged_text, secrets_wanted, settings_text
from bot.init.lookups import Lookups
from bot.init.prompts import InputEnded, ask, confirm, not_found, print_line, secret
from bot.init.questions import QUESTIONS, STANDINS, InitQuestion, Standins
from bot.init.repository import could_be_committed
from bot.options import own_zone
from bot.settings_files import (
    CONFIG_VARIABLE,
    ENV_FILE_VARIABLE,
    NO_FILE,
    SETTINGS,
    find_files,
    secrets_beside,
)
from config.settings import SettingsError, load

PUBLIC = 0o644
NOTHING_WRITTEN = "Stopped. Nothing was written."


def run(options: argparse.Namespace) -> int:
    """Run the command; return 0: files written, 1: nothing written, 2: an answer is wrong."""
    options.config = options.config or Path(os.environ.get(CONFIG_VARIABLE) or SETTINGS)
    _take_standins(options, os.environ)
    env_file = _env_file(options)
    there = [path for path in (options.config, env_file) if path is not None and path.exists()]
    if there and options.no_questions and not options.overwrite:
        names = " and ".join(map(str, there))
        print_line(f"{names}: exists already, and was not changed. To update it, add --overwrite.")
        return 1
    existing = read_existing(options.config, env_file)
    for path in there:
        print_line(f"{path} exists: press Enter to keep a value. Other content stays.")
    try:
        return Interview(options, env_file, existing).run()
    except InputEnded:
        print_line(f"\n{NOTHING_WRITTEN}")
        return 1
    except KeyboardInterrupt:
        print_line(f"\n{NOTHING_WRITTEN}")
        return 130
    except ChangedMeanwhile as error:
        print_line(f"{error}.")
        return 1
    except OSError as error:
        print_line(f"{error.filename or options.config} cannot be written: {error.strerror}.")
        return 1


def _env_file(options: argparse.Namespace) -> Path | None:
    """Return the file for secrets; None when none is wanted (`--env-file -`)."""
    named = options.env_file or os.environ.get(ENV_FILE_VARIABLE) or None
    if named is None:
        return secrets_beside(options.config)
    if str(named) == NO_FILE:
        return None
    return Path(named)


def _take_standins(options: argparse.Namespace, env: Mapping[str, str]) -> None:
    """Take the addresses of a simulated world from the environment, where no option has one."""
    for name, value in json.loads(env.get(STANDINS) or "{}").items():
        if getattr(options, name) == getattr(Standins(), name):
            setattr(options, name, value)


class Interview:
    """Asks the questions, with what is known as defaults, and writes the two files."""

    def __init__(
        self, options: argparse.Namespace, env_file: Path | None, existing: ExistingFiles
    ) -> None:
        self._options = options
        self._env_file = env_file
        self._existing = existing
        self._user = _user()
        self._secrets = {
            name: value
            for name in MEANING
            if (value := os.environ.get(name) or existing.secrets.get(name))
        }
        self._lookups = Lookups(options, self._secrets, self._ask_secret)
        self._before = existing.answers(self._user, options.stack or "")
        self._written: list[Path] = []

    def run(self) -> int:
        """Ask, check and write; return the exit code."""
        answers = self._answers()
        if answers is None:
            return 2
        if self._user == "root" and answers["me"]:
            print_line(
                "\nCommands of root on this machine act as you in Slack. "
                "To change it: terminal.users in the settings."
            )
        standins = Standins(
            **{name: getattr(self._options, name) for name in Standins.__dataclass_fields__}
        )
        text = self._settings_text(answers, settings_text(answers, standins, self._user))
        if problems := _problems(text):
            print_line("\n".join(problems))
            return 2
        secrets = self._wanted_secrets(secrets_wanted(answers))
        if not self._write(text, secrets):
            print_line(NOTHING_WRITTEN)
            return 1
        self._print_next_steps(secrets)
        return 0

    def _answers(self) -> dict[str, str] | None:
        """Return an answer to each question, from options or asked; None after a wrong option."""
        answers: dict[str, str] = {}
        for question in QUESTIONS:
            given = getattr(self._options, question.key)
            if given is None and not self._options.no_questions:
                answers[question.key] = self._asked(question, answers)
                continue
            answer = given
            if given is None:
                answer = self._default(question, answers)
            try:
                answers[question.key] = self._checked(question, answer, answers)
            except ValueError as error:
                print_line(f"{question.flag}: {error}")
                return None
        return answers

    def _asked(self, question: InitQuestion, answers: Mapping[str, str]) -> str:
        if question.key == "region" and (region := self._lookups.region_of(answers["stack"])):
            return region
        offers = self._lookups.offers(question.key, answers)
        if stack := answers.get("stack"):
            question = replace(question, where=question.where.replace("STACK", stack))
        answer = ask(question, self._default(question, answers), offers)
        if question.key == "stack":
            self._before = self._existing.answers(self._user, answer)
        return answer

    def _default(self, question: InitQuestion, answers: Mapping[str, str]) -> str:
        before = self._before.get(question.key, "")
        return before or self._lookups.default(question.key, answers) or question.default(answers)

    def _checked(self, question: InitQuestion, answer: str, answers: Mapping[str, str]) -> str:
        """Return an option's value. ValueError if it is not valid, or no such stack exists."""
        value = question.check(answer)
        if question.key == "stack":
            offers = self._lookups.offers("stack", answers)
            if offers and value not in {offer.value for offer in offers}:
                raise ValueError(not_found(value, offers).partition(" To use it")[0])
        return value

    def _settings_text(self, answers: Mapping[str, str], text: str) -> str:
        """Return the text of the settings file: new, as it was, or with the answers put in."""
        old = self._existing
        if old.settings_text is None:
            return text
        new = yaml.safe_load(text)
        result = merged(old.settings, new, answers)
        if result == old.settings:
            return old.settings_text
        if result == new:
            return text
        return merged_text(result)

    # Secrets

    def _may_ask(self) -> bool:
        """Return whether secrets can be asked for: on a terminal, unless questions are off."""
        return not self._options.no_questions and sys.stdin.isatty()

    def _ask_secret(self, name: str, why: str) -> str:
        """Ask for a secret; "" without a terminal, or if none is typed."""
        if not self._may_ask():
            return ""
        value = secret(name, f"{MEANING[name]}. {why}".rstrip())
        if value:
            self._secrets[name] = value
        return value

    def _wanted_secrets(self, wanted: Sequence[str]) -> dict[str, str]:
        """Return the content of the file of secrets, without those that the environment holds."""
        secrets = {}
        for name in wanted:
            if os.environ.get(name):
                continue
            value = self._secrets.get(name, "")
            if not value and self._env_file is not None and name not in self._lookups.asked:
                value = self._ask_secret(name, "")
            secrets[name] = value
        return secrets

    # Writing

    def _write(self, text: str, secrets: Mapping[str, str]) -> bool:
        """Write both files; False if the user does not want them overwritten."""
        old, config, env_file = self._existing, self._options.config, self._env_file
        kept = old.secrets_text
        secrets_text = env_text(secrets)
        if kept is not None:
            secrets_text = with_secrets(kept, secrets, MEANING)
        todo = []
        if text != old.settings_text:
            todo.append((config, text, PUBLIC, old.settings_text))
        if env_file is not None and secrets_text != kept:
            todo.append((env_file, secrets_text, PRIVATE, kept))
        if not self._may_overwrite(text, [path for path, *_, before in todo if before is not None]):
            return False
        if old.settings_text is not None and text != old.settings_text:
            backup = config.with_name(f"{config.name}.bak")
            backup.write_text(old.settings_text, "utf-8")
            print_line(f"The settings as they were: {backup}")
        # Ctrl-C between the two files would leave one of them.
        before_signal = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for path, content, mode, before in todo:
                write_whole(path, content, mode, before)
                self._written.append(path)
        finally:
            signal.signal(signal.SIGINT, before_signal)
        return True

    def _may_overwrite(self, text: str, paths: Sequence[Path]) -> bool:
        """Show what changes in existing files, and ask for each run once."""
        if not paths:
            return True
        print_line("\nChanges:")
        for change in changes(self._existing.settings, yaml.safe_load(text)):
            print_line(f"  {change}")
        if self._env_file in paths:
            print_line(f"  {self._env_file}: secrets are added; none is removed")
        if self._options.no_questions:
            return True
        names = " and ".join(map(str, paths))
        return confirm(f"Write {names}?", default=True)

    def _print_next_steps(self, secrets: Mapping[str, str]) -> None:
        config, env_file = self._options.config, self._env_file
        print_line(f"\n{self._done(config)}: {config} (no secrets in it)")
        from_env = [name for name in MEANING if os.environ.get(name)]
        if from_env:
            print_line(f"From the environment, not written to a file: {', '.join(from_env)}")
        if env_file is not None:
            print_line(f"{self._done(env_file)}: {env_file} (secrets; only you can read it)")
            empty = [name for name, value in secrets.items() if not value and name != "REDIS_URL"]
            if empty:
                print_line(f"Fill in {env_file}:")
            for name in empty:
                print_line(f"  {name:<26}{MEANING[name]}")
            if (top := could_be_committed(env_file)) is not None:
                print_line(
                    f"WARNING: {env_file} is inside the git repository {top}, which does not "
                    f"ignore it. Add it to {top}/.gitignore now."
                )
        words = self._file_options()
        print_line(f"Next: openvidu-bot doctor{words}\nThen: openvidu-bot serve{words}")

    def _done(self, path: Path) -> str:
        if path in self._written:
            return "Written"
        return "Unchanged"

    def _file_options(self) -> str:
        """Return the options with which other commands find these files; "" if by themselves."""
        options = argparse.Namespace(config=None, env_file=None)
        words = ""
        try:
            found = find_files(options, os.environ)
        except SettingsError:
            found = None
        if found is None or found.settings.resolve() != self._options.config.resolve():
            words += f" --config {self._options.config}"
        found_by_itself = os.environ.get(ENV_FILE_VARIABLE) or secrets_beside(self._options.config)
        if self._env_file is not None and str(self._env_file) != str(found_by_itself):
            words += f" --env-file {self._env_file}"
        return words


def _user() -> str:
    """Return the user at this terminal; behind sudo, the one who called it."""
    user = pwd.getpwuid(os.getuid()).pw_name
    if user == "root":
        return os.environ.get("SUDO_USER", user)
    return user


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
