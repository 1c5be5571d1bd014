"""Bolt against the pretend Slack without a socket: a loop of virtual time drives both."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import aiohttp
from aiohttp import ClientSession
from multidict import CIMultiDict
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.async_context import AsyncBoltContext
from slack_bolt.context.respond.async_respond import AsyncRespond
from slack_bolt.context.respond.internals import _build_message
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook import WebhookResponse
from slack_sdk.webhook.async_client import AsyncWebhookClient

from simulators.slack.delivery import ACK_SECONDS, Undelivered
from simulators.slack.model import JSON
from simulators.slack.response_urls import Responses
from simulators.slack.webapi import BOT_TOKEN, MethodResponse, WebApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Receive = Callable[[str, JSON], Awaitable[JSON | None]]


class InProcessAnswer:
    """As much of an aiohttp response as slack_sdk reads."""

    def __init__(self, status: int, headers: dict[str, str], body: str, content_type: str) -> None:
        self.status = status
        self.headers: CIMultiDict[str] = CIMultiDict(headers)
        self.content_type = content_type
        self._body = body

    async def text(self) -> str:
        """Return the body."""
        return self._body

    async def json(self) -> Any:
        """Return the body as a value."""
        return json.loads(self._body)


class InProcessSession:
    """As much of an aiohttp session as slack_sdk uses, without a network.

    The session is the seam, and not the client's `api_call`: Bolt makes a plain `AsyncWebClient`
    for every request and passes the session on. So the SDK's own retry handlers, forms and uploads
    are exercised too.
    """

    closed = False

    def __init__(self, webapi: WebApi) -> None:
        self.webapi = webapi
        self.responses = Responses(webapi.workspace, webapi.record)

    @asynccontextmanager
    async def request(self, _verb: str, url: str, **sent: Any) -> "AsyncIterator[InProcessAnswer]":
        """Answer one request."""
        family, _, rest = urlsplit(url).path.removeprefix("/").partition("/")
        if family == "respond":
            status, text = self.responses.handle(rest, json.loads(sent["data"]))
            yield InProcessAnswer(status, {}, text, "text/plain")
        elif family == "upload":
            self.webapi.workspace.files[rest].data = bytes(sent["data"])
            yield InProcessAnswer(200, {}, "OK", "text/plain")
        else:
            answer = await self._call(rest, sent)
            yield InProcessAnswer(
                answer.status, answer.headers, json.dumps(answer.json), "application/json"
            )

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""

    async def _call(self, method: str, sent: JSON) -> MethodResponse:
        token = str(sent["headers"].get("Authorization", "")).removeprefix("Bearer ")
        args: JSON = {}
        for part in ("params", "data", "json"):
            args |= sent.get(part) or {}
        # Through JSON, because nothing else would arrive at the real Slack.
        answer = self.webapi.handle(method, token, json.loads(json.dumps(args)))
        if answer.delay:
            await self.webapi.workspace.clock.sleep(answer.delay)
        if answer.lost:
            raise aiohttp.ServerDisconnectedError
        return answer


class InProcessWebClient(AsyncWebClient):
    """Slack's own client, whose calls go straight to a `WebApi`."""

    def __init__(self, webapi: WebApi, token: str = BOT_TOKEN, **more: Any) -> None:
        session = cast("ClientSession", InProcessSession(webapi))
        super().__init__(token=token, base_url="http://slack.invalid/api/", session=session, **more)
        # A proxy from the environment is ignored here.
        self.proxy = None


class InProcessRespond(AsyncRespond):
    """`respond()` whose answers go straight to the workspace."""

    def __init__(self, response_url: str | None, session: InProcessSession) -> None:
        super().__init__(response_url=response_url)
        self.session = cast("ClientSession", session)

    async def __call__(self, text: str | JSON = "", *_: Any, **more: Any) -> WebhookResponse:
        """Answer the interaction."""
        if self.response_url is None:
            raise ValueError("respond is unsupported here as there is no response_url")
        message = (
            _build_message(text=text, **more) if isinstance(text, str) else _build_message(**text)
        )
        client = AsyncWebhookClient(self.response_url, session=self.session)
        client.proxy = None
        return await client.send_dict(message)


def bolt_receiver(app: AsyncApp, webapi: WebApi) -> Receive:
    """Return what `InProcess` calls to give Bolt an envelope.

    Call it before the app adds middleware that responds.
    """
    session = InProcessSession(webapi)

    @app.middleware
    async def respond_in_process(
        context: AsyncBoltContext,
        next: Callable[[], Awaitable[None]],  # noqa: A002
    ) -> None:
        if context.response_url:
            context["respond"] = InProcessRespond(context.response_url, session)
        await next()

    async def receive(_kind: str, payload: JSON) -> JSON | None:
        request = AsyncBoltRequest(mode="socket_mode", body=json.loads(json.dumps(payload)))
        try:
            # Bolt counts its own three seconds in real time, and would spin in virtual time.
            answer = await asyncio.wait_for(app.async_dispatch(request), ACK_SECONDS)
        except TimeoutError:
            raise Undelivered("operation_timeout") from None
        if answer.status != 200:
            raise Undelivered("operation_timeout")
        if not answer.body:
            return None
        is_json = answer.headers.get("content-type", [""])[0].startswith("application/json")
        read: JSON = json.loads(answer.body) if is_json else {"text": answer.body}
        return read

    return receive
