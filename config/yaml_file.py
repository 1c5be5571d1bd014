"""Reads the settings file as YAML, and refuses what YAML would silently read as something else."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

MERGE = "tag:yaml.org,2002:merge"
KIND = "tag:yaml.org,2002:"
WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
DECIMAL = re.compile(r"[-+]?[0-9]*\.[0-9]*([eE][-+]?[0-9]+)?")
# Levels, and values: aliases of aliases can make a small file a huge one.
MAX_DEPTH, MAX_VALUES = 30, 100_000
SHOWN = 20  # characters of a number in a message

WordAt = Callable[[tuple[object, ...]], str]


class NotYaml(Exception):
    """The file is not valid; `line` is 0 if unknown."""

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(problem)
        self.line = line


class Loader(yaml.SafeLoader):
    """SafeLoader, but duplicate keys are errors, numbers are decimal, and dates are text."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Check for duplicate keys before merges (`<<`) are resolved.

        A key may override one that a merge adds.
        """
        node = super().compose_mapping_node(anchor)
        seen: set[object] = set()
        for key, _ in node.value:
            if key.tag == f"{KIND}bool":
                meant = str(self.bool_values[key.value.lower()]).lower()
                raise _wrong(f"the key {key.value} is {meant} in YAML: write it in quotes", key)
            if _key(key) in seen:
                raise _wrong(f"the key {key.value} occurs twice", key)
            seen.add(_key(key))
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Resolve merges: the mapping's own keys win, then those of the first merged mapping.

        PyYAML's own order between two merged mappings depends on how they are written.
        """
        own = [pair for pair in node.value if pair[0].tag != MERGE]
        taken = {_key(key) for key, _ in own}
        sources = [value for key, value in node.value if key.tag == MERGE]
        merged = []
        for key, value in (pair for source in sources for pair in self._merged(source)):
            if _key(key) not in taken:
                taken.add(_key(key))
                merged.append((key, value))
        node.value = merged + own

    def _merged(self, node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
        if isinstance(node, yaml.SequenceNode):
            return [pair for each in node.value for pair in self._merged(each)]
        if not isinstance(node, yaml.MappingNode):
            raise _wrong("expected keys and values, or a list of those, behind <<", node)
        self.flatten_mapping(node)
        return list(node.value)


def _key(node: yaml.Node) -> object:
    """Return a value that is equal for equal keys."""
    if isinstance(node, yaml.ScalarNode):
        return node.tag, node.value
    return id(node)


def _wrong(problem: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _whole(loader: Loader, node: yaml.ScalarNode) -> int:
    if not WHOLE.fullmatch(node.value):
        number = str(loader.construct_yaml_int(node))
        raise _wrong(
            f"{node.value[:SHOWN]} is the number {number[:SHOWN]} in YAML: "
            "write it plainly, or in quotes if it is text",
            node,
        )
    return int(node.value)


def _number(loader: Loader, node: yaml.ScalarNode) -> float:
    if not DECIMAL.fullmatch(node.value):
        raise _wrong(
            f"{node.value[:SHOWN]} is a number of another kind in YAML: "
            "write it plainly, or in quotes if it is text",
            node,
        )
    return loader.construct_yaml_float(node)


Loader.add_constructor(f"{KIND}int", _whole)
Loader.add_constructor(f"{KIND}float", _number)
Loader.add_constructor(f"{KIND}timestamp", lambda _loader, node: node.value)


def read_yaml(path: Path) -> tuple[Any, WordAt]:
    """Return the content, and a function that returns the text at a path of keys in it.

    Raises OSError or NotYaml.
    """
    content = path.read_bytes()
    try:
        loader = Loader(content)
        try:
            node = loader.get_single_node()
            raw = None
            if node is not None:
                raw = loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "not YAML"
        mark = getattr(error, "problem_mark", None)
        raise NotYaml(problem, mark.line + 1 if mark else 0) from None
    except RecursionError:
        raise NotYaml("it is nested too deeply") from None
    return _unshared(raw, [MAX_VALUES]), lambda at: _word_at(node, at)


def _unshared(raw: Any, left: list[int], depth: int = 0) -> Any:
    """Return a copy without shared parts: what aliases share would be changed in both places."""
    left[0] -= 1
    if depth > MAX_DEPTH or left[0] < 0:
        raise NotYaml("its aliases refer to each other, or make it too large")
    if isinstance(raw, dict):
        return {key: _unshared(value, left, depth + 1) for key, value in raw.items()}
    if isinstance(raw, list | tuple | set):
        return [_unshared(value, left, depth + 1) for value in raw]
    return raw


def _word_at(node: yaml.Node | None, at: tuple[object, ...]) -> str:
    """Return the text at a path as it is written; "" if there is no scalar."""
    for part in at:
        if isinstance(node, yaml.MappingNode):
            node = next((value for key, value in reversed(node.value) if _is_key(key, part)), None)
        elif (
            isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value)
        ):
            node = node.value[part]
        else:
            return ""
    return node.value if isinstance(node, yaml.ScalarNode) else ""


def _is_key(node: yaml.Node, key: object) -> bool:
    return isinstance(node, yaml.ScalarNode) and str(node.value) == str(key)
