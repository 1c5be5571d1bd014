"""Messages to people in meetings: what they say, and how many rooms got them. Pure."""

import json
from dataclasses import dataclass
from enum import StrEnum

from services.common.text import count_of


class Occasion(StrEnum):
    """When meetings get a message."""

    CLOSING = "closing"
    DRAIN = "drain"
    DEADLINE = "deadline"


@dataclass(frozen=True)
class Room:
    """A LiveKit room with people in it. `opened_at`: epoch seconds, without fractions."""

    sid: str
    name: str
    opened_at: float


@dataclass(frozen=True)
class MeetingMessages:
    """What the settings say about messages to meetings.

    `texts`: by occasion, with `{time}` and `{cluster}`; one that is missing is not sent.
    `payload`: what is sent, with `{text}` inside a JSON string or alone. `lead`: seconds before a
    drain's deadline.
    """

    texts: tuple[tuple[str, str], ...]
    topic: str = "chat"
    payload: str = '{"message": "{text}"}'
    lead: float = 600.0

    def text(self, occasion: Occasion) -> str:
        """Return the text of an occasion; "" where none is sent then."""
        return dict(self.texts).get(occasion, "")


def filled(text: str, *, cluster: str, time: str) -> str:
    """Return a text with its placeholders filled in."""
    return text.replace("{time}", time).replace("{cluster}", cluster)


def payload_of(messages: MeetingMessages, text: str) -> bytes:
    """Return what is sent to a room."""
    if messages.payload == "{text}":
        return text.encode()
    quoted = json.dumps(text, ensure_ascii=False)[1:-1]
    return messages.payload.replace("{text}", quoted).encode()


@dataclass(frozen=True)
class MessageCounts:
    """How many rooms got the message of an occasion; `unsure`: it was sent without an answer."""

    rooms: int
    sent: int
    failed: int = 0
    unsure: int = 0

    @property
    def words(self) -> str:
        """Return `message sent to 3 of 3 rooms`, with what failed."""
        parts = [f"message sent to {self.sent} of {count_of(self.rooms, 'room')}"]
        if self.failed:
            parts.append(f"could not be sent to {self.failed}")
        if self.unsure:
            parts.append(f"may not have reached {self.unsure}")
        return ", ".join(parts)
