"""How people want to be notified: for approvals, stops and the weekly digest."""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from enum import StrEnum

from services.common.serialize import read_json
from services.store import Store
from services.store.edit import edit
from services.store.keys import NOTIFICATIONS

WHAT = "the notification settings"


class Delivery(StrEnum):
    """Where a person is notified."""

    CHANNEL = "channel"  # a mention in the cluster's channel
    DIRECT = "direct"  # a direct message
    OFF = "off"


@dataclass(frozen=True)
class NotificationSettings:
    """One person's settings; the defaults are those of everyone who has set nothing."""

    approvals: Delivery = Delivery.CHANNEL
    stops: Delivery = Delivery.CHANNEL
    digest: Delivery = Delivery.OFF


DEFAULT = NotificationSettings()


class NotificationRepository:
    """The settings of all people who have changed them, in one document."""

    KEY = NOTIFICATIONS
    MOST = 2000

    def __init__(self, store: Store) -> None:
        self._store = store

    async def all(self) -> Mapping[str, NotificationSettings]:
        """Return the settings by member id, of those who have changed them."""
        (text,) = await self._store.get(self.KEY)
        return {user: _read(raw) for user, raw in read_json(text, {}, WHAT).items()}

    async def of(self, user: str) -> NotificationSettings:
        """Return one person's settings."""
        return (await self.all()).get(user, DEFAULT)

    async def put(self, user: str, settings: NotificationSettings) -> None:
        """Store one person's settings. Only the newest MOST people are kept."""

        def changed(text: str | None) -> str:
            others = {u: raw for u, raw in read_json(text, {}, WHAT).items() if u != user}
            newest = list(others.items())[-(self.MOST - 1) :]
            mine = [] if settings == DEFAULT else [(user, asdict(settings))]
            return json.dumps(dict([*newest, *mine]))

        await edit(self._store, self.KEY, changed, WHAT)

    async def forget(self, users: Collection[str]) -> None:
        """Remove the settings of these people."""

        def without(text: str | None) -> str | None:
            stored = read_json(text, {}, WHAT)
            left = {u: raw for u, raw in stored.items() if u not in users}
            return text if left == stored else json.dumps(left)

        await edit(self._store, self.KEY, without, WHAT)


def _read(raw: Mapping[str, str]) -> NotificationSettings:
    """Read what this or another version has stored; unknown values count as the default."""
    known: dict[str, Delivery] = {}
    for field in fields(NotificationSettings):
        with suppress(ValueError):
            known[field.name] = Delivery(raw.get(field.name, getattr(DEFAULT, field.name)))
    return NotificationSettings(**known)
