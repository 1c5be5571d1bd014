"""Creates and deletes the throw-away resources of `openvidu-bot probe`.

No run of the bot has these requests: nothing it does for a cluster creates a droplet or deletes a
pool.
"""

from typing import Any

from services.cloud.clients.digitalocean import ApiRequests, DigitalOceanClient, DigitalOceanWrites
from services.cloud.clients.list_pages import only

Json = dict[str, Any]


class ThrowawayWrites(DigitalOceanWrites):
    """The requests that create and delete single resources, each sent once.

    Every one is checked by its caller: it names a resource that carries a tag of a probe.
    """

    def __init__(self, client: DigitalOceanClient) -> None:
        super().__init__(client.requests, lambda: None)

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


async def ssh_keys(requests: ApiRequests) -> list[str]:
    """List the ids of all SSH keys of the account."""
    what = "listing SSH keys"
    entries = await requests.list("ssh_keys", what, "ssh_key:read", lambda api: api.ssh_keys.list)
    return [str(entry.get("id")) for entry in entries]
