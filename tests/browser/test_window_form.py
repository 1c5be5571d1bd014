"""The form for an off-hours window, filled in by hand in a real browser."""

from playwright.sync_api import Browser, expect

from tests.browser.play import PATIENCE
from tests.browser.test_demo import demo

__all__ = ["demo"]


def test_a_window_by_its_form(browser: Browser, demo: str) -> None:
    page = browser.new_page()
    complaints: list[str] = []
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text) if message.type in ("error", "warning") else None
        ),
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(demo)
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
    expect(log).to_contain_text("the masters stay")
    assert page.evaluate("fetch('/_control/problems').then(r => r.json())")["problems"] == []
    assert complaints == []
