"""Imports pydo without the operations that this process does not use.

pydo keeps all operations of DigitalOcean's API in two modules of 20 MB source each, nearly all of
it documentation: imported as they are, they take 70 MB, and 300 MB where they are not compiled yet.
Here, both modules are pydo's own source, of which each class and function is compiled when it is
first used, without its documentation (docs/adr/0013-pydo-in-parts.md). Whatever such a module is
used for works as with the plain import, except that pydo's own extensions of its inference and
insights groups have no operations.

A pydo of another shape is imported as it is, with a warning.
"""

import ast
import importlib
import importlib.util
import logging
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from mmap import ACCESS_READ
from mmap import mmap as mapped
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from typing_extensions import override

log = logging.getLogger(__name__)

# The asynchronous operations, and what both kinds build their requests with.
OPERATIONS = "pydo.aio.operations._operations"
BUILDERS = "pydo.operations._operations"
# Lines that may begin something, and those that begin a class, a function, or a decorator of one.
LINE = re.compile(rb"\n(?=[a-z@])")
BEGIN = re.compile(rb"(?:class|def|async def) (\w+)|@")


class UnknownShape(Exception):
    """A module is not what it is expected to be; the message says in which way."""


def import_client() -> Any:
    """Return `pydo.aio.Client`, imported in parts."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module("pydo.aio").Client
    finally:
        sys.meta_path.remove(finder)


def compile_groups(names: Sequence[str]) -> None:
    """Compile these classes of operations now, so that their first use does not.

    ImportError if pydo lacks one.
    """
    module = importlib.import_module(OPERATIONS)
    for name in names:
        group = getattr(module, name, None)
        if group is None:
            raise ImportError(f"pydo has no {name}")
        if issubclass(group, OperationGroup):
            group.real()


class OperationGroup:
    """Stands for a class of operations until one of its operations is first used."""

    real: Callable[[], type]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._arguments = args, kwargs

    def __getattr__(self, name: str) -> Any:
        kind = type(self)
        if name.startswith("_"):
            raise AttributeError(name)
        if "real" not in vars(kind):
            raise AttributeError(f"{name}: pydo extends {kind.__name__}, which is not loaded")
        args, kwargs = self.__dict__.pop("_arguments")
        self.__class__ = kind.real()
        # The object is of another class now, which has not had its arguments.
        type(self).__init__(self, *args, **kwargs)
        return getattr(self, name)


class _Finder(MetaPathFinder):
    """Finds pydo's two large modules."""

    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in (OPERATIONS, BUILDERS):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None or not isinstance(spec.loader, SourceFileLoader):
            return None
        spec.loader = _Loader(fullname, spec.origin)
        return spec


class _Loader(SourceFileLoader):
    """Loads a module in parts; as a whole where that is not possible."""

    @override
    def exec_module(self, module: ModuleType) -> None:
        try:
            ModuleParts(module, Path(self.path), super().exec_module).begin()
        except (UnknownShape, OSError, SyntaxError, ValueError) as error:
            _warn(module, error)
            super().exec_module(module)


