"""What a configuration file must be, so that the nodes can read it. No message has a value."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from services.config_files import schema
from services.config_files.catalog import LARGEST, LIVEKIT, ConfigFile, Place, Syntax

_OPEN = re.compile(r"\$\{")
_REFERENCE = re.compile(r"\$\{(?P<inside>[^${}]*)\}")
_INSIDE = re.compile(
    r"(?P<file>openvidu|master_node|media_node)\.(?P<key>[A-Za-z_][A-Za-z0-9_]*)(?::?[-?+].*)?"
)
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*")
# What stands for a reference while YAML is parsed: of no type.
_REFERRED = "_reference_"
SHOWN = 5


@dataclass(frozen=True)
class KnownKeys:
    """The names that references can use, as master 1 has them; no values."""

    openvidu: frozenset[str] = frozenset()
    master_node: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ConfigText:
    """The content of a file, and what it can refer to. Its repr never has the content."""

    file: ConfigFile
    data: bytes = field(repr=False)
    keys: KnownKeys = field(default_factory=KnownKeys, repr=False)

    @property
    def text(self) -> str:
        """The content as text."""
        return self.data.decode(errors="replace")


def problems(before: ConfigText, after: str) -> list[str]:
    """Return what the nodes would refuse of a new content: lines and keys, never values.

    What was in the file before is not counted.
    """
    file = before.file
    if len(after.encode()) > LARGEST:
        return [f"it has more than {LARGEST} characters"]
    if "\0" in after or "\r" in after:
        return ["it has control characters or Windows line ends"]
    found = [*_references(before, after)]
    if file.syntax is Syntax.ENV:
        found += _env_problems(before.text, after)
    elif not found:
        found += _yaml_problems(file, before.text, after)
    return found[:SHOWN]


def parsed(text: str) -> Any:
    """Return the YAML of a file, with every reference replaced by one text.

    Raises:
        ValueError: it is no YAML, with the line.
    """
    plain = _REFERENCE.sub(_REFERRED, text)
    try:
        for token in yaml.scan(plain, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.AliasToken):
                raise yaml.MarkedYAMLError(
                    problem="aliases are not used here", problem_mark=token.start_mark
                )
        return yaml.load(plain, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        reason = error.problem or "is not understood"
        raise ValueError(f"line {line}: {_without_values(reason)}") from None
    except yaml.YAMLError:
        raise ValueError("it has characters that YAML does not allow") from None
    except (RecursionError, ValueError):
        raise ValueError("it is nested too deeply, or has a value that YAML cannot read") from None


def references(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the inside of each reference."""
    for number, line in enumerate(text.split("\n"), 1):
        for found in _REFERENCE.finditer(line):
            yield number, found["inside"]


def env_values(text: str) -> dict[str, str]:
    """Return the values of a .env file by key: of several, the last."""
    pairs = (line.partition("=") for line in text.split("\n") if _ENV.fullmatch(line))
    return {key: value for key, _, value in pairs}


class _Loader(yaml.SafeLoader):
    """A SafeLoader that refuses keys that a section has twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem="a key that the file has twice", problem_mark=key.start_mark
                )
            if isinstance(key.value, str) and key.value != _REFERRED:
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _without_values(reason: str) -> str:
    """Return a parser's complaint without what it quotes of the file."""
    return re.sub(r"(['\"]).*?\1", "a character", reason)


def _references(before: ConfigText, after: str) -> Iterator[str]:
    """Yield the references of a new content that nothing stands for."""
    old = {inside for _, inside in references(before.text)}
    for number, line in enumerate(after.split("\n"), 1):
        if _OPEN.search(_REFERENCE.sub("", line)):
            yield f"line {number}: a reference `${{…}}` is not closed"
    for number, inside in references(after):
        if inside not in old and (problem := _reference_problem(before, inside)):
            yield f"line {number}: {problem}"


def _reference_problem(before: ConfigText, inside: str) -> str:
    parts = _INSIDE.fullmatch(inside)
    if parts is None:
        return "a reference is written `${openvidu.KEY}`"
    name, key = parts["file"], parts["key"]
    if name == "master_node" and before.file.place is Place.MEDIA:
        return "media nodes do not know `${master_node.…}`"
    if name == "media_node" and before.file.place is not Place.MEDIA:
        return "only files of media nodes know `${media_node.…}`"
    known = {"openvidu": before.keys.openvidu, "master_node": before.keys.master_node}.get(name)
    if known and key not in known:
        return f"there is no key {key[:60]} in {name}.env"
    return ""


def _env_problems(before: str, after: str) -> Iterator[str]:
    old = set(before.split("\n"))
    seen: set[str] = set()
    twice = {key for key in env_values(before) if before.count(f"\n{key}=") > 1}
    for number, line in enumerate(after.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key = line.partition("=")[0]
        if not _ENV.fullmatch(line):
            if line not in old:
                yield f"line {number}: a line is `KEY=VALUE`, without blanks around the `=`"
        elif key in seen and key not in twice:
            name = key[:60] if key.isupper() else "a key"
            yield f"line {number}: {name} is in the file twice"
        seen.add(key)


def _yaml_problems(file: ConfigFile, before: str, after: str) -> Iterator[str]:
    try:
        new = parsed(after)
    except ValueError as error:
        yield str(error)
        return
    if not isinstance(new, dict):
        yield "it is not a file of keys and values"
        return
    if file.name != LIVEKIT:
        return
    try:
        old = dict(_leaves(parsed(before)))
    except ValueError:
        old = {}
    for path, value in _leaves(new):
        if path not in old or old[path] != value:
            yield from _schema_problems(path, value, known=path in old)


def _schema_problems(path: str, value: Any, *, known: bool) -> Iterator[str]:
    if path in schema.TYPES:
        if _REFERRED not in str(value) and value is not None:
            problem = schema.type_problem(path, value)
            if problem:
                yield f"`{path}` {problem}"
    elif not known and not any(path.startswith(f"{top}.") for top in schema.OPAQUE):
        near = difflib.get_close_matches(path, schema.TYPES, n=1)
        hint = f". Did you mean `{near[0]}`?" if near else ""
        yield f"LiveKit knows no key `{path[:80]}`, and does not start with it{hint}"


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and value of each key; of a section that the schema knows, its keys."""
    if isinstance(value, dict):
        if path and not value:
            yield path, value
        for key, below in value.items():
            here = f"{path}.{key}".lstrip(".")
            if isinstance(below, dict) and here not in schema.OPAQUE:
                yield from _leaves(below, here)
            else:
                yield here, below
    elif path or value is not None:
        yield path or "the file", value
