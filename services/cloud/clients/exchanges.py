"""What went out of the process and what came back, for one who listens: `openvidu-bot record`.

The clients hand each exchange over as it was, secrets included, and know nothing of what becomes
of it. The listener returns at once and never raises.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Party = Literal["digitalocean", "livekit", "http", "spaces", "ssh", "slack"]


@dataclass(frozen=True)
class Exchange:
    """One request with its answer.

    `request`: `GET /v2/droplets`, the script that ran on a node, a method of Slack, or an
    operation of S3. `sent` and `answer`: bytes, text, or JSON values. `where`: the address or
    droplet it went to. `lost`: the kind of error when no answer came; `status` is 0 then.
    """

    party: Party
    request: str
    where: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    sent: object = None
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    answer: object = None
    seconds: float = 0.0
    lost: str = ""


Listener = Callable[[Exchange], None]
