"""One object of an answer, field by field: each is read as what was promised, or the object is `Unreadable`, by name."""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from services.common.errors import Unreadable
from services.common.text import namelike

Json = dict[str, Any]
LONGEST = 80


class Fields:
    """The fields of one object. `listing` is what was asked for; `whose` names the object in an error."""

    def __init__(self, listing: str, raw: object, whose: str = "") -> None:
        if not isinstance(raw, dict):
            raise Unreadable(listing, "object", whose)
        self.listing = listing
        self._raw = raw
        self._whose = whose or _named(raw)

    def unreadable(self, key: str) -> Unreadable:
        """The error that says which field of which object."""
        return Unreadable(self.listing, key, self._whose)

    def has(self, key: str) -> bool:
        """Whether the field is there and not null."""
        return self._raw.get(key) is not None

    def text(self, key: str) -> str:
        """A text that is not empty."""
        value = self._raw.get(key)
        if not isinstance(value, str) or not value:
            raise self.unreadable(key)
        return value

    def name(self, key: str) -> str:
        """A text as it may be shown anywhere."""
        return namelike(self.text(key))

    def identity(self, key: str) -> str:
        """An id, which may be a number or a text."""
        value = self._raw.get(key)
        return (
            str(value) if isinstance(value, int) and not isinstance(value, bool) else self.text(key)
        )

    def flag(self, key: str) -> bool:
        """True or false, said as such."""
        value = self._raw.get(key)
        if not isinstance(value, bool):
            raise self.unreadable(key)
        return value

    def whole(self, key: str, *, least: int = 0) -> int:
        """A whole number; some ids come as text."""
        value = self._raw.get(key)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.unreadable(key)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts. One that is left out or null is empty: DigitalOcean's own clients send it so."""
        value = self._raw.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.unreadable(key)
        return tuple(value)

    def object(self, key: str) -> Json:
        """An object."""
        value = self._raw.get(key)
        if not isinstance(value, dict):
            raise self.unreadable(key)
        return value

    def inner(self, key: str) -> "Fields":
        """An object, to be read field by field."""
        return Fields(
            self.listing, self.object(key), f"{self._whose}'s {key}" if self._whose else key
        )

    def moment(self, key: str) -> float:
        """Epoch seconds of a moment."""
        try:
            return datetime.fromisoformat(self.text(key)).timestamp()
        except (ValueError, OverflowError, OSError):
            raise self.unreadable(key) from None

    def amount(self, key: str, places: str) -> Decimal:
        """A number that is not negative, exact: the API's prices are floats with noise, as 0.00743999984115362."""
        value = self._raw.get(key)
        try:
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise self.unreadable(key)
            found = Decimal(str(value)).quantize(Decimal(places))
        except (InvalidOperation, ValueError):
            raise self.unreadable(key) from None
        if not found.is_finite() or found < 0:
            raise self.unreadable(key)
        return found


def _named(raw: Json) -> str:
    """What tells the object from others, if that can be read: a name, slug or label, else an id."""
    for key in ("name", "slug", "label"):
        if isinstance(raw.get(key), str) and raw[key]:
            return namelike(raw[key])[:LONGEST]
    for key in ("id", "droplet_id"):
        if isinstance(raw.get(key), int | str) and raw[key]:
            return f"{key.replace('_', ' ')} {namelike(str(raw[key]))[:LONGEST]}"
    return "an entry"
