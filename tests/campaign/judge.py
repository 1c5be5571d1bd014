"""What must be true whatever went wrong.

Judged by the world, the state's text and what people read, never by the bot's word.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from simulators.cloud.invariants import AgreedTerms
from simulators.slack.elements import interactive
from simulators.slack.model import Press
from tests.campaign.cards import agrees
from tests.campaign.cast import TERMINAL, ClusterCast
from tests.campaign.chaos import DEAF, NOTICED, SETTLES, Chaos
from tests.campaign.goals import VALUE
from tests.campaign.ledger import RunRecord, StackHistory
from tests.campaign.losses import AFTER, LossAccount
from tests.campaign.requests import CampaignRequest
from tests.campaign.witness import StoryWitness, fits
from tests.support.scene import Scene

DONE = {
    "Shutdown": ("is shut down", "has no media nodes", "keeps "), "Startup": ("in service", ),
    "Scale": ("media node", ), "DrainNodes": ("drained", ), "ResizeMedia": ("has media nodes of", ),
    "ResizeMasters": ("has masters of", "has a master of", "has a node of"),
    "Restart": ("was restarted", ),
    "BackupCreate": ("is backed up", ), "BackupPrune": ("only its newest backups", ),
    "Configure": ("has its new configuration", ), "AddWindow": ("has window ", ),
    "Upgrade": ("runs OpenVidu 3.7.0", ),
    "Stop": ("is stopped", ), "Start": ("is started", ),
    "ChangeConfigFile": ("has its new configuration", ), "SwitchModule": ("has its new modules", ),
    "Freeze": ("has a frozen autoscaler", ),
    "Unfreeze": ("is sized by its autoscaler again", ),
    "Roll": ("has only media nodes of the new size", ), "Park": ("parked", ),
    "Unpark": ("back in service", ),
}  # fmt: skip
"""What a message says of a run that is done, by the name of its procedure."""
ENDS = {
    "cancelled": ("was cancelled", ), "abandoned": ("was abandoned", ),
    "left": ("to be finished manually", ), "rolled back": ("failed", "stays in service"),
}  # fmt: skip
GOING_ON = ("running for", "needs a decision", "{name} is paused")
LATE = re.compile(r"timed out after")
SHORTEST = 100.0
"""Seconds that a bot must have looked before anything may be called late.

Every deadline of these stories is longer.
"""
EDITED = 5.0
"""Seconds until a bot has shown the end of a run: two edits, and the wait between them."""
SEEN_WITHIN = 60.0
"""Seconds until the bot has to know of a node's fault."""
OWN = ("death", "nobody")
FEWEST = "would stay in service, but `drain.min_serving` of"
"""Refused because too few media nodes would be left: the purpose of that setting."""
CLOSED = ("closed",)
"""Trouble that is no excuse for this: the subject of a turn."""
FORGOTTEN = 3600.0
"""Seconds after which no one waits for an answer any more."""
HEARD_WITHIN = 230.0
"""Seconds until a user who has pressed, and does nothing else, has to see an answer.

A crashed bot is back by then.
"""
MOST_REFUSED, REFUSED_IN = 12, 600.0
"""Messages that a closed channel may be asked to take, within so many seconds."""
RESTARTED = "bot was restarted"
NO_ANSWER = re.compile(r"no usable answer|did not answer|does not answer|try again", re.IGNORECASE)
NEXT_STEPS = ("next:", "patch")
"""Begins the action of a button for what comes after a run: a next step, a Terraform patch."""
STARTS = ("Start", "Approve")
"""Buttons by which a requester starts what needs no approval (any more)."""
TAKEN_IN = 2 * 3600.0
"""Seconds in which a typed command is carried out, however long no bot ran."""
SHOWN_IN = 120.0
"""Seconds of calm in which a request has to be shown to someone who may approve it."""


