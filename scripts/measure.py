"""Prints figures of the code before and now: `make measure`, or `--rev REV` instead of now.

Rooms are the folders and modules directly in `services` and `handlers`. A room is as many floors
above the ground as the longest chain of imports below it is long; arrows upward are the imports
that have to be left out so that no two rooms import each other. All is read from the source by its
syntax trees, of an older revision by `git archive`: nothing is imported or installed.
"""

import argparse
import ast
import io
import re
import subprocess
import tarfile
import tokenize
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path

from scripts.english import MAX_COLUMNS, words_in

ROOT = Path(__file__).resolve().parent.parent
BEFORE = "66c5fb1"  # one folder of 53 modules, before the rooms
SOURCE = ("bot", "handlers", "services", "config")
PRODUCT = (*SOURCE, "simulators", "deploy")
TOOLS = ("scripts", "bench")
EVERYTHING = (*PRODUCT, *TOOLS, "tests")
MANY_METHODS = 25

# Words of the project's former private language that identifiers were made of.
PRIVATE = re.compile(
    r"absent|books?|deeds?|ears?|glances?|gone|kept|lookouts?|nobody|nudges?|patience|said|somebody"
    r"|talks?|tells?|testimony|told|voice|whisper|whoever|wish(es)?"
)
NOQA = re.compile(r"#\s*(ruff:\s*)?noqa")
IGNORE = re.compile(r"#\s*type:\s*ignore")
Graph = dict[str, dict[str, int]]


