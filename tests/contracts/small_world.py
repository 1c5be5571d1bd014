"""Helpers for the tests of the simulated world."""

from simulators.cloud import Cloud, SimulatedCluster


class SetClock:
    """A clock that a test moves by hand."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.moment = now

    def now(self) -> float:
        return self.moment

    async def sleep(self, seconds: float) -> None:
        self.moment += seconds


class World:
    """A simulated cloud with one cluster, and its clock."""

    def __init__(self, media: int = 3, **options: str) -> None:
        self.clock = SetClock()
        self.estate = Cloud(self.clock)
        self.cluster: SimulatedCluster = self.estate.build_cluster("acme", media=media, **options)  # type: ignore[arg-type]

    def wait(self, seconds: float) -> None:
        self.clock.moment += seconds
        self.estate.settle()

    def pool_to(self, number: int, **changes: object) -> None:
        pool = self.estate.pool("acme")
        template = self.estate.pool_scaler.shown_template(pool) | changes
        body = {
            "name": pool.name,
            "config": {"target_number_instances": number},
            "droplet_template": template,
        }
        self.estate.pool_scaler.edit(pool.id, body)

    def kinds(self) -> list[str]:
        return [violation.kind for violation in self.estate.violations]
