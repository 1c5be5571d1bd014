"""Values that operators speak: a frozen dataclass whose fields are a command's words and whose docstring is its help."""

from dataclasses import MISSING, Field, dataclass, field, fields
from enum import StrEnum
from typing import Any, ClassVar


def argument(help_text: str, *, default: Any = MISSING, choices: tuple[str, ...] = ()) -> Any:
    """A field that is typed as a word of its own: `/openvidu startup 3`."""
    return field(
        default=default, metadata={"help": help_text, "choices": choices, "kind": "argument"}
    )


def flag(help_text: str) -> Any:
    """A field that is typed as `--its-name`."""
    return field(default=False, metadata={"help": help_text, "kind": "flag"})


def rest(help_text: str, *, default: Any = MISSING) -> Any:
    """A last field that takes everything that is left, as it was typed. `help_text` is its shape, as usage shows it."""
    return field(default=default, metadata={"help": help_text, "kind": "rest"})


class CommandClass(StrEnum):
    """What a command is about. Each cluster's settings may say who uses a class; named as there."""

    LOOK = "look"
    POWER = "power"
    CAPACITY = "capacity"
    CONFIGURATION = "configuration"
    SECRETS = "secrets"
    WINDOWS = "windows"
    BREAK_GLASS = "break_glass"
    WAKE = "wake"


CHANGING = (
    CommandClass.POWER,
    CommandClass.CAPACITY,
    CommandClass.CONFIGURATION,
    CommandClass.SECRETS,
    CommandClass.WINDOWS,
)


@dataclass(frozen=True)
class Command:
    """Something that can be said. A field named like a Python keyword or with `_` is said with `-`."""

    command: ClassVar[str]
    classes: ClassVar[tuple[CommandClass, ...]] = (
        CommandClass.LOOK,
    )  # whoever may use one of these may say it
    hidden: ClassVar[bool] = False  # understood, but not listed in help

    @classmethod
    def parameters(cls) -> tuple[Field[Any], ...]:
        """Its arguments and flags, in the order of its fields."""
        return tuple(f for f in fields(cls) if "kind" in f.metadata)

    @classmethod
    def usage(cls) -> str:
        """`shutdown [--no-drain] [--media-only]`, made from the fields."""
        words = [cls.command]
        for f in cls.parameters():
            name = f.name.replace("_", "-")
            if f.metadata["kind"] == "flag":
                words.append(f"[--{name}]")
            elif f.metadata["kind"] == "rest":
                words.append(f.metadata["help"])  # what is written there has a shape of its own
            else:
                shown = "|".join(f.metadata.get("choices") or ()) or name.upper()
                words.append(shown if f.default is MISSING else f"[{shown}]")
        return " ".join(words)

    @classmethod
    def summary(cls) -> str:
        """Return the first paragraph of its docstring, in one line."""
        return " ".join((cls.__doc__ or "").strip().split("\n\n")[0].split())

    def words(self) -> str:
        """The command that makes this value again: `startup 3`."""
        said = [self.command]
        for f in self.parameters():
            value = getattr(self, f.name)
            if f.metadata["kind"] == "flag":
                said += [f"--{f.name.replace('_', '-')}"] if value else []
            elif value is not None and value != f.default:
                said.append(str(value))
        return " ".join(said)
