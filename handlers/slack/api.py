"""Calls of Slack's Web API, with retries, and with Slack's errors as the bot's own."""

import asyncio
import logging
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry import HttpRequest, HttpResponse, RetryState
from slack_sdk.http_retry.async_handler import AsyncRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from handlers.slack.channel_access import ChannelAccess, ChannelClosed, TokenRefused
from services.common.causes import cause_of
from services.common.clock import Clock, loop_clock
from services.common.errors import Unreachable
from services.common.retry import retry_read

GONE = frozenset({"message_not_found", "edit_window_closed", "cant_update_message"})
# Error codes after which the same call may work soon.
PASSING = frozenset(
    {"ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)
PATIENCE = 8.0  # seconds in which a read is retried while a person waits for its result
FIRST_PAUSE = 0.5
TOO_MANY = 429


class MessageGone(Exception):
    """The message to edit is not there any more."""


class NeverPostTwice(AsyncRetryHandler):
    """Wraps a retry handler; a lost answer to `chat.postMessage` is not retried.

    Slack may have taken the message, so nothing posts it again without looking first.
    """

    def __init__(self, other: AsyncRetryHandler) -> None:
        super().__init__(other.max_retry_count, other.interval_calculator)
        self.other = other

    @classmethod
    def of(cls, handler: AsyncRetryHandler) -> "NeverPostTwice":
        """Wrap a handler, once."""
        if isinstance(handler, cls):
            return handler
        return cls(handler)

    async def _can_retry_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        rate_limited = response is not None and response.status_code == TOO_MANY
        if request.url.endswith("/chat.postMessage") and not rate_limited:
            return False
        return await self.other.can_retry_async(
            state=state, request=request, response=response, error=error
        )

    async def prepare_for_next_attempt_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> None:
        await self.other.prepare_for_next_attempt_async(
            state=state, request=request, response=response, error=error
        )


class SlackApi:
    """Calls methods of the Web API.

    Raises MessageGone, Closed, TokenRefused, or Unreachable for anything else that went wrong.
    """

    def __init__(self, client: AsyncWebClient, clock: Clock, access: ChannelAccess) -> None:
        client.retry_handlers = [NeverPostTwice.of(h) for h in client.retry_handlers]
        # Its logger formats each message as a whole unless it is known not to log it.
        if client.logger.level == logging.NOTSET:
            client.logger.setLevel(logging.INFO)
        self._client = client
        self._clock = clock
        self._access = access

    async def call(self, method: str, arguments: dict[str, Any]) -> Any:
        """Call a method once."""
        self._access.raise_if_token_refused(asyncio.get_running_loop().time())
        try:
            answer = await self._client.api_call(method, json=arguments)
        except SlackApiError as error:
            raise self._refusal(method, str(arguments.get("channel", "")), error) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise connection_lost(f"asking Slack for {method}", error) from error
        self._access.token_accepted()
        return answer

    async def read(self, method: str, arguments: dict[str, Any]) -> Any:
        """Call a method that changes nothing, and retry it for as long as people wait."""
        # Of the loop's own time: Slack does not get faster with a simulated clock.
        return await retry_read(
            loop_clock(0.0),
            lambda: self.call(method, arguments),
            seconds=PATIENCE,
            first=FIRST_PAUSE,
            may_pass=_is_passing,
        )

    def _refusal(self, method: str, channel: str, error: SlackApiError) -> Exception:
        code = str(error.response.get("error"))
        if code in GONE:
            return MessageGone(code)
        loop_now = asyncio.get_running_loop().time()
        if refusal := self._access.refusal(method, channel, code, loop_now, self._clock.now()):
            return refusal
        return Unreachable(f"asking Slack for {method}: {code}", again_in=_retry_after(error, code))


def _retry_after(error: SlackApiError, code: str) -> float | None:
    """Return the seconds after which Slack takes the call again; None when it does not say."""
    headers = getattr(error.response, "headers", None) or {}
    seconds = str(headers.get("Retry-After", ""))
    if code != "ratelimited" or not seconds.isdecimal():
        return None
    return float(seconds)


def slack_code(error: Unreachable) -> str:
    """Return the error code that Slack answered with; "" without an answer."""
    cause = error.__cause__
    if not isinstance(cause, SlackApiError):
        return ""
    return str(cause.response.get("error"))


def is_permanent(error: Exception) -> bool:
    """Tell whether Slack has answered, and would answer the same again."""
    if isinstance(error, MessageGone | ChannelClosed):
        return True
    if not isinstance(error, Unreachable) or isinstance(error, TokenRefused):
        return False
    return isinstance(error.__cause__, SlackApiError) and not _is_passing(error)


def _is_passing(error: Unreachable) -> bool:
    """Tell whether the same call may soon get another answer."""
    cause = error.__cause__
    if isinstance(cause, SlackApiError):
        status = getattr(cause.response, "status_code", 200)
        return slack_code(error) in PASSING or status >= 500
    return not isinstance(error, ChannelClosed | TokenRefused)


def connection_lost(doing: str, error: Exception) -> Unreachable:
    """Return an error of the connection as the bot's own."""
    cause = cause_of(error, "SSL_CERT_FILE")
    return Unreachable(f"{doing}: {cause.text}", cause=cause.text, remedy=cause.remedy)
