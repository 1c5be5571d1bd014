"""Everything that the bot says, drawn in a real browser: on a desk and a phone, light and dark."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.play import Watched
from tests.support.patience import HANG

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def gallery() -> Iterator[str]:
    words = [sys.executable, "-m", "scripts.gallery", "--port", "0"]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().split(" ")[1]
    process.terminate()
    process.wait(HANG)


@pytest.mark.sampled
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_message_and_view_is_drawn(
    browser: Browser, gallery: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    golden = sorted(ROOT.joinpath("tests", "laws", "golden").rglob("*.json"))
    size = {"width": width, "height": 844}
    watched = Watched(browser, gallery, viewport=size, color_scheme=scheme)
    page = watched.page
    expect(page.locator(".exhibit")).to_have_count(len(golden))
    wide = page.evaluate("document.documentElement.scrollWidth")
    too_wide = "list => list.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.id)"
    assert page.locator(".exhibit").evaluate_all(too_wide) == []
    assert wide <= width
    watched.is_accessible(f"the gallery, {width} px, {scheme}")
    watched.has_no_complaints()
    page.close()
