"""The socket of a running bot: people of this machine ask it there, and the kernel says who they are. One order, many lines."""

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
from collections.abc import AsyncGenerator, Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Protocol

from bot.terminal.command import VERBS
from bot.terminal.identity import Peer, sudo_uid
from handlers.terminal.follow import Line
from handlers.terminal.session import Order
from services.access.policy import Actor
from services.common.causes import cause_of
from services.common.errors import Refused

log = logging.getLogger(__name__)
LONGEST = 16 * 1024
ORDER_WITHIN = 5.0
GUESTS = 20  # at the same time


class NoBot(Exception):
    """Nobody listens there."""


class Ears(Protocol):
    """Whatever hears an order and answers in lines."""

    def hear(self, order: Order, actor: Actor, width: int = 100) -> AsyncGenerator[Line]: ...


class Control:
    """Listens for as long as the bot runs. `who` tells whom a process acts for; Refused when that cannot be proved."""

    def __init__(self, path: Path, terminal: Ears, who: Callable[[Peer], Actor]) -> None:
        self._path = path
        self._terminal = terminal
        self._who = who
        self._server: asyncio.Server | None = None
        self._guests: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen, where nobody does. OSError when the socket cannot be made."""
        if await asyncio.to_thread(_answers, self._path):
            log.warning(
                "another bot listens on %s; this one cannot be asked from a terminal", self._path
            )
            return
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path.unlink(missing_ok=True)  # left behind by a bot that was killed
        self._server = await asyncio.start_unix_server(self._enter, str(self._path), limit=LONGEST)
        # Who may pass is a question of the folder; who they are is asked of the kernel for each of them.
        self._path.chmod(0o660)

    async def close(self) -> None:
        """Stop listening; whoever watches is let go."""
        if self._server is None:
            return
        self._server.close()
        for guest in list(self._guests):
            guest.cancel()
        await asyncio.gather(*self._guests, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._guests) >= GUESTS:
            writer.close()
            return
        peer: socket.socket = writer.get_extra_info("socket")
        pid, uid, _ = struct.unpack(
            "3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        )
        guest = asyncio.create_task(
            self._serve(reader, writer, Peer(uid, pid)), name=f"terminal of user {uid}"
        )
        self._guests.add(guest)
        guest.add_done_callback(self._guests.discard)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Peer
    ) -> None:
        try:
            async with asyncio.timeout(ORDER_WITHIN):
                asked = json.loads(await reader.readline())
            order = Order(
                str(asked["verb"]),
                str(asked["words"]),
                bool(asked["follow"]),
                str(asked.get("shown", "")),
            )
            peer = replace(peer, sudo=int(asked["sudo"])) if asked.get("sudo") is not None else peer
            async with contextlib.aclosing(self.heard(order, peer, int(asked["width"]))) as lines:
                async for line in lines:
                    writer.write(json.dumps(asdict(line)).encode() + b"\n")
                    await writer.drain()
        except (ConnectionError, TimeoutError, ValueError, KeyError, TypeError) as error:
            log.info("a terminal went away: %s", cause_of(error).said)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), 1.0)

    async def heard(self, order: Order, peer: Peer, width: int) -> AsyncGenerator[Line]:
        """One order of that process, and what is answered."""
        try:
            actor = self._who(peer)
        except Refused as why:
            log.warning(
                "an order from a terminal was refused: who asks is not proved (user %d)", peer.uid
            )
            yield Line(f"{why}.", code=1)
            return
        # Never its words: a value that was typed where it does not belong would stand in the log.
        log.info(
            "asked from a terminal by %s: %s",
            actor.user,
            order.verb if order.verb in VERBS else "an unknown verb",
        )
        async with contextlib.aclosing(self._terminal.hear(order, actor, width)) as lines:
            async for line in lines:
                yield line


async def ask(path: Path, order: Order, width: int) -> AsyncGenerator[Line]:
    """What the bot that listens there says. NoBot when none does."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=1024 * 1024)
    except PermissionError:
        raise NoBot(
            f"{path} may not be opened by you: ask for the group that owns its folder"
        ) from None
    except OSError:
        raise NoBot("") from None
    try:
        writer.write(
            json.dumps({**asdict(order), "width": width, "sudo": sudo_uid(os.environ)}).encode()
            + b"\n"
        )
        await writer.drain()
        while said := await reader.readline():
            yield Line(**json.loads(said))
    finally:
        writer.close()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
