"""The figures of `make measure`, on trees small enough to count by hand."""

import pytest

from scripts import measure
from scripts.measure import File, Tree


def tree(**files: str) -> Tree:
    """`services__a__b` is services/a/b.py."""
    return Tree([File(f"{name.replace('__', '/')}.py", text) for name, text in files.items()])


CHAIN = {
    "services__top__one": "from services.middle import x\nimport json\n",
    "services__top__two": "import services.top.one\n",
    "services__middle": "def f():\n    from services.ground.clock import Clock\n",
    "services__ground__clock": "",
}


def test_rooms_stand_as_high_as_their_longest_chain_of_imports() -> None:
    assert measure.layers(tree(**CHAIN), "services") == "3, 3, 0"


def test_an_import_against_the_others_is_an_arrow_upward() -> None:
    upward = CHAIN | {"services__ground__clock": "from services.top import one\n"}
    assert measure.layers(tree(**upward), "services") == "3, 3, 1"


@pytest.mark.parametrize(
    ("source", "conditionals", "strings"),
    [
        ("x = 1 if y else 2", 1, 0),
        ("x = f'{1 if y else 2}'", 1, 1),
        ("x = f'{y}'\nif y:\n    pass", 0, 0),
    ],
)
def test_conditions_are_counted(source: str, conditionals: int, strings: int) -> None:
    one = tree(bot__a=source)
    assert measure.density(one, measure.is_conditional).endswith(f"({conditionals})")
    assert measure.density(one, measure.has_condition).endswith(f"({strings})")


def test_only_comments_suppress() -> None:
    text = "x = 1  # noqa: E1\ny = '# noqa'\nz = 2  # type: ignore[misc]\n# ruff: noqa: E501\n"
    one = tree(bot__a=text, tests__b=text)
    assert measure.count_comments(one, ["bot"], measure.NOQA) == "2"
    assert measure.count_comments(one, ["bot"], measure.IGNORE) == "1"


def test_classes_are_counted_by_size_and_by_name() -> None:
    methods = "".join(f"    def m{n}(self): ...\n" for n in range(26))
    two = tree(bot__a=f"class Home:\n{methods}", services__b="class _Home: ...\nclass Run: ...\n")
    assert measure.large_classes(two) == ["Home"]
    assert measure.ambiguous_classes(two) == ["Home"]


def test_private_words_are_found_in_names_and_prose() -> None:
    one = tree(bot__a='"""What somebody said."""\ndef tell_all(theSaid, other): x = y.wish\n')
    assert measure.private_identifiers(one) == 2
    assert measure.private_prose(one) == 1


@pytest.mark.thorough
def test_the_working_tree_is_measured_as_git_has_it() -> None:
    each_figure_has_a_row(measure.working_tree())


def test_a_small_tree_has_all_figures_too() -> None:
    each_figure_has_a_row(tree(**CHAIN))


def each_figure_has_a_row(now: Tree) -> None:
    table = measure.table(now, now, "a", "b").splitlines()
    assert len(table) == 2 + len(list(measure.figures()))
    assert len({len(line) for line in table}) == 1
