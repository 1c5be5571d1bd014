"""Steps that change `secrets.env` in the bucket.

The new file is staged there before, private. No value passes through a step.
"""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from services.cluster.deployment import control_plane_of
from services.cluster.model import Cluster, Fact, SecretsState
from services.common.text import duration, join_words
from services.common.values import replace
from services.steps.base import Choice, Effects, Question, Step, StepTiming, WriteOperations
from services.steps.host import PowerOffHost
from services.steps.masters import FrontAnswers, Healthy, PowerOff, PowerOn

LOST = "another writer's change may be lost"
NAMED = 4
SECRET_FACTS = frozenset({Fact.DROPLETS, Fact.SECRETS})
FILE_TIMING = StepTiming(
    expected=5.0,
    deadline=lambda t: t.front_deadline,
    retry_after=lambda t: t.look * 3,
)
OBJECT_TIMING = StepTiming(expected=2.0, deadline=lambda t: t.pool_deadline)


def _key_names(keys: tuple[str, ...]) -> str:
    if len(keys) <= NAMED:
        return join_words(keys)
    return f"{', '.join(keys[: NAMED - 1])} and {len(keys) - NAMED + 1} other keys"


def _has_digest(cluster: Cluster, digest: str) -> bool:
    return cluster.secrets is not None and cluster.secrets.digest == digest


def _with_digest(cluster: Cluster, digest: str) -> Cluster:
    secrets = cluster.secrets or SecretsState("")
    return replace(cluster, secrets=replace(secrets, digest=digest))


def _changed_externally(cluster: Cluster, *digests: str) -> bool:
    return cluster.secrets is not None and cluster.secrets.digest not in digests


def _is_unlocked(cluster: Cluster) -> bool:
    """Return whether no writer holds lock.lock. A master holds it while it writes the file."""
    return cluster.secrets is not None and cluster.secrets.lock_age is None


def _lock_to_go(age: float) -> str:
    return f"another writer to release lock.lock (held for {duration(age)})"


@dataclass(frozen=True)
class PromoteSecrets(Step):
    """The staged file is `secrets.env`.

    `before` and `after_digest` are digests of the whole file, so that no other change is
    overwritten.
    """

    timing: ClassVar[StepTiming] = FILE_TIMING
    needs: ClassVar[frozenset[Fact]] = SECRET_FACTS
    interruptible: ClassVar[bool] = False

    keys: tuple[str, ...]
    staged: str
    before: str
    after_digest: str
    # False: masters could not start with the file before, and read the new one when they do.
    applies: bool = True

    @property
    def is_waypoint(self) -> bool:
        # A file that no master has read yet would surprise the operator who restarts one next.
        return self.applies

    def title(self) -> str:
        return f"Write the new {_key_names(self.keys)} to secrets.env (the old file is kept)"

    def is_done(self, cluster: Cluster) -> bool:
        return _has_digest(cluster, self.after_digest)

    def after(self, cluster: Cluster) -> Cluster:
        return _with_digest(cluster, self.after_digest)

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        return _is_unlocked(cluster) and not self.is_done(cluster)

    def blocker(self, cluster: Cluster) -> str:
        if _changed_externally(cluster, self.before, self.after_digest):
            return (
                "another writer changed secrets.env since this was requested. "
                "Nothing was written. Request the change again"
            )
        return ""

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.promote_secrets(self.staged, self.before, self.after_digest)

    @override
    def effects(self, cluster: Cluster) -> Effects:
        return Effects(edits_secrets=True)

    def waits_for(self, cluster: Cluster) -> str:
        if cluster.secrets is None:
            return "the bucket to answer"
        if cluster.secrets.lock_age is None:
            return "the file to read back as written"
        return _lock_to_go(cluster.secrets.lock_age)

    def timeout_question(self, cluster: Cluster) -> Question | None:
        if cluster.secrets is None or cluster.secrets.lock_age is None:
            return None
        return _lock_question(cluster.secrets, self, "nothing was written to secrets.env")

    def residue(self) -> str:
        return f"{_key_names(self.keys)} changed in secrets.env"


@dataclass(frozen=True)
class BreakLock(Step):
    """This `lock.lock` is deleted from the bucket.

    A later one belongs to another writer, and is waited for again.
    """

    timing: ClassVar[StepTiming] = OBJECT_TIMING
    needs: ClassVar[frozenset[Fact]] = SECRET_FACTS

    lock: str

    def title(self) -> str:
        return "Delete the lock left by another writer"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.secrets is not None and (
            cluster.secrets.lock_age is None or cluster.secrets.lock != self.lock
        )

    def after(self, cluster: Cluster) -> Cluster:
        secrets = cluster.secrets or SecretsState("")
        return replace(cluster, secrets=replace(secrets, lock_age=None, lock=""))

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.break_secrets_lock(self.lock)

    @override
    def waits_for(self, cluster: Cluster) -> str:
        return "the lock to be deleted"


