"""Changed `secrets.env` files that wait beside the real one: staged, private, and deleted when nothing comes of them."""

import logging

from services.access.clusters import ClusterRegistry
from services.cloud.secrets_bucket import SecretsBucket, digest
from services.common.clock import Clock
from services.common.errors import BotError, Refused
from services.common.text import duration
from services.procedures import Configure, Procedure
from services.procedures.plan import Plan
from services.secrets_env import Danger, Reader, SecretsFile, changes, described, findings, would

log = logging.getLogger(__name__)
STAGED_SWEEP = 600.0
LOOKED_AT = 5  # earlier versions


class StagedSecrets:
    """The staged files of all clusters."""

    def __init__(self, sites: ClusterRegistry, clock: Clock) -> None:
        self._sites = sites
        self._clock = clock
        self._swept: dict[str, float] = {}
        self._unwanted: dict[str, frozenset[str]] = {}

    def vault(self, name: str) -> SecretsBucket:
        """The bucket's secrets.env of a cluster. Refused when no bucket is configured."""
        vault = self._sites.site(name).world.vault
        if vault is None:
            raise Refused(
                f"no bucket is configured for {name}, and secrets.env lies in it (`spaces` in the settings)"
            )
        return vault

    async def must_be_whole(self, name: str, after: SecretsFile) -> None:
        """Refused when the file would still go wrong, or lack what the installation wrote; with the version to go back to."""
        if found := findings(after):
            raise Refused(
                f"{would(found)}: {described(found)}; nothing was written. {await self._way_back(name)}"
            )

    async def _way_back(self, name: str) -> str:
        vault = self.vault(name)
        try:
            for version in (await vault.versions())[:LOOKED_AT]:
                if not findings(await vault.version(version.name)):
                    ago = duration(self._clock.now() - version.at)
                    return f"[[command config rollback {version.name}]] puts back what was there until {ago} ago"
        except BotError as error:
            return f"earlier versions could not be read ({error}): [[command config history]]"
        return "No earlier version is whole: correct it in the bucket; /opt/openvidu/secrets.env is each master's copy of its last start"

    async def drop(self, name: str, procedure: Procedure) -> None:
        """Delete what was staged for it, if anything was.

        What cannot be deleted now is left for a sweep.
        """
        if isinstance(procedure, Configure):
            try:
                await self.vault(name).drop(procedure.staged)
            except BotError as error:
                log.warning("a staged file of %s is left for the next sweep: %s", name, error)

    async def old(self, name: str) -> frozenset[str]:
        """Staged files that have lain there for a while; none where it is too early to look again."""
        vault, now = self._sites.site(name).world.vault, self._clock.now()
        if vault is None or (
            not self._unwanted.get(name) and now - self._swept.get(name, 0.0) < STAGED_SWEEP
        ):
            return frozenset()
        self._swept[name] = now
        found = frozenset(await vault.old_staged(now - STAGED_SWEEP))
        if not found:
            self._unwanted[name] = found
        return found

    async def sweep(self, name: str, old: frozenset[str], plans: list[Plan]) -> None:
        """Delete those of them that none of these plans is about, seen so in two sweeps."""
        before = self._unwanted.get(name, frozenset())
        unwanted = old - {p.procedure.staged for p in plans if isinstance(p.procedure, Configure)}
        self._unwanted[name] = unwanted - before
        for staged in unwanted & before:
            await self.vault(name).drop(staged)


def configure(before: SecretsFile, after: SecretsFile, staged: str, words: str) -> Configure:
    """What leads from one file to the other, in names and digests."""
    keys = tuple(c.name or "only its layout" for c in changes(before, after))
    if not keys:
        raise Refused("secrets.env says so already; nothing was changed")
    wrong, left = [str(p) for p in before.problems()], [str(p) for p in after.problems()]
    mends, brings = (
        tuple(p for p in wrong if p not in left),
        tuple(p for p in left if p not in wrong),
    )
    found = findings(before)
    repairs = any(f.reader is not Reader.EDITS for f in found)
    one_way = any(f.reader is Reader.MASTERS or f.danger is Danger.RUNS for f in found)
    return Configure(
        keys,
        staged,
        digest(bytes(before)),
        digest(bytes(after)),
        mends,
        brings,
        words,
        repairs,
        one_way,
    )
