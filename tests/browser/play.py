"""The demo and a browser to play it in."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect, sync_playwright

from tests.support import fork_server
from tests.support.patience import HANG
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
PATIENCE = 1000 * HANG  # milliseconds
MOST_TABS = 150
PHONE = ViewportSize(width=390, height=844)
DESK = ViewportSize(width=1280, height=720)
OVERFLOWING = """[...document.querySelectorAll("main *, dialog[open] *, .top *, #guide *")]
    .filter((e) => {
        const box = e.getBoundingClientRect();
        return box.width && box.right > innerWidth + 1
            && getComputedStyle(e).visibility !== "hidden"
            && !e.closest(".sr, .guide-then, .people, pre, .wire, select");
    }).map((e) => e.outerHTML.slice(0, 120))"""


def says(page: Page, text: str) -> None:
    """Type into the message box and press Enter."""
    page.fill("#text", text)
    page.keyboard.press("Enter")


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Chromium."""
    path = chromium()
    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=path, args=list(FLAGS))
        yield running
        running.close()


@contextmanager
def running_demo(speed: int) -> Iterator[str]:
    """`openvidu-bot demo` as a user starts it; it exits in order and prints only its address."""
    words = ["demo", "--port", "0", "--speed", str(speed), "--no-browser"]
    process = fork_server.Started(words, os.environ)
    line = process.stdout.readline()
    assert "http://127.0.0.1:" in line
    yield line.split(" open ")[1].split()[0]
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    assert process.stdout.read() == "", "one line, and nothing more"


class Watched:
    """A page whose every complaint is kept."""

    def __init__(self, browser: Browser, url: str, **more: Any) -> None:
        self.page: Page = browser.new_page(**more)
        self.page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        self.complaints: list[str] = []
        self.asked_for: set[str] = set()
        self.page.on(
            "console",
            lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None,
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "requestfailed",
            lambda r: self.complaints.append(r.url) if "/_ui/stream" not in r.url else None,
        )
        self.page.on(
            "request",
            lambda r: (
                self.asked_for.add(r.url.split("/")[2]) if not r.url.startswith("data:") else None
            ),
        )
        self.page.goto(url)
        self.url = url

    def opens_again(self) -> None:
        """Begin anew: in the usual size and colours, with nothing typed and no complaints."""
        self.page.set_viewport_size(DESK)
        self.page.emulate_media(color_scheme="light")
        self.page.goto("about:blank")
        self.complaints.clear()
        self.asked_for.clear()
        self.page.goto(self.url)

    def is_ready(self) -> None:
        """Wait until the page is drawn and the bot is connected."""
        expect(self.page.locator("#title")).not_to_be_empty(timeout=PATIENCE)
        expect(self.page.locator("#starting")).to_be_hidden(timeout=PATIENCE)

    def is_accessible(self, where: str) -> None:
        """axe finds nothing as it stands now."""
        answer = Axe().run(self.page).response
        assert len(answer["passes"]) > 10, "it looked"
        found = [
            f"{v['id']}: {v['help']} ({[n['html'][:160] for n in v['nodes'][:3]]})"
            for v in answer["violations"]
        ]
        assert found == [], f"{where}: {found}"

    def fits(self) -> None:
        """Nothing overflows at the right, so that no one has to scroll sideways."""
        wide = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1]
        assert self.page.evaluate(OVERFLOWING) == []

    def tab_to(self, what: Locator) -> None:
        """Move the focus there with the Tab key alone."""
        for _ in range(MOST_TABS):
            if what.evaluate("e => e === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"the Tab key does not lead to {what}")

    def has_no_complaints(self) -> None:
        """Nothing on the console, nothing that Slack would refuse, nothing undrawn or external."""
        assert (
            self.page.evaluate("fetch('/_control/problems').then(r => r.json())")["problems"] == []
        )
        assert self.page.get_by_text("not rendered").count() == 0
        assert self.complaints == []
        assert self.asked_for == {self.url.split("/")[2]}
