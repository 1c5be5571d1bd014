"""HTTP mode: Slack's signed requests to POST /slack/events."""

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
KNOWN_WITHIN = (
    1.0  # seconds of Slack's three that the state may take to say whether a request came before
)

FirstTime = Callable[[str, float], Awaitable[bool]]


def slack_route(app: AsyncApp, signing_secret: str, first_time: FirstTime) -> web.RouteDef:
    """The route that hands requests to the app: signed by Slack, at most five minutes old, and each once.

    `first_time` is asked with a name and how long it has to be remembered.
    """
    verifier = SignatureVerifier(signing_secret)

    async def take(request: web.Request) -> web.StreamResponse:
        stamp, signature = (
            request.headers.get(f"X-Slack-{name}", "")
            for name in ("Request-Timestamp", "Signature")
        )
        # The SDK's check raises for a stamp that is not a number and for a signature that is not ASCII.
        if not (stamp.isascii() and stamp.isdecimal() and len(stamp) < 20 and signature.isascii()):
            return web.json_response(REFUSED, status=401)
        # Before anything in it is read: whoever cannot sign gets no further than this.
        body = await request.read()
        if not (_is_text(body) and verifier.is_valid(body, stamp, signature)):
            return web.json_response(REFUSED, status=401)
        if not await _is_new(signature, first_time):
            log.warning(
                "a request of Slack's came a second time, stamped %s; it is not taken again", stamp
            )
            return web.Response(status=200)
        try:
            asked = await to_bolt_request(request)
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            log.warning("a signed request that makes no sense: %s", type(error).__name__)
            return web.json_response(REFUSED, status=400)
        return await to_aiohttp_response(await app.async_dispatch(asked))

    return web.post(PATH, take)


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


async def _is_new(signature: str, first_time: FirstTime) -> bool:
    """Somebody who recorded a request could send it again while its stamp is fresh. Approvals are used once whatever comes."""
    name = signature_once(hashlib.sha256(signature.encode()).hexdigest())
    try:
        async with asyncio.timeout(KNOWN_WITHIN):
            return await first_time(name, 2.0 * STAMPED_WITHIN)
    except (Unreachable, TimeoutError):
        return True  # reading works without the state, and nothing is changed without it
