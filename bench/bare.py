"""A minimal Slack app: one Socket Mode connection that acknowledges: `-m bench.bare API_URL`."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from typing import Any, Protocol

from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient


class Starter(Protocol):
    """The method of the SDK's handler that is used here; the SDK leaves it untyped."""

    def start_async(self) -> Coroutine[Any, Any, None]: ...


async def main(api_url: str) -> None:
    """Acknowledge every command until killed."""
    app = AsyncApp(client=AsyncWebClient(os.environ["SLACK_BOT_TOKEN"], base_url=api_url))

    @app.command("/openvidu")
    async def acknowledge(ack: AsyncAck) -> None:
        await ack()

    handler: Starter = AsyncSocketModeHandler(app, os.environ["SLACK_APP_TOKEN"])
    await handler.start_async()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
