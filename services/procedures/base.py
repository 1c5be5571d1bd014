"""What every procedure is: a frozen value made from an operator's words, that yields steps for a cluster."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar

from services.cluster import EVERYTHING, Cluster, Fact
from services.errors import Refused
from services.steps import Step

FORWARD = "forward"


def argument(help_text: str, *, default: Any = MISSING, choices: tuple[str, ...] = ()) -> Any:
    """A field that is typed as a word of its own: `/openvidu startup 3`."""
    return field(default=default, metadata={"help": help_text, "choices": choices, "kind": "argument"})


def flag(help_text: str) -> Any:
    """A field that is typed as `--its-name`."""
    return field(default=False, metadata={"help": help_text, "kind": "flag"})


@dataclass(frozen=True)
class Procedure(ABC):
    """Its fields are the command's arguments, its docstring the help."""

    command: ClassVar[str]
    verb: ClassVar[str]  # "Shut down", for "Shut down acme"
    doing: ClassVar[str]  # "Shutting down"
    done: ClassVar[str]  # "is down"
    looks_at: ClassVar[frozenset[Fact]] = EVERYTHING

    @abstractmethod
    def steps(self, cluster: Cluster) -> Iterator[Step]:
        """The way from this cluster to the goal, in order. Steps that are reached already are left out of the plan."""

    def check(self, cluster: Cluster) -> None:
        """Refuse, with the right alternative, what makes no sense here."""
        if cluster.problem:
            raise Refused(cluster.problem)

    def recover(self, cluster: Cluster, step: Step) -> Iterator[Step]:  # noqa: ARG002
        """The way to a safe state when `step` cannot be reached."""
        return iter(())

    def next_words(self, cluster: Cluster) -> str:  # noqa: ARG002
        """What to do next, said at the end."""
        return ""

    @classmethod
    def parameters(cls) -> tuple[Field[Any], ...]:
        """Its arguments and flags, in the order of its fields."""
        return tuple(f for f in fields(cls) if "kind" in f.metadata)

    @classmethod
    def usage(cls) -> str:
        """`shutdown [--no-drain] [--media-only]`, made from the fields."""
        words = [cls.command]
        for f in cls.parameters():
            if f.metadata["kind"] == "flag":
                words.append(f"[--{f.name.replace('_', '-')}]")
            elif f.default is MISSING:
                words.append(f.name.upper())
            else:
                words.append(f"[{f.name.upper()}]")
        return " ".join(words)

    @classmethod
    def summary(cls) -> str:
        """The first line of its docstring."""
        return (cls.__doc__ or "").strip().splitlines()[0]

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
