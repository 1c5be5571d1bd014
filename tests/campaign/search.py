"""Which fault of tests/campaign/faults.py is found by which stories.

The campaign finds what it is for.

PYTHONHASHSEED=0 python -m tests.campaign.search            # all of them
PYTHONHASHSEED=0 python -m tests.campaign.search 'one vote is enough'
"""

import logging
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from services.runs.run import Answered, Resumed
from tests.campaign import faults
from tests.campaign.faults import Spoil
from tests.campaign.requests import CampaignRequest
from tests.campaign.seed import SeedSettings
from tests.campaign.story import plot_of, told

CUT = "not-on-a-card|thrown-out"
SEEDS = 12_000
Suits = Callable[[SeedSettings, CampaignRequest], bool]


def begins(*words: str) -> Suits:
    """The story begins with one of these."""
    return lambda _, wish: wish.words.startswith(words)


def takes(*turns: str) -> Suits:
    """It takes one of these turns, and is fair otherwise."""
    return lambda luck, _: luck.turn in turns and luck.calm


def in_any_weather(*turns: str) -> Suits:
    """It takes one of these turns."""
    return lambda luck, _: luck.turn in turns


@dataclass(frozen=True)
class RestoredFault:
    """A past fault: how to put it back, which stories to play, what the judge must report."""

    put_back: Spoil
    suits: Suits
    kind: str
    within: int = 3
    """Stories that may be played until it is found."""


