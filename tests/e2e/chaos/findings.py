"""What holds after the storm: no run is lost, nothing ran twice, every message shows its end."""

import re
from itertools import pairwise

from bot.demo.world import OPS, STACK, DemoWorld
from handlers.views import outcome
from services.common.clock import Clock
from services.memory.message_refs import MessageRefs
from services.runs.journal import Journal
from services.runs.run import Run, Taken
from services.store import Store
from services.store.keys import claim_key
from simulators.slack.model import Message
from tests.e2e.chaos.tally import ChaosTally

PART_OF_LIFE = (
    "not acked",
    "an envelope that nobody waits for",
    "ratelimited",
)  # a bot was dead, or there is much to say


async def settled(world: DemoWorld, store: Store) -> str:
    """What is still to come before everything can be looked at; "" when nothing is."""
    claim, pending = await store.get(claim_key(STACK), f"pending:{STACK}")
    if claim is not None:
        return f"{claim} is open"
    if pending not in (None, "[]"):
        return "a request waits"
    if left := await MessageRefs(store).unfinished():
        return f"the cards of {', '.join(left)} are not final"
    return ""


async def look(world: DemoWorld, store: Store, tally: ChaosTally) -> None:
    """Write what is wrong into the tally."""
    journal, problems = Journal(store, Clock()), tally.problems
    names = (await journal.latest(STACK, 100_000))[::-1]
    runs = [await journal.run(name) for name in names]
    tally.runs.update(str(run.state) for run in runs)
    tally.facts["runs taken over"] = sum(max(0, run.takes - 1) for run in runs)
    tally.facts["drain signals"] = sum(world.estate.signals.values())
    problems += [f"{v.kind}: {v.text}" for v in world.estate.violations]
    problems += [f"{d} was signalled {n} times" for d, n in world.estate.signals.items() if n != 1]
    problems += [f"{run.id} ended nowhere: {run.state}" for run in runs if not run.over]
    problems += _names(names, world)
    problems += _one_after_another(runs)
    for run in runs:
        problems += _epochs(run, [e for e in await journal.events(run.id) if isinstance(e, Taken)])
        problems += _is_told(run, _said(world))
    used = [run.request for run in runs if run.request]
    problems += [
        f"request {r} was carried out {used.count(r)} times" for r in set(used) if used.count(r) > 1
    ]
    problems += [
        p for p in world.slack.slack.journal.problems if not any(part in p for part in PART_OF_LIFE)
    ]


def logs(world: DemoWorld, tally: ChaosTally) -> None:
    """Unexpected errors are in the bots' logs with a traceback."""
    for log in sorted(world.folder.glob("bot*.log")):
        text = log.read_text("utf-8", "replace")
        found = re.findall(r"Traceback \(most recent call last\):\n(?:  .*\n)+(\S.*)", text)
        tally.problems += [f"{log.name}: {line[:300]}" for line in found]


def _said(world: DemoWorld) -> list[Message]:
    return world.slack.human("UANA").visible_messages(OPS)


def _names(names: list[str], world: DemoWorld) -> list[str]:
    """Numbers have no gap, and every run that was ever read still exists."""
    numbers = [int(name.removeprefix(f"{STACK}-")) for name in names]
    found = (
        [] if numbers == list(range(1, len(numbers) + 1)) else [f"the runs are numbered {numbers}"]
    )
    shown = {
        int(n) for m in _said(world) if m.bot_id for n in re.findall(rf"\b{STACK}-(\d+)\b", m.text)
    }
    return found + [f"{STACK}-{n} was shown and is lost" for n in sorted(shown - set(numbers))]


def _one_after_another(runs: list[Run]) -> list[str]:
    return [
        f"{b.id} began before {a.id} had ended"
        for a, b in pairwise(runs)
        if a.over and b.opened_at < a.ended_at
    ]


def _epochs(run: Run, taken: list[Taken]) -> list[str]:
    epochs = [t.epoch for t in taken]
    return [] if epochs == sorted(set(epochs)) else [f"{run.id} was taken with the epochs {epochs}"]


def _is_told(run: Run, said: list[Message]) -> list[str]:
    told = [m for m in said if run.id in m.text and outcome(run) in m.text]
    return [] if told else [f"no message says of {run.id}: {outcome(run)}"]
