"""Mutation testing of the guards: each small change to the code has to fail a test.

`-m scripts.mutants` tries all guards on every core, `-m scripts.mutants locks` only files whose
name contains that word. A mutant is one change to the syntax tree in a copy of the repository; only
the tests of its file are run, in a fork that has imported the libraries already. General tools run
the whole suite to find the relevant tests, cannot remove one key of a commit's checks, and start an
interpreter for each mutant: for these guards that takes hours instead of minutes.

A mutant with the same meaning as the original is listed in `EQUIVALENT`, with the reason.
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
# Imported once before the forks; nothing of ours may be among them.
HEAVY = (
    "pytest",
    "hypothesis",
    "aiohttp",
    "azure.core.pipeline",
    "slack_bolt.app.async_app",
    "slack_sdk.web.async_client",
    "boto3",
    "botocore",
    "redis.asyncio",
    "asyncssh",
    "yaml",
    "pydantic",
    "jsonschema",
    "icalendar",
    "apscheduler",
)


@dataclass(frozen=True)
class Target:
    """A file, the functions in it to change (default: all), and the tests that should notice.

    `script` names a constant that holds Lua, which alone is changed then. `enough` is the share of
    the file's mutants that has to be noticed.
    """

    file: str
    tests: tuple[str, ...]
    functions: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    script: str = ""
    enough: float = ENOUGH


APPROVAL_TESTS = ("tests/laws/test_policy.py", "tests/laws/test_approval.py")
TARGETS = (
    Target("services/runs/locks.py", ("tests/laws/test_guards.py",)),
    Target("services/runs/drain_ledger.py", ("tests/laws/test_guards.py",)),
    Target("services/runs/fence.py", ("tests/laws/test_fenced.py",)),
    Target("services/cloud/writer.py", ("tests/laws/test_fenced.py",)),
    Target(
        "services/runs/journal.py",
        ("tests/laws/test_journal.py",),
        functions=(
            "open",
            "append",
            "say",
            "vote",
            "put_request",
            "change_request",
            "next_name",
            "refresh",
        ),
    ),
    Target(
        "services/store/sqlite.py",
        ("tests/contracts/test_store.py",),
        functions=("_value", "_apply", "_commit", "read", "tail", "length"),
        options=("-k", "sqlite and not processes"),
    ),
    Target(
        "services/store/redis.py",
        ("tests/contracts/test_store.py",),
        options=("-k", "redis and not acquirers"),
        script="COMMIT",
    ),
    Target("services/cloud/pool_edit.py", ("tests/laws/test_pool_edit.py",)),
    Target(
        "services/cloud/parse.py",
        ("tests/laws/test_pool_edit.py",),
        functions=("_target", "template_digest"),
    ),
    Target("services/runs/authorization.py", ("tests/laws/test_authorization.py",), enough=0.98),
    Target("services/runs/standing_approval.py", ("tests/laws/test_standing.py",), enough=0.98),
    Target("services/runs/request.py", APPROVAL_TESTS),
    Target("services/access/policy.py", APPROVAL_TESTS),
)

# (file, the line before, the line after) -> why no test can distinguish them.
EQUIVALENT: dict[tuple[str, str, str], str] = {
    (
        "services/runs/locks.py",
        "checks={lease.key: None, epoch_at: epoch},",
        "checks=({epoch_at: epoch}),",
    ): "a process that takes the lease raises the epoch in the same commit",
    (
        "services/runs/locks.py",
        "await self._keeper",
        "pass",
    ): "it is cancelled either way, before anything else of this loop can run on",
    (
        "services/store/sqlite.py",
        "limit = -1 if count is None else count",
        "limit = -(2) if count is None else count",
    ): "to SQLite any negative limit is none",
    (
        "services/access/policy.py",
        'return ""',
        "return None",
    ): "callers only check whether there is a reason",
    (
        "services/runs/authorization.py",
        'return ""',
        "return None",
    ): "empty differences are left out",
}


# Making mutants

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}

# Patterns in a Lua script, and what replaces them.
LUA = (
    ("==", "~="),
    ("~=", "=="),
    ("return 0", "return 1"),
    ("return 1", "return 0"),
    ("if now then", "if not now then"),
    ("> 0", "< 0"),
    (r"redis\.call\('(?:set|del|rpush)'[^)]*\)", "redis.call('ping')"),
    ("'px'", "'ex'"),
)


@dataclass(frozen=True)
class Mutant:
    """One change: the whole changed text, and the line before and after."""

    target: Target
    number: int
    text: str
    line: int
    before: str
    after: str

    def diff(self) -> str:
        """Return the change as a diff."""
        old = (ROOT / self.target.file).read_text().splitlines()
        lines = difflib.unified_diff(
            old, self.text.splitlines(), self.target.file, self.target.file, lineterm="", n=1
        )
        return "\n".join(list(lines)[2:])


def mutants_of(target: Target) -> list[Mutant]:
    """Return every mutant of a file."""
    source = (ROOT / target.file).read_text()
    if target.script:
        return _of_script(target, source)
    tree = ast.parse(source)
    mutants: list[Mutant] = []
    for node in _guarded(tree, target.functions):
        for place, new in _changes(node):
            text = _replaced(source, place, new)
            if text is None or any(m.text == text for m in mutants):
                continue
            before, after = _line(source, place.lineno), _line(text, place.lineno)
            mutants.append(Mutant(target, len(mutants) + 1, text, place.lineno, before, after))
    return mutants


def _of_script(target: Target, source: str) -> list[Mutant]:
    """Return every mutant of the Lua script."""
    begin = source.index(f'{target.script} = """')
    end = source.index('"""', source.index('"""', begin) + 3)
    mutants: list[Mutant] = []
    for old, new in LUA:
        for hit in re.compile(old).finditer(source, begin + len(target.script) + 3, end):
            text = source[: hit.start()] + new + source[hit.end() :]
            line = source.count("\n", 0, hit.start()) + 1
            mutants.append(
                Mutant(target, len(mutants) + 1, text, line, _line(source, line), _line(text, line))
            )
    return mutants


