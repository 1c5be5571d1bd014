"""One object of an answer, field by field. A field of another shape is `Unreadable`, by name."""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from services.common.errors import Unreadable
from services.common.text import sanitize_name

Json = dict[str, Any]
LONGEST = 80
# Digits of a number that comes as text; ids have fewer.
MAX_DIGITS = 18


class Fields:
    """The fields of one object. `listing`: what was read; `whose` names the object in an error."""

    def __init__(self, listing: str, raw: object, whose: str = "") -> None:
        if not isinstance(raw, dict):
            raise Unreadable(listing, "object", whose)
        self.listing = listing
        self._raw = raw
        self._whose = whose or _name_of(raw)

    def unreadable(self, key: str) -> Unreadable:
        """Return the error that names the field and the object."""
        return Unreadable(self.listing, key, self._whose)

    def has(self, key: str) -> bool:
        """Whether the field is there and not null."""
        return self._raw.get(key) is not None

    def text(self, key: str) -> str:
        """Return a text that is not empty."""
        value = self._raw.get(key)
        if not isinstance(value, str) or not value:
            raise self.unreadable(key)
        return value

    def name(self, key: str) -> str:
        """Return a text that is safe to display."""
        return sanitize_name(self.text(key))

    def identity(self, key: str) -> str:
        """Return an id, which may be a number or a text."""
        value = self._raw.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.text(key)

    def flag(self, key: str) -> bool:
        """Return true or false."""
        value = self._raw.get(key)
        if not isinstance(value, bool):
            raise self.unreadable(key)
        return value

    def whole(self, key: str, *, least: int = 0) -> int:
        """Return a whole number of at least `least`; some ids come as text."""
        value = self._raw.get(key)
        if isinstance(value, str) and _is_number(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.unreadable(key)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts.

        Missing or null is empty: DigitalOcean's own clients send that.
        """
        value = self._raw.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.unreadable(key)
        return tuple(value)

    def object(self, key: str) -> Json:
        """Return an object."""
        value = self._raw.get(key)
        if not isinstance(value, dict):
            raise self.unreadable(key)
        return value

    def inner(self, key: str) -> "Fields":
        """Return an object, to be read field by field."""
        whose = f"{self._whose}'s {key}" if self._whose else key
        return Fields(self.listing, self.object(key), whose)

    def moment(self, key: str) -> float:
        """Return a moment in epoch seconds."""
        try:
            return datetime.fromisoformat(self.text(key)).timestamp()
        except (ValueError, OverflowError, OSError):
            raise self.unreadable(key) from None

    def amount(self, key: str, places: str) -> Decimal:
        """Return an exact number that is not negative, rounded to `places`.

        The API's prices are floats with noise, as 0.00743999984115362.
        """
        value = self._raw.get(key)
        try:
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise self.unreadable(key)
            amount = Decimal(str(value)).quantize(Decimal(places))
        except (InvalidOperation, ValueError):
            raise self.unreadable(key) from None
        if not amount.is_finite() or amount < 0:
            raise self.unreadable(key)
        return amount


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS


def _name_of(raw: Json) -> str:
    """Return what identifies the object, if that can be read: a name, slug or label, else an id."""
    for key in ("name", "slug", "label"):
        if isinstance(raw.get(key), str) and raw[key]:
            return sanitize_name(raw[key])[:LONGEST]
    for key in ("id", "droplet_id"):
        if isinstance(raw.get(key), int | str) and raw[key]:
            return f"{key.replace('_', ' ')} {sanitize_name(str(raw[key]))[:LONGEST]}"
    return "an entry"
