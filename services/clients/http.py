"""Plain HTTP: the one seam to it, small enough to put something else in its place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp

from services.errors import Unreachable

BODY_LIMIT = 4 * 1024 * 1024

# What aiohttp says when no connection was ever made.
NEVER_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)


@dataclass(frozen=True)
class Reply:
    """An answer, whatever its status."""

    status: int
    body: bytes = b""


class Http:
    """GET and POST with a deadline. Redirects are answers, not something to run after."""

    def __init__(self, session_factory: Callable[[], aiohttp.ClientSession] = lambda: aiohttp.ClientSession(trust_env=True)) -> None:
        self._new_session = session_factory
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 10.0) -> Reply:
        """Ask for a page."""
        return await self._send("GET", url, None, headers, timeout)

    async def post(self, url: str, json: object, *, headers: Mapping[str, str] | None = None, timeout: float = 10.0) -> Reply:
        """Send JSON, once."""
        return await self._send("POST", url, json, headers, timeout)

    async def aclose(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _send(self, method: str, url: str, json: object, headers: Mapping[str, str] | None, timeout: float) -> Reply:
        if self._session is None:
            self._session = self._new_session()  # here, since a session belongs to the loop it was made in
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, 5.0))
        what = f"{method.lower()} {url.split('?', maxsplit=1)[0]}"
        try:
            async with self._session.request(method, url, json=json, headers=headers, timeout=limits, allow_redirects=False) as answer:
                return Reply(answer.status, await _bounded(answer))
        except NEVER_CONNECTED:
            error = Unreachable(f"{what}: no connection", sent=False)
        except TimeoutError:
            error = Unreachable(f"{what}: no answer within {timeout:g} s")
        except (aiohttp.ClientError, OSError):
            error = Unreachable(f"{what}: the connection was lost")
        raise error


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    parts = bytearray()
    async for part in answer.content.iter_any():
        parts += part
        if len(parts) > BODY_LIMIT:
            break
    return bytes(parts[:BODY_LIMIT])
