"""Checks of one person's role on one cluster, by its policy as it is at this moment."""

from services.access.clusters import ClusterRegistry
from services.access.policy import (
    AccessResult,
    Actor,
    Verdict,
    may_decide,
    may_operate,
    may_type,
    may_use,
    may_wake,
    raise_if_denied,
)
from services.common.command import Command, CommandClass
from services.operations.reader import ClusterReader
from services.runs.request import Request
from services.runs.run import Run


class Permissions:
    """Each `must_` method is Refused with the reason; the others return the answer."""

    def __init__(self, clusters: ClusterRegistry, reader: ClusterReader) -> None:
        self._clusters = clusters
        self._reader = reader

    def must_read(self, name: str, actor: Actor) -> None:
        """Refused unless this person may see the cluster."""
        self._clusters.check_read(name, actor)

    def must_operate(self, name: str, actor: Actor) -> None:
        """Refused unless this person is an operator of the cluster."""
        raise_if_denied(may_operate(actor, self._clusters.rules(name)))

    def must_use(self, name: str, actor: Actor, *needs: CommandClass) -> None:
        """Refused unless this person may use all of these classes of commands there."""
        raise_if_denied(may_use(actor, self._clusters.rules(name), needs))

    def must_wake(self, name: str, actor: Actor) -> None:
        """Refused unless this person may start what a window has closed there."""
        raise_if_denied(may_wake(actor, self._clusters.rules(name)))

    def may_say(self, name: str, actor: Actor, kind: type[Command]) -> Verdict:
        """Whether this person may use such a command there."""
        return may_type(actor, self._clusters.rules(name), kind.classes)

    def may_decide(self, run: Run, actor: Actor) -> bool:
        """Whether this person may cancel, resume or abandon this run."""
        rules, needs = self._clusters.rules(run.cluster), run.plan.procedure.required_classes()
        verdict = may_decide(actor, rules, needs, window=run.requester.is_window)
        return verdict.kind is not AccessResult.DENIED

    async def must_see(self, name: str, actor: Actor) -> None:
        """Refused unless this person may see the cluster of the run or request of that id."""
        if name.rpartition("-")[0] in self._clusters:
            self._clusters.check_read_run(name, actor)
        else:
            await self.request(name, actor)

    async def run(self, run_id: str, actor: Actor) -> Run:
        """One run, for those who may see its cluster; others do not learn whether there is one."""
        self._clusters.check_read_run(run_id, actor)
        run = await self._reader.run(run_id)
        self.must_read(run.cluster, actor)
        return run

    async def request(self, request_id: str, actor: Actor) -> Request:
        """One request, for those who may see its cluster."""
        request = await self._reader.request(request_id)
        self.must_read(request.plan.cluster, actor)
        return request
