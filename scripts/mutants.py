"""Mutation testing of the guard code: a small change to it that no test notices is a promise that nobody keeps.

`mutants.py` tries all of it on every core, `mutants.py locks` only the files whose name holds that word. Each mutant is one change to the
syntax tree; it lives in a copy of the repository, and only the tests that are about its file are run against it, in a fork that has
everything else imported already. The general tools run the whole suite to find out which tests matter, cannot leave out one key of a
commit's checks, and start an interpreter for each mutant; with these guards that is hours instead of minutes.

A mutant that means the same as the original is written down in `EQUIVALENT`, with the reason.
"""

import argparse
import ast
import copy
import difflib
import importlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).resolve().parents[1]
ENOUGH = 0.95
TREE = (
    "bot",
    "config",
    "handlers",
    "scripts",
    "services",
    "simulators",
    "tests",
    "pyproject.toml",
    "Makefile",
)
HEAVY = ("pytest", "hypothesis", "aiohttp", "azure.core.pipeline", "slack_bolt.app.async_app", "slack_sdk.web.async_client", "boto3",
         "botocore", "redis.asyncio", "asyncssh", "yaml", "pydantic", "jsonschema", "icalendar", "apscheduler")  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A file, the functions in it that guard something (none named: all of it), and the tests that are about them."""

    file: str
    tests: tuple[str, ...]
    functions: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    script: str = ""  # the name of a constant with Lua in it: that is changed, and nothing else
    enough: float = ENOUGH  # share of its own mutants that has to be noticed


TARGETS = (
    Target("services/runs/locks.py", ("tests/laws/test_guards.py",)),
    Target("services/runs/drain_ledger.py", ("tests/laws/test_guards.py",)),
    Target("services/runs/fence.py", ("tests/laws/test_fenced.py",)),
    Target("services/cloud/writer.py", ("tests/laws/test_fenced.py",)),
    Target("services/runs/journal.py", ("tests/laws/test_journal.py",),
           ("open", "append", "say", "vote", "put_request", "change_request", "next_name", "refresh")),
    Target("services/store/sqlite.py", ("tests/contracts/test_store.py",), ("_value", "_apply", "_commit", "read", "tail", "length"),
           ("-k", "sqlite and not processes")),
    Target("services/store/redis.py", ("tests/contracts/test_store.py",), (), ("-k", "redis and not acquirers"), "COMMIT"),
    Target("services/cloud/pool_edit.py", ("tests/laws/test_pool_edit.py",)),
    Target("services/cloud/parse.py", ("tests/laws/test_pool_edit.py",), ("_target", "template_digest")),
    Target("services/runs/authorization.py", ("tests/laws/test_authorization.py",), enough=0.98),
    Target("services/runs/standing_approval.py", ("tests/laws/test_standing.py",), enough=0.98),
    Target("services/runs/request.py", ("tests/laws/test_policy.py", "tests/laws/test_approval.py")),
    Target("services/access/policy.py", ("tests/laws/test_policy.py", "tests/laws/test_approval.py")),
)  # fmt: skip

EQUIVALENT: dict[tuple[str, str, str], str] = {
    ("services/runs/locks.py", "checks={lease.key: None, epoch_at: epoch},", "checks=({epoch_at: epoch}),"):
        "whoever takes the lease raises the epoch in the same commit",
    ("services/runs/locks.py", "await self._keeper", "pass"):
        "it is cancelled either way, before anything else of this loop can run on",
    ("services/store/sqlite.py", "limit = -1 if count is None else count", "limit = -(2) if count is None else count"):
        "to SQLite any negative limit is none",
    ("services/access/policy.py", 'return ""', "return None"): "whoever asks only looks whether there is a reason",
    ("services/runs/authorization.py", 'return ""', "return None"): "differences that say nothing are left out",
}  # fmt: skip
"""(file, the line as it was, the line as it became) -> why nothing can tell them apart."""


# Making mutants

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Is: ast.IsNot,
    ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add,
    ast.Mult: ast.Div, ast.Div: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip


LUA = (
    ("==", "~="), ("~=", "=="), ("return 0", "return 1"), ("return 1", "return 0"), ("if now then", "if not now then"), ("> 0", "< 0"),
    (r"redis\.call\('(?:set|del|rpush)'[^)]*\)", "redis.call('ping')"), ("'px'", "'ex'"),
)  # fmt: skip
"""(what stands in a Lua script, what it becomes)."""


@dataclass(frozen=True)
class Mutant:
    """One change: the whole text with it, and what was changed where."""

    target: Target
    number: int
    text: str
    line: int
    before: str
    after: str

    def diff(self) -> str:
        """As people read changes."""
        old = (ROOT / self.target.file).read_text().splitlines()
        lines = difflib.unified_diff(
            old, self.text.splitlines(), self.target.file, self.target.file, lineterm="", n=1
        )
        return "\n".join(list(lines)[2:])


def mutants_of(target: Target) -> list[Mutant]:
    """Every change to this file that is worth trying."""
    source = (ROOT / target.file).read_text()
    if target.script:
        return _of_script(target, source)
    tree = ast.parse(source)
    found: list[Mutant] = []
    for node in _guarded(tree, target.functions):
        for place, new in _changes(node):
            text = _replaced(source, place, new)
            if text is None or any(m.text == text for m in found):
                continue
            before, after = _line(source, place.lineno), _line(text, place.lineno)
            found.append(Mutant(target, len(found) + 1, text, place.lineno, before, after))
    return found


def _of_script(target: Target, source: str) -> list[Mutant]:
    """Every change to the Lua in it."""
    begin = source.index(f'{target.script} = """')
    end = source.index('"""', source.index('"""', begin) + 3)
    found: list[Mutant] = []
    for old, new in LUA:
        for hit in re.compile(old).finditer(source, begin + len(target.script) + 3, end):
            text, line = (
                source[: hit.start()] + new + source[hit.end() :],
                source.count("\n", 0, hit.start()) + 1,
            )
            found.append(
                Mutant(target, len(found) + 1, text, line, _line(source, line), _line(text, line))
            )
    return found


