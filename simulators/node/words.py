"""Turns a word of a script into the fields that a command gets."""

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from simulators.node.lexing import Syntax, closing

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9#?@*$!]")
ARITHMETIC = re.compile(r"[\d\s+*/%()<>=!-]*")
ALL = "\0@"
"""What `"$@"` is until it becomes the arguments."""
Part = tuple[str, bool, bool]


class Unset(Exception):
    """A parameter is not set, and `set -u` is on."""


@dataclass
class Words:
    """Expands words: `substitute` runs a `$(...)`, `paths` lists what a pattern may match."""

    variables: Mapping[str, str]
    arguments: list[str]
    substitute: Callable[[str], str]
    paths: Callable[[], Iterable[str]]
    strict: bool = False

    def fields(self, word: str) -> list[str]:
        """The fields that a word becomes."""
        fields: list[str] = [""]
        started = pattern = False
        for text, quoted, is_expansion in self._parts(word):
            if text == ALL:
                fields[-1:] = (
                    [fields[-1] + (self.arguments or [""])[0], *self.arguments[1:]]
                    if self.arguments
                    else fields[-1:]
                )
                started = started or bool(self.arguments)
            elif quoted or not is_expansion:
                fields[-1] += text
                started = started or quoted or bool(text)
                pattern = pattern or (not quoted and any(c in text for c in "*?["))
            else:
                started = self._split(text, fields, started=started)
        if not started:
            return []
        if fields[-1] == "" and len(fields) > 1 and not word.endswith(('"', "'")):
            fields.pop()
        return [path for f in fields for path in self._match(f)] if pattern else fields

    def text(self, word: str) -> str:
        """The word without splitting, as in an assignment."""
        return "".join(
            " ".join(self.arguments) if text == ALL else text for text, _, _ in self._parts(word)
        )

    def _split(self, text: str, fields: list[str], *, started: bool) -> bool:
        pieces = text.split()
        if text[:1].isspace() and fields[-1] and pieces:
            fields.append("")
        for n, piece in enumerate(pieces):
            if n:
                fields.append("")
            fields[-1] += piece
        if text[-1:].isspace() and pieces:
            fields.append("")
        return started or bool(pieces)

    def _match(self, pattern: str) -> list[str]:
        if not any(c in pattern for c in "*?["):
            return [pattern]
        depth = pattern.count("/")
        return sorted(
            {p for p in self.paths() if p.count("/") == depth and fnmatch.fnmatchcase(p, pattern)}
        ) or [pattern]

    def _parts(self, word: str) -> list[Part]:
        """(text, was quoted, came from an expansion)"""
        return [
            (self._dollar(text, 0)[0] if is_expansion else text, quoted, is_expansion)
            for text, quoted, is_expansion in cut(word)
        ]

    def _dollar(self, text: str, i: int) -> tuple[str, int]:
        if text[i] == "`":
            end = closing(text, i)
            return self.substitute(text[i + 1 : end - 1]), end
        if text.startswith("$((", i):
            end = closing(text, i + 1)
            return self._arithmetic(text[i + 3 : end - 2]), end
        if text.startswith("$(", i):
            end = closing(text, i + 1)
            return self.substitute(text[i + 2 : end - 1]), end
        if text.startswith("${", i):
            end = closing(text, i + 1)
            return self._braces(text[i + 2 : end - 1]), end
        found = NAME.match(text, i + 1)
        if found is None:
            return "$", i + 1
        return self._value(found[0]), found.end()

    def _braces(self, inside: str) -> str:
        if inside.startswith("#") and len(inside) > 1:
            return str(len(self._value(inside[1:])))
        found = NAME.match(inside)
        if found is None:
            raise Syntax("Bad substitution")
        name, rest = found[0], inside[found.end() :]
        if not rest:
            return self._value(name)
        value = self.variables.get(name) if not name.isdigit() else self._argument(name)
        if rest[:2] in (":-", ":+"):
            other = self.text(rest[2:])
            return (value or other) if rest[1] == "-" else (other if value else "")
        if rest[:1] in "-+":
            other = self.text(rest[1:])
            return (
                (other if value is None else value)
                if rest[0] == "-"
                else ("" if value is None else other)
            )
        return _trim(self._value(name), rest, self.text)

    def _value(self, name: str) -> str:
        special = {
            "#": str(len(self.arguments)),
            "@": " ".join(self.arguments),
            "*": " ".join(self.arguments),
            "$": "4242",
            "!": "4243",
        }
        if name in special:
            return special[name]
        value = self._argument(name) if name.isdigit() else self.variables.get(name)
        if value is None and self.strict:
            raise Unset(f"{name}: parameter not set")
        return value or ""

    def _argument(self, name: str) -> str | None:
        if name == "0":
            return "sh"
        return self.arguments[int(name) - 1] if int(name) <= len(self.arguments) else None

    def _arithmetic(self, text: str) -> str:
        plain = self.text(text)
        plain = re.sub(r"[A-Za-z_]\w*", lambda m: self.variables.get(m[0]) or "0", plain)
        if not ARITHMETIC.fullmatch(plain):
            raise Syntax(f"arithmetic expression: {text}")
        return str(int(eval(plain.replace("/", "//") or "0", {"__builtins__": {}})))  # noqa: S307 - digits and operators only


