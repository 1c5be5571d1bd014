"""Slash commands and mentions: from the text that a person typed to the answer they read."""

import asyncio
import re
from collections.abc import Awaitable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from handlers import views
from handlers.commands.base import InstantCommand
from handlers.commands.decisions import Decisions
from handlers.commands.errors import ErrorAnswers
from handlers.commands.inbox import CommandIntake, RecoveredInput, StoredInput
from handlers.commands.lost_answers import NOT_TAKEN as WAS_NOT_TAKEN
from handlers.commands.lost_answers import LostAnswers, OutcomeLookup
from handlers.commands.parser import ParsedCommand, parse
from handlers.commands.runner import CommandRunner
from handlers.commands.stored import parse_stored, stored_command, stored_text
from handlers.commands.targets import CommandTargets, HandlerContext
from handlers.slack.blocks import Card
from handlers.slack.client import ReplyTarget, SlackClient
from services.access.policy import Actor
from services.common.clock import Clock
from services.common.errors import Refused, Unreachable
from services.common.tasks import Tasks
from services.memory.dry_runs import DryRuns
from services.memory.inbox import CommandInbox
from services.operations.service import OperationsService
from services.procedures import AddWindow, Procedure
from services.schedule.scheduler import WindowScheduler
from services.schedule.visible import VisibleClusters
from services.store.keys import event_once, trigger_once
from services.store.once import Once

SLOW = 2.0  # seconds after which a person reads that an answer is on its way


