"""One story of the campaign: from a seed to what was wrong with it."""

import asyncio
import hashlib
import json
import math
import random
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

from services.common.clock import loop_clock
from simulators.cloud.containers import AGENT
from simulators.faults import WorldFaults
from simulators.slack.elements import NotPossible
from tests.campaign.cast import ELI, ClusterCast, move_in
from tests.campaign.chaos import Chaos, ShakyStore, Trouble, shaky_road
from tests.campaign.judge import SEEN_WITHIN, Judge, of_all
from tests.campaign.ledger import StackHistory
from tests.campaign.people import ClusterPeople, NeverEnded
from tests.campaign.requests import (
    CampaignRequest,
    Ingredients,
    nodes_and_files,
    wish_of_beta,
    wishes_of,
)
from tests.campaign.seed import SeedSettings, deployed, dice_of, luck_of
from tests.campaign.turns import StoryTurn, fair, turn_of
from tests.campaign.witness import StoryWitness
from tests.support import virtual
from tests.support.memory_store import MemoryStore
from tests.support.scene import Scene

ORIGIN = datetime(2026, 11, 25, 19, 58, tzinfo=ZoneInfo("Europe/Madrid")).timestamp()
REMEMBERS = 5.0
SETTLES = 900.0
SWEPT = 1300.0
MEDIA_OF_BETA = 2
NODES_AND_FILES = 0.1
"""How often a story without a turn is about a single node, a configuration file or a module."""
BETA = {"deployment": "high availability", "kind": "pool", "media": MEDIA_OF_BETA}


@dataclass(frozen=True)
class StoryResult:
    """The result of a seed. `trace` is the same whenever the same code plays the same seed."""

    seed: int
    words: tuple[str, ...]
    ends: tuple[str, ...]
    wrong: tuple[str, ...]
    struck: int
    bots: int
    trace: str


def play(seed: int) -> StoryResult:
    """Play it, in virtual time."""
    return told(plot_of(seed))


@dataclass(frozen=True)
class Plot:
    """What a seed means: its luck, its turn, and the requests."""

    luck: SeedSettings
    turn: StoryTurn
    wishes: list[CampaignRequest]
    of_beta: CampaignRequest | None


def plot_of(seed: int) -> Plot:
    """Return what this seed means."""
    name, turn, is_fair = turn_of(seed)
    luck = replace(luck_of(seed), turn=name)
    luck = turn.needs(fair(luck) if is_fair else luck)
    if not name:
        luck = deployed(luck)
    stage = Ingredients(dice_of(seed, "plot"), luck.kind, luck.media, luck.deployment)
    dice, wish = stage.dice, turn.wish(stage)
    wishes = [wish] if wish is not None else wishes_of(stage)
    # Thrown apart: the other seeds mean what they meant before.
    other = dice_of(seed, "nodes and files")
    if not name and other.random() < NODES_AND_FILES:
        wishes = nodes_and_files(replace(stage, dice=other))
    return Plot(luck, turn, wishes, wish_of_beta(dice, MEDIA_OF_BETA) if luck.beta else None)


def told(plot: Plot) -> StoryResult:
    """Play it."""
    return play_requests(plot.luck, plot.wishes, plot.of_beta, turn=plot.turn)


def play_requests(
    luck: SeedSettings,
    wishes: list[CampaignRequest],
    of_beta: CampaignRequest | None = None,
    beside: "Beside | None" = None,
    turn: StoryTurn | None = None,
) -> StoryResult:
    """Play these requests with that luck; `of_beta` are of the other cluster.

    `beside`: what else is done unseen.
    """
    dice = random.Random(f"names {luck.seed}")

    def made() -> uuid.UUID:
        return uuid.UUID(int=dice.getrandbits(128), version=4)

    with (
        mock.patch("uuid.uuid4", new=made),
        # A bot is named by its process.
        mock.patch("os.getpid", new=_always_one),
        # Retries of the state store and of Slack's client are jittered.
        mock.patch("services.store.edit._jitter", new=random.Random(f"jitter {luck.seed}")),
        _seeded(f"retries {luck.seed}"),
    ):
        return virtual.run(_story(luck, wishes, of_beta, beside, turn))


