"""The state store: its interface and two adapters, `RedisStore` and `SqliteStore`.

The adapters are imported where they are built, so that only the chosen one's library is loaded.
"""

from services.store.port import Commit, Store, Unfit

__all__ = ["Commit", "Store", "Unfit"]
