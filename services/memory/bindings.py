"""Verifies that a cluster's name in the state means this cluster at DigitalOcean.

Otherwise two deployments that share one state store, and name
their clusters alike, would drive each other's runs.
"""

from collections.abc import Awaitable, Callable, Mapping

from services.cluster.identity import Identity
from services.cluster.model import Cluster, Fact
from services.common.clock import Clock
from services.common.errors import BotError, Foreign, Rejected
from services.common.serialize import Classes, read, write
from services.store import Commit, Store
from services.store.keys import identity_key

CLASSES: Classes = {"Identity": Identity}
LOOK_EVERY = 60.0  # seconds between looks, until the cluster is identified
ASK_EVERY = 300.0  # seconds between two requests for its account, until one is answered
Look = Callable[[str, frozenset[Fact]], Awaitable[Cluster]]
AccountOf = Callable[[], Awaitable[str]]


class ClusterIdentities:
    """Which cluster each name means.

    `accounts`: return the account of a cluster's token; "" where the token has no access.
    """

    def __init__(
        self, store: Store, clock: Clock, look: Look, accounts: Mapping[str, AccountOf]
    ) -> None:
        self._store = store
        self._clock = clock
        self._look = look
        self._accounts = accounts
        self._own: dict[str, Identity] = {}
        # By cluster: when to request the account next.
        self._ask_at: dict[str, float] = {}
        self._looked: dict[str, float] = {}
        # By cluster: the stored text and the identity seen that were found to agree.
        self._agreed: dict[str, tuple[str | None, Identity]] = {}
        # Clusters that are other ones in the state, and why.
        self.foreign: dict[str, str] = {}

    def saw(self, cluster: Cluster) -> None:
        """Learn from a look at a cluster."""
        if cluster.masters and not cluster.problem:
            seen = Identity("", cluster.stack, tuple(sorted(m.id for m in cluster.masters)))
            self._own[cluster.name] = self._own.get(cluster.name, Identity()).merged_with(seen)

    async def own(self, name: str) -> Identity:
        """Return which cluster it is, as far as this bot has seen it."""
        if name in self._accounts and self._clock.now() >= self._ask_at.get(name, 0.0):
            self._ask_at[name] = float("inf")
            try:
                account = await self._accounts[name]()
            except Rejected:
                account = ""  # the token has no access, which does not change while it is used
            except BotError:
                account, self._ask_at[name] = "", self._clock.now() + ASK_EVERY
            self._own[name] = self._own.get(name, Identity()).merged_with(Identity(account=account))
        return self._own.get(name, Identity())

    async def check(self, name: str) -> None:
        """Compare it with the state, and store there what is new.

        Foreign if they are two clusters.
        """
        key = identity_key(name)
        (text,) = await self._store.get(key)
        since_look = self._clock.now() - self._looked.get(name, float("-inf"))
        if text is not None and name not in self._own and since_look >= LOOK_EVERY:
            self._looked[name] = self._clock.now()
            self.saw(await self._look(name, frozenset({Fact.DROPLETS})))
        if name not in self._own:
            return  # not seen yet: neither equal nor different
        own = await self.own(name)
        if self._agreed.get(name) == (text, own):
            return
        stored = _identity(text, name)
        if why := own.differs(stored):
            self.foreign[name] = (
                f"{name} in this state store is another cluster: {why}. "
                "Two deployments share one state store. "
                "Give one of them its own state.prefix or Redis"
            )
            raise Foreign(self.foreign[name])
        self.foreign.pop(name, None)
        merged = stored.merged_with(own)
        if merged == stored:
            self._agreed[name] = text, own
        else:
            puts = {key: write(merged, CLASSES, text)}
            await self._store.commit(Commit(checks={key: text}, puts=puts))


def _identity(text: str | None, name: str) -> Identity:
    if text is None:
        return Identity()
    stored = read(text, CLASSES, f"which cluster {name} is")
    return stored if isinstance(stored, Identity) else Identity()