FAULTS: dict[str, RestoredFault] = {
    "silence is drained": RestoredFault(faults.silence_is_drained, in_any_weather("Silent"), CUT),
    "one vote is enough": RestoredFault(
        faults.one_vote_is_enough,
        lambda luck, _: luck.policy["approvals"] == 2,
        "too-few-approvals",
    ),
    "nobody is needed": RestoredFault(
        faults.nobody_is_needed, begins("shutdown", "drain", "restart"), "unapproved"
    ),
    "any answer is ready": RestoredFault(
        faults.any_answer_is_ready, in_any_weather("SlowStart"), "not-done"
    ),
    "pools do not wait": RestoredFault(
        faults.pools_do_not_wait, begins("shutdown", "scale 1", "resize media"), "not-on-a-card", 5
    ),
    "agents are killed": RestoredFault(
        faults.agents_are_killed, begins("shutdown", "drain"), "agent-cut"
    ),
    "nobody is counted": RestoredFault(
        faults.nobody_is_counted, lambda _, wish: "--no-drain" in wish.words, "not-on-a-card", 5
    ),
    "a resume needs no look": RestoredFault(
        faults.goes_on_anyway(Resumed), takes("RefusedEdit"), "not-on-a-card|old-approval"
    ),
    "another way needs no approval": RestoredFault(
        faults.goes_on_anyway(Answered), takes("OtherHand"), "not-on-a-card"
    ),
    "unknown is as before": RestoredFault(
        faults.unknown_is_as_before, takes("Unknown"), "not-on-a-card"
    ),
    "votes outlive their question": RestoredFault(
        faults.votes_outlive_their_question, takes("ChangedMind"), "too-few-approvals"
    ),
    "a press on an old question answers a new one": RestoredFault(
        faults.questions_have_one_name, takes("OldScreen"), "not-on-a-card"
    ),
    "whoever approved once counts": RestoredFault(
        faults.whoever_approved_once_counts, takes("Leaves"), "too-few-approvals"
    ),
    "a hold holds nothing": RestoredFault(faults.a_hold_holds_nothing, takes("OnHold"), "held"),
    "approved at a terminal is what waits now": RestoredFault(
        faults.approved_is_what_waits_now, takes("Terminal"), "unapproved"
    ),
    "what needs no approval can be started by no one": RestoredFault(
        faults.nobody_can_start, takes("Eased"), "blocked"
    ),
    "what needs no approval is not shown first": RestoredFault(
        faults.nothing_is_shown_first, begins("scale 4", "backup create", "freeze"), "unshown", 6
    ),
    "windows open with any number": RestoredFault(
        faults.windows_open_with_any_number, takes("CrowdedWindow"), "too-few-approvals"
    ),
    "costs are savings": RestoredFault(
        faults.costs_are_savings, takes("CrowdedWindow"), "false-word"
    ),
    "break-glass covers windows": RestoredFault(
        faults.glass_covers_windows, takes("Glass"), "standing-glass", 5
    ),
    "break-glass names an approver": RestoredFault(
        faults.glass_names_approvers, takes("Glass"), "false-approver", 5
    ),
    "only the requester reads": RestoredFault(
        faults.only_the_requester_reads, begins("shutdown", "drain"), "unseen-request"
    ),
    "cards stand where it was typed": RestoredFault(
        faults.cards_stand_where_it_was_typed,
        lambda luck, _: bool(luck.place),
        "unseen-request|silent",
        5,
    ),
    "closed channels are asked again": RestoredFault(
        faults.closed_channels_are_asked_again, takes("Closed"), "dead-channel"
    ),
    "closed channels are ready": RestoredFault(
        faults.closed_channels_are_not_told, takes("Closed"), "dead-channel"
    ),
    "questions reach nobody": RestoredFault(
        faults.questions_reach_nobody, takes("Closed"), "unseen-question"
    ),
    "answers go into a thread": RestoredFault(
        faults.answers_go_into_a_thread, takes("Mentions"), "unseen-answer"
    ),
    "lost answers are noes": RestoredFault(
        faults.lost_answers_are_noes, takes("LostAnswer"), "false-word"
    ),
    "restarts are noes": RestoredFault(
        faults.restarts_are_noes, takes("DiesOverCommand"), "false-word"
    ),
    "decisions are not crossed out": RestoredFault(
        faults.decisions_are_not_crossed_out, takes("Rejects"), "false-word"
    ),
    "cards are not looked for": RestoredFault(
        faults.cards_are_not_looked_for, takes("DiesOverCard"), "left-standing"
    ),
    "presses are not stored": RestoredFault(
        faults.presses_are_not_stored, takes("DiesOverPress"), "lost-press"
    ),
    "one look has to do": RestoredFault(faults.one_look_has_to_do, takes("Odd"), "lost-press"),
    "details are for everyone": RestoredFault(
        faults.details_are_for_everyone, takes("NoRole"), "told-a-stranger"
    ),
    "lists are of every cluster": RestoredFault(
        faults.lists_are_of_every_cluster, takes("Lists"), "told-a-stranger"
    ),
    "whoever says so is believed": RestoredFault(
        faults.whoever_says_so_is_believed, takes("Stranger"), "unapproved"
    ),
    "orders are logged": RestoredFault(faults.orders_are_logged, takes("SaysValue"), "value-told"),
}


def search(fault: RestoredFault) -> tuple[int, list[int]]:
    """Return the seed that finds it, or -1, and all that were played for it."""
    played: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        fault.put_back(patch)
        for seed in range(SEEDS):
            plot = plot_of(seed)
            if plot.luck.pydo or not fault.suits(plot.luck, plot.wishes[0]):
                continue
            played.append(seed)
            if any(re.match(fault.kind, w) for w in told(plot).wrong):
                return seed, played
            if len(played) >= fault.within:
                break
    return -1, played


def main() -> int:
    """Search for the faults of these names, or for all of them."""
    logging.disable(logging.CRITICAL)
    missed = 0
    for name in sys.argv[1:] or FAULTS:
        fault, began = FAULTS[name], time.process_time()
        seed, played = search(fault)
        missed += seed < 0
        result = (
            f"found by seed {seed}, {len(played)} of at most {fault.within}"
            if seed >= 0
            else f"not found in the seeds {played}"
        )
        print(f"{name}: {result}, {time.process_time() - began:.1f} s", flush=True)  # noqa: T201 - a command of its own
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
