"""The form for a person's notification settings, which App Home opens. Pure."""

from collections.abc import Mapping
from typing import Any

from handlers.slack.blocks import Block, button, context, modal, option, plain_text, static_select
from services.memory.notifications import Delivery, NotificationSettings

NOTIFICATIONS = "notifications"
BUTTON = "notify"
CHOICES = {
    Delivery.CHANNEL: "Mention me in the channel",
    Delivery.DIRECT: "Send me a direct message",
    Delivery.OFF: "Do not notify me",
}
MATTERS = {
    "approvals": "A request needs my approval",
    "stops": "A run stops or asks a question",
    "digest": "The weekly digest is posted",
}
ALWAYS = "Break-glass and escalations always mention you in the channel."
SAVED = "Saved. Break-glass and escalations still mention you in the channel."


def notifications_button() -> Block:
    """Return the button for App Home."""
    return button("Notifications…", BUTTON, "mine")


def notifications_form(settings: NotificationSettings) -> Block:
    """Return the form with a person's settings."""
    options = {d: option(label, d) for d, label in CHOICES.items()}
    choices = [
        {
            "type": "input",
            "block_id": block,
            "label": plain_text(label, 100),
            "element": static_select(
                "Choose", block, list(options.values()), options[getattr(settings, block)]
            ),
        }
        for block, label in MATTERS.items()
    ]
    blocks = [*choices, context(ALWAYS)]
    return modal(NOTIFICATIONS, "Notifications", blocks, submit="Save", close="Cancel")


def read_notifications_form(view: Mapping[str, Any]) -> NotificationSettings:
    """Return the settings in a sent form."""
    values = view["state"]["values"]
    chosen = {m: Delivery(values[m][m]["selected_option"]["value"]) for m in MATTERS}
    return NotificationSettings(**chosen)
