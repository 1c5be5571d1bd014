"""pydo's pipeline against an in-process DigitalOcean, so that it runs in virtual time.

The response class of azure-core is filled in through private fields: azure-core is pinned, and this
is the only place that does it.
"""

import asyncio
import inspect
import json
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from azure.core.exceptions import ServiceRequestTimeoutError, ServiceResponseError
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest._http_response_impl_async import AsyncHttpResponseImpl
from multidict import CIMultiDict

from bot.rehearsal.direct_api import HUNG, LOST, REFUSED, Handle


class InProcessTransport(AsyncHttpTransport[Any, Any]):
    """Passes requests to `handle` without a socket."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self.calls = 0

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def __aenter__(self) -> "InProcessTransport":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        where: TracebackType | None = None,
    ) -> None:
        return None

    def answer(self, *request: Any) -> Any:
        """Answer one request, with the `handle` that a test may have put in meanwhile."""
        return self._handle(*request)

    async def send(self, request: Any, **config: Any) -> Any:
        """Send one request, return one reply; sleep the reply's own delay on the loop."""
        self.calls += 1
        url = urlsplit(request.url)
        reply = self._handle(
            request.method, url.path, dict(parse_qsl(url.query)), request.headers, _sent(request)
        )
        if inspect.isawaitable(reply):
            reply = await reply
        delay = getattr(reply, "delay", 0.0) or 0.0
        await asyncio.sleep(delay)
        fate = str(getattr(reply, "fate", "") or "")
        if fate in REFUSED:
            raise ServiceRequestTimeoutError("no connection")
        if fate in LOST:
            raise ServiceResponseError("connection reset")
        if fate in HUNG:
            await asyncio.sleep(3600)
        return _response(request, reply)


def _sent(request: Any) -> bytes:
    content = getattr(request, "content", None)
    if content is None:
        return b""
    return content if isinstance(content, bytes) else str(content).encode()


def _response(request: Any, reply: Any) -> AsyncHttpResponseImpl:
    headers = CIMultiDict(reply.headers or {})
    body = reply.body
    if body is None:
        body = b""
    elif isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        body = json.dumps(body).encode()
        headers.setdefault("content-type", "application/json")
    response = AsyncHttpResponseImpl(
        request=request,
        internal_response=None,
        status_code=int(reply.status),
        headers=headers,
        reason="",
        content_type=headers.get("content-type", "application/json"),
        stream_download_generator=None,
    )
    response._content = body
    response._is_closed = True
    response._is_stream_consumed = True
    return response
