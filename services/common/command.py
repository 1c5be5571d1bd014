"""Commands as values: a frozen dataclass whose fields are the command's words.

Its docstring is the command's help text.
"""

from dataclasses import MISSING, Field, dataclass, field, fields
from enum import StrEnum
from typing import Any, ClassVar


def argument(help_text: str, *, default: Any = MISSING, choices: tuple[str, ...] = ()) -> Any:
    """Declare a field that is typed as a word of its own: `/openvidu startup 3`."""
    return field(
        default=default, metadata={"help": help_text, "choices": choices, "kind": "argument"}
    )


def flag(help_text: str) -> Any:
    """Declare a field that is typed as `--its-name`."""
    return field(default=False, metadata={"help": help_text, "kind": "flag"})


def option(help_text: str, *, default: str, syntax: str) -> Any:
    """Declare a field that is typed as `--its-name VALUE`. `syntax`: of the value, for usage."""
    metadata = {"help": help_text, "syntax": syntax, "kind": "option"}
    return field(default=default, metadata=metadata)


def rest(help_text: str, *, syntax: str = "", default: Any = MISSING) -> Any:
    """Declare a last field that takes the rest of the line as it was typed.

    `syntax`: as usage shows it; "" where `help_text` is the syntax.
    """
    metadata = {"help": help_text, "syntax": syntax or help_text, "kind": "rest"}
    return field(default=default, metadata=metadata)


class CommandClass(StrEnum):
    """What a command is about. Each cluster's settings may name who uses a class, by this value."""

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
    """A command that can be typed. `_` in a field's name is typed as `-`."""

    command: ClassVar[str]
    # A role for one of these is enough to type it.
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.LOOK,)
    # Accepted, but not listed in help.
    hidden: ClassVar[bool] = False
    # Shown in help; "": the first line of the docstring.
    help_text: ClassVar[str] = ""

    @classmethod
    def parameters(cls) -> tuple[Field[Any], ...]:
        """Return its arguments and flags, in the order of its fields."""
        return tuple(f for f in fields(cls) if "kind" in f.metadata)

    @classmethod
    def usage(cls) -> str:
        """Return its syntax, such as `shutdown [--no-drain] [--media-only]`."""
        return " ".join([cls.command, *(syntax(f) for f in cls.parameters())])

    @classmethod
    def summary(cls) -> str:
        """Return what help shows about it."""
        return cls.help_text or " ".join((cls.__doc__ or "").strip().split("\n\n")[0].split())

    def command_line(self) -> str:
        """Return the command line that parses to this value: `startup 3`."""
        line = [self.command]
        for f in self.parameters():
            value = getattr(self, f.name)
            if f.metadata["kind"] == "flag":
                if value:
                    line.append(f"--{_typed_name(f)}")
            elif f.metadata["kind"] == "option":
                if value != f.default:
                    line.append(f"--{_typed_name(f)} {value}")
            elif value is not None and value != f.default:
                line.append(str(value))
        return " ".join(line)


def syntax(parameter: Field[Any]) -> str:
    """Return a parameter as usage shows it: `NODE`, `[MEDIA]`, `[--no-drain]`."""
    metadata = parameter.metadata
    if metadata["kind"] == "flag":
        return f"[--{_typed_name(parameter)}]"
    if metadata["kind"] == "option":
        return f"[--{_typed_name(parameter)} {metadata['syntax']}]"
    if metadata["kind"] == "rest":
        return str(metadata["syntax"])
    placeholder = "|".join(metadata.get("choices") or ()) or _typed_name(parameter).upper()
    if parameter.default is MISSING:
        return placeholder
    return f"[{placeholder}]"


def _typed_name(parameter: Field[Any]) -> str:
    return parameter.name.replace("_", "-")
