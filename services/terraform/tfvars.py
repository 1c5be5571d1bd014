"""A Terraform variables file: assignments in it, and edits that leave every other byte alone. Pure.

Only what decides where an assignment begins and ends is read: comments, strings, heredocs and
brackets. What this does not understand is refused with its line, never guessed.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from services.common.errors import Refused

Value = str | int
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
HEREDOC = re.compile(r"<<(-?)([A-Za-z_][A-Za-z0-9_-]*)\r?\n")
PLAIN = re.compile(r'"([^"\\$%\r\n]*)"')
WHOLE = re.compile(r"\d{1,9}")
# What may be written as a value: sizes of droplets and numbers.
SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
CLOSES = {"(": ")", "[": "]", "{": "}"}
LONGEST = 1024 * 1024


@dataclass(frozen=True)
class Assignment:
    """One `name = value`: where its line begins, and the place of its value."""

    name: str
    line: int
    begins: int
    start: int
    end: int


@dataclass(frozen=True)
class VariablesFile:
    """The text of a variables file. `path`: as people know it."""

    path: str
    text: str
    assignments: tuple[Assignment, ...]

    def values(self, names: tuple[str, ...]) -> dict[str, Value]:
        """Return those variables that the file sets; `null` leaves the default.

        Refused with its line for one that is no plain text or whole number.
        """
        found = {}
        for one in self.assignments:
            if one.name in names and (value := self._value(one)) is not None:
                found[one.name] = value
        return found

    def _value(self, one: Assignment) -> Value | None:
        text = self.text[one.start : one.end]
        if text == "null":
            return None
        if WHOLE.fullmatch(text):
            return int(text)
        plain = PLAIN.fullmatch(text)
        if plain is None:
            raise self._refused(one.line, f"{one.name} is no plain text or whole number")
        # Terraform converts the text of a number to a number.
        return int(plain[1]) if WHOLE.fullmatch(plain[1]) else plain[1]

    def with_values(self, values: Mapping[str, Value]) -> "VariablesFile":
        """Return the file with these variables set. Those it lacks become lines of their own."""
        lines = {one.name: one for one in self.assignments}
        text, missing = self.text, {}
        edits = []
        for name, value in values.items():
            if name not in lines:
                missing[name] = value
                continue
            one = lines[name]
            self._value(one)  # only what was understood is replaced
            quoted = text[one.start] == '"'
            edits.append((one.start, one.end, _written(name, value, quoted=quoted)))
        added = [f"{name} = {_written(name, value)}" for name, value in missing.items()]
        if added:
            end = "\r\n" if "\r\n" in text else "\n"
            place = self._place_for_lines()
            edits.append((place, place, "".join(line + end for line in added)))
        for start, stop, new in sorted(edits, reverse=True):
            text = text[:start] + new + text[stop:]
        return read_variables(self.path, text)

    def _place_for_lines(self) -> int:
        """Return where new lines go: at the end; before the last line where that has no end.

        An edit of a line without an end would show it in the difference, with what it holds.
        """
        if not self.text or self.text.endswith("\n"):
            return len(self.text)
        if not self.assignments:
            return 0
        return self.assignments[-1].begins

    def difference(self, other: "VariablesFile") -> str:
        """Return the unified diff to another text, without lines that did not change.

        A neighbouring line may hold a token, so none is shown.
        """
        before, after = _lines(self.text), _lines(other.text)
        lines = difflib.unified_diff(
            before, after, f"a/{self.path}", f"b/{self.path}", n=0, lineterm="\n"
        )
        return "".join(_with_end(line) for line in lines)

    def _refused(self, line: int, why: str) -> Refused:
        return Refused(f"{self.path}, line {line}: {why}")


def read_variables(path: str, text: str) -> VariablesFile:
    """Return the file. Refused with the line of what is not understood."""
    if len(text) > LONGEST:
        raise Refused(f"{path} has more than {LONGEST // 1024} KB; a variables file is smaller")
    scanner = _Scanner(path, text)
    found: dict[str, Assignment] = {}
    for one in scanner.assignments():
        if one.name in found:
            raise scanner.refused(
                f"{one.name} is set twice (also in line {found[one.name].line})", one.begins
            )
        found[one.name] = one
    return VariablesFile(path, text, tuple(found.values()))


class _Scanner:
    def __init__(self, path: str, text: str) -> None:
        self._path, self._text, self._at = path, text, 0

    def refused(self, why: str, at: int | None = None) -> Refused:
        line = self._text.count("\n", 0, self._at if at is None else at) + 1
        return Refused(f"{self._path}, line {line}: {why}")

    def assignments(self) -> Iterator[Assignment]:
        while self._skip(lines=True):
            begins = self._at
            name = NAME.match(self._text, begins)
            if name is None:
                raise self.refused("this is no assignment of a variable")
            self._at = name.end()
            self._skip()
            if self._next() != "=" or self._text.startswith("==", self._at):
                raise self.refused(f"{name[0]} is not followed by =")
            self._at += 1
            self._skip()
            start = self._at
            end = self._expression()
            if end == start:
                raise self.refused(f"{name[0]} has no value", begins)
            line = self._text.count("\n", 0, begins) + 1
            of_line = self._text.rfind("\n", 0, begins) + 1
            yield Assignment(name[0], line, of_line, start, end)

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self, *, lines: bool = False) -> bool:
        """Skip blanks and comments, with `lines` also ends of lines; False at the end."""
        blanks = " \t\r\n" if lines else " \t"
        while char := self._next():
            if char in blanks:
                self._at += 1
            elif self._text.startswith("/*", self._at):
                self._block_comment()
            elif lines and self._is_line_comment():
                self._to_line_end()
            else:
                return True
        return False

    def _is_line_comment(self) -> bool:
        return self._next() == "#" or self._text.startswith("//", self._at)

    def _to_line_end(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end

    def _block_comment(self) -> None:
        end = self._text.find("*/", self._at + 2)
        if end < 0:
            raise self.refused("this comment has no end")
        self._at = end + 2

    def _expression(self) -> int:
        """Pass the value up to the end of its line; return where it ends, without blanks."""
        end, open_brackets = self._at, list[str]()
        while char := self._next():
            if char == "\n" and not open_brackets:
                break
            if self._is_line_comment():
                self._to_line_end()
                continue
            if self._text.startswith("/*", self._at):
                self._block_comment()
                continue
            self._part(char, open_brackets)
            if char not in " \t\r\n":
                end = self._at
        if open_brackets:
            raise self.refused(f"{open_brackets[-1]} is missing")
        return end

    def _part(self, char: str, open_brackets: list[str]) -> None:
        if char == '"':
            self._quoted()
        elif heredoc := HEREDOC.match(self._text, self._at):
            self._heredoc(heredoc)
        elif char in CLOSES:
            open_brackets.append(CLOSES[char])
            self._at += 1
        elif char in CLOSES.values():
            if not open_brackets or open_brackets.pop() != char:
                raise self.refused(f"{char} closes nothing")
            self._at += 1
        else:
            self._at += 1

    def _quoted(self) -> None:
        """Pass a quoted text, with the templates in it."""
        begins = self._at
        self._at += 1
        while char := self._next():
            if char == '"':
                self._at += 1
                return
            if char == "\n":
                break
            if char == "\\":
                self._at += 2
            elif self._text.startswith(("$${", "%%{"), self._at):
                self._at += 3
            elif self._text.startswith(("${", "%{"), self._at):
                self._template()
            else:
                self._at += 1
        raise self.refused("this quoted text has no end", begins)

    def _template(self) -> None:
        begins = self._at
        self._at += 2
        open_brackets = ["}"]
        while open_brackets:
            char = self._next()
            if not char:
                raise self.refused("this template has no end", begins)
            self._part(char, open_brackets)

    def _heredoc(self, opening: re.Match[str]) -> None:
        begins = self._at
        self._at = opening.end()
        while self._at < len(self._text):
            end = self._text.find("\n", self._at)
            stop = len(self._text) if end < 0 else end
            if self._text[self._at : stop].strip() == opening[2]:
                self._at = stop
                return
            self._at = stop + 1
        raise self.refused(f"the text up to {opening[2]} has no end", begins)


def _written(name: str, value: Value, *, quoted: bool = False) -> str:
    """Return a value as it is written; a number in quotation marks where it had them before."""
    if not SAFE.fullmatch(str(value)):
        raise Refused(f"{name}: this value is not written to a variables file")
    if quoted or isinstance(value, str):
        return f'"{value}"'
    return str(value)


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _with_end(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