class Judge:
    """Collects what is wrong with one story, in one of its clusters.

    More than 25 methods: one for each promise that is judged.
    """

    def __init__(
        self,
        scene: Scene,
        ledger: StackHistory,
        storm: Chaos,
        cast: ClusterCast,
        witness: StoryWitness,
    ) -> None:
        self._scene, self._ledger, self._storm, self._cast, self._witness = (
            scene,
            ledger,
            storm,
            cast,
            witness,
        )
        self.account = LossAccount(scene, ledger, cast, storm.shaken)
        self.wrong: list[str] = []

    def terms(self) -> AgreedTerms:
        """Return what people have agreed to in this cluster at this moment.

        By the opened steps, and by the message they pressed.
        """
        tale = self._ledger.newest()
        if tale is None or not tale.events:
            return AgreedTerms(at_work=False)
        cover = self.account.cover(tale, self._scene.estate.now)
        at_work = not tale.over or self._scene.estate.now < tale.ended_at + AFTER
        ends, agents = (cover.ends, cover.named.agents) if cover is not None else (False, False)
        return replace(tale.terms(), at_work=at_work, thrown_out=ends, agents_cut=agents)

    def done(self, wish: CampaignRequest, tale: RunRecord) -> bool:
        """Check a run that says it is done, unless an administrator interfered.

        Returns False when it is not, and a node failed or recovered a moment ago, so that it is
        checked again.
        """
        self._scene.estate.settle()
        now = self._scene.clock.now()
        left = wish.goal(self._scene, tale)
        if not left or self._storm.log.overlap(tale.opened["at"] - 60, now, "hand"):
            return True
        if self._storm.log.begun(now - SEEN_WITHIN, now, "node") or self._storm.log.overlap(
            now - SEEN_WITHIN, now, "node"
        ):
            return False
        self.wrong.append(f"not-done: {tale.name} {wish.words} is done, and it is not so: {left}")
        return True

    def not_taken(self, wish: CampaignRequest) -> None:
        """Check a request without a run.

        It is already fulfilled, or its node is gone, or others interfered.
        """
        if self._storm.log.spans("hand"):
            return
        refusals = "".join(
            m.text
            for m in self._scene.person(self._cast.asks).visible_messages(self._cast.channel)[-1:]
        )
        if FEWEST in refusals:
            return
        if wish.words.startswith("startup") and "is in service already" in refusals:
            return
        if "is shut down. Start it with" in refusals and any(
            t.procedure == "Shutdown" and t.state == "done" for t in self._ledger.tales()
        ):
            return  # People approved that too.
        changes = self._scene.estate.clusters[self._ledger.stack].kind == "autoscaler"
        if not changes or not any(w in refusals for w in ("nothing to do", "has no media node")):
            self.wrong.append(f"not-taken: {wish.words} was never taken: {refusals}")

    def messages_say_so(self) -> bool:
        """Return whether every run's message says how it ended."""
        return not self._silent()

    def _silent(self) -> list[str]:
        place = self._scene.slack.workspace
        messages = [
            m
            for m in place.channels[self._cast.channel].messages.values()
            if m.ephemeral_to is None
        ]
        texts = [m.text for m in messages if not m.thread_ts or m.thread_ts == m.ts]
        untold = [t for t in self._ledger.tales() if not any(self._says(text, t) for text in texts)]
        return [t.name for t in untold if not self._nobody_could_say(t)]

    def _nobody_could_say(self, tale: RunRecord) -> bool:
        """Return whether no bot ran from its end on, or the channel took nothing.

        A bot has a moment for it: it edits a message every two seconds at most. Then its people
        read it in private.
        """
        now, silent = self._scene.clock.now(), self._storm.log.spans("nobody", *CLOSED)
        return tale.over and any(
            began <= tale.ended_at + EDITED + NOTICED and ended >= now for began, ended in silent
        )

    def _says(self, text: str, tale: RunRecord) -> bool:
        if not re.search(rf"(?<![\w-]){re.escape(tale.name)}(?![\w-])", text):
            return False
        words = ENDS.get(tale.state) or DONE[tale.procedure]
        return any(w in text for w in words) and not any(
            w.format(name=tale.name) in text for w in GOING_ON
        )

    def staged(self) -> list[str]:
        """Return secret files that wait beside the real one, though no request waits for them."""
        home, spaces = (
            self._scene.estate.clusters[self._ledger.stack].bucket,
            self._scene.environment.spaces,
        )
        waited_for = [
            self._ledger.request(r)["plan"]["procedure"].get("staged", "")
            for r in self._ledger.pending()
        ]
        files = [
            k
            for k in spaces.buckets[home].objects
            if "/staged/" in k and spaces.read(home, k) is not None
        ]
        return [k for k in files if k.rpartition("/")[2] not in waited_for]

    def at_the_end(self) -> None:
        """Check everything about this cluster that can only be judged at the end."""
        self.wrong += [*self._ledger.faults(), *self._ledger.endings(), *self.account.faults()]
        self.wrong += [
            f"silent: no message says how {name} ended ({self._ledger.tale(name).state})"
            for name in self._silent()
        ]
        self.wrong += [f"left behind: {key}" for key in self.staged()]
        self.wrong += [
            *self._unseen(),
            *self._unconfirmed(),
            *self._unseen_questions(),
            *self._blocked(),
            *self._late_without_a_look(),
            *self._glitched(),
        ]
        self.wrong += [*self._left_standing(), *self._lost_presses(), *self._refused_for_nothing()]
        self.wrong += [*self._shouting(), *self._never_restarted()]
        if any(VALUE in text for text in self._ledger.texts()):
            self.wrong.append("value-told: the state holds a value")

    def _unseen(self) -> Iterator[str]:
        """Return requests that no approver could ever read."""
        for request in self._ledger.requests():
            made_at, closed = (
                float(request["made_at"]),
                float(request.get("closed_at") or 0) or self._scene.clock.now(),
            )
            readers = self._witness.readers.get(str(request["id"]), {})
            shown = min(
                (at for user, at in readers.items() if self._cast.may_approve(user, made_at)),
                default=closed,
            )
            if self._storm.log.calm_for(made_at, min(shown, closed)) > SHOWN_IN:
                yield (
                    f"unseen-request: what {request['requester']['user']} asked for was shown to "
                    f"{sorted(readers) or 'nobody'}"
                )

    def _unconfirmed(self) -> Iterator[str]:
        """Return runs without an approval that their requester had not seen and started.

        They press Start below exactly these steps, or type `--now`. A window's permission is
        standing, and a change for later was shown until its moment.
        """
        for tale in self._ledger.tales():
            opened = tale.opened if tale.events else {}
            if not opened or opened["approvers"] or opened.get("glass"):
                continue
            requester, request = str(opened["requester"]["user"]), str(opened.get("request") or "")
            if requester.startswith("window:") or request.startswith("at."):
                continue
            if not (self._started(tale, requester, request) or self._typed_now(tale, requester)):
                yield f"unshown: {tale.name} began, and {requester} had not started what was shown"

    def _started(self, tale: RunRecord, requester: str, request: str) -> bool:
        shown = self._ledger.request(request)  # A fail-over may have reverted it.
        if not request or (shown and shown["plan"]["steps"] != tale.plan["steps"]):
            return False
        return any(
            p.user == requester and p.value == request and p.label.startswith(STARTS)
            for p in self._scene.slack.workspace.presses
            if p.at <= float(tale.opened["at"]) + 1
        )

    def _typed_now(self, tale: RunRecord, requester: str) -> bool:
        at = float(tale.opened["at"])
        return any(
            verb == "typed" and who == requester and "--now" in words and fits(tale, words)
            for when, who, verb, words in self._scene.slack.workspace.user_actions
            if at - TAKEN_IN <= when <= at + 1
        )

    def _blocked(self) -> Iterator[str]:
        """Return requests that need no approval, and that no one could start."""
        for request in self._ledger.requests():
            made_at, closed = (
                float(request["made_at"]),
                float(request.get("closed_at") or 0) or self._scene.clock.now(),
            )
            none_needed = request["needs"] == 0 and not request.get("glass")
            if (
                none_needed
                and request["id"] not in self._witness.startable
                and self._storm.log.calm_for(made_at, closed, OWN) > SHOWN_IN
            ):
                yield (
                    f"blocked: what {request['requester']['user']} asked for needs no approval, "
                    "and no one can start it"
                )

    def _unseen_questions(self) -> Iterator[str]:
        """Return questions that no one could read who may answer, in a closed channel or not."""
        for tale in self._ledger.tales():
            for n, event in enumerate(tale.events):
                if event["is"] != "Questioned":
                    continue
                asked_at, after = (
                    float(event["at"]),
                    [
                        e
                        for e in tale.events[n + 1 :]
                        if e["is"] in ("Answered", "Stopped", "Ended")
                    ],
                )
                until = float(after[0]["at"]) if after else self._scene.clock.now()
                readers = self._witness.readers.get(f"{tale.name}|{event['question']['id']}", {})
                shown = min(
                    (readers[u] for u in {self._cast.asks, *self._cast.approvers} & readers.keys()),
                    default=until,
                )
                if self._storm.log.calm_for(asked_at, min(shown, until), CLOSED) > SHOWN_IN:
                    yield (
                        f"unseen-question: what {tale.name} asked was shown to "
                        f"{sorted(readers) or 'nobody'}"
                    )

    def _left_standing(self) -> Iterator[str]:
        """Return messages that still offer something about a run that is over, or its request."""
        place = self._scene.slack.workspace
        over = {t.name: t for t in self._ledger.tales() if t.over}
        over |= {
            str(request["id"]): over[request["run"]]
            for request in self._ledger.requests()
            if request.get("run") in over
        }
        for message in place.channels[self._cast.channel].messages.values():
            if message.ephemeral_to or message.user != place.bot.id:
                continue
            # The next step after a run, such as Start up, is offered once it is over.
            about = {
                str(e.get("value", "")).split("|")[0]
                for _, e in interactive(message.blocks)
                if not str(e.get("action_id", "")).startswith(NEXT_STEPS)
            }
            for name in about & over.keys():
                if not self._storm.shaken(float(message.ts)) and not self._nobody_could_say(
                    over[name]
                ):
                    yield (
                        f"left-standing: {name} is over, and a message offers something about it "
                        f"still: {message.text[:100]}"
                    )

    def _lost_presses(self) -> Iterator[str]:
        """Return presses that Slack heard were taken, and of which nothing came.

        No decision, and no answer.
        """
        for press in self._scene.slack.workspace.presses:
            decides = (
                press.channel == self._cast.channel
                and press.ts != TERMINAL
                and agrees(press.label, press.confirm)
            )
            until = self._heard_until(press)
            if (
                decides
                and until <= self._scene.clock.now()
                and not self._was_heard(press, until)
                and not self._shaken_until(press, until)
            ):
                yield f"lost-press: {press.user} pressed {press.label} and heard nothing of it"

    def _heard_until(self, press: Press) -> float:
        """Return when an answer is due; never, where no bot ran for longer than anyone waits."""
        away = [
            end
            for began, end in self._storm.log.spans("nobody")
            if began - NOTICED <= press.at + NOTICED and press.at <= end
        ]
        until = max([press.at, *away]) + HEARD_WITHIN
        return until if until - press.at <= FORGOTTEN else math.inf

    def _was_heard(self, press: Press, until: float) -> bool:
        """Return whether there is a decision or an answer.

        Or Slack said that it was not taken, or the user went on to something else.
        """
        words = any(
            user == press.user and press.at <= at <= until for at, user, _ in self._witness.words
        )
        again = any(
            press.at < at < until and who == press.user
            for at, who, _, _ in self._scene.slack.workspace.user_actions
        )
        failed = any(
            user == press.user and press.at <= at <= press.at + 5
            for at, user in self._witness.failed
        )
        return words or again or failed or self._ledger.acts_of(press.user, press.at, until)

    def _shaken_until(self, press: Press, until: float) -> bool:
        return any(
            b - SETTLES < until and e + SETTLES > press.at
            for kind, b, e in self._storm.log.kinds()
            if kind not in OWN
        )

    def _never_restarted(self) -> Iterator[str]:
        """Return messages about a restart where the only bot has lived on."""
        if len(self._scene.bots) > 1 or self._storm.log.spans(*DEAF):
            return
        for _, user, text in self._witness.words:
            if user in (self._cast.asks, *self._cast.approvers) and RESTARTED in text:
                yield f"false-word: no bot was restarted, and {user} is told: {text[:120]}"

    def _shouting(self) -> Iterator[str]:
        """Check that a closed channel is tried seldom, and the bot's administrators are told."""
        if self._witness.looked_ready == ():
            yield "dead-channel: Slack takes no message there, and /readyz says nothing of it"
        for channel, times in self._witness.refused.items():
            for n, at in enumerate(times[:-MOST_REFUSED]):
                if channel == self._cast.channel and times[n + MOST_REFUSED] - at < REFUSED_IN:
                    yield (
                        f"dead-channel: {MOST_REFUSED + 1} messages within "
                        f"{times[n + MOST_REFUSED] - at:.0f} s where Slack takes none"
                    )
                    break

    def _refused_for_nothing(self) -> Iterator[str]:
        """Check that without faults one wrong answer loses no press."""
        if not self._storm.fair or len(self._scene.environment.faults.hits) != 1:
            return
        for at, user, text in self._witness.words:
            if user in (self._cast.asks, *self._cast.approvers) and NO_ANSWER.search(text):
                yield f"lost-press: after one wrong answer {user} is told at {at:.0f}: {text[:100]}"

    def _late_without_a_look(self) -> Iterator[str]:
        """Return runs that were stopped as late although the bot had hardly looked meanwhile."""
        for tale in self._ledger.tales():
            began = 0.0
            for event in tale.events:
                at = float(event["at"])
                if event["is"] in ("Opened", "Reached", "Answered", "Resumed"):
                    began = at
                elif event["is"] in ("Stopped", "Recovering") and LATE.search(
                    str(event.get("reason", ""))
                ):
                    watched = at - began - self._storm.log.overlap(began, at, "nobody")
                    if watched < SHORTEST:
                        yield (
                            f"late-unwatched: {tale.name} stopped after {watched:.0f} s in which "
                            f"somebody looked: {event['reason'][:100]}"
                        )

    def _glitched(self) -> Iterator[str]:
        """Check that one single wrong answer stops nothing, and blames no administrator."""
        if not self._storm.glitch_only:
            return
        for tale in self._ledger.tales():
            for event in tale.events:
                question = (
                    event["question"] if event["is"] == "Questioned" else {"id": "", "default": ""}
                )
                asks = (
                    question["id"].startswith("other-hand") and not question["default"]
                )  # Else the run goes on by itself.
                grown = "request approval for the current state" in str(
                    event.get("reason")
                )  # More people came: that is no glitch.
                if (event["is"] in ("Stopped", "Recovering") and not grown) or asks:
                    yield (
                        f"one-glitch: {self._storm.glitch_only} and {tale.name} {event['is']}: "
                        f"{str(event)[:160]}"
                    )


def of_all(scene: Scene, storm: Chaos, witness: StoryWitness) -> Iterator[str]:
    """Return what is wrong with the story as a whole."""
    estate = scene.estate
    yield from (f"{v.kind}: {v.text}" for v in estate.violations)
    yield from witness.wrong
    yield from witness.false_claims()
    twice = [
        what
        for what, n in Counter((s.droplet_id, s.name) for s in estate.snapshots.values()).items()
        if n > 1
    ]
    yield from (f"made twice: {what}" for what in twice)
    yield from (
        f"slack: {p}" for at, p in scene.slack.journal.complaints if not storm.excused(at, p)
    )
