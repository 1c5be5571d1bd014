"""Creates and deletes throw-away resources: of `openvidu-bot probe`, and of restore drills.

A drill is the only run that has these requests: nothing else that is done for a cluster creates a
droplet or deletes a network.
"""

from collections.abc import Callable
from typing import Any

from services.cloud.clients.digitalocean import ApiRequests, DigitalOceanClient, DigitalOceanWrites
from services.cloud.clients.list_pages import only

Json = dict[str, Any]


class ThrowawayWrites(DigitalOceanWrites):
    """The requests that create and delete single resources, each sent once.

    Every one is checked by its caller: it names a resource that carries a tag of a probe or of a
    drill. `check` is called right before each, and may raise.
    """

    def __init__(
        self, client: DigitalOceanClient, check: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(client.requests, check)

    async def create_pool(self, body: Json) -> Json:
        """Create an autoscale pool. When the answer is lost, Unreachable with `sent` None."""
        answer = await self._send(
            f"creating autoscale pool {body['name']}",
            "droplet:create (with ssh_key:read, tag:create, vpc:read and project:read)",
            lambda api: api.autoscalepools.create(body=body),
        )
        return only("autoscale_pool", f"creating autoscale pool {body['name']}", answer)

    async def delete_pool_with_droplets(self, pool_id: str) -> None:
        """Delete an autoscale pool and its droplets."""
        await self._send(
            f"deleting autoscale pool {pool_id}",
            "droplet:delete",
            lambda api: api.autoscalepools.delete_dangerous(pool_id, x_dangerous=True),
        )

    async def create_droplet(self, body: Json) -> Json:
        """Create a droplet. When the answer is lost, Unreachable with `sent` None."""
        what = f"creating droplet {body.get('name', '')}".rstrip()
        scope = "droplet:create (with ssh_key:read, tag:create, image:read and vpc:read)"
        answer = await self._send(what, scope, lambda api: api.droplets.create(body=body))
        return only("droplet", what, answer)

    async def create_tag(self, name: str) -> None:
        """Create a tag; doing so again changes nothing."""
        await self._send(
            f"creating the tag {name}",
            "tag:create",
            lambda api: api.tags.create(body={"name": name}),
        )

    async def create_network(self, name: str, region: str) -> None:
        """Create a VPC. DigitalOcean chooses a range that overlaps none of the account."""
        what = f"creating the network {name}"
        body = {"name": name, "region": region, "description": "restore drill: may be deleted"}
        await self._send(what, "vpc:create", lambda api: api.vpcs.create(body=body))

    async def delete_network(self, network: str) -> None:
        """Delete a VPC by its id; refused while a droplet is in it."""
        what = f"deleting the network {network}"
        await self._send(what, "vpc:delete", lambda api: api.vpcs.delete(network))

    async def create_firewall(self, body: Json) -> None:
        """Create a cloud firewall."""
        what = f"creating the firewall {body['name']}"
        await self._send(what, "firewall:create", lambda api: api.firewalls.create(body=body))

    async def delete_firewall(self, firewall: str) -> None:
        """Delete a cloud firewall by its id."""
        what = f"deleting the firewall {firewall}"
        await self._send(what, "firewall:delete", lambda api: api.firewalls.delete(firewall))

    async def delete_tag(self, name: str) -> None:
        """Delete a tag, and so take it from everything that carries it."""
        await self._send(
            f"deleting the tag {name}", "tag:delete", lambda api: api.tags.delete(name)
        )

    async def create_namespace(self, label: str, region: str) -> str:
        """Create a functions namespace; return its id. The key in the answer is dropped here."""
        what = f"creating the functions namespace {label}"
        body = {"label": label, "region": region}
        answer = await self._send(
            what, "function:create", lambda api: api.functions.create_namespace(body=body)
        )
        return str(only("namespace", what, answer).get("namespace"))

    async def create_trigger(self, namespace: str, body: Json) -> Json:
        """Create a trigger in a functions namespace."""
        what = f"creating the trigger {body['name']}"
        answer = await self._send(
            what,
            "function:create",
            lambda api: api.functions.create_trigger(namespace, body=body),
        )
        return only("trigger", what, answer)

    async def delete_namespace(self, namespace: str) -> None:
        """Delete a functions namespace with all that is in it."""
        await self._send(
            f"deleting the functions namespace {namespace}",
            "function:delete",
            lambda api: api.functions.delete_namespace(namespace),
        )


async def tags(requests: ApiRequests) -> list[str]:
    """List the names of all tags of the account."""
    what = "listing tags"
    entries = await requests.list("tags", what, "tag:read", lambda api: api.tags.list)
    return [str(entry.get("name")) for entry in entries]


async def networks(requests: ApiRequests) -> list[Json]:
    """List the VPCs of the account."""
    return await requests.list("vpcs", "listing networks", "vpc:read", lambda api: api.vpcs.list)


async def firewalls(requests: ApiRequests) -> list[Json]:
    """List the cloud firewalls of the account."""
    what = "listing firewalls"
    return await requests.list("firewalls", what, "firewall:read", lambda api: api.firewalls.list)


async def ssh_keys(requests: ApiRequests) -> list[str]:
    """List the ids of all SSH keys of the account."""
    what = "listing SSH keys"
    entries = await requests.list("ssh_keys", what, "ssh_key:read", lambda api: api.ssh_keys.list)
    return [str(entry.get("id")) for entry in entries]
