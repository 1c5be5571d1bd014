"""Everything that the bot says, drawn in a real browser: on a desk and a phone, light and dark."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from scripts.gallery import running_gallery
from tests.browser.play import Watched
from tests.support.coverage_level import by_level
from tests.support.patience import HANG

ROOT = Path(__file__).parents[2]
EACH = """each => document.querySelectorAll(".exhibit").forEach(
    (exhibit, number) => number % each && exhibit.remove())"""
"""Keeps one exhibit in so many: axe takes 30 ms of CPU for each."""


@pytest.fixture(scope="module")
def gallery() -> Iterator[str]:
    urls: Queue[str] = Queue()
    ended = threading.Event()

    async def serve() -> None:
        async with running_gallery() as url:
            urls.put(url)
            await asyncio.to_thread(ended.wait)

    with ThreadPoolExecutor(1) as thread:
        serving = thread.submit(asyncio.run, serve())
        yield urls.get(timeout=HANG)
        ended.set()
        serving.result(HANG)


@pytest.mark.sampled(1)
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
    page.evaluate(EACH, by_level(6, 1, 1))
    watched.is_accessible(f"the gallery, {width} px, {scheme}")
    watched.has_no_complaints()
    page.close()
