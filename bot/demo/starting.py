"""How a simulated world begins and ends in a terminal, with a bot or without."""

import errno
import sys

from bot.demo.world import DemoWorld, SidePanel

PORT = 8300


async def start_on(world: DemoWorld, port: int | None, page: SidePanel | None = None) -> str:
    """Start a world on a port; return why that is not possible, else "".

    `port` None: the usual one, or a free one if it is in use.
    """
    try:
        await world.start(PORT if port is None else port, page)
    except OSError as error:
        if port is None and error.errno == errno.EADDRINUSE:
            return await start_on(world, 0, page)
        return (
            f"port {port if port is not None else PORT} cannot be listened on "
            f"({error.strerror}); try --port 0 for a free one"
        )
    return ""


def say_end(text: str) -> None:
    """Say on a terminal that it is over; a script reads the exit code."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text}\n")