def _line(text: str, number: int) -> str:
    lines = text.splitlines()
    return lines[number - 1].strip() if number <= len(lines) else ""


def _guarded(tree: ast.Module, functions: tuple[str, ...]) -> Iterator[ast.AST]:
    """The statements to change: bodies of functions; and what is said once at the top."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (
            not functions or node.name in functions
        ):
            yield node
    if not functions:
        yield from (s for s in tree.body if isinstance(s, ast.Assign | ast.AnnAssign))


def _changes(root: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, ast.AST | None]]:
    """(what is changed, what it becomes; None: it goes)."""
    for node in _inside(root):
        if isinstance(node, ast.Compare):
            yield from (
                (node, _with(node, "ops", n, SWAPS[type(op)]()))
                for n, op in enumerate(node.ops)
                if type(op) in SWAPS
            )
        elif isinstance(node, ast.BoolOp):
            yield node, _set(node, "op", SWAPS[type(node.op)]())
            yield from ((node, _without(node, "values", n)) for n in range(len(node.values)))
        elif isinstance(node, ast.BinOp) and type(node.op) in SWAPS:
            yield node, _set(node, "op", SWAPS[type(node.op)]())
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node, node.operand
        elif isinstance(node, ast.Constant):
            yield from ((node, ast.Constant(value)) for value in _others(node.value))
        elif isinstance(node, ast.Dict):
            yield from ((node, _pair_gone(node, n)) for n in range(len(node.keys)))
        elif isinstance(node, ast.Call):
            # A task's name is for whoever looks at a hanging process.
            yield from (
                (node, _without(node, "keywords", n))
                for n, k in enumerate(node.keywords)
                if k.arg != "name"
            )
        elif isinstance(node, ast.If | ast.While | ast.IfExp):
            yield node.test, ast.UnaryOp(ast.Not(), node.test)
        elif isinstance(node, ast.Expr | ast.Raise) or (
            isinstance(node, ast.Assign | ast.AugAssign) and _is_part(node)
        ):
            yield node, ast.Pass()
        elif isinstance(node, ast.Return) and node.value is not None:
            yield node, ast.Return(ast.Constant(None))


def _inside(root: ast.AST) -> Iterator[ast.AST]:
    """Everything below, but for docstrings, annotations, defaults' types and what is said to people."""
    for name, value in ast.iter_fields(root):
        if name in ("annotation", "returns", "decorator_list", "type_params") or isinstance(
            root, ast.JoinedStr
        ):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(
                child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Assert
            ):
                continue
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue
            yield child
            yield from _inside(child)


