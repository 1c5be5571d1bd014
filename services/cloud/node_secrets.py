"""A Single Node's `secrets.env`: on its own disk, and everything around it in the bucket.

Its boot script copies `/opt/openvidu/secrets.env` into the configuration, and never downloads the
bucket's (read in the vendor's Terraform, PRO and COMMUNITY, 2026-11-30). What lies in the bucket is
a copy from the installation, or nothing. So `secrets.env` is read and written on the node, over
SSH; staged files, versions and backups stay in the bucket, private.
"""

import base64
import binascii
import hashlib
from collections.abc import Awaitable, Callable, Sequence

from services.cloud import node_scripts as scripts
from services.cloud.clients.spaces import Stored
from services.cloud.node_access import NodeAccess
from services.cloud.secrets_bucket import FILE, NO_KEY, ObjectStore
from services.common.errors import NotFound, Rejected, Unreachable

# In the place of a digest: there is no file, or whatever there is may be replaced.
ABSENT, ANY = "absent", "any"
PRECONDITION_FAILED = 412
Locate = Callable[[], Awaitable[int | None]]
"""Returns the droplet on whose disk the file is; None: it is in the bucket."""


class SecretsOnNode(ObjectStore):
    """The bucket of a cluster, with `secrets.env` where the cluster's masters read it."""

    def __init__(self, bucket: ObjectStore, nodes: NodeAccess, locate: Locate) -> None:
        self.bucket = bucket
        self._nodes = nodes
        self._locate = locate

    async def get(self, key: str) -> tuple[bytes, str]:
        """Return the content and what identifies it; of the file on a node its digest."""
        host = await self._host(key)
        if host is None:
            return await self.bucket.get(key)
        answer = await self._nodes.ask(host, scripts.READ_SECRETS)
        state, _, text = answer.partition(" ")
        if state == ABSENT:
            raise NotFound(
                f"reading {FILE} of droplet {host}: there is none", status=404, message=NO_KEY
            )
        try:
            content = base64.b64decode(text, validate=True)
        except binascii.Error:
            content = b""
        if state != digest(content):
            raise Unreachable(f"reading {FILE} of droplet {host}: its answer was truncated")
        return content, state

    async def get_if_changed(self, key: str, etag: str) -> tuple[bytes, str] | None:
        """Return the content unless it is the one of that etag."""
        if await self._host(key) is None:
            return await self.bucket.get_if_changed(key, etag)
        found = await self.get(key)
        return None if found[1] == etag else found

    async def put(
        self, key: str, content: bytes, *, if_match: str | None = None, if_none_match: bool = False
    ) -> str:
        """Store it, on the condition; Rejected with 412 where that does not hold."""
        host = await self._host(key)
        if host is None:
            return await self.bucket.put(
                key, content, if_match=if_match, if_none_match=if_none_match
            )
        before = if_match or (ABSENT if if_none_match else ANY)
        after = digest(content)
        sent = f"{before}\n{after}\n{base64.b64encode(content).decode()}\n"
        match await self._nodes.ask(host, scripts.WRITE_SECRETS, sent):
            case "written":
                return after
            case "changed":
                raise Rejected(
                    f"writing {FILE} on droplet {host}: it is another file",
                    status=PRECONDITION_FAILED,
                )
            case _:
                raise Unreachable(f"writing {FILE} on droplet {host}: not confirmed", sent=True)

    async def copy(self, source: str, target: str) -> str:
        """Copy an object within the bucket; the file of a node into it."""
        if await self._host(source) is None:
            return await self.bucket.copy(source, target)
        content, _ = await self.get(source)
        return await self.bucket.put(target, content)

    async def delete(self, key: str) -> None:
        """Delete an object of the bucket."""
        await self.bucket.delete(key)

    async def head(self, key: str) -> Stored:
        """Return what the bucket says of an object."""
        return await self.bucket.head(key)

    async def list(self, prefix: str = "") -> Sequence[Stored]:
        """List objects of the bucket."""
        return await self.bucket.list(prefix)

    async def _host(self, key: str) -> int | None:
        return await self._locate() if key == FILE else None


def digest(content: bytes) -> str:
    """Return the SHA-256 of the file, as the node's own `sha256sum` prints it."""
    return hashlib.sha256(content).hexdigest()
