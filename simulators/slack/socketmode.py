"""Socket Mode: envelopes over web sockets that the app opens, each envelope over one of them."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable

from aiohttp import WSCloseCode, WSMsgType, web

from simulators.slack.delivery import AppDelivery, Envelope, Undelivered
from simulators.slack.faults import SlackFaults
from simulators.slack.journal import WireLog
from simulators.slack.model import JSON

MOST_SOCKETS = 10


class SocketMode(AppDelivery):
    """The app's sockets, and the envelopes in transit."""

    def __init__(
        self,
        journal: WireLog,
        faults: SlackFaults | None = None,
        app_id: str = "A0SIM",
        base_url: str = "",
    ) -> None:
        super().__init__(journal, faults)
        self.app_id = app_id
        self.base_url = base_url
        self.sockets: list[web.WebSocketResponse] = []
        self._deaf: set[web.WebSocketResponse] = set()
        self._tickets: set[str] = set()
        self._numbers = itertools.count(1)
        self._turn = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._pending: dict[str, asyncio.Future[JSON | None]] = {}

    def open_url(self) -> str:
        """Return a new address for one socket, good for one handshake."""
        ticket = f"ticket-{next(self._numbers)}"
        self._tickets.add(ticket)
        return f"{self.base_url.replace('http', 'ws', 1)}/link?ticket={ticket}&app_id={self.app_id}"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Accept one socket and read its acks until it closes."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets or self.faults.take_handshake():
            self._tickets.discard(ticket)
            return web.Response(status=401)
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if len(self.sockets) >= MOST_SOCKETS:
            # Slack does not refuse the handshake: it accepts, sends the reason, and closes.
            await self._disconnect(socket, "too_many_websockets")
            await socket.close()
            return socket
        self.sockets.append(socket)
        self._came_or_went("opened")
        try:
            await socket.send_json(self._hello())
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    self._read(message.data)
        finally:
            self._deaf.discard(socket)
            if socket in self.sockets:
                self.sockets.remove(socket)
            self._came_or_went("closed")
        return socket

    async def send(self, envelope: Envelope) -> JSON | None:
        live = [socket for socket in self.sockets if not socket.closed]
        if not live:
            raise Undelivered("dispatch_failed")
        self._turn += 1
        wire: JSON = {
            "envelope_id": envelope.id,
            "type": envelope.kind,
            "payload": envelope.payload,
            "accepts_response_payload": envelope.accepts_response_payload,
        }
        if envelope.kind == "events_api":
            wire |= {"retry_attempt": envelope.attempt, "retry_reason": envelope.reason}
        # The ack may come back over any socket of the app, so it is matched by the envelope's id
        # alone.
        ack: asyncio.Future[JSON | None] = asyncio.get_running_loop().create_future()
        self._pending[envelope.id] = ack
        try:
            chosen = live[self._turn % len(live)]
            if chosen not in self._deaf:
                await chosen.send_json(wire)
            return await ack
        except ConnectionError as gone:
            raise Undelivered("dispatch_failed") from gone
        finally:
            self._pending.pop(envelope.id, None)

    async def until(self, predicate: Callable[[list[web.WebSocketResponse]], bool]) -> None:
        """Wait until the predicate accepts the app's sockets."""
        while not predicate(self.sockets):
            self._waiting.append(asyncio.get_running_loop().create_future())
            await self._waiting[-1]

    async def refresh(self, warning_seconds: float = 10.0) -> None:
        """Replace every socket as Slack does now and then: warn, ask for a refresh, close."""
        for socket in list(self.sockets):
            await self._disconnect(socket, "warning")
            await asyncio.sleep(warning_seconds)
            await self._disconnect(socket, "refresh_requested")
            await socket.close()

    async def disable_link(self) -> None:
        """Switch Socket Mode off in the app's settings."""
        for socket in list(self.sockets):
            await self._disconnect(socket, "link_disabled")
            await socket.close()

    def reset(self) -> None:
        """Break every connection, without a close frame."""
        for socket in list(self.sockets):
            if transport := _transport(socket):
                transport.abort()

    def fall_silent(self, noticed_after: float = 15.0) -> None:
        """Keep every connection open but silent in both directions, until Slack notices."""
        for socket in list(self.sockets):
            if transport := _transport(socket):
                transport.pause_reading()
                self._deaf.add(socket)
                asyncio.get_running_loop().call_later(noticed_after, transport.abort)

    async def close(self) -> None:
        for socket in list(self.sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY)
        await super().close()

    def _came_or_went(self, what: str) -> None:
        self.journal.write("socket", f"{what}, {len(self.sockets)} now")
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    async def _disconnect(self, socket: web.WebSocketResponse, reason: str) -> None:
        self.journal.write("socket", f"disconnect: {reason}")
        with contextlib.suppress(ConnectionError):
            await socket.send_json(
                {"type": "disconnect", "reason": reason, "debug_info": {"host": "sim"}}
            )

    def _hello(self) -> JSON:
        return {
            "type": "hello",
            "num_connections": len(self.sockets),
            "connection_info": {"app_id": self.app_id},
            "debug_info": {"host": "sim", "approximate_connection_time": 18060},
        }

    def _read(self, data: str) -> None:
        try:
            ack = json.loads(data)
        except ValueError:
            self.journal.complain("a socket message that is not JSON")
            return
        waiting = self._pending.get(str(ack.get("envelope_id")))
        if waiting is None:
            self.journal.complain(
                f"ack for an envelope that nobody waits for: {ack.get('envelope_id')}"
            )
        elif not waiting.done():
            waiting.set_result(ack.get("payload"))


def _transport(socket: web.WebSocketResponse) -> asyncio.Transport | None:
    request = socket._req  # noqa: SLF001 - there is no public way to its transport
    held = socket.get_extra_info("socket") and request and request.transport
    return held if isinstance(held, asyncio.Transport) else None
