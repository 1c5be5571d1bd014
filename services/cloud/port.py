"""How the rooms above reach one cluster: reads at any time, writes only with the fence of a run."""

from collections.abc import Mapping
from typing import Protocol

from services.cloud.account_events import AccountEvents
from services.cloud.secrets_bucket import SecretsBucket
from services.cluster.backup_notes import CountsNoted, DrillResult
from services.cluster.meeting_messages import Room
from services.cluster.model import Cluster, Fact, MediaNode
from services.cluster.node_condition import NodeCondition
from services.config_files import ConfigFile, ConfigText
from services.steps import WriteOperations


class WriteFence(Protocol):
    """Stands before a run's writes: its lease must surely hold, and some writes are recorded first.

    Every method raises Superseded when another worker drives the run. `services.runs.fence` has the
    implementation.
    """

    def check(self) -> None:
        """Raise unless the lease surely holds.

        Called right before everything that changes something.
        """

    async def before_target(self, number: int, *, remember: int) -> None:
        """Record how many media nodes the next start-up restores; the pool is set next."""

    async def zero_was_refused(self) -> None:
        """Record that DigitalOcean does not accept 0 for this pool."""

    async def before_signal(self, node: MediaNode, start: str) -> None:
        """Record in the ledger that this start of the node's media server gets its drain signal.

        Refused when the node was tagged for draining: a signal as well would disconnect everyone.
        """

    async def before_draining_tag(self, node: MediaNode) -> None:
        """Record in the ledger that the node is tagged for draining.

        Unreachable when the node is not seen and may be draining after a signal.
        """

    async def before_pause(self, *, frozen: bool) -> None:
        """Record that this run pauses the autoscaler. `frozen`: no start-up resumes it."""

    async def before_resume(self) -> None:
        """Record that no run keeps the autoscaler paused."""

    async def record_powered_on(self, droplet_ids: tuple[int, ...]) -> None:
        """Record which media droplets the next start-up powers on; none: they are on again."""

    async def record_counts(self, noted: CountsNoted) -> None:
        """Keep how many documents the database held when a backup was taken."""

    async def record_drill(self, result: DrillResult) -> None:
        """Keep the result of a restore drill."""

    async def save_backup_schedule(self, words: str) -> None:
        """Write a schedule of backups into what is kept of them."""

    async def save_scaling(self, words: str) -> None:
        """Write a standing permission to scale by the forecast."""

    async def before_stop(self, droplet_id: int) -> None:
        """Record that this run stops OpenVidu on that node, where it stays stopped."""

    async def before_start(self, droplet_id: int) -> None:
        """Record that OpenVidu is no longer stopped on that node."""

    async def save_window(self, window: str) -> None:
        """Write an off-hours window into the cluster's schedule."""


class ClusterGateway(Protocol):
    """One cluster, as the executor and the operations need it."""

    secrets_bucket: SecretsBucket | None

    async def observe(
        self,
        needs: frozenset[Fact],
        since: float | None = None,
        *,
        tolerates: frozenset[Fact] = ...,
        aged: frozenset[Fact] = ...,
    ) -> Cluster:
        """Look at the cluster now. `since`: nothing older than that moment is accepted.

        Unreachable when a needed fact is not seen, unless it is among `tolerates`. Facts in `aged`
        may be as DigitalOcean showed them a while ago: such a look must decide nothing.
        """
        ...

    async def inspect(self, droplet_id: int) -> str:
        """Return the raw report of a node. It holds log lines, which have to be masked."""
        ...

    async def conditions(self, cluster: Cluster, only: int = 0) -> tuple[NodeCondition, ...]:
        """Return what each node that is on reports of itself: disks, databases, clock.

        `cluster`: as the last look showed it. `only`: this droplet alone. A node that does not
        answer is unknown; nothing is raised.
        """
        ...

    async def logs(self, droplet_id: int, service: str, seconds: int) -> str:
        """Return the raw log of a container, or of OpenVidu's unit. It has to be masked."""
        ...

    async def account_events(
        self, droplets: Mapping[int, str], pool_id: str, begins: float, ends: float
    ) -> AccountEvents:
        """Return what DigitalOcean did to these droplets and the pool, and what was not read.

        `droplets`: names by id. `pool_id`: "" for none.
        """
        ...

    async def config_file(self, droplet_id: int, file: ConfigFile) -> ConfigText:
        """Return the content of a configuration file of a node. It holds secrets."""
        ...

    async def rooms(self) -> tuple[Room, ...]:
        """Return the rooms with people in them. Unreachable where no LiveKit is configured."""
        ...

    async def send_data(self, room: Room, topic: str, data: bytes) -> None:
        """Send data to everyone in a room.

        Only `services.runs.room_messages` calls it, which enters it in its ledger first.
        """

    def poll_interval(self, interval: float) -> float:
        """Return the seconds until the next look at DigitalOcean, given the usual interval."""
        ...

    def writer(self, cluster: Cluster, fence: WriteFence, since: float | None) -> WriteOperations:
        """Return the write operations of a run whose last look is `cluster`.

        `since`: a request sent at or after that moment may have taken effect without an answer.
        """
        ...
