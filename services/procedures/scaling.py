"""The procedure that allows scaling by the forecast: approved once, within a quota."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.billing.prices import money
from services.cluster.model import Cluster, Fact
from services.cluster.scaling import (
    CHANGES,
    DAYS,
    ScalingPermission,
    parse_permission,
    permission_text,
)
from services.common.command import CommandClass, argument, option
from services.common.errors import Refused
from services.common.text import count_of
from services.procedures import fleet
from services.procedures.base import Procedure
from services.steps import Step
from services.steps.scaling import SaveScaling

NO_CAPACITY = (
    "how many people a media node bears is not set. Set `people_per_node` of the cluster in the "
    "settings; the bot does not guess it"
)
NO_PRICE = (
    "the price of a media node is unknown now, so no limit a day can be kept. Try again later"
)


@dataclass(frozen=True)
class AllowScaling(Procedure):
    """Scale by the forecast from now on, within a quota."""

    command: ClassVar[str] = "forecast allow"
    help_text: ClassVar[str] = "Scale by the forecast from now on, within a quota that is approved."
    classes: ClassVar[tuple[CommandClass, ...]] = (CommandClass.CAPACITY,)
    verb: ClassVar[str] = "Allow scaling by the forecast of"
    doing: ClassVar[str] = "Allowing scaling by the forecast of"
    done: ClassVar[str] = "may be scaled by the forecast"
    schedulable: ClassVar[bool] = False
    not_schedulable_reason: ClassVar[str] = "a standing permission counts from its approval on"
    changes_cluster: ClassVar[bool] = False
    # Requested again, the permission is renewed.
    repeatable: ClassVar[bool] = True
    required_facts: ClassVar[frozenset[Fact]] = frozenset({Fact.DROPLETS, Fact.POOL})

    nodes: str = argument("between how many media nodes, such as 2-5")
    dollars: str = argument("at most so many dollars a day, for the nodes above the smaller number")
    changes: str = option("changes a day at most", default=CHANGES, syntax="N")
    days: str = option("after how many days it expires", default=DAYS, syntax="N")

    def parse(self) -> ScalingPermission:
        """Return the permission. Refused with what was written and what is allowed."""
        return parse_permission(self.nodes, self.dollars, self.changes, self.days)

    def target_text(self, name: str) -> str:
        spends = f"{self.dollars} and {self.changes} changes a day"
        return f"{name} between {self.nodes} media nodes for {spends}, for {self.days} days"

    def outcome_text(self, name: str) -> str:
        return f"{name} may be scaled by the forecast between {self.nodes} media nodes"

    def check(self, cluster: Cluster) -> None:
        super().check(cluster)
        allowed = self.parse()
        if cluster.pool is None:
            # Refused, with what changes its number instead.
            fleet.fleet_of(cluster).scale(allowed.most, harsh=False)
            raise Refused(f"{cluster.name} has no autoscale pool: its number cannot be set")
        if cluster.people_per_node is None:
            raise Refused(NO_CAPACITY)
        if cluster.media_price is None or cluster.media_price <= 0:
            raise Refused(NO_PRICE)
        if allowed.cap(cluster.media_price) == allowed.least:
            day = money(cluster.media_price * 24)
            raise Refused(
                f"{allowed.dollars} a day pays for no media node above {allowed.least}: one costs "
                f"{day} a day"
            )

    def steps(self, cluster: Cluster) -> Iterator[Step]:
        before = cluster.scaling
        since = before.since if before is not None else 0.0
        yield SaveScaling(permission_text(self.parse()), was=since)

    def notes(self, cluster: Cluster) -> tuple[str, ...]:
        return (
            "Nodes are added before they are needed, and drained once they are not: running "
            "meetings finish, no one is disconnected",
            f"Above {count_of(self.parse().most, 'node')} {cluster.name} is never scaled by it",
            "Nothing is done while demand, meetings or prices are unknown, or while a run, a hold "
            "or a closing is in the way",
            "A number that people set outside of it stays as they set it",
        )

    def cost_note(self, cluster: Cluster) -> str:
        allowed = self.parse()
        if cluster.media_price is None:
            return ""
        cap = allowed.cap(cluster.media_price)
        most = cluster.media_price * 24 * (cap - allowed.least)
        return (
            f"at most {money(most)} a day more than {count_of(allowed.least, 'media node')}: that "
            f"is {count_of(cap, 'media node')} all day"
        )

    @override
    def next_step(self, cluster: Cluster) -> str:
        return "[[command forecast]] shows it; [[command forecast revoke]] ends it"