def _line(text: str, number: int) -> str:
    lines = text.splitlines()
    if number > len(lines):
        return ""
    return lines[number - 1].strip()


def _guarded(tree: ast.Module, functions: tuple[str, ...]) -> Iterator[ast.AST]:
    """Yield what to change: functions; without named ones also constants at the top."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (
            not functions or node.name in functions
        ):
            yield node
    if not functions:
        yield from (s for s in tree.body if isinstance(s, ast.Assign | ast.AnnAssign))


def _changes(root: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, ast.AST | None]]:
    """Yield nodes with their replacement; None removes the node."""
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
            yield from ((node, _without_pair(node, n)) for n in range(len(node.keys)))
        elif isinstance(node, ast.Call):
            # The name of a task only helps to debug.
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
    """Yield all nodes below but docstrings, annotations, assertions and f-strings."""
    for name, value in ast.iter_fields(root):
        if name in ("annotation", "returns", "decorator_list", "type_params") or isinstance(
            root, ast.JoinedStr
        ):
            continue
        children = value if isinstance(value, list) else [value]
        for child in children:
            if not isinstance(child, ast.AST) or isinstance(
                child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Assert
            ):
                continue
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue
            yield child
            yield from _inside(child)


def _is_part(node: ast.Assign | ast.AugAssign) -> bool:
    """Return whether it changes an existing object instead of naming a new one."""
    if isinstance(node, ast.AugAssign):
        return True
    return all(isinstance(t, ast.Subscript | ast.Attribute) for t in node.targets)


def _others(value: object) -> tuple[bool | float, ...]:
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int | float):
        return (value + 1,)
    return ()


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
    rest: list[ast.AST] = getattr(changed, field)
    del rest[index]
    if field == "values" and len(rest) == 1:
        return rest[0]
    return changed


def _without_pair(node: ast.Dict, index: int) -> ast.AST:
    changed = copy.deepcopy(node)
    del changed.keys[index], changed.values[index]
    return changed


def _replaced(source: str, place: ast.expr | ast.stmt, new: ast.AST | None) -> str | None:
    """Return the text with a node replaced; None if that changes nothing or is no valid code."""
    lines = source.splitlines(keepends=True)
    start = _offset(lines, place.lineno, place.col_offset)
    end = _offset(lines, place.end_lineno or place.lineno, place.end_col_offset or 0)
    code = ""
    if new is not None:
        code = ast.unparse(ast.fix_missing_locations(new))
    if isinstance(place, ast.expr):
        code = f"({code})"
    text = source[:start] + code + source[end:]
    try:
        same = ast.dump(ast.parse(text)) == ast.dump(ast.parse(source))
    except SyntaxError:
        return None
    if same:
        return None
    return text


def _offset(lines: list[str], line: int, column: int) -> int:
    before = sum(len(text) for text in lines[: line - 1])
    return before + len(lines[line - 1].encode()[:column].decode())


# Running the tests on them


@dataclass
class Tried:
    """The result for one mutant."""

    mutant: Mutant
    killed: bool
    seconds: float


class Copy:
    """A copy of the repository, which holds one mutant at a time."""

    def __init__(self, folder: Path) -> None:
        for name in TREE:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / name)
        self.folder = folder

    def run(self, target: Target, limit: float) -> int | None:
        """Run the tests of a target in a fork; return the exit code, None after a timeout."""
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
        """Write the mutant, run its tests, restore the file."""
        file, began = self.folder / mutant.target.file, time.monotonic()
        before = file.read_text()
        file.write_text(mutant.text)
        try:
            code = self.run(mutant.target, limit)
        finally:
            file.write_text(before)
        return Tried(mutant, code != 0, time.monotonic() - began)


def _child(folder: Path, target: Target) -> None:
    """Run the tests and exit. Our own modules are first imported here, and so from the copy."""
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
    """Try all mutants, on one copy for each job."""
    for name in HEAVY:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        free: Queue[Copy] = Queue()
        for n in range(jobs):
            (Path(folder) / str(n)).mkdir()
            free.put(Copy(Path(folder) / str(n)))
        limits = _limits({m.target for m in mutants}, free)

        def one(mutant: Mutant) -> Tried:
            place = free.get()
            try:
                return place.trial(mutant, limits[mutant.target])
            finally:
                free.put(place)

        with ThreadPoolExecutor(jobs) as pool:
            return [_shown(done) for done in pool.map(one, mutants)]


def _limits(targets: set[Target], free: "Queue[Copy]") -> dict[Target, float]:
    """Return the timeout of each target's tests: a multiple of what they take without a mutant."""
    place, limits = free.get(), {}
    for target in sorted(targets, key=lambda t: t.file):
        began = time.monotonic()
        if (code := place.run(target, 300)) != 0:
            tests = " ".join(target.tests)
            sys.exit(f"the tests of {target.file} do not pass as it is (exit {code}): {tests}")
        limits[target] = 10 + 5 * (time.monotonic() - began)
    free.put(place)
    return limits


