"""Restore drills at DigitalOcean: what exists of them, and how it is created and deleted."""

import re
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from services.cloud import node_scripts as scripts
from services.cloud.clients.throwaway import (
    ThrowawayWrites,
    firewalls,
    networks,
    ssh_keys,
    tags,
)
from services.cloud.drill_seal import sealing_user_data
from services.cloud.listings import SharedAccount
from services.cloud.node_access import NodeAccess
from services.cluster.drills import (
    Counts,
    DrillDroplet,
    DrillPart,
    DrillReport,
    DrillSeen,
    is_drill_of,
)
from services.cluster.model import Droplet
from services.common.errors import BotError, Forbidden, NotFound, Refused, Rejected
from services.common.observed import Observed, Unobserved
from services.common.text import strip_invisible

Json = dict[str, Any]
EVERYWHERE = ["0.0.0.0/0", "::/0"]
COUNT_LINE = re.compile(r"count=([\w.$-]{1,150})=(\d{1,15})")
# No droplet has this id: deleting it shows whether the token may delete one.
NO_DROPLET = 10**17


def firewall_body(name: str) -> Json:
    """Return the firewall of a drill: SSH in, nothing out. Answers to SSH pass, as always."""
    sources = {"addresses": EVERYWHERE}
    return {
        "name": name,
        "tags": [name],
        "inbound_rules": [{"protocol": "tcp", "ports": "22", "sources": sources}],
        "outbound_rules": [],
    }


def is_shut(firewall: Json) -> bool:
    """Return whether a firewall lets nothing out, and nothing but SSH in, for its own tag."""
    inbound = firewall.get("inbound_rules") or []
    only_ssh = all(r.get("protocol") == "tcp" and str(r.get("ports")) == "22" for r in inbound)
    mine = firewall.get("name") in (firewall.get("tags") or [])
    return mine and only_ssh and not firewall.get("outbound_rules")


def counts_in(output: str) -> Counts:
    """Return the documents by collection in what a script printed."""
    return tuple((m[1], int(m[2])) for m in map(COUNT_LINE.fullmatch, output.splitlines()) if m)


def report_in(output: str) -> DrillReport | None:
    """Return what a copy's script printed; None where it is not complete."""
    lines = output.splitlines()
    if not lines or lines[-1] != "end":
        return None
    told = [line.partition("=") for line in lines]
    failures = [value for key, _, value in told if key == "failed"]
    return DrillReport(
        sealed="sealed=yes" in lines,
        started=tuple(value for key, _, value in told if key == "started"),
        begun="begun=yes" in lines,
        ended="ended=yes" in lines,
        failure=strip_invisible(failures[0])[:200] if failures else "",
        counts=counts_in(output),
    )


class DrillSurvey:
    """Looks at what drills of one stack have created."""

    def __init__(self, stack: str, account: SharedAccount, nodes: NodeAccess) -> None:
        self._stack = stack
        self._account = account
        self._nodes = nodes

    def droplets(self, droplets: tuple[Droplet, ...]) -> tuple[DrillDroplet, ...]:
        """Return the throw-away droplets among those of the account."""
        return tuple(
            DrillDroplet(d.id, d.name, d.status, d.locked, d.address, d.hourly, d.created_at)
            for d in droplets
            if is_drill_of(self._stack, d.name)
        )

    async def look(self, droplets: tuple[DrillDroplet, ...]) -> DrillSeen:
        """Look at networks, firewalls, tags, and by SSH at the copy of a master."""
        requests = self._account.api.requests
        vpcs = self._of_this(await networks(requests))
        walls = self._of_this(await firewalls(requests))
        names = [n for n in await tags(requests) if is_drill_of(self._stack, n)]
        parts = [DrillPart("network", str(v["id"]), str(v["name"])) for v in vpcs]
        parts += [DrillPart("firewall", str(w["id"]), str(w["name"]), is_shut(w)) for w in walls]
        parts += [DrillPart("tag", name, name) for name in names]
        shut = {str(w["name"]) for w in walls if is_shut(w)}
        pending = {
            int(change.get("droplet_id") or 0)
            for w in walls
            for change in w.get("pending_changes") or []
        }
        seen = []
        for droplet in droplets:
            is_behind = droplet.name in shut and droplet.id not in pending
            report = await self._report(droplet)
            seen.append(_with(droplet, report, shut=is_behind))
        return DrillSeen(tuple(parts), tuple(seen))

    def _of_this(self, things: list[Json]) -> list[Json]:
        return [t for t in things if is_drill_of(self._stack, str(t.get("name") or ""))]

    async def _report(self, droplet: DrillDroplet) -> Observed[DrillReport]:
        if not droplet.active or not droplet.address:
            return Unobserved("it does not run yet")
        output = await self._nodes.read(droplet.id, scripts.DRILL_LOOK)
        if isinstance(output, str):
            return Unobserved(output)
        return report_in(output.stdout) or Unobserved("its answer was cut")


