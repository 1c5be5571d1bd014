"""Imports modules that take long when they are first used: in a thread, and once."""

import asyncio
import gc
import importlib

_done: set[str] = set()


async def import_once(name: str) -> None:
    """Import a module in a thread, so that the loop goes on; at once when that was done before."""
    if name not in _done:
        await asyncio.to_thread(importlib.import_module, name)
        _done.add(name)
        freeze_again()


def freeze_again() -> None:
    """Spare what was loaded just now from the garbage collector, if this process does so at all.

    Loaded modules and data stay, and going through them holds the loop up (bot/serve.py).
    """
    if gc.get_freeze_count():
        gc.freeze()
