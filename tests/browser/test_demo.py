"""The demo as a newcomer plays it, in a real browser."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.support.tools import chromium

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SPEED = "24"
PATIENCE = 30_000.0  # milliseconds: two cores may have four tests on them


@pytest.fixture
def browser() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=path, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture
def demo() -> Iterator[str]:
    words = [sys.executable, "-m", "bot", "demo", "--port", "0", "--speed", SPEED, "--no-browser"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "http://127.0.0.1:" in line
    yield line.split(" open ")[1].split()[0]
    process.terminate()
    assert process.wait(20) == 0
    assert process.stdout.read() == "", "one line, and nothing more"


def test_shutdown_by_two_people(browser: Browser, demo: str) -> None:
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url) if "/_ui/stream" not in request.url else None)
    page.goto(demo)
    log = page.locator("#log")
    expect(page.get_by_role("radio", name="Ana Ruiz")).to_have_attribute("aria-checked", "true")

    page.fill("#text", '/openvidu shutdown --reason "power work in ams3"')
    page.keyboard.press("Enter")
    approve = log.get_by_role("button", name="Approve")
    expect(approve).to_be_visible(timeout=PATIENCE)
    expect(log).to_contain_text("power work in ams3")
    approve.click()
    expect(log).to_contain_text("somebody else has to approve it", timeout=PATIENCE)

    page.get_by_role("radio", name="Ben Okafor").click()
    expect(log).not_to_contain_text("somebody else has to approve it")
    approve.click()
    expect(log).to_contain_text("Shutting down acme", timeout=PATIENCE)
    expect(approve).to_have_count(0)
    expect(page.locator("#panel")).to_contain_text("draining", timeout=PATIENCE)

    page.get_by_role("button", name="Kill the bot now").click()
    expect(page.locator("#panel")).to_contain_text("The bot was killed")
    expect(log).to_contain_text("acme is down", timeout=2 * PATIENCE)
    expect(page.locator("#panel .cluster")).to_contain_text("down")
    expect(page.locator("#guide .now")).to_contain_text("Bring it back", timeout=PATIENCE)
    assert page.evaluate("fetch('/_control/problems').then(r => r.json())")["problems"] == []
    assert page.get_by_text("not rendered").count() == 0
    assert complaints == []
