"""What `make test` plays of what is there: something of everything, the same every time."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.changed import is_test, nearest
from tests.support.clusters import law
from tests.support.coverage_level import cases, covering, rotated, sample, spread
from tests.support.order import blocks, dealt

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py"))

made_up = st.lists(
    st.fixed_dictionaries({"kind": st.integers(0, 4), "command": st.integers(0, 6)}), max_size=40
)


@law
@given(made_up)
def test_each_value_of_each_parameter_is_played(made: list[dict[str, object]]) -> None:
    chosen = [made[index] for index in covering(made)]
    assert {pair for case in chosen for pair in case.items()} == {
        pair for case in made for pair in case.items()
    }
    values = {pair for case in made for pair in case.items()}
    assert len(chosen) <= len(values), "each adds something"


@pytest.mark.parametrize("kind", ["pool", "fixed", "autoscaler"])
@pytest.mark.parametrize("command", ["shutdown", "start"])
def test_a_value_is_the_same_in_each_case_that_has_it(
    kind: str, command: str, request: pytest.FixtureRequest
) -> None:
    """The cases as pytest makes them, not as we imagine them."""
    family = [
        item.callspec.params
        for item in request.node.parent.collect()
        if item.originalname == request.function.__name__
    ]
    assert cases([{"kind": kind, "command": command}])[0] == {"kind": 0, "command": 0}
    assert len(family) == 6
    assert len(covering(cases(family))) == 3


@law
@given(st.integers(1, 300), st.integers(1, 40), st.text(max_size=20))
def test_as_many_are_played_as_are_asked_for(count: int, few: int, name: str) -> None:
    for chosen in (spread(count, few), rotated(count, few, name)):
        assert len(chosen) == min(count, few)
        assert chosen <= set(range(count))


def test_tests_of_one_family_play_different_kinds() -> None:
    names = [f"test_{n}" for n in range(30)]
    assert set().union(*(rotated(3, 1, name) for name in names)) == {0, 1, 2}
    assert rotated(3, 1, "test_a") == rotated(3, 1, "test_a")


@law
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=9), st.booleans(), st.integers(0, 20),
    st.integers(1, 6), st.integers(0, 2),
)  # fmt: skip
def test_the_first_workers_begin_with_what_takes_longest(
    sizes: list[int], enough: bool, more: int, first: int, others_beside: int
) -> None:
    workers = first + others_beside
    others = more + (workers * sum(sizes) if enough else 0)
    units = [[f"{unit}.{n}" for n in range(size)] for unit, size in enumerate(sizes)]
    rest = [f"light {n}" for n in range(others)]
    order = dealt(units, rest, workers, first)
    assert sorted(order) == sorted([one for unit in units for one in unit] + rest)
    for unit in units:
        at = order.index(unit[0])
        assert order[at : at + len(unit)] == unit, "it stays together"
    if enough:
        starts = [sum(blocks(len(order), workers)[:n]) for n in range(first)]
        begin = [order[start] for start in starts][: len(units)]
        assert begin == [unit[0] for unit in units][: len(begin)]


def test_points_are_between_the_first_and_the_last() -> None:
    assert set(sample(100, 8)) <= set(range(1, 101))


def is_played(node: ast.AST) -> bool:
    """Return whether it is a test that `make test` does not leave out."""
    return (
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not any(ast.unparse(mark) == "pytest.mark.thorough" for mark in node.decorator_list)
    )


@pytest.mark.parametrize("file", FILES, ids=str)
def test_something_of_every_file_is_played(file: Path) -> None:
    tree = ast.parse((ROOT / file).read_text())
    assert any(map(is_played, ast.walk(tree)))
    marks = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign)]
    assert not [mark for mark in marks if mark.startswith("pytestmark") and "thorough" in mark]


# `make test-fast`


def test_what_changed_itself_comes_first_and_then_what_imports_it() -> None:
    found = nearest(["services/windows/holidays.py", "tests/laws/test_levels.py"])
    assert found[0] == "tests/laws/test_levels.py"
    assert "tests/laws/test_holidays.py" in found
    assert all(is_test(file) and (ROOT / file).is_file() for file in found)


def test_a_file_that_is_no_module_is_tested_where_it_is_named() -> None:
    assert "tests/laws/test_repository.py" in nearest(["Makefile"])
    assert nearest([]) == []
