"""The managed clusters, and who may do what with each."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

from services.access.policy import AccessResult, Actor, ClusterPolicy, may_read, raise_if_denied
from services.access.user_groups import UserGroupCache
from services.cloud.port import ClusterGateway
from services.cluster.certificates import CertificateSeen
from services.common.clock import Clock
from services.common.errors import ObservesOnly, Refused
from services.common.values import replace
from services.terraform.port import TerraformSource


@dataclass(frozen=True)
class ManagedCluster:
    """A cluster that the bot manages."""

    name: str
    world: ClusterGateway
    rules: ClusterPolicy
    # Reads the certificate of the public address.
    certificate: Callable[[], Awaitable[CertificateSeen]] | None = None
    # Reads the id of the account that the token belongs to.
    account: Callable[[], Awaitable[str]] | None = None
    # Where its Terraform variables are kept; None: not known.
    variables: TerraformSource | None = None
    # Names for several clusters at once.
    labels: tuple[str, ...] = ()

    async def read_certificate(self) -> CertificateSeen | None:
        """Return the certificate of the public address; None where there is no way to read it."""
        if self.certificate is None:
            return None
        return await self.certificate()


class ClusterRegistry(Mapping[str, ManagedCluster]):
    """The managed clusters by name, with authorization."""

    def __init__(
        self, sites: Mapping[str, ManagedCluster], roster: UserGroupCache, clock: Clock
    ) -> None:
        self._sites = dict(sites)
        self._roster = roster
        self._clock = clock
        # Clusters whose name means another cluster in the state, and why.
        self.foreign: Mapping[str, str] = {}
        # Whether this bot drives a cluster, where several bots share one state; else it drives all.
        self.drives: Callable[[str], bool] = _every_cluster
        # This bot only observes: it plans and shows, and changes nothing outside of its own state.
        self.observes = False

    def must_operate_here(self, what: str) -> None:
        """Raise ObservesOnly where this bot only observes. `what`: the change, for the text."""
        if self.observes:
            raise ObservesOnly(what)

    @property
    def is_shared(self) -> bool:
        """Return whether other bots may drive some of them."""
        return self.drives is not _every_cluster

    @property
    def driven(self) -> list[str]:
        """Return the managed clusters whose windows, looks and open runs are left to this bot."""
        return [name for name in self.managed if self.drives(name)]

    @property
    def managed(self) -> list[str]:
        """Return the clusters that are the same in the state: only for these anything is done."""
        return [name for name in self._sites if name not in self.foreign]

    def __getitem__(self, name: str) -> ManagedCluster:
        return self._sites[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)

    def cluster(self, name: str) -> ManagedCluster:
        """Return a cluster with its policy as of now; Refused if there is none of that name."""
        rules = self.rules(name)
        return replace(self._sites[name], rules=rules)

    def rules(self, name: str) -> ClusterPolicy:
        """Return a cluster's policy as of now; Refused if there is none of that name."""
        if name not in self._sites:
            raise Refused(f"there is no cluster “{name}”")
        now = self._clock.now()
        rules = self._roster.known.resolve(self._sites[name].rules, now)
        return replace(rules, closed=self.foreign.get(name, ""), evaluated_at=now)

    # Labels

    @property
    def labels(self) -> tuple[str, ...]:
        """Return every label of any cluster, sorted."""
        return tuple(sorted({label for site in self._sites.values() for label in site.labels}))

    def labelled(self, label: str) -> tuple[str, ...]:
        """Return the clusters with this label, in the order of their names."""
        return tuple(n for n in sorted(self._sites) if label in self._sites[n].labels)

    # People

    def may_read(self, name: str, actor: Actor) -> bool:
        """Return whether the actor may see the cluster."""
        return may_read(actor, self.rules(name)).kind is not AccessResult.DENIED

    def check_read(self, name: str, actor: Actor) -> None:
        """Raise Refused unless the actor may see the cluster."""
        raise_if_denied(may_read(actor, self.rules(name)))

    def readable(self, actor: Actor) -> tuple[str, ...]:
        """Return the clusters that the actor may see."""
        return tuple(name for name in sorted(self._sites) if self.may_read(name, actor))

    def resolve_name(self, typed: str, actor: Actor) -> str:
        """Return a cluster's name as it was typed, if the actor may see that cluster.

        Raises Refused, with the clusters that the actor may see, if there is none of that name.
        """
        if typed not in self._sites and typed in self.labels:
            raise Refused(f"“{typed}” is a label, not a cluster: use `--label {typed}`")
        if typed not in self._sites:
            raise Refused(f"there is no cluster “{typed}”{self.readable_text(actor)}")
        self.check_read(typed, actor)
        return typed

    def readable_text(self, actor: Actor) -> str:
        """Return `; there are: acme, beta`, of the clusters that the actor may see."""
        names = self.readable(actor)
        if not names:
            return ""
        return f"; there are: {', '.join(names)}"

    def check_read_run(self, run_id: str, actor: Actor) -> None:
        """Raise Refused unless the actor may see the cluster of that run, which need not exist."""
        name = run_id.rpartition("-")[0]
        if name in self._sites:
            self.check_read(name, actor)


def _every_cluster(_: str) -> bool:
    return True


__all__ = ["ClusterRegistry", "ManagedCluster", "raise_if_denied"]
