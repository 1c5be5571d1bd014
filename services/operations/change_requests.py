"""Requests for changes: planned and shown; run once their requester or approvers say so."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from services.access.clusters import ClusterRegistry
from services.access.policy import (
    AccessResult,
    Actor,
    Verdict,
    authorize,
    may_break_glass,
    may_operate,
    may_use,
    raise_if_denied,
)
from services.cluster.model import Fact
from services.common.clock import Clock
from services.common.command import CommandClass
from services.common.errors import Refused
from services.config_files import ConfigFile, ConfigText
from services.operations.approval_decisions import ApprovalDecisions
from services.operations.approvals import Approvals
from services.operations.guards import ChangeGuards, freeze_words
from services.operations.opening import Opening, RunOpener
from services.operations.reader import ClusterReader
from services.operations.results import (
    AwaitingStart,
    Outcome,
    Planned,
    Started,
    WaitingForApproval,
)
from services.operations.staged_secrets import (
    StagedSecrets,
    configure_procedure,
    file_procedure,
    keys_of_secrets_env,
    with_values,
)
from services.procedures import Configure, Procedure
from services.procedures.plan import Plan, make_plan
from services.runs.authorization import ONE_RUN, is_confirmed
from services.secrets_env import SecretsFile
from services.store.port import new_id
from services.windows import Freeze

DAY = 86400.0
FARTHEST = 31 * DAY  # how far ahead a change can be planned


class ChangeRequests:
    """Takes them from people."""

    def __init__(
        self,
        clusters: ClusterRegistry,
        clock: Clock,
        reader: ClusterReader,
        guards: ChangeGuards,
        approvals: Approvals,
        decisions: ApprovalDecisions,
        opener: RunOpener,
        staged: StagedSecrets,
    ) -> None:
        self._clusters = clusters
        self._clock = clock
        self._reader = reader
        self._guards = guards
        self._approvals = approvals
        self._decisions = decisions
        self._opener = opener
        self._staged = staged

    async def request(
        self,
        actor: Actor,
        name: str,
        procedure: Procedure,
        *,
        reason: str = "",
        dry: bool = False,
        channel: str = "",
        later: tuple[float, str] | None = None,
        confirmed: str = "",
        files: bool = True,
    ) -> Outcome:
        """Plan the change and file it for approval, or (`dry`) only return the plan.

        Refused with what is in the way. What needs no approval runs at once if this plan is
        `confirmed` (`authorization.is_confirmed`). Otherwise it is filed too, for its requester to
        start, or (`files` False) returned as Unconfirmed.

        `later`: when to run it instead of now (epoch seconds), and the time zone that this was
        given in.
        """
        self._clusters.check_read(name, actor)
        observes = self._clusters.observes and procedure.changes_cluster
        if observes and not dry:
            self._must_use(name, actor, procedure)
            return Planned(await self._plan(name, procedure), dry=False, observes=True)
        if later is not None and not dry:
            return await self._request_for_later(actor, name, procedure, reason, channel, later)
        if not dry:
            # Who has locked it is worth knowing, also to those who may not change it.
            await self._guards.must_be_free(name)
            self._must_use(name, actor, procedure)
            await self._approvals.must_be_new(name, procedure)
        plan = await self._plan(name, procedure)
        if dry or plan.is_empty:
            return Planned(plan, dry, observes=observes)
        rules = self._clusters.rules(name)
        verdict = raise_if_denied(authorize(plan, actor, rules))
        if verdict.kind is AccessResult.ALLOWED and is_confirmed(plan, confirmed):
            return await self._start(Opening(plan, actor, reason, channel))
        if verdict.kind is AccessResult.ALLOWED and not files:
            return AwaitingStart(plan)
        request = self._approvals.new(plan, actor, rules, verdict, reason, channel)
        if confirmed and request.startable:
            request = replace(request, differs="the cluster changed since its plan was shown")
        await self._approvals.file(request)
        return WaitingForApproval(request)

    async def _start(self, opening: Opening) -> Outcome:
        """Start what its requester has confirmed; a request of theirs for it becomes the run."""
        plan, actor = opening.plan, opening.requester
        filed = await self._approvals.startable(plan.cluster, plan.procedure, actor)
        if filed is not None and filed.plan.digest == plan.digest:
            return await self._decisions.approve(filed.id, actor)
        return Started(await self._opener.open(opening))

    def _must_use(self, name: str, actor: Actor, procedure: Procedure) -> None:
        raise_if_denied(may_use(actor, self._clusters.rules(name), procedure.required_classes()))

    async def _plan(self, name: str, procedure: Procedure) -> Plan:
        cluster = await self._reader.look_patiently(name, procedure.required_facts)
        return make_plan(cluster, procedure)

    async def _request_for_later(
        self,
        actor: Actor,
        name: str,
        procedure: Procedure,
        reason: str,
        channel: str,
        later: tuple[float, str],
    ) -> Outcome:
        """Plan it now for then. A plan with nothing to do now may have something to do then."""
        at, zone = later
        must_be_schedulable(procedure, at, self._clock.now())
        self._must_use(name, actor, procedure)
        await self._guards.must_not_be_held(name, at=at)
        plan = await self._plan(name, procedure)
        rules = self._clusters.rules(name)
        verdict = raise_if_denied(authorize(plan, actor, rules))
        if verdict.kind is AccessResult.NEEDS_APPROVAL:
            run = await self._reader.open_run(name)
            if run is not None:
                # The plan to approve would be that of a cluster which is changing.
                raise Refused(self._guards.busy(run))
        request = self._approvals.new(plan, actor, rules, verdict, reason, channel)
        request = self._approvals.for_later(request, at, zone, rules)
        await self._approvals.file(request)
        return WaitingForApproval(request)

    async def break_glass(
        self, actor: Actor, name: str, procedure: Procedure, *, reason: str, channel: str = ""
    ) -> Outcome:
        """File a change that the requester confirms alone, once its plan was shown to everyone.

        Only the approval and a change freeze are skipped: neither a hold nor another run, and no
        step of the plan.
        """
        self._clusters.check_read(name, actor)
        await self._guards.must_be_free(name, glass=True)
        rules = self._clusters.rules(name)
        raise_if_denied(may_break_glass(actor, rules))
        if not reason.strip():
            add = 'Add `--reason "…"`. Nothing was changed'
            raise Refused(f"break-glass needs a reason, which others will read. {add}")
        await self._approvals.must_be_new(name, procedure, glass=True)
        plan = await self._plan(name, procedure)
        if plan.is_empty or self._clusters.observes:
            return Planned(plan, dry=False, observes=self._clusters.observes)
        if plan.effects.standing:
            raise Refused(f"{ONE_RUN}: [[command {procedure.command_line()}]]. Nothing was changed")
        verdict = raise_if_denied(authorize(plan, actor, rules))
        verdict = _in_freeze(verdict, await self._guards.freeze(name))
        if verdict.kind is AccessResult.ALLOWED:
            command = f"[[command {procedure.command_line()}]]"
            raise Refused(f"this needs no approval, so break-glass is not needed: {command}")
        why = reason.strip()
        request = self._approvals.new(plan, actor, rules, verdict, why, channel, glass=True)
        await self._approvals.file(request)
        return WaitingForApproval(request)

    async def configure(
        self,
        actor: Actor,
        name: str,
        change: Callable[[SecretsFile], SecretsFile],
        *,
        reason: str = "",
        channel: str = "",
        words: str = "",
        dry: bool = False,
        later: tuple[float, str] | None = None,
        kind: Callable[..., Configure] = Configure,
    ) -> Outcome:
        """Stage a changed secrets.env and request that it is applied.

        The staged object is deleted when nothing comes of it. `kind`: the class of the procedure.
        """
        raise_if_denied(may_operate(actor, self._clusters.rules(name)))
        if not dry and later is None:
            await self._guards.must_be_free(name)
        bucket = self._staged.vault(name)
        before = await bucket.read()
        after = change(before)
        await self._staged.must_be_whole(name, after)
        if dry or self._clusters.observes:
            procedure = configure_procedure(before, after, "dry-run", words, kind)
            return await self.request(actor, name, procedure, dry=dry)
        procedure = configure_procedure(before, after, new_id()[:16], words, kind)
        self._must_use(name, actor, procedure)
        await bucket.stage(procedure.staged, after)
        try:
            return await self.request(
                actor, name, procedure, reason=reason, channel=channel, later=later
            )
        except BaseException:
            await asyncio.shield(self._staged.drop(name, procedure))
            raise

    async def config_file(self, actor: Actor, name: str, file: ConfigFile) -> ConfigText:
        """Read a configuration file from the first master. It holds secrets: mask it."""
        rules = self._clusters.rules(name)
        raise_if_denied(may_operate(actor, rules))
        raise_if_denied(may_use(actor, rules, (CommandClass.CONFIGURATION,)))
        world = self._clusters.cluster(name).world
        cluster = await world.observe(frozenset({Fact.DROPLETS}))
        first = next((m for m in cluster.masters if m.active), None)
        if first is None or cluster.problem:
            raise Refused(cluster.problem or f"no master of {name} is powered on")
        return await world.config_file(first.id, file)

    async def change_file(
        self,
        actor: Actor,
        name: str,
        file: ConfigFile,
        change: Callable[[ConfigText], str],
        *,
        reason: str = "",
        channel: str = "",
        words: str = "",
        what: str = "",
        dry: bool = False,
        later: tuple[float, str] | None = None,
    ) -> Outcome:
        """Stage the new content of a configuration file and request that it is applied.

        The staged object is deleted when nothing comes of it. `what`: the change in a few words.
        Keys that are in secrets.env too are changed there.
        """
        if not dry and later is None:
            await self._guards.must_be_free(name)
        before = await self.config_file(actor, name, file)
        after = change(before)
        if secrets := keys_of_secrets_env(before, after):
            return await self.configure(
                actor,
                name,
                partial(with_values, values=secrets),
                reason=reason,
                channel=channel,
                words=words,
                dry=dry,
                later=later,
                kind=partial(Configure, requested_in=file.name),
            )
        if dry or self._clusters.observes:
            procedure = file_procedure(before, after, "dry-run", words, what)
            return await self.request(actor, name, procedure, dry=dry)
        bucket = self._staged.vault(name)
        procedure = file_procedure(before, after, new_id()[:16], words, what)
        self._must_use(name, actor, procedure)
        await bucket.stage_content(procedure.staged, after.encode())
        try:
            return await self.request(
                actor, name, procedure, reason=reason, channel=channel, later=later
            )
        except BaseException:
            await asyncio.shield(self._staged.drop(name, procedure))
            raise


def must_be_schedulable(procedure: Procedure, at: float, now: float) -> None:
    """Refused where a procedure takes no `--at`, or that moment has passed or is too far ahead."""
    if not procedure.schedulable:
        raise Refused(f"`{procedure.command}` takes no `--at`: {procedure.not_schedulable_reason}")
    if at <= now:
        raise Refused("that time has passed. Nothing was changed. Choose a later time")
    if at - now > FARTHEST:
        most = f"a change can be scheduled at most {FARTHEST / DAY:.0f} days ahead"
        raise Refused(f"{most}. Nothing was changed")


def _in_freeze(verdict: Verdict, freeze: Freeze | None) -> Verdict:
    """The verdict with the change freeze as one more reason.

    In a freeze, even what needs no approval takes break-glass.
    """
    if freeze is None:
        return verdict
    sentence = freeze_words(freeze)
    if verdict.kind is AccessResult.ALLOWED:
        return Verdict(AccessResult.NEEDS_APPROVAL, sentence, 1)
    return replace(verdict, reason=f"{verdict.reason}, and {sentence}")
