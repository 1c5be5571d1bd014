"""What every run shares: which tests are played and in which order, and a frugal process.

CONTRIBUTING.md says what `make test`, `make test-fast` and `make test-all` play.
"""

import contextlib
import gc
import logging
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import settings

from bot.logs import OURS, QUIET
from tests.support.coverage_level import FULL, LAW, QUICK, cases, covering, rotated
from tests.support.order import dealt
from tests.support.tools import server_version, store_servers

ROOT = Path(__file__).parents[1]
FIRST = ("e2e", "browser", "install", "campaign", "nights")
"""Folders whose tests take longest, mostly in other processes: none of them is to end last."""

OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""Python's default of 700 to 2,000 collects again and again what tests never free."""

SCENES = ("procedures", "runs")
"""Folders in which each case is a whole story: `make test` plays one of each test's cases."""

# Every law, whether it says so or not: nothing random, and none fails because a machine is slow.
settings.register_profile("laws", LAW)
settings.load_profile("laws")

FEW = 1

RESULTS = ("passed", "failed", "skipped", "xfailed", "xpassed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--costs", help="append the CPU seconds of each test to this file")
    parser.addoption("--until", type=float, help="begin no test after this time (seconds, epoch)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "thorough: `make test` leaves it to `make test-all`")
    config.addinivalue_line(
        "markers",
        "sampled(few=None): `make test` plays so many of the cases, or each value of each "
        "parameter once",
    )
    config.addinivalue_line("markers", "nights(of): `make test` plays one test in so many")
    if file := config.getoption("--costs"):
        config.pluginmanager.register(Costs(file))
    if until := config.getoption("--until"):
        config.pluginmanager.register(Until(until))


# --- which


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if QUICK:
        left_out = {id(item) for item in items if item.get_closest_marker("thorough")}
        left_out |= {id(item) for item in items if not _is_its_turn(item)}
        left_out |= {id(item) for item in _beyond_the_sample(items)}
        config.hook.pytest_deselected(items=[item for item in items if id(item) in left_out])
        items[:] = [item for item in items if id(item) not in left_out]
    if not config.getoption("--until"):  # by nearness to what changed, as they were named
        items[:] = _in_order(items)


def _is_its_turn(item: pytest.Item) -> bool:
    """Return whether it is the one of so many that is played, by its name."""
    marker = item.get_closest_marker("nights")
    if marker is None or not isinstance(item, pytest.Function):
        return True
    return crc32(item.originalname.encode()) % int(marker.args[0]) == 0


def _beyond_the_sample(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    """Yield the cases that are not among the chosen ones."""
    families: dict[tuple[object, str], list[pytest.Function]] = {}
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            families.setdefault((item.parent, item.originalname), []).append(item)
    for family in families.values():
        chosen = _chosen(family)
        yield from (item for index, item in enumerate(family) if index not in chosen)


def _chosen(family: list[pytest.Function]) -> set[int]:
    first = family[0]
    marker = first.get_closest_marker("sampled")
    if marker is not None and not marker.args:
        return covering(cases([item.callspec.params for item in family]))
    if marker is not None:
        return rotated(len(family), marker.args[0], first.originalname)
    if _folder(first) in SCENES:
        return rotated(len(family), FEW, first.originalname)
    return set(range(len(family)))


def _in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return them with the long ones first, on every worker."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    units: dict[str, list[pytest.Item]] = {}
    for folder in FIRST:
        for item in items:
            if _folder(item) == folder:
                units.setdefault(_unit(item), []).append(item)
    others = [item for item in items if _folder(item) not in FIRST]
    # One worker fewer: they mostly wait for sockets, and the other cores have work meanwhile.
    return dealt(list(units.values()), others, workers, max(1, workers - 1))


def _unit(item: pytest.Item) -> str:
    """Return the name of what one worker plays: a file, or the folder that shares a browser."""
    if _folder(item) == "browser":
        return "browser"
    return str(item.path)


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(ROOT / "tests").parts[0]


def pytest_runtest_teardown() -> None:
    """Let the next test hear every log line: commands that tests call silence the process."""
    logging.disable(logging.NOTSET)
    for name in (*OURS, *QUIET):
        logging.getLogger(name).setLevel(logging.NOTSET)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say on which servers the state store was tested."""
    if QUICK or FULL:
        servers = ", ".join(map(server_version, store_servers())) or "none is installed"
        terminalreporter.write_line(f"state store on: {servers}")


# --- at what cost


def pytest_collection_finish() -> None:
    """Keep the collector away from what stays until the end: modules and thousands of tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, 20, 50)


class Costs:
    """Notes what each test costs, with the processes that it started and that have ended."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        began = _cpu()
        try:
            return (yield)
        finally:
            with self.file.open("a") as lines:
                lines.write(f"{_cpu() - began:.3f}\t{item.nodeid}\n")


class Until:
    """Begins no test after that time; says how many were left out."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.left = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self) -> bool | None:
        return time.time() > self.until or None

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        terminal = session.config.pluginmanager.get_plugin("terminalreporter")
        if isinstance(terminal, pytest.TerminalReporter):
            played = sum(len(terminal.stats.get(kind, ())) for kind in RESULTS)
            self.left = session.testscollected - played

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.left:
            terminalreporter.write_line(f"no time for {self.left} more: `make test` has them")


def _cpu() -> float:
    """Return the CPU seconds of this process and of all that it started, ended or not."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(one.ru_utime + one.ru_stime for one in used)
    return seconds + sum(map(_seconds_of, _running_under(os.getpid())))


def _running_under(pid: int) -> Iterator[int]:
    """Yield the processes below this one that run now; none where there is no /proc."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                yield int(child)
                yield from _running_under(int(child))


def _seconds_of(pid: int) -> float:
    """Return the CPU seconds of a running process and of its children that have ended."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0.0