class ModuleParts:
    """The source of a module as parts, each compiled when it is asked for.

    `whole` runs the module as it is.
    """

    def __init__(self, module: ModuleType, file: Path, whole: Callable[[ModuleType], None]) -> None:
        self._module = module
        self._file = file
        self._whole = whole
        self._version = _version_of(file)
        self._parts: dict[str, tuple[int, int]] = {}
        # Names that the module imports from the other one, and that one's name.
        self._imported: dict[str, str] = {}

    def begin(self) -> None:
        """Run what comes before the first class or function. UnknownShape when there is none."""
        with self._file.open("rb") as file, mapped(file.fileno(), 0, access=ACCESS_READ) as source:
            lines = (match.end() for match in LINE.finditer(source))
            begins = [(begin, match[1]) for begin in lines if (match := BEGIN.match(source, begin))]
            if not begins or any(name is None for _, name in begins):
                raise UnknownShape("its classes and functions are decorated, or there are none")
            ends = [begin for begin, _ in begins[1:]] + [len(source)]
            head = ast.parse(source[: begins[0][0]])
        self._parts = {
            name.decode(): (begin, end) for (begin, name), end in zip(begins, ends, strict=True)
        }
        if len(self._parts) != len(begins):
            raise UnknownShape("a name is defined twice")
        head.body = [each for each in head.body if not self._is_from_builders(each)]
        self._run(head, "head")
        vars(self._module)["__getattr__"] = self.get

    def has(self, name: str) -> bool:
        """Return whether the module has that name beside what its head defines."""
        return name in self._parts or name in self._imported

    def get(self, name: str) -> Any:
        """Return what the module calls that. AttributeError when it has no such name."""
        value: Any
        if name in self._imported:
            value = getattr(importlib.import_module(self._imported[name]), name)
        elif name not in self._parts:
            raise AttributeError(f"module {self._module.__name__!r} has no attribute {name!r}")
        elif name.endswith("Operations"):
            value = self._group(name)
        else:
            return self._define(name)
        return vars(self._module).setdefault(name, value)

    def _group(self, name: str) -> type:
        known: list[type] = []

        def real() -> type:
            if not known:
                group = self._define(name)
                assert isinstance(group, type), "its source begins with `class`"
                known.append(group)
            return known[0]

        namespace = {"real": staticmethod(real), "__module__": self._module.__name__}
        return type(name, (OperationGroup,), namespace)

    def _define(self, name: str) -> Any:
        """Compile a part, and what it uses of the module; return what it defines."""
        names = vars(self._module)
        stand_in = names.get(name)
        try:
            self._run(self._source(name), name)
            defined = names.get(name)
            if getattr(defined, "__name__", "") != name or defined is stand_in:
                raise UnknownShape(f"{name} is not one class or function")
        except (UnknownShape, SyntaxError) as error:
            _warn(self._module, error)
            del names["__getattr__"]
            self._whole(self._module)
            return names[name]
        if stand_in is not None:
            # A later import from the module gets what an earlier one got.
            names[name] = stand_in
        return defined

    def _source(self, name: str) -> bytes:
        begin, end = self._parts[name]
        with self._file.open("rb") as file:
            file.seek(begin)
            source = file.read(end - begin)
        if _version_of(self._file) != self._version:
            raise ImportError(f"{self._file} was replaced: restart the bot")
        return source

    def _is_from_builders(self, statement: ast.stmt) -> bool:
        """Whether this imports builders; those are imported one by one then."""
        if not isinstance(statement, ast.ImportFrom):
            return False
        relative = "." * statement.level + (statement.module or "")
        source = importlib.util.resolve_name(relative, self._module.__package__)
        if source != BUILDERS:
            return False
        self._imported = {alias.asname or alias.name: source for alias in statement.names}
        return True

    def _run(self, source: bytes | ast.Module, what: str) -> None:
        """Run source without its documentation, after what it uses of the rest of the module."""
        # Named like no file: a traceback would read all of it to show a line.
        code = compile(source, f"<{self._module.__name__}: {what}>", "exec", optimize=2)
        for used in _names_in(code):
            if used not in vars(self._module) and used != what and self.has(used):
                self.get(used)
        _Part(code).exec_module(self._module)


class _Part(InspectLoader):
    """Runs one part in the module that it is of."""

    def __init__(self, code: CodeType) -> None:
        self._code = code

    @override
    def get_code(self, fullname: str) -> CodeType:
        return self._code

    @override
    def get_source(self, fullname: str) -> None:
        return None


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _version_of(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def _warn(module: ModuleType, error: Exception) -> None:
    log.warning(
        "%s has another shape than expected (%s): it is loaded as a whole, which takes 70 MB more",
        module.__name__,
        error,
    )
