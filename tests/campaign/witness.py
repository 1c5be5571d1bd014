"""Records all the time.

The clusters' state, who could read which message, and whether private answers were true.
"""

import asyncio
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulators.slack.elements import interactive
from simulators.slack.model import Message
from simulators.slack.webapi import MethodResponse
from tests.campaign.cards import MARKS
from tests.campaign.cast import ClusterCast
from tests.campaign.goals import VALUE
from tests.campaign.ledger import RunRecord, StackHistory
from tests.support.scene import Scene

EVERY, REMEMBERS = 10.0, 60.0
"""How often it looks at the clusters, and how old an answer may be, in seconds."""
LATER = 60.0
"""Seconds after a spell in which waiting commands are answered."""
AT_ONCE, AGAIN = 1.0, 90.0
"""Seconds in which a denied action may come true by another delivery, or the next press."""
UNCHANGED = re.compile(r"nothing was (?:changed|done)\b(?! yet)", re.IGNORECASE)
CHANGES = ("typed", "pressed")
SAYING = ("chat.postMessage", "chat.update")
SHUT = ("is_archived", "is_inactive", "not_in_channel", "channel_not_found", "cant_update_message")
NO_ROLE = re.compile(r"[^.\n]*\bno role for[^.\n]*")
NAMED = r"\b{stack}\b"
INSIDE = (
    r"\b(?:{stack}-\d+|{stack}\b|media-\d+|master-\d|\d+ (?:people|meetings|recordings)"
    r"|[Ss]hut(?:ting)? down)"
)
"""What only users with a role may read: the cluster's name, nodes, runs and people."""


@dataclass(frozen=True)
class Claim:
    """A user was told that nothing was changed."""

    at: float
    user: str
    text: str
    channel: str