@lru_cache(maxsize=4096)
def cut(word: str) -> tuple[Part, ...]:
    """A word's parts: (text, was quoted, is an expansion that is still to be made)."""
    parts: list[Part] = []
    i = 0
    while i < len(word):
        c = word[i]
        if c == "'":
            end = closing(word, i)
            parts.append((word[i + 1 : end - 1], True, False))
        elif c == '"':
            end = closing(word, i)
            parts.extend(_cut_quoted(word[i + 1 : end - 1]))
        elif c == "\\":
            end = i + 2
            parts.append((word[i + 1 : end], True, False))
        elif c in "$`":
            end = _expansion_end(word, i)
            parts.append((word[i:end], False, True))
        else:
            end = i + 1
            parts.append((c, False, False))
        i = end
    return tuple(_joined(parts))


def _cut_quoted(text: str) -> list[Part]:
    parts: list[Part] = [("", True, False)]
    if text == "$@":
        return [(ALL, True, False)]
    i = 0
    while i < len(text):
        if text[i] == "\\" and text[i + 1 : i + 2] in ("$", "`", '"', "\\", "\n"):
            parts.append((text[i + 1].replace("\n", ""), True, False))
            i += 2
        elif text[i] in "$`":
            end = _expansion_end(text, i)
            parts.append((text[i:end], True, True))
            i = end
        else:
            parts.append((text[i], True, False))
            i += 1
    return parts


def _expansion_end(text: str, i: int) -> int:
    if text[i] == "`":
        return closing(text, i)
    if text.startswith(("$(", "${"), i):
        return closing(text, i + 1)
    found = NAME.match(text, i + 1)
    return i + 1 if found is None else found.end()


def _joined(parts: list[Part]) -> list[Part]:
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if (
            last is not None
            and ALL not in (last[0], part[0])
            and not (last[2] or part[2])
            and last[1] == part[1]
        ):
            joined[-1] = (last[0] + part[0], part[1], False)
        else:
            joined.append(part)
    return joined


def _trim(value: str, rest: str, text: Callable[[str], str]) -> str:
    operator = next((o for o in ("%%", "##", "%", "#") if rest.startswith(o)), None)
    if operator is None:
        raise Syntax("Bad substitution")
    pattern = text(rest[len(operator) :])
    cuts = range(len(value) + 1)
    if operator[0] == "%":
        order = cuts if operator == "%%" else reversed(cuts)
        return next((value[:n] for n in order if fnmatch.fnmatchcase(value[n:], pattern)), value)
    order = reversed(cuts) if operator == "##" else cuts
    return next((value[n:] for n in order if fnmatch.fnmatchcase(value[:n], pattern)), value)
