"""`secrets.env` in the bucket: what is known of it without its values, and its operations."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.cloud.clients.read_only import ReadingBucket
from services.cloud.clients.spaces import SpacesClient, Stored
from services.cluster.installation import release
from services.cluster.model import SecretsState
from services.common.clock import Clock
from services.common.errors import NotFound, Refused, Rejected, Unreachable
from services.secrets_env import (
    ABSENT,
    HIGH_AVAILABILITY,
    Danger,
    Reader,
    SecretsFile,
    SecretsFindings,
    SecretsLayout,
    SecretsUnread,
    findings,
    findings_text,
    worst_consequence,
)

FILE, LOCK = "secrets.env", "lock.lock"
VERSION_KEY = "OPENVIDU_VERSION"
STAGED = "openvidu-bot/staged/"
VERSIONS = "openvidu-bot/versions/"
BACKUPS = "openvidu-bot/backups/"
HEADS = "openvidu-bot/audit/"
NO_BUCKET, NO_KEY = "NoSuchBucket", "NoSuchKey"
PRECONDITION_FAILED = 412
LINT_SECONDS = 10.0
LINT_PAUSE = 1.0
# Bytes that are examined; a deployment's file has some 2,000.
LARGEST = 65_536
OVERWRITTEN = (
    "another writer changed secrets.env since the bot changed it. That file was not overwritten"
)


class ObjectStore(Protocol):
    """A bucket: `services.cloud.clients.spaces.SpacesClient`."""

    async def get(self, key: str) -> tuple[bytes, str]: ...
    async def get_if_changed(self, key: str, etag: str) -> tuple[bytes, str] | None: ...
    async def put(
        self, key: str, content: bytes, *, if_match: str | None = None, if_none_match: bool = False
    ) -> str: ...
    async def copy(self, source: str, target: str) -> str: ...
    async def delete(self, key: str) -> None: ...
    async def head(self, key: str) -> Stored: ...
    async def list(self, prefix: str = "") -> Sequence[Stored]: ...


@dataclass(frozen=True)
class Version:
    """An earlier `secrets.env`: its name, and when it was replaced (epoch seconds)."""

    name: str
    at: float


@dataclass(frozen=True)
class _LastLint:
    """The last result of linting, and the file that it is about. No content is kept."""

    etag: str
    pool: bool
    linted: SecretsFindings


FindLayout = Callable[[], Awaitable[SecretsLayout]]


async def high_availability() -> SecretsLayout:
    """Return the layout of a deployment with four masters."""
    return HIGH_AVAILABILITY


def raise_unless_bootable(file: SecretsFile) -> None:
    """Raise Refused when a master that boots with this file would run part of it, or stay stopped.

    The text names lines and keys, never a value.
    """
    problems = [
        finding
        for finding in findings(file)
        if finding.reader is Reader.MASTERS or finding.danger is Danger.RUNS
    ]
    if problems:
        raise Refused(
            f"{worst_consequence(problems)}: {findings_text(problems)}. Nothing was written"
        )


def digest(content: bytes) -> str:
    """Return what identifies a version of the file.

    Of the whole file: it reveals no single value.
    """
    return hashlib.sha256(content).hexdigest()


class SecretsBucket:
    """Values enter and leave here as bytes, and nowhere else."""

    def __init__(
        self, objects: ObjectStore, clock: Clock, layout: FindLayout = high_availability
    ) -> None:
        """`layout`: returns what the file of this deployment should have."""
        self._objects = objects
        self._clock = clock
        self._layout = layout
        self._last_lint: _LastLint | None = None

    async def aclose(self) -> None:
        """Stop the bucket's threads."""
        bucket = getattr(self._objects, "bucket", self._objects)
        if isinstance(bucket, SpacesClient | ReadingBucket):
            await bucket.aclose()

    # Reads

    async def lint(self, *, pool: bool) -> SecretsFindings | SecretsUnread:
        """Return what in the file would run as root or keep nodes from starting.

        Takes one GET, which transfers the content only when it has changed.
        """
        last = self._last_lint
        if last is not None and last.pool is not pool:
            last = None
        try:
            async with asyncio.timeout(LINT_SECONDS):
                answer = await self._get_if_changed(last.etag if last else "")
        except TimeoutError:
            return SecretsUnread(f"no answer within {LINT_SECONDS:.0f} s")
        except NotFound as error:
            return (
                SecretsUnread(str(error))
                if error.message == NO_BUCKET
                else SecretsFindings((ABSENT,))
            )
        except (Rejected, Unreachable) as error:
            return SecretsUnread(str(error))
        if answer is None:
            if last is None:
                return SecretsUnread("the bucket reports it as unchanged, but it was never read")
            return last.linted
        content, etag = answer
        if len(content) > LARGEST:
            return SecretsUnread(f"it has {len(content)} bytes, which no deployment writes")
        file = SecretsFile(content, await self._layout())
        linted = SecretsFindings(findings(file, pool=pool))
        self._last_lint = _LastLint(etag, pool, linted)
        return linted

    async def _get_if_changed(self, etag: str) -> tuple[bytes, str] | None:
        """Read the file, with one retry: a bucket that gets too many requests refuses some."""
        try:
            return await self._objects.get_if_changed(FILE, etag)
        except Unreachable:
            await self._clock.sleep(LINT_PAUSE)
            return await self._objects.get_if_changed(FILE, etag)

    async def observe(self) -> SecretsState:
        """Return the file's digest, whether a writer holds the lock, and what is staged."""
        content, _ = await self._file()
        stored = await self._objects.list(STAGED)
        staged = tuple(entry.key.removeprefix(STAGED) for entry in stored)
        lock, locked_at = await self._lock()
        lock_age = max(0.0, self._clock.now() - locked_at) if lock else None
        return SecretsState(digest(content), lock_age, lock, staged, _version(content))

    async def _lock(self) -> tuple[str, float]:
        """Return the id of another writer's lock and when it was made; "" when there is none."""
        try:
            lock = await self._objects.head(LOCK)
        except NotFound:
            return "", 0.0
        return f"{lock.modified:.0f} {lock.etag}", lock.modified

    async def read(self) -> SecretsFile:
        """Return the file itself; for linting and staging only."""
        return await self._of((await self._file())[0])

    async def _file(self) -> tuple[bytes, str]:
        """Return content and etag; both empty where the file is missing: one can be restored."""
        try:
            return await self._objects.get(FILE)
        except NotFound as error:
            if error.message == NO_BUCKET:
                raise
            return b"", ""

    async def version(self, name: str) -> SecretsFile:
        """Return an earlier file. Refused when there is none of that name."""
        try:
            content, _ = await self._objects.get(f"{VERSIONS}{name}")
        except NotFound:
            raise Refused(
                "there is no such version. List them with [[command config history]]"
            ) from None
        return await self._of(content)

    async def _of(self, content: bytes) -> SecretsFile:
        return SecretsFile(content, await self._layout())

    async def versions(self) -> list[Version]:
        """List earlier files, newest first."""
        versions = [
            Version(stored.key.removeprefix(VERSIONS), stored.modified)
            for stored in await self._objects.list(VERSIONS)
        ]
        return sorted(versions, key=lambda version: -version.at)

    async def backups(self) -> tuple[str, ...]:
        """List the labels of backups that hold a copy of the file."""
        return tuple(
            stored.key.removeprefix(BACKUPS).partition("/")[0]
            for stored in await self._objects.list(BACKUPS)
            if stored.key.endswith(f"/{FILE}")
        )

    async def check_backup(self, label: str) -> None:
        """Raise Rejected when the copy with that backup is missing, or starts no master."""
        try:
            content, _ = await self._objects.get(_backup_key(label))
        except NotFound:
            raise Rejected(f"the copy of secrets.env of {label} is not in the bucket") from None
        try:
            raise_unless_bootable(SecretsFile(content))
        except Refused as error:
            reason = str(error).removesuffix(". Nothing was written")
            raise Rejected(
                f"the copy of secrets.env of {label} starts no master: {reason}"
            ) from None

    # Staged files

    async def stage(self, name: str, file: SecretsFile) -> None:
        """Put a new file beside the old one, private: the only write before an approval.

        Refused when a master that reads it would stay stopped.
        """
        raise_unless_bootable(file)
        await self.stage_content(name, bytes(file))

    async def stage_content(self, name: str, content: bytes) -> None:
        """Put the new content of a configuration file here, private, until it is approved."""
        await self._put_new(f"{STAGED}{name}", content)

    async def staged_content(self, name: str, after: str) -> bytes:
        """Return a staged content. Refused unless it has the approved digest."""
        try:
            content, _ = await self._objects.get(f"{STAGED}{name}")
        except NotFound:
            raise Refused(
                "the staged file was deleted. Nothing was written. Request it again"
            ) from None
        if digest(content) != after:
            raise Refused("the staged file is not the approved one. Nothing was written")
        return content

    async def _put_new(self, key: str, content: bytes) -> None:
        """Store an object that is not there yet. Rejected with status 412 if it is.

        A bucket that refuses the condition also where there is no object is written without it.
        """
        try:
            await self._objects.put(key, content, if_none_match=True)
        except Rejected as error:
            if error.status != PRECONDITION_FAILED or await self._exists(key):
                raise
            await self._objects.put(key, content)

    async def _exists(self, key: str) -> bool:
        try:
            await self._objects.head(key)
        except NotFound:
            return False
        return True

    async def delete_staged(self, name: str) -> None:
        """Delete a staged file."""
        await self._objects.delete(f"{STAGED}{name}")

    async def staged_before(self, older_than: float) -> list[str]:
        """List staged files made before that moment."""
        return [
            stored.key.removeprefix(STAGED)
            for stored in await self._objects.list(STAGED)
            if stored.modified < older_than
        ]

    # Writes of a run. `check` raises unless the run still holds its lease, and is called right
    # before each write.

    async def promote(
        self,
        name: str,
        before: str,
        after: str,
        check: Callable[[], None],
        *,
        conditional: bool = True,
    ) -> None:
        """Keep the current file as a version, then put the staged one in its place.

        Refused unless both have the approved digests: `before` the current one, `after` the staged.
        `conditional` False: the bucket refuses every conditional write, also one that holds.
        """
        new, _ = await self._objects.get(f"{STAGED}{name}")
        old, etag = await self._file()
        if digest(old) == after:
            return
        if digest(new) != after:
            raise Refused("the staged file is not the approved one. Nothing was written")
        if digest(old) != before:
            raise Refused(
                "another writer changed secrets.env since this was requested. Nothing was written"
            )
        raise_unless_bootable(await self._of(new))
        check()
        await self._objects.put(f"{VERSIONS}{name}", old)
        await self._replace(new, etag, check, conditional=conditional)

    async def restore(
        self, name: str, after: str, check: Callable[[], None], *, conditional: bool = True
    ) -> None:
        """Put the version that this change replaced back, if the file is still the change's own."""
        old, _ = await self._objects.get(f"{VERSIONS}{name}")
        now, etag = await self._file()
        if digest(now) == digest(old):
            return
        if digest(now) != after:
            raise Refused(OVERWRITTEN)
        raise_unless_bootable(await self._of(old))
        await self._replace(old, etag, check, conditional=conditional)

    async def record_version(
        self, was: str, version: str, check: Callable[[], None], *, conditional: bool = True
    ) -> None:
        """Replace OpenVidu's version in the file, and nothing else. Refused unless it is `was`.

        The vendor's `store_secret.sh fullsave` would upload a master's copy of the whole file,
        which may be older.
        """
        content, etag = await self._file()
        now = _version(content)
        if now == version:
            return
        if now != was:
            raise Refused(
                f"secrets.env names {now or 'no version'} of OpenVidu instead of {was}. "
                "Nothing was written"
            )
        new = bytes(SecretsFile(content).with_version(version))
        raise_unless_bootable(SecretsFile(new))
        check()
        await self._objects.put(f"{VERSIONS}upgrade-{version}-{digest(content)[:16]}", content)
        await self._replace(new, etag, check, conditional=conditional)

    async def _replace(
        self, content: bytes, etag: str, check: Callable[[], None], *, conditional: bool
    ) -> None:
        if (await self._lock())[0]:
            raise Unreachable(
                f"{LOCK} has just appeared in the bucket: another writer is changing secrets.env",
                sent=False,
            )
        check()
        try:
            if conditional:
                await self._objects.put(
                    FILE, content, if_match=etag or None, if_none_match=not etag
                )
            else:
                await self._objects.put(FILE, content)
        except Rejected as error:
            # AWS answers 404 to If-Match when the object was deleted meanwhile; Spaces answers 412.
            if error.status == PRECONDITION_FAILED or error.message == NO_KEY:
                raise Refused(
                    "another writer changed secrets.env at the same moment. Nothing was written"
                ) from None
            raise
        if (await self._objects.get(FILE))[0] != content:
            # Not visible yet, or another writer wrote at once: the next look shows which.
            raise Unreachable(
                "the written secrets.env does not read back as written yet", sent=True
            )

    async def break_lock(self, lock: str, check: Callable[[], None]) -> None:
        """Delete another writer's lock, as a person chose for this one; a later lock stays."""
        if (await self._lock())[0] == lock:
            check()
            await self._objects.delete(LOCK)

    async def copy_to_backup(self, label: str) -> None:
        """Copy the file, private, to the backup of that label."""
        await self._objects.copy(FILE, _backup_key(label))

    async def drop_from_backup(self, label: str) -> None:
        """Delete the copy that belongs to the backup of that label."""
        await self._objects.delete(_backup_key(label))

    # The audit's heads

    async def keep_audit_head(self, name: str, content: bytes) -> None:
        """Keep this here, private, under a name of its own: never overwritten, never deleted."""
        try:
            await self._put_new(f"{HEADS}{name}", content)
        except Rejected as error:
            if error.status != PRECONDITION_FAILED:
                raise  # else it is there already

    async def audit_heads(self, folder: str) -> list[Stored]:
        """List what was anchored below this folder, oldest name first."""
        stored = await self._objects.list(f"{HEADS}{folder}/")
        return sorted(stored, key=lambda entry: entry.key)


def _version(content: bytes) -> str:
    """Return the release of OpenVidu that the file names; "" where it names none."""
    value = SecretsFile(content).value(VERSION_KEY) or ""
    return value if release(value) else ""


def _backup_key(label: str) -> str:
    return f"{BACKUPS}{label}/{FILE}"
