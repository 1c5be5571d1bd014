"""One browser, one demo and one usual page for all stories that may share them.

They end with the last of these tests: while a browser runs, no other loop may run in the process.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.play import DESK, Watched, running_browser, running_demo


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture(scope="package")
def demo() -> Iterator[str]:
    """One for all, as starting it takes a while; each story leaves nothing that waits or runs."""
    with running_demo(60) as url:
        yield url


@pytest.fixture(scope="package")
def _page(browser: Browser, demo: str) -> Watched:
    return Watched(browser, demo, viewport=DESK)


@pytest.fixture
def desk(_page: Watched) -> Watched:
    """The demo on a desk, drawn anew in a window that is there: another one costs more."""
    _page.opens_again()
    return _page
