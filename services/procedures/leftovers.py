"""The procedure that deletes what the cluster pays for and does not use."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from typing_extensions import override

from services.billing.prices import money
from services.billing.waste import is_ours, unused
from services.cluster.leftovers import Leftover
from services.cluster.model import EVERYTHING, Cluster, Fact
from services.common.command import rest
from services.common.errors import Refused
from services.procedures.base import Procedure
from services.steps import DeleteLeftovers, Step
from services.steps.leftovers import why_not


@dataclass(frozen=True)
class DeleteWaste(Procedure):
    """Delete droplets, volumes and reserved IPs that nothing uses, as `cost waste` lists them."""

    command: ClassVar[str] = "cost delete"
    help_text: ClassVar[str] = (
        "Delete what nothing uses, as `cost waste` lists it. Looks once more right before."
    )
    verb: ClassVar[str] = "Delete unused resources of"
    doing: ClassVar[str] = "Deleting unused resources of"
    done: ClassVar[str] = "no longer has these unused resources"
    required_facts: ClassVar[frozenset[Fact]] = EVERYTHING | {Fact.LEFTOVERS}
    repeatable: ClassVar[bool] = True

    things: str = rest("volume:ID, ip:ADDRESS or droplet:ID; several with spaces", syntax="KIND:ID")

    @override
    def target_text(self, name: str) -> str:
        return f"{name}: {' '.join(self._refs())}"

    def _refs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.things.replace(",", " ").split()))

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        self._found(cluster)

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        found = self._found(cluster)
        yield DeleteLeftovers(tuple(t.ref for t in found), tuple(t.text for t in found))

    @override
    def replan(self, cluster: Cluster, left: tuple[Step, ...]) -> Iterator[Step]:
        yield from left

    def _found(self, cluster: Cluster) -> list[Leftover]:
        """Return the things. Refused for what is used, deleted, foreign or unread."""
        seen, found = cluster.leftovers, []
        if seen is None:
            raise Refused("what nothing uses was not observed")
        for ref in self._refs():
            if why := seen.why_unread(ref):
                raise Refused(f"{ref} cannot be observed: {why}")
            thing = seen.find(ref)
            if thing is None or not is_ours(cluster, thing):
                there = ", ".join(f"`{t.ref}`" for t in unused(cluster)[:5]) or "nothing"
                raise Refused(f"{cluster.name} has no unused resource “{ref}”; unused is: {there}")
            if why := why_not(cluster, thing):
                raise Refused(why)
            found.append(thing)
        if not found:
            raise Refused("what is to be deleted? [[command cost waste]] lists what nothing uses")
        return found

    def cost_note(self, cluster: Cluster) -> str:
        prices = [t.daily for t in self._found(cluster)]
        if None in prices:
            return "ends costs whose price is unknown"
        return f"saves {money(sum((p for p in prices if p), Decimal(0)))} a day"

    @override
    def next_step(self, cluster: Cluster) -> str:
        return "[[command cost waste]] shows what else nothing uses"
