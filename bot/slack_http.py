"""HTTP mode: receive Slack's signed requests at POST /slack/events."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.signature import SignatureVerifier

from services.common.errors import Unreachable
from services.store.keys import signature_once

log = logging.getLogger(__name__)
PATH = "/slack/events"
REFUSED = {"error": "invalid request"}
STAMPED_WITHIN = 300  # seconds either way
REPLAY_CHECK_WITHIN = 1.0  # of the three seconds in which Slack wants an answer

FirstTime = Callable[[str, float], Awaitable[bool]]


def slack_route(app: AsyncApp, signing_secret: str, first_time: FirstTime) -> web.RouteDef:
    """Return the route that passes each signed request, at most five minutes old, to the app once.

    `first_time(name, seconds)` returns whether `name` is new, and remembers it for `seconds`.
    """
    verifier = SignatureVerifier(signing_secret)

    async def receive(request: web.Request) -> web.StreamResponse:
        stamp, signature = (
            request.headers.get(f"X-Slack-{name}", "")
            for name in ("Request-Timestamp", "Signature")
        )
        # The SDK raises for a timestamp that is no number and for a signature that is not ASCII.
        if not (stamp.isascii() and stamp.isdecimal() and len(stamp) < 20 and signature.isascii()):
            return web.json_response(REFUSED, status=401)
        # Verified before the content is parsed: unsigned requests get no further.
        body = await request.read()
        if not (_is_text(body) and verifier.is_valid(body, stamp, signature)):
            return web.json_response(REFUSED, status=401)
        if not await _is_new(signature, first_time):
            log.warning("ignored a repeated request of Slack with timestamp %s", stamp)
            return web.Response(status=200)
        try:
            bolt_request = await to_bolt_request(request)
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            log.warning("refused a signed request that cannot be read: %s", type(error).__name__)
            return web.json_response(REFUSED, status=400)
        return await to_aiohttp_response(await app.async_dispatch(bolt_request))

    return web.post(PATH, receive)


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


async def _is_new(signature: str, first_time: FirstTime) -> bool:
    """Reject replays inside the timestamp window; approvals are single-use anyway."""
    name = signature_once(hashlib.sha256(signature.encode()).hexdigest())
    try:
        async with asyncio.timeout(REPLAY_CHECK_WITHIN):
            return await first_time(name, 2.0 * STAMPED_WITHIN)
    except (Unreachable, TimeoutError):
        return True  # without the state store reading works and nothing can be changed
