"""A person's notification settings: the form that App Home opens, and what it sends."""

import asyncio
from collections.abc import Mapping
from typing import Any

from handlers.slack.blocks import modal, section
from handlers.slack.client import SlackClient
from handlers.views.notifications import (
    NOTIFICATIONS,
    SAVED,
    notifications_form,
)
from services.common.errors import Refused, Unreachable
from services.memory.notifications import NotificationRepository, NotificationSettings

TAKEN_WITHIN = 2.0  # seconds in which Slack has to be answered, with some to spare
LOOKING = "Reading your settings …"


class NotificationForm:
    """Opens the form and stores what people choose."""

    def __init__(self, settings: NotificationRepository, slack: SlackClient) -> None:
        self._settings = settings
        self._slack = slack

    async def open(self, body: Mapping[str, Any], trigger: str) -> None:
        """Open the form at once, as a trigger lasts three seconds, and fill it then."""
        placeholder = modal(NOTIFICATIONS, "Notifications", [section(LOOKING)])
        view = await self._slack.open_modal(trigger, placeholder)
        settings = await self._settings.of(str(body["user"]["id"]))
        await self._slack.update_modal(view, notifications_form(settings))

    async def submit(
        self, body: Mapping[str, Any], settings: NotificationSettings
    ) -> dict[str, Any]:
        """Store a sent form, and return what it shows then. Refused when that is not known."""
        actor = await self._slack.actor(body)
        if actor.outsider:
            raise Refused(actor.outsider)
        try:
            async with asyncio.timeout(TAKEN_WITHIN):
                await self._settings.put(actor.user, settings)
        except (Unreachable, TimeoutError):
            raise Refused(
                "your choice may not be stored: the bot's state store does not answer; "
                "open Notifications again in a minute"
            ) from None
        saved = modal("saved", "Notifications", [section(SAVED)])
        return {"response_action": "update", "view": saved}
