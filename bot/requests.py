"""HTTP mode: Slack's signed requests to POST /slack/events."""

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.app.async_app import AsyncApp

PATH = "/slack/events"
REFUSED = {"error": "invalid request"}


def slack_route(app: AsyncApp) -> web.RouteDef:
    """The route that hands requests to the app, which checks their signatures."""

    async def take(request: web.Request) -> web.StreamResponse:
        stamp = request.headers.get("X-Slack-Request-Timestamp", "")
        # The SDK's check is a 500 for a stamp that is not a number, and for a body that is not text.
        if not (stamp.isascii() and stamp.isdecimal() and len(stamp) < 20):
            return web.json_response(REFUSED, status=401)
        try:
            asked = await to_bolt_request(request)
        except UnicodeDecodeError:
            return web.json_response(REFUSED, status=401)
        return await to_aiohttp_response(await app.async_dispatch(asked))

    return web.post(PATH, take)
