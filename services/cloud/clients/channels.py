"""What sshd limits, waited out: channels of one connection (MaxSessions) and logins under way at a time (MaxStartups).

sshd's own defaults are 10 of each; people who harden a node lower them. A refusal is no trouble of the connection: others go on using it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    import asyncssh

Connected = TypeVar("Connected")

MAX_CHANNELS = 8  # at once on one connection: two fewer than sshd allows, for people who are logged in the same way
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 2.0


class Opening:
    """Opens the channel for one command. A refused channel is asked for again, until the caller's deadline.

    Only at the stage `sent` may something of the command have arrived.
    """

    def __init__(self) -> None:
        self.stage: Literal["queued", "connecting", "refused", "sent"] = "queued"

    async def process(
        self, connection: "asyncssh.SSHClientConnection", command: str
    ) -> "asyncssh.SSHClientProcess[str]":
        """The command's process."""
        import asyncssh  # noqa: PLC0415 - 0.2 s and 14 MB

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
    """What `connect` returns. sshd that has enough logins under way hangs up before it says a word: then again, within that time."""
    import asyncssh  # noqa: PLC0415 - 0.2 s and 14 MB

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
