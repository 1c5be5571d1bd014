"""One browser, and where a module asks for it one demo, for all its stories."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.play import running_browser, running_demo


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    """One for all, as starting it takes a while; each story leaves nothing that waits or runs."""
    with running_demo(60) as url:
        yield url
