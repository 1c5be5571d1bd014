"""The documents: links resolve, commands parse, and the reference matches the code."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bot.command_line import build_parser
from bot.terminal.arguments import take_own_options
from config.settings import load
from handlers.commands.parser import parse
from scripts.badges import badges

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
IDS = [str(p.relative_to(ROOT)) for p in PAGES]
GENERATED = ROOT / "docs" / "reference"
STABLE = re.compile(
    r"https://(api\.slack\.com/apps|openvidu\.io)/?$|http://127\.0\.0\.1:\d+|"
    r"https://[\w.-]*example\.com\b.*|http://….*"
)
# Placeholders in documents, and values for them.
STANDS_FOR = {
    "RUN": "acme-7",
    "N": "3",
    "NODE": "media-1",
    "SIZE": "s-4vcpu-8gb",
    "ID": "acme-7",
    "KEY": "DASHBOARD_ADMIN_PASSWORD",
    "VERSION": "20261125",
    "NAME": "acme",
    "NUMBER": "3",
    "[N]": "3",
}


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return re.sub(
        r"^```.*?^```$|^ {4}[^\n]*$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL
    )


def spans(page: Path) -> Iterator[str]:
    """What stands in code: inline, and each line of a block."""
    text = page.read_text("utf-8")
    yield from re.findall(r"`([^`\n]+)`", prose(page))
    for block in re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()
    yield from (line.strip() for line in re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """The anchors that its headings make, as the usual viewers do."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert there.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(there), target


@pytest.mark.parametrize(
    "page", [p for p in PAGES if "docs" in p.parts or p.name == "README.md"], ids=str
)
def test_no_address_that_may_be_gone_tomorrow(page: Path) -> None:
    text = re.sub(
        r"\| `https?://[^`]*`", "", page.read_text("utf-8")
    )  # a setting's default is no link
    for url in re.findall(r"https?://[^\s)>`'\"\]]+", text):
        assert STABLE.match(url), url


def typed(line: str, program: str) -> str | None:
    """Return what follows the program in a line that begins with it, placeholders filled in."""
    found = re.match(rf"{re.escape(program)}(?: (.+))?$", line)
    if found is None:
        return None
    words = [
        STANDS_FOR.get(word, word)
        for word in (found[1] or "").split(" ")
        if word not in ("...", "…")
    ]
    return " ".join(words).strip()


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_what_is_said_to_slack_is_understood(page: Path) -> None:
    for line in spans(page):
        said = typed(line, "/openvidu")
        if said and said != "X" and not re.search(r"[|…]", said):
            assert parse(said).command, line


@pytest.mark.parametrize("page", [p for p in PAGES if GENERATED not in p.parents], ids=str)
def test_what_is_typed_in_a_shell_is_understood(page: Path) -> None:
    for line in spans(page):
        said = typed(line.removeprefix(".venv/bin/"), "openvidu-bot")
        if not said or re.search(r"[|…=]|verify|COMMAND", said):
            continue
        asked = build_parser().parse_args(shlex.split(said))
        if getattr(asked, "verb", "") in ("run", "plan"):
            words = take_own_options(asked)
            assert not words or parse(shlex.join(words)), line


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_settings_that_are_shown_are_taken(page: Path, tmp_path: Path) -> None:
    cluster = {"stack": "acme", "region": "ams3", "public_url": "https://meet.example.com"}
    for block in re.findall(
        r"^```yaml\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        shown = yaml.safe_load(block)
        path = tmp_path / "settings.yaml"
        path.write_text(yaml.safe_dump({"clusters": {"acme": cluster}} | shown))
        assert load(path, {"HOME": "/"})


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_make_targets_are_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in spans(page):
        if found := re.match(r"make ([a-z-]+)", line):
            assert found[1] in targets, line


def test_every_page_can_be_found_from_the_first() -> None:
    seen, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        targets = re.findall(r"\]\(([^)\s:#]+)", page.read_text("utf-8"))
        left += [(page.parent / target).resolve() for target in targets]
    assert {p for p in PAGES if "docs" in p.parts} <= seen


def test_the_reference_is_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.docs", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_site_lists_every_page() -> None:
    """What the navigation leaves out is found by search alone; decisions have a list of theirs."""
    listed = set(re.findall(r'= "([\w/.-]+\.md)"', (ROOT / "zensical.toml").read_text("utf-8")))
    pages = {str(p.relative_to(ROOT)) for p in PAGES}
    decisions = {p for p in pages if re.match(r"docs/adr/\d", p)}
    assert listed == pages - decisions


def test_badges_are_true() -> None:
    different = [
        name
        for name, svg in badges().items()
        if (ROOT / "docs" / "pictures" / name).read_text("utf-8") != svg
    ]
    assert not different, "make docs"


SAYS_WHY = (
    "not here",
    "not possible",
    "does not concern",
    "see the",
    "the same",
    "done after each",
)


def test_each_section_of_the_vendors_pages_has_a_command_or_a_reason() -> None:
    text = (ROOT / "docs/reference/vendor-pages.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    answers = [cell.strip() for row in rows for cell in row.strip("|").split("|")[1:]]
    told = [c for c in answers if c not in ("HA", "Elastic", "command", "Single Node")]
    told = [c for c in told if c not in ("HA and Elastic", "command, or where to go")]
    assert len(told) > 40
    for cell in told:
        says_why = cell.startswith(SAYS_WHY) or "prints the rollback" in cell
        assert "`/openvidu " in cell or says_why, cell
