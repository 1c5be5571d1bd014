"""The demo as a newcomer plays it, in a real browser."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.play import PATIENCE, Watched, running_demo


@pytest.fixture(name="demo", scope="module")
def _demo() -> Iterator[str]:
    with running_demo(60) as url:
        yield url


def test_the_page_is_there_before_the_bot_and_holds_what_is_sent(
    browser: Browser, demo: str
) -> None:
    """The first that is done in this demo."""
    watched = Watched(browser, demo)
    page = watched.page
    page.fill("#text", "/openvidu status")
    page.keyboard.press("Enter")
    expect(page.locator("#log .message").first).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#log")).to_contain_text("acme")
    expect(page.locator("#starting")).to_be_hidden()
    watched.has_no_complaints()
    page.close()


def test_the_strip_leads_someone_with_a_keyboard(browser: Browser, demo: str) -> None:
    """From the first step to an approved shutdown: Tab and Enter."""
    watched = Watched(browser, demo)
    watched.is_ready()
    page, log = watched.page, watched.page.locator("#log")
    now = page.locator(".guide-now .step")

    def takes(text: str) -> None:
        expect(now).to_have_text(text, timeout=PATIENCE)
        page.locator("body").evaluate("() => document.activeElement.blur()")
        watched.tab_to(now)
        page.keyboard.press("Enter")

    takes("Request a shutdown")
    expect(page.locator("#text")).to_be_focused()
    expect(now).to_have_text("Press Enter to send it")
    page.keyboard.press("Enter")
    takes("Become Ben: Ana cannot approve her own request")
    expect(page.get_by_role("radio", name="Ben Okafor")).to_be_checked()
    expect(page.locator("#toast")).to_have_text("You are Ben Okafor now.")
    takes("Press Approve shutdown")
    expect(log.get_by_role("button", name="Approve shutdown")).to_be_focused()
    page.keyboard.press("Enter")
    confirm = page.locator("#confirm")
    watched.tab_to(confirm.get_by_role("button", name="Approve shutdown"))
    page.keyboard.press("Enter")
    expect(now).to_contain_text("Watch", timeout=PATIENCE)
    watched.has_no_complaints()
    page.close()


@pytest.mark.thorough
def test_shutdown_by_two_people(browser: Browser) -> None:
    with running_demo(24) as url:
        watched = Watched(browser, url)
        shut_down_by_two(watched)
        watched.has_no_complaints()
        watched.page.close()


def shut_down_by_two(watched: Watched) -> None:
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
    # A slow machine's bot says before that it is looking.
    private = log.locator(".message.private", has_text=re.compile("approve", re.IGNORECASE))
    expect(private).to_have_count(1, timeout=PATIENCE)

    page.get_by_role("radio", name="Ben Okafor").click()
    expect(log.locator(".message.private")).to_have_count(0)
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
