"""Faults that are put back into the bot, or between it and the world.

Each existed once, or would be as easy to make.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from bot.terminal import identity as people
from bot.terminal.identity import Peer
from bot.terminal.socket import Control
from handlers import views
from handlers.commands.dispatcher import CommandDispatcher
from handlers.commands.inbox import CommandIntake
from handlers.commands.lost_answers import NOT_TAKEN, LostAnswers
from handlers.commands.targets import CommandTargets
from handlers.slack.channel_access import ChannelAccess
from handlers.slack.client import ReplyTarget, SlackClient
from handlers.terminal import session as terminal
from handlers.updates.card_poster import CardPoster
from handlers.updates.closed_channels import ClosedChannelWatch
from handlers.updates.direct_copies import DirectCopies
from services.access.policy import (
    AccessResult,
    ClusterPolicy,
    PolicyImpact,
    Verdict,
    authorize,
    impacts,
)
from services.cloud.clients.livekit import LivekitClient
from services.memory.inbox import CommandInbox
from services.operations.change_requests import ChangeRequests
from services.operations.guards import ChangeGuards
from services.operations.permissions import Permissions
from services.operations.results import WaitingForApproval
from services.operations.run_control import Continuation, RunControl, Uncovered
from services.procedures import windows
from services.procedures.fleet.co_located import CoLocatedFleet
from services.procedures.plan import Plan, make_plan
from services.runs import authorization
from services.runs import standing_approval as standing
from services.runs.request import Request, plan_grew
from services.runs.run import Event, Run
from services.schedule.visible import VisibleClusters
from services.steps import Drain, Effects, PoolTarget, PowerOffHost
from simulators.node import NodeShell, ShellOutput
from simulators.slack.model import Message
from simulators.slack.workspace import SlackWorkspace

Patch = pytest.MonkeyPatch
Spoil = Callable[[Patch], None]


def silence_is_drained(patch: Patch) -> None:
    """Where docker does not answer, the bot reads that nothing runs."""
    execute = NodeShell.execute

    def silent(self: NodeShell, droplet_id: int, command: str) -> ShellOutput:
        output = execute(self, droplet_id, command)
        if "docker.sock" in output.stdout + output.stderr and "--all" in command:
            state = "exited 0 0 2026-11-25T18:00:00.000000000Z"
            return ShellOutput(
                0, f"container=openvidu= {state}\nlivekit=000\nend\n", "", output.seconds
            )
        return output

    patch.setattr(NodeShell, "execute", silent)


def one_vote_is_enough(patch: Patch) -> None:
    """However many the policy requires."""
    patch.setattr(ClusterPolicy, "approvals_needed", lambda *_: 1)


def nobody_is_needed(patch: Patch) -> None:
    """Every plan is allowed."""
    for module in ("change_requests", "opening"):
        allowed = Verdict(AccessResult.ALLOWED, "why not")
        patch.setattr(f"services.operations.{module}.authorize", lambda *_, a=allowed: a)


def any_answer_is_ready(patch: Patch) -> None:
    """LiveKit's 406 is taken for 200."""
    execute = NodeShell.execute

    def ready(self: NodeShell, droplet_id: int, command: str) -> ShellOutput:
        output = execute(self, droplet_id, command)
        return replace(
            output,
            stdout=output.stdout.replace("livekit=406", "livekit=200").replace(
                "livekit=000", "livekit=200"
            ),
        )

    patch.setattr(NodeShell, "execute", ready)


def pools_do_not_wait(patch: Patch) -> None:
    """The pool's target goes down without a check of who is left, and no message says so."""
    effects = PoolTarget.effects
    patch.setattr(PoolTarget, "blocker", lambda *_: "")
    patch.setattr(
        PoolTarget,
        "effects",
        lambda self, cluster: replace(effects(self, cluster), cuts_off=False, special=()),
    )
    patch.setattr(Drain, "is_done", lambda *_: True)


