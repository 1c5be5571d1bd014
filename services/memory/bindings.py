"""Sees to it that a name in the state and the cluster at DigitalOcean are the same, before anything is done by that name.

Two deployments that share one state store, and call their clusters alike, would otherwise drive each other's runs.
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
LOOK_EVERY = 60.0  # seconds between looks, while it is not known yet which cluster this is
ASK_EVERY = 300.0  # and between two questions for its account, while no answer comes
Look = Callable[[str, frozenset[Fact]], Awaitable[Cluster]]
AccountOf = Callable[[], Awaitable[str]]


class Bindings:
    """`accounts`: asks whose token a cluster's is; "" where the token may not know."""

    def __init__(
        self, store: Store, clock: Clock, look: Look, accounts: Mapping[str, AccountOf]
    ) -> None:
        self._store = store
        self._clock = clock
        self._look = look
        self._accounts = accounts
        self._own: dict[str, Identity] = {}
        self._ask_at: dict[str, float] = {}  # when to ask for the account, by cluster
        self._looked: dict[str, float] = {}
        self.foreign: dict[str, str] = {}  # clusters that are others in the state, and why

    def saw(self, cluster: Cluster) -> None:
        """A look passed by."""
        if cluster.masters and not cluster.problem:
            seen = Identity("", cluster.stack, tuple(sorted(m.id for m in cluster.masters)))
            self._own[cluster.name] = self._own.get(cluster.name, Identity()).learned(seen)

    async def own(self, name: str) -> Identity:
        """Which cluster it is, as far as this bot has seen it."""
        if name in self._accounts and self._clock.now() >= self._ask_at.get(name, 0.0):
            self._ask_at[name] = float("inf")
            try:
                account = await self._accounts[name]()
            except Rejected:
                account = ""  # the token may not know; that does not change while it is used
            except BotError:
                account, self._ask_at[name] = "", self._clock.now() + ASK_EVERY
            self._own[name] = self._own.get(name, Identity()).learned(Identity(account=account))
        return self._own.get(name, Identity())

    async def check(self, name: str) -> None:
        """Compare it with the state, and write down there what is not known yet. Foreign when they are two."""
        key = identity_key(name)
        (text,) = await self._store.get(key)
        if (
            text is not None
            and name not in self._own
            and self._clock.now() - self._looked.get(name, float("-inf")) >= LOOK_EVERY
        ):
            self._looked[name] = self._clock.now()
            self.saw(await self._look(name, frozenset({Fact.DROPLETS})))
        if name not in self._own:
            return  # not seen yet: neither the one nor the other
        own = await self.own(name)
        stored = _identity(text, name)
        if why := own.differs(stored):
            self.foreign[name] = (
                f"{name} in this state is another cluster: {why}. Two deployments share one state store: "
                "give one of them a state.prefix or a Redis of its own"
            )
            raise Foreign(self.foreign[name])
        self.foreign.pop(name, None)
        if (known := stored.learned(own)) != stored:
            await self._store.commit(
                Commit(checks={key: text}, puts={key: write(known, CLASSES, text)})
            )


def _identity(text: str | None, name: str) -> Identity:
    found = Identity() if text is None else read(text, CLASSES, f"which cluster {name} is")
    return found if isinstance(found, Identity) else Identity()
