"""The Bolt app: stores what changes something, acknowledges, hands payloads on, and turns what goes wrong into a sentence."""

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from slack_bolt import BoltResponse
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from handlers import views
from handlers.commands.dispatcher import CommandDispatcher, say
from handlers.interactions.buttons import Buttons
from handlers.interactions.command_form import FORM, PLAN, Meant
from handlers.interactions.home_tab import Home
from handlers.interactions.menu import Menus
from handlers.interactions.submissions import CONFIG, REASONED, WINDOW, Forms
from handlers.slack.blocks import modal, section
from services.common.errors import Refused

log = logging.getLogger(__name__)
AS_JSON: dict[str, str | Sequence[str]] = {"content-type": ["application/json;charset=utf-8"]}
T = TypeVar("T")
VIEWS = (CONFIG, WINDOW, REASONED, FORM, PLAN)  # what can be sent, by its callback
EVENTS = ("app_mention", "app_home_opened")
ANY = re.compile(r"^[a-z_]+(:[a-z0-9_-]+)?$")


def _without_token(client: AsyncWebClient) -> AsyncWebClient:
    """The same way to Slack, without the right to say anything there."""
    made = AsyncWebClient(base_url=client.base_url, session=client.session, timeout=client.timeout)
    made.proxy = client.proxy
    return made


def build_app(
    client: AsyncWebClient,
    signing_secret: str,
    command: str,
    counter: CommandDispatcher,
    buttons: Buttons,
    forms: Forms,
    menus: Menus,
    home: Home,
) -> AsyncApp:
    """An app whose every listener acknowledges within a second or so, and works afterwards."""
    bolt_log = logging.getLogger("slack_bolt")

    app = AsyncApp(
        name="openvidu-bot",  # bolt would search the whole call stack for one
        client=_without_token(
            client
        ),  # it has nothing to say, what is said goes through `Voice`; but sockets are opened with it
        authorize=_allows(client.token),
        signing_secret=signing_secret,
        raise_error_for_unhandled_request=True,
        logger=bolt_log,
    )

    async def typed(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        note = await counter.note(body)
        await ack()
        counter.command(body, note)

    async def pressed(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        note = await buttons.note(body)
        await ack()
        buttons.press(body, note)

    async def mentioned(body: Mapping[str, Any]) -> None:
        counter.mention(body)

    async def submitted(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        problems = whole(lambda: forms.problems(body["view"]))
        if problems:
            await ack(response_action="errors", errors=problems)
            return
        note = await forms.note(body)
        await ack()
        forms.submit(body, note)

    async def filled(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        await ack(**whole(lambda: menus.filled(body)))

    async def asked(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        meant = whole(lambda: Meant.of(body["view"]))
        note = await menus.note(body, meant)
        await ack()
        menus.asked(body, meant, note)

    async def opened(body: Mapping[str, Any]) -> None:
        if body["event"].get("tab") == "home":
            home.opened(body)

    app.command(command)(typed)
    app.action(ANY)(pressed)
    sent = {CONFIG: submitted, WINDOW: submitted, REASONED: submitted, FORM: filled, PLAN: asked}
    for callback in VIEWS:
        app.view(callback)(sent[callback])
    happened = {"app_mention": mentioned, "app_home_opened": opened}
    for event in EVENTS:
        app.event(event)(happened[event])
    app.error(_failed)
    return app


async def _failed(error: Exception, body: Mapping[str, Any]) -> BoltResponse:
    # A response of our own, always: otherwise the person waits three seconds and reads "operation_timeout".
    text = say(error)
    if "command" in body:
        return BoltResponse(
            status=200, body={"response_type": "ephemeral", "text": views.sentence(text)}
        )
    if body.get("type") == "view_submission":
        # The form would close as if all were well.
        told = modal("told", "Not taken", [section(text)])
        return BoltResponse(
            status=200,
            body=json.dumps({"response_action": "update", "view": told}),
            headers=AS_JSON,
        )
    return BoltResponse(status=200, body="")


def whole(read: Callable[[], T]) -> T:
    """What a form says. Refused when it is not as the bot's own are: it was changed on its way, or is of another version."""
    try:
        return read()
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as broken:
        log.warning("a form that cannot be read: %r", broken)
        raise Refused(
            "this form is not one of the bot's; nothing was changed, open it again with the command"
        ) from None


def _allows(token: str | None) -> Callable[..., Awaitable[AuthorizeResult]]:
    async def allowed(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
        # Bolt itself would ask Slack at the first press or command, and where Slack does not answer tell people to install the app anew.
        return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id, bot_token=token)

    return allowed
