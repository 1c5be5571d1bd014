"""Faults that are put back into the bot, or between it and the world, and the seeds that find them.

    PYTHONHASHSEED=0 python -m tests.campaign.search            # all of them
"""

import logging
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from handlers import cards
from handlers.doubts import Doubts
from handlers.voice import Ear
from services import scripts
from services.clients.livekit import Livekit
from services.decisions import grew
from services.plan import Plan
from services.policy import Kind, Rules, Verdict
from services.steps import Drain, PoolTarget
from simulators.node import NodeShell, Output
from simulators.slack.model import Message
from simulators.slack.workspace import Workspace
from tests.campaign.luck import Luck, dice_of, luck_of
from tests.campaign.play import MEDIA_OF_BETA, tell
from tests.campaign.plots import Wish, wish_of_beta, wishes_of

Patch = pytest.MonkeyPatch
Spoil = Callable[[Patch], None]
SILENT, CUT = ("docker-down", "docker-denied", "unprivileged"), "not-on-a-card|thrown-out"
Suits = Callable[[Luck, Wish], bool]
KILLS = "for name in $(docker ps --filter label=openvidu-agent=true --format '{{.Names}}'); do docker kill $name; done"


def silence_is_drained(patch: Patch) -> None:
    """Where docker does not answer, the bot reads that nothing runs."""
    execute = NodeShell.execute

    def silent(self: NodeShell, droplet_id: int, command: str, stdin: bytes = b"") -> Output:
        said = execute(self, droplet_id, command, stdin)
        if "docker.sock" in said.stdout + said.stderr and "--all" in command:
            state = "exited 0 0 2026-11-25T18:00:00.000000000Z"
            return Output(0, f"container=openvidu= {state}\nlivekit=000\nend\n", "", said.seconds)
        return said

    patch.setattr(NodeShell, "execute", silent)


def one_vote_is_enough(patch: Patch) -> None:
    """However many the policy asks for."""
    patch.setattr(Rules, "demand", lambda *_: 1)


def nobody_is_needed(patch: Patch) -> None:
    """Every plan is allowed."""
    patch.setattr("services.desk.judge", lambda *_: Verdict(Kind.ALLOWED, "why not"))


def any_answer_is_ready(patch: Patch) -> None:
    """LiveKit's 406 is taken for 200."""
    execute = NodeShell.execute

    def ready(self: NodeShell, droplet_id: int, command: str, stdin: bytes = b"") -> Output:
        said = execute(self, droplet_id, command, stdin)
        return replace(said, stdout=said.stdout.replace("livekit=406", "livekit=200").replace("livekit=000", "livekit=200"))

    patch.setattr(NodeShell, "execute", ready)

def pools_do_not_wait(patch: Patch) -> None:
    """The pool's number comes down without looking who is left, and no card says so."""
    effects = PoolTarget.effects
    patch.setattr(PoolTarget, "objection", lambda *_: "")
    patch.setattr(PoolTarget, "effects", lambda self, cluster: replace(effects(self, cluster), cuts_off=False, special=()))
    patch.setattr(Drain, "is_done", lambda *_: True)


def agents_are_killed(patch: Patch) -> None:
    """The drain ends the agents at once."""
    drain = scripts.drain

    def harsh(*args: Any, **more: Any) -> str:
        return KILLS + "\n" + drain(*args, **more)

    patch.setattr(scripts, "drain", harsh)


def nobody_is_counted(patch: Patch) -> None:
    """Cards say that nobody meets."""

    async def load(_: Livekit) -> dict[str, float]:
        return {"rooms": 0, "participants": 0, "egress": 0, "ingress": 0, "longest_seconds": 0.0}

    patch.setattr(Livekit, "load", load)


def only_the_requester_reads(patch: Patch) -> None:
    """Requests are shown to whoever asked, and to nobody else."""
    visible, readers = Workspace.visible, Workspace.readers

    def asks(message: Message) -> bool:
        return "'Approve'" in str(message.blocks)

    patch.setattr(Workspace, "visible", lambda s, user, c: [m for m in visible(s, user, c) if user == "UANA" or not asks(m)])
    patch.setattr(Workspace, "readers", lambda s, m: frozenset({"UANA"}) if asks(m) else readers(s, m))