class StoryWitness:
    """One for the whole story.

    `repeats`: a user's action may be delivered again, and come true after it was denied.
    """

    def __init__(
        self,
        scene: Scene,
        ledgers: list[StackHistory],
        channels: Mapping[str, str],
        *,
        repeats: bool = False,
        delays: Callable[[], list[tuple[float, float]]] = list,
        casts: Sequence[ClusterCast] = (),
    ) -> None:
        """`channels`: those of the clusters, and the cluster of each.

        `delays`: spells in which users' actions wait for the bot.
        """
        self._scene, self._ledgers, self._channels, self._repeats, self._delays = (
            scene,
            ledgers,
            channels,
            repeats,
            delays,
        )
        self._seen: defaultdict[str, deque[tuple[float, bool, bool]]] = defaultdict(deque)
        """By stack: when, whether people could meet, and whether its masters were down."""
        self.readers: defaultdict[str, dict[str, float]] = defaultdict(dict)
        """Who could read a message from when on, by the subject of its buttons."""
        self.wrong: list[str] = []
        self._casts = casts
        self.startable: set[str] = set()
        """Requests that showed a button to start them."""
        self.refused: defaultdict[str, list[float]] = defaultdict(list)
        """By channel: when Slack would take no message of the bot there."""
        self.looked_ready: tuple[str, ...] | None = None
        """What `/readyz` said after long refusals by Slack; None: it was not checked."""
        self.words: list[tuple[float, str, str]] = []
        """The bot's private answers: when, to whom, what."""
        self.failed: list[tuple[float, str]] = []
        """When, and to whom, Slack itself said that the bot does not answer."""
        self._claims: list[Claim] = []
        self._listen(scene)
        scene.slack.workspace.on_shown.append(self._shown)

    async def looks(self) -> None:
        """Look until the story ends."""
        while True:
            now = self._scene.clock.now()
            for ledger in self._ledgers:
                seen = self._seen[ledger.stack]
                seen.append((now, *self._state(ledger.stack)))
                while seen[0][0] < now - REMEMBERS:
                    seen.popleft()
            await asyncio.sleep(EVERY)

    def _state(self, stack: str) -> tuple[bool, bool]:
        estate = self._scene.estate
        estate.settle()
        is_up = estate.front_is_up(stack)
        return is_up and any(map(estate.takes_meetings, estate.media(stack))), not is_up

    def _shown(self, message: Message) -> None:
        place = self._scene.slack.workspace
        if message.user != place.bot.id:
            return
        for _, element in interactive(message.blocks):
            if value := str(element.get("value", "")):
                about = value.split("|")
                for what in {about[0], "|".join(about[:2])}:
                    for user in place.readers(message):
                        self.readers[what].setdefault(user, self._scene.clock.now())
                if str(element.get("text", {}).get("text")).startswith("Start"):
                    self.startable.add(value)
        if message.error:
            self.failed.append((self._scene.clock.now(), str(message.ephemeral_to)))
            return
        private = message.ephemeral_to or place.channels[message.channel].im_with
        if message.unseen:
            self.wrong.append(
                f"unseen-answer: {private} was answered in a thread where Slack shows nothing: "
                f"{message.text[:80]}"
            )
        if VALUE in message.shown():
            self.wrong.append(f"value-told: a message shows a value: {message.text[:80]}")
        if private and not message.unseen:
            self._told(private, MARKS.sub("", message.text), message.channel)
            self.reads(private, message.shown())

    def _listen(self, scene: Scene) -> None:
        """Listen to Slack's refusals."""
        handle = scene.slack.webapi.handle

        def heard(method: str, token: str, args: dict[str, Any]) -> MethodResponse:
            answer = handle(method, token, args)
            if method in SAYING and answer.json.get("error") in SHUT:
                self.refused[str(args.get("channel"))].append(scene.clock.now())
            if method in ("views.open", "views.update") and answer.json.get("ok"):
                self._form(str(answer.json["view"]["id"]))
            return answer

        scene.slack.webapi.handle = heard  # type: ignore[method-assign]

    def _form(self, view_id: str) -> None:
        """Record what a form shows to the user who has it open."""
        place = self._scene.slack.workspace
        for user, views in place.views.items():
            for view in views:
                if view.id == view_id:
                    self.reads(user, str(view.body.get("blocks")))

    def reads(self, user: str, text: str) -> None:
        """Record what one user is told, in any way."""
        self.words.append((self._scene.clock.now(), user, text))
        if VALUE in text:
            self.wrong.append(f"value-told: {user} reads a value: {text[:80]}")
        nowhere = not any(c.may_look(user) for c in self._casts)
        for cast in self._casts:
            inside = (INSIDE if nowhere else NAMED).format(stack=re.escape(cast.stack))
            if not cast.may_look(user) and (named := re.search(inside, NO_ROLE.sub("", text))):
                self.wrong.append(
                    f"told-a-stranger: {user}, who has no role in {cast.stack}, reads "
                    f"“{named[0]}”: {text[:100]}"
                )

    def logged(self, line: str) -> None:
        """Record a line of the log."""
        if VALUE in line:
            self.wrong.append(f"value-told: the log holds a value: {line[:80]}")

    def _told(self, user: str, text: str, channel: str) -> None:
        if UNCHANGED.search(text):
            self._claims.append(Claim(self._scene.clock.now(), user, text.splitlines()[0], channel))
        for ledger in self._ledgers:
            for serves, pattern in ((True, SERVES), (False, DOWN)):
                if re.search(pattern.format(stack=re.escape(ledger.stack)), text):
                    self._check(ledger.stack, user, serves=serves)

    def _check(self, stack: str, user: str, *, serves: bool) -> None:
        """Check that an answer is true, or was when the bot looked."""
        states = [self._state(stack), *((s, d) for _, s, d in self._seen[stack])]
        if not any(s if serves else d for s, d in states):
            what = "serves, and it does not" if serves else "is down, and it is up"
            self.wrong.append(f"false-word: {user} was told that {stack} {what}")

    # --- at the end

    def false_claims(self) -> Iterator[str]:
        """Return false answers that nothing was changed: the action has opened or moved a run."""
        deeds = [d for d in self._scene.slack.workspace.user_actions if d[2] in CHANGES]
        for claim in self._claims:
            own = [d for d in deeds if d[1] == claim.user]
            before = [d for d in own if d[0] <= claim.at]
            if not before:
                continue
            after = [d for d in own if d[0] > claim.at]
            until = claim.at + 3600.0
            if self._repeats:
                until = claim.at + AT_ONCE
            elif after:
                until = after[0][0]
            at, who, verb, deed = before[-1]
            same = [d for d in before if d[2:] == before[-1][2:] and d[0] > at - AGAIN]
            denied = [
                c for c in self._claims if c.user == claim.user and same[0][0] <= c.at <= claim.at
            ]
            if len(denied) < len(same):
                # Of two presses of the same button one may be taken, and the answer be about the
                # other.
                continue
            if self._is_delayed(claim.at, [d for d in before[:-1] if d[2:] == before[-1][2:]]):
                # A bot that was stopped over the first answers the second before it goes on with
                # the first.
                continue
            # A late answer may be about an earlier action than the last, and an action before it
            # may be that one.
            since = at
            if self._is_delayed(claim.at, before[:-1]):
                since = claim.at
            elif self._repeats:
                since = max(at, claim.at - AGAIN)
            about = self._channels.get(claim.channel, "")
            for tale in (
                t for ledger in self._ledgers if about in ("", ledger.stack) for t in ledger.tales()
            ):
                if what := _moved(tale, claim.user, (since, who, verb, deed), until):
                    yield f"false-word: {claim.user} was told “{claim.text[:120]}”, and {what}"

    def _is_delayed(self, at: float, earlier: Sequence[tuple[float, str, str, str]]) -> bool:
        """Return whether an answer may be about one of these actions, which waited for the bot."""
        spells = [(began, ended) for began, ended in self._delays() if began <= at <= ended + LATER]
        return any(began - AGAIN <= deed[0] <= ended for began, ended in spells for deed in earlier)