def _is_part(node: ast.Assign | ast.AugAssign) -> bool:
    """Whether it changes something that is there without it."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return isinstance(node, ast.AugAssign) or all(
        isinstance(t, ast.Subscript | ast.Attribute) for t in targets
    )


def _others(value: object) -> tuple[bool | float, ...]:
    if isinstance(value, bool):
        return (not value,)
    return (value + 1,) if isinstance(value, int | float) else ()


def _set(node: ast.AST, field: str, value: object) -> ast.AST:
    changed = copy.deepcopy(node)
    setattr(changed, field, value)
    return changed


def _with(node: ast.AST, field: str, index: int, value: object) -> ast.AST:
    changed = copy.deepcopy(node)
    getattr(changed, field)[index] = value
    return changed


def _without(node: ast.AST, field: str, index: int) -> ast.AST:
    changed = copy.deepcopy(node)
    left = getattr(changed, field)
    del left[index]
    return left[0] if field == "values" and len(left) == 1 else changed


def _pair_gone(node: ast.Dict, index: int) -> ast.AST:
    changed = copy.deepcopy(node)
    del changed.keys[index], changed.values[index]
    return changed


def _replaced(source: str, place: ast.expr | ast.stmt, new: ast.AST | None) -> str | None:
    """The text with another node in that place; None when it comes out as it was."""
    lines = source.splitlines(keepends=True)
    start = _offset(lines, place.lineno, place.col_offset)
    end = _offset(lines, place.end_lineno or place.lineno, place.end_col_offset or 0)
    words = "" if new is None else ast.unparse(ast.fix_missing_locations(new))
    if isinstance(place, ast.expr):
        words = f"({words})"
    text = source[:start] + words + source[end:]
    try:
        same = ast.dump(ast.parse(text)) == ast.dump(ast.parse(source))
    except SyntaxError:
        return None
    return None if same else text


def _offset(lines: list[str], line: int, column: int) -> int:
    before = sum(len(text) for text in lines[: line - 1])
    return before + len(lines[line - 1].encode()[:column].decode())


# Trying them


@dataclass
class Tried:
    """What became of one."""

    mutant: Mutant
    killed: bool
    seconds: float


class Copy:
    """A copy of the repository that mutants live in, one at a time, and a process that forks for each."""

    def __init__(self, folder: Path) -> None:
        for name in TREE:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / name)
        self.folder = folder

    def run(self, target: Target, limit: float) -> int | None:
        """The exit status of the target's tests as they stand here; None: it took too long."""
        child = os.fork()
        if child == 0:
            _child(self.folder, target)
        until = time.monotonic() + limit
        while time.monotonic() < until:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return None

    def trial(self, mutant: Mutant, limit: float) -> Tried:
        """Put it in, run the tests, take it out."""
        file, began = self.folder / mutant.target.file, time.monotonic()
        before = file.read_text()
        file.write_text(mutant.text)
        try:
            code = self.run(mutant.target, limit)
        finally:
            file.write_text(before)
        return Tried(mutant, code != 0, time.monotonic() - began)


