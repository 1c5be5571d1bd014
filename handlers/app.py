"""The Bolt app: stores what changes something, acknowledges, and hands payloads on."""

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

from handlers.commands.dispatcher import CommandDispatcher
from handlers.commands.errors import error_text
from handlers.interactions.buttons import ButtonHandler
from handlers.interactions.command_form import FORM, PLAN, ModalState
from handlers.interactions.home_tab import HomeTab
from handlers.interactions.menu import MenuHandler
from handlers.interactions.notifications import NotificationForm
from handlers.interactions.submissions import CONFIG, REASONED, WINDOW, FormHandler
from handlers.slack.blocks import modal, section
from handlers.views.config_file import EDIT, WEBHOOK_FORM
from handlers.views.notifications import NOTIFICATIONS, read_notifications_form
from services.common.errors import Refused

log = logging.getLogger(__name__)
AS_JSON: dict[str, str | Sequence[str]] = {"content-type": ["application/json;charset=utf-8"]}
T = TypeVar("T")
# Callback ids of what can be sent.
VIEWS = (CONFIG, EDIT, WEBHOOK_FORM, WINDOW, REASONED, FORM, PLAN, NOTIFICATIONS)
EVENTS = ("app_mention", "app_home_opened")
SHORTCUTS = ("operate",)  # callback ids, as in the manifest
ANY = re.compile(r"^[a-z_]+(:[a-z0-9_-]+)?$")


def _without_token(client: AsyncWebClient) -> AsyncWebClient:
    """Return a client with the same connection, but without the token."""
    copy = AsyncWebClient(base_url=client.base_url, session=client.session, timeout=client.timeout)
    copy.proxy = client.proxy
    return copy


def build_slack_app(
    client: AsyncWebClient,
    signing_secret: str,
    command: str,
    dispatcher: CommandDispatcher,
    buttons: ButtonHandler,
    forms: FormHandler,
    menus: MenuHandler,
    home: HomeTab,
    notifications: NotificationForm,
) -> AsyncApp:
    """Return an app whose listeners acknowledge within about a second, and work afterwards."""
    bolt_log = logging.getLogger("slack_bolt")

    app = AsyncApp(
        # Without a name, Bolt searches the whole call stack for one.
        name="openvidu-bot",
        # Bolt opens sockets with it; every message goes through `SlackClient`.
        client=_without_token(client),
        authorize=_allows(client.token),
        signing_secret=signing_secret,
        raise_error_for_unhandled_request=True,
        logger=bolt_log,
    )

    async def typed(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        note = await dispatcher.store_before_ack(body)
        await ack()
        dispatcher.command(body, note)

    async def pressed(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        note = await buttons.note(body)
        await ack()
        buttons.press(body, note)

    async def mentioned(body: Mapping[str, Any]) -> None:
        dispatcher.mention(body)

    async def submitted(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        problems = whole(lambda: forms.problems(body["view"]))
        if problems:
            await ack(response_action="errors", errors=problems)
            return
        note = await forms.note(body)
        await ack()
        forms.submit(body, note)

    async def filled(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        await ack(**whole(lambda: menus.submit_form(body)))

    async def asked(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        state = whole(lambda: ModalState.of(body["view"]))
        note = await menus.note(body, state)
        await ack()
        menus.submit_plan(body, state, note)

    async def opened(body: Mapping[str, Any]) -> None:
        if body["event"].get("tab") == "home":
            home.opened(body)

    app.command(command)(typed)
    app.action(ANY)(pressed)
    app.shortcut(SHORTCUTS[0])(_asking(menus))
    on_view = {
        CONFIG: submitted,
        EDIT: submitted,
        WEBHOOK_FORM: submitted,
        WINDOW: submitted,
        REASONED: submitted,
        FORM: filled,
        PLAN: asked,
        NOTIFICATIONS: _saving(notifications),
    }
    for callback in VIEWS:
        app.view(callback)(on_view[callback])
    on_event = {"app_mention": mentioned, "app_home_opened": opened}
    for event in EVENTS:
        app.event(event)(on_event[event])
    app.error(_failing(dispatcher))
    return app


def _asking(menus: MenuHandler) -> Callable[..., Awaitable[None]]:
    async def asked_at_message(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        await ack()
        menus.at_message(body)

    return asked_at_message


def _saving(notifications: NotificationForm) -> Callable[..., Awaitable[None]]:
    async def chosen(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        settings = whole(lambda: read_notifications_form(body["view"]))
        await ack(**await notifications.submit(body, settings))

    return chosen


def _failing(dispatcher: CommandDispatcher) -> Callable[..., Awaitable[BoltResponse]]:
    async def failed(error: Exception, body: Mapping[str, Any]) -> BoltResponse:
        return _answer_of(body, error_text(error, dispatcher.visible.clusters))

    return failed


def _answer_of(body: Mapping[str, Any], text: str) -> BoltResponse:
    """Always respond: otherwise the person waits three seconds and reads "operation_timeout"."""
    if "command" in body:
        return BoltResponse(status=200, body={"response_type": "ephemeral", "text": text})
    if body.get("type") == "view_submission":
        # Without a response, the form would close as if it had been taken.
        refusal = modal("told", "Not taken", [section(text)])
        return BoltResponse(
            status=200,
            body=json.dumps({"response_action": "update", "view": refusal}),
            headers=AS_JSON,
        )
    return BoltResponse(status=200, body="")


def whole(read: Callable[[], T]) -> T:
    """Return what a form says.

    Refused when it is not one of the bot's: it was tampered with, or is of another version.
    """
    try:
        return read()
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as broken:
        log.warning("a form that cannot be read: %r", broken)
        raise Refused(
            "this form is not one of the bot's; nothing was changed, open it again with the command"
        ) from None


def _allows(token: str | None) -> Callable[..., Awaitable[AuthorizeResult]]:
    async def allowed(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
        # Bolt's own would ask Slack at the first press or command; where Slack does not answer, it
        # asks people to install the app anew.
        return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id, bot_token=token)

    return allowed
