"""A control group with less memory and fewer cores, as the kernel keeps and counts them.

Both versions of the interface; nothing else is started, and what cannot be had is `Unmeasured`.
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Unmeasured

MEGABYTE = 1024 * 1024
PERIOD = 100_000  # microseconds
ROOT = Path("/sys/fs/cgroup")
EMPTIES_WITHIN = 10.0


@dataclass(frozen=True)
class Files:
    """One version's files. `limits`: what to write where; `memory` and `cpu`: where the group is.

    `peak` in bytes; `full`: how often memory was at its limit, so that some was reclaimed.
    """

    memory: Path
    cpu: Path
    limits: Mapping[Path, str]
    peak: Path
    full: Callable[[], int]
    killed: Callable[[], int]
    swapped: Callable[[], int]
    seconds: Callable[[], float]

    @property
    def folders(self) -> list[Path]:
        """Return the folders of the group, each once."""
        return list(dict.fromkeys((self.memory, self.cpu, *(p.parent for p in self.limits))))


def _counts(path: Path) -> dict[str, int]:
    """Return the lines `name number` of a file."""
    pairs = (line.split() for line in path.read_text().splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def _second(root: Path, name: str, memory: int, cores: float) -> Files:
    here = root / name
    return Files(
        memory=here,
        cpu=here,
        limits={
            here / "memory.max": str(memory),
            here / "cpu.max": f"{int(PERIOD * cores)} {PERIOD}",
        },
        peak=here / "memory.peak",
        full=lambda: _counts(here / "memory.events")["max"],
        killed=lambda: _counts(here / "memory.events")["oom_kill"],
        swapped=lambda: int((here / "memory.swap.current").read_text()),
        seconds=lambda: _counts(here / "cpu.stat")["usage_usec"] / 1e6,
    )


def _first(root: Path, name: str, memory: int, cores: float) -> Files:
    here, cpu, used = root / "memory" / name, root / "cpu" / name, root / "cpuacct" / name
    return Files(
        memory=here,
        cpu=cpu,
        limits={
            here / "memory.limit_in_bytes": str(memory),
            cpu / "cpu.cfs_period_us": str(PERIOD),
            cpu / "cpu.cfs_quota_us": str(int(PERIOD * cores)),
            used / "cgroup.procs": "",  # nothing is limited here, and it counts
        },
        peak=here / "memory.max_usage_in_bytes",
        full=lambda: int((here / "memory.failcnt").read_text()),
        killed=lambda: _counts(here / "memory.oom_control")["oom_kill"],
        swapped=lambda: _counts(here / "memory.stat").get("swap", 0),
        seconds=lambda: int((used / "cpuacct.usage").read_text()) / 1e9,
    )


class ControlGroup:
    """A group that exists. `command` starts a process in it, which its children cannot leave."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the command that enters the group and becomes this one."""
        enter = "; ".join(f"echo $$ > {folder}/cgroup.procs" for folder in self._files.folders)
        return ["/bin/sh", "-ec", f'{enter}; exec "$@"', "sh", *words]

    @property
    def peak(self) -> float:
        """Return the most memory that it has had, in megabytes; files in the page cache count."""
        return int(self._files.peak.read_text()) / MEGABYTE

    @property
    def times_full(self) -> int:
        """Return how often memory was at its limit."""
        return self._files.full()

    @property
    def killed(self) -> int:
        """Return how many processes the kernel has killed for want of memory."""
        return self._files.killed()

    @property
    def swapped(self) -> float:
        """Return how much is swapped out now, in megabytes."""
        return self._files.swapped() / MEGABYTE

    @property
    def processor_seconds(self) -> float:
        """Return for how long its processes have computed."""
        return self._files.seconds()


@contextlib.contextmanager
def control_group(megabytes: int, cores: float, root: Path = ROOT) -> Iterator[ControlGroup]:
    """Make a group with these limits, and remove it. Unmeasured where that is not possible."""
    name, memory = f"openvidu-bot-bench-{os.getpid()}", megabytes * MEGABYTE
    make = _first if (root / "memory" / "cgroup.procs").exists() else _second
    if not (root / "cgroup.procs").exists() and make is _second:
        raise Unmeasured(f"control groups: {root} has none of either version")
    files = make(root, name, memory, cores)
    try:
        try:
            for folder in files.folders:
                folder.mkdir()
            for path, text in files.limits.items():
                if text:
                    path.write_text(text)
            files.seconds(), files.full(), files.killed(), files.swapped(), files.peak.read_text()
        except (OSError, KeyError, ValueError) as error:
            needs = "root, and the controllers of memory and cpu"
            raise Unmeasured(f"control groups: {error}; needed are {needs}") from None
        yield ControlGroup(files)
    finally:
        for folder in files.folders:
            _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a group once the processes in it have ended."""
    by = time.monotonic() + EMPTIES_WITHIN
    while folder.exists():
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > by:
                return
            time.sleep(0.1)
