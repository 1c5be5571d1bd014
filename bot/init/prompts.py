"""Questions and answers on a terminal or a pipe."""

import getpass
import sys
from collections.abc import Callable, Sequence

from bot.init.questions import InitQuestion

Check = Callable[[str], str]


class InputEnded(Exception):
    """The input ended before all questions were answered."""


def print_line(text: str = "") -> None:
    """Print a line to stderr: stdout may be piped on."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def ask(question: InitQuestion, default: str) -> str:
    """Ask until the answer is valid. An empty line takes the default."""
    print_line(f"\n{question.asks}\n  {question.where}")
    prompt = f"  [{default}] " if default else "  "
    while True:
        try:
            return question.check(_line(prompt) or default)
        except ValueError as error:
            print_line(f"  that is not it; allowed: {error}")


def pick(title: str, choices: Sequence[str]) -> int | None:
    """Ask for one item of a list by its number; return its index, None for none of them."""
    print_line(f"\n{title}")
    for number, choice in enumerate(choices, 1):
        print_line(f"  {number}  {choice}")
    while True:
        answer = _line("  [1] or 0 for another: ") or "1"
        if answer == "0":
            return None
        if answer.isdigit() and 1 <= int(answer) <= len(choices):
            return int(answer) - 1
        print_line(f"  a number from 0 to {len(choices)}")


def secret(name: str, meaning: str) -> str:
    """Ask for a secret without echo; "": it will be filled in by hand later."""
    print_line(f"\n{name}\n  {meaning}")
    try:
        return getpass.getpass(
            "  (not shown; Enter to fill it in later) ", stream=sys.stderr
        ).strip()
    except EOFError:
        raise InputEnded from None


def _line(prompt: str) -> str:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise InputEnded
    return line.strip()
