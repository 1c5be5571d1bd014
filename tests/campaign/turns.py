"""Turns of a story.

Moments at which what was shown, approved or said may have become wrong, and what people do then.

One story in nine takes one. A turn says what it needs of the luck and what is requested; everything
else stays as it was drawn, and half of these stories have no other faults.
"""

import copy
import logging
import random
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from services.common.errors import Unreachable
from services.store import Commit
from simulators.cloud.containers import AGENT
from simulators.slack.model import Message
from tests.campaign import goals
from tests.campaign.goals import KEY, VALUE
from tests.campaign.ledger import RunRecord
from tests.campaign.requests import CampaignRequest, Ingredients
from tests.campaign.seed import SeedSettings, dice_of
from tests.campaign.terminals import Terminals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.campaign.people import ClusterPeople

LOUD = CampaignRequest("shutdown --no-drain", goals.down)
CALM = CampaignRequest("shutdown", goals.down)
NIGHTS = "window add nights Mon-Sun 20:10-20:30 Europe/Madrid"
NEVER_LATE = 60.0
"""Minutes until a drain is late where that is not the subject of the turn."""
END = ("End these meetings", "Delete them now")
HOUR = 3600.0


class StoryTurn:
    """No turn: the crowd decides what people do."""

    def __init__(self, dice: random.Random | None = None) -> None:
        self.dice = dice or random.Random(0)

    def needs(self, luck: SeedSettings) -> SeedSettings:
        """Return the luck that it needs."""
        return luck

    def wish(self, _: Ingredients) -> CampaignRequest | None:
        """Return what is requested; None: as the plot says."""
        return None

    async def before_asking(self, crowd: "ClusterPeople") -> None:
        """Once, before anyone requests anything."""

    async def before_approving(self, crowd: "ClusterPeople") -> None:
        """Once, when the first request waits."""

    async def after_one_approval(self, crowd: "ClusterPeople", user: str) -> None:
        """Once, after an approver has pressed."""

    async def answers(self, crowd: "ClusterPeople", tale: RunRecord) -> bool:
        """A run asks a question. Returns whether the turn has answered it."""
        return False


def pool(luck: SeedSettings, media: int = 2, *, minutes: float = 40.0, **more: Any) -> SeedSettings:
    """Return a pool on which people meet for longer than the story."""
    meetings = tuple((4, minutes, 0) for _ in range(media))
    return replace(luck, kind="pool", media=media, meetings=meetings, agents="drains", glitch=None,
        beta=False, group=False, loses="",
                   place="", storm=max(luck.storm, HOUR), **more)  # fmt: skip


def fair(luck: SeedSettings) -> SeedSettings:
    """Return luck without other faults."""
    return replace(luck, calm=True, rates={}, slack={}, late=0.0, twice=0.0, lost_replies=0.0,
        slow_state=0.0, spells=0, deaths=0,
                   second_bot=False, failovers=False, neighbours=0, ill="", hands=0,
                       glitch=None)  # fmt: skip


def drained_within(luck: SeedSettings, minutes: float, method: str = "signal") -> SeedSettings:
    """Return luck with this deadline for drains."""
    return replace(
        luck, site={**luck.site, "drain": {"method": method, "deadline_minutes": minutes}}
    )


def with_policy(luck: SeedSettings, **more: Any) -> SeedSettings:
    """Return luck with this part of the policy."""
    return replace(luck, policy={**luck.policy, **more})


def more_meet(crowd: "ClusterPeople", times: int = 4, people: int = 9) -> None:
    """Let many more people meet than before, and stay."""
    crowd.scene.estate.settle()
    for _ in range(times):
        crowd.scene.estate.people.open(crowd.cast.stack, people, 90, 0, 0)


async def opened(crowd: "ClusterPeople", known: int, seconds: float = 120.0) -> bool:
    """Return whether one more run was opened, soon."""
    until = crowd.scene.clock.now() + seconds
    while len(crowd.ledger.names()) <= known and crowd.scene.clock.now() < until:
        await crowd.scene.wait(1)
    return len(crowd.ledger.names()) > known


