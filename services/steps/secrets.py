"""Steps that change `secrets.env` in the bucket. The new file lies there already, staged and private; no value ever passes through here."""

from dataclasses import dataclass, replace
from typing import ClassVar

from services.cluster.model import Cluster, Fact, SecretsSeen
from services.common.text import duration, listed
from services.steps.base import Choice, Effects, Question, Step, World
from services.steps.masters import FrontAnswers, Healthy, PowerOff, PowerOn

LOST = "another writer's change may be lost"
NAMED = 4
SECRET_FACTS = frozenset({Fact.DROPLETS, Fact.SECRETS})


def _named(keys: tuple[str, ...]) -> str:
    return (
        listed(keys)
        if len(keys) <= NAMED
        else f"{', '.join(keys[: NAMED - 1])} and {len(keys) - NAMED + 1} other keys"
    )


@dataclass(frozen=True)
class PromoteSecrets(Step):
    """The staged file is `secrets.env`. `before` and `after` are digests of the whole file, so that nobody's edit is overwritten."""

    keys: tuple[str, ...]
    staged: str
    before: str
    after_digest: str
    applies: bool = True  # False: masters read it when they start next, which they could not with the file before

    needs: ClassVar[frozenset[Fact]] = SECRET_FACTS
    breakable: ClassVar[bool] = False

    @property
    def leads_on(self) -> bool:
        return (
            self.applies
        )  # a file that no master has read yet would surprise whoever restarts one next

    def title(self) -> str:
        return f"Put the new {_named(self.keys)} into secrets.env, the old file kept"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.secrets is not None and cluster.secrets.digest == self.after_digest

    def after(self, cluster: Cluster) -> Cluster:
        return replace(
            cluster, secrets=replace(cluster.secrets or SecretsSeen(""), digest=self.after_digest)
        )

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 5.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.front_deadline

    def retry_after(self, cluster: Cluster) -> float | None:
        return cluster.timings.look * 3

    def needs_ask(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        # A master that writes the file holds lock.lock meanwhile; it is waited for.
        return (
            cluster.secrets is not None
            and cluster.secrets.lock_age is None
            and not self.is_done(cluster)
        )

    def objection(self, cluster: Cluster) -> str:
        if cluster.secrets is not None and cluster.secrets.digest not in (
            self.before,
            self.after_digest,
        ):
            return "somebody else has changed secrets.env since this was asked for; nothing was written, ask again"
        return ""

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await world.promote_secrets(self.staged, self.before, self.after_digest)

    def effects(self, cluster: Cluster) -> Effects:  # noqa: ARG002
        return Effects(edits_secrets=True)

    def waits_for(self, cluster: Cluster) -> str:
        if cluster.secrets is None:
            return "the bucket to answer"
        age = cluster.secrets.lock_age
        return (
            "the file to read back as written"
            if age is None
            else f"lock.lock, which another writer made {duration(age)} ago"
        )

    def question(self, cluster: Cluster) -> Question | None:
        if cluster.secrets is None or cluster.secrets.lock_age is None:
            return None
        return _locked(
            cluster.secrets, the_way(cluster, self), "nothing was written to secrets.env"
        )

    def stays(self) -> str:
        return f"secrets.env with the new {_named(self.keys)}"


@dataclass(frozen=True)
class BreakLock(Step):
    """This `lock.lock` does not lie in the bucket any more. A later one is another writer's, and is waited for again."""

    lock: str

    needs: ClassVar[frozenset[Fact]] = SECRET_FACTS

    def title(self) -> str:
        return "Delete the lock that another writer left"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.secrets is not None and (
            cluster.secrets.lock_age is None or cluster.secrets.lock != self.lock
        )

    def after(self, cluster: Cluster) -> Cluster:
        return replace(
            cluster, secrets=replace(cluster.secrets or SecretsSeen(""), lock_age=None, lock="")
        )

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 2.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.pool_deadline

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await world.break_secrets_lock(self.lock)

    def waits_for(self, cluster: Cluster) -> str:  # noqa: ARG002
        return "the lock to be gone"


@dataclass(frozen=True)
class RestoreSecrets(Step):
    """`secrets.env` is again the file that it was before the change."""

    staged: str
    before: str
    after_digest: str

    needs: ClassVar[frozenset[Fact]] = SECRET_FACTS
    breakable: ClassVar[bool] = False

    @property
    def leads_on(self) -> bool:
        return True  # master 1 does not run with it yet

    def title(self) -> str:
        return "Put the old secrets.env back"

    def objection(self, cluster: Cluster) -> str:
        if cluster.secrets is not None and cluster.secrets.digest not in (
            self.before,
            self.after_digest,
        ):
            return "somebody else has changed secrets.env since the bot did; their file was left as it is"
        return ""

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.secrets is not None and cluster.secrets.digest == self.before

    def after(self, cluster: Cluster) -> Cluster:
        return replace(
            cluster, secrets=replace(cluster.secrets or SecretsSeen(""), digest=self.before)
        )

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 5.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.front_deadline

    def retry_after(self, cluster: Cluster) -> float | None:
        return cluster.timings.look * 3

    def needs_ask(self, cluster: Cluster, again: int) -> bool:  # noqa: ARG002
        return (
            cluster.secrets is not None
            and cluster.secrets.lock_age is None
            and not self.is_done(cluster)
        )

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await world.restore_secrets(self.staged, self.after_digest)

    def waits_for(self, cluster: Cluster) -> str:
        age = cluster.secrets.lock_age if cluster.secrets is not None else None
        return (
            "the old file to read back"
            if age is None
            else f"lock.lock, which another writer made {duration(age)} ago"
        )

    def question(self, cluster: Cluster) -> Question | None:
        if cluster.secrets is None or cluster.secrets.lock_age is None:
            return None
        back = (self, *restart_first(cluster), DropStaged(self.staged))
        return _locked(
            cluster.secrets,
            back,
            "the new secrets.env still lies in the bucket, and was not seen to work",
        )


@dataclass(frozen=True)
class DropStaged(Step):
    """The staged object is gone from the bucket."""

    staged: str

    needs: ClassVar[frozenset[Fact]] = SECRET_FACTS

    def title(self) -> str:
        return "Delete the staged file"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.secrets is not None and self.staged not in cluster.secrets.staged

    def after(self, cluster: Cluster) -> Cluster:
        seen = cluster.secrets or SecretsSeen("")
        return replace(
            cluster, secrets=replace(seen, staged=tuple(s for s in seen.staged if s != self.staged))
        )

    def expected_seconds(self, cluster: Cluster) -> float:  # noqa: ARG002
        return 2.0

    def deadline(self, cluster: Cluster) -> float:
        return cluster.timings.pool_deadline

    async def ask(self, world: World, cluster: Cluster, again: int) -> None:  # noqa: ARG002
        await world.drop_staged(self.staged)

    def waits_for(self, cluster: Cluster) -> str:  # noqa: ARG002
        return "the staged file to be gone"


def _locked(seen: SecretsSeen, way: tuple[Step, ...], ends: str) -> Question:
    """What people may choose when another writer's lock does not go away."""
    age = duration(seen.lock_age or 0.0)
    return Question(
        id="secrets-lock",
        text=f"lock.lock lies in the bucket since {age}: a master is writing secrets.env, or died over it. Nothing was written over it.",
        choices=(
            Choice("wait", "Wait another 10 min", wait=600.0),
            Choice(
                "break", "Delete the lock and go on", steps=(BreakLock(seen.lock), *way), loses=LOST
            ),
            Choice("stop", "Stop here", ends=ends),
        ),
        meanwhile=True,
    )


def restart_first(cluster: Cluster) -> tuple[Step, ...]:
    """Master 1 reads the file at boot, and what it applies goes to all: three masters serve meanwhile.

    A restart of the service alone would start it with what it had before, and hide that the new file was not applied.
    """
    names = tuple(m.name for m in cluster.masters)
    return (
        PowerOff(names[:1], media_stays=True),
        PowerOn(names[0]),
        Healthy(names, restarts=False),
        FrontAnswers(),
    )


def the_way(cluster: Cluster, promote: PromoteSecrets) -> tuple[Step, ...]:
    """Promote, restart master 1, see all four healthy, tidy up; without the restart where the file is only to be repaired."""
    restart = restart_first(cluster) if promote.applies else ()
    return (promote, *restart, DropStaged(promote.staged))
