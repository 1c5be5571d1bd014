"""Forms, modals, App Home, a fault, a phone, a keyboard, a screen reader: in a real browser."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.play import PATIENCE, PHONE, Watched, running_demo, says


@pytest.fixture(scope="module")
def other_demo() -> Iterator[str]:
    """A demo in which no one has asked for anything yet."""
    with running_demo(60) as url:
        yield url


def test_a_window_by_its_form(desk: Watched) -> None:
    page = desk.page
    page.fill("#text", "/openvidu window add nights")
    page.keyboard.press("Enter")
    form = page.get_by_role("dialog")
    expect(form.get_by_label("Name")).to_have_value("nights", timeout=PATIENCE)
    expect(form).to_contain_text("masters are billed while powered off")
    form.get_by_label("Sat").check()
    form.get_by_label("Closes at").fill("21:15")
    form.get_by_label("Media nodes only").check()
    form.get_by_label("Time zone").fill("Madird")
    form.get_by_role("button", name="Request approval").click()
    expect(form).to_contain_text("did you mean Europe/Madrid?", timeout=PATIENCE)
    form.get_by_label("Time zone").fill("Europe/Madrid")
    form.get_by_role("button", name="Request approval").click()
    expect(form).to_have_count(0, timeout=PATIENCE)
    log = page.locator("#log")
    expect(log).to_contain_text("nights 21:15-07:30 (Mon-Sat, Europe/Madrid)", timeout=PATIENCE)
    expect(log).to_contain_text("only media nodes are shut down")
    log.get_by_role("button", name="Reject").click()
    expect(log.get_by_role("button", name="Approve")).to_have_count(0, timeout=PATIENCE)
    desk.has_no_complaints()


@pytest.mark.thorough
def test_a_modal_leads_to_the_plan_and_the_plan_to_the_run(
    browser: Browser, other_demo: str
) -> None:
    watched = Watched(browser, other_demo)
    page, log = watched.page, watched.page.locator("#log")
    says(page, "/openvidu")
    scale = log.get_by_role("button", name="Scale…")
    expect(scale).to_be_visible(timeout=PATIENCE)
    watched.is_accessible("the menu")
    watched.fits()

    scale.click()
    modal = page.get_by_role("dialog", name="Scale")
    expect(modal.get_by_label("How many media nodes")).to_be_focused(timeout=PATIENCE)
    expect(modal.locator("option", has_text="4 media nodes · $0.29/h")).to_have_count(1)
    watched.is_accessible("a form")
    page.keyboard.press("Escape")
    expect(modal).to_have_count(0)

    scale.click()
    modal.get_by_label("How many media nodes").select_option("4")
    modal.get_by_label("Reason").fill("a big evening")
    page.keyboard.press("Enter")
    expect(modal.get_by_label("How many media nodes")).to_have_count(0, timeout=PATIENCE)
    expect(modal).to_contain_text("$0.07/h", timeout=PATIENCE)
    expect(log).not_to_contain_text("a big evening")
    watched.is_accessible("a plan")
    modal.locator("button[type=submit]").click()
    expect(modal).to_have_count(0, timeout=PATIENCE)
    expect(log).to_contain_text("a big evening", timeout=PATIENCE)
    expect(page.locator("#panel .node", has_text="media-4")).to_have_count(1, timeout=PATIENCE)
    expect(page.locator("#panel .node", has_text="media-4")).to_contain_text(
        "in service", timeout=PATIENCE
    )

    page.get_by_role("button", name=re.compile("^Under the hood")).click()
    wire = page.get_by_role("region", name="Wire")
    expect(wire).to_contain_text("chat.update")
    watched.is_accessible("the wire")
    for service in ("Slack", "DigitalOcean", "SSH", "Spaces", "LiveKit", "Health checks"):
        page.get_by_role("button", name=service, exact=True).click()
        expect(wire.locator(".entry").first).to_be_visible(timeout=PATIENCE)
        kinds = set(wire.locator(".kind").all_inner_texts())
        assert all(service.removesuffix("s").lower() in kind.lower() for kind in kinds) or (
            service == "Slack"
        ), kinds
        assert wire.locator(".entry").count() <= 200
        for entry in wire.locator("details").all()[:3]:
            entry.locator("summary").click()
    assert "dop_v1_sim" not in page.content()
    assert "sim-spaces-secret" not in page.content()
    watched.is_accessible("the calls to one service")
    watched.has_no_complaints()
    page.close()


@pytest.mark.thorough
def test_on_a_phone(browser: Browser, other_demo: str) -> None:
    watched = Watched(browser, other_demo, viewport=PHONE, has_touch=True, color_scheme="dark")
    page, log = watched.page, watched.page.locator("#log")
    watched.fits()
    says(page, "/openvidu shutdown --no-drain")
    approve = log.get_by_role("button", name="Approve")
    expect(approve).to_be_visible(timeout=PATIENCE)
    watched.fits()
    approve.click()
    confirm = page.get_by_role("dialog", name="Approve")
    expect(confirm).to_contain_text("14 people")
    expect(confirm.locator(".button.danger")).to_have_count(1)
    watched.fits()
    watched.is_accessible("a confirm dialog")
    confirm.get_by_role("button", name="Go back").click()
    expect(confirm).to_have_count(0)
    assert all(
        b["height"] >= 32
        for b in (
            approve.bounding_box(),
            page.get_by_role("button", name="Channels").bounding_box(),
        )
        if b
    )
    watched.is_accessible("a phone, in the dark")

    page.get_by_role("button", name="Channels").click()
    page.get_by_role("button", name="openvidu · Home").click()
    more = page.locator("#home select").last
    expect(more).to_be_visible(timeout=PATIENCE)
    watched.fits()
    page.get_by_role("button", name="Cloud").click()
    expect(page.locator("#panel")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).not_to_be_visible()

    more.select_option(label="Restart a node…")
    modal = page.get_by_role("dialog", name="Restart")
    expect(modal.get_by_label("Which node")).to_be_visible(timeout=PATIENCE)
    watched.fits()
    watched.is_accessible("a form on a phone")
    modal.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Channels").click()
    page.get_by_role("button", name="ops", exact=True).click()
    log.get_by_role("button", name="Reject").click()  # her own request: no reason is asked for
    expect(approve).to_have_count(0, timeout=PATIENCE)
    page.keyboard.press("Escape")
    watched.has_no_complaints()
    page.close()


@pytest.mark.thorough
def test_approved_on_app_home_while_digitalocean_refuses(browser: Browser, other_demo: str) -> None:
    watched = Watched(browser, other_demo)
    page, home = watched.page, watched.page.locator("#home")
    page.get_by_role("button", name="DigitalOcean refuses a pool of 0").click()
    zero = page.get_by_role("button", name="DigitalOcean refuses a pool of 0")
    expect(zero).to_have_attribute("aria-pressed", "true")
    # From here on by keyboard alone, up to the approval.
    page.locator("#text").focus()
    page.keyboard.type("/openvidu shutd")
    expect(page.get_by_role("listbox", name="Completions")).to_contain_text("shutdown")
    page.keyboard.press("Tab")
    expect(page.locator("#text")).to_have_value("/openvidu shutdown ")
    page.keyboard.press("Enter")
    expect(page.locator("#log").get_by_role("button", name="Approve")).to_be_visible(
        timeout=PATIENCE
    )

    page.get_by_role("radio", name="Ana Ruiz").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Ben Okafor")).to_be_focused()
    page.get_by_role("button", name="openvidu · Home").focus()
    page.keyboard.press("Enter")
    expect(home.get_by_role("button", name="Approve")).to_be_visible(timeout=PATIENCE)
    watched.is_accessible("App Home")
    home.get_by_role("button", name="Approve").focus()
    page.keyboard.press("Enter")
    confirm = page.locator("#confirm")
    expect(confirm).to_be_visible()
    watched.tab_to(confirm.locator(".modal-foot button").last)
    page.keyboard.press("Enter")
    expect(home).to_contain_text("Shutting down acme", timeout=PATIENCE)
    expect(home.get_by_role("button", name="Approve")).to_have_count(0, timeout=PATIENCE)

    back = home.get_by_role("button", name=re.compile("^Put the [34] nodes back"))
    expect(back).to_be_visible(timeout=PATIENCE)
    back.click()
    expect(back).to_have_count(0, timeout=PATIENCE)
    head = page.locator("#panel .cluster-head")
    expect(head).to_contain_text("in service", timeout=PATIENCE)
    zero.click()
    expect(zero).to_have_attribute("aria-pressed", "false")
    watched.has_no_complaints()
    page.close()
