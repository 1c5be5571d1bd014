"""Gathers what is known of a cluster for a rehearsal, and has it played."""

from contextlib import suppress
from dataclasses import replace

from services.access.clusters import ClusterRegistry
from services.access.policy import Actor
from services.cluster.model import EVERYTHING, Cluster, Fact, Load, NodeStatus, short_name
from services.common.clock import Clock
from services.common.errors import BotError, Refused
from services.common.markers import command
from services.common.observed import NOT_OBSERVED, Unobserved
from services.common.text import count_of, join_words
from services.memory.cluster import ClusterMemory
from services.operations.guards import ChangeGuards
from services.operations.rehearsal import Rehearsal, RehearsalStage, Scenario, least_media
from services.operations.results import Planned
from services.procedures import (
    AddBackupSchedule,
    AddWindow,
    AllowScaling,
    ChangeConfigFile,
    Configure,
    DeleteWaste,
    Drill,
    Procedure,
)
from services.procedures.plan import Plan, make_plan
from services.runs.durations import NEWEST, measured
from services.runs.journal import Journal
from services.runs.run import Run
from services.secrets_env import SecretsUnread

# What a rehearsal cannot do without. Everything else may be unknown, and is assumed.
MUST_SEE = frozenset({Fact.DROPLETS, Fact.POOL})
NOT_REMEMBERED = (
    "What the bot remembers of this cluster is unknown: the state store does not answer."
)
NOT_REHEARSED = (
    AddWindow,
    Configure,
    ChangeConfigFile,
    Drill,
    AddBackupSchedule,
    AllowScaling,
    DeleteWaste,
)
NOT_HERE = "rehearsals are not available here"
FACTS = {
    Fact.HEALTH: "the health of the masters",
    Fact.FRONT: "the public address",
    Fact.NODES: "what runs on the media nodes",
    Fact.LOAD: "the number of meetings",
    Fact.SIZES: "the sizes that DigitalOcean sells",
    Fact.SNAPSHOTS: "the snapshots",
    Fact.LINT: "secrets.env",
    Fact.CONFIGURATION: "the configuration files",
    Fact.SERVICES: "since when OpenVidu runs on the masters",
    Fact.VERSIONS: "OpenVidu's version on the nodes",
}


class Rehearsals:
    """Rehearses a change. Nothing of the real cluster is changed or locked.

    `stage`: None where nothing can be played.
    """

    def __init__(
        self,
        clusters: ClusterRegistry,
        clock: Clock,
        journal: Journal,
        memory: ClusterMemory,
        guards: ChangeGuards,
        stage: RehearsalStage | None,
    ) -> None:
        self._clusters = clusters
        self._clock = clock
        self._journal = journal
        self._memory = memory
        self._guards = guards
        self._stage = stage

    async def rehearse(self, actor: Actor, name: str, procedure: Procedure) -> Rehearsal | Planned:
        """Rehearse a change; return its plan where nothing is left to do.

        Refused where its plan would be, or while another rehearsal runs. The answer names a run, a
        hold or a freeze in its way, and assumes that it is over.
        """
        self._clusters.check_read(name, actor)
        if self._stage is None:
            raise Refused(NOT_HERE)
        if isinstance(procedure, NOT_REHEARSED):
            raise Refused(
                f"{command(procedure.command)} cannot be rehearsed; rehearse what it leads to, "
                f"such as {command('rehearse shutdown')}"
            )
        cluster, scenario = await self._look(name, procedure)
        plan = _plan(cluster, scenario)
        if plan is not None and plan.is_empty:
            return Planned(plan, dry=True)
        in_the_way = await self._in_the_way(name)
        return await self._stage.play(replace(scenario, assumed=(*in_the_way, *scenario.assumed)))

    async def scenario(self, name: str, procedure: Procedure) -> Scenario:
        """Look at the cluster once; return what is known of it, and what is assumed."""
        return (await self._look(name, procedure))[1]

    async def _look(self, name: str, procedure: Procedure) -> tuple[Cluster, Scenario]:
        """Return the cluster as it is seen, and the scenario without what secrets.env is like."""
        needs = EVERYTHING | procedure.required_facts
        world = self._clusters.cluster(name).world
        cluster = await world.observe(needs, tolerates=needs)
        if missing := cluster.missing_facts_reason(MUST_SEE):
            raise Refused(f"nothing can be rehearsed: {missing}")
        if cluster.problem or not cluster.masters:
            raise Refused(cluster.problem or f"no master of {name} was found")
        assumed: tuple[str, ...] = ()
        runs: list[Run] = []
        try:
            cluster = await self._memory.add_to(cluster)
            runs = await self._newest(name)
        except BotError:
            assumed = (NOT_REMEMBERED,)
        return cluster, Scenario(
            cluster=replace(cluster, lint=SecretsUnread(), secrets=None),
            procedure=procedure,
            at=self._clock.now(),
            usual=tuple(sorted(measured(runs).items())),
            endings=tuple(seconds for _, seconds, _ in cluster.past_closings),
            assumed=(*assumed, *assumptions(cluster, needs)),
        )

    async def _in_the_way(self, name: str) -> tuple[str, ...]:
        try:
            await self._guards.must_be_free(name)
        except Refused as error:
            return (f"Now it is refused: {error}. Assumed: that is over.",)
        except BotError:
            return ("Whether a run, a hold or a freeze is in its way: unknown. Assumed: none.",)
        return ()

    async def _newest(self, name: str) -> list[Run]:
        runs = []
        for run_id in await self._journal.latest(name, NEWEST):
            with suppress(BotError):
                runs.append(await self._journal.run(run_id))
        return runs


