"""Questions and answers on a plain terminal, or on a pipe."""

import getpass
import sys
from collections.abc import Callable, Sequence

from bot.init.questions import Question

Check = Callable[[str], str]


class Stopped(Exception):
    """There are no more answers: nothing was written."""


def tell(text: str = "") -> None:
    """A line for the person; what is piped on stays clean."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def ask(question: Question, default: str) -> str:
    """Ask until the answer is one. An empty line takes the default."""
    tell(f"\n{question.asks}\n  {question.where}")
    while True:
        said = _line(f"  [{default}] " if default else "  ") or default
        try:
            return question.check(said)
        except ValueError as error:
            tell(f"  that is not it; allowed: {error}")


def pick(title: str, choices: Sequence[str]) -> int | None:
    """One of a list by its number; None for none of them."""
    tell(f"\n{title}")
    for number, choice in enumerate(choices, 1):
        tell(f"  {number}  {choice}")
    while True:
        said = _line("  [1] or 0 for another: ") or "1"
        if said.isdigit() and int(said) <= len(choices):
            return int(said) - 1 if int(said) else None
        tell(f"  a number from 0 to {len(choices)}")


def secret(name: str, meaning: str) -> str:
    """Typed without being shown. Empty: it is filled in by hand later."""
    tell(f"\n{name}\n  {meaning}")
    try:
        return getpass.getpass(
            "  (not shown; Enter to fill it in later) ", stream=sys.stderr
        ).strip()
    except EOFError:
        raise Stopped from None


def _line(prompt: str) -> str:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    said = sys.stdin.readline()
    if not said:
        raise Stopped
    return said.strip()
