"""What reached the simulated world from a bot, by the world's own hand: every single request."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from services.cloud import node_scripts
from simulators.environment import SimulatedEnvironment

READS = frozenset(
    {"digitalocean GET", "spaces GET", "spaces HEAD", "ssh reading"}
    | {
        f"livekit POST /twirp/livekit.{call}"
        for call in ("RoomService/ListRooms", "Egress/ListEgress", "Ingress/ListIngress")
    }
)


@dataclass
class Outside:
    """The requests by kind, with how many of each."""

    seen: dict[str, int] = field(default_factory=dict)

    def note(self, what: str) -> None:
        """Count a request."""
        self.seen[what] = self.seen.get(what, 0) + 1

    @property
    def writes(self) -> dict[str, int]:
        """Return everything that is no reading."""
        return {what: count for what, count in self.seen.items() if what not in READS}


def listen(town: SimulatedEnvironment) -> Outside:
    """Count every request that reaches this world from now on."""
    outside = Outside()

    def heard(before: Callable[..., Any], kind: Callable[..., str]) -> Callable[..., Any]:
        def handle(*arguments: Any, **named: Any) -> Any:
            outside.note(kind(*arguments))
            return before(*arguments, **named)

        return handle

    def script(_droplet: int, command: str, _stdin: str = "") -> str:
        return "ssh reading" if command in node_scripts.READING else f"ssh {command[:40]!r}"

    town.digitalocean.handle = heard(  # type: ignore[method-assign]
        town.digitalocean.handle, lambda method, *_: f"digitalocean {method}"
    )
    town.spaces.handle = heard(  # type: ignore[method-assign]
        town.spaces.handle, lambda method, *_: f"spaces {method}"
    )
    town.shell.execute = heard(town.shell.execute, script)  # type: ignore[method-assign]
    for face in town.livekit.values():
        face.handle = heard(  # type: ignore[method-assign]
            face.handle, lambda method, path, *_: f"livekit {method} {path}"
        )
    return outside
