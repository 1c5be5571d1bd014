"""Forms. What is typed into a secret field is checked at once and goes to the bucket; it is in no log, message or memory of the bot."""

import json
from collections.abc import Mapping
from typing import Any

from handlers.commands import Counter
from handlers.deciding import REASONED, lacks, meant_by, told
from handlers.forms import CONFIG, REASON, VALUE
from handlers.parsing import Words
from handlers.voice import Ear, Voice
from handlers.window_form import WINDOW, meant_in, read_window
from services.desk import Desk
from services.errors import Unreachable
from services.policy import Decision
from services.procedures import AddWindow
from services.secrets_env import SecretsFile, lint


class Forms:
    """Takes what was filled in."""

    def __init__(self, desk: Desk, voice: Voice, counter: Counter) -> None:
        self._desk = desk
        self._voice = voice
        self._counter = counter

    def problems(self, view: Mapping[str, Any]) -> dict[str, str]:
        """What is wrong with it, by block; empty when it can be taken. Never repeats a secret."""
        if view["callback_id"] == WINDOW:
            return read_window(view).problems
        if view["callback_id"] == REASONED:
            return lacks(view)
        verdict = lint(_meant(view)["key"], _typed(view, VALUE))
        return {} if verdict.ok else {VALUE: verdict.reason}

    def submit(self, body: Mapping[str, Any]) -> None:
        """A form without problems was sent. Returns at once; the card follows in the channel."""
        view = body["view"]
        if view["callback_id"] == WINDOW:
            self._ask_for_window(body)
            return
        if view["callback_id"] == REASONED:
            decision, name, channel, reason = meant_by(view)
            ear = Ear(channel, str(body["user"]["id"]))
            self._counter.tasks.start(self._decided(decision, name, reason, body, ear), f"{decision} by {ear.user}")
            return
        meant = _meant(view)
        ear = Ear(meant["channel"], str(body["user"]["id"]))
        value, reason = _typed(view, VALUE), _typed(view, REASON)
        self._counter.tasks.start(self._submitted(meant, value, reason, body, ear), f"form of {ear.user}")

    async def _decided(self, decision: Decision, name: str, reason: str, body: Mapping[str, Any], ear: Ear) -> None:
        deciding = self._counter.deciding
        async with self._counter.answering(ear):
            actor = await self._voice.actor(body)
            since = self._desk.now()
            try:
                answer = await deciding.decide(decision, name, actor, reason)
            except Unreachable as error:
                self._counter.doubt(ear, error, deciding.became(decision, name, actor, since))
                return
            if answer is not None:
                await self._voice.whisper(ear, answer)

    def _ask_for_window(self, body: Mapping[str, Any]) -> None:
        window = read_window(body["view"]).window
        assert window is not None, "looked at when it was sent"
        cluster, channel, reason = meant_in(body["view"])
        ear = Ear(channel, str(body["user"]["id"]))
        words = Words(AddWindow(window.words()), cluster, reason)
        self._counter.tasks.start(self._counter.do(words, body, ear), f"window of {ear.user}")

    async def _submitted(self, meant: dict[str, str], value: str, reason: str, body: Mapping[str, Any], ear: Ear) -> None:
        key = meant["key"]

        def change(file: SecretsFile) -> SecretsFile:
            changed = file.set(key, value)
            return changed.with_fresh_urls() if key == "DOMAIN_NAME" else changed

        async with self._counter.answering(ear):
            actor = await self._voice.actor(body)
            name = self._desk.sites.named(meant["cluster"], actor)
            channel = await self._counter.card_channel(name)
            async with self._counter.taken(f"config set {key} --cluster {name}", ear):
                words = f"config set {key}"
                made = await self._desk.configure(actor, name, change, reason=reason, channel=channel, words=words)
            answer = told(made)
            if answer is not None:
                await self._voice.whisper(ear, answer)


def _meant(view: Mapping[str, Any]) -> dict[str, str]:
    found = json.loads(view["private_metadata"])
    return {k: str(found[k]) for k in ("cluster", "key", "channel")}


def _typed(view: Mapping[str, Any], block: str) -> str:
    return str(view["state"]["values"].get(block, {}).get(block, {}).get("value") or "")


__all__ = ["CONFIG", "REASONED", "WINDOW", "Forms"]
