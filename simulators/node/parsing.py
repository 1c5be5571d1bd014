"""Reads a subset of the POSIX shell's grammar. What it does not know it refuses, rather than guessing."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Union

from simulators.node.lexing import Syntax, tokens

CLOSERS = {"then", "elif", "else", "fi", "do", "done", "}", ")"}


@dataclass
class Redirect:
    """`fd` goes to (>), is added to (>>), or comes from (<) `target`; or becomes a copy (>&) of another."""

    fd: int
    operator: str
    target: str


@dataclass
class Simple:
    """Words, not expanded yet."""

    words: list[str]
    redirects: list[Redirect] = field(default_factory=list)


@dataclass
class Group:
    """`{ ...; }`, or `( ... )` when it is a subshell."""

    body: "Sequence"
    is_subshell: bool = False
    redirects: list[Redirect] = field(default_factory=list)


@dataclass
class If:
    """Pairs of condition and body; the last may have no condition."""

    branches: list[tuple[Union["Sequence", None], "Sequence"]]
    redirects: list[Redirect] = field(default_factory=list)


@dataclass
class For:
    """`for name in words`."""

    name: str
    words: list[str]
    body: "Sequence"
    redirects: list[Redirect] = field(default_factory=list)


@dataclass
class While:
    """`while`, or `until`."""

    condition: "Sequence"
    body: "Sequence"
    until: bool = False
    redirects: list[Redirect] = field(default_factory=list)


Command = Simple | Group | If | For | While


@dataclass
class Pipeline:
    """Commands, each reading what the one before wrote."""

    commands: list[Command]
    negated: bool = False


@dataclass
class AndOr:
    """Pipelines joined by && and ||; `background` when & follows."""

    first: Pipeline
    rest: list[tuple[str, Pipeline]] = field(default_factory=list)
    background: bool = False


@dataclass
class Sequence:
    """One after the other."""

    items: list[AndOr] = field(default_factory=list)


class Parser:
    """Recursive descent over the tokens."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens(text)
        self._at = 0

    def parse(self) -> Sequence:
        """The whole script."""
        sequence = self._sequence()
        if self._peek() is not None:
            raise Syntax(f"{str(self._peek()).strip(chr(0))!r} unexpected")
        return sequence

    def _peek(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> str:
        token = self._peek()
        if token is None:
            raise Syntax("end of file unexpected")
        self._at += 1
        return token

    def _accept(self, *wanted: str) -> bool:
        if self._peek() in wanted:
            self._at += 1
            return True
        return False

    def _expect(self, wanted: str) -> None:
        if not self._accept(wanted):
            raise Syntax(f"{wanted!r} expected, not {self._peek()!r}")

    def _newlines(self) -> None:
        while self._accept("\0\n"):
            pass

    def _sequence(self) -> Sequence:
        items: list[AndOr] = []
        while True:
            while self._accept("\0\n", "\0;"):
                pass
            if self._peek() is None or self._peek() in CLOSERS or self._peek() == "\0)":
                return Sequence(items)
            items.append(self._and_or())
            items[-1].background = self._accept("\0&")

    def _and_or(self) -> AndOr:
        found = AndOr(self._pipeline())
        while self._peek() in ("\0&&", "\0||"):
            operator = self._next()[1:]
            self._newlines()
            found.rest.append((operator, self._pipeline()))
        return found

    def _pipeline(self) -> Pipeline:
        negated = self._accept("!")
        commands = [self._command()]
        while self._accept("\0|"):
            self._newlines()
            commands.append(self._command())
        return Pipeline(commands, negated)

    def _command(self) -> Command:
        word = self._peek()
        readers: dict[str | None, Callable[[], Command]] = {
            "{": self._group, "\0(": self._subshell, "if": self._if, "for": self._for, "while": self._while, "until": self._while,
        }  # fmt: skip
        command: Command = readers[word]() if word in readers else self._simple()
        if not isinstance(command, Simple):
            while (redirect := self._redirect()) is not None:
                command.redirects.append(redirect)
        return command

    def _group(self) -> Group:
        self._next()
        body = self._sequence()
        self._expect("}")
        return Group(body)

    def _subshell(self) -> Group:
        self._next()
        body = self._sequence()
        self._expect("\0)")
        return Group(body, is_subshell=True)

    def _if(self) -> If:
        self._next()
        found = If([])
        while True:
            condition = self._sequence()
            self._expect("then")
            found.branches.append((condition, self._sequence()))
            if self._accept("elif"):
                continue
            if self._accept("else"):
                found.branches.append((None, self._sequence()))
            self._expect("fi")
            return found

    def _for(self) -> For:
        self._next()
        name = self._next()
        self._newlines()
        self._expect("in")
        words: list[str] = []
        while (word := self._peek()) is not None and not word.startswith("\0"):
            words.append(self._next())
        return For(name, words, self._do())

    def _while(self) -> While:
        until = self._next() == "until"
        condition = self._sequence()
        return While(condition, self._do(), until)

    def _do(self) -> Sequence:
        while self._accept("\0;", "\0\n"):
            pass
        self._expect("do")
        body = self._sequence()
        self._expect("done")
        return body

    def _simple(self) -> Simple:
        found = Simple([])
        while True:
            redirect = self._redirect()
            if redirect is not None:
                found.redirects.append(redirect)
                continue
            token = self._peek()
            if token is None or token.startswith("\0"):
                break
            found.words.append(self._next())
        if not found.words and not found.redirects:
            raise Syntax(f"{str(self._peek()).strip(chr(0))!r} unexpected")
        return found

    def _redirect(self) -> Redirect | None:
        token = self._peek() or ""
        fd = None
        if token.startswith("\0fd"):
            fd = int(self._next()[3:])
            token = self._peek() or ""
        if token not in ("\0>", "\0>>", "\0<", "\0>&"):
            return None
        operator = self._next()[1:]
        return Redirect((0 if operator == "<" else 1) if fd is None else fd, operator, self._next())


@lru_cache(maxsize=512)
def parsed(text: str) -> Sequence:
    """The script, read. Nobody changes what comes back, so that it is read only once."""
    return Parser(text).parse()
