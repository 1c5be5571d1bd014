"""Calls to the simulated services, for pages that show them. Secrets are masked first."""

import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MASK = "••••"
LONGEST = 4000
"""Characters of a body that are kept."""
SECRET_NAME = re.compile(
    r"secret|token|passw|credential|private_?key|access_?key|api_?key|signature|authorization"
    r"|user_?data|^code$|license",
    re.IGNORECASE,
)
SECRET_LINE = re.compile(
    r"(?im)(\b\w*(?:SECRET|TOKEN|PASSW|CREDENTIAL|KEY|LICENSE)\w*\s*[=:]\s*)(\S+)"
)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class WireCall:
    """One call: to which service, what was asked, and what came back."""

    service: str
    name: str
    ok: bool
    note: str
    ms: float
    sent: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, Any] = field(default_factory=dict)


Recorder = Callable[[WireCall], None]


def recording(service: Callable[[web.Request], str], record: Recorder) -> Any:
    """Return an aiohttp middleware that records each call of an application."""

    @web.middleware
    async def recorded(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.monotonic()
        response = await handler(request)
        is_broken = request.transport is None or request.transport.is_closing()
        note = str(response.status)
        if is_broken:
            note = "connection broken"
        name = service(request)
        call = WireCall(
            name,
            f"{request.method} {_path(request)}",
            not is_broken and response.status < 400,
            note,
            elapsed_ms(began),
            _body(name, request.content_type, await request.read()),
            _body(name, response.content_type, _content(response)),
        )
        record(call)
        return response

    return recorded


def elapsed_ms(began: float) -> float:
    """Return the milliseconds since that moment of the monotonic clock."""
    return round((time.monotonic() - began) * 1000, 1)


def masked(value: Any, name: str = "") -> Any:
    """Return a copy of JSON without values whose names say that they are secret."""
    if isinstance(value, dict):
        return {key: masked(item, str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item, name) for item in value]
    if isinstance(value, str):
        return MASK if value and SECRET_NAME.search(name) else masked_text(value)
    return value


def masked_text(text: str) -> str:
    """Return a text without the values of its `KEY=value` lines that are secret."""
    return SECRET_LINE.sub(rf"\g<1>{MASK}", text)


def shortened(text: str) -> str:
    """Return the beginning of a long text."""
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}… ({len(text)} characters)"


def _path(request: web.Request) -> str:
    query = "&".join(f"{key}={_masked(key, value)}" for key, value in request.query.items())
    if not query:
        return request.path
    return f"{request.path}?{query}"


def _masked(key: str, value: str) -> str:
    if SECRET_NAME.search(key):
        return MASK
    return value


def _content(response: web.StreamResponse) -> bytes:
    body = response.body if isinstance(response, web.Response) else None
    return body if isinstance(body, bytes) else b""


def _body(service: str, kind: str, body: bytes) -> dict[str, Any]:
    """Return a body as it may be shown. Objects in a bucket are secrets: only their size is."""
    if not body:
        return {}
    if service == "spaces" or not kind.endswith("json"):
        return {"bytes": len(body)}
    try:
        content = masked(json.loads(body))
    except ValueError:
        return {"bytes": len(body)}
    text = json.dumps(content)
    if len(text) > LONGEST or not isinstance(content, dict):
        return {"begins with": shortened(text)}
    return content
