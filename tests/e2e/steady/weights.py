"""The resources of a process: memory, tasks, open files, keys in Redis; and their growth."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import aiohttp
import redis

MEMORY = 12_000  # kB that the median may differ by: an allocator gives nothing back at once
TASKS, DESCRIPTORS = 8, 5
KEYS_PER_RUN = 12  # a run with its request, card, lease, audit and drains; they go when it is old


@dataclass(frozen=True)
class Weight:
    """One moment. `rss` in kB."""

    at: float
    rss: int
    tasks: int
    descriptors: int
    keys: int
    runs: int


def of_process(pid: int) -> tuple[int, int]:
    """Memory in kB, and open files, as the kernel has it."""
    rss = re.search(r"^VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert rss, "the process is there"
    return int(rss[1]), len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def weigh(
    at: float, pid: int, metrics: str, state: "redis.Redis", http: aiohttp.ClientSession
) -> Weight:
    """A look from outside; only the number of tasks it has to say itself."""
    rss, descriptors = of_process(pid)
    async with http.get(metrics) as answer:
        tasks = re.search(r"^openvidu_bot_tasks (\S+)", await answer.text(), re.MULTILINE)
    assert tasks, "it says how many tasks it has"
    keys = [str(k) for k in state.scan_iter("{openvidu-bot}:*", count=1000)]
    lasting = [
        k for k in keys if ":commit:" not in k and ":seen:" not in k and ":answered:" not in k
    ]
    runs = len([k for k in keys if ":log:run:" in k])
    return Weight(at, rss, round(float(tasks[1])), descriptors, len(lasting), runs)


def grown(weights: list[Weight]) -> list[str]:
    """Return what is larger in the last quarter than in the second; the first is the start."""
    quarter = len(weights) // 4
    if quarter < 2:
        return []
    early, late = weights[quarter : 2 * quarter], weights[-quarter:]

    def more(name: str) -> float:
        return float(
            median(getattr(w, name) for w in late) - median(getattr(w, name) for w in early)
        )

    allowed = {
        "rss": MEMORY,
        "tasks": TASKS,
        "descriptors": DESCRIPTORS,
        "keys": KEYS_PER_RUN * (more("runs") + 2),
    }
    return [
        f"{name} grew by {more(name):g}, and {most:g} were allowed"
        for name, most in allowed.items()
        if more(name) > most
    ]


def table(weights: list[Weight]) -> str:
    """For people."""
    names = list(asdict(weights[0])) if weights else []
    lines = ["  ".join(f"{n:>11}" for n in names)]
    lines += ["  ".join(f"{v:>11.0f}" for v in asdict(w).values()) for w in weights]
    return "\n".join(lines)
