"""Checks docstrings and comments against a word list: `python -m scripts.english [FILE ...]`.

Text that people see in Slack, a terminal or a log is a string literal: `scripts.words` checks it.
Quoted text and code in backticks are not checked either.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from scripts.word_list import EVERYWHERE, IN_CODE

ROOT = Path(__file__).resolve().parent.parent
MAX_COLUMNS = 100

# Folders that are held to the list; `tests` is not.
HELD = ("bench", "bot", "config", "deploy", "handlers", "scripts", "services", "simulators")

WORDS = EVERYWHERE + IN_CODE

PATTERN = re.compile("|".join(rf"(?P<w{n}>\b(?:{w})\b)" for n, (w, _) in enumerate(WORDS)), re.I)
QUOTED = re.compile(r"``[^`]*``|`[^`]*`|\"[^\"\n]*\"|“[^”]*”")
DIRECTIVE = re.compile(r"#\s*(noqa|type:|fmt:|ruff:|pragma)")


@dataclass(frozen=True)
class Problem:
    """What is wrong in a line, and what to write instead."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


def main() -> int:
    """Check the files of the command line, or everything that is held; return 1 for problems."""
    files = [Path(name).resolve() for name in sys.argv[1:]] or list(held_files())
    problems = [problem for file in files if is_held(file) for problem in check(file)]
    for problem in problems:
        print(problem)
    if problems:
        return 1
    return 0


def held_files() -> Iterator[Path]:
    """Yield every Python file of the folders that are held to the list."""
    for folder in HELD:
        yield from sorted((ROOT / folder).rglob("*.py"))


def is_held(file: Path) -> bool:
    """Return whether a file is held to the list."""
    if file.suffix != ".py" or not file.is_relative_to(ROOT):
        return False
    path = file.relative_to(ROOT)
    return any(path.is_relative_to(folder) for folder in HELD)


def check(file: Path) -> list[Problem]:
    """Return all problems of a file."""
    name, source = str(file.relative_to(ROOT)), file.read_text("utf-8")
    found = [*words_in(source), *long_lines(source), *first_lines(source)]
    return [Problem(name, line, text) for line, text in sorted(found)]


def words_in(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the complaint for each word of the list in docstrings and comments."""
    for line, text in prose(source):
        for number, part in enumerate(QUOTED.sub("", text).splitlines()):
            for match in PATTERN.finditer(part):
                instead = WORDS[int(str(match.lastgroup)[1:])][1]
                yield line + number, f"“{match[0]}”: write {instead}"


def prose(source: str) -> Iterator[tuple[int, str]]:
    """Yield docstrings and comments with the line on which each begins."""
    yield from docstrings(source)
    yield from comments(source)


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield comments with their lines; of `# noqa: X - reason` and the like the reason only."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        text = token.string
        if DIRECTIVE.match(text):
            text = text.partition(" - ")[2]
        yield token.start[0], text


@lru_cache(maxsize=1)
def docstrings(source: str) -> list[tuple[int, str]]:
    """Return docstrings with their lines. Two checks of a file ask one after the other."""
    return [(node.lineno, str(node.value)) for _, node in documented(ast.parse(source))]


def documented(tree: ast.AST) -> Iterator[tuple[ast.AST, ast.Constant]]:
    """Yield each module, class and function that has a docstring, with the docstring's node."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        match node.body:
            case [ast.Expr(ast.Constant(str()) as docstring), *_]:
                yield node, docstring


def long_lines(source: str) -> Iterator[tuple[int, str]]:
    """Yield lines of more than 100 columns."""
    for number, line in enumerate(source.splitlines(), 1):
        if len(line) > MAX_COLUMNS:
            yield number, f"{len(line)} columns; at most {MAX_COLUMNS}"


def first_lines(source: str) -> Iterator[tuple[int, str]]:
    """Yield docstrings whose first line does not end its sentence, or is a question."""
    for line, text in docstrings(source):
        first = text.strip().partition("\n")[0].rstrip()
        if first.endswith("?"):
            yield line, "a docstring begins with no question: write `Return whether`"
        elif not first.endswith((".", ":", "`")):
            yield line, "the first line of a docstring ends its sentence, with a full stop"


if __name__ == "__main__":
    sys.exit(main())
