# ruff: noqa: ARG002 - the defaults of Procedure ignore arguments that overriding procedures need
"""The base class of procedures: an operator's request, as a value that yields steps."""

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
    """An operation on a cluster. Its fields are the command's arguments."""

    # As in "Shut down acme", "Shutting down acme", "acme is shut down".
    verb: ClassVar[str]
    doing: ClassVar[str]
    done: ClassVar[str]
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.CAPACITY,)
    # What has to be observed to plan it.
    required_facts: ClassVar[frozenset[Fact]] = EVERYTHING
    # Its masters boot from a secrets.env of its own, which was checked when it was staged.
    brings_secrets_env: ClassVar[bool] = False
    # `--at` is accepted: it can be approved now and started later.
    schedulable: ClassVar[bool] = True
    not_schedulable_reason: ClassVar[str] = ""
    # False: only the bot's own schedule is changed, so a bot that observes does it too.
    changes_cluster: ClassVar[bool] = True
    # Requested again it is done again: a restart is an action, not a state.
    repeatable: ClassVar[bool] = False

    def required_classes(self) -> tuple[CommandClass, ...]:
        """Return the command classes of this request. The requester may use all of them."""
        return self.classes

    def target_text(self, name: str) -> str:
        """Return what follows the verb: `acme`, `acme to 5 media nodes`, `master-2 of acme`.

        It differs for whatever can be requested with other arguments or flags.
        """
        return name

    def outcome_text(self, name: str) -> str:
        """Return the state when it is done: `acme is shut down`."""
        return f"{name} {self.done}"

    def state_text(self, name: str) -> str:
        """Return the state when there is nothing to do: `acme is in service`."""
        return self.outcome_text(name)

    def obsolete_reason(self, cluster: Cluster) -> str:
        """Return why it can no longer be done as requested; "" when it can."""
        return ""

    @abstractmethod
    def steps(self, cluster: Cluster) -> Iterator[Step]:
        """Yield all steps from this cluster to the goal, in order.

        The plan leaves out steps that are already reached.
        """

    def replan(self, cluster: Cluster, left: tuple[Step, ...]) -> Iterator[Step]:
        """Yield the steps from a cluster that changed during the run.

        `left`: the remaining steps of the plan so far.
        """
        return self.steps(cluster)

    def check(self, cluster: Cluster) -> None:
        """Refuse what makes no sense for this cluster, and name the alternative."""
        if cluster.problem:
            raise Refused(cluster.problem)

    def recover(self, cluster: Cluster, step: Step) -> Iterator[Step]:
        """Yield the rollback to a safe state when `step` cannot be reached."""
        return iter(())

    def recover_because(self, cluster: Cluster, step: Step, reason: str) -> Iterator[Step]:
        """Yield the same rollback. `reason`: why `step` cannot be reached, as people read it."""
        return self.recover(cluster, step)

    def remainder_after_rollback(self, was: Basis, cluster: Cluster) -> str:
        """Return what differs from before after the rollback; "" when nothing does."""
        return ""

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        """Return what people should know before approval, beside the effects of the steps."""
        return ()

    def cost_note(self, cluster: Cluster) -> str:
        """Return how it changes the bill, beside the droplets' hourly price."""
        return ""

    def follow_up(self, cluster: Cluster) -> tuple[str, ...]:
        """Return what people should know or do when it is done.

        Such as what the vendor's Terraform would revert. `cluster`: as planned.
        """
        return ()

    def next_step(self, cluster: Cluster) -> str:
        """Return what to do next, shown at the end."""
        return ""


def without_draining(target: str) -> str:
    """Return the target of a procedure that ends meetings."""
    return f"{target} without draining"
