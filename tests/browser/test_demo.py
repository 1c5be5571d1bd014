"""The demo as a newcomer plays it, in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.play import PATIENCE, Watched, running_browser, running_demo


@pytest.fixture
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture
def demo() -> Iterator[str]:
    with running_demo(24) as url:
        yield url


def test_shutdown_by_two_people(browser: Browser, demo: str) -> None:
    watched = Watched(browser, demo)
    page = watched.page
    log = page.locator("#log")
    expect(page.get_by_role("radio", name="Ana Ruiz")).to_have_attribute("aria-checked", "true")

    page.fill("#text", '/openvidu shutdown --reason "power work in ams3"')
    page.keyboard.press("Enter")
    approve = log.get_by_role("button", name="Approve")
    expect(approve).to_be_visible(timeout=PATIENCE)
    expect(log).to_contain_text("power work in ams3")
    approve.click()
    expect(log).to_contain_text("someone else must approve it", timeout=PATIENCE)

    page.get_by_role("radio", name="Ben Okafor").click()
    expect(log).not_to_contain_text("someone else must approve it")
    approve.click()
    expect(log).to_contain_text("Shutting down acme", timeout=PATIENCE)
    expect(approve).to_have_count(0)
    expect(page.locator("#panel")).to_contain_text("draining", timeout=PATIENCE)

    page.get_by_role("button", name="Kill the bot now").click()
    expect(page.locator("#panel")).to_contain_text("The bot was killed")
    expect(log).to_contain_text("acme is shut down", timeout=2 * PATIENCE)
    expect(page.locator("#panel .cluster")).to_contain_text("down")
    expect(page.locator("#guide .now")).to_contain_text("Bring it back", timeout=PATIENCE)
    log.locator(".message", has_text="acme is shut down").locator(".replies").click()
    thread = page.get_by_role("complementary", name="Thread")
    expect(thread).to_contain_text("bot restarted; picked up at")
    watched.is_accessible("a thread")
    page.keyboard.press("Escape")
    expect(thread).to_have_count(0)
    watched.has_no_complaints()
