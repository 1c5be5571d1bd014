"""The least that a Slack app can be: one Socket Mode connection, and a listener that acknowledges. `python -m bench.bare API_URL`."""

import asyncio
import os
import sys

from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient


async def main(api_url: str) -> None:
    """Acknowledge until killed."""
    app = AsyncApp(client=AsyncWebClient(os.environ["SLACK_BOT_TOKEN"], base_url=api_url))

    @app.command("/openvidu")
    async def taken(ack: object) -> None:
        await ack()  # type: ignore[operator]

    await AsyncSocketModeHandler(app, os.environ["SLACK_APP_TOKEN"]).start_async()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