def unknown_is_as_before(patch: Patch) -> None:
    """How many people meet is unknown when the last one approves: then it is as many as stood on the card."""

    def known(then: Plan, now: Plan, rules: Rules) -> str:
        return "" if now.load is None else grew(then, now, rules)

    for module in ("services.desk", "services.authorization"):
        patch.setattr(f"{module}.grew", known)


def lost_answers_are_noes(patch: Patch) -> None:
    """Where an answer is lost, people are told that nothing was changed."""

    async def no(self: Doubts, ear: Ear, *_: object) -> None:
        await self.say(ear, cards.words_card("No usable answer. Nothing was changed by this; try again in a minute."))

    patch.setattr(Doubts, "tell", no)


def begins(*words: str) -> Suits:
    """The story begins with one of these."""
    return lambda _, wish: wish.words.startswith(words)


def is_ill(*kinds: str) -> Suits:
    """A media node is, from the beginning, and media nodes are to go."""
    return lambda luck, wish: luck.ill in kinds and wish.words.startswith(("shutdown", "scale", "restart m"))


@dataclass(frozen=True)
class Fault:
    """Something that was wrong once, how to put it back, which stories to play for it, and what the judge must then say."""

    put_back: Spoil
    suits: Suits
    kind: str
    within: int
    """Stories that may be played until it is found."""


FAULTS: dict[str, Fault] = {
    "silence is drained": Fault(silence_is_drained, is_ill(*SILENT), CUT, 25),
    "one vote is enough": Fault(one_vote_is_enough, lambda luck, _: luck.policy["approvals"] == 2, "too-few-approvals", 5),
    "nobody is needed": Fault(nobody_is_needed, begins("shutdown", "drain", "restart"), "unapproved", 5),
    "any answer is ready": Fault(any_answer_is_ready, lambda luck, _: luck.livekit_ready > 0, "not-done", 30),
    "pools do not wait": Fault(pools_do_not_wait, begins("shutdown", "scale 1", "resize media"), "not-on-a-card", 10),
    "agents are killed": Fault(agents_are_killed, begins("shutdown", "drain"), "agent-cut", 10),
    "nobody is counted": Fault(nobody_is_counted, lambda _, wish: "--no-drain" in wish.words, "not-on-a-card", 10),
    "unknown is as before": Fault(unknown_is_as_before, lambda _, wish: "--no-drain" in wish.words, "not-on-a-card", 60),
    "lost answers are noes": Fault(lost_answers_are_noes, lambda luck, _: luck.lost_replies > 0, "false-word", 40),
    "only the requester reads": Fault(only_the_requester_reads, begins("shutdown", "drain"), "unseen-request", 5),
}


def search(fault: Fault) -> tuple[int, list[int]]:
    """The seed that finds it, or -1, and all that were played for it."""
    played: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        fault.put_back(patch)
        for seed in range(4000):
            luck = luck_of(seed)
            dice = dice_of(seed, "plot")
            wishes = wishes_of(dice, luck.kind, luck.media)
            if luck.pydo or not fault.suits(luck, wishes[0]):
                continue
            told = tell(luck, wishes, wish_of_beta(dice, MEDIA_OF_BETA) if luck.beta else None)
            played.append(seed)
            if any(re.match(fault.kind, w) for w in told.wrong):
                return seed, played
            if len(played) >= fault.within:
                break
    return -1, played


def main() -> int:
    """Search for the faults of these names, or for all of them."""
    logging.disable(logging.CRITICAL)
    missed = 0
    for name in sys.argv[1:] or FAULTS:
        fault = FAULTS[name]
        seed, played = search(fault)
        missed += seed < 0
        said = f"found by seed {seed}, {len(played)} of at most {fault.within}" if seed >= 0 else f"not found in the seeds {played}"
        print(f"{name}: {said}", flush=True)  # noqa: T201 - a command of its own
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
