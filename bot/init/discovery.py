"""Finds the stacks of a DigitalOcean account that look like OpenVidu High Availability."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.cloud.clients.digitalocean import DigitalOceanClient
from services.common.clock import Clock

MASTER = re.compile(r"(?P<stack>.+)-master-node-[1-4]")
DIGITALOCEAN = "https://api.digitalocean.com"


@dataclass(frozen=True)
class FoundStack:
    """A stack with its four masters."""

    stack: str
    region: str
    media: int

    def words(self) -> str:
        """Return `acme · ams3 · 4 masters, 3 media droplets`."""
        return f"{self.stack} · {self.region} · 4 masters, {self.media} media droplets"


def stacks(droplets: Sequence[dict[str, Any]]) -> list[FoundStack]:
    """Return every stack that has all four masters."""
    masters: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for droplet in droplets:
        if match := MASTER.fullmatch(str(droplet.get("name"))):
            masters[match["stack"]].append(droplet)
    found = []
    for stack, four in sorted(masters.items()):
        if len({d["name"] for d in four}) == 4:
            media = sum(f"{stack}-media-node-tag" in (d.get("tags") or ()) for d in droplets)
            found.append(
                FoundStack(stack, str((four[0].get("region") or {}).get("slug", "")), media)
            )
    return found


async def look_up(token: str, endpoint: str) -> list[FoundStack]:
    """List the droplets once; return the stacks. Raises what the client raises."""
    api = DigitalOceanClient(token, endpoint=endpoint or DIGITALOCEAN, clock=Clock())
    try:
        return stacks(await api.droplets())
    finally:
        await api.aclose()
