"""Runs a parsed script on a node, in no time at all: `sleep` returns at once and `&` runs in place."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from simulators.node.files import Files
from simulators.node.lexing import Syntax
from simulators.node.parsing import (
    AndOr,
    Command,
    For,
    Group,
    If,
    Pipeline,
    Redirect,
    Sequence,
    Simple,
    While,
    parsed,
)
from simulators.node.streams import Cut, Exit, Overdue, Streams, Time
from simulators.node.words import Unset, Words

ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
MOST_ROUNDS = 1000
NULL = "/dev/null"


Program = Callable[["Shell", list[str], Streams], int]


class Shell:
    """One shell: its variables, its options, the files and the programs that it finds."""

    def __init__(
        self,
        files: Files,
        programs: Callable[[str], Program | None],
        arguments: list[str] | None = None,
    ) -> None:
        self.files, self.programs, self.arguments = files, programs, arguments or []
        self.variables: dict[str, str] = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "?": "0",
        }
        self.options: set[str] = set()
        self.budget: int | None = None
        """How many simple commands still run before the connection is cut; None for all."""
        self.is_detached = False
        """Whether it goes on without the session."""
        self.forgiven = 0
        self.time = Time()

    def run(self, script: str, streams: Streams) -> int:
        """Run a script to its end: the exit status."""
        try:
            return self.sequence(parsed(script), streams)
        except Exit as end:
            return end.status
        except (Syntax, Unset) as error:
            streams.complain(
                f"sh: 1: {error}" if isinstance(error, Unset) else f"sh: 1: Syntax error: {error}"
            )
            return 2

    def child(self, arguments: list[str] | None = None) -> "Shell":
        """A subshell: it sees this one's variables, and keeps its own to itself."""
        shell = Shell(self.files, self.programs, self.arguments if arguments is None else arguments)
        shell.variables, shell.options, shell.budget, shell.forgiven = (
            dict(self.variables),
            set(self.options),
            self.budget,
            self.forgiven,
        )
        shell.is_detached, shell.time = self.is_detached, self.time
        return shell

    def sequence(self, sequence: Sequence, streams: Streams) -> int:
        """One after the other; the status of the last."""
        status = 0
        for item in sequence.items:
            status = (
                self._background(item, streams) if item.background else self.and_or(item, streams)
            )
        return status

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        self.forgiven += 1  # set -e looks away inside a condition
        try:
            yield
        finally:
            self.forgiven -= 1

    def _background(self, item: AndOr, streams: Streams) -> int:
        shell = self.child()
        shell.budget, shell.is_detached, shell.time = (
            None,
            True,
            Time(),
        )  # what runs detached outlives the session
        with suppress(Exit, Cut, Overdue):
            shell.and_or(item, streams)
        self.variables["?"] = "0"
        return 0

    def and_or(self, item: AndOr, streams: Streams) -> int:
        """Pipelines as far as && and || let them."""
        pipelines = [("", item.first), *item.rest]
        status = 0
        for n, (operator, pipeline) in enumerate(pipelines):
            if n and (operator == "&&") != (status == 0):
                continue
            is_last = n == len(pipelines) - 1
            if is_last and not pipeline.negated:
                status = self._pipeline(pipeline, streams)
                self._check(status, pipeline)
            else:
                with self._forgiving():
                    status = self._pipeline(pipeline, streams)
        return status

    def _check(self, status: int, pipeline: Pipeline) -> None:
        if (
            status
            and "e" in self.options
            and not self.forgiven
            and isinstance(pipeline.commands[-1], Simple)
        ):
            raise Exit(status)

    def _pipeline(self, pipeline: Pipeline, streams: Streams) -> int:
        *before, last = pipeline.commands
        stdin = streams.stdin
        for command in before:
            out: list[str] = []
            with suppress(Exit):
                self.child().command(command, Streams(stdin, out, streams.err))
            stdin = ["".join(out)]
        if before:
            shell = self.child()
            try:
                status = shell.command(last, Streams(stdin, streams.out, streams.err))
            except Exit as end:
                status = end.status
        else:
            status = self.command(last, streams)
        status = int(status == 0) if pipeline.negated else status
        self.variables["?"] = str(status)
        return status

    def command(self, command: Command, streams: Streams) -> int:
        """One command with its redirections."""
        opened, files = self._open(command.redirects, streams)
        if opened is None:
            return 2 if isinstance(command, Simple) else 1
        try:
            return self._dispatch(command, opened)
        finally:
            for path, text in files:
                self.files.append(path, "".join(text))

    def _dispatch(self, command: Command, streams: Streams) -> int:
        if isinstance(command, Simple):
            return self._simple(command, streams)
        if isinstance(command, Group):
            return (
                self._subshell(command, streams)
                if command.is_subshell
                else self.sequence(command.body, streams)
            )
        if isinstance(command, If):
            return self._if(command, streams)
        return (
            self._for(command, streams)
            if isinstance(command, For)
            else self._while(command, streams)
        )

    def _subshell(self, group: Group, streams: Streams) -> int:
        try:
            return self.child().sequence(group.body, streams)
        except Exit as end:
            return end.status

    def _if(self, command: If, streams: Streams) -> int:
        for condition, body in command.branches:
            with self._forgiving():
                holds = condition is None or self.sequence(condition, streams) == 0
            if holds:
                return self.sequence(body, streams)
        return 0

    def _for(self, command: For, streams: Streams) -> int:
        status = 0
        for value in [f for word in command.words for f in self.words().fields(word)]:
            self.variables[command.name] = value
            status = self.sequence(command.body, streams)
        return status

    def _while(self, command: While, streams: Streams) -> int:
        status = 0
        for _ in range(MOST_ROUNDS):
            with self._forgiving():
                holds = self.sequence(command.condition, streams) == 0
            if holds == command.until:
                return status
            status = self.sequence(command.body, streams)
        raise Cut("it waits for something that does not happen while nobody moves the clock")

    def words(self) -> Words:
        """What expands words here."""
        return Words(
            self.variables,
            self.arguments,
            self._substitute,
            self.files.paths,
            strict="u" in self.options,
        )

    def _substitute(self, script: str) -> str:
        shell, out = self.child(), Streams()
        self.variables["?"] = str(shell.run(script, out))
        return "".join(out.out).rstrip("\n")

    def _simple(self, command: Simple, streams: Streams) -> int:
        words = list(command.words)
        assigned: dict[str, str] = {}
        expander = self.words()
        self.variables["?"] = self.variables.get("?", "0")
        while words and (found := ASSIGNMENT.fullmatch(words[0])):
            assigned[found[1]] = expander.text(found[2])
            words.pop(0)
        fields = [f for word in words for f in expander.fields(word)]
        if not fields:
            self.variables |= assigned
            return int(self.variables["?"]) if any("$(" in w for w in command.words) else 0
        return self.execute(fields, streams)

    def execute(self, fields: list[str], streams: Streams) -> int:
        """Run one program with its arguments."""
        if self.budget is not None:
            if self.budget <= 0:
                raise Cut
            self.budget -= 1
        program = self.programs(fields[0])
        if program is None:
            streams.complain(f"sh: 1: {fields[0]}: not found")
            return 127
        return program(self, fields, streams)

    def _open(
        self, redirects: list[Redirect], streams: Streams
    ) -> tuple[Streams | None, list[tuple[str, list[str]]]]:
        opened = Streams(streams.stdin, streams.out, streams.err)
        files: list[tuple[str, list[str]]] = []
        for redirect in redirects:
            target = self.words().text(redirect.target)
            if redirect.operator == ">&":
                text = opened.out if target == "1" else opened.err
            elif redirect.operator == "<":
                content = "" if target == NULL else self.files.read(target)
                if content is None:
                    streams.complain(f"sh: 1: cannot open {target}: No such file")
                    return None, files
                opened.stdin = [content]
                continue
            else:
                text = []
                if target != NULL and (why := self._prepare(redirect, target)):
                    streams.complain(f"sh: 1: cannot create {target}: {why}")
                    return None, files
                if target != NULL:
                    files.append((target, text))
            if redirect.fd == 2:
                opened.err = text
            else:
                opened.out = text
        return opened, files

    def _prepare(self, redirect: Redirect, target: str) -> str:
        """Why the file cannot be opened, if it cannot."""
        if not self.files.has_parent(target) or self.files.is_directory(target):
            return "Directory nonexistent"
        if not self.files.exists(target) and (why := self.files.barred(target)):
            return why
        if redirect.operator == ">" or not self.files.exists(target):
            self.files.write(target, "")
        return ""
