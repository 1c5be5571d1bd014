"""The demo as a newcomer plays it, in a real browser."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.play import PATIENCE, Watched, running_demo


@pytest.fixture
def demo() -> Iterator[str]:
    with running_demo(24) as url:
        yield url


def test_shutdown_by_two_people(browser: Browser, demo: str) -> None:
    watched = Watched(browser, demo)
    page = watched.page
    log, now = page.locator("#log"), page.locator("#guide .guide-now")
    expect(page.get_by_role("radio", name="Ana Ruiz")).to_have_attribute("aria-checked", "true")

    page.fill("#text", '/openvidu shutdown --reason "power work in ams3"')
    page.keyboard.press("Enter")
    approve = log.get_by_role("button", name="Approve shutdown")
    expect(approve).to_be_visible(timeout=PATIENCE)
    expect(log).to_contain_text("power work in ams3")
    expect(now).to_contain_text("Become Ben")
    approve.click()
    page.locator("#confirm").get_by_role("button", name="Approve shutdown").click()
    private = log.locator(".message.private")
    expect(private).to_have_count(1, timeout=PATIENCE)
    expect(private).to_contain_text(re.compile("approve", re.IGNORECASE))

    page.get_by_role("radio", name="Ben Okafor").click()
    expect(private).to_have_count(0)
    expect(now).to_contain_text("Press Approve")
    approve.click()
    page.locator("#confirm").get_by_role("button", name="Approve shutdown").click()
    expect(log).to_contain_text("Shutting down acme", timeout=PATIENCE)
    expect(approve).to_have_count(0)
    panel = page.locator("#panel")
    expect(panel).to_contain_text("draining", timeout=PATIENCE)
    expect(now).to_contain_text("Watch the drain")

    page.get_by_role("button", name="Kill the bot now").click()
    expect(panel).to_contain_text("The bot was killed")
    expect(panel.locator(".cluster-head")).to_contain_text("shut down", timeout=PATIENCE)
    ended = log.locator(".message", has=page.get_by_role("button", name="Start up acme"))
    expect(ended).to_have_count(1, timeout=PATIENCE)
    expect(now).to_contain_text("Press Start up acme", timeout=PATIENCE)
    ended.locator(".replies").click()
    thread = page.get_by_role("complementary", name="Thread")
    expect(thread).to_contain_text("bot restarted")
    watched.is_accessible("a thread")
    page.keyboard.press("Escape")
    expect(thread).to_have_count(0)

    ended.get_by_role("button", name="Start up acme").click()
    log.get_by_role("button", name="Start up", exact=True).click(timeout=PATIENCE)
    expect(panel.locator(".cluster-head")).to_contain_text("in service", timeout=PATIENCE)
    expect(now).to_contain_text("Open App Home", timeout=PATIENCE)
    watched.has_no_complaints()
