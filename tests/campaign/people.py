"""The people: they request, repeat, approve, press twice, answer, cancel, resume and give up.

All of it in Slack.
"""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

from simulators.slack.elements import NotPossible, interactive
from simulators.slack.model import Message
from tests.campaign.cast import OTHER, ClusterCast, closes_account, leaves_group
from tests.campaign.chaos import Chaos, Trouble
from tests.campaign.goals import VALUE
from tests.campaign.ledger import RunRecord, StackHistory
from tests.campaign.requests import CampaignRequest
from tests.campaign.seed import SeedSettings, dice_of
from tests.campaign.turns import StoryTurn
from tests.campaign.witness import StoryWitness
from tests.support.scene import Scene
from tests.support.stories import give_reason

LOOK = 10.0
PATIENCE = 45.0  # Before they press, or type, again.
LONGEST = 15 * 3600.0  # While there is a bot, without the time in which people do nothing.
TRIES = 8
ENOUGH = 4  # Stops of a run before it is given up.
UNSEEN = 600.0  # Seconds of calm in which a request that no one can approve is waited for.

DECIDES = ("Approve ", "Start ")


class NeverEnded(AssertionError):
    """It never ended."""


class ClusterPeople:
    """One cluster's people: one requests; others approve; anyone answers.

    One class although it is long: each of its methods is one thing that people do with the same
    cluster, run and message.
    """

    def __init__(
        self,
        luck: SeedSettings,
        scene: Scene,
        ledger: StackHistory,
        storm: Chaos,
        cast: ClusterCast,
        witness: StoryWitness,
        trouble: Trouble,
        turn: StoryTurn | None = None,
    ) -> None:
        self._luck, self.scene, self.ledger, self.storm, self.cast = (
            luck,
            scene,
            ledger,
            storm,
            cast,
        )
        self.witness, self.trouble, self.turn = witness, trouble, turn or StoryTurn()
        self._turned: set[str] = set()
        self._beside: set[asyncio.Task[None]] = set()
        purpose, is_first = f"crowd {cast.stack}", cast.stack == "acme"
        if is_first:
            purpose = "crowd"
        self._dice: random.Random = dice_of(luck.seed, purpose)
        self._cancels = self._dice.random() < 0.15
        self._at_once = dice_of(luck.seed, f"now {cast.stack}").random() < 0.25
        self.rejects = self._dice.random() < 0.05
        self.gives_up = self._dice.choice((0.0, 0.1, 0.5))
        self._waits_until = 0.0
        # Seconds in which there was a bot, and people were not waiting on purpose.
        self._awake = 0.0
        self._unseen = self._in_vain = 0.0
        self._place = self._loses = ""
        self._patience = 0.0
        if is_first:
            self._place, self._loses, self._patience = luck.place, luck.loses, luck.patience

    async def fulfil(self, wish: CampaignRequest) -> RunRecord | None:
        """Repeat a request until a run for it is over. None: it could not be had."""
        runs_before, tries = len(self.ledger.names()), 0
        self._awake = self._unseen = self._in_vain = 0.0
        while self._awake < LONGEST:
            await self._passes()
            names = self.ledger.names()
            tale = self.ledger.tale(names[-1]) if len(names) > runs_before else None
            runs_before = min(runs_before, len(names))  # A fail-over has reverted runs.
            if tale is not None and tale.over:
                if tale.procedure == wish.procedure:
                    return tale
                # A window's run, or one of an earlier request that came late.
                runs_before, tale = len(names), None
            if self.scene.clock.now() < self._waits_until or self._nobody():
                continue
            if tale is None and not self.ledger.pending():
                tries += self.storm.over
                if tries > TRIES:
                    return None
            if self._unseen > UNSEEN and not self._place:
                return None  # The judge says whose that is.
            if self._unseen > UNSEEN / 5:
                self._place = ""  # From now on they type it in the cluster's channel.
            if self._for_the_first_time("asking"):
                await self.tries(self.turn.before_asking(self))
            await self._act(wish, tale)
        raise NeverEnded(f"{wish.words}: {self._where()}")

    async def stay(self, seconds: float) -> None:
        """Deal with everything that happens by itself meanwhile, and until it is over."""
        ends = self.scene.clock.now() + seconds
        self._awake = 0.0
        while self._awake < LONGEST:
            await self._passes()
            tale, now = self.ledger.newest(), self.scene.clock.now()
            if tale is None or tale.over:
                if now > ends:
                    return
            elif now >= self._waits_until and not self._nobody():
                await self._act_on(tale)
        raise NeverEnded(self._where())

    async def _passes(self) -> None:
        now = self.scene.clock.now()
        await self.scene.wait(
            LOOK if now + LOOK < self._waits_until or not self._nobody() else 6 * LOOK
        )
        if not self._nobody() and now >= self._waits_until:
            self._awake += self.scene.clock.now() - now

    def _nobody(self) -> bool:
        return all(life.is_dead for life in self.scene.crash_injectors)

    def _where(self) -> str:
        tale = self.ledger.newest()
        return (
            "it was never run"
            if tale is None
            else f"{tale.name} is {tale.state}: {tale.reason} {tale.question}"
        )

    async def _act(self, wish: CampaignRequest, tale: RunRecord | None) -> None:
        if tale is None and self.ledger.pending():
            await self._approve()
        elif tale is None:
            await self._ask(wish)
        else:
            await self._act_on(tale)

    async def _act_on(self, tale: RunRecord) -> None:
        if self.ledger.pending() and (tale.question is not None or tale.state == "stopped"):
            await self._approve()  # It goes on only when that is approved.
        elif tale.question is not None:
            if not await self.turn.answers(self, tale):
                await self._answer(tale)
        elif tale.state == "stopped":
            await self._go_on(tale)
        elif self._cancels and self._dice.random() < 0.1:
            self._cancels = False
            await self.tries(
                self.scene.person(self.cast.asks).type_text(
                    self.cast.channel, f"/openvidu cancel {tale.name}"
                )
            )

    async def _go_on(self, tale: RunRecord) -> None:
        """Resume or abandon, at once or after a while; meanwhile others meet."""
        if self._patience:
            seconds, self._patience = self._patience, 0.0
            self.waits(seconds)
            self.scene.estate.settle()
            for people, _, recordings in self._luck.meetings:
                self.scene.estate.timeline.after(
                    seconds * 0.9,
                    lambda p=people, r=recordings: self._meets(p, r),  # type: ignore[misc]
                )
            return
        stops = sum(e["is"] == "Stopped" for e in tale.events)
        gives_up = self._dice.random() < self.gives_up or stops > ENOUGH
        await self._press(("Abandon run…",) if gives_up else ("Resume run",), tale.name)

    def _meets(self, people: int, recordings: int) -> None:
        self.scene.estate.people.open(self.cast.stack, people, 60, recordings, 0)

    async def _ask(self, wish: CampaignRequest) -> None:
        words = wish.words
        if words == "config rollback":
            words += f" {self._version()}"
        if words.startswith("config set "):
            await self._fill_in(words)
        else:
            await self._types(words)
        self.waits(PATIENCE * self._tired())

    async def _types(self, words: str) -> None:
        """Type wherever they are. Outside the cluster's channel, the cluster has to be named.

        Some want no plan first, where no approval is needed.
        """
        if self._at_once:
            words = f"{words} --now"
        place, asks = self.scene.slack.workspace, self.cast.asks
        here = {
            "": self.cast.channel,
            "dm": place.direct("UANA").id,
            "elsewhere": OTHER,
            "two": "DANAUBEN",
        }[self._place]
        if self._place == "two" and here not in place.channels:
            here = place.add_direct("UANA", "UBEN").id
        where = words if here == self.cast.channel else f"{words} --cluster {self.cast.stack}"
        await self.tries(self.scene.person(asks).type_text(here, f"/openvidu {where}"))

    def _version(self) -> str:
        objects = self.scene.environment.spaces.buckets[
            self.scene.estate.clusters[self.cast.stack].bucket
        ].objects
        return next((k.rpartition("/")[2] for k in objects if "/versions/" in k), "none")

    async def _fill_in(self, words: str) -> None:
        asks = self.scene.person(self.cast.asks)
        await self.tries(asks.type_text(self.cast.channel, f"/openvidu {words}"))
        if (view := asks.modal()) is not None:
            await self.tries(asks.fill_and_submit(view, {"New value": VALUE}))
            if (left := asks.modal()) is not None:
                await self.tries(asks.close(left))

    async def _approve(self) -> None:
        label = "Approve"
        if (
            eased := next(
                (r for r in map(self.ledger.request, self.ledger.pending()) if r["needs"] == 0),
                None,
            )
        ) is not None:
            await self._start(str(eased["requester"]["user"]))
            return
        if self._for_the_first_time("approving"):
            await self.tries(self.turn.before_approving(self))
        if self.rejects:
            self.rejects, label = False, "Reject…"
        who = self.cast.left()
        one, two = who[0], who[-1]
        asks = self.cast.asks
        people = self._dice.choice(((one, two), (two, one), (asks, one, two), (one, one, two)))
        if len(who) > 2 and self.cast.needs > 1:
            people = (*people, *(u for u in who if u not in people))
        seen = False
        for user in people:
            card = self.card((label,), user=user)
            seen = seen or (card is not None and user != asks)
            if card is not None:
                await self.tries(self.scene.person(user).press(card, label))
                if label == "Reject…" and user != asks:
                    await self.tries(give_reason(self.scene.person(user)))
                self._may_leave(user)
                if label == "Approve" and user != asks and self._for_the_first_time("approved"):
                    await self.tries(self.turn.after_one_approval(self, user))
        if not seen and self.storm.over:
            self._unseen += PATIENCE
        self.waits(PATIENCE * self._tired())

    async def _start(self, user: str) -> None:
        """Start what needs no more approvals, as the requester."""
        card = self.card(("Start",), user=user)
        if card is not None:
            await self.tries(self.scene.person(user).press(card, "approve"))
        self.waits(PATIENCE * self._tired())

    def _may_leave(self, user: str) -> None:
        """Let an approver lose the role right after a press."""
        if user == self._loses:
            self._loses = ""
            self.leaves(user)

    def leaves(self, user: str) -> None:
        """Take the role from an approver."""
        if user not in self.cast.lost:
            (leaves_group if self.cast.group else closes_account)(self.scene, self.cast, user)

    def beside(self, deed: Coroutine[Any, Any, None]) -> None:
        """Run something beside the story."""
        task = asyncio.create_task(deed)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    def goes_home(self) -> None:
        """Stop everything beside the story."""
        for task in self._beside:
            task.cancel()

    async def press_as(self, user: str, labels: tuple[str, ...], run: str = "") -> None:
        """Let that user press one of these buttons, where they see it."""
        card = self.card(labels, run, user)
        if card is not None:
            label = next(s for s in _labels(card) if s in labels)
            await self.tries(self.scene.person(user).press(card, label))

    async def _answer(self, tale: RunRecord) -> None:
        assert tale.question is not None, "only asked while there is one"
        if self._dice.random() < 0.4:
            self.waits(self._dice.choice((60.0, 600.0)))
            return
        labels = [str(c["label"]) for c in tale.question["choices"]]
        await self._press((self._dice.choice(labels),), tale.name)

    async def _press(self, labels: tuple[str, ...], run: str) -> None:
        who = (self.cast.asks, *self.cast.left())
        user = self._dice.choice(who)
        card = self.card(labels, run, user)
        if card is None:
            return
        await self.tries(self.scene.person(user).press(card, labels[0]))
        if self._dice.random() < 0.2:
            await self.tries(self.scene.person(who[1]).press(card, labels[0]))
        self.waits(PATIENCE)

    def card(self, labels: tuple[str, ...], run: str = "", user: str = "UANA") -> Message | None:
        """Return the newest message with such a button for this user, in the channel first."""
        place = self.scene.slack.workspace
        for channel in dict.fromkeys((self.cast.channel, *place.channels)):
            if channel != self.cast.channel and not self._place:
                break
            for message in reversed(self.scene.person(user).visible_messages(channel)):
                if set(_labels(message)) & set(labels) and run in str(message.blocks):
                    return message
        return None

    def _tired(self) -> float:
        """After long trying in vain, people try less often."""
        self._in_vain += self.storm.over
        return min(6.0, 1.0 + self._in_vain / 3)

    def waits(self, seconds: float) -> None:
        """Do nothing for so long."""
        self._waits_until = max(self._waits_until, self.scene.clock.now() + seconds)

    def _for_the_first_time(self, what: str) -> bool:
        new = what not in self._turned
        self._turned.add(what)
        return new

    async def tries(self, deed: Coroutine[Any, Any, object]) -> None:
        try:
            await deed
        except (NotPossible, TimeoutError):
            return  # The button disappeared before the press, or its form never came.


def _labels(message: Message) -> list[str]:
    labels = [
        str(e.get("text", {}).get("text", ""))
        for _, e in interactive(message.blocks)
        if e["type"] == "button"
    ]
    # `Approve shutdown` is found as `Approve`, too.
    return [*labels, *(label.split(" ")[0] for label in labels if label.startswith(DECIDES))]
