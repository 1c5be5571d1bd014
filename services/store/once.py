"""What is done once, on however many bots."""

from services.store import Commit, Store
from services.store.keys import once_key


async def first_time(store: Store, name: str, within: float = 3600.0) -> bool:
    """True once per name within that many seconds: Slack delivers events again, also to another bot."""
    return await store.commit(
        Commit(
            checks={once_key(name): None}, puts={once_key(name): "1"}, ttl={once_key(name): within}
        )
    )