@contextmanager
def _seeded(seed: str) -> Iterator[None]:
    """Seed the global random numbers: slack_sdk jitters its retries by them."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


def _always_one() -> int:
    return 1


@dataclass
class ClusterStory:
    """One cluster of a story: its people, their requests, and its records."""

    cast: ClusterCast
    wishes: list[CampaignRequest]
    ledger: StackHistory
    crowd: ClusterPeople
    judge: Judge


Beside = Callable[[Scene, list[ClusterStory]], Coroutine[Any, Any, None]]


def casts_of(luck: SeedSettings, *, beta: bool) -> list[ClusterCast]:
    """Return the people of each cluster; the second one has others, and another policy."""
    policy = luck.policy
    approvers: tuple[str, ...] = ("UANA", "UBEN", "UCARLA", ELI)
    if luck.group:
        approvers = ("UBEN", "UCARLA", ELI)
    breaks_glass: tuple[str, ...] = ()
    if luck.glass:
        breaks_glass = ("UANA",)
    acme = ClusterCast(
        "acme", "COPS", "UANA", approvers, int(policy.get("approvals", 1)),
        float(policy.get("approval_minutes", 30)), float(policy.get("growth", 0.5)), luck.group,
        luck.closed, breaks_glass, policy.get("scale_up_without_approval_to", math.inf),
        policy.get("approvals_for", {}).get("media_added", 0),
    )  # fmt: skip
    if not beta:
        return [acme]
    other = ClusterCast("beta", "CBETA", "UCARLA", ("UBEN", ELI), 2, 20.0, 0.0, closed=luck.closed)
    return [acme, other]


async def _story(
    luck: SeedSettings,
    wishes: list[CampaignRequest],
    of_beta: CampaignRequest | None,
    beside: "Beside | None",
    turn: StoryTurn | None,
) -> StoryResult:
    memory = MemoryStore(loop_clock(ORIGIN), REMEMBERS if luck.failovers else 0.0)
    trouble = Trouble(
        dice_of(luck.seed, "trouble"),
        luck.lost_replies,
        luck.slow_state,
        late=luck.late,
        twice=luck.twice,
    )
    casts = casts_of(luck, beta=of_beta is not None)
    policies = {
        "acme": luck.policy,
        "beta": {**luck.policy, "approvals": 2, "approval_minutes": 20, "growth": 0.0},
    }
    scene = Scene(
        seed=luck.seed % 100,
        media=luck.media,
        kind=luck.kind,
        stacks=tuple(c.stack for c in casts),
        deployment=luck.deployment,
        each={"beta": BETA},
        site=luck.site,
        sites={c.stack: {**c.settings(), "policy": policies[c.stack]} for c in casts},
        settings={"channels": {c.channel: c.stack for c in casts}},
        faults=WorldFaults(luck.seed, luck.rates),
        store=memory,
        reach=lambda store: ShakyStore(store, trouble),
        road=lambda receive: shaky_road(receive, trouble),
        pydo=luck.pydo,
        start=False,
        origin=ORIGIN,
        allow_zero=luck.allow_zero,
    )
    scene.slack.journal.keep_nothing()
    scene.promises = False  # The judge looks at them, and at more.
    move_in(scene, casts)
    ledgers = [StackHistory(memory, c.stack) for c in casts]
    async with scene, Chaos(luck, scene, trouble, memory) as storm:
        witness = StoryWitness(
            scene, ledgers, {c.channel: c.stack for c in casts},
                repeats=bool(luck.twice or luck.late or luck.spells),
                delays=lambda: storm.log.spans("paused", "deaf"), casts=casts,
        )  # fmt: skip
        of = luck, scene

        def judge_of(ledger: StackHistory, cast: ClusterCast) -> Judge:
            return Judge(scene, ledger, storm, cast, witness)

        parts = [
            ClusterStory(
                c,
                w,
                ledger,
                ClusterPeople(
                    *of, ledger, storm, c, witness, trouble, turn if c is casts[0] else None
                ),
                judge_of(ledger, c),
            )
            for c, ledger, w in zip(
                casts, ledgers, [wishes, [of_beta] if of_beta else []], strict=False
            )
        ]
        _arrange(scene, luck, parts)
        await scene.start_bot(storm.birth())
        looking = [
            asyncio.create_task(witness.looks()),
            *([asyncio.create_task(beside(scene, parts))] if beside else []),
        ]
        wrong: list[str] = []
        try:
            await _together(luck, scene, parts)
            await _settle(scene, storm, parts)
        except NeverEnded as stuck:
            wrong.append(f"never came to an end: {stuck}")
            for part in parts:
                part.judge.at_the_end()
        for task in looking:
            task.cancel()
        for part in parts:
            part.crowd.goes_home()
            wrong += part.judge.wrong
        return _told(luck, scene, parts, [*wrong, *of_all(scene, storm, witness)])


def _arrange(scene: Scene, luck: SeedSettings, parts: list[ClusterStory]) -> None:
    estate = scene.estate
    # In a short story the same things happen, with less waiting between.
    # Nodes that delete themselves are replaced, and the new ones must not serve before the others
    # are gone.
    installs = 120 if luck.site["drain"]["method"] == "script" else 20
    estate.delays = replace(
        estate.delays, snapshot=30, resize=10, resize_per_used_gb=1, master_ready=20,
            media_install=installs, pool_grace=10, status_lag=luck.status_lag, pool_cooldown=90,
            livekit_ready=luck.livekit_ready,
    )  # fmt: skip
    judges = {part.cast.stack: part.judge for part in parts}
    estate.invariants.terms_of = lambda stack: judges[stack].terms()
    estate.pool_scaler.removal_order = luck.victims  # type: ignore[assignment]
    estate.cooldown_gates_edits, estate.resize_powers_off = (
        luck.cooldown_gates_edits,
        luck.resize_powers_off,
    )
    scene.slack.faults.rates, scene.slack.faults.dice = luck.slack, dice_of(luck.seed, "slack")
    if luck.agents != "drains":
        estate.containers.usual_agents = {AGENT: luck.agents}
        for node in [d for stack in estate.clusters for d in estate.media(stack)]:
            estate.containers.set_agents(node)
            node.node.agents = None
            estate.containers.start_agents(node)
    if luck.neighbours:
        around = dice_of(luck.seed, "page").choice(list(estate.droplets.values()))
        page = scene.environment.digitalocean.page_limit = (
            len(estate.droplets) + 2
        )  # An account of two pages, without its two hundred droplets.
        estate.neighbours.move_in(luck.neighbours, around=around, page=page)
        scene.environment.faults.rates = {
            **luck.rates,
            "digitalocean": {"churn": 0.2, **luck.rates.get("digitalocean", {})},
        }


async def _together(luck: SeedSettings, scene: Scene, parts: list[ClusterStory]) -> None:
    """Run every cluster's people at the same time."""
    await scene.wait(1)
    for people, minutes, recordings in luck.meetings:
        scene.estate.open_meeting(people=people, minutes=minutes, recordings=recordings)
    if luck.traffic:
        scene.estate.traffic(per_hour=luck.traffic)
    asking = asyncio.create_task(_asks(luck, scene))
    others = [asyncio.create_task(_later(luck, scene, part)) for part in parts[1:]]
    try:
        await _live(scene, parts[0])
        scene.estate.traffic(per_hour=0)
        await asyncio.gather(*others)
    finally:
        asking.cancel()
        for task in others:
            task.cancel()


