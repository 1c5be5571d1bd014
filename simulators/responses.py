"""The HTTP answers of a simulated service, and how aiohttp sends them."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from simulators.clock import WorldClock

JSON_TYPE = "application/json; charset=utf-8"
Fate = Literal["answer", "reset", "reset-after"]


@dataclass
class HttpResponse:
    """An HTTP answer.

    `delay` is in seconds of the cloud's clock; the fate "reset" breaks the caller's connection.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0
    fate: Fate = "answer"

    def json(self) -> Any:
        """Return the body, read as JSON."""
        return json.loads(self.body)


def json_response(status: int, content: Any, headers: dict[str, str] | None = None) -> HttpResponse:
    """Return an answer with a JSON body."""
    return HttpResponse(
        status, {"content-type": JSON_TYPE} | (headers or {}), json.dumps(content).encode()
    )


async def send(answer: HttpResponse, request: web.Request, clock: WorldClock) -> web.StreamResponse:
    """Send the answer over a socket, or break the connection if that is its fate."""
    if answer.delay:
        await clock.sleep(answer.delay)
    if answer.fate != "answer" and request.transport is not None:
        request.transport.abort()
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
