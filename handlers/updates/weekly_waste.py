"""Posts what each cluster pays for without use, once a week."""

import hashlib
import logging
from collections.abc import Mapping

from handlers.slack.channel_access import ChannelClosed
from handlers.updates.once_poster import OncePoster
from handlers.views.waste import waste_card
from services.access.clusters import ClusterRegistry
from services.billing.waste import WasteReport
from services.common.bulkheads import Bulkheads
from services.common.clock import Clock
from services.schedule.waste import WasteFinder, WasteTime

log = logging.getLogger(__name__)
PART = "weekly unused resources"
# Seconds after its time for which a report is sent.
WITHIN = 86400.0


class WastePoster:
    """Posts what is due. Where nothing is found, nothing is posted.

    `times`: of each cluster that has a report. `channels`: by cluster.
    """

    def __init__(
        self,
        clusters: ClusterRegistry,
        waste: WasteFinder,
        poster: OncePoster,
        bulkheads: Bulkheads,
        clock: Clock,
        times: Mapping[str, WasteTime],
        channels: Mapping[str, str],
    ) -> None:
        self._clusters = clusters
        self._waste = waste
        self._poster = poster
        self._bulkheads = bulkheads
        self._clock = clock
        self._times = times
        self._channels = channels

    async def sweep(self) -> None:
        """Do one round over every cluster."""
        names = [name for name in self._clusters.driven if name in self._times]
        await self._bulkheads.run_each(PART, names, self._sweep)

    async def _sweep(self, name: str) -> None:
        now, channel = self._clock.now(), self._channels.get(name, "")
        date, at = self._times[name].newest(now)
        if now - at > WITHIN or not channel:
            return
        mark = f"waste/{name}/{date}"
        if await self._poster.is_posted(mark):
            return
        report = await self._waste.report(name)
        if report.findings:
            await self._post(mark, channel, report, at)
            return
        if report.unknown:
            # What cannot be read is reported once, not each week.
            told = hashlib.sha256("\n".join(report.unknown).encode()).hexdigest()[:16]
            await self._post(f"waste/{name}/unknown/{told}", channel, report, at)
        await self._poster.note_posted(mark)

    async def _post(self, mark: str, channel: str, report: WasteReport, at: float) -> None:
        try:
            await self._poster.post(mark, channel, waste_card(report), since=at)
        except ChannelClosed as closed:
            log.info("the unused resources of %s: %s", report.cluster, closed)