class CommandDispatcher:
    """Takes commands in, stores those that change something, and sends the answers."""

    def __init__(
        self,
        operations: OperationsService,
        inbox: CommandInbox,
        once: Once,
        dry_runs: DryRuns,
        scheduler: WindowScheduler,
        slack: SlackClient,
        clock: Clock,
        context: HandlerContext,
        tasks: Tasks,
    ) -> None:
        self._clusters = operations.clusters
        self._once = once
        self._slack = slack
        self._clock = clock
        self._context = context
        self.tasks = tasks
        self.visible = VisibleClusters(operations, scheduler)
        self.lost_answers = LostAnswers(self.visible, slack, clock)
        self.decisions = Decisions(operations, slack, self.lost_answers)
        self.targets = CommandTargets(operations.clusters, slack, clock, context)
        self.dry_runs = dry_runs
        self._runner = CommandRunner(
            operations, scheduler, slack, clock, context, self.targets, self.lost_answers, dry_runs
        )
        self.intake = CommandIntake(inbox, clock, self.tasks)
        self.intake.recovery_handlers["command"] = self._take_up
        self.closing = False

    # Before the acknowledgement

    async def store_before_ack(self, body: Mapping[str, Any]) -> StoredInput | None:
        """Store a slash command before it is acknowledged; None when it changes nothing."""
        text, reply_to = str(body.get("text") or ""), _reply_target(body)
        try:
            parsed = parse(text)
        except Refused:
            return None
        if not self._runner.changes(parsed, reply_to):
            return None
        return await self.intake.before_ack(stored_text(text, body, reply_to), _trigger(body))

    async def store_picked_before_ack(
        self, parsed: ParsedCommand, body: Mapping[str, Any], reply_to: ReplyTarget
    ) -> StoredInput | None:
        """Do the same with a command that was picked."""
        if not self._runner.changes(parsed, reply_to):
            return None
        return await self.intake.before_ack(stored_command(parsed, body, reply_to), _trigger(body))

    # After the acknowledgement

    def command(self, body: Mapping[str, Any], note: StoredInput | None = None) -> None:
        """Carry out a slash command in a task of its own."""
        text, reply_to = str(body.get("text") or ""), _reply_target(body)
        self.lost_answers.note_input(reply_to.user)
        work = self._take(text, body, reply_to, note)
        self.tasks.start(work, f"command of {reply_to.user}", actor=reply_to.user)

    def mention(self, body: Mapping[str, Any]) -> None:
        """Carry out a command that mentions the bot, also in a thread, in a task of its own."""
        event = body["event"]
        # Slack shows no private answer in a thread that does not exist yet (its reference of
        # chat.postEphemeral).
        reply_to = ReplyTarget(
            str(event["channel"]), str(event["user"]), str(event.get("thread_ts") or "")
        )
        text = _after_mention(str(event.get("text") or ""), body)
        sender = {
            "user_id": event["user"],
            "team_id": event.get("user_team") or event.get("team") or body.get("team_id"),
            "enterprise_id": body.get("enterprise_id"),
        }
        name = event_once(str(body.get("event_id")))
        work = self._take(text, sender, reply_to, None)
        self.tasks.start(self._do_once(name, work), "mention")

    async def once(self, trigger: str, work: Coroutine[Any, Any, None]) -> None:
        """Do work once per trigger id: what Slack delivers twice carries the same one."""
        if not trigger:
            await work
        else:
            await self._do_once(trigger_once(trigger), work)

    async def _do_once(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            first = await self._once.claim(name)
        except Unreachable:
            # Reading works without the state store; changes are stored before they are taken.
            first = True
        if first:
            await work
        else:
            work.close()

    async def _take(
        self, text: str, body: Mapping[str, Any], reply_to: ReplyTarget, note: StoredInput | None
    ) -> None:
        async with self.answering(reply_to):
            parsed = parse(text)
            if note is None and self._runner.changes(parsed, reply_to):
                note = self.intake.new_note(stored_text(text, body, reply_to))
            await self._hold(parsed, body, reply_to, note)

    async def carry_out_picked(
        self,
        parsed: ParsedCommand,
        body: Mapping[str, Any],
        reply_to: ReplyTarget,
        note: StoredInput | None = None,
    ) -> None:
        """Carry out a command that was picked instead of typed."""
        async with self.answering(reply_to):
            if note is None and self._runner.changes(parsed, reply_to):
                # Without a trigger: the caller has sorted out what Slack delivers twice.
                note = self.intake.new_note(stored_command(parsed, body, reply_to))
            await self._hold(parsed, body, reply_to, note)

    async def carry_out_held(
        self,
        parsed: ParsedCommand,
        body: Mapping[str, Any],
        reply_to: ReplyTarget,
        note: StoredInput | None,
    ) -> None:
        """Carry out the command of a button, whose press is held already."""
        await self._carry_out(parsed, body, reply_to, note)

    async def _hold(
        self,
        parsed: ParsedCommand,
        body: Mapping[str, Any],
        reply_to: ReplyTarget,
        note: StoredInput | None,
    ) -> None:
        """Carry out a command; hold one that changes something until its answer was sent."""
        if note is None:
            await self._carry_out(parsed, body, reply_to, None)
            return
        async with self.intake.held(note) as mine:
            if mine:
                async with self.answering(reply_to):
                    await self._carry_out(parsed, body, reply_to, note)

    async def _carry_out(
        self,
        parsed: ParsedCommand,
        body: Mapping[str, Any],
        reply_to: ReplyTarget,
        note: StoredInput | None,
    ) -> None:
        if self.closing:
            raise Refused("the bot is restarting. Nothing was changed; type it again in a minute")
        actor = await self._slack.actor(body)
        work = self._answer(parsed, actor, reply_to, _trigger(body), note)
        card = await self._announce_when_slow(work, reply_to, parsed)
        if card is None:
            return
        try:
            await self._slack.post_ephemeral(reply_to, card)
        except Unreachable:
            # The command is carried out; only Slack has not taken its answer yet.
            answer = self.lost_answers.post_until_taken(reply_to, card)
            self.tasks.start(answer, f"answer to {reply_to.user}", actor=reply_to.user)

    async def _announce_when_slow(
        self, work: Awaitable[Card | None], reply_to: ReplyTarget, parsed: ParsedCommand
    ) -> Card | None:
        """Await an answer; post once that it is on its way when it takes long."""
        task = asyncio.ensure_future(work)
        # Of the loop's own time: people do not read faster in a simulation with a fast clock.
        timer = asyncio.ensure_future(asyncio.sleep(SLOW))
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()
        if not task.done() and not reply_to.view:
            what = "The answer"
            if isinstance(parsed.command, Procedure):
                what = "The plan"
            text = f"Looking; DigitalOcean is slow now. {what} follows here."
            if isinstance(parsed.command, InstantCommand) and parsed.command.meanwhile:
                text = parsed.command.meanwhile
            await self._slack.post_ephemeral(reply_to, views.text_card(text))
        return await task

    def answering(self, reply_to: ReplyTarget) -> ErrorAnswers:
        """Return a context manager whose errors become private answers to that person."""
        return ErrorAnswers(self._slack, reply_to, frozenset(self._clusters))

    async def _answer(
        self,
        parsed: ParsedCommand,
        actor: Actor,
        reply_to: ReplyTarget,
        trigger: str,
        note: StoredInput | None,
    ) -> Card | None:
        if isinstance(parsed.command, AddWindow) and trigger:
            form = await self._runner.window_form(parsed.command, parsed, actor, reply_to)
            if form is not None:
                await self._slack.open_modal(trigger, form)
                return None
        if note is None:
            return await self._runner.run(parsed, actor, reply_to, trigger)
        since = self._clock.now()
        try:
            return await self._runner.run(parsed, actor, reply_to, trigger)
        except Unreachable as error:
            look = self._runner.outcome(parsed, actor, reply_to, since)
            self.follow_up(reply_to, error, look, note)
            return None

    # Lost answers

    def follow_up(
        self,
        reply_to: ReplyTarget,
        error: Unreachable,
        look: OutcomeLookup,
        note: StoredInput | None = None,
    ) -> None:
        """Post that the outcome of a change is unknown, and later what `look` finds.

        Until then `note` stays open. Returns at once.
        """
        follows = None
        if note is not None:
            note.handed_over, follows = True, replace(note)
        work = self._doubted(reply_to, error, look, follows)
        name = f"what became of a change of {reply_to.user}"
        self.tasks.start(work, name, actor=reply_to.user)

    async def _doubted(
        self,
        reply_to: ReplyTarget,
        error: Unreachable,
        look: OutcomeLookup,
        note: StoredInput | None,
    ) -> None:
        if note is None:
            await self.lost_answers.post_outcome(reply_to, error, look)
            return
        async with self.intake.held(note):
            await self.lost_answers.post_outcome(reply_to, error, look)

    # Commands of bots that died

    async def sweep(self) -> None:
        """Take over commands that bots died over."""
        await self.intake.sweep()

    async def _take_up(self, left: RecoveredInput) -> None:
        """Post the outcome of a command that a bot died over, or carry it out now."""
        what, text = left.entry, str(left.entry["text"])
        where = (str(what["channel"]), str(what["user"]), str(what.get("thread", "")))
        reply_to = ReplyTarget(*where, url=str(what.get("url", "")), since=float(what["at"]))
        body = {
            "user_id": reply_to.user,
            "team_id": what.get("team", ""),
            "enterprise_id": what.get("enterprise", ""),
        }
        typed = f"`{self._context.command} {text}`"
        outcome = await self._outcome(what, reply_to, await self._slack.actor(body))
        if outcome:
            await self._tell(
                reply_to, f"The bot was restarted while it answered {typed}. {outcome}"
            )
        elif left.may_carry_out and not what.get("form") and not _means_any_run(text):
            restarted = f"The bot was restarted before it could answer {typed}"
            await self._tell(reply_to, f"{restarted}. It is carried out now.")
            async with self.answering(reply_to):
                await self._carry_out(parse_stored(what), body, reply_to, left.note)
        else:
            restarted = f"The bot was restarted before it could plan {typed}"
            await self._tell(reply_to, f"{restarted}. Nothing was changed; type it again.")

    async def _tell(self, reply_to: ReplyTarget, text: str) -> None:
        await self._slack.post_ephemeral(reply_to, views.text_card(text))

    async def _outcome(
        self, what: Mapping[str, str | float], reply_to: ReplyTarget, actor: Actor
    ) -> str:
        """Return the outcome of a stored command; "" when it was not taken."""
        with suppress(Refused):
            parsed = parse(str(what["text"]))
            if what.get("form") or self._runner.changes(parsed, reply_to):
                look = self._runner.outcome(parsed, actor, reply_to, float(what["at"]))
                outcome = await look()
                if outcome != WAS_NOT_TAKEN:
                    return outcome
        return ""


def _after_mention(text: str, body: Mapping[str, Any]) -> str:
    """Return what follows the mention of the bot; of the first one where its id is not given."""
    bots = [str(a.get("user_id")) for a in body.get("authorizations") or () if a.get("is_bot")]
    for bot in bots:
        if parts := re.split(rf"<@{re.escape(bot)}(?:\|[^>]*)?>", text)[1:]:
            return " ".join(part.strip() for part in parts)
    return text.partition(">")[2]


def _means_any_run(text: str) -> bool:
    """Return whether a command means the open run: after a restart, that may be another one."""
    return getattr(parse(text).command, "run", "named") is None


def _reply_target(body: Mapping[str, Any]) -> ReplyTarget:
    return ReplyTarget(
        str(body["channel_id"]), str(body["user_id"]), url=str(body.get("response_url") or "")
    )


def _trigger(body: Mapping[str, Any]) -> str:
    return str(body.get("trigger_id") or "")
