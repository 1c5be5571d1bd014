"""Posts the weekly digest of each cluster in its channel, on Monday morning, once."""

import logging
from collections.abc import Mapping

from handlers.slack.channel_access import ChannelClosed
from handlers.updates.once_poster import OncePoster
from handlers.updates.recipients import Recipients
from handlers.views.digest import weekly_digest_card
from services.access.clusters import ClusterRegistry
from services.access.policy import Actor
from services.common.bulkheads import Bulkheads
from services.schedule.weekly_digest import WeeklyDigests

log = logging.getLogger(__name__)
PART = "weekly digest"


class DigestPoster:
    """Posts what is due. A week in which nothing happened is not reported.

    `zones`: the time zone of each cluster that has a digest. `channels`: by cluster.
    """

    def __init__(
        self,
        clusters: ClusterRegistry,
        digests: WeeklyDigests,
        poster: OncePoster,
        recipients: Recipients,
        bulkheads: Bulkheads,
        zones: Mapping[str, str],
        channels: Mapping[str, str],
    ) -> None:
        self._clusters = clusters
        self._digests = digests
        self._poster = poster
        self._recipients = recipients
        self._bulkheads = bulkheads
        self._zones = zones
        self._channels = channels

    async def sweep(self) -> None:
        """Do one round over every cluster."""
        names = [name for name in self._clusters.driven if name in self._zones]
        await self._bulkheads.run_each(PART, names, self._sweep)

    async def _sweep(self, name: str) -> None:
        week, channel = self._digests.due(self._zones[name]), self._channels.get(name, "")
        if week is None or not channel:
            return
        mark = f"digest/{name}/{week.monday}"
        if await self._poster.is_posted(mark):
            return
        digest = await self._digests.digest(name, week)
        if digest.is_empty:
            await self._poster.note_posted(mark)
            return
        subscribers = await self._recipients.subscribers("digest")
        readers = [u for u in subscribers if self._clusters.may_read(name, Actor(u))]
        audience = await self._recipients.audience("digest", readers)
        card = weekly_digest_card(digest, audience.mentions)
        await self._recipients.tell(mark, audience.direct, weekly_digest_card(digest))
        try:
            await self._poster.post(mark, channel, card, since=week.until)
        except ChannelClosed as closed:
            log.info("the weekly digest of %s: %s", name, closed)
