"""Questions and answers on a terminal or a pipe."""

import difflib
import getpass
import re
import sys
import textwrap
from collections.abc import Sequence

from bot.init.discovery import Suggestion
from bot.init.questions import NONE, InitQuestion

SHOWN = 20  # offers in a list
WIDTH = 90  # columns


class InputEnded(Exception):
    """The input ended before all questions were answered."""


def print_line(text: str = "") -> None:
    """Print a line to stderr: stdout may be piped on."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def ask(question: InitQuestion, default: str, offers: Sequence[Suggestion] = ()) -> str:
    """Ask until the answer is valid. An empty line takes the default; a number picks an offer."""
    print_line(f"\n{question.asks}")
    print_line(textwrap.fill(question.where, WIDTH, initial_indent="  ", subsequent_indent="  "))
    _print_offers(offers)
    prompt = _prompt(question, default, offers)
    insisted: set[str] = set()
    while True:
        typed = _line(prompt) or default
        try:
            return question.check(resolved(question, typed, offers, insisted))
        except ValueError as error:
            print_line(f"  {error}")


def _prompt(question: InitQuestion, default: str, offers: Sequence[Suggestion]) -> str:
    wanted = "value"
    if offers:
        wanted = "number or value"
    if offers and question.many:
        wanted = "numbers or values, with commas"
    if not default:
        return f"  {wanted}: "
    return f"  {wanted} [{default}]: "


def resolved(
    question: InitQuestion, typed: str, offers: Sequence[Suggestion], insisted: set[str]
) -> str:
    """Return the typed answer, with numbers and names replaced by the values that they mean.

    ValueError for a value that was not found, once: typed again, it is taken.
    """
    if not typed or typed == NONE or not offers:
        return typed
    words = [typed]
    if question.many:
        words = [word for word in re.split(r"[\s,]+", typed) if word]
    values = [_meant(word, offers) for word in words]
    unknown = [v for v in values if v not in {o.value for o in offers} and v not in insisted]
    if unknown and question.closed:
        insisted.update(unknown)
        raise ValueError(not_found(unknown[0], offers))
    return ",".join(values)


def not_found(value: str, offers: Sequence[Suggestion]) -> str:
    """Return that a value is not among the offers, with the one that may be meant."""
    names = {name: offer.value for offer in offers for name in (offer.value, *offer.names) if name}
    similar = difflib.get_close_matches(value, names, n=1, cutoff=0.6)
    hint = ""
    if similar:
        hint = f" Did you mean {similar[0]}?"
    return f"{value} was not found.{hint} To use it anyway, type it again."


def _meant(word: str, offers: Sequence[Suggestion]) -> str:
    if word.isascii() and word.isdigit() and 1 <= int(word) <= min(len(offers), SHOWN):
        return offers[int(word) - 1].value
    name = word.strip().lstrip("@#").casefold()
    for offer in offers:
        if name in {other.casefold() for other in offer.names if other}:
            return offer.value
    return word


def _print_offers(offers: Sequence[Suggestion]) -> None:
    width = max((len(offer.value) for offer in offers[:SHOWN]), default=0)
    for number, offer in enumerate(offers[:SHOWN], 1):
        print_line(f"  {number:>2}  {offer.value:<{width}}  {offer.label}".rstrip())
    if len(offers) > SHOWN:
        print_line(f"      and {len(offers) - SHOWN} more: type the name or id")


def confirm(text: str, *, default: bool) -> bool:
    """Ask a yes-or-no question; an empty line takes the default."""
    choices = "Y/n" if default else "y/N"
    while True:
        answer = _line(f"{text} [{choices}]: ").lower()
        if not answer:
            return default
        if answer in ("y", "yes", "n", "no"):
            return answer.startswith("y")
        print_line("  Type y or n.")


def secret(name: str, meaning: str) -> str:
    """Ask for a secret without echo; "": it will be filled in by hand later."""
    print_line(f"\n{name}")
    text = f"{meaning[:1].upper()}{meaning[1:]}"
    print_line(textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="  "))
    try:
        return getpass.getpass("  hidden; Enter to fill it in later: ", stream=sys.stderr).strip()
    except EOFError:
        raise InputEnded from None


def _line(prompt: str) -> str:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise InputEnded
    return line.strip()