async def _later(luck: SeedSettings, scene: Scene, part: ClusterStory) -> None:
    await scene.wait(dice_of(luck.seed, "beta").uniform(1, 120))
    scene.estate.open_meeting(people=5, minutes=4, recordings=0, cluster=part.cast.stack)
    await _live(scene, part)


async def _asks(luck: SeedSettings, scene: Scene) -> None:
    """Let someone without a role look now and then."""
    dice = dice_of(luck.seed, "asks")
    for _ in range(luck.asks):
        await scene.wait(dice.uniform(5, 400))
        with suppress(NotPossible):
            await (
                scene.dora.mention_bot("COPS", "status")
                if dice.random() < 0.3
                else scene.dora.type_text("COPS", "/openvidu status")
            )


async def _live(scene: Scene, part: ClusterStory) -> None:
    for n, wish in enumerate(part.wishes):
        wish.prepare(scene)
        tale = await part.crowd.fulfil(wish)
        if tale is None and not n and not part.ledger.pending():
            part.judge.not_taken(wish)
        if tale is not None and tale.state == "done":
            if not part.judge.done(wish, tale):
                await scene.wait(SEEN_WITHIN + 5)
                part.judge.done(wish, tale)
            await part.crowd.stay(wish.stays)


async def _settle(scene: Scene, storm: Chaos, parts: list[ClusterStory]) -> None:
    """End the storm, wait until everything has ended, and judge.

    Messages have to say so, and nothing may be left over.
    """
    if not storm.over:
        storm.calm()
    until = scene.clock.now() + SETTLES
    while scene.clock.now() < until and not all(p.judge.messages_say_so() for p in parts):
        await scene.wait(15)
    if any(p.judge.staged() for p in parts):
        await scene.wait(SWEPT)
    for part in parts:
        part.judge.at_the_end()


def _told(
    luck: SeedSettings, scene: Scene, parts: list[ClusterStory], wrong: list[str]
) -> StoryResult:
    tales = [t for p in parts for t in p.ledger.tales()]
    words = [f"{p.cast.stack}: {w.words}".removeprefix("acme: ") for p in parts for w in p.wishes]
    happened = [json.dumps(scene.estate.requests), *(json.dumps(t.events) for t in tales)]
    return StoryResult(
        seed=luck.seed,
        words=tuple(words),
        ends=tuple(t.state for t in tales),
        wrong=tuple(wrong),
        struck=len(scene.environment.faults.hits),
        bots=len(scene.bots),
        trace=hashlib.sha256("".join(happened).encode()).hexdigest()[:16],
    )
