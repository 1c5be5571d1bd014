"""How droplets come into being, and the tags they carry."""

from collections.abc import Mapping
from typing import Any

from simulators.cloud.catalog import SIZES
from simulators.cloud.copies import boot_copy
from simulators.cloud.events import DropletTouched, Emit
from simulators.cloud.model import SimulatedDroplet, SimulatedSnapshot, unprocessable
from simulators.cloud.nodes import NodeSystem
from simulators.cloud.state import CloudState
from simulators.evidence import Source, rests_on

IMAGE = "ubuntu-24-04-x64"


class Droplets:
    """Creates and tags droplets."""

    def __init__(self, state: CloudState, emit: Emit, nodes: NodeSystem) -> None:
        self.state, self.emit, self.nodes = state, emit, nodes

    def create(
        self, name: str, template: Mapping[str, Any], public_ip: str | None = None
    ) -> SimulatedDroplet:
        """Create a droplet, which becomes active after a while.

        Raises:
            Refusal: when the account has reached its limit.
        """
        state = self.state
        if len(state.droplets) >= state.droplet_limit:
            raise unprocessable("creating this/these droplet(s) will exceed your droplet limit")
        tags = [str(tag) for tag in template.get("tags") or []]
        stack = next((s for s in state.clusters if f"{s}-media-node-tag" in tags), "")
        size = SIZES[str(template["size"])]
        droplet = SimulatedDroplet(
            id=state.number(),
            name=name,
            region=str(template["region"]),
            image=IMAGE,
            size=size.slug,
            disk=size.disk,
            tags=tags,
            public_ip=public_ip or state.address(),
            private_ip=state.private_ip(stack),
            vpc_uuid=str(template.get("vpc_uuid") or state.uuid()),
            created_at=state.now,
            stack=stack,
            creating=True,
            copy_of=self._source(template),
            user_data=str(template.get("user_data") or ""),
        )
        if stack:
            droplet.role = "media"
        state.droplets[droplet.id] = droplet
        self.emit(DropletTouched(droplet))
        state.tags.update(tags)
        state.timeline.after(state.delays.droplet_create, lambda: self._arrive(droplet))
        return droplet

    def tag(self, droplet: SimulatedDroplet, name: str) -> None:
        """Add a tag to a droplet."""
        if name not in droplet.tags:
            droplet.tags.append(name)
            self.nodes.graceful.tags_changed(droplet)

    def untag(self, droplet: SimulatedDroplet, name: str) -> None:
        """Remove a tag from a droplet."""
        if name in droplet.tags:
            droplet.tags.remove(name)

    def _source(self, template: Mapping[str, Any]) -> SimulatedSnapshot | None:
        image = str(template.get("image") or "")
        return self.state.snapshots.get(int(image)) if image.isdigit() else None

    def _arrive(self, droplet: SimulatedDroplet) -> None:
        if droplet.id in self.state.droplets and droplet.creating:
            droplet.creating, droplet.status = False, "active"
            self.nodes.power_up(droplet)
            if droplet.copy_of is not None:
                boot_copy(self.state, droplet, self.emit)


rests_on(
    "droplets",
    Source.DOCUMENT,
    "DigitalOcean's page on limits: an account has a limit of droplets",
    "a droplet beyond the account's limit is refused",
)
