"""Cuts a script into words and operators."""

from functools import lru_cache

OPERATORS = ("&&", "||", ">>", ">&", ";;", ";", "&", "|", ">", "<", "(", ")", "\n")
DIGITS = "0123456789"


class Syntax(Exception):
    """The text is not in the subset."""


@lru_cache(maxsize=4096)
def closing(text: str, start: int) -> int:
    """Where the quote, or the parenthesis of a `$(`, that opens at `start` ends (the index after it)."""
    opener = text[start]
    i = start + 1
    while i < len(text):
        c = text[i]
        if opener == "'":
            if c == "'":
                return i + 1
        elif c == "\\":
            i += 1
        elif (
            (opener in '"`' and c == opener)
            or (opener == "(" and c == ")")
            or (opener == "{" and c == "}")
        ):
            return i + 1
        elif c == "$" and text[i + 1 : i + 2] in ("(", "{"):
            i = closing(text, i + 1) - 1
        elif (opener != '"' and c in "\"'`(" and c != opener) or (opener == "(" and c == "("):
            i = closing(text, i) - 1
        i += 1
    raise Syntax(f"Unterminated {opener}")


def tokens(text: str) -> list[str]:
    """Words with their quotes still on, and operators (marked by a leading NUL so that no word can be one)."""
    found: list[str] = []
    i = 0
    while i < len(text):
        if text[i] in " \t" or text.startswith("\\\n", i):
            i += 2 if text[i] == "\\" else 1
        elif text[i] == "#":
            i = text.find("\n", i) if "\n" in text[i:] else len(text)
        else:
            operator = next((o for o in OPERATORS if text.startswith(o, i)), None)
            end = i + len(operator) if operator else _word_end(text, i)
            found.append("\0" + operator if operator else text[i:end])
            is_fd = (
                not operator
                and len(found[-1]) == 1
                and found[-1] in DIGITS
                and text[end : end + 1] in ("<", ">")
            )
            if is_fd:
                found[-1] = "\0fd" + found[-1]
            i = end
    return found


def _word_end(text: str, i: int) -> int:
    while i < len(text) and text[i] not in " \t\n;&|<>()":
        if text[i] == "\\":
            i += 2
        elif text[i] in "\"'`":
            i = closing(text, i)
        elif text[i] == "$" and text[i + 1 : i + 2] in ("(", "{"):
            i = closing(text, i + 1)
        else:
            i += 1
    return i
