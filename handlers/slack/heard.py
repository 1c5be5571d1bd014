"""A client of Slack's Web API whose exchanges are heard."""

import time
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from typing_extensions import override

from services.cloud.clients.exchanges import Exchange, Listener


class HeardWebClient(AsyncWebClient):
    """Hands each call and its answer to a listener, retries of the SDK included as one call."""

    def __init__(self, listener: Listener, **options: Any) -> None:
        super().__init__(**options)
        self._listener = listener

    @override
    async def _request(self, *, http_verb: str, api_url: str, req_args: dict[str, Any]) -> Any:
        began, method = time.monotonic(), api_url.rsplit("/", 1)[-1]
        sent = req_args.get("json") or req_args.get("data") or req_args.get("params")
        try:
            answer = await super()._request(http_verb=http_verb, api_url=api_url, req_args=req_args)
        except (SlackApiError, aiohttp.ClientError, OSError, TimeoutError):
            seconds = time.monotonic() - began
            self._listener(Exchange("slack", method, "", {}, sent, seconds=seconds, lost="unknown"))
            raise
        self._listener(
            Exchange(
                "slack",
                method,
                "",
                {},
                sent,
                int(answer["status_code"]),
                dict(answer["headers"]),
                answer["data"],
                time.monotonic() - began,
            )
        )
        return answer
