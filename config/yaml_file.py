"""The settings file as YAML. What YAML would silently read as something else is refused, with its line."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

MERGE = "tag:yaml.org,2002:merge"
KIND = "tag:yaml.org,2002:"
WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
DECIMAL = re.compile(r"[-+]?[0-9]*\.[0-9]*([eE][-+]?[0-9]+)?")
DEEPEST, MOST = 30, 100_000  # levels, and values: aliases of aliases make a small file a huge one
SHOWN = 20  # characters of a number that are repeated

Word = Callable[[tuple[object, ...]], str]


class NotYaml(Exception):
    """What is wrong, and in which line (0: unknown)."""

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(problem)
        self.line = line


class Loader(yaml.SafeLoader):
    """SafeLoader, but a key that stands twice is a mistake, numbers are decimal, and dates are text."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Here and not when values are made of it: what a merge (`<<`) brings along may stand there again, and wins."""
        node = super().compose_mapping_node(anchor)
        seen: set[object] = set()
        for key, _ in node.value:
            if key.tag == f"{KIND}bool":
                meant = str(self.bool_values[key.value.lower()]).lower()
                raise _wrong(f"the key {key.value} is {meant} in YAML: write it in quotes", key)
            if _key(key) in seen:
                raise _wrong(f"the key {key.value} stands there twice", key)
            seen.add(_key(key))
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merges: what stands in the mapping itself wins, then what is merged first. PyYAML's own takes one or the other of two merged."""
        own = [pair for pair in node.value if pair[0].tag != MERGE]
        taken = {_key(key) for key, _ in own}
        merged = []
        for key, value in (
            pair for each in node.value if each[0].tag == MERGE for pair in self._merged(each[1])
        ):
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
    """What makes a key the same as another."""
    return (node.tag, node.value) if isinstance(node, yaml.ScalarNode) else id(node)


def _wrong(problem: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _whole(loader: Loader, node: yaml.ScalarNode) -> int:
    if not WHOLE.fullmatch(node.value):
        meant = loader.construct_yaml_int(node)
        raise _wrong(
            f"{node.value[:SHOWN]} is the number {str(meant)[:SHOWN]} in YAML: write it plainly, or in quotes if it is text",
            node,
        )
    return int(node.value)


def _number(loader: Loader, node: yaml.ScalarNode) -> float:
    if not DECIMAL.fullmatch(node.value):
        raise _wrong(
            f"{node.value[:SHOWN]} is a number of another kind in YAML: write it plainly, or in quotes if it is text",
            node,
        )
    return loader.construct_yaml_float(node)


Loader.add_constructor(f"{KIND}int", _whole)
Loader.add_constructor(f"{KIND}float", _number)
Loader.add_constructor(f"{KIND}timestamp", lambda _loader, node: node.value)


def read_yaml(path: Path) -> tuple[Any, Word]:
    """What the file says, and a function that tells which word stands at a place in it. OSError, or NotYaml."""
    content = path.read_bytes()
    try:
        loader = Loader(content)
        try:
            node = loader.get_single_node()
            raw = loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise NotYaml(
            getattr(error, "problem", None) or "not YAML", mark.line + 1 if mark else 0
        ) from None
    except RecursionError:
        raise NotYaml("it is nested too deeply") from None
    return _unshared(raw, [MOST]), lambda at: _word_at(node, at)


def _unshared(raw: Any, left: list[int], depth: int = 0) -> Any:
    """A copy in which nothing stands in two places: what aliases share would be changed in both."""
    left[0] -= 1
    if depth > DEEPEST or left[0] < 0:
        raise NotYaml("its aliases refer to each other, or make it too large")
    if isinstance(raw, dict):
        return {key: _unshared(value, left, depth + 1) for key, value in raw.items()}
    if isinstance(raw, list | tuple | set):
        return [_unshared(value, left, depth + 1) for value in raw]
    return raw


def _word_at(node: yaml.Node | None, at: tuple[object, ...]) -> str:
    """What is written at that place, as it is written; "" where no single word stands."""
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
