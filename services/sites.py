"""The clusters under the desk's care, and who may do what with each."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from services.certificates import CertificateSeen
from services.clock import Clock
from services.errors import Refused
from services.fenced import Outside
from services.membership import Roster
from services.policy import Kind, Rules, Verdict


@dataclass(frozen=True)
class Site:
    """One cluster under the desk's care."""

    name: str
    world: Outside
    rules: Rules
    certificate: Callable[[], Awaitable[CertificateSeen]] | None = None  # looks at that of the public address
    account: Callable[[], Awaitable[str]] | None = None  # asks whose token it is

    async def look_at_certificate(self) -> CertificateSeen | None:
        """The certificate of the public address; None where there is no way to look."""
        return await self.certificate() if self.certificate is not None else None


class Sites(Mapping[str, Site]):
    """All of them, by name."""

    def __init__(self, sites: Mapping[str, Site], roster: Roster, clock: Clock) -> None:
        self._sites = dict(sites)
        self._roster = roster
        self._clock = clock
        self.foreign: Mapping[str, str] = {}  # clusters that are others in the state, and why

    @property
    def ours(self) -> list[str]:
        """Those that are in the state what they are here: all that anything is done for."""
        return [name for name in self._sites if name not in self.foreign]

    def __getitem__(self, name: str) -> Site:
        return self._sites[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)

    def site(self, name: str) -> Site:
        """The cluster of that name, with its policy as it is at this moment. Refused with the names there are."""
        if name not in self._sites:
            raise Refused(f"there is no cluster {name}; there are: {', '.join(sorted(self._sites))}")
        site = self._sites[name]
        rules = self._roster.known.resolve(site.rules, self._clock.now())
        return replace(site, rules=replace(rules, closed=self.foreign.get(name, "")))

    def rules(self, name: str) -> Rules:
        """Its policy as it is at this moment."""
        return self.site(name).rules


def must(verdict: Verdict) -> Verdict:
    """The verdict, unless it is a no: then Refused with its reason."""
    if verdict.kind is Kind.DENIED:
        raise Refused(verdict.reason)
    return verdict
