"""Carries out parsed commands: answers them, or requests what they ask for."""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from handlers import views
from handlers.commands.base import CommandContext, InstantCommand
from handlers.commands.decisions import outcome_card
from handlers.commands.lost_answers import LostAnswers, OutcomeLookup
from handlers.commands.parser import COMMANDS, ParsedCommand, parse
from handlers.commands.stored import as_typed
from handlers.commands.targets import CommandTargets, HandlerContext
from handlers.slack.blocks import Card, TextFile, section
from handlers.slack.client import ReplyTarget, SlackClient
from handlers.views.batch import BatchFacts, batch_card
from handlers.views.window_form import window_form
from services.access.policy import AccessResult, Actor, authorize
from services.common.clock import Clock
from services.common.command import Command
from services.common.errors import Refused, Unreachable
from services.memory.dry_runs import DryRun, DryRuns
from services.operations.batches import Limits
from services.operations.results import Planned, Started, WaitingForApproval
from services.operations.service import OperationsService
from services.procedures import AddWindow, Procedure
from services.procedures.plan import Plan
from services.schedule.scheduler import WindowScheduler
from services.schedule.visible import VisibleClusters


class CommandRunner:
    """Carries out one command for one person."""

    def __init__(
        self,
        operations: OperationsService,
        scheduler: WindowScheduler,
        slack: SlackClient,
        clock: Clock,
        context: HandlerContext,
        targets: CommandTargets,
        lost_answers: LostAnswers,
        dry_runs: DryRuns,
    ) -> None:
        self._operations = operations
        self._scheduler = scheduler
        self._slack = slack
        self._clock = clock
        self._context = context
        self._targets = targets
        self._lost_answers = lost_answers
        self._dry_runs = dry_runs
        self._visible = VisibleClusters(operations, scheduler)

    def changes(self, parsed: ParsedCommand, reply_to: ReplyTarget) -> bool:
        """Tell whether a command changes something, so that it has to be stored."""
        command = parsed.command
        if parsed.dry:
            return False
        if isinstance(command, AddWindow):
            return self._is_complete(command, parsed, reply_to)
        return isinstance(command, Procedure) or command.changes

    def _is_complete(self, add: AddWindow, parsed: ParsedCommand, reply_to: ReplyTarget) -> bool:
        """Tell whether the words describe a whole window; otherwise a form asks for the rest."""
        try:
            return add.parse_incomplete(self._targets.zone(parsed, reply_to.channel)) is None
        except Refused:
            return False

    async def run(
        self, parsed: ParsedCommand, actor: Actor, reply_to: ReplyTarget, trigger: str
    ) -> Card | None:
        """Carry out a command; return the private answer, None when something else answers."""
        command = parsed.command
        if parsed.several:
            return await self._run_several(parsed, actor, reply_to, trigger)
        if isinstance(command, InstantCommand):
            return await command.answer(self._command_context(parsed, actor, reply_to, trigger))
        return await self._request(command, parsed, actor, reply_to)

    async def _run_several(
        self, parsed: ParsedCommand, actor: Actor, reply_to: ReplyTarget, trigger: str
    ) -> Card | None:
        names, command = self._targets.several(parsed, actor), parsed.command
        if isinstance(command, InstantCommand):
            must_take_several(command)
            ctx = self._command_context(parsed, actor, reply_to, trigger)
            return await command.answer_several(ctx, names)
        channel = reply_to.channel
        if not parsed.dry:
            own = {self._targets.own_channel(name) for name in names}
            channel = await self._targets.card_channel(names[0])
            if reply_to.channel in own:
                channel = reply_to.channel
        planned = await self._operations.batches.request(
            actor,
            names,
            command,
            Limits(parsed.at_once, parsed.stop_after, parsed.label),
            reason=parsed.reason,
            dry=parsed.dry,
            channel=channel,
            later=self._targets.later(parsed, actor, reply_to),
            confirmed=parsed.confirmed,
        )
        if planned.filed:
            if channel == reply_to.channel:
                return None
            where = f"<#{channel}>, the channel of {names[0]}"
            return views.text_card(f"Nothing was changed yet. Its message is in {where}.")
        facts = BatchFacts(planned.plans)
        offer = ""
        if parsed.dry and planned.plans and not planned.observes:
            with suppress(Unreachable):  # plans can be shown without the state store
                offer = await self._dry_runs.keep(DryRun(as_typed(parsed), ""))
        card = batch_card(
            planned.batch, facts, dry=parsed.dry, observes=planned.observes, offer=offer
        )
        return _with_synonym(card, parsed)

    def _command_context(
        self, parsed: ParsedCommand, actor: Actor, reply_to: ReplyTarget, trigger: str
    ) -> CommandContext:
        return CommandContext(
            self._operations,
            self._scheduler,
            actor,
            reply_to.channel,
            self._clock,
            partial(self._meant, parsed, actor, reply_to),
            zone=self._context.zone,
            open_modal=partial(self._slack.open_modal, trigger),
            update_modal=self._slack.update_modal,
            trigger=trigger,
            commands=COMMANDS,
            parse=_parse,
            reason=parsed.reason,
            dry_run=parsed.dry,
            later=self._targets.later(parsed, actor, reply_to),
            card_channel=self._targets.card_channel,
            pictures=partial(self._slack.send_private_pictures, reply_to.user),
            send_file=partial(self._send_file, reply_to.user),
            version=self._context.version,
            plan=partial(self._planned, parsed, actor, reply_to),
        )

    def _meant(self, parsed: ParsedCommand, actor: Actor, reply_to: ReplyTarget) -> str:
        if parsed.several:
            raise Refused("this is about one cluster at a time: name one with `--cluster`")
        return self._targets.cluster(parsed.cluster, reply_to.channel, actor)

    async def _send_file(self, user: str, card: Card, file: TextFile) -> str:
        """Send a file to one person; return where it is."""
        await self._slack.send_private_file(user, card, file)
        return "your direct messages with me"

    async def _planned(
        self, parsed: ParsedCommand, actor: Actor, reply_to: ReplyTarget, procedure: Procedure
    ) -> Card | None:
        """Return the card of a dry run of a procedure that another command means."""
        meant = replace(parsed, command=procedure, dry=True)
        return await self._request(procedure, meant, actor, reply_to)

    async def _request(
        self, procedure: Procedure, parsed: ParsedCommand, actor: Actor, reply_to: ReplyTarget
    ) -> Card | None:
        cluster = self._targets.cluster(parsed.cluster, reply_to.channel, actor)
        home = await self._home(cluster, parsed)
        outcome = await self._operations.request(
            actor,
            cluster,
            procedure,
            reason=parsed.reason,
            dry=parsed.dry,
            channel=home or reply_to.channel,
            later=self._targets.later(parsed, actor, reply_to),
            confirmed=parsed.confirmed,
        )
        if home != reply_to.channel and isinstance(outcome, WaitingForApproval | Started):
            if isinstance(outcome, WaitingForApproval) and outcome.request.startable:
                return views.text_card(
                    f"Nothing was changed yet. Its plan is in <#{home}>, the channel of {cluster}; "
                    "start it there."
                )
            return views.text_card(f"Its card is in <#{home}>, the channel of {cluster}.")
        if isinstance(outcome, Planned) and outcome.dry and not outcome.observes:
            card = await self._dry_run(outcome.plan, replace(parsed, cluster=cluster), actor)
            return _with_synonym(card, parsed)
        return _with_synonym(outcome_card(outcome), parsed)

    async def _dry_run(self, plan: Plan, parsed: ParsedCommand, actor: Actor) -> Card:
        """Return the card of a dry run; with a button that requests it, if the actor may."""
        verdict = authorize(plan, actor, self._operations.clusters.rules(plan.cluster))
        if plan.is_empty or verdict.kind is AccessResult.DENIED:
            return views.plan_card(plan, dry=True)
        try:
            offer = await self._dry_runs.keep(DryRun(as_typed(parsed), plan.digest))
        except Unreachable:
            # A plan can be shown without the state store; requesting it takes the command again.
            return views.plan_card(plan, dry=True)
        needs_approval = verdict.kind is AccessResult.NEEDS_APPROVAL
        request = views.request_button(plan, offer, needs_approval=needs_approval)
        return views.plan_card(plan, dry=True, offer=[request])

    async def _home(self, cluster: str, parsed: ParsedCommand) -> str:
        if parsed.dry:
            return self._targets.own_channel(cluster)
        return await self._targets.card_channel(cluster)

    async def window_form(
        self, add: AddWindow, parsed: ParsedCommand, actor: Actor, reply_to: ReplyTarget
    ) -> dict[str, Any] | None:
        """Return the form where the words only begin a window; None for a whole window.

        The form has the existing window of that name in it, if there is one.
        """
        if parsed.several:
            if add.parse_incomplete(self._targets.zone(parsed, reply_to.channel)) is not None:
                raise Refused(
                    "for several clusters, write the whole window, "
                    "as in `/openvidu window add nights daily 20:00-07:00 --label production`"
                )
            return None
        cluster = self._targets.cluster(parsed.cluster, reply_to.channel, actor)
        begun = add.parse_incomplete(self._context.zone(cluster))
        if begun is None:
            return None
        self._operations.must_use(cluster, actor, *add.required_classes())
        book = await self._visible.book(cluster, actor)
        existing = book.window(begun.name)
        return window_form(
            cluster,
            reply_to.channel,
            existing or begun,
            parsed.reason,
            known=existing is not None,
        )

    def _outcome_of_several(
        self, parsed: ParsedCommand, actor: Actor, since: float
    ) -> OutcomeLookup:
        command, answers = parsed.command, self._lost_answers
        if isinstance(command, Procedure):
            return partial(answers.outcome_of_batch, command, actor, since)
        names = self._targets.several(parsed, actor)
        return partial(answers.outcome_by_audit_of_any, names, command.command, actor, since)

    def outcome(
        self, parsed: ParsedCommand, actor: Actor, reply_to: ReplyTarget, since: float
    ) -> OutcomeLookup:
        """Return how to find out the outcome of a command that changes something.

        `since`: when it was given (epoch seconds).
        """
        command, answers = parsed.command, self._lost_answers
        if parsed.several:
            return self._outcome_of_several(parsed, actor, since)
        if isinstance(command, InstantCommand) and hasattr(command, "run"):
            if command.run:
                return partial(answers.outcome_of_press, command.run, actor, since)
            names = self._targets.clusters(parsed.cluster, reply_to.channel, actor)
            return partial(answers.outcome_by_audit_of_any, names, command.command, actor, since)
        cluster = self._targets.cluster(parsed.cluster, reply_to.channel, actor)
        if isinstance(command, Procedure):
            return partial(answers.outcome_of_request, cluster, command, actor, since)
        return partial(answers.outcome_by_audit, cluster, command.command, actor, since)


def must_take_several(command: InstantCommand) -> None:
    """Refused where a command is about one cluster."""
    if not command.several:
        raise Refused(
            f"`{command.command}` takes one cluster at a time: name one with `--cluster`. "
            "Nothing was changed"
        )


def _with_synonym(card: Card | None, parsed: ParsedCommand) -> Card | None:
    """Add which command a synonym means, and how to request it."""
    if card is None or not parsed.synonym:
        return card
    typed = f"`/openvidu {parsed.command.command_line()}`"
    head = f"“{parsed.synonym}” means {typed}. This is its plan; type the command to request it."
    return Card(f"{views.without_formatting(head)} {card.text}", (section(head), *card.blocks))


def _parse(text: str) -> Command:
    return parse(text).command
