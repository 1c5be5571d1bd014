"""Detects which OpenVidu deployment a stack is, and describes its control plane. Pure.

The vendor's Terraform makes three on DigitalOcean. Only the names of the masters differ: High
Availability has `STACK-master-node-1` to `-4`, Elastic has one `STACK-master-node`, Single Node has
one droplet `STACK-vm-ce-pro` (PRO) or `STACK-vm-ce` (COMMUNITY), on which the meetings run too.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from services.cluster.fleet_kind import ResourceNames
from services.cluster.model import Cluster, Deployment
from services.common.text import count_of, join_words
from services.secrets_env import SecretsLayout, layout

HIGH_AVAILABILITY_MASTERS = 4
COUNTS = {1: "one", HIGH_AVAILABILITY_MASTERS: "four"}
# As the vendor writes them.
TITLES = {
    Deployment.HIGH_AVAILABILITY: "High Availability",
    Deployment.ELASTIC: "Elastic",
    Deployment.SINGLE_NODE: "Single Node",
    Deployment.UNKNOWN: "of an unknown type",
}


@dataclass(frozen=True)
class ControlPlane:
    """What the masters of a deployment are, and what differs because of it.

    Procedures and steps ask this value, never for the deployment.
    """

    deployment: Deployment
    # How many masters it has when whole; None: unknown.
    masters: int | None
    # What one of them is called in sentences: `master`, or `node` where it is the only droplet.
    noun: str
    # All of them: `masters 1-4`, `the master`, `the node`.
    all_masters: str
    # One master can be changed while the others stay in service.
    can_roll: bool
    # What the public address leads to: `the load balancer`, `the reserved IP`.
    front: str
    # The buckets that Terraform creates, as patterns of their names; the one with secrets.env last.
    buckets: tuple[str, ...]
    # The variable of the vendor's Terraform that has the size of its masters.
    size_variable: str = "masterNodesInstanceType"
    # What its secrets.env should have.
    secrets: SecretsLayout = layout.HIGH_AVAILABILITY
    # The meetings run on the master itself.
    hosts_meetings: bool = False
    # How media nodes reach the services of the masters, as in LiveKit's webhooks.
    webhook_host: str = "127.0.0.1"
    # Its masters read secrets.env on their own disk, not in the bucket.
    own_secrets: bool = False
    # Its firewall lets no one outside its network reach a master's health page, or no one at all:
    # it is asked for on the node, by SSH.
    hides_health: bool = False

    @property
    def title(self) -> str:
        """Return the vendor's name of the deployment: `High Availability`."""
        return TITLES[self.deployment]

    @property
    def label(self) -> str:
        """Return the heading of a line about them: `Masters`, `Master`, `Node`."""
        return self.noun.capitalize() + ("" if self.masters == 1 else "s")

    @property
    def count(self) -> str:
        """Return how many masters it has, in words: `four masters`, `one master`."""
        if self.masters is None:
            return f"an unknown number of {self.noun}s"
        return f"{COUNTS[self.masters]} {self.noun}{'' if self.masters == 1 else 's'}"

    @property
    def not_all_on(self) -> str:
        """Return that a master is powered off: `not all masters are powered on`."""
        if self.masters == 1:
            return f"{self.all_masters} is not powered on"
        return "not all masters are powered on"

    @property
    def others(self) -> str:
        """Return the masters that stay in service while one is changed; "" where there are none."""
        return "the other three masters" if self.can_roll else ""

    @property
    def why_no_rolling(self) -> str:
        """Return why its masters cannot be changed one at a time; "" where they can."""
        if self.can_roll:
            return ""
        if self.masters is None:
            return "which deployment it is, is unknown"
        only = "only droplet" if self.hosts_meetings else "only master"
        return f"it is {self.title}: a change of its {only} is always downtime"

    def missing(self, seen: int) -> int:
        """Return how many masters are missing when so many were seen."""
        return 0 if self.masters is None else max(0, self.masters - seen)


