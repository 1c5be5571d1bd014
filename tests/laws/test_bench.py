"""What `make bench` makes of its figures: errors, promises, pictures, and what became worse."""

import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.__main__ import COMPARE, DOCS, SECTIONS, compare, main, read, renew
from bench.cgroups import control_group
from bench.compare import regressions
from bench.curves import curve
from bench.figures import Figure, Unmeasured, as_markdown
from bench.goals import GOALS, Goal, goals_table
from bench.growth import PICTURES, pictures
from bench.processes import installed

TIME = Figure("Times", "shutdown", 103.0, 100.0, "s", "the critical path", 1.05, tolerance=0.02)
FASTER = Figure("Times", "by hand", 220.0, 100.0, "s", "ours", 2.0, at_least=True, tolerance=0.1)
MEMORY = Figure("Weight", "memory", 90.0, 45.0, "MB", "a bare app", tolerance=0.3)
REFUSED = Figure("Crowd", "refused", 0, 1, "", "one", 0.0, count=True)
ALL = [TIME, FASTER, MEMORY, REFUSED]


def committed(figures: list[Figure]) -> list[dict[str, object]]:
    return [figure.record() for figure in figures]


# What cannot be measured


@pytest.mark.parametrize("ours", [0.0, -1.0, math.nan, math.inf])
def test_what_was_not_measured_is_an_error_and_no_number(ours: float) -> None:
    """`installed 0 MB`, of packages that were not there, was printed as if it were their size."""
    with pytest.raises(Unmeasured, match="Weight: memory"):
        replace(MEMORY, ours=ours)


@pytest.mark.parametrize("peer", [0.0, -1.0, math.nan, math.inf])
def test_nothing_is_compared_with_what_is_not_there(peer: float) -> None:
    with pytest.raises(Unmeasured, match="Weight: memory"):
        replace(MEMORY, peer=peer)


def test_a_count_may_be_none() -> None:
    assert REFUSED.kept is True
    assert replace(REFUSED, ours=1).kept is False


def test_a_package_that_is_not_installed_has_no_size() -> None:
    with pytest.raises(Unmeasured, match="no-such-package"):
        installed(["no-such-package"])


def test_a_machine_without_control_groups_has_no_figure_of_a_droplet(tmp_path: Path) -> None:
    with pytest.raises(Unmeasured, match="control groups"), control_group(512, 1.0, tmp_path):
        pass


def test_control_groups_that_cannot_be_limited_are_an_error(tmp_path: Path) -> None:
    """A folder that takes files is no kernel: nothing in it counts."""
    (tmp_path / "cgroup.procs").write_text("")
    with pytest.raises(Unmeasured, match="needed are root"), control_group(512, 1.0, tmp_path):
        pass


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder like docs/, with one section committed."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "performance.md").write_text(
        "# Performance\n\n<!-- figures -->\n\n<!-- end of figures -->\n\nWhy.\n"
    )
    assert renew({"weights": lambda: ALL}, tmp_path) == 0
    return tmp_path


def cannot() -> list[Figure]:
    raise Unmeasured("control groups: there are none")


