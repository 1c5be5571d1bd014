"""Buttons and modals for people who do not remember commands. They lead to the same words, and to the same checks, as typing does."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from handlers import views
from handlers.commands.config import ConfigSet
from handlers.commands.dispatcher import CommandDispatcher, say
from handlers.commands.inbox import Note
from handlers.commands.parser import Words, parse
from handlers.interactions.command_form import (
    Meant,
    command_form,
    first_field,
    looking_view,
    plan_view,
    said_in,
)
from handlers.interactions.options import kind_of
from handlers.slack.client import ReplyTarget, SlackClient
from handlers.views.secret_form import config_form
from services.access.clusters import raise_if_denied
from services.access.policy import Actor, Kind, authorize
from services.common.command import Command
from services.common.errors import BotError, Refused
from services.operations.results import Planned
from services.operations.service import OperationsService
from services.procedures import AddWindow, Procedure
from services.procedures.plan import Plan

Json = dict[str, Any]
OLDER = "this button is of an older version; nothing was changed, open the menu again"


class Menus:
    """One method per thing that is pressed or sent."""

    def __init__(
        self,
        operations: OperationsService,
        voice: SlackClient,
        counter: CommandDispatcher,
        channels: Mapping[str, str],
    ) -> None:
        self._operations = operations
        self._clusters = operations.clusters
        self._voice = voice
        self._counter = counter
        self._channels = channels

    async def press(self, name: str, value: str, body: Mapping[str, Any], ear: ReplyTarget) -> None:
        """`form:scale` with a cluster, `say:status` with one; or, from a list, both in the value: `form:scale|acme`."""
        if name == "more":
            name, _, value = value.partition("|")
        if name == "which":
            name = "say:menu"
        how, _, command = name.partition(":")
        kind = kind_of(command)
        if kind is None:
            raise Refused(OLDER)
        meant = Meant(kind.command, value, ear.channel)
        if how == "form":
            await self._open(meant, body)
        elif issubclass(kind, Procedure) and kind is not AddWindow:
            raise Refused(
                OLDER
            )  # nothing is asked for by one press: what changes a cluster has a form
        else:
            words = replace(parse(kind.command), cluster=meant.cluster)
            await self._counter.do(words, body, await self._answer_in(ear, meant, kind, body))

    async def _answer_in(
        self, ear: ReplyTarget, meant: Meant, kind: type[Command], body: Mapping[str, Any]
    ) -> ReplyTarget:
        """Where there is no channel, a modal is opened at once and filled with the answer: its trigger lasts three seconds."""
        if ear.channel:
            return ear
        if issubclass(kind, Procedure):  # it opens a form of its own
            self._clusters.named(meant.cluster, await self._voice.actor(body))
            return replace(ear, channel=self._news(meant))
        view = await self._voice.open_modal(ear.trigger, looking_view(meant, "Looking at"))
        return replace(ear, view=view)

    async def _open(self, meant: Meant, body: Mapping[str, Any]) -> None:
        view = await self._voice.open_modal(
            str(body["trigger_id"]), looking_view(meant, "Looking at")
        )
        async with self._counter.answering(
            ReplyTarget(meant.channel, str(body["user"]["id"]), view=view)
        ):
            actor = await self._voice.actor(body)
            kind = kind_of(meant.command.replace(" ", "-"))
            assert kind is not None, "looked up when the button was pressed"
            raise_if_denied(
                self._operations.may_say(self._clusters.named(meant.cluster, actor), actor, kind)
            )
            meant = replace(meant, channel=self._news(meant))
            if kind is ConfigSet:
                self._operations.vault(meant.cluster, actor)
            cluster = await self._counter.sight.look(meant.cluster, actor)
            await self._voice.change_modal(view, command_form(kind, cluster, meant))

    def _news(self, meant: Meant) -> str:
        """Where the card of what is asked for goes."""
        channel = meant.channel or self._channels.get(meant.cluster, "")
        if not channel:
            raise Refused(
                f"{meant.cluster} has no channel of its own, and others have to see what is asked for: use `/openvidu` in a channel"
            )
        return channel

    # What was filled in

    def filled(self, body: Mapping[str, Any]) -> Json:
        """The answer to a form, at once: what is wrong with it, or what comes next."""
        view = body["view"]
        try:
            meant = said_in(view)
            words = parse(meant.words)
        except Refused as error:
            return {
                "response_action": "errors",
                "errors": {first_field(view): say(error).replace("`", "")[:300]},
            }
        if isinstance(words.said, ConfigSet):
            return {
                "response_action": "update",
                "view": config_form(meant.cluster, words.said.key, meant.channel),
            }
        if isinstance(words.said, Procedure):
            self._start(self._plan(meant, words.said, body), f"plan for {body['user']['id']}")
            return {"response_action": "update", "view": looking_view(meant, "Planning for")}
        self.asked(body, meant)
        return {}

    async def note(self, body: Mapping[str, Any], meant: Meant) -> Note | None:
        """What was sent, stored before it is acknowledged."""
        try:
            return await self._counter.note_words(
                _words(meant), body, ReplyTarget(meant.channel, str(body["user"]["id"]))
            )
        except Refused:
            return None

    def asked(
        self, body: Mapping[str, Any], meant: Meant | None = None, note: Note | None = None
    ) -> None:
        """The plan was seen, and what it shows is asked for: the same as typing it in the channel."""
        meant = meant or Meant.of(body["view"])
        ear = ReplyTarget(meant.channel, str(body["user"]["id"]))
        work = self._counter.do(_words(meant), body, ear, note)
        self._counter.tasks.start(work, f"form of {ear.user}", actor=ear.user)

    def _start(self, work: Any, name: str) -> None:
        self._counter.tasks.start(work, name)

    async def _plan(self, meant: Meant, procedure: Procedure, body: Mapping[str, Any]) -> None:
        view = str(body["view"]["id"])
        async with self._counter.answering(
            ReplyTarget(meant.channel, str(body["user"]["id"]), view=view)
        ):
            actor = await self._voice.actor(body)
            made = await self._operations.request(
                actor, self._clusters.named(meant.cluster, actor), procedure, dry=True
            )
            assert isinstance(made, Planned), "a dry run stops at the plan"
            submit, note = await self._what_then(made.plan, actor)
            await self._voice.change_modal(
                view,
                plan_view(views.plan_card(made.plan, dry=True), meant, submit=submit, note=note),
            )

    async def _what_then(self, plan: Plan, actor: Actor) -> tuple[str, str]:
        """What asking for it is called, and what it leads to; no name where it leads nowhere."""
        if plan.empty:
            return "", "There is nothing to ask for."
        verdict = authorize(plan, actor, self._clusters.rules(plan.cluster))
        if verdict.kind is Kind.DENIED:
            return "", views.sentence(verdict.reason)
        if (run := await self._open_run(plan.cluster, actor)) is not None:
            return "", views.sentence(run, self._clusters)
        if verdict.kind is Kind.NEEDS_APPROVAL:
            return (
                "Ask for approval",
                f"Somebody else has to approve it, because {verdict.reason}. Nothing is changed before that.",
            )
        return "Do it", f"Needs no approval: {verdict.reason}. It begins as soon as you press."

    async def _open_run(self, name: str, actor: Actor) -> str | None:
        try:
            run = await self._counter.sight.open_run(name, actor)
        except BotError as error:
            return str(error)
        return self._operations.busy(run, actor) if run is not None else None


def _words(meant: Meant) -> Words:
    return replace(parse(meant.words), cluster=meant.cluster, reason=meant.reason)
