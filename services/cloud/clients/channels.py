"""Waits out sshd's limits: sessions of one connection (MaxSessions), logins (MaxStartups).

sshd's defaults are 10 of each; people who harden a node lower them. A refusal says nothing about
the connection: other commands go on using it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

import asyncssh

Connected = TypeVar("Connected")

# At once on one connection: two fewer than sshd allows, for people who log in with the same key.
MAX_CHANNELS = 8
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 2.0


class ChannelOpener:
    """Opens the channel for one command, with retries until the caller's deadline.

    Only at stage `sent` may something of the command have arrived.
    """

    def __init__(self) -> None:
        self.stage: Literal["queued", "connecting", "refused", "sent"] = "queued"

    async def process(
        self, connection: asyncssh.SSHClientConnection, command: str
    ) -> asyncssh.SSHClientProcess[str]:
        """Start the command and return its process."""
        pause = FIRST_PAUSE
        while True:
            self.stage = "sent"
            try:
                return await connection.create_process(command, encoding="utf-8", errors="replace")
            except asyncssh.ChannelOpenError:
                self.stage = "refused"
                if connection.is_closed():
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


async def let_in(connect: Callable[[], Awaitable[Connected]], seconds: float) -> Connected:
    """Return what `connect` returns, with retries within that time.

    sshd with too many logins in progress closes the connection before it sends anything.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    pause = FIRST_PAUSE
    while True:
        try:
            return await connect()
        except (asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError):
            if loop.time() + 2 * pause >= until:
                raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
