"""Forms. What is typed into a secret field is checked at once and goes to the bucket; it is in no log, message or memory of the bot."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from handlers import views
from handlers.commands.decisions import REASONED, lacks, meant_by, told
from handlers.commands.dispatcher import CommandDispatcher, sender, stored
from handlers.commands.inbox import Note, TakenUp
from handlers.commands.lost_answers import NOT_TAKEN, became
from handlers.commands.parser import Words
from handlers.slack.client import ReplyTarget, SlackClient
from handlers.views.secret_form import CONFIG, REASON, VALUE
from handlers.views.window_form import WINDOW, meant_in, read_window
from services.access.policy import Decision
from services.common.errors import Unreachable
from services.operations.service import OperationsService
from services.procedures import AddWindow
from services.secrets_env import SecretsFile, lint


class Forms:
    """Takes what was filled in."""

    def __init__(
        self, operations: OperationsService, voice: SlackClient, counter: CommandDispatcher
    ) -> None:
        self._operations = operations
        self._clusters = operations.clusters
        self._voice = voice
        self._counter = counter
        counter.taking.kinds["decision"] = self._take_up

    def problems(self, view: Mapping[str, Any]) -> dict[str, str]:
        """What is wrong with it, by block; empty when it can be taken. Never repeats a secret."""
        if view["callback_id"] == WINDOW:
            return read_window(view).problems
        if view["callback_id"] == REASONED:
            return lacks(view)
        verdict = lint(_meant(view)["key"], _typed(view, VALUE))
        return {} if verdict.ok else {VALUE: verdict.reason}

    async def note(self, body: Mapping[str, Any]) -> Note:
        """What was sent, stored before it is acknowledged; of a secret field that there was one."""
        view = body["view"]
        if view["callback_id"] == WINDOW:
            words, ear = _window(body)
            return await self._counter.taking.before_ack(
                stored(words, body, ear), str(body.get("trigger_id") or "")
            )
        if view["callback_id"] == REASONED:
            decision, name, channel, reason = meant_by(view)
            said = {"kind": "decision", "decision": str(decision), "about": name, "reason": reason}
            what = {**said, **sender(body, ReplyTarget(channel, str(body["user"]["id"])))}
            return await self._counter.taking.before_ack(what, str(body.get("trigger_id") or ""))
        meant = _meant(view)
        text = f"config set {meant['key']} --cluster {meant['cluster']}"
        what = {
            "kind": "command",
            "form": "config set",
            "text": text,
            **sender(body, ReplyTarget(meant["channel"], str(body["user"]["id"]))),
        }
        return await self._counter.taking.before_ack(what, str(body.get("trigger_id") or ""))

    def submit(self, body: Mapping[str, Any], note: Note) -> None:
        """A form without problems was sent. Returns at once; the card follows in the channel."""
        view = body["view"]
        if view["callback_id"] == WINDOW:
            words, ear = _window(body)
            self._counter.tasks.start(
                self._counter.do(words, body, ear, note), f"window of {ear.user}", actor=ear.user
            )
            return
        if view["callback_id"] == REASONED:
            decision, name, channel, reason = meant_by(view)
            ear = ReplyTarget(channel, str(body["user"]["id"]))
            self._counter.tasks.start(
                self._decided(decision, name, reason, body, ear, note),
                f"{decision} by {ear.user}",
                actor=ear.user,
            )
            return
        meant = _meant(view)
        ear = ReplyTarget(meant["channel"], str(body["user"]["id"]))
        value, reason = _typed(view, VALUE), _typed(view, REASON)
        self._counter.tasks.start(
            self._submitted(meant, value, reason, body, ear, note),
            f"form of {ear.user}",
            actor=ear.user,
        )

    async def _submitted(
        self,
        meant: dict[str, str],
        value: str,
        reason: str,
        body: Mapping[str, Any],
        ear: ReplyTarget,
        note: Note,
    ) -> None:
        async with self._counter.answering(ear), self._counter.taking.held(note) as mine:
            if mine:
                async with self._counter.answering(ear):
                    await self._configure(meant, value, reason, body, ear, note)

    async def _decided(
        self,
        decision: Decision,
        name: str,
        reason: str,
        body: Mapping[str, Any],
        ear: ReplyTarget,
        note: Note,
    ) -> None:
        async with self._counter.answering(ear), self._counter.taking.held(note) as mine:
            if mine:
                await self._decide(decision, name, reason, body, ear, note)

    async def _decide(
        self,
        decision: Decision,
        name: str,
        reason: str,
        body: Mapping[str, Any],
        ear: ReplyTarget,
        note: Note,
    ) -> None:
        deciding = self._counter.deciding
        async with self._counter.answering(ear):
            actor = await self._voice.actor(body)
            since = self._operations.now()
            try:
                answer = await deciding.decide(decision, name, actor, reason)
            except Unreachable as error:
                self._counter.doubt(ear, error, deciding.became(decision, name, actor, since), note)
                return
            if answer is not None:
                await self._voice.whisper(ear, answer)

    async def _take_up(self, left: TakenUp) -> None:
        """A decision with its reason that a bot died over: say what became of it, or take it now."""
        what, decision = left.what, Decision(str(left.what["decision"]))
        name = str(what.get("about") or what["name"])  # before "about" there was, "name" held it
        ear = ReplyTarget(str(what["channel"]), str(what["user"]))
        body = {
            "user_id": ear.user,
            "team_id": str(what["team"]),
            "enterprise_id": str(what["enterprise"]),
        }
        look = self._counter.deciding.became(
            decision, name, await self._voice.actor(body), float(what["at"])
        )
        found = await became(look)
        if found == NOT_TAKEN and left.again:
            await self._decide(decision, name, str(what["reason"]), body, ear, left.note)
        else:
            await self._voice.whisper(
                ear, views.words_card(f"The bot was restarted while it took your decision. {found}")
            )

    async def _configure(
        self,
        meant: dict[str, str],
        value: str,
        reason: str,
        body: Mapping[str, Any],
        ear: ReplyTarget,
        note: Note,
    ) -> None:
        key, cluster = meant["key"], meant["cluster"]

        def change(file: SecretsFile) -> SecretsFile:
            changed = file.set(key, value)
            return changed.with_fresh_urls() if key == "DOMAIN_NAME" else changed

        actor, since = await self._voice.actor(body), self._operations.now()
        cluster = self._clusters.named(cluster, actor)
        channel = await self._counter.card_channel(cluster)
        try:
            made = await self._operations.configure(
                actor,
                cluster,
                change,
                reason=reason,
                channel=channel,
                words=f"config set {key}",
                later=_later(meant),
            )
        except Unreachable as error:
            look = partial(self._counter.doubts.recorded, cluster, "config set", actor, since)
            self._counter.doubt(ear, error, look, note)
            return
        answer = told(made)
        if answer is not None:
            await self._voice.whisper(ear, answer)


def _window(body: Mapping[str, Any]) -> tuple[Words, ReplyTarget]:
    window = read_window(body["view"]).window
    assert window is not None, "looked at when it was sent"
    cluster, channel, reason = meant_in(body["view"])
    return Words(AddWindow(window.words()), cluster, reason), ReplyTarget(
        channel, str(body["user"]["id"])
    )


def _meant(view: Mapping[str, Any]) -> dict[str, str]:
    found = json.loads(view["private_metadata"])
    return {k: str(found[k]) for k in ("cluster", "key", "channel", "at", "zone") if k in found}


def _later(meant: Mapping[str, str]) -> tuple[float, str] | None:
    """When it is to be done, where that is not now."""
    return (float(meant["at"]), meant["zone"]) if "at" in meant else None


def _typed(view: Mapping[str, Any], block: str) -> str:
    return str(view["state"]["values"].get(block, {}).get(block, {}).get("value") or "")


__all__ = ["CONFIG", "REASONED", "WINDOW", "Forms"]
