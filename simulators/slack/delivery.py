"""How Slack delivers to the app, and how long it waits: one interface, three transports."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from simulators.slack.faults import SlackFaults
from simulators.slack.journal import WireLog
from simulators.slack.model import JSON

ACK_SECONDS = 3.0
# Nearly at once, after a minute, after five.
RETRY_SECONDS = (0.0, 60.0, 300.0)


@dataclass(frozen=True)
class Envelope:
    """One delivery. `kind`: slash_commands, interactive or events_api."""

    id: str
    kind: str
    payload: JSON
    accepts_response_payload: bool = False
    attempt: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Delivered:
    """What became of a delivery."""

    acked: bool
    payload: JSON | None = None
    elapsed: float = 0.0
    error: str = ""


class Undelivered(Exception):
    """The app did not acknowledge the envelope; the text is Slack's reason."""


class AppDelivery(ABC):
    """A transport to the app.

    All waiting is on the loop's clock, so nothing really waits in virtual time.
    """

    def __init__(self, journal: WireLog, faults: SlackFaults | None = None) -> None:
        self.journal = journal
        self.faults = faults or SlackFaults()
        self._count = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def send(self, envelope: Envelope) -> JSON | None:
        """Send the envelope to the app and return the payload of its ack, or raise Undelivered."""

    async def deliver(
        self, kind: str, payload: JSON, accepts_response_payload: bool = False
    ) -> Delivered:
        """Deliver, wait up to three seconds for the ack, and retry events later."""
        self._count += 1
        envelope = Envelope(f"env-{self._count:06d}", kind, payload, accepts_response_payload)
        delivered = await self._once(envelope)
        if kind == "events_api" and not delivered.acked:
            self.keep(asyncio.ensure_future(self._again(envelope, delivered.error)))
        return delivered

    def keep(self, task: "asyncio.Task[None]") -> None:
        """Keep a task alive until it ends."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop everything that still waits."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _once(self, envelope: Envelope) -> Delivered:
        loop = asyncio.get_running_loop()
        began, name = loop.time(), _name(envelope)
        self.journal.write(
            "envelope",
            name,
            note=f"retry {envelope.attempt}" if envelope.attempt else "",
            sent=envelope.payload,
        )
        lost = False
        try:
            async with asyncio.timeout(ACK_SECONDS):
                payload = await self.send(envelope)
                lost = self.faults.take_ack()
                if lost:
                    await asyncio.sleep(ACK_SECONDS + 1)
            delivered = Delivered(acked=True, payload=payload, elapsed=loop.time() - began)
        except TimeoutError:
            delivered = Delivered(
                acked=False, elapsed=loop.time() - began, error="operation_timeout"
            )
        except Undelivered as why:
            delivered = Delivered(acked=False, elapsed=loop.time() - began, error=str(why))
        self._judge(envelope, delivered, lost=lost)
        return delivered

    async def _again(self, envelope: Envelope, error: str) -> None:
        for attempt, wait in enumerate(RETRY_SECONDS, 1):
            await asyncio.sleep(wait)
            reason = "timeout" if error == "operation_timeout" else "connection_failed"
            delivered = await self._once(replace(envelope, attempt=attempt, reason=reason))
            if delivered.acked:
                return

    def _judge(self, envelope: Envelope, delivered: Delivered, *, lost: bool) -> None:
        name, answer = _name(envelope), delivered.payload or {}
        self.journal.write(
            "ack",
            name,
            ok=delivered.acked,
            ms=round(delivered.elapsed * 1000, 1),
            note=delivered.error,
            answer=answer,
        )
        if not delivered.acked and not lost:
            self.journal.complain(f"{name}: not acked ({delivered.error})")
        if delivered.payload and not envelope.accepts_response_payload:
            self.journal.complain(
                f"{name}: the ack carries a payload and Slack does not accept one here"
            )


class InProcess(AppDelivery):
    """Straight into a coroutine: it returns an ack's payload, or None for an empty ack.

    Raising means no ack.
    """

    def __init__(
        self,
        receive: Callable[[str, JSON], Awaitable[JSON | None]],
        journal: WireLog,
        faults: SlackFaults | None = None,
    ) -> None:
        super().__init__(journal, faults)
        self.receive = receive

    async def send(self, envelope: Envelope) -> JSON | None:
        task = asyncio.ensure_future(self._received(envelope))
        try:
            # Slack does not stop an app that is late.
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self.keep(asyncio.ensure_future(_quietly(task)))
            raise

    async def _received(self, envelope: Envelope) -> JSON | None:
        try:
            return await self.receive(envelope.kind, envelope.payload)
        except Undelivered:
            raise
        except Exception as broken:
            raise Undelivered(f"dispatch_failed: {broken!r}") from broken


async def _quietly(task: "asyncio.Future[JSON | None]") -> None:
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()


def _name(envelope: Envelope) -> str:
    payload = envelope.payload
    if envelope.kind == "slash_commands":
        return f"{payload['command']} {payload['text']}".strip()
    if envelope.kind == "events_api":
        return str(payload["event"]["type"])
    actions = ", ".join(str(action["action_id"]) for action in payload.get("actions", []))
    return f"{payload['type']} {actions or payload.get('view', {}).get('callback_id', '')}".strip()
