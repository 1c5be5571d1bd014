"""The demo's strip, panel and message box: in a real browser, wide and narrow."""

from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from bot.demo.faults import FAULTS
from bot.demo.world import GUIDE
from tests.browser.play import PATIENCE, Watched

LONGEST = max((str(step["text"]) for step in GUIDE), key=len)
WIDTHS = (1280, 390)


def is_whole(page: Page, what: Locator) -> bool:
    """Return whether all of it is on the screen."""
    box = what.bounding_box()
    assert box is not None
    width, height = page.evaluate("[innerWidth, innerHeight]")
    return bool(
        box["x"] >= 0
        and box["y"] >= 0
        and box["x"] + box["width"] <= width
        and box["y"] + box["height"] <= height
    )


@pytest.mark.sampled(1)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_next_step_is_always_visible(desk: Watched, width: int) -> None:
    desk.page.set_viewport_size({"width": width, "height": 720})
    desk.is_ready()
    page = desk.page
    now = page.locator(".guide-now .step")
    expect(now).to_have_text("Request a shutdown")
    assert is_whole(page, now)
    desk.fits()
    # The longest of all steps fits, too.
    now.evaluate("(e, text) => { e.textContent = text; }", LONGEST)
    assert is_whole(page, now)
    desk.fits()
    page.get_by_role("button", name="All steps").click()
    assert page.locator("#guide-steps li").count() == len(GUIDE)
    expect(page.locator("#guide-steps li[aria-current=step]")).to_contain_text("Request a shutdown")
    desk.is_accessible("all steps")
    page.keyboard.press("Escape")
    expect(page.locator("#guide-steps")).to_be_hidden()
    expect(page.get_by_role("button", name="All steps")).to_be_focused()


def test_a_dry_run_is_not_the_request(desk: Watched) -> None:
    desk.is_ready()
    page = desk.page
    page.fill("#text", "/openvidu shutdown --dry-run")
    page.keyboard.press("Enter")
    expect(page.locator("#log .message.private").last).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".guide-now .step")).to_have_text("Request a shutdown")
    page.locator(".guide-now .step").click()
    expect(page.locator("#text")).to_be_focused()
    expect(page.locator("#text")).to_have_value(str(GUIDE[0]["fill"]))


def test_faults_are_listed_by_kind_with_their_state(desk: Watched) -> None:
    desk.is_ready()
    page = desk.page
    kinds = list(dict.fromkeys(str(fault["kind"]) for fault in FAULTS))
    assert kinds == ["Bot", "Slack", "DigitalOcean", "Nodes", "LiveKit", "Spaces"]
    sections = page.locator("#panel .switches")
    names = [section.get_attribute("aria-label") for section in sections.all()]
    assert names == ["Clock", "Meetings", *kinds]
    for fault in (one for one in FAULTS if one.get("toggle")):
        section = page.get_by_role("region", name=str(fault["kind"]), exact=True)
        button = section.get_by_role("button", name=str(fault["label"]))
        expect(button).to_have_attribute("aria-pressed", "false")
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        expect(section.locator("h3")).to_contain_text("1 on")
        button.click()
        expect(button).to_have_attribute("aria-pressed", "false")
    desk.is_accessible("the panel")


def test_no_one_can_write_to_the_app(desk: Watched) -> None:
    """The manifest makes the app's messages read-only, so its composer is not there."""
    desk.is_ready()
    page = desk.page
    page.get_by_role("button", name="openvidu · Home").click()
    expect(page.locator("#home .block").first).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Messages", exact=True).click()
    expect(page.locator("#composer")).to_be_hidden()
    expect(page.get_by_text("Sending messages to this app has been turned off")).to_be_visible()
    order = {"as": "UANA", "kind": "say", "channel": "DANA", "text": "status"}
    answer = page.evaluate(
        """order => fetch("/_ui/act", {method: "POST", body: JSON.stringify(order),
           headers: {"Content-Type": "application/json"}}).then(r => r.json())""",
        order,
    )
    assert answer == {"ok": False, "error": "sending messages to this app has been turned off"}


@pytest.mark.sampled(1)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_accessible(
    desk: Watched, width: int, scheme: Literal["light", "dark"]
) -> None:
    desk.page.set_viewport_size({"width": width, "height": 844})
    desk.page.emulate_media(color_scheme=scheme)
    desk.is_ready()
    desk.is_accessible(f"{width} px, {scheme}")
    desk.fits()
    desk.has_no_complaints()


@pytest.mark.thorough
def test_at_twice_the_size(browser: Browser, demo: str) -> None:
    """A browser at 200 % on a screen of 1280 by 800 has half as many pixels for the page."""
    half = {"width": 640, "height": 400}
    watched = Watched(browser, demo, viewport=half, device_scale_factor=2)
    watched.is_ready()
    page = watched.page
    watched.fits()
    assert is_whole(page, page.locator(".guide-now .step"))
    assert is_whole(page, page.locator("#text"))
    page.fill("#text", "/openvidu status")
    page.keyboard.press("Enter")
    expect(page.locator("#log .message").last).to_be_in_viewport(timeout=PATIENCE)
    watched.fits()
    watched.is_accessible("200 %")
    page.close()


@pytest.mark.thorough
def test_with_the_keyboard_alone(browser: Browser, demo: str) -> None:
    """Ana requests, Ben rejects: no mouse."""
    watched = Watched(browser, demo)
    watched.is_ready()
    page = watched.page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the message box")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("/openvidu shutdown")
    page.keyboard.press("Enter")
    log = page.locator("#log")
    approve = log.get_by_role("button", name="Approve").first
    expect(approve).to_be_visible(timeout=PATIENCE)

    page.locator("body").evaluate("() => document.activeElement.blur()")
    watched.tab_to(page.get_by_role("radio", name="Ana Ruiz"))
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Ben Okafor")).to_be_focused()
    watched.tab_to(log.get_by_role("button", name="Reject").first)
    page.keyboard.press("Enter")
    form = page.locator("#modal")
    expect(form.locator("input, textarea").first).to_be_focused(timeout=PATIENCE)
    page.keyboard.type("not tonight")
    watched.tab_to(form.locator("button[type=submit]"))
    page.keyboard.press("Enter")
    expect(form).to_be_hidden(timeout=PATIENCE)
    expect(log.get_by_role("button", name="Approve")).to_have_count(0, timeout=PATIENCE)
    expect(log).to_contain_text("not tonight")
    watched.has_no_complaints()
    page.close()