def _child(folder: Path, target: Target) -> None:
    """Never returns. Nothing of ours has been imported before, so that what is imported here is the copy's."""
    code = 70
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        sys.path[:] = [
            str(folder),
            *(p for p in sys.path if Path(p or ".").resolve() not in (ROOT, ROOT / "scripts")),
        ]
        sys.dont_write_bytecode = True
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        # By name: imported here, everything comes from the copy.
        pytest = importlib.import_module("pytest")
        code = int(
            pytest.main(
                ["-x", "-q", "-n0", "-p", "no:cacheprovider", *target.options, *target.tests]
            )
        )
    finally:
        os._exit(code)


def try_all(mutants: list[Mutant], jobs: int) -> list[Tried]:
    """On as many copies as there are jobs."""
    for name in HEAVY:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        free: Queue[Copy] = Queue()
        for n in range(jobs):
            free.put(Copy(_made(Path(folder) / str(n))))
        limits = _limits({m.target for m in mutants}, free)

        def one(mutant: Mutant) -> Tried:
            place = free.get()
            try:
                return place.trial(mutant, limits[mutant.target])
            finally:
                free.put(place)

        with ThreadPoolExecutor(jobs) as pool:
            return [_shown(done) for done in pool.map(one, mutants)]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _limits(targets: set[Target], free: "Queue[Copy]") -> dict[Target, float]:
    """How long the tests of each target may take: some times what they take when nothing is wrong, which must be so."""
    place, limits = free.get(), {}
    for target in sorted(targets, key=lambda t: t.file):
        began = time.monotonic()
        if (code := place.run(target, 300)) != 0:
            sys.exit(
                f"the tests of {target.file} do not pass as it is (exit {code}): {' '.join(target.tests)}"
            )
        limits[target] = 10 + 5 * (time.monotonic() - began)
    free.put(place)
    return limits


def _shown(tried: Tried) -> Tried:
    print("." if tried.killed else "S", end="", file=sys.stderr, flush=True)
    return tried


def report(tried: list[Tried]) -> int:
    """What survived, and whether enough was noticed."""
    killed, total, excused = Counter[str](), Counter[str](), Counter[str]()
    print()
    for one in tried:
        m = one.mutant
        reason = EQUIVALENT.get((m.target.file, m.before, m.after))
        if not one.killed and reason is not None:
            excused[m.target.file] += 1
            continue
        total[m.target.file] += 1
        killed[m.target.file] += one.killed
        if not one.killed:
            print(f"survived: {m.target.file}:{m.line}\n{m.diff()}\n")
    asked = {t.file: t.enough for t in TARGETS}
    for file in total:
        more = f", {excused[file]} more mean the same" if excused[file] else ""
        print(
            f"{file}: {killed[file]} of {total[file]} killed ({killed[file] / total[file]:.1%}; {asked[file]:.0%} are asked for){more}"
        )
    share = killed.total() / max(total.total(), 1)
    print(
        f"{killed.total()} of {total.total()} mutants killed: {share:.1%}; {ENOUGH:.0%} are asked for"
    )
    # A file that asks for no more than all together may be below, if the others make up for it.
    short = [
        file for file in total if asked[file] > ENOUGH and killed[file] / total[file] < asked[file]
    ]
    return 0 if share >= ENOUGH and not short else 1


def main() -> int:
    reading = argparse.ArgumentParser(
        prog="mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    reading.add_argument("words", nargs="*", help="only files whose name holds one of these")
    reading.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at a time")
    reading.add_argument("--list", action="store_true", help="only show them")
    said = reading.parse_args()
    chosen = [t for t in TARGETS if not said.words or any(w in t.file for w in said.words)]
    mutants = [m for t in chosen for m in mutants_of(t)]
    if said.list:
        for m in mutants:
            print(f"{m.target.file}:{m.line}: {m.before}  ->  {m.after}")
        return 0
    return report(try_all(mutants, said.jobs))


if __name__ == "__main__":
    sys.exit(main())