@dataclass(frozen=True)
class RestoreSecrets(Step):
    """`secrets.env` is again the file from before the change."""

    timing: ClassVar[StepTiming] = FILE_TIMING
    needs: ClassVar[frozenset[Fact]] = SECRET_FACTS
    interruptible: ClassVar[bool] = False

    staged: str
    before: str
    after_digest: str

    @property
    def is_waypoint(self) -> bool:
        # No master runs with it yet.
        return True

    def title(self) -> str:
        return "Restore the old secrets.env"

    def blocker(self, cluster: Cluster) -> str:
        if _changed_externally(cluster, self.before, self.after_digest):
            return (
                "another writer changed secrets.env since the bot changed it. "
                "That file was not overwritten"
            )
        return ""

    def is_done(self, cluster: Cluster) -> bool:
        return _has_digest(cluster, self.before)

    def after(self, cluster: Cluster) -> Cluster:
        return _with_digest(cluster, self.before)

    @override
    def needs_ask(self, cluster: Cluster, again: int) -> bool:
        return _is_unlocked(cluster) and not self.is_done(cluster)

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.restore_secrets(self.staged, self.after_digest)

    def waits_for(self, cluster: Cluster) -> str:
        if cluster.secrets is None or cluster.secrets.lock_age is None:
            return "the old file to read back"
        return _lock_to_go(cluster.secrets.lock_age)

    def timeout_question(self, cluster: Cluster) -> Question | None:
        if cluster.secrets is None or cluster.secrets.lock_age is None:
            return None
        return _lock_question(
            cluster.secrets,
            self,
            "the new secrets.env is still in the bucket and is not verified",
        )


@dataclass(frozen=True)
class DropStaged(Step):
    """The staged object is deleted from the bucket."""

    timing: ClassVar[StepTiming] = OBJECT_TIMING
    needs: ClassVar[frozenset[Fact]] = SECRET_FACTS
    leaves_change: ClassVar[bool] = False

    staged: str

    def title(self) -> str:
        return "Delete the staged file"

    def is_done(self, cluster: Cluster) -> bool:
        return cluster.secrets is not None and self.staged not in cluster.secrets.staged

    def after(self, cluster: Cluster) -> Cluster:
        secrets = cluster.secrets or SecretsState("")
        staged = tuple(s for s in secrets.staged if s != self.staged)
        return replace(cluster, secrets=replace(secrets, staged=staged))

    @override
    async def request(self, world: WriteOperations, cluster: Cluster, again: int) -> None:
        await world.delete_staged(self.staged)

    @override
    def waits_for(self, cluster: Cluster) -> str:
        return "the staged file to be deleted"


def _lock_question(secrets: SecretsState, step: Step, ends: str) -> Question:
    """Return the choices when another writer's lock is not released. `step`: what waits for it."""
    age = duration(secrets.lock_age or 0.0)
    break_steps = (BreakLock(secrets.lock), step)
    return Question(
        id="secrets-lock",
        text=f"lock.lock has been in the bucket for {age}: a master is writing secrets.env, "
        "or crashed while writing. Nothing was overwritten.",
        choices=(
            Choice("wait", "Wait 10 min more", wait=600.0),
            Choice("break", "Delete the lock", steps=break_steps, goes_on=True, loses=LOST),
            Choice("stop", "Stop here", ends=ends),
        ),
        meanwhile=True,
        headline="secrets.env is locked by another writer",
    )


def restart_first(cluster: Cluster) -> tuple[Step, ...]:
    """Return the restart of the first master's droplet, while the others serve, if there are any.

    It reads the file at boot, and what it applies goes to all masters. A restart of the service
    alone would keep the old values, and hide that the new file was not applied.
    """
    names, plane = tuple(m.name for m in cluster.masters), control_plane_of(cluster)
    off = PowerOff(names[:1], media_stays=True)
    if plane.hosts_meetings:
        off = PowerOffHost(names[:1], returns=True)
    elif not plane.can_roll:
        # Media nodes that are not deleted by then are drained, or it is not stopped.
        off = PowerOff(names, kept=tuple(n.id for n in cluster.media))
    return (
        off,
        PowerOn(names[0]),
        Healthy(names, restarts=False),
        FrontAnswers(),
    )


def promote_steps(cluster: Cluster, promote: PromoteSecrets) -> tuple[Step, ...]:
    """Return the steps to promote the file, restart the first master, verify all, and clean up.

    Without the restart where the file is only repaired.
    """
    restart: tuple[Step, ...] = ()
    if promote.applies:
        restart = restart_first(cluster)
    return (promote, *restart, DropStaged(promote.staged))