def stops_a_single_node_at_once(patch: Patch) -> None:
    """Its droplet is powered off without a drain, and no message says so."""
    patch.setattr(CoLocatedFleet, "drain_first", lambda *_, **__: iter(()))
    patch.setattr(PowerOffHost, "blocker", lambda *_: "")
    patch.setattr(PowerOffHost, "missing_evidence", lambda *_: "")
    patch.setattr(PowerOffHost, "effects", lambda *_: Effects(stops_masters=True, down=True))


def agents_are_killed(patch: Patch) -> None:
    """The drain ends the agents at once."""
    execute = NodeShell.execute

    def harsh(self: NodeShell, droplet_id: int, command: str) -> ShellOutput:
        output, droplet = execute(self, droplet_id, command), self.estate.droplets.get(droplet_id)
        if "nohup setsid" in command and droplet is not None:
            with self.estate.timeline.caused_by("operator", f"ssh {droplet.name}"):
                for name in droplet.node.all_agents():
                    self.estate.containers.signal(droplet, name, "SIGKILL")
        return output

    patch.setattr(NodeShell, "execute", harsh)


def nobody_is_counted(patch: Patch) -> None:
    """Messages say that no one meets."""

    async def load(_: LivekitClient) -> dict[str, float]:
        return {"rooms": 0, "participants": 0, "egress": 0, "ingress": 0, "longest_seconds": 0.0}

    patch.setattr(LivekitClient, "load", load)


def only_the_requester_reads(patch: Patch) -> None:
    """Requests are shown to their requester, and to no one else."""
    visible, readers = SlackWorkspace.visible, SlackWorkspace.readers

    def asks(message: Message) -> bool:
        return "'approve'" in str(message.blocks)

    patch.setattr(
        SlackWorkspace,
        "visible",
        lambda s, user, c: [m for m in visible(s, user, c) if user == "UANA" or not asks(m)],
    )
    patch.setattr(
        SlackWorkspace, "readers", lambda s, m: frozenset({"UANA"}) if asks(m) else readers(s, m)
    )


def unknown_is_as_before(patch: Patch) -> None:
    """At the last approval the load is unknown: the number of the message is taken for it."""

    def known(then: Plan, now: Plan, rules: ClusterPolicy) -> str:
        return "" if now.load is None else plan_grew(then, now, rules)

    for module in ("services.operations.approval_decisions", "services.runs.authorization"):
        patch.setattr(f"{module}.plan_grew", known)


def lost_answers_are_noes(patch: Patch) -> None:
    """Where an answer is lost, people are told that nothing was changed."""

    async def no(self: LostAnswers, ear: ReplyTarget, *_: object) -> None:
        await self.post_until_taken(
            ear,
            views.text_card("No usable answer. Nothing was changed; try again in a minute."),
        )

    patch.setattr(LostAnswers, "post_outcome", no)


# --- what depends on an approval


def goes_on_anyway(kind: type[Event]) -> Spoil:
    """A run goes on under the earlier approval, whatever has changed."""

    def spoil(patch: Patch) -> None:
        covered = RunControl._covered

        async def anyway(self: RunControl, onward: Continuation) -> Run | Uncovered:
            return (
                await self._say(onward.run, onward.event)
                if isinstance(onward.event, kind)
                else await covered(self, onward)
            )

        patch.setattr(RunControl, "_covered", anyway)
        patch.setattr(authorization, "beyond_approval", lambda *_: "")
        patch.setattr("services.operations.assembly.beyond_approval", lambda *_: "")

    return spoil


def votes_outlive_their_question(patch: Patch) -> None:
    """The same question asked again has the votes of the first time."""
    patch.setattr(Run, "asking", lambda _, question: replace(question, id=question.kind))
    patch.setattr(authorization, "too_old", lambda *_: "")


def questions_have_one_name(patch: Patch) -> None:
    """The same question asked again is answered by a press on the first one."""
    patch.setattr(Run, "asking", lambda _, question: replace(question, id=question.kind))


def whoever_approved_once_counts(patch: Patch) -> None:
    """Approvers count even when they have lost the role since."""
    patch.setattr(authorization, "still_counting", lambda approvers, *_: tuple(approvers))