CONTROL_PLANES = {
    Deployment.HIGH_AVAILABILITY: ControlPlane(
        Deployment.HIGH_AVAILABILITY,
        masters=HIGH_AVAILABILITY_MASTERS,
        noun="master",
        all_masters="masters 1-4",
        can_roll=True,
        front="the load balancer",
        buckets=("STACK-space-appdata-...", "STACK-space-clusterdata-..."),
    ),
    Deployment.ELASTIC: ControlPlane(
        Deployment.ELASTIC,
        masters=1,
        noun="master",
        all_masters="the master",
        can_roll=False,
        front="the reserved IP",
        buckets=("STACK-space-...",),
        size_variable="masterNodeInstanceType",
        webhook_host="master-node",
        secrets=layout.ELASTIC,
        hides_health=True,
    ),
    Deployment.SINGLE_NODE: ControlPlane(
        Deployment.SINGLE_NODE,
        masters=1,
        noun="node",
        all_masters="the node",
        can_roll=False,
        front="the reserved IP",
        buckets=("STACK-space-...",),
        size_variable="instanceType",
        secrets=layout.SINGLE_NODE,
        hosts_meetings=True,
        own_secrets=True,
        hides_health=True,
    ),
    Deployment.UNKNOWN: ControlPlane(
        Deployment.UNKNOWN,
        masters=None,
        noun="master",
        all_masters="the masters",
        can_roll=False,
        front="the public address",
        buckets=(),
    ),
}


def control_plane_of(cluster: Cluster) -> ControlPlane:
    """Return what the masters of this cluster are, and what differs because of it."""
    return CONTROL_PLANES[cluster.deployment]


def detect_deployment(
    names: ResourceNames, found: Collection[str], *, unread: str = ""
) -> tuple[Deployment, str]:
    """Return the deployment, and why nothing may be changed; "" if it may.

    `found`: the names of the droplets that were seen, with duplicates; those of other stacks and of
    media nodes do not count. `unread`: why not all of them could be read; then nothing is known,
    because one that was not seen may be of another deployment.
    """
    if unread:
        return Deployment.UNKNOWN, f"not all droplets of {names.stack} were observed ({unread})"
    by_kind = {
        Deployment.HIGH_AVAILABILITY: sorted(n for n in found if names.is_numbered_master(n)),
        Deployment.ELASTIC: sorted(n for n in found if names.is_only_master(n)),
        Deployment.SINGLE_NODE: sorted(n for n in found if names.is_single_node(n)),
    }
    present = {kind: droplets for kind, droplets in by_kind.items() if droplets}
    if not present:
        return Deployment.UNKNOWN, (
            f"no droplet of a stack named {names.stack} is visible to this token"
        )
    if len(present) > 1:
        return Deployment.UNKNOWN, _mixed(names.stack, present)
    ((kind, droplets),) = present.items()
    return kind, _wrong_number(names.stack, kind, droplets)


def _mixed(stack: str, present: dict[Deployment, list[str]]) -> str:
    parts = join_words(f"{', '.join(found)} ({TITLES[kind]})" for kind, found in present.items())
    return (
        f"{stack} has the droplets of {len(present)} deployments at once: {parts}. "
        "Which one is meant is unknown; nothing is changed while both exist"
    )


def _wrong_number(stack: str, kind: Deployment, droplets: list[str]) -> str:
    """Return that there are too few or too many of them; "" when exactly the right ones exist."""
    plane = CONTROL_PLANES[kind]
    repeated = [name for name, times in Counter(droplets).items() if times > 1]
    if len(droplets) == plane.masters and not repeated:
        return ""
    what = f"{stack} has {count_of(len(droplets), plane.noun)} ({', '.join(droplets)})"
    if len(droplets) == plane.masters:
        twice = join_words(repeated)
        return f"{what}; {twice} exists more than once, so which one is meant is unknown"
    needed = "exactly four are needed" if plane.can_roll else "exactly one is needed"
    return f"{what}; {needed}"


__all__ = [
    "CONTROL_PLANES",
    "TITLES",
    "ControlPlane",
    "Deployment",
    "control_plane_of",
    "detect_deployment",
]
