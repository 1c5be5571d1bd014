"""What every procedure is: a frozen value made from an operator's words, that yields steps for a cluster."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from services.cluster.model import EVERYTHING, Basis, Cluster, Fact
from services.common.command import Command, CommandClass
from services.common.errors import Refused
from services.steps import Step


@dataclass(frozen=True)
class Procedure(Command, ABC):
    """Its fields are the command's arguments, its docstring the help."""

    verb: ClassVar[str]  # "Shut down", for "Shut down acme"
    doing: ClassVar[str]  # "Shutting down"
    done: ClassVar[str]  # "is down"
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.CAPACITY,)
    looks_at: ClassVar[frozenset[Fact]] = EVERYTHING
    brings_file: ClassVar[bool] = (
        False  # its masters boot from a secrets.env of its own, checked when that was staged
    )
    schedulable: ClassVar[bool] = (
        True  # `--at` is understood: it can be planned and approved now, and done later
    )
    why_not_later: ClassVar[str] = ""
    each_time: ClassVar[bool] = (
        False  # asked for again it is done again: a restart is an act, not a state
    )

    def needs(self) -> tuple[CommandClass, ...]:
        """The classes that this very change takes: whoever asks for it may use all of them."""
        return self.classes

    def about(self, name: str) -> str:
        """What it is about, said after its verb: `acme`, `acme to 5 media nodes`, `master-2 of acme`."""
        return name

    def ended(self, name: str) -> str:
        """What is so when it is done: `acme is down`."""
        return f"{name} {self.done}"

    def outdated(self, cluster: Cluster) -> str:  # noqa: ARG002
        """Why it can never be done any more as it was asked for; "" when it can."""
        return ""

    @abstractmethod
    def steps(self, cluster: Cluster) -> Iterator[Step]:
        """The way from this cluster to the goal, in order. Steps that are reached already are left out of the plan."""

    def onward(self, cluster: Cluster, left: tuple[Step, ...]) -> Iterator[Step]:  # noqa: ARG002
        """The way from this cluster when it is half done and no longer as it was planned for; `left` are the steps still to come."""
        return self.steps(cluster)

    def check(self, cluster: Cluster) -> None:
        """Refuse, with the right alternative, what makes no sense here."""
        if cluster.problem:
            raise Refused(cluster.problem)

    def recover(self, cluster: Cluster, step: Step) -> Iterator[Step]:  # noqa: ARG002
        """The way to a safe state when `step` cannot be reached."""
        return iter(())

    def left(self, was: Basis, cluster: Cluster) -> str:  # noqa: ARG002
        """What is not as it was after the way back, in words; "" when everything is."""
        return ""

    def notes(self, cluster: Cluster) -> tuple[str, ...]:  # noqa: ARG002
        """What people should know before they agree, beside what its steps say."""
        return ()

    def money(self, cluster: Cluster) -> str:  # noqa: ARG002
        """What it does to the bill, beside the droplets' price per hour."""
        return ""

    def afterwards(self, cluster: Cluster) -> tuple[str, ...]:  # noqa: ARG002
        """What people should know or do once it is done, such as what the vendor's Terraform would undo. `cluster` as planned."""
        return ()

    def next_words(self, cluster: Cluster) -> str:  # noqa: ARG002
        """What to do next, said at the end."""
        return ""
