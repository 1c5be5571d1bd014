"""Everything that the bot says, drawn in a real browser as narrow as a phone."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.play import Watched, running_browser

ROOT = Path(__file__).parents[2]


@pytest.fixture
def gallery() -> Iterator[str]:
    words = [sys.executable, "-m", "scripts.gallery", "--port", "0"]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().split(" ")[1]
    process.terminate()
    process.wait(10)


def test_every_message_and_view_is_drawn_on_a_phone(gallery: str) -> None:
    golden = sorted(ROOT.joinpath("tests", "laws", "golden").rglob("*.json"))
    with running_browser() as browser:
        watched = Watched(browser, gallery, viewport={"width": 390, "height": 844})
        page = watched.page
        expect(page.locator(".exhibit")).to_have_count(len(golden))
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, [
            e.get_attribute("id")
            for e in page.locator(".exhibit").all()
            if e.evaluate("e => e.scrollWidth > 380")
        ]
        watched.is_accessible("the gallery")
        watched.has_no_complaints()