class RefusedEdit(StoryTurn):
    """DigitalOcean refuses the pool's edit; the run is resumed hours later, with more people."""

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return replace(pool(luck), patience=self.dice.choice((HOUR, 3 * HOUR)))

    def wish(self, _: Ingredients) -> CampaignRequest:
        return LOUD

    async def before_approving(self, crowd: "ClusterPeople") -> None:
        crowd.gives_up = 0.0
        crowd.scene.environment.faults.add(
            "digitalocean", "403", "PUT /v2/droplets/autoscale", times=3
        )


class OtherHand(StoryTurn):
    """While a pool becomes empty an administrator fills it again.

    Many meet on the new nodes, and the run goes on from there.
    """

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return replace(pool(luck), allow_zero="yes")

    def wish(self, _: Ingredients) -> CampaignRequest:
        return LOUD

    async def before_approving(self, crowd: "ClusterPeople") -> None:
        crowd.beside(self._fills(crowd, len(crowd.ledger.names())))

    async def _fills(self, crowd: "ClusterPeople", known: int) -> None:
        estate = crowd.scene.estate
        if not await opened(crowd, known, HOUR):
            return
        for _ in range(600):
            if estate.pool("acme").target == 0:
                break
            await crowd.scene.wait(1)
        await crowd.scene.wait(8)  # By now the bot has seen what it requested.
        pool_ = estate.pool("acme")
        shown = estate.pool_scaler.shown_template(pool_)
        with crowd.storm.log.of("hand"), estate.by_administrator("a larger pool"):
            body = {
                "name": pool_.name,
                "config": {"target_number_instances": 4},
                "droplet_template": shown,
            }
            estate.pool_scaler.edit(pool_.id, body)

    async def answers(self, crowd: "ClusterPeople", tale: RunRecord) -> bool:
        assert tale.question is not None, "it asks"
        if not tale.question["id"].startswith("other-hand"):
            return False
        await crowd.scene.wait(400)
        more_meet(crowd, 8)
        await crowd.scene.wait(60)
        await crowd.press_as(crowd.cast.asks, ("Continue from new state",), tale.name)
        crowd.waits(30)
        return True


class LateAnswers(StoryTurn):
    """A drain is late, and people answer its question one after another."""

    left = 4

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return drained_within(pool(luck), 2)

    def wish(self, _: Ingredients) -> CampaignRequest:
        return CALM

    async def answers(self, crowd: "ClusterPeople", tale: RunRecord) -> bool:
        assert tale.question is not None, "it asks"
        labels = [str(c["label"]) for c in tale.question["choices"]]
        end = next((label for label in labels if label in END), "")
        if not end or self.left == 0:
            return False
        self.left -= 1
        await self.next(
            crowd, tale, end, next(label for label in labels if label.startswith("Wait"))
        )
        crowd.waits(30)
        return True

    async def next(self, crowd: "ClusterPeople", tale: RunRecord, end: str, wait: str) -> None:
        """Press something, or do something else."""
        raise NotImplementedError


class ChangedMind(LateAnswers):
    """One of two decides to end the meetings, and takes it back.

    Half an hour later another one does.
    """

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return with_policy(super().needs(luck), approvals=2)

    async def next(self, crowd: "ClusterPeople", tale: RunRecord, end: str, wait: str) -> None:
        if self.left == 3:
            await crowd.press_as("UBEN", (end,), tale.name)
            await crowd.scene.wait(20)
            await crowd.press_as("UANA", (wait,), tale.name)
        elif self.left == 2:
            await crowd.press_as("UCARLA", (end,), tale.name)
            await crowd.scene.wait(60)
            self.left = 0


