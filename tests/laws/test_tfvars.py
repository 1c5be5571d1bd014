"""A variables file: an edit leaves all other bytes alone; what is not understood is refused."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import Refused
from services.terraform.tfvars import VariablesFile, read_variables

SECRET = "dop_v1_5ecret"
FILE = f'''# The token
doToken = "{SECRET}" // never shown
/* several
   lines: mediaNodeInstanceType = "no" */
tags = ["a", # one
  "b]"]
motd = <<-EOT
  fixedNumberOfMediaNodes = 9
  EOT
template = "${{upper("}}")}} $${{x}}"

mediaNodeInstanceType    = "c-4"   # see the price list
fixedNumberOfMediaNodes  = 3
masterNodesInstanceType = "s-4vcpu-8gb"'''


def read(text: str) -> VariablesFile:
    return read_variables("terraform.tfvars", text)


def test_values_are_those_of_terraform() -> None:
    names = ("mediaNodeInstanceType", "fixedNumberOfMediaNodes", "masterNodesInstanceType", "none")
    assert read(FILE).values(names) == {
        "mediaNodeInstanceType": "c-4",
        "fixedNumberOfMediaNodes": 3,
        "masterNodesInstanceType": "s-4vcpu-8gb",
    }
    assert read('a = "3"\nb = null').values(("a", "b")) == {"a": 3}


def test_an_edit_changes_nothing_but_the_value() -> None:
    after = read(FILE).with_values({"mediaNodeInstanceType": "c-8", "fixedNumberOfMediaNodes": 12})
    assert after.text == FILE.replace('= "c-4"  ', '= "c-8"  ').replace("Nodes  = 3", "Nodes  = 12")


def test_a_number_keeps_its_quotation_marks_and_line_ends_stay() -> None:
    assert read('a = "3"\r\nb = 1\r\n').with_values({"a": 4}).text == 'a = "4"\r\nb = 1\r\n'
    assert read("b = 1\r\n").with_values({"a": "c-8"}).text == 'b = 1\r\na = "c-8"\r\n'


def test_a_missing_variable_is_a_line_of_its_own() -> None:
    assert read("b = 1\n").with_values({"a": 4}).text == "b = 1\na = 4\n"
    assert read("").with_values({"a": 4}).text == "a = 4\n"
    assert read("# only").with_values({"a": 4}).text == "a = 4\n# only"


def test_the_difference_shows_no_line_that_stays() -> None:
    """The last line has no end and holds a token: the new line goes before it."""
    before = read(f'b = 1\ndoToken = "{SECRET}"')
    after = before.with_values({"a": 4})
    diff = before.difference(after)
    assert after.text == f'b = 1\na = 4\ndoToken = "{SECRET}"'
    assert SECRET not in diff
    assert "+a = 4\n" in diff
    whole = read(FILE)
    shown = whole.difference(whole.with_values({"masterNodesInstanceType": "c-8"}))
    assert SECRET not in shown
    assert "price list" not in shown
    assert shown.count("\\ No newline at end of file") == 2


def test_the_difference_is_one_that_git_applies(tmp_path: Any) -> None:
    import subprocess  # noqa: PLC0415 - git, on a file of this test

    for text in (FILE, 'b = 1\ndoToken = "x"', "b = 1\r\n", ""):
        before = read(text)
        after = before.with_values({"fixedNumberOfMediaNodes": 7, "instanceType": "c-8"})
        (tmp_path / "terraform.tfvars").write_bytes(text.encode())
        patch = before.difference(after)
        done = subprocess.run(
            ["git", "apply", "--unidiff-zero", "-"],
            input=patch.encode(), cwd=tmp_path, capture_output=True, check=False,
        )  # fmt: skip
        if text:
            assert done.returncode == 0, done.stderr
            assert (tmp_path / "terraform.tfvars").read_bytes() == after.text.encode()


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("a = 1\nvariable x {\n}\n", 2, "variable is not followed by ="),
        ("a = 1\n\na = 2\n", 3, "a is set twice (also in line 1)"),
        ('a = "x\n', 1, "this quoted text has no end"),
        ("a = [1,\n2\n", 3, "] is missing"),
        ("a = <<EOT\nx\n", 1, "the text up to EOT has no end"),
        ("a = 1\n/* x", 2, "this comment has no end"),
        ("a = \nb = 1", 1, "a has no value"),
        ("a == 1", 1, "a is not followed by ="),
        ('"a" = 1', 1, "this is no assignment of a variable"),
        ("a = )", 1, ") closes nothing"),
        ("\n<<<<<<< HEAD\n", 2, "this is no assignment of a variable"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_line(text: str, line: int, why: str) -> None:
    with pytest.raises(Refused) as refused:
        read(text)
    assert str(refused.value) == f"terraform.tfvars, line {line}: {why}"


@pytest.mark.parametrize("value", ['"${x}"', "var.size", "[1]", "1 + 1", '"a\\"b"', "1.5", "-1"])
def test_a_value_that_is_computed_is_refused_where_it_counts(value: str) -> None:
    file = read(f"x = 1\nsize = {value}\n")
    assert file.values(("x",)) == {"x": 1}
    for work in (lambda: file.values(("size",)), lambda: file.with_values({"size": "c-8"})):
        with pytest.raises(Refused, match="line 2: size is no plain text or whole number"):
            work()


def test_nothing_strange_is_ever_written() -> None:
    for value in ('c-8"\ndoToken = "x', "${x}", "", "a b", "x" * 64):
        with pytest.raises(Refused):
            read("a = 1").with_values({"a": value})


NAMES = ("alpha", "fixedNumberOfMediaNodes", "beta", "mediaNodeInstanceType")
OTHER = st.sampled_from(
    ["", "# = x", "// { [", "/* a = 1\n */", 'o{} = "}}#"', "l{} = [1, 2]", "h{} = <<E\n a = 1\nE"]
)


@given(st.lists(OTHER, max_size=6), st.integers(0, 99), st.sampled_from(["\n", "\r\n"]))
def test_any_neighbours_stay(neighbours: list[str], number: int, end: str) -> None:
    lines = [one.replace("{}", str(n)) for n, one in enumerate(neighbours)]
    lines.insert(number % (len(lines) + 1), "count = 7 # seven")
    text = end.join(line.replace("\n", end) for line in lines) + end
    after = read(text).with_values({"count": number})
    assert after.text == re.sub("count = 7", f"count = {number}", text)
    assert after.values(("count",)) == {"count": number}