SERVES = r"(?:^|[.!?\n] ?){stack}(?: ·)? (?:serves\b|up\b|is (?:back )?in service|is up\b)(?!, but)"
DOWN = r"(?:^|[.!?\n] ?){stack}(?: ·)? (?:is down|down\b|is shut down|is powered off)(?! until)"
"""Words about the present: at the beginning of a sentence.

In the middle they may be about the plan.
"""


def _moved(tale: RunRecord, user: str, deed: tuple[float, str, str, str], until: float) -> str:
    """Return what came of a user's last action in this run."""
    at, _, verb, what = deed
    if not tale.events:
        return ""
    opened = tale.opened
    if at <= float(opened["at"]) < until:
        if (
            verb == "typed"
            and not opened.get("request")
            and opened["requester"]["user"] == user
            and fits(tale, what)
        ):
            return f"{tale.name} was opened by it"
        by_hand = not str(opened["requester"]["user"]).startswith(
            "window:"
        )  # A window's run names who approved the window.
        approved = opened["approvers"] and opened["approvers"][-1]["user"] == user
        if verb == "pressed" and what.startswith("Approve") and approved and by_hand:
            return f"{tale.name} was opened by it"
        own = not opened["approvers"] and opened["requester"]["user"] == user
        if verb == "pressed" and what.startswith("Start") and own and opened.get("request"):
            return f"{tale.name} was opened by it"
    for event in tale.events:
        by = event["by"] if isinstance(event.get("by"), dict) else {}
        reached = (
            event["is"] in ("Answered", "Resumed", "CancelAsked")
            and by.get("user") == user
            and at <= float(event["at"]) < until
        )
        if verb == "pressed" and reached and _means(event["is"], what):
            return f"it was taken: {event['is']} of {tale.name}"
    return ""


def fits(tale: RunRecord, words: str) -> bool:
    """Return whether these words may mean this run's change."""
    procedure = re.sub(r"(?<!^)(?=[A-Z])", " ", tale.procedure).lower().split()
    return procedure[0] in words.lower()


def _means(event: str, label: str) -> bool:
    if event == "Resumed":
        return label.startswith("Resume")
    if event == "CancelAsked":
        return label.startswith("Cancel")
    return not label.startswith(("Approve", "Reject", "Details", "Resume", "Abandon", "Cancel"))