class OldScreen(LateAnswers):
    """A screen still shows the question of half an hour ago, when far fewer people met."""

    before: Message | None = None

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return with_policy(super().needs(luck), approvals=1)

    async def next(self, crowd: "ClusterPeople", tale: RunRecord, end: str, wait: str) -> None:
        if self.before is None:
            card = crowd.card((end,), tale.name, "UBEN")
            self.before = copy.deepcopy(card)
            await crowd.press_as("UANA", (wait,), tale.name)
            # The drained nodes are gone; on a node that takes no new meetings more people join the
            # one that is there.
            for meeting in list(crowd.scene.estate.meetings.values()):
                meeting.people += 9
        else:
            await crowd.tries(crowd.scene.person("UBEN").press_on_old_screen(self.before, end))
            await crowd.scene.wait(60)
            self.left = 0


class OnHold(LateAnswers):
    """A user puts the cluster on hold while a run asks; another one presses all the same."""

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return with_policy(super().needs(luck), approvals=1)

    async def next(self, crowd: "ClusterPeople", tale: RunRecord, end: str, wait: str) -> None:
        await crowd.tries(
            crowd.scene.person("UCARLA").type_text(
                crowd.cast.channel, '/openvidu hold "the board meets" for 1h'
            )
        )
        await crowd.scene.wait(15)
        await crowd.press_as("UBEN", (end,), tale.name)
        await crowd.scene.wait(120)
        for _ in range(6):
            await crowd.tries(
                crowd.scene.person("UCARLA").type_text(crowd.cast.channel, "/openvidu unhold")
            )
            await crowd.scene.wait(30)
            if not crowd.ledger.held(crowd.scene.clock.now()):
                break
        self.left = 0


class Leaves(StoryTurn):
    """Two have to approve; the first has lost the role long before the second one approves."""

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return with_policy(replace(pool(luck), patience=0.0), approvals=2, approval_minutes=30)

    def wish(self, _: Ingredients) -> CampaignRequest:
        return LOUD

    async def after_one_approval(self, crowd: "ClusterPeople", user: str) -> None:
        crowd.leaves(user)
        await crowd.scene.wait(780)


class Terminal(StoryTurn):
    """A user at a terminal reads one request.

    It is withdrawn and another one made, and then they agree.
    """

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return with_policy(pool(luck), approvals=1)

    def wish(self, _: Ingredients) -> CampaignRequest:
        return CampaignRequest("restart master-2", goals.healthy)

    async def before_approving(self, crowd: "ClusterPeople") -> None:
        terminals = Terminals(crowd.scene, crowd.witness)
        shown = await terminals.reads("UBEN", "show")
        ana, name = crowd.scene.person(crowd.cast.asks), crowd.cast.channel
        card = crowd.card(("Reject…",), user=crowd.cast.asks)
        if card is None or shown is None:
            return
        await crowd.tries(ana.press(card, "Reject…"))
        await crowd.scene.wait(20)
        await crowd.tries(ana.type_text(name, f"/openvidu {LOUD.words}"))
        await crowd.scene.wait(20)
        await terminals.agrees("UBEN", shown)
        await crowd.scene.wait(30)
        await crowd.press_as(crowd.cast.asks, ("Reject…",))


class Stranger(StoryTurn):
    """A process of a user whom the settings do not name claims to be an approver."""

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return with_policy(pool(luck), approvals=1)

    def wish(self, _: Ingredients) -> CampaignRequest:
        return LOUD

    async def before_approving(self, crowd: "ClusterPeople") -> None:
        terminals = Terminals(crowd.scene, crowd.witness)
        shown = await terminals.reads("UBEN", "show", pretends=True)
        if shown is not None:
            await terminals.agrees("UBEN", shown, pretends=True)
        await crowd.scene.wait(30)


class SaysValue(StoryTurn):
    """A user at a terminal types a secret value where it does not belong."""

    async def before_asking(self, crowd: "ClusterPeople") -> None:
        with _listening(crowd):
            await Terminals(crowd.scene, crowd.witness).says("UBEN", f"config set {KEY} {VALUE}")


