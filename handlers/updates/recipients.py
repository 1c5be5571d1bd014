"""Who is mentioned in a channel and who reads it in private, by what people have set."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from handlers.slack.blocks import Card
from handlers.updates.once_poster import OncePoster
from services.access.user_groups import GROUPS, UserGroupCache
from services.memory.notifications import (
    DEFAULT,
    Delivery,
    NotificationRepository,
    NotificationSettings,
)

Matter = Literal["approvals", "stops", "digest"]


@dataclass(frozen=True)
class MentionTargets:
    """`mentions`: ids of people and user groups, for the channel. `direct`: member ids."""

    mentions: tuple[str, ...] = ()
    direct: tuple[str, ...] = ()


class Recipients:
    """Divides people by how they want to be notified.

    Break-glass and escalations do not ask here: they reach everyone.
    """

    def __init__(
        self, settings: NotificationRepository, groups: UserGroupCache, poster: OncePoster
    ) -> None:
        self._settings = settings
        self._groups = groups
        self._poster = poster

    async def audience(
        self, matter: Matter, ids: Iterable[str], without: Collection[str] = ()
    ) -> MentionTargets:
        """Return how to reach these people and user groups, by their ids.

        A group is mentioned as a group unless one of its members has set something else. `without`:
        people who are not reached.
        """
        settings = await self._settings.all()
        mentions, people = [], []
        for one in ids:
            if not one.startswith(GROUPS):
                people.append(one)
            elif members := self._members_apart(one, matter, settings):
                people += members
            else:
                mentions.append(one)
        people = [p for p in dict.fromkeys(people) if p not in without]
        by_mention = [p for p in people if _chosen(settings, p, matter) is Delivery.CHANNEL]
        direct = [p for p in people if _chosen(settings, p, matter) is Delivery.DIRECT]
        return MentionTargets((*by_mention, *dict.fromkeys(mentions)), tuple(direct))

    async def subscribers(self, matter: Matter) -> list[str]:
        """Return everyone who has chosen to be notified of it."""
        settings = await self._settings.all()
        return [u for u, chosen in settings.items() if getattr(chosen, matter) != Delivery.OFF]

    async def tell(self, mark: str, users: Iterable[str], card: Card) -> None:
        """Post a card once into each person's own conversation with the bot."""
        for user in users:
            await self._poster.post_direct(f"{mark}/{user}", user, card)

    def _members_apart(
        self, group: str, matter: Matter, settings: Mapping[str, NotificationSettings]
    ) -> list[str]:
        """Return a group's members where they have to be reached one by one."""
        known = self._groups.known.groups.get(group)
        if known is None:
            return []
        default = getattr(DEFAULT, matter)
        if all(_chosen(settings, member, matter) == default for member in known.members):
            return []
        return sorted(known.members)


def _chosen(settings: Mapping[str, NotificationSettings], user: str, matter: Matter) -> Delivery:
    chosen: Delivery = getattr(settings.get(user, DEFAULT), matter)
    return chosen
