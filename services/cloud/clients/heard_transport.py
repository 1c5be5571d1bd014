"""A transport of pydo whose exchanges are heard. Imported with pydo, not at the start."""

import time
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import AsyncHttpTransport

from services.cloud.clients.exchanges import Exchange, Listener


class HeardTransport(AsyncHttpTransport[Any, Any]):
    """Passes each request on, and what came back to the listener."""

    def __init__(self, inner: AsyncHttpTransport[Any, Any], listener: Listener) -> None:
        self._inner = inner
        self._listener = listener

    async def open(self) -> None:
        """Open the transport."""
        await self._inner.open()

    async def close(self) -> None:
        """Close the transport."""
        await self._inner.close()

    async def __aenter__(self) -> "HeardTransport":
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        where: TracebackType | None = None,
    ) -> None:
        await self._inner.__aexit__(kind, error, where)

    async def send(self, request: Any, **config: Any) -> Any:
        """Send one request."""
        began, url = time.monotonic(), urlsplit(request.url)
        what, query = f"{request.method} {url.path}", dict(parse_qsl(url.query))
        sent = getattr(request, "content", None)
        try:
            answer = await self._inner.send(request, **config)
        except AzureError:
            seconds = time.monotonic() - began
            self._listener(
                Exchange("digitalocean", what, "", query, sent, seconds=seconds, lost="unknown")
            )
            raise
        self._listener(
            Exchange(
                "digitalocean",
                what,
                "",
                query,
                sent,
                int(answer.status_code),
                dict(answer.headers),
                _content(answer),
                time.monotonic() - began,
            )
        )
        return answer


def _content(answer: Any) -> bytes:
    """Return the body that was read already; nothing is read for this alone."""
    try:
        return bytes(answer.content)
    except (AzureError, TypeError):
        return b""