@contextmanager
def _listening(crowd: "ClusterPeople") -> "Iterator[None]":
    """Record the log meanwhile: its readers see it."""
    before, reader = logging.root.manager.disable, _LogHandler(crowd.witness.logged)
    level = logging.root.level
    logging.disable(logging.NOTSET)
    logging.root.setLevel(logging.INFO)
    logging.root.addHandler(reader)
    try:
        yield
    finally:
        logging.root.removeHandler(reader)
        logging.root.setLevel(level)
        logging.disable(before)


class _LogHandler(logging.Handler):
    def __init__(self, told: Callable[[str], None]) -> None:
        super().__init__()
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        self._told(record.getMessage())


class Lists(StoryTurn):
    """A user with a role in one cluster lists what waits, while something waits in the other."""

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return replace(luck, beta=True, closed=True, loses="", place="", pydo=False)

    async def before_asking(self, crowd: "ClusterPeople") -> None:
        crowd.beside(self._asks(crowd))

    async def _asks(self, crowd: "ClusterPeople") -> None:
        terminals = Terminals(crowd.scene, crowd.witness)
        for _ in range(30):
            await crowd.scene.wait(10)
            await terminals.says("UANA", "", verb="reject")


class Eased(StoryTurn):
    """A node is drained by hand while its restart waits: then no approval is needed any more."""

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return replace(pool(luck), meetings=())

    def wish(self, _: Ingredients) -> CampaignRequest:
        return CampaignRequest("restart media-1", goals.healthy)

    async def before_approving(self, crowd: "ClusterPeople") -> None:
        node = crowd.scene.estate.media("acme")[0]
        with crowd.storm.log.of("hand"), crowd.scene.estate.by_administrator("a drain"):
            for name in ("openvidu", "ingress", "egress", AGENT):
                crowd.scene.estate.containers.signal(node, name, "SIGQUIT")
        await crowd.scene.wait(60)


class CrowdedWindow(StoryTurn):
    """A window that opens with more media nodes than one approval covers."""

    def needs(self, luck: SeedSettings) -> SeedSettings:
        luck = replace(pool(luck, minutes=4), agents="drains")
        return with_policy(
            luck, approvals=1, scale_up_without_approval_to=3, approvals_for={"media_added": 2}
        )

    def wish(self, _: Ingredients) -> CampaignRequest:
        return CampaignRequest(
            f"{NIGHTS} --number 6 --meetings wait:30", goals.nothing, stays=80 * 60.0
        )


class Glass(StoryTurn):
    """A user breaks the glass, for one run or for repeated ones."""

    words = ""

    def needs(self, luck: SeedSettings) -> SeedSettings:
        self.words = self.dice.choice(
            (f"{NIGHTS} --meetings wait:30", f"{NIGHTS} --meetings wait:30", LOUD.words)
        )
        return replace(pool(luck, minutes=4), glass=True)

    def wish(self, _: Ingredients) -> CampaignRequest:
        return (
            CampaignRequest("startup", goals.serves)
            if self.words == LOUD.words
            else CampaignRequest("scale 3", goals.scaled(3), stays=60 * 60.0)
        )

    async def before_asking(self, crowd: "ClusterPeople") -> None:
        words = self.words
        ana = crowd.scene.person(crowd.cast.asks)
        await crowd.tries(
            ana.type_text(crowd.cast.channel, f'/openvidu break-glass {words} --reason "it burns"')
        )
        await crowd.scene.wait(15)
        await crowd.press_as(crowd.cast.asks, ("Run without approval",))
        await crowd.scene.wait(300)