def a_hold_holds_nothing(patch: Patch) -> None:
    """A hold does not stop anything."""

    async def unheld(*_: object, **__: object) -> Mapping[str, str | None]:
        return {}

    patch.setattr(ChangeGuards, "must_not_be_held", unheld)


def approved_is_what_waits_now(patch: Patch) -> None:
    """At a terminal, an approval covers whatever waits now, not what was shown."""
    patch.setattr(terminal, "_shown", lambda _: "")


def nobody_can_start(patch: Patch) -> None:
    """A request that needs no more approvals waits for one."""
    patch.setattr(Request, "startable", property(lambda _: False))


def nothing_is_shown_first(patch: Patch) -> None:
    """What needs no approval begins at once."""
    patch.setattr("services.operations.change_requests.is_confirmed", lambda *_: True)


def windows_open_with_any_number(patch: Patch) -> None:
    """A window takes one approval, however many media nodes it starts."""

    def without_numbers(plan: Plan, rules: ClusterPolicy) -> tuple[PolicyImpact, ...]:
        impacts_found = impacts(plan, rules)
        return (
            tuple(i for i in impacts_found if i is not PolicyImpact.MEDIA_ADDED)
            if plan.effects.standing
            else impacts_found
        )

    patch.setattr("services.access.policy.impacts", without_numbers)
    patch.setattr(standing, "may_start", lambda *_, **__: None)


def costs_are_savings(patch: Patch) -> None:
    """What a window starts again costs nothing."""
    words = windows.savings_text
    patch.setattr(
        windows,
        "savings_text",
        lambda window, cluster: words(replace(window, number=None), cluster),
    )


def glass_covers_windows(patch: Patch) -> None:
    """Break-glass covers what is repeated."""

    async def anything(
        self: ChangeRequests,
        actor: Any,
        name: str,
        procedure: Any,
        *,
        reason: str,
        channel: str = "",
    ) -> WaitingForApproval:
        plan, rules = (
            make_plan(await self._reader.look(name, procedure.required_facts), procedure),
            self._clusters.rules(name),
        )
        request = self._approvals.new(
            plan, actor, rules, authorize(plan, actor, rules), reason, channel, glass=True
        )
        await self._approvals.file(request)
        return WaitingForApproval(request)

    patch.setattr(ChangeRequests, "break_glass", anything)
    patch.setattr(authorization, "_confirmed", lambda request, *_: request)
    patch.setattr(standing, "lapsed", lambda *_: "")


def glass_names_approvers(patch: Patch) -> None:
    """Whoever broke the glass for a window is recorded as the approver of its runs."""
    glass_covers_windows(patch)

    def named(window: Any, run: Any) -> standing.StandingApproval:
        given = authorization.of_run(run) if run is not None else None
        return standing.StandingApproval(
            window, given and replace(given, approvers=(given.requester,))
        )

    patch.setattr("services.operations.reader.standing_of", named)
    patch.setattr("services.schedule.edge_announcements.standing_of", named)


# --- who sees it


def cards_stand_where_it_was_typed(patch: Patch) -> None:
    """Messages are posted where the command was typed, whoever reads there."""

    async def here(*_: object) -> str:
        return ""

    patch.setattr(CommandTargets, "card_channel", here)
    patch.setattr(CardPoster, "channel", lambda _, __, asked_in: asked_in)


def closed_channels_are_asked_again(patch: Patch) -> None:
    """Closed channels are tried every few seconds, without end."""
    patch.setattr(ChannelAccess, "note_closed", lambda *_: None)
    patch.setattr(ChannelAccess, "note_checked", lambda *_: None)
    patch.setattr(DirectCopies, "of_run", _no_copies)
    patch.setattr("handlers.updates.request_cards.TRY_SELDOM", 5.0)
    patch.setattr("handlers.updates.run_cards.TRY_SELDOM", 5.0)
    patch.setattr("handlers.updates.run_cards.TRY_RARELY", 5.0)


def closed_channels_are_not_told(patch: Patch) -> None:
    """/readyz says that everything is ready."""
    patch.setattr(ClosedChannelWatch, "closed", lambda _: {})


