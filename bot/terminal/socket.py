"""The control socket of a running bot: users of this machine send one order and get many lines.

The kernel tells which user is at the other end.
"""

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

from bot.terminal.arguments import VERBS
from bot.terminal.identity import Peer, sudo_uid
from handlers.terminal.follow import OutputLine
from handlers.terminal.session import TerminalCommand
from services.access.policy import Actor
from services.common.causes import cause_of
from services.common.errors import Refused

log = logging.getLogger(__name__)
MAX_ORDER = 16 * 1024  # bytes
ORDER_WITHIN = 5.0
MAX_CONNECTIONS = 20


class NoBot(Exception):
    """No bot listens on the socket; the message, if any, says why."""


class OrderHandler(Protocol):
    """Runs an order and yields its answer in lines."""

    def run(
        self, order: TerminalCommand, actor: Actor, width: int = 100
    ) -> AsyncGenerator[OutputLine]: ...


class Control:
    """The listening side. `actor_of` maps a process to an actor; Refused if it cannot be proved."""

    def __init__(
        self, path: Path, terminal: OrderHandler, actor_of: Callable[[Peer], Actor]
    ) -> None:
        self._path = path
        self._terminal = terminal
        self._actor_of = actor_of
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen, unless another bot does. OSError when the socket cannot be made."""
        if await asyncio.to_thread(_answers, self._path):
            log.warning("another bot listens on %s; terminal commands go to that one", self._path)
            return
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path.unlink(missing_ok=True)  # left behind by a bot that was killed
        self._server = await asyncio.start_unix_server(
            self._enter, str(self._path), limit=MAX_ORDER
        )
        # The folder's permissions decide who can connect; the kernel tells who each of them is.
        self._path.chmod(0o660)

    async def close(self) -> None:
        """Stop listening, and end every open connection."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            writer.close()
            return
        peer: socket.socket = writer.get_extra_info("socket")
        pid, uid, _ = struct.unpack(
            "3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        )
        connection = asyncio.create_task(
            self._serve(reader, writer, Peer(uid, pid)), name=f"terminal of user {uid}"
        )
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Peer
    ) -> None:
        try:
            async with asyncio.timeout(ORDER_WITHIN):
                fields = json.loads(await reader.readline())
            order = TerminalCommand(
                str(fields["verb"]),
                str(fields["words"]),
                bool(fields["follow"]),
                str(fields.get("shown", "")),
            )
            if fields.get("sudo") is not None:
                peer = replace(peer, sudo=int(fields["sudo"]))
            async with contextlib.aclosing(
                self.run_order(order, peer, int(fields["width"]))
            ) as lines:
                async for line in lines:
                    fields = asdict(line)
                    if not line.file:
                        del fields["file"]  # a client of an earlier version does not know it
                    writer.write(json.dumps(fields).encode() + b"\n")
                    await writer.drain()
        except (ConnectionError, TimeoutError, ValueError, KeyError, TypeError) as error:
            log.info("a terminal disconnected: %s", cause_of(error).text)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), 1.0)

    async def run_order(
        self, order: TerminalCommand, peer: Peer, width: int
    ) -> AsyncGenerator[OutputLine]:
        """Run one order of a process; yield the answer."""
        try:
            actor = self._actor_of(peer)
        except Refused as why:
            log.warning("refused a terminal command: the user is not proved (uid %d)", peer.uid)
            yield OutputLine(f"{why}.", code=1)
            return
        # The words are not logged: they may hold a secret typed in the wrong place.
        verb = "an unknown verb"
        if order.verb in VERBS:
            verb = order.verb
        log.info("terminal command of %s: %s", actor.user, verb)
        async with contextlib.aclosing(self._terminal.run(order, actor, width)) as lines:
            async for line in lines:
                yield line


async def ask(path: Path, order: TerminalCommand, width: int) -> AsyncGenerator[OutputLine]:
    """Send an order to the bot that listens there; yield its answer. NoBot when none listens."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=1024 * 1024)
    except PermissionError:
        raise NoBot(f"You may not open {path}: join the group that owns its folder") from None
    except OSError:
        raise NoBot("") from None
    try:
        fields = {**asdict(order), "width": width, "sudo": sudo_uid(os.environ)}
        writer.write(json.dumps(fields).encode() + b"\n")
        await writer.drain()
        while line := await reader.readline():
            yield OutputLine(**json.loads(line))
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