def _shown(tried: Tried) -> Tried:
    mark = "." if tried.killed else "S"
    print(mark, end="", file=sys.stderr, flush=True)
    return tried


def report(tried: list[Tried]) -> int:
    """Print the survivors and the share of each file; return 0 if enough mutants were killed."""
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
        share = f"{killed[file] / total[file]:.1%}; {asked[file]:.0%} are asked for"
        more = f", {excused[file]} more mean the same" if excused[file] else ""
        print(f"{file}: {killed[file]} of {total[file]} killed ({share}){more}")
    overall = killed.total() / max(total.total(), 1)
    summary = f"{killed.total()} of {total.total()} mutants killed: {overall:.1%}"
    print(f"{summary}; {ENOUGH:.0%} are asked for")
    # A file with the default share may be below it if other files compensate.
    short = [
        file for file in total if asked[file] > ENOUGH and killed[file] / total[file] < asked[file]
    ]
    if overall >= ENOUGH and not short:
        return 0
    return 1


def main() -> int:
    arguments = argparse.ArgumentParser(
        prog="mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("words", nargs="*", help="only files whose name holds one of these")
    arguments.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="mutants at a time"
    )
    arguments.add_argument("--list", action="store_true", help="only show them")
    options = arguments.parse_args()
    chosen = [t for t in TARGETS if not options.words or any(w in t.file for w in options.words)]
    mutants = [m for t in chosen for m in mutants_of(t)]
    if options.list:
        for m in mutants:
            print(f"{m.target.file}:{m.line}: {m.before}  ->  {m.after}")
        return 0
    return report(try_all(mutants, options.jobs))


if __name__ == "__main__":
    sys.exit(main())