class Closed(StoryTurn):
    """The channel is archived in the middle of a run, which then asks a question."""

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return drained_within(pool(luck, minutes=30), 2)

    def wish(self, _: Ingredients) -> CampaignRequest:
        return CALM

    async def before_approving(self, crowd: "ClusterPeople") -> None:
        crowd.beside(self._closes(crowd, len(crowd.ledger.names())))

    async def _closes(self, crowd: "ClusterPeople", known: int) -> None:
        if not await opened(crowd, known, HOUR):
            return
        place = crowd.scene.slack.workspace
        await crowd.scene.wait(20)
        place.archive(crowd.cast.channel)
        with crowd.storm.log.of("closed"):
            await crowd.scene.wait(1500)
            bot = next(
                (
                    b
                    for b, life in zip(crowd.scene.bots, crowd.scene.crash_injectors, strict=True)
                    if not life.is_dead
                ),
                None,
            )
            still = place.channel(
                crowd.cast.channel
            ).is_archived  # The storm opens it when one of its own spells is over.
            if bot is not None and still and crowd.witness.refused[crowd.cast.channel]:
                crowd.witness.looked_ready = tuple(bot.closed_channels.cautions())
        place.channel(crowd.cast.channel).is_archived = False


class Dies(StoryTurn):
    """The bot crashes at the worst moment, and comes back."""

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return replace(pool(luck, minutes=4), deaths=0)

    def wish(self, _: Ingredients) -> CampaignRequest:
        return CampaignRequest("scale 3", goals.scaled(3))

    def dies(self, crowd: "ClusterPeople") -> None:
        """kill -9."""
        crowd.scene.kill()
        crowd.storm.log.note("death")
        crowd.waits(240)


class DiesOverCommand(Dies):
    """After it has opened the run for a command, and before it has marked the command as done."""

    async def before_asking(self, crowd: "ClusterPeople") -> None:
        def written(commit: Commit) -> None:
            if any(key.startswith("claim:") and text for key, text in commit.puts.items()):
                crowd.trouble.on_commit = _nothing
                self.dies(crowd)

        crowd.trouble.on_commit = written


class DiesOverCard(Dies):
    """After Slack took the first message of a run, and before its place was recorded."""

    async def before_asking(self, crowd: "ClusterPeople") -> None:
        listeners = crowd.scene.slack.workspace.on_shown

        def shown(message: Message) -> None:
            if message.metadata and message.channel == crowd.cast.channel and not message.edited:
                listeners.remove(shown)
                self.dies(crowd)

        listeners.append(shown)


class DiesOverPress(Dies):
    """After it has acknowledged a press, and before it has done anything about it."""

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return with_policy(super().needs(luck), approvals=1)

    def wish(self, _: Ingredients) -> CampaignRequest:
        return CALM

    async def before_approving(self, crowd: "ClusterPeople") -> None:
        def acked(kind: str, payload: Any) -> None:
            if kind == "interactive" and "approve" in str(payload.get("actions")):
                crowd.trouble.on_acked = _nothing
                self.dies(crowd)

        crowd.trouble.on_acked = acked
        await crowd.press_as("UBEN", ("Approve",))
        await crowd.scene.wait(240)


class Odd(StoryTurn):
    """One answer fails during the last approval."""

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return with_policy(pool(luck, minutes=4), approvals=1)

    def wish(self, _: Ingredients) -> CampaignRequest:
        return CALM

    async def before_approving(self, crowd: "ClusterPeople") -> None:
        crowd.scene.environment.faults.add("digitalocean", "503-before", "GET ", times=1)


class LostAnswer(StoryTurn):
    """The state store writes, and its answer is lost."""

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return with_policy(pool(luck, minutes=4), approvals=1)

    def wish(self, _: Ingredients) -> CampaignRequest:
        return CALM

    async def before_approving(self, crowd: "ClusterPeople") -> None:
        def written(commit: Commit) -> None:
            if any(key.startswith("claim:") and text for key, text in commit.puts.items()):
                crowd.trouble.on_commit = _nothing
                raise Unreachable("asking Redis: TimeoutError")

        crowd.trouble.on_commit = written