def test_the_page_says_what_could_not_be_measured(
    docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "| memory | 90 MB | 45 MB |" in (docs / "performance.md").read_text()
    assert renew({"weights": cannot}, docs) == 1
    page = (docs / "performance.md").read_text()
    assert "**not measured: control groups: there are none**" in page
    assert "45 MB" not in page, "an older number is not its replacement"
    assert page.endswith("Why.\n")
    assert "not measured: control groups" in capsys.readouterr().out


# What became worse

Change = Callable[[Figure], Figure]


@pytest.mark.parametrize(
    ("worse", "says"),
    [
        (
            replace(TIME, ours=107.0),
            "Times: shutdown: the ratio is 1.07, it was 1.03, and ≤ 1.05 is promised",
        ),
        (
            replace(FASTER, ours=199.0),
            "Times: by hand: the ratio is 1.99, it was 2.2, and ≥ 2 is promised",
        ),
        (
            replace(MEMORY, ours=118.0),
            "Weight: memory: the ratio is 2.62, it was 2, and 2.6 is tolerated",
        ),
        (replace(REFUSED, ours=1), "Crowd: refused: the ratio is 1, it was 0, and ≤ 0 is promised"),
    ],
)
def test_a_planted_regression_is_found_and_named(worse: Figure, says: str) -> None:
    now = [worse if f.name == worse.name else f for f in ALL]
    assert regressions(committed(ALL), now) == [says]


@pytest.mark.parametrize(
    "changed",
    [
        replace(TIME, ours=104.9),
        replace(TIME, ours=50.0),
        replace(FASTER, ours=500.0),
        replace(MEMORY, ours=116.0),
        replace(MEMORY, ours=900.0, peer=450.0),
        replace(MEMORY, ours=900.0, tolerance=None),
    ],
)
def test_what_is_better_equal_or_within_its_tolerance_is_none(changed: Figure) -> None:
    now = [changed if f.name == changed.name else f for f in ALL]
    assert regressions(committed(ALL), now) == []


def test_within_a_promise_it_may_still_be_worse_than_it_is_tolerated() -> None:
    slow = replace(TIME, ours=104.0)
    assert regressions(committed([replace(TIME, ours=101.0)]), [slow]) == [
        "Times: shutdown: the ratio is 1.04, it was 1.01, and 1.03 is tolerated"
    ]


def test_what_was_missed_before_is_none_until_it_is_worse() -> None:
    before = [replace(TIME, ours=120.0)]
    assert regressions(committed(before), [replace(TIME, ours=121.0)]) == []
    assert len(regressions(committed(before), [replace(TIME, ours=130.0)])) == 1


def test_a_figure_that_is_gone_is_one_and_a_new_one_that_misses_its_promise() -> None:
    assert regressions(committed(ALL), ALL[1:]) == ["Times: shutdown: it is no longer measured"]
    assert regressions([], [replace(TIME, ours=110.0)]) == [
        "Times: shutdown: the ratio is 1.1, and ≤ 1.05 is promised"
    ]
    assert regressions([], [TIME]) == []


def test_the_command_fails_with_a_line_for_each_and_writes_nothing(
    docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (docs / "performance.json").read_text()
    slower = [replace(TIME, ours=120.0), FASTER, replace(MEMORY, ours=300.0), REFUSED]
    assert compare({"weights": lambda: slower}, docs) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "Times: shutdown: the ratio is 1.2, it was 1.03, and ≤ 1.05 is promised",
        "Weight: memory: the ratio is 6.67, it was 2, and 2.6 is tolerated",
    ]
    assert compare({"weights": cannot}, docs) == 1
    assert "weights: not measured: control groups" in capsys.readouterr().out
    assert compare({"weights": lambda: ALL, "droplet": lambda: [MEMORY]}, docs) == 0
    assert (docs / "performance.json").read_text() == before


def test_the_command_line_compares_the_named_sections(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = json.loads((DOCS / "performance.json").read_text("utf-8"))["procedures"]["figures"]
    planted = [read(record) for record in seen]
    planted[-1] = replace(planted[-1], ours=planted[-1].peer * 50, at_least=False, limit=None)
    monkeypatch.setitem(SECTIONS, "procedures", lambda: planted)
    monkeypatch.setattr("sys.argv", ["bench", COMPARE, "procedures"])
    assert main() == 1
    assert f"{planted[-1].name}: the ratio is 50" in capsys.readouterr().out


# Goals and pictures


def test_each_goal_says_met_or_by_how_much_it_is_missed() -> None:
    goals = (
        Goal("Memory ≤ 80 MB", "Weight", "memory", 80.0, "ours"),
        Goal("≤ 1.05 × the critical path", "Times", "", 1.05),
        Goal("None refused", "Crowd", "refused", 0.0),
        Goal("Something else", "Nowhere", "", 1.0),
    )
    assert goals_table(ALL, goals).splitlines()[4:] == [
        "| Memory ≤ 80 MB | 90 MB | 45 MB: a bare app | 2 | MISSED by 12 % |",
        "| ≤ 1.05 × the critical path | 103 s | 100 s: the critical path | 1.03 | met |",
        "| None refused | 0 | 1: one | 0 | met |",
        "| Something else | not measured |  |  |  |",
    ]


def test_a_goal_finds_its_figures_where_they_are_measured() -> None:
    committed_parts = json.loads((DOCS / "performance.json").read_text("utf-8"))
    known = [read(record) for part in committed_parts.values() for record in part["figures"]]
    for goal in GOALS:
        if any(figure.group.startswith(goal.group) for figure in known):
            assert goal.figures(known), f"{goal.text}: no figure has such a name"


def test_a_picture_has_the_curve_and_its_floor() -> None:
    grows = [
        Figure(PICTURES[1].group, f"{n} under one token", 10.0 + n, 5.0, "requests", "its writes")
        for n in (1, 10)
    ]
    (drawn,) = pictures(grows).values()
    root = ET.fromstring(drawn)
    lines = [e for e in root.iter() if e.tag.endswith("polyline")]
    assert [line.get("stroke-dasharray") for line in lines] == ["5 4", None]
    texts = [e.text for e in root.iter() if e.tag.endswith("text")]
    assert "- - floor: its writes" in texts
    assert {"1", "10", "11", "20"} <= set(texts)


def test_a_floor_has_the_places_of_its_curve() -> None:
    with pytest.raises(ValueError, match="same places"):
        curve("t", "x", "y", [(1, 1), (2, 2)], [(1, 1)], "floor")


def test_every_picture_of_the_page_is_there() -> None:
    page = (DOCS / "performance.md").read_text("utf-8")
    for picture in PICTURES:
        assert f"](pictures/{picture.name}.svg)" in page
        assert (DOCS / "pictures" / f"{picture.name}.svg").is_file()


def test_tables_are_of_what_is_in_the_figures() -> None:
    lines = as_markdown([TIME]).splitlines()
    wanted = "| shutdown | 103 s | 100 s | the critical path | 1.03 | ≤ 1.05 | kept |"
    assert lines[-1] == wanted
