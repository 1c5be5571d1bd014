"""The state port and its two adapters. `RedisStore` and `SqliteStore` are imported where they are built."""

from services.store.port import Commit, Store, Unfit

__all__ = ["Commit", "Store", "Unfit"]
