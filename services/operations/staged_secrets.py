"""Changed files, staged in the bucket; deleted when they are not applied."""

import logging
from collections.abc import Callable, Container, Mapping

from services.access.clusters import ClusterRegistry
from services.cloud.secrets_bucket import SecretsBucket, digest
from services.common.clock import Clock
from services.common.errors import BotError, Refused
from services.common.text import duration, join_words
from services.config_files import (
    GLOBAL,
    MEET,
    ConfigText,
    difference,
    env_values,
    hides,
    problems,
)
from services.procedures import ChangeConfigFile, Configure, Procedure
from services.procedures.plan import Plan
from services.secrets_env import (
    KEYS,
    Danger,
    Reader,
    SecretsFile,
    changes,
    findings,
    findings_text,
    worst_consequence,
)

log = logging.getLogger(__name__)
STAGED_SWEEP = 600.0
# The procedures that stage a file.
STAGING = (Configure, ChangeConfigFile)
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
        vault = self._sites.cluster(name).world.secrets_bucket
        if vault is None:
            raise Refused(
                f"no bucket is configured for {name}, so its secrets.env cannot be read. "
                "Set `spaces` in the settings"
            )
        return vault

    async def must_be_whole(self, name: str, after: SecretsFile) -> None:
        """Refused when the file would still fail, with the version to go back to."""
        if problems := findings(after):
            raise Refused(
                f"{worst_consequence(problems)}: {findings_text(problems)}. Nothing was written. "
                f"{await self._way_back(name)}"
            )

    async def _way_back(self, name: str) -> str:
        vault = self.vault(name)
        try:
            for version in (await vault.versions())[:LOOKED_AT]:
                if not findings(await vault.version(version.name)):
                    ago = duration(self._clock.now() - version.at)
                    back = f"[[command config rollback {version.name}]]"
                    return f"{back} restores the version that was in use until {ago} ago"
        except BotError as error:
            return f"Earlier versions could not be read ({error}): [[command config history]]"
        return (
            "No earlier version is valid: correct the file in the bucket. Each master keeps the "
            "copy of its last start in /opt/openvidu/secrets.env"
        )

    async def drop(self, name: str, procedure: Procedure) -> None:
        """Delete what was staged for it, if anything was.

        What cannot be deleted now is left for a sweep.
        """
        if isinstance(procedure, STAGING) and procedure.staged and not self._sites.observes:
            try:
                await self.vault(name).delete_staged(procedure.staged)
            except BotError as error:
                log.warning(
                    "a staged file of %s will be deleted by the next sweep: %s", name, error
                )

    async def old(self, name: str) -> frozenset[str]:
        """Staged files that are old enough to be deleted; none where it is too early to look."""
        vault, now = self._sites[name].world.secrets_bucket, self._clock.now()
        if (
            vault is None
            or self._sites.observes
            or (not self._unwanted.get(name) and now - self._swept.get(name, 0.0) < STAGED_SWEEP)
        ):
            return frozenset()
        self._swept[name] = now
        old = frozenset(await vault.staged_before(now - STAGED_SWEEP))
        if not old:
            self._unwanted[name] = old
        return old

    async def sweep(self, name: str, old: frozenset[str], plans: list[Plan]) -> None:
        """Delete those of them that no plan refers to, confirmed by two sweeps."""
        before = self._unwanted.get(name, frozenset())
        unwanted = old - {p.procedure.staged for p in plans if isinstance(p.procedure, STAGING)}
        self._unwanted[name] = unwanted - before
        for staged in unwanted & before:
            await self.vault(name).delete_staged(staged)


def configure_procedure(
    before: SecretsFile,
    after: SecretsFile,
    staged: str,
    words: str,
    kind: Callable[..., Configure] = Configure,
) -> Configure:
    """The procedure that leads from one file to the other, in names and digests.

    `kind`: the class of the procedure, or a partial of it.
    """
    keys = tuple(c.name or "only its layout" for c in changes(before, after))
    if not keys:
        raise Refused("this value is already in secrets.env. Nothing was changed")
    wrong, left = [str(p) for p in before.problems()], [str(p) for p in after.problems()]
    fixes = tuple(p for p in wrong if p not in left)
    brings = tuple(p for p in left if p not in wrong)
    problems = findings(before)
    repairs = any(p.reader is not Reader.EDITS for p in problems)
    one_way = any(p.reader is Reader.MASTERS or p.danger is Danger.RUNS for p in problems)
    return kind(
        keys,
        staged,
        digest(bytes(before)),
        digest(bytes(after)),
        fixes,
        brings,
        words,
        repairs,
        one_way,
    )


def file_procedure(
    before: ConfigText, after: str, staged: str, words: str, what: str
) -> ChangeConfigFile:
    """The procedure that leads from one configuration file to the other.

    In digests, and with what may be shown of the difference. Refused for what nodes would refuse.
    """
    file, old = before.file, before.text
    if old == after:
        raise Refused(f"{file.name} is already like that. Nothing was changed")
    if wrong := problems(before, after):
        raise Refused(f"{file.name} would not be accepted: {'; '.join(wrong)}. Nothing was written")
    return ChangeConfigFile(
        file.name,
        staged,
        digest(before.data),
        digest(after.encode()),
        difference(file, old, after),
        hides(file, old, after),
        words,
        what,
    )


def keys_of_secrets_env(before: ConfigText, after: str) -> dict[str, str]:
    """The new values of changed keys that masters copy from secrets.env at each boot.

    Refused where other lines change with them: those are changed in another way.
    """
    if before.file.name not in (GLOBAL, MEET):
        return {}
    old, new = env_values(before.text), env_values(after)
    copied = {key: new[key] for key in new if key in KEYS and new[key] != old.get(key)}
    gone = [key for key in old if key in KEYS and key not in new]
    if gone:
        raise Refused(
            f"{join_words(gone)} cannot be removed: masters copy it from secrets.env at each boot"
        )
    if copied and _others(before.text, copied) != _others(after, copied):
        raise Refused(
            f"{join_words(copied)} is in secrets.env too, and is changed there. Change it in a "
            "request of its own, and the other lines in another one. Nothing was changed"
        )
    return copied


def _others(text: str, keys: Container[str]) -> list[str]:
    return [line for line in text.split("\n") if line.partition("=")[0] not in keys]


def with_values(file: SecretsFile, values: Mapping[str, str]) -> SecretsFile:
    """The file with these values, each checked as if it had been set alone."""
    for key, value in values.items():
        file = file.set(key, value)
    return file.with_fresh_urls() if "DOMAIN_NAME" in values else file