@dataclass(frozen=True)
class File:
    """One Python file, with its syntax tree and what is counted in it."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def comments(self) -> list[str]:
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return [token.string for token in tokens if token.type == tokenize.COMMENT]

    def of(self, *folders: str) -> bool:
        """Return whether the file is in one of these folders."""
        return self.path.partition("/")[0] in folders


@dataclass(frozen=True)
class Tree:
    """All Python files of a revision."""

    files: list[File] = field(repr=False)

    def of(self, *folders: str) -> list[File]:
        """Return the files of these folders."""
        return [file for file in self.files if file.of(*folders)]

    def nodes(self, *folders: str) -> Iterator[ast.AST]:
        """Yield every node of the syntax trees of these folders."""
        for file in self.of(*folders):
            yield from file.nodes


def main() -> int:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rev", default="", help="a revision instead of the working tree")
    arguments.add_argument("--before", default=BEFORE, help=f"compare with (default {BEFORE})")
    options = arguments.parse_args()
    now = at_revision(options.rev) if options.rev else working_tree()
    print(table(at_revision(options.before), now, options.before, options.rev or "now"))
    return 0


def working_tree() -> Tree:
    """Return the files of the working tree."""
    paths = (path for folder in EVERYTHING for path in sorted((ROOT / folder).rglob("*.py")))
    return Tree([File(str(path.relative_to(ROOT)), path.read_text("utf-8")) for path in paths])


def at_revision(revision: str) -> Tree:
    """Return the files of a revision."""
    archive = subprocess.run(
        ["git", "archive", "--format=tar", revision], cwd=ROOT, check=True, capture_output=True
    ).stdout
    files = []
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is not None and member.name.endswith(".py"):
                files.append(File(member.name, content.read().decode("utf-8")))
    return Tree([file for file in files if file.of(*EVERYTHING)])


def table(before: Tree, now: Tree, name_before: str, name_now: str) -> str:
    """Return all figures as a table in Markdown."""
    rows = [("", name_before, name_now)]
    rows += [(title, measure(before), measure(now)) for title, measure in figures()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        f"| {title:<{widths[0]}} | {was:>{widths[1]}} | {is_now:>{widths[2]}} |"
        for title, was, is_now in rows
    ]
    lines.insert(1, f"|{'-' * (widths[0] + 2)}|{'-' * (widths[1] + 1)}:|{'-' * (widths[2] + 1)}:|")
    return "\n".join(lines)


def figures() -> Iterator[tuple[str, Callable[[Tree], str]]]:
    """Yield the title of each figure and the function that measures it."""
    for package in ("services", "handlers"):
        yield f"{package}: rooms, floors, arrows upward", partial(layers, package=package)
    yield "files, mean lines, longest", file_sizes
    yield "functions, mean lines, longest", function_sizes
    yield "conditional expressions per 1,000 lines", partial(density, matches=is_conditional)
    yield "f-strings with a condition per 1,000 lines", partial(density, matches=has_condition)
    yield f"lines over {MAX_COLUMNS} columns", count_long_lines
    for what, pattern in (("noqa", NOQA), ("type: ignore", IGNORE)):
        for title, folders in (("product", PRODUCT), ("tools", TOOLS), ("tests", ("tests",))):
            count = partial(count_comments, folders=folders, pattern=pattern)
            yield f"{what} in {title}", count
    yield f"classes over {MANY_METHODS} methods", lambda tree: str(len(large_classes(tree)))
    yield "class names with two meanings", lambda tree: str(len(ambiguous_classes(tree)))
    yield "lines of source, of tests, tests per source", tests_per_source
    yield "private words in identifiers", lambda tree: str(private_identifiers(tree))
    yield "private words in docstrings and comments", lambda tree: str(private_prose(tree))


# Rooms


def layers(tree: Tree, package: str) -> str:
    """Return the number of rooms, of floors, and of arrows upward of a package."""
    graph = room_imports(tree, package)
    upward = break_cycles(graph)
    floors = 0
    heights: dict[str, int] = {}
    for room in graph:
        floors = max(floors, height(room, graph, heights))
    return f"{len(graph)}, {floors}, {upward}"


def room_imports(tree: Tree, package: str) -> Graph:
    """Return how many imports lead from each room of a package to each other room."""
    files = [file for file in tree.of(package) if file.path != f"{package}/__init__.py"]
    rooms = {room_of(file.path) for file in files}
    graph: Graph = {room: defaultdict(int) for room in sorted(rooms)}
    for file in files:
        for module in imported(file):
            parts = module.split(".")
            if parts[0] == package and len(parts) > 1 and parts[1] in rooms:
                graph[room_of(file.path)][parts[1]] += 1
    for room, below in graph.items():
        below.pop(room, None)
    return graph


def room_of(path: str) -> str:
    """Return the folder or module directly below the package."""
    return path.split("/")[1].removesuffix(".py")


def imported(file: File) -> Iterator[str]:
    """Yield the modules that a file imports, with what it imports from them."""
    for node in file.nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def break_cycles(graph: Graph) -> int:
    """Remove the smallest bundle of imports of each cycle; return how many were removed."""
    removed = 0
    while cycle := find_cycle(graph):
        weight, room, below = min((graph[a][b], a, b) for a, b in cycle)
        del graph[room][below]
        removed += weight
    return removed


def find_cycle(graph: Graph) -> list[tuple[str, str]]:
    """Return the arrows of one cycle; none if there is no cycle."""
    done: set[str] = set()
    for start in graph:
        path: list[str] = []
        if found := _cycle_from(start, graph, path, done):
            return found
    return []


def _cycle_from(room: str, graph: Graph, path: list[str], done: set[str]) -> list[tuple[str, str]]:
    if room in path:
        circle = [*path[path.index(room) :], room]
        return list(pairwise(circle))
    if room in done:
        return []
    path.append(room)
    for below in graph[room]:
        if found := _cycle_from(below, graph, path, done):
            return found
    path.pop()
    done.add(room)
    return []


def height(room: str, graph: Graph, heights: dict[str, int]) -> int:
    """Return the floor of a room: 1 if it imports no other room."""
    if room not in heights:
        heights[room] = 1 + max((height(r, graph, heights) for r in graph[room]), default=0)
    return heights[room]


# Sizes and density


def sizes(lengths: Iterable[int]) -> str:
    """Return the number, the mean and the maximum."""
    known = list(lengths)
    return f"{len(known)}, {sum(known) / max(1, len(known)):.1f}, {max(known, default=0)}"


def file_sizes(tree: Tree) -> str:
    """Return number, mean and maximum of the lines of the product's files."""
    return sizes(len(file.lines) for file in tree.of(*PRODUCT))


