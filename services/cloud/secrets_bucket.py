"""`secrets.env` in the bucket: what is known of it without its values, and the few things that may be done with it."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.cloud.clients.spaces import Stored
from services.cluster.model import SecretsSeen
from services.common.clock import Clock
from services.common.errors import NotFound, Refused, Rejected, Unreachable
from services.secrets_env import (
    ABSENT,
    Danger,
    Linted,
    Reader,
    SecretsFile,
    Unread,
    described,
    findings,
    would,
)

FILE, LOCK = "secrets.env", "lock.lock"
STAGED = "openvidu-bot/staged/"
VERSIONS = "openvidu-bot/versions/"
HEADS = "openvidu-bot/audit/"
NO_BUCKET = "NoSuchBucket"
LINT_SECONDS = 10.0
LINT_PAUSE = 1.0
LARGEST = 65_536  # bytes that are looked through; a deployment's file has some 2,000
OVERWRITTEN = (
    "somebody else has changed secrets.env since the bot did; their file was left as it is"
)


class Objects(Protocol):
    """A bucket: `services.cloud.clients.spaces.Spaces`."""

    async def get(self, key: str) -> tuple[bytes, str]: ...
    async def get_if_changed(self, key: str, etag: str) -> tuple[bytes, str] | None: ...
    async def put(
        self, key: str, content: bytes, *, if_match: str | None = None, if_none_match: bool = False
    ) -> str: ...
    async def copy(self, source: str, target: str) -> str: ...
    async def delete(self, key: str) -> None: ...
    async def head(self, key: str) -> Any: ...
    async def list(self, prefix: str = "") -> Sequence[Any]: ...


@dataclass(frozen=True)
class Version:
    """An earlier `secrets.env`: its name, and when it was replaced (epoch seconds)."""

    name: str
    at: float


def must_boot(file: SecretsFile) -> None:
    """Refused, with lines and keys but no value, when a master that boots with this file would run part of it, or stay stopped."""
    found = [f for f in findings(file) if f.reader is Reader.MASTERS or f.danger is Danger.RUNS]
    if found:
        raise Refused(f"{would(found)}: {described(found)}; nothing was written")


def digest(content: bytes) -> str:
    """Tells two versions of the file apart. Of the whole file: nothing can be told from it about one value."""
    return hashlib.sha256(content).hexdigest()


class SecretsBucket:
    """Values go in and out of here as bytes, and nowhere else."""

    def __init__(self, objects: Objects, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._linted: tuple[str, bool, Linted] | None = (
            None  # what was found, for which etag and generation; no content is kept
        )

    async def lint(self, *, pool: bool) -> Linted | Unread:
        """What in the file would run as root or keep nodes from starting; one GET, and its content only when it has changed."""
        known, of_pool, linted = self._linted or ("", pool, Linted())
        try:
            async with asyncio.timeout(LINT_SECONDS):
                found = await self._read_again(known if of_pool is pool else "")
        except TimeoutError:
            return Unread(f"no answer within {LINT_SECONDS:.0f} s")
        except NotFound as error:
            return Unread(str(error)) if error.message == NO_BUCKET else Linted((ABSENT,))
        except (Rejected, Unreachable) as error:
            return Unread(str(error))
        if found is None:
            return linted
        content, etag = found
        if len(content) > LARGEST:
            return Unread(f"it has {len(content)} bytes, which no deployment writes")
        linted = Linted(findings(SecretsFile(content), pool=pool))
        self._linted = (etag, pool, linted)
        return linted

    async def _read_again(self, etag: str) -> tuple[bytes, str] | None:
        """A bucket that is asked too often says so once in a while: reading is tried twice."""
        try:
            return await self._objects.get_if_changed(FILE, etag)
        except Unreachable:
            await self._clock.sleep(LINT_PAUSE)
            return await self._objects.get_if_changed(FILE, etag)

    async def look(self) -> SecretsSeen:
        """What may be known of the file: its digest, whether a writer holds the lock, what is staged."""
        content, _ = await self._file()
        staged = tuple(s.key.removeprefix(STAGED) for s in await self._objects.list(STAGED))
        lock, made_at = await self._lock()
        return SecretsSeen(
            digest(content), max(0.0, self._clock.now() - made_at) if lock else None, lock, staged
        )

    async def _lock(self) -> tuple[str, float]:
        """Another writer's lock, told from a later one, and when it was made; "" when there is none."""
        try:
            lock = await self._objects.head(LOCK)
        except NotFound:
            return "", 0.0
        return f"{lock.modified:.0f} {lock.etag}", float(lock.modified)

    async def read(self) -> SecretsFile:
        """The file itself; for linting and staging only."""
        return SecretsFile((await self._file())[0])

    async def _file(self) -> tuple[bytes, str]:
        """The file's content and etag; nothing of either where it is not there any more, so that a version can be put in its place."""
        try:
            return await self._objects.get(FILE)
        except NotFound as error:
            if error.message == NO_BUCKET:
                raise
            return b"", ""

    async def version(self, name: str) -> SecretsFile:
        """An earlier file. Refused when there is none of that name."""
        try:
            return SecretsFile((await self._objects.get(f"{VERSIONS}{name}"))[0])
        except NotFound:
            raise Refused(
                "there is no such version; [[command config history]] lists them"
            ) from None

    async def versions(self) -> list[Version]:
        """Earlier files, newest first."""
        found = [
            Version(s.key.removeprefix(VERSIONS), float(s.modified))
            for s in await self._objects.list(VERSIONS)
        ]
        return sorted(found, key=lambda v: -v.at)

    async def stage(self, name: str, file: SecretsFile) -> None:
        """Put a new file beside the old one, private: the one thing that is written before an approval.

        Refused when a master that reads it would stay stopped.
        """
        must_boot(file)
        await self._objects.put(f"{STAGED}{name}", bytes(file), if_none_match=True)

    async def drop(self, name: str) -> None:
        """Delete a staged file."""
        await self._objects.delete(f"{STAGED}{name}")

    async def old_staged(self, older_than: float) -> list[str]:
        """Staged files made before that moment."""
        return [
            s.key.removeprefix(STAGED)
            for s in await self._objects.list(STAGED)
            if float(s.modified) < older_than
        ]

    async def promote(self, name: str, before: str, after: str, may: Callable[[], None]) -> None:
        """Keep the current file as a version, then put the staged one in its place, if neither is another than was approved.

        `may` raises when it must not be written any more; it is asked last.
        """
        new, _ = await self._objects.get(f"{STAGED}{name}")
        old, etag = await self._file()
        if digest(old) == after:
            return
        if digest(new) != after:
            raise Refused("the staged file is not the one that was approved; nothing was written")
        if digest(old) != before:
            raise Refused(
                "somebody else has changed secrets.env since this was asked for; nothing was written"
            )
        must_boot(SecretsFile(new))
        await self._objects.put(f"{VERSIONS}{name}", old)
        await self._replace(new, etag, may)

    async def restore(self, name: str, after: str, may: Callable[[], None]) -> None:
        """Put the version that this change replaced back, if the file is still the one that the change made."""
        old, _ = await self._objects.get(f"{VERSIONS}{name}")
        now, etag = await self._file()
        if digest(now) == digest(old):
            return
        if digest(now) != after:
            raise Refused(OVERWRITTEN)
        must_boot(SecretsFile(old))
        await self._replace(old, etag, may)

    async def _replace(self, content: bytes, etag: str, may: Callable[[], None]) -> None:
        if (await self._lock())[0]:
            raise Unreachable(
                f"{LOCK} was just put into the bucket: another writer is at secrets.env", sent=False
            )
        may()
        try:
            await self._objects.put(FILE, content, if_match=etag or None, if_none_match=not etag)
        except Rejected as error:
            if error.status == 412:
                raise Refused(
                    "somebody else changed secrets.env at this very moment; nothing was written"
                ) from None
            raise
        if (await self._objects.get(FILE))[0] != content:
            # Either it is not to be seen yet, or somebody else wrote at once: the next look tells.
            raise Unreachable("secrets.env does not read back as it was written yet", sent=True)

    async def anchor(self, name: str, content: bytes) -> None:
        """Keep this here, private and under a name of its own: nothing is ever written over, nor deleted."""
        try:
            await self._objects.put(f"{HEADS}{name}", content, if_none_match=True)
        except Rejected as error:
            if error.status != 412:
                raise  # else it lies there already

    async def anchored(self, folder: str) -> list[Stored]:
        """What was kept below this folder, oldest name first."""
        return sorted(await self._objects.list(f"{HEADS}{folder}/"), key=lambda s: str(s.key))

    async def break_lock(self, lock: str) -> None:
        """Delete another writer's lock, because a person said so of this one: not a later one, whose writer is alive."""
        if (await self._lock())[0] == lock:
            await self._objects.delete(LOCK)
