"""Imports modules that take long when they are first used: in a thread, and once."""

import asyncio
import gc
import importlib

_done: set[str] = set()


class _Freezing:
    """Whether this process spares what it has loaded from the garbage collector."""

    wanted = False


async def import_once(name: str) -> None:
    """Import a module in a thread, so that the loop goes on; at once when that was done before."""
    if name not in _done:
        await asyncio.to_thread(importlib.import_module, name)
        _done.add(name)
        freeze_again()


def freeze() -> None:
    """Spare everything that is loaded from the garbage collector, and what is imported later.

    Loaded modules and data stay: going through them again and again holds the loop up for a fifth
    of a second, and with it acknowledgements.
    """
    _Freezing.wanted = True
    gc.freeze()


def freeze_again() -> None:
    """Spare what was loaded just now, too, if this process does so at all."""
    # Not gc.get_freeze_count(): it counts all objects, one by one, for up to a tenth of a second.
    if _Freezing.wanted:
        gc.freeze()
