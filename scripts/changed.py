"""Which tests are about what changed: `python -m scripts.changed [BASE]` names their files.

What changed is what is not committed, or since the commit BASE; with neither, the last commit. The
files come nearest first: those that changed themselves, then those that import what changed
directly, then those that import it through others; of two equally near ones, first the one that
imports less.
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bot", "config", "handlers", "services", "simulators", "tests", "scripts", "bench")
CACHE = str(ROOT / ".import_linter_cache")

SLOW = ("e2e", "browser", "install", "campaign", "nights", "conversations/test_everything_said.py")
"""Tests that are left to `make test` where they only import what changed."""

OF_THE_REPOSITORY = (
    "tests/laws/test_documents.py",
    "tests/laws/test_english.py",
    "tests/laws/test_words.py",
    "tests/laws/test_repository.py",
)
"""Laws of every file, which import nothing of ours."""


def main() -> int:
    files = changed(*sys.argv[1:])
    for file in nearest(files):
        print(file)
    return 0


def changed(base: str = "") -> list[str]:
    """Return the paths of changed files that exist."""
    files = _git("diff", "--name-only", base or "HEAD")
    files += _git("ls-files", "--others", "--exclude-standard")
    if not files and not base:
        files = _git("diff", "--name-only", "HEAD~1")
    return [file for file in files if (ROOT / file).is_file()]


def _git(*words: str) -> list[str]:
    done = subprocess.run(
        ["git", *words, "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [name for name in done.stdout.split("\0") if name]


def nearest(files: Iterable[str]) -> list[str]:
    """Return the test files about these files, nearest first."""
    files = list(files)
    graph = grimp.build_graph(*PACKAGES, cache_dir=CACHE)
    modules = [module for module in map(_module, files) if module in graph.modules]
    steps = dict(_distances(graph, modules))
    tests = {_path(module): steps[module] for module in steps if is_test(_path(module))}
    tests = {file: far for file, far in tests.items() if far == 0 or not _is_slow(file)}
    tests |= {file: 1 for file in _naming(graph, files) if file not in tests}
    for file in OF_THE_REPOSITORY if files else ():
        tests.setdefault(file, 1)
    return sorted(tests, key=lambda file: (tests[file], _imports(graph, file), file))


def _distances(graph: grimp.ImportGraph, modules: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Yield each module that imports one of these, and through how many imports."""
    known, here, steps = set(modules), set(modules), 0
    while here:
        yield from ((module, steps) for module in here)
        here = {up for module in here for up in graph.find_modules_that_directly_import(module)}
        here -= known
        known |= here
        steps += 1


def _naming(graph: grimp.ImportGraph, files: Iterable[str]) -> Iterator[str]:
    """Yield the tests that name a changed file which is no module: a manifest, a page, a script."""
    names = {Path(file).name for file in files if not file.endswith(".py")}
    for module in graph.modules if names else ():
        file = _path(module)
        if is_test(file) and not _is_slow(file):
            text = (ROOT / file).read_text()
            if any(name in text for name in names):
                yield file


def is_test(file: str) -> bool:
    return file.startswith("tests/") and Path(file).name.startswith("test_")


def _is_slow(file: str) -> bool:
    return file.removeprefix("tests/").startswith(SLOW)


def _imports(graph: grimp.ImportGraph, file: str) -> int:
    return len(graph.find_upstream_modules(_module(file)))


def _module(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _path(module: str) -> str:
    file = module.replace(".", "/")
    if (ROOT / file).is_dir():
        return f"{file}/__init__.py"
    return f"{file}.py"


if __name__ == "__main__":
    sys.exit(main())