def _plan(cluster: Cluster, scenario: Scenario) -> Plan | None:
    """Return the plan; None where it rests on what was not seen.

    Refused for what was seen.
    """
    try:
        return make_plan(cluster, scenario.procedure)
    except Refused:
        if scenario.assumed:
            return None
        raise


def assumptions(cluster: Cluster, needs: frozenset[Fact]) -> tuple[str, ...]:
    """Return what was not seen and how the rehearsal goes on about it, in sentences."""
    unseen = {fact: why for fact, why in cluster.unseen if fact in needs}
    said = [
        f"{_sentence(FACTS[fact])}: unknown ({why}). Assumed: as usual."
        for fact, why in unseen.items()
        if fact in FACTS
    ]
    blind = [n for n in cluster.media if not n.droplet.off and not isinstance(n.look, NodeStatus)]
    if blind:
        names = join_words(short_name(n.name, cluster.stack) for n in blind)
        said.append(
            f"{names}: not seen ({_reason(blind[0].look)}). {_of_blind(cluster, len(blind))}"
        )
    load = cluster.load
    if isinstance(load, Unobserved) and not blind and Fact.LOAD not in unseen:
        said.append(
            f"Meetings by LiveKit: unknown ({load.reason}). Assumed: those that the nodes report."
        )
    dark = [m for m in cluster.masters if m.active and isinstance(m.healthy, Unobserved)]
    if dark and Fact.HEALTH not in unseen:
        said.append(
            f"{count_of(len(dark), 'master')}: health unknown ({_reason(dark[0].healthy)}). "
            "Assumed: healthy."
        )
    if cluster.autoscaler is not None and cluster.autoscaler_minimum is None:
        least = count_of(least_media(cluster), "media node")
        said.append(f"The autoscaler's minimum: not in the settings. Assumed: {least}.")
    return tuple(said)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _of_blind(cluster: Cluster, nodes: int) -> str:
    if isinstance(cluster.load, Load) and cluster.load.idle:
        return "Assumed: in service and empty, as LiveKit counts no meeting."
    if isinstance(cluster.load, Load):
        return "Assumed: in service, with the meetings that LiveKit counts."
    each = "it" if nodes == 1 else "each"
    return f"Assumed: in service, with one meeting on {each}."


def _reason(unknown: object) -> str:
    if isinstance(unknown, Unobserved):
        return unknown.reason
    return NOT_OBSERVED.reason
