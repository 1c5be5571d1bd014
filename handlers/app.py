"""The Bolt app: routes payloads to handlers, acknowledges at once, and turns what goes wrong into a sentence."""

import logging
import re
from collections.abc import Mapping
from typing import Any

from slack_bolt import BoltResponse
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from handlers import cards
from handlers.actions import Buttons
from handlers.commands import Counter, say
from handlers.modals import CONFIG, Forms

log = logging.getLogger(__name__)
ANY = re.compile(r"^[a-z_]+(:[a-z0-9_-]+)?$")


def build_app(client: AsyncWebClient, signing_secret: str, command: str, counter: Counter, buttons: Buttons, forms: Forms) -> AsyncApp:
    """An app whose every listener acknowledges first and works afterwards."""
    bolt_log = logging.getLogger("slack_bolt")
    app = AsyncApp(client=client, signing_secret=signing_secret, raise_error_for_unhandled_request=True, logger=bolt_log)

    async def typed(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        await ack()
        counter.command(body)

    async def pressed(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        await ack()
        buttons.press(body)

    async def mentioned(body: Mapping[str, Any]) -> None:
        counter.mention(body)

    async def submitted(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        problems = forms.problems(body["view"])
        if problems:
            await ack(response_action="errors", errors=problems)
            return
        await ack()
        forms.submit(body)

    async def failed(error: Exception, body: Mapping[str, Any]) -> BoltResponse:
        # A response of our own, always: otherwise the person waits three seconds and reads "operation_timeout".
        text = say(error)
        if "command" in body:
            return BoltResponse(status=200, body={"response_type": "ephemeral", "text": cards.sentence(text)})
        return BoltResponse(status=200, body="")

    app.command(command)(typed)
    app.action(ANY)(pressed)
    app.view(CONFIG)(submitted)
    app.event("app_mention")(mentioned)
    app.error(failed)
    return app
