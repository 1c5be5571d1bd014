"""What someone tries who has never seen the demo: wide, on a phone, and with the keyboard alone."""

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.play import PATIENCE, PHONE, Watched, says


def test_the_first_sight_says_what_this_is(desk: Watched) -> None:
    page = desk.page
    expect(page.locator("#log")).to_contain_text("A real bot in a pretend world.")
    expect(page.locator("#log")).to_contain_text("Nothing leaves this machine")
    expect(page.locator(".guide-count")).to_have_text("Shut down and start again: 1 of 7")
    expect(page.locator("#topic")).to_have_text("4 members")
    desk.is_ready()
    desk.is_accessible("the first sight")
    desk.has_no_complaints()


def test_words_without_a_slash_get_a_hint(desk: Watched) -> None:
    desk.is_ready()
    page, toast = desk.page, desk.page.locator("#toast")
    says(page, "help")
    expect(toast).to_have_text(
        "People read this, the bot does not. Its command is /openvidu: type /openvidu help."
    )
    says(page, "/help")
    expect(toast).to_contain_text("/help is not a valid command.")
    expect(toast).to_contain_text("The bot's command is /openvidu: type /openvidu help.")


def test_completions_show_commands_as_code(desk: Watched) -> None:
    desk.is_ready()
    page = desk.page
    page.fill("#text", "/openvidu h")
    offered = page.get_by_role("listbox", name="Completions")
    expect(offered.locator("code").first).to_have_text("all")
    assert "`" not in offered.inner_text()


@pytest.mark.thorough
def test_the_chat_follows_what_is_new_until_its_reader_scrolls_up(
    browser: Browser, demo: str
) -> None:
    watched = Watched(browser, demo, viewport={"width": 1280, "height": 620})
    watched.is_ready()
    page, log = watched.page, watched.page.locator("#log")
    answers = log.locator(".message.private")
    for number in (1, 2):
        says(page, "/openvidu status")
        expect(answers).to_have_count(number, timeout=PATIENCE)
    assert log.evaluate("e => e.scrollHeight > e.clientHeight + 200"), "there is much to scroll"
    # Another window, a phone's keyboard: the end stays the end.
    for height in (420, 700, 480):
        page.set_viewport_size({"width": 1000, "height": height})
        expect(answers.last.locator(".block").last).to_be_in_viewport(ratio=1)
    says(page, "/openvidu runs")
    expect(answers).to_have_count(3, timeout=PATIENCE)
    expect(answers.last).to_be_in_viewport()

    newer = page.get_by_role("button", name="New messages ↓")
    log.hover()
    page.mouse.wheel(0, -5000)
    expect(log).to_have_js_property("scrollTop", 0)
    expect(newer).to_be_hidden()
    order = {"as": "UBEN", "kind": "say", "channel": "COPS", "text": "is this thing on?"}
    page.evaluate(
        """order => fetch("/_control/act", {method: "POST", body: JSON.stringify(order),
           headers: {"Content-Type": "application/json"}}).then(r => r.json())""",
        order,
    )
    expect(newer).to_be_visible()
    assert log.evaluate("e => e.scrollTop") == 0, "nothing is taken out of a reader's hands"
    watched.is_accessible("new messages")
    newer.click()
    expect(log.get_by_text("is this thing on?")).to_be_in_viewport()
    expect(newer).to_be_hidden()
    watched.fits()
    page.close()


def test_no_link_leads_out_of_the_pretend_world(desk: Watched) -> None:
    desk.is_ready()
    page = desk.page
    page.evaluate(
        """() => { const link = document.createElement("a");
            link.href = "https://cloud.digitalocean.com/droplets"; link.target = "_blank";
            link.textContent = "Open in DigitalOcean"; document.querySelector(".head").append(link);
        }"""
    )
    page.get_by_role("link", name="Open in DigitalOcean").click()
    expect(page.locator("#toast")).to_have_text(
        "In this pretend world, the link leads nowhere: https://cloud.digitalocean.com/droplets"
    )
    assert len(page.context.pages) == 1
    desk.has_no_complaints()


def test_a_phone_shows_who_one_is_and_what_time_it_is(browser: Browser, demo: str) -> None:
    watched = Watched(browser, demo, viewport=PHONE)
    watched.is_ready()
    page = watched.page
    people = page.locator("#people")
    expect(people.get_by_text("ana")).to_be_visible()
    expect(people.get_by_text("carla")).to_be_hidden()
    page.get_by_role("radio", name="Carla Silva").click()
    expect(people.get_by_text("carla")).to_be_visible()
    expect(page.locator("#clock-slim")).to_be_visible()
    watched.fits()
    page.get_by_role("button", name="All steps").click()
    page.get_by_role("button", name="Press An hour a minute").click()
    expect(page.get_by_role("button", name="An hour a minute 60×")).to_be_focused()
    watched.is_accessible("the cloud on a phone")
    page.get_by_role("button", name="Close the cloud").click()
    expect(page.locator("#panel")).to_be_hidden()
    page.close()