def _with(droplet: DrillDroplet, report: Observed[DrillReport], *, shut: bool) -> DrillDroplet:
    return DrillDroplet(
        droplet.id,
        droplet.name,
        droplet.status,
        droplet.locked,
        droplet.address,
        droplet.hourly,
        droplet.created_at,
        shut,
        report,
    )


class DrillWriter:
    """Creates and deletes a drill's resources. `check`: the run's fence, before each request."""

    def __init__(
        self, stack: str, account: SharedAccount, check: Callable[[], None], *, unsure: bool
    ) -> None:
        self._stack = stack
        self._account = account
        self._writes = ThrowawayWrites(account.api, check)
        # An earlier request may have taken effect without an answer.
        self._unsure = unsure

    async def create_network(self, name: str, region: str, seen: DrillSeen) -> None:
        """Create what is missing. Refused for a token that could not delete it."""
        self._must_be_ours(name)
        if not any(p.name == name for p in seen.parts):
            await self._check_deletes(name)
        if not any(p.kind == "tag" and p.name == name for p in seen.parts):
            await self._writes.create_tag(name)
        if not seen.has("firewall", name):
            await self._writes.create_firewall(firewall_body(name))
        if not seen.has("network", name):
            await self._writes.create_network(name, region)

    async def create_droplet(
        self, name: str, snapshot: str, size: str, region: str, seen: DrillSeen
    ) -> None:
        """Create the droplet, unless an earlier request has."""
        self._must_be_ours(name)
        network = next((p.id for p in seen.parts if p.kind == "network" and p.name == name), "")
        if not network or not seen.has("firewall", name):
            raise Refused("the drill's network is not there, so no copy of a master is started")
        if self._unsure and any(d.get("name") == name for d in await self._account.api.droplets()):
            return
        keys = await ssh_keys(self._account.api.requests)
        if not keys:
            raise Refused("the account has no SSH key; without one DigitalOcean sets a password")
        await self._writes.create_droplet(
            {
                "name": name,
                "region": region,
                "size": size,
                "image": int(snapshot),
                "ssh_keys": keys,
                "tags": [name],
                "vpc_uuid": network,
                "user_data": sealing_user_data(),
                "backups": False,
                "monitoring": False,
                "with_droplet_agent": False,
            }
        )

    async def delete(self, seen: DrillSeen) -> None:
        """Delete everything that is seen: droplets first, networks once no droplet is in them.

        All of it is tried; then the first error is raised.
        """
        first: BotError | None = None
        for name, work in self._deletions(seen):
            self._must_be_ours(name)
            try:
                with suppress(NotFound):
                    await work()
            except (Forbidden, Refused):
                raise
            except Rejected as error:
                # A droplet that is being created, a network that is not empty yet: once more later.
                if error.status not in (403, 409, 412, 422):
                    first = first or error
            except BotError as error:
                first = first or error
        if first is not None:
            raise first

    def _deletions(self, seen: DrillSeen) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        if seen.droplets:
            # The firewall and the tag stay for as long as a copy of a master is there.
            return [(d.name, partial(self._writes.delete_droplet, d.id)) for d in seen.droplets]
        deletes = {
            "network": self._writes.delete_network,
            "firewall": self._writes.delete_firewall,
            "tag": self._writes.delete_tag,
        }
        return [(p.name, partial(deletes[p.kind], p.id)) for p in seen.parts]

    async def _check_deletes(self, name: str) -> None:
        """Refuse a token that could create what it may not delete, by deleting what is not there.

        Droplets, networks and firewalls of these ids do not exist.
        """
        nothing = str(uuid.UUID(int=0))
        for delete in (
            partial(self._writes.delete_droplet, NO_DROPLET),
            partial(self._writes.delete_network, nothing),
            partial(self._writes.delete_firewall, nothing),
            partial(self._writes.delete_tag, name),
        ):
            try:
                await delete()
            except Forbidden as error:
                raise Refused(f"{error}, so nothing was created: it could not be deleted") from None
            except Rejected:
                continue  # it does not exist: the token may delete

    def _must_be_ours(self, name: str) -> None:
        """Raise unless the name is one of a drill of this stack: nothing else is ever touched."""
        if not is_drill_of(self._stack, name):
            raise Refused(f"{name} was not created by a drill of {self._stack}")
