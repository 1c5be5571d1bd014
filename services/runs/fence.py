"""The fence of a run: no write without its lease, and no drain before it is in the ledger.

`services.cloud.writer` calls it before every write. What is recorded here is committed together
with a check of the lease in the state store: a bot that slept for an hour cannot change what others
have recorded meanwhile.
"""

from typing_extensions import override

from services.cloud.port import WriteFence
from services.cluster.backup_notes import CountsNoted, DrillResult
from services.cluster.model import Cluster, MediaNode, StoppedNode
from services.cluster.scaling import read_permission
from services.common.errors import Refused, Superseded, Unreachable
from services.common.values import replace
from services.memory.cluster import ClusterMemory
from services.runs.drain_ledger import SIGNALLED, TAGGED, DrainLedger
from services.runs.locks import Lease
from services.windows import parse_window
from services.windows.backup_times import parse_backup_schedule


class RunFence(WriteFence):
    """Guards and records the writes of one run. `cluster` is what its last look showed.

    `requester`: a mention of who requested the run.
    """

    def __init__(
        self,
        cluster: Cluster,
        lease: Lease,
        drains: DrainLedger,
        memory: ClusterMemory,
        requester: str = "",
    ) -> None:
        self._requester = requester
        self._cluster = cluster
        self._lease = lease
        self._drains = drains
        self._memory = memory

    @override
    def check(self) -> None:
        self._lease.check()

    @override
    async def before_target(self, number: int, *, remember: int) -> None:
        self._require(
            await self._memory.note_target(
                self._cluster, number, self._store_checks(), remember=remember
            )
        )

    @override
    async def zero_was_refused(self) -> None:
        await self._memory.zero_was_refused(self._cluster)

    @override
    async def before_signal(self, node: MediaNode, start: str) -> None:
        if await self._drains.entered(node.id, TAGGED):
            raise Refused(
                f"{node.name} is already draining by its tag: "
                "a second drain signal would disconnect everyone"
            )
        await self._drains.enter(node.id, start, self._lease)

    @override
    async def before_draining_tag(self, node: MediaNode) -> None:
        if not node.is_observed and await self._drains.entered(node.id, SIGNALLED):
            raise Unreachable(
                f"{node.name} cannot be observed and may already be draining: "
                "its tag would be a second drain signal",
                sent=False,
            )
        await self._drains.enter(node.id, TAGGED, self._lease)

    @override
    async def before_pause(self, *, frozen: bool) -> None:
        self._require(
            await self._memory.note_pause(
                self._cluster, self._lease.run, self._store_checks(), frozen=frozen
            )
        )

    @override
    async def before_resume(self) -> None:
        self._require(await self._memory.forget_pause(self._cluster, self._store_checks()))

    @override
    async def record_powered_on(self, droplet_ids: tuple[int, ...]) -> None:
        self._require(
            await self._memory.note_media(self._cluster, droplet_ids, self._store_checks())
        )

    @override
    async def record_counts(self, noted: CountsNoted) -> None:
        name = self._cluster.name
        await self._memory.backups.edit(
            name, lambda notes: notes.with_counts(noted), self._store_checks()
        )

    @override
    async def record_drill(self, result: DrillResult) -> None:
        name = self._cluster.name
        await self._memory.backups.edit(
            name, lambda notes: notes.with_result(result), self._store_checks()
        )

    @override
    async def save_backup_schedule(self, words: str) -> None:
        run, now = self._lease.run, self._cluster.seen_at
        schedule = replace(parse_backup_schedule(words, "UTC"), run=run, since=now)
        await self._memory.backups.edit(
            self._cluster.name,
            lambda notes: notes.with_schedule(schedule),
            self._store_checks(),
            about=("backup schedule " + schedule.name, words, f"run {run}"),
        )

    @override
    async def save_scaling(self, words: str) -> None:
        run, now = self._lease.run, self._cluster.seen_at
        allowed = replace(read_permission(words), run=run, since=now)
        await self._memory.scaling.edit(
            self._cluster.name,
            lambda notes: replace(notes, permission=allowed),
            words,
            f"run {run}",
            self._store_checks(),
        )

    @override
    async def before_stop(self, droplet_id: int) -> None:
        stop = StoppedNode(droplet_id, self._requester, self._cluster.seen_at, self._lease.run)
        self._require(await self._memory.note_stopped(self._cluster, stop, self._store_checks()))

    @override
    async def before_start(self, droplet_id: int) -> None:
        self._require(
            await self._memory.forget_stopped(self._cluster, droplet_id, self._store_checks())
        )

    @override
    async def save_window(self, window: str) -> None:
        parsed = parse_window(window)
        run, now = self._lease.run, self._cluster.seen_at
        await self._memory.books.edit(
            self._cluster.name,
            lambda book: book.with_window(parsed, run, now),
            self._store_checks(),
        )

    def _store_checks(self) -> dict[str, str]:
        """Return what the state store must hold for a record of this run to be written."""
        self._lease.check()
        return {self._lease.key: self._lease.token}

    def _require(self, was_written: bool) -> None:
        """Raise Superseded unless the record was written and the lease still holds."""
        if not was_written:
            raise Superseded(f"{self._lease.run} is driven by another bot process")
        self._lease.check()