def function_sizes(tree: Tree) -> str:
    """Return number, mean and maximum of the lines of the product's functions."""
    return sizes(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for node in tree.nodes(*PRODUCT)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def density(tree: Tree, matches: Callable[[ast.AST], bool]) -> str:
    """Return how many nodes of the product match, per 1,000 lines and in all."""
    number = sum(map(matches, tree.nodes(*PRODUCT)))
    lines = sum(len(file.lines) for file in tree.of(*PRODUCT))
    return f"{1000 * number / max(1, lines):.1f} ({number})"


def is_conditional(node: ast.AST) -> bool:
    """Return whether a node is `a if b else c`."""
    return isinstance(node, ast.IfExp)


def has_condition(node: ast.AST) -> bool:
    """Return whether a node is an f-string with `a if b else c` inside."""
    return isinstance(node, ast.JoinedStr) and any(map(is_conditional, ast.walk(node)))


def count_long_lines(tree: Tree) -> str:
    """Return the number of lines that are too long, everywhere."""
    return str(sum(len(line) > MAX_COLUMNS for file in tree.files for line in file.lines))


# Suppressions


def count_comments(tree: Tree, folders: Sequence[str], pattern: re.Pattern[str]) -> str:
    """Return the number of comments in these folders that match."""
    return str(sum(bool(pattern.search(c)) for file in tree.of(*folders) for c in file.comments))


# Classes, tests and words


def classes(tree: Tree) -> Iterator[tuple[File, ast.ClassDef]]:
    """Yield every class of the product."""
    for file in tree.of(*PRODUCT):
        for node in file.nodes:
            if isinstance(node, ast.ClassDef):
                yield file, node


def large_classes(tree: Tree) -> list[str]:
    """Return the classes with many methods."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [
        node.name
        for _, node in classes(tree)
        if sum(isinstance(part, kinds) for part in node.body) > MANY_METHODS
    ]


def ambiguous_classes(tree: Tree) -> list[str]:
    """Return the names that more than one class at the top of a module has."""
    owners: dict[str, set[str]] = defaultdict(set)
    for file in tree.of(*PRODUCT):
        for node in file.tree.body:
            if isinstance(node, ast.ClassDef):
                owners[node.name.lstrip("_")].add(file.path)
    return sorted(name for name, files in owners.items() if len(files) > 1)


def tests_per_source(tree: Tree) -> str:
    """Return the lines of the source and of the tests, and their ratio."""
    source = sum(len(file.lines) for file in tree.of(*SOURCE))
    tests = sum(len(file.lines) for file in tree.of("tests"))
    return f"{source:,}, {tests:,}, {tests / max(1, source):.2f}"


def private_identifiers(tree: Tree) -> int:
    """Return how often the product defines a name that is made of a private word."""
    return sum(
        any(map(PRIVATE.fullmatch, words_of(name)))
        for node in tree.nodes(*PRODUCT)
        for name in defined(node)
    )


def defined(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node defines."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
            yield name
        case ast.Attribute(attr=name, ctx=ast.Store()):
            yield name


def words_of(name: str) -> list[str]:
    """Return the words of an identifier, in lower case."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return [word for word in spaced.lower().split("_") if word]


def private_prose(tree: Tree) -> int:
    """Return how often the word list of scripts/english.py matches in the product."""
    return sum(1 for file in tree.of(*PRODUCT) for _ in words_in(file.text))


if __name__ == "__main__":
    raise SystemExit(main())
