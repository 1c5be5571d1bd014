"""An argument parser that answers a typo with what may have been meant, in two lines."""

import argparse
import difflib
import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from typing_extensions import override

# What newcomers type, and the command that does it.
SYNONYMS = {
    "setup": "init",
    "configure": "init",
    "config": "init",
    "install": "init",
    "new": "init",
    "check": "doctor",
    "test": "doctor",
    "validate": "doctor",
    "diagnose": "doctor",
    "start": "serve",
    "bot": "serve",
    "daemon": "serve",
    "up": "serve",
    "try": "demo",
    "list": "runs",
    "follow": "watch",
    "slack": "manifest",
}
CHOICE = re.compile(r"invalid choice: '?(?P<word>[^']*?)'? \(choose from (?P<choices>.*)\)$")
UNKNOWN = re.compile(r"unrecognized arguments: (?P<words>.*)$")


class CommandParser(argparse.ArgumentParser):
    """Parser of the program and of each subcommand; exits with 2 on a mistake."""

    _typed: Sequence[str] = ()

    @override
    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Report an unknown option with the options of its own subcommand.

        All words of a terminal command are parsed later, as in Slack: also `--cluster acme`.
        """
        words = [] if args is None else list(args)
        self._typed = words
        if self.get_default("verb") and not {"-h", "--help"} & set(words):
            options, _ = super().parse_known_args([], namespace)
            options.words = words
            return options, []
        options, rest = super().parse_known_args(args, namespace)
        if rest and " " in self.prog:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return options, rest

    @override
    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {self._explained(message)}\n")
        sys.stderr.write(f"Help: {self.prog} --help\n")
        self.exit(2)

    def _explained(self, message: str) -> str:
        if match := CHOICE.search(message):
            choices = re.findall(r"[\w-]+", match["choices"])
            kind = "value" if message.startswith("argument -") else "command"
            word, behind = match["word"], list(self._typed)
            behind = behind[behind.index(word) + 1 :] if word in behind else []
            return f"there is no {kind} {word}.{_meant(word, choices, behind)}"
        if match := UNKNOWN.search(message):
            word = match["words"].split(" ")[0]
            if not word.startswith("-"):
                return f"{word} is not expected here."
            known = re.findall(r"--[a-z-]+", self.format_usage())
            return f"there is no option {word}.{_did_you_mean(word, known)}"
        return f"{message}."


def _meant(word: str, choices: Sequence[str], behind: Sequence[str]) -> str:
    if (synonym := SYNONYMS.get(word.lower())) in choices:
        return f" Did you mean {synonym}?"
    return _did_you_mean(word, choices) or _as_in_slack(word, choices, behind)


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    similar = difflib.get_close_matches(word.partition("=")[0], known, n=1, cutoff=0.6)
    if not similar:
        return ""
    return f" Did you mean {similar[0]}?"


def _as_in_slack(word: str, choices: Sequence[str], behind: Sequence[str]) -> str:
    """Return how to use a command of Slack here, with all its words; "" if it is none."""
    if "say" not in choices:
        return ""
    # Not needed unless something was mistyped.
    from handlers.commands.parser import COMMANDS  # noqa: PLC0415
    from services.procedures import Procedure  # noqa: PLC0415

    for command in COMMANDS:
        if command.command == word:
            verb = "run" if issubclass(command, Procedure) else "say"
            return f" As in Slack: {shlex.join(['openvidu-bot', verb, word, *behind])}"
    return ""
