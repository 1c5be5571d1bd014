"""One value of a configuration file, changed in its line; everything else stays as it is."""

import re
from typing import Any

from services.common.errors import Refused
from services.config_files.catalog import ConfigFile, Syntax
from services.config_files.checks import env_values, parsed

_KEY_LINE = re.compile(
    r"(?P<indent> *)(?P<key>[A-Za-z_][A-Za-z0-9_-]*):(?P<space> *)(?P<value>.*?)"
    r"(?P<comment>\s+#.*)?"
)
BY_HAND = "[[command config file edit FILE]] opens the text"
STEP = 2


def with_value(file: ConfigFile, text: str, path: str, value: str) -> str:
    """Return the file with this value at that key; in YAML a path such as `room.empty_timeout`.

    Refused where that takes more than one line.
    """
    if file.syntax is Syntax.ENV:
        return _with_env(text, path, value)
    new = _with_yaml(text, path.split("."), value)
    try:
        before, after = parsed(text), parsed(new)
    except ValueError as error:
        raise Refused(f"that is not valid YAML: {error}") from None
    if _at(after, path) is None or _without(before, path) != _without(after, path):
        raise Refused(f"`{path}` cannot be changed in its line alone. {BY_HAND}")
    return new


def _with_env(text: str, key: str, value: str) -> str:
    lines = text.split("\n")
    if key in env_values(text):
        at = max(n for n, line in enumerate(lines) if line.startswith(f"{key}="))
        lines[at] = f"{key}={value}"
        return "\n".join(lines)
    while lines and not lines[-1].strip():
        lines.pop()
    return "\n".join([*lines, f"{key}={value}", ""])


def _with_yaml(text: str, keys: list[str], value: str) -> str:
    lines = text.split("\n")
    begin, end, indent = 0, len(lines), 0
    for depth, key in enumerate(keys):
        at = _find(lines, key, begin, end, indent)
        is_last = depth == len(keys) - 1
        if at is None:
            new = _block(keys[depth:], value, indent)
            while depth == 0 and begin < end and not lines[end - 1].strip():
                end -= 1
            place = end if depth == 0 else begin
            return "\n".join([*lines[:place], *new, *lines[place:]])
        parts = _KEY_LINE.fullmatch(lines[at])
        assert parts is not None, "_find() found it with this expression"
        if is_last:
            if not parts["value"] and _has_children(lines, at, end):
                raise Refused(f"`{'.'.join(keys)}` is a section or a list. {BY_HAND}")
            lines[at] = f"{parts['indent']}{key}: {value}{parts['comment'] or ''}"
            return "\n".join(lines)
        if parts["value"]:
            raise Refused(f"`{key}` is no section that is written line by line. {BY_HAND}")
        begin = at + 1
        end = _end_of(lines, at, end)
        indent = _child_indent(lines, begin, end) or len(parts["indent"]) + STEP
    raise AssertionError("a path has at least one key")


def _block(keys: list[str], value: str, indent: int) -> list[str]:
    lines = [f"{' ' * (indent + n * STEP)}{key}:" for n, key in enumerate(keys)]
    lines[-1] += f" {value}"
    return lines


def _find(lines: list[str], key: str, begin: int, end: int, indent: int) -> int | None:
    for number in range(begin, end):
        parts = _KEY_LINE.fullmatch(lines[number])
        if parts is not None and len(parts["indent"]) == indent and parts["key"] == key:
            return number
    return None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _is_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _end_of(lines: list[str], at: int, end: int) -> int:
    for number in range(at + 1, end):
        if _is_content(lines[number]) and _indent(lines[number]) <= _indent(lines[at]):
            return number
    return end


def _has_children(lines: list[str], at: int, end: int) -> bool:
    below = [line for line in lines[at + 1 : end] if _is_content(line)]
    if not below:
        return False
    is_item = below[0].lstrip().startswith("-") and _indent(below[0]) >= _indent(lines[at])
    return is_item or _indent(below[0]) > _indent(lines[at])


def _child_indent(lines: list[str], begin: int, end: int) -> int | None:
    return next((_indent(line) for line in lines[begin:end] if _is_content(line)), None)


def _at(tree: Any, path: str) -> Any:
    for key in path.split("."):
        if not isinstance(tree, dict) or key not in tree:
            return None
        tree = tree[key]
    return tree


def _without(tree: Any, path: str) -> Any:
    """Return a copy without what is at that path, and without sections that are empty then."""
    if not isinstance(tree, dict):
        return tree
    key, _, rest = path.partition(".")
    copy = dict(tree)
    if rest and isinstance(copy.get(key), dict):
        copy[key] = _without(copy[key], rest)
        if not copy[key]:
            del copy[key]
    else:
        copy.pop(key, None)
    return copy


def section_of(file: ConfigFile, text: str, name: str) -> tuple[int, int]:
    """Return the first line of a top section of a YAML file, and the line after its last."""
    lines = text.split("\n")
    at = None if file.syntax is Syntax.ENV else _find(lines, name, 0, len(lines), 0)
    if at is None:
        raise Refused(f"{file.name} has no section of that name: {', '.join(sections(file, text))}")
    end = _end_of(lines, at, len(lines))
    while end > at + 1 and not _is_content(lines[end - 1]):
        end -= 1
    return at, end


def sections(file: ConfigFile, text: str) -> list[str]:
    """Return the top sections of a YAML file."""
    if file.syntax is Syntax.ENV:
        return []
    parts = (_KEY_LINE.fullmatch(line) for line in text.split("\n"))
    return [p["key"] for p in parts if p is not None and not p["indent"]]
