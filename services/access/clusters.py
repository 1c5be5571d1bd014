"""The clusters under the desk's care, and who may do what with each."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from services.access.policy import Actor, Kind, Rules, may_read, raise_if_denied
from services.access.user_groups import UserGroupCache
from services.cloud.port import ClusterGateway
from services.cluster.certificates import CertificateSeen
from services.common.clock import Clock
from services.common.errors import Refused


@dataclass(frozen=True)
class ManagedCluster:
    """One cluster under the desk's care."""

    name: str
    world: ClusterGateway
    rules: Rules
    certificate: Callable[[], Awaitable[CertificateSeen]] | None = (
        None  # looks at that of the public address
    )
    account: Callable[[], Awaitable[str]] | None = None  # asks whose token it is

    async def look_at_certificate(self) -> CertificateSeen | None:
        """The certificate of the public address; None where there is no way to look."""
        return await self.certificate() if self.certificate is not None else None


class ClusterRegistry(Mapping[str, ManagedCluster]):
    """All of them, by name."""

    def __init__(
        self, sites: Mapping[str, ManagedCluster], roster: UserGroupCache, clock: Clock
    ) -> None:
        self._sites = dict(sites)
        self._roster = roster
        self._clock = clock
        self.foreign: Mapping[str, str] = {}  # clusters that are others in the state, and why

    @property
    def ours(self) -> list[str]:
        """Those that are in the state what they are here: all that anything is done for."""
        return [name for name in self._sites if name not in self.foreign]

    def __getitem__(self, name: str) -> ManagedCluster:
        return self._sites[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)

    def site(self, name: str) -> ManagedCluster:
        """The cluster of that name, with its policy as it is at this moment. Refused when there is none."""
        if name not in self._sites:
            raise Refused(f"there is no cluster {name}")
        site, now = self._sites[name], self._clock.now()
        rules = self._roster.known.resolve(site.rules, now)
        return replace(site, rules=replace(rules, closed=self.foreign.get(name, ""), at=now))

    def rules(self, name: str) -> Rules:
        """Its policy as it is at this moment."""
        return self.site(name).rules

    # People

    def may_read(self, name: str, actor: Actor) -> bool:
        """Whether this person may see the cluster."""
        return may_read(actor, self.rules(name)).kind is not Kind.DENIED

    def must_read(self, name: str, actor: Actor) -> None:
        """Refused unless this person may see the cluster."""
        raise_if_denied(may_read(actor, self.rules(name)))

    def readable(self, actor: Actor) -> tuple[str, ...]:
        """The clusters that this person may see."""
        return tuple(name for name in sorted(self._sites) if self.may_read(name, actor))

    def named(self, said: str, actor: Actor) -> str:
        """The cluster of that name, for somebody who may see it. Refused with the clusters that this person may see."""
        if said not in self._sites:
            raise Refused(f"there is no cluster {said}{self.listed(actor)}")
        self.must_read(said, actor)
        return said

    def listed(self, actor: Actor) -> str:
        """`; there are: acme, beta`, of those that this person may see."""
        names = self.readable(actor)
        return f"; there are: {', '.join(names)}" if names else ""

    def must_know(self, run_id: str, actor: Actor) -> None:
        """Refused unless this person may see the cluster of that run; whether there is such a run is not looked at."""
        name = run_id.rpartition("-")[0]
        if name in self._sites:
            self.must_read(name, actor)


__all__ = ["ClusterRegistry", "ManagedCluster", "raise_if_denied"]
