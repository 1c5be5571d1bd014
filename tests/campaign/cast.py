"""The people of a cluster.

Where they talk, who may approve there, how many are needed, and who has lost that role.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.scene import Scene, open_message_tab

GROUP, GROUP_LAG = "S0APPROVE", 660.0
"""A user group of approvers, and how long the bot may need to see who has left it."""
LAG = 60.0  # The same for a user whose account was closed.
ELI, OTHER = "UELI", "CX"
TERMINAL = "terminal"
"""Instead of a message's timestamp: what was agreed to at a terminal."""


@dataclass
class ClusterCast:
    """One cluster's people. `needs` approvals by others than `asks`, younger than `minutes`.

    `growth` of the load is allowed.

    `closed`: no one else may look. `glass`: who may break it. More media nodes than `most` take
    `needs_more` approvals.
    """

    stack: str
    channel: str
    asks: str
    approvers: tuple[str, ...]
    needs: int = 1
    minutes: float = 30.0
    growth: float = 0.5
    group: bool = False
    closed: bool = False
    glass: tuple[str, ...] = ()
    most: float = math.inf
    needs_more: int = 0
    lost: dict[str, float] = field(default_factory=dict)

    def may_approve(self, user: str, at: float) -> bool:
        """Return whether that user's approval counted at that moment."""
        lost_at = self.lost.get(user)
        lag = GROUP_LAG if self.group else LAG
        return (
            user in self.approvers
            and user != self.asks
            and (lost_at is None or at <= lost_at + lag)
        )

    def may_look(self, user: str) -> bool:
        """Return whether that user may see anything of the cluster."""
        return not self.closed or user in (self.asks, *self.approvers)

    def left(self) -> list[str]:
        """Return who may still approve."""
        return [u for u in self.approvers if u not in self.lost and u != self.asks]

    def settings(self) -> Mapping[str, Any]:
        """Return their part of the cluster's settings."""
        everyone = sorted({self.asks, *self.approvers})
        roles: dict[str, Any] = {"operators": everyone}
        if self.group:
            roles["approvers"] = [GROUP]
        elif set(self.approvers) != set(everyone):
            roles["approvers"] = list(self.approvers)
        if self.closed:
            roles["viewers"] = everyone
        if self.glass:
            roles["break_glass"] = list(self.glass)
        return {"roles": roles, "channel": self.channel}


def move_in(scene: Scene, casts: list[ClusterCast]) -> None:
    """Add the people and channels of the story to those of every scene."""
    place = scene.slack.workspace
    place.add_user(ELI, "eli", "Eli")
    place.join("COPS", ELI)
    place.add_channel("CBETA", "beta-ops", ["UANA", "UBEN", "UCARLA", "UDORA", ELI])
    place.add_channel(OTHER, "elsewhere", ["UANA", "UBEN"], with_bot=False)
    place.direct("UANA")
    open_message_tab(scene.slack)
    if any(c.group for c in casts):
        place.add_group(GROUP, "approvers", [u for c in casts if c.group for u in c.approvers])


def closes_account(scene: Scene, cast: ClusterCast, user: str) -> None:
    """Close a user's account."""
    scene.slack.workspace.deactivate(user)
    cast.lost[user] = scene.clock.now()


def leaves_group(scene: Scene, cast: ClusterCast, user: str) -> None:
    """Remove a user from the group of approvers."""
    group = scene.slack.workspace.groups[GROUP]
    group.users = [u for u in group.users if u != user]
    cast.lost[user] = scene.clock.now()