def questions_reach_nobody(patch: Patch) -> None:
    """Where the channel is closed, no one is asked elsewhere."""
    patch.setattr(DirectCopies, "of_run", _no_copies)


async def _no_copies(_: DirectCopies, __: Run, ___: Any, place: Any, ____: Any) -> Any:
    return place


def answers_go_into_a_thread(patch: Patch) -> None:
    """A private answer to a mention goes into a thread that does not exist."""
    mention = CommandDispatcher.mention

    def threaded(self: CommandDispatcher, body: Mapping[str, Any]) -> None:
        event = body["event"]
        mention(self, {**body, "event": {"thread_ts": event.get("ts"), **event}})

    patch.setattr(CommandDispatcher, "mention", threaded)


# --- what is said


def restarts_are_noes(patch: Patch) -> None:
    """A bot died over a command: its user is told that nothing was changed, true or not."""

    async def found(*_: object) -> str:
        return ""

    async def became(_: object) -> str:
        return NOT_TAKEN

    take_up = CommandIntake._take_up

    async def old(self: CommandIntake, left: Any) -> None:
        await take_up(self, replace(left, sure=False))

    patch.setattr(CommandDispatcher, "_outcome", found)
    patch.setattr("handlers.interactions.buttons.outcome_now", became)
    patch.setattr(CommandIntake, "_take_up", old)


def decisions_are_not_crossed_out(patch: Patch) -> None:
    """The subject of a form's decision is not marked as decided."""
    taking = CommandInbox.accept_commit

    def misnamed(
        self: CommandInbox, name: str, what: Mapping[str, Any], seconds: float, trigger: str = ""
    ) -> Any:
        noted = taking(self, str(what.get("about") or name), what, seconds, trigger)
        hand = {
            "hand:" + name if key.startswith("hand:") else key: text
            for key, text in noted.puts.items()
        }
        return replace(noted, puts=hand, ttl={})

    patch.setattr(CommandInbox, "accept_commit", misnamed)


def cards_are_not_looked_for(patch: Patch) -> None:
    """What was posted and not recorded is posted again."""

    async def none(*_: object) -> str:
        return ""

    patch.setattr(SlackClient, "find_card", none)


def presses_are_not_stored(patch: Patch) -> None:
    """Presses are not stored before they are acknowledged."""

    async def unstored(*_: object) -> None:
        """Write nothing."""

    patch.setattr("handlers.interactions.buttons.ButtonHandler.note", unstored)


def one_look_has_to_do(patch: Patch) -> None:
    """One wrong answer, and the press is lost."""

    async def once(_: object, look: Callable[[], Awaitable[Any]], **__: object) -> Any:
        return await look()

    patch.setattr("services.operations.reader.retry_read", once)


# --- who asks


def details_are_for_everyone(patch: Patch) -> None:
    """The role of who presses is not checked."""

    async def anybody(self: Permissions, request_id: str, _: object) -> Request:
        return await self._reader.request(request_id)

    patch.setattr(Permissions, "request", anybody)


def lists_are_of_every_cluster(patch: Patch) -> None:
    """Lists include clusters that the user may not see."""

    async def every(self: VisibleClusters, _: object) -> list[Request]:
        operations = self._operations
        reader = operations._reader
        return [r for name in operations.clusters for r in await reader.waiting(name)]

    patch.setattr(VisibleClusters, "all_waiting", every)


def whoever_says_so_is_believed(patch: Patch) -> None:
    """A process may say who it acts for."""

    def proved(peer: Peer) -> int:
        return peer.uid if peer.sudo is None else peer.sudo

    patch.setattr(people, "proved", proved)


def orders_are_logged(patch: Patch) -> None:
    """Orders are logged with their words."""
    heard = Control.run_order

    def noted(self: Control, order: Any, peer: Peer, width: int) -> Any:
        logging.getLogger("bot.terminal").info(
            "asked from a terminal: %s %s", order.verb, order.words
        )
        return heard(self, order, peer, width)

    patch.setattr(Control, "run_order", noted)
