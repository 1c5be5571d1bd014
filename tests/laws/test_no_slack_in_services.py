"""Services know nothing of Slack.

No markup, no command prefix and no button in what they say or store.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from handlers.slack.markup import markup
from handlers.terminal.plaintext import TerminalReader, render_text
from services.common.markers import (
    WARNING,
    command,
    member_of,
    moment,
    person,
    person_in,
    strong,
    user_group,
    without_markers,
)
from tests.support.folders import by_folder

ROOT = Path(__file__).parents[2]
SERVICES = by_folder((ROOT / "services").rglob("*.py"))
FILLED_IN = "0"  # stands for what an f-string fills in
SLACK = {
    "a mention, channel, date or link": re.compile(r"(?<!\(\?)<[@#!][A-Za-z0-9]|<https?:"),
    "a command prefix": re.compile(r"(?<![\w/.-])/openvidu(?![\w/.-])"),
    "an emoji": re.compile(r"(?<![\w:])(?!:memory:):[a-z][a-z_]+:(?!\w)"),
    "bold text": re.compile(r"(?<![\w*\\\])}|?.])\*[A-Za-z0-9][^*\n]*\*(?![\w*])"),
}
# A regular expression that reads names as 0.1.0 stored them.
READS_STORED_NAMES = {("services/common/markers.py", r"(?:<@|\[\[person )(\w+)(?:>|\]\])")}


def strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every string literal but docstrings; an f-string as one, with what it fills in replaced."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    for node in ast.walk(tree):
        if id(node) in docstrings or id(node) in inside:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(map(literal, node.values))


def literal(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else FILLED_IN


def found_in(path: str, source: str) -> list[str]:
    return [
        f"{path}:{line}: {what}: {text!r}"
        for line, text in strings(ast.parse(source))
        for what, pattern in SLACK.items()
        if pattern.search(text) and (path, text) not in READS_STORED_NAMES
    ]


@pytest.mark.parametrize("folder", SERVICES, ids=lambda f: str(f.relative_to(ROOT)))
def test_what_services_say_is_free_of_slack(folder: Path) -> None:
    for path in SERVICES[folder]:
        assert found_in(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) == [], path


@pytest.mark.parametrize("folder", SERVICES, ids=lambda f: str(f.relative_to(ROOT)))
def test_services_make_no_buttons(folder: Path) -> None:
    """Not even inside an announcement: those that 0.1.0 stored have some, and are only read."""
    for path in SERVICES[folder]:
        tree = ast.parse(path.read_text("utf-8"))
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
        made = [n for n in calls if ast.unparse(n.func).endswith("Announcement")]
        assert [n.lineno for n in made if len(n.args) > 2] == [], path
        named = {"buttons", "action_id"}
        assert [n.lineno for n in calls if named & {k.arg for k in n.keywords}] == [], path


@pytest.mark.parametrize(
    "said",
    [
        '"ask <@U1>"',
        'f"ask <@{who}>"',
        'f"<!date^{at}^x|y>"',
        '"see `/openvidu status`"',
        '":warning: old"',
        'f"*{name} stays up*"',
        'f"*The {what} of {cluster}* went"',
    ],
)
def test_the_law_finds_what_it_looks_for(said: str) -> None:
    assert found_in("services/x.py", f'"""Docstring: `<@U1>`."""\nwords = {said}') != []


@pytest.mark.parametrize(
    "said",
    [
        '"[[command status]]"',
        '"/opt/openvidu/secrets.env"',
        '":memory:"',
        'r"^[a-z]*(.*)"',
        '"a * b"',
    ],
)
def test_the_law_lets_through_what_is_not_slack(said: str) -> None:
    assert found_in("services/x.py", f"words = {said}") == []


SENTENCES = [
    (person("UBEN"), "<@UBEN>", "@ben"),
    (user_group("S0OPS"), "<!subteam^S0OPS>", "@S0OPS"),
    (
        moment(1793000000.7),
        "<!date^1793000000^{date_short_pretty} {time}|26 Oct 07:33 UTC>",
        "Mon 26 Oct 07:33",
    ),
    (command("startup 3"), "`/openvidu startup 3`", "openvidu-bot run startup 3"),
    (command("window list"), "`/openvidu window list`", "openvidu-bot say window list"),
    (command("scale [N]"), "`/openvidu scale [N]`", "openvidu-bot run scale [N]"),
    (strong(f"by {person('UBEN')}"), "*by <@UBEN>*", "by @ben"),
    (f"{WARNING} old", ":warning: old", "! old"),
    ("a [[note]] [1]", "a [[note]] [1]", "a [[note]] [1]"),
]


@pytest.mark.parametrize(("text", "slack", "terminal"), SENTENCES)
def test_each_marker_has_a_form_in_slack_and_in_a_terminal(
    text: str, slack: str, terminal: str
) -> None:
    assert markup(text) == slack
    assert markup(slack) == slack, "what is finished stays as it is"
    assert render_text(text, TerminalReader(names={"UBEN": "ben"})) == terminal


def test_nothing_that_people_type_reads_as_a_marker() -> None:
    for typed in (person("UBEN"), "[[[person UBEN]]]", "[[[[person UBEN]]]]"):
        assert "<@" not in markup(without_markers(typed))


def test_names_that_an_earlier_version_stored_are_the_same_people() -> None:
    assert member_of("<@UBEN>") == member_of(person("UBEN")) == "UBEN"
    assert person_in("<@UBEN>") == person_in(person("UBEN")) == person("UBEN")
    assert (member_of("the bot"), person_in("the bot")) == ("the bot", "the bot")
