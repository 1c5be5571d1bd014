"""One story of the campaign: from a seed to what was wrong with it."""

import hashlib
import json
import random
import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from unittest import mock
from zoneinfo import ZoneInfo

from services import scripts
from services.clock import loop_clock
from simulators.faults import Faults
from tests.campaign.crowd import Crowd, Stuck
from tests.campaign.judge import Judge
from tests.campaign.ledger import Ledger
from tests.campaign.luck import Luck, dice_of, luck_of
from tests.campaign.plots import Wish, wishes_of
from tests.campaign.storm import ShakyStore, Storm, Trouble, shaky_road
from tests.support import virtual
from tests.support.memory_store import MemoryStore
from tests.support.scene import Scene

ORIGIN = datetime(2026, 11, 25, 19, 58, tzinfo=ZoneInfo("Europe/Madrid")).timestamp()
REMEMBERS = 5.0
SETTLES = 900.0
SWEPT = 1300.0


@dataclass(frozen=True)
class Told:
    """What came of a seed. `trace` is the same whenever the same seed is played by the same code."""

    seed: int
    words: tuple[str, ...]
    ends: tuple[str, ...]
    wrong: tuple[str, ...]
    struck: int
    bots: int
    trace: str


def play(seed: int) -> Told:
    """Play it, in virtual time."""
    luck = luck_of(seed)
    return tell(luck, wishes_of(dice_of(seed, "plot"), luck.kind, luck.media))


def tell(luck: Luck, wishes: list[Wish]) -> Told:
    """With that luck, these wishes."""
    dice = random.Random(f"names {luck.seed}")

    def made() -> uuid.UUID:
        return uuid.UUID(int=dice.getrandbits(128), version=4)

    with mock.patch("uuid.uuid4", new=made), mock.patch("os.getpid", new=_always_one):  # a bot is called by its process
        return virtual.run(_story(luck, wishes))


def _always_one() -> int:
    return 1


async def _story(luck: Luck, wishes: list[Wish]) -> Told:
    memory = MemoryStore(loop_clock(ORIGIN), REMEMBERS if luck.failovers else 0.0)
    trouble = Trouble(dice_of(luck.seed, "trouble"), luck.lost_replies, luck.slow_state, late=luck.late, twice=luck.twice)
    scene = Scene(
        seed=luck.seed % 100,
        media=luck.media,
        kind=luck.kind,
        policy=luck.policy,
        site={**luck.site, "channel": "COPS"},
        faults=Faults(luck.seed, luck.rates),
        store=memory,
        reach=lambda store: ShakyStore(store, trouble),
        road=lambda receive: shaky_road(receive, trouble),
        pydo=luck.pydo,
        start=False,
        origin=ORIGIN,
        allow_zero=luck.allow_zero,
    )
    scene.slack.journal.keep_nothing()
    scene.promises = False  # the judge looks at them, and at more
    ledger = Ledger(memory, "acme")
    _arrange(scene, luck, ledger)
    async with scene, Storm(luck, scene, trouble, memory) as storm:
        judge = Judge(scene, ledger, storm)
        await scene.start_bot(storm.birth())
        try:
            await _live(luck, wishes, scene, Crowd(luck, scene, ledger, storm), judge)
            await _settle(scene, storm, judge)
        except Stuck as stuck:
            judge.wrong.append(f"never came to an end: {stuck}")
        return _told(luck, wishes, scene, ledger, judge)


def _arrange(scene: Scene, luck: Luck, ledger: Ledger) -> None:
    estate = scene.estate
    # A short story has the same things happen in it, with less waiting between.
    # Nodes that delete themselves are replaced, and the newcomers must not serve before the others are gone.
    installs = 120 if luck.site["drain"]["method"] == "script" else 20
    estate.delays = replace(
        estate.delays, snapshot=30, resize=10, resize_per_used_gb=1, master_ready=20, media_install=installs, pool_grace=10,
        status_lag=luck.status_lag, pool_cooldown=90,
    )  # fmt: skip
    scene.town.shell.looks = {scripts.LOOK, scripts.START}
    estate.watch.ask_terms = lambda _stack: ledger.terms()
    estate.scaling.victims = luck.victims  # type: ignore[assignment]
    estate.cooldown_gates_edits, estate.resize_powers_off = luck.cooldown_gates_edits, luck.resize_powers_off
    scene.slack.faults.rates, scene.slack.faults.dice = luck.slack, dice_of(luck.seed, "slack")


async def _live(luck: Luck, wishes: list[Wish], scene: Scene, crowd: Crowd, judge: Judge) -> None:
    await scene.passes(1)
    for people, minutes, recordings in luck.meetings:
        scene.estate.open_meeting(people=people, minutes=minutes, recordings=recordings)
    if luck.traffic:
        scene.estate.traffic(per_hour=luck.traffic)
    for n, wish in enumerate(wishes):
        wish.prepare(scene)
        tale = await crowd.fulfil(wish)
        if tale is None and not n:
            judge.not_taken(wish)
        if tale is not None and tale.state == "done":
            judge.done(wish, tale)
            await crowd.stay(wish.stays)
    scene.estate.traffic(per_hour=0)


async def _settle(scene: Scene, storm: Storm, judge: Judge) -> None:
    """The storm is over, and what was begun has ended: now the messages have to say so, and nothing may be left lying about."""
    if not storm.over:
        storm.calm()
    until = scene.clock.now() + SETTLES
    while scene.clock.now() < until and not judge.messages_say_so():
        await scene.passes(15)
    if judge.staged():
        await scene.passes(SWEPT)
    judge.at_the_end()


def _told(luck: Luck, wishes: list[Wish], scene: Scene, ledger: Ledger, judge: Judge) -> Told:
    happened = [json.dumps(scene.estate.requests), *(json.dumps(t.events) for t in ledger.tales())]
    return Told(
        seed=luck.seed,
        words=tuple(w.words for w in wishes),
        ends=tuple(t.state for t in ledger.tales()),
        wrong=tuple(judge.wrong),
        struck=len(scene.town.faults.struck),
        bots=len(scene.bots),
        trace=hashlib.sha256("".join(happened).encode()).hexdigest()[:16],
    )
