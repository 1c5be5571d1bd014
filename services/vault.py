"""`secrets.env` in the bucket: what is known of it without its values, and the few things that may be done with it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.clock import Clock
from services.cluster import SecretsSeen
from services.errors import NotFound, Refused, Rejected
from services.secrets_env import Harm, SecretsFile

FILE, LOCK = "secrets.env", "lock.lock"
STAGED = "openvidu-bot/staged/"
VERSIONS = "openvidu-bot/versions/"


class Objects(Protocol):
    """A bucket: `services.clients.spaces.Spaces`."""

    async def get(self, key: str) -> tuple[bytes, str]: ...
    async def put(self, key: str, content: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str: ...
    async def copy(self, source: str, target: str) -> str: ...
    async def delete(self, key: str) -> None: ...
    async def head(self, key: str) -> Any: ...
    async def list(self, prefix: str = "") -> Sequence[Any]: ...


@dataclass(frozen=True)
class Version:
    """An earlier `secrets.env`: its name, and when it was replaced (epoch seconds)."""

    name: str
    at: float


def digest(content: bytes) -> str:
    """Tells two versions of the file apart. Of the whole file: nothing can be told from it about one value."""
    return hashlib.sha256(content).hexdigest()


class Vault:
    """Values go in and out of here as bytes, and nowhere else."""

    def __init__(self, objects: Objects, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock

    async def look(self) -> SecretsSeen:
        """What may be known of the file: its digest, whether a writer holds the lock, what would stop a master, what is staged."""
        content, _ = await self._objects.get(FILE)
        stops = tuple(str(p) for p in SecretsFile(content).problems() if p.harm is Harm.STOPS)
        staged = tuple(s.key.removeprefix(STAGED) for s in await self._objects.list(STAGED))
        return SecretsSeen(digest(content), await self._lock_age(), stops, staged)

    async def _lock_age(self) -> float | None:
        try:
            lock = await self._objects.head(LOCK)
        except NotFound:
            return None
        return max(0.0, self._clock.now() - float(lock.modified))

    async def read(self) -> SecretsFile:
        """The file itself; for linting and staging only."""
        return SecretsFile((await self._objects.get(FILE))[0])

    async def version(self, name: str) -> SecretsFile:
        """An earlier file. Refused when there is none of that name."""
        try:
            return SecretsFile((await self._objects.get(f"{VERSIONS}{name}"))[0])
        except NotFound:
            raise Refused("there is no such version; `/openvidu config history` lists them") from None

    async def versions(self) -> list[Version]:
        """Earlier files, newest first."""
        found = [Version(s.key.removeprefix(VERSIONS), float(s.modified)) for s in await self._objects.list(VERSIONS)]
        return sorted(found, key=lambda v: -v.at)

    async def stage(self, name: str, file: SecretsFile) -> None:
        """Put a new file beside the old one, private: the one thing that is written before an approval."""
        await self._objects.put(f"{STAGED}{name}", bytes(file), if_none_match=True)

    async def drop(self, name: str) -> None:
        """Delete a staged file."""
        await self._objects.delete(f"{STAGED}{name}")

    async def old_staged(self, older_than: float) -> list[str]:
        """Staged files made before that moment."""
        return [s.key.removeprefix(STAGED) for s in await self._objects.list(STAGED) if float(s.modified) < older_than]

    async def promote(self, name: str, before: str) -> None:
        """Keep the current file as a version, then put the staged one in its place, if nobody has changed it meanwhile."""
        new, _ = await self._objects.get(f"{STAGED}{name}")
        old, etag = await self._objects.get(FILE)
        if digest(old) == digest(new):
            return
        if digest(old) != before:
            raise Refused("somebody else has changed secrets.env since this was asked for; nothing was written")
        await self._objects.put(f"{VERSIONS}{name}", old)
        try:
            await self._objects.put(FILE, new, if_match=etag)
        except Rejected as error:
            if error.status == 412:
                raise Refused("somebody else changed secrets.env at this very moment; nothing was written") from None
            raise
        if digest((await self._objects.get(FILE))[0]) != digest(new):
            raise Rejected("secrets.env does not read back as it was written")

    async def restore(self, name: str) -> None:
        """Put the version that this change replaced back."""
        old, _ = await self._objects.get(f"{VERSIONS}{name}")
        await self._objects.put(FILE, old)
        if digest((await self._objects.get(FILE))[0]) != digest(old):
            raise Rejected("the old secrets.env does not read back as it was written")

    async def break_lock(self) -> None:
        """Delete another writer's lock, because a person said so."""
        await self._objects.delete(LOCK)