class Unknown(StoryTurn):
    """The load is unknown during the last approval, and much higher than in the message."""

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return with_policy(pool(luck), approvals=1)

    def wish(self, _: Ingredients) -> CampaignRequest:
        return LOUD

    async def before_approving(self, crowd: "ClusterPeople") -> None:
        more_meet(crowd, 4)
        await crowd.scene.wait(90)
        crowd.beside(self._blind(crowd))
        await crowd.scene.wait(5)

    async def _blind(self, crowd: "ClusterPeople") -> None:
        face = crowd.scene.environment.livekit["acme"]
        handle = face.handle
        face.handle = _refused  # type: ignore[assignment, method-assign]
        with crowd.storm.log.of("cloud"):
            await crowd.scene.wait(120)
        face.handle = handle  # type: ignore[method-assign]


class NoRole(StoryTurn):
    """Only users with a role may look.

    One without a role presses what they see in the channel, and asks.
    """

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return replace(luck, closed=True, beta=False, pydo=False, place="")

    def wish(self, _: Ingredients) -> CampaignRequest:
        return CALM

    async def before_approving(self, crowd: "ClusterPeople") -> None:
        dora = crowd.scene.person("UDORA")
        card = crowd.card(("Details",), user="UDORA")
        if card is not None:
            await crowd.tries(dora.press(card, "Details"))
        await crowd.tries(
            dora.type_text(
                crowd.cast.channel,
                self.dice.choice(("/openvidu status", "/openvidu runs", "/openvidu hours")),
            )
        )
        await crowd.scene.wait(10)


class Silent(StoryTurn):
    """Docker of the busiest node does not answer, from the beginning."""

    def needs(self, luck: SeedSettings) -> SeedSettings:
        ill = self.dice.choice(("docker-down", "docker-denied", "unprivileged"))
        luck = replace(pool(luck, minutes=30), calm=False, ill=ill, victims="newest")
        return drained_within(luck, NEVER_LATE)

    def wish(self, _: Ingredients) -> CampaignRequest:
        return CampaignRequest("scale 1", goals.scaled(1))


class SlowStart(StoryTurn):
    """A media server answers long before it takes meetings."""

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return replace(pool(luck, 1, minutes=4), livekit_ready=90.0)

    def wish(self, _: Ingredients) -> CampaignRequest:
        return CampaignRequest("scale 2", goals.scaled(2))


class Rejects(StoryTurn):
    """A user rejects the request with a reason; then it is requested again."""

    def needs(self, luck: SeedSettings) -> SeedSettings:
        return pool(luck, minutes=4)

    def wish(self, _: Ingredients) -> CampaignRequest:
        return CALM

    async def before_approving(self, crowd: "ClusterPeople") -> None:
        crowd.rejects = True


class Mentions(StoryTurn):
    """A user mentions the bot at the top level of the channel."""

    async def before_asking(self, crowd: "ClusterPeople") -> None:
        await crowd.tries(crowd.scene.person("UDORA").mention_bot(crowd.cast.channel, "status"))


def _refused(*_: object) -> Any:
    raise ConnectionRefusedError


def _nothing(*_: object) -> None:
    """Do nothing."""


TURNS: dict[str, type[StoryTurn]] = {
    kind.__name__: kind
    for kind in (
        RefusedEdit, OtherHand, ChangedMind, OldScreen, OnHold, Leaves, Terminal, Stranger,
        SaysValue, Lists, Eased, CrowdedWindow, Glass, Closed, DiesOverCommand, DiesOverCard,
        DiesOverPress, Odd, LostAnswer, Unknown, NoRole, Silent, SlowStart, Rejects, Mentions,
    )
}  # fmt: skip
ONE_IN = 9


def turn_of(seed: int) -> tuple[str, StoryTurn, bool]:
    """Return the name of that story's turn ("" for none), and whether it has no other faults."""
    dice = dice_of(seed, "turn")
    if seed % 20 == 0 or dice.random() > 1 / ONE_IN:
        return "", StoryTurn(), False
    name = dice.choice(list(TURNS))
    is_fair = dice.random() < 0.5
    return name, TURNS[name](dice), is_fair
