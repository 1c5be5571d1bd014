"""Whether a cluster's pages answer: each master's health page and the public address."""

from services.cloud.clients.http import HttpClient
from services.cluster.model import Droplet
from services.common import eager
from services.common.causes import REFUSED
from services.common.clock import Clock
from services.common.errors import Unreachable
from services.common.observed import NOT_OBSERVED, Observed, UnknownSince

HEALTH_SECONDS = 5.0
OK_BELOW = 201
# OpenVidu Meet may redirect to its own page.
FRONT_BELOW = 400


def health_page(pattern: str, master: Droplet, address: str) -> str:
    """Return the URL of a master's health page. `address`: the one that the bot reaches it at."""
    return pattern.format(address=address, private_address=master.private_address)


class HealthPages:
    """Asks pages, and remembers since when each has not answered."""

    def __init__(self, http: HttpClient, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._silences = UnknownSince()

    async def of_masters(self, pages: dict[int, str]) -> dict[int, Observed[bool]]:
        """Return by droplet id whether each health page answers.

        `pages`: "" for a master that is off.
        """
        answers = await eager.gather(*(self._of_master(url) for url in pages.values()))
        return dict(zip(pages, answers, strict=True))

    async def of_front(self, url: str) -> Observed[bool]:
        """Return whether the public address answers."""
        if not url:
            return NOT_OBSERVED
        return await self._answers(url, FRONT_BELOW)

    async def _of_master(self, url: str) -> Observed[bool]:
        return await self._answers(url, OK_BELOW) if url else False

    async def _answers(self, url: str, below: int) -> Observed[bool]:
        """Return whether the page answers with a status from 200 to `below`.

        A host that refuses the connection is seen not to answer. Silence may be the network in
        between: that is not seen, with its cause.
        """
        try:
            reply = await self._http.get(url, timeout=HEALTH_SECONDS)
            is_up = 200 <= reply.status < below
        except Unreachable as error:
            if error.cause != REFUSED:
                return self._silences.note(url, error.cause or str(error), self._clock.now())
            is_up = False
        self._silences.over(url)
        return is_up
