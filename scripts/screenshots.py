"""`make screenshots`: plays the demo in a browser and takes the pictures of README and docs/."""

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PICTURES = DOCS / "pictures"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SHUTDOWN = '/openvidu shutdown --reason "power work in ams3"'
TIMEOUT_MS = 120_000


def main() -> int:
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        sys.stderr.write("no browser is here; install one with: apt-get install chromium\n")
        return 1
    PICTURES.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "bot", "demo", "--port", "0", "--no-browser"]
    demo = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert demo.stdout is not None, "asked for above"
        url = demo.stdout.readline().split(" open ")[1].split()[0]
        with sync_playwright() as play:
            chromium = play.chromium.launch(executable_path=browser, args=list(FLAGS))
            story(chromium, url)
            chromium.close()
    finally:
        demo.terminate()
        demo.wait()
    return 0


def story(browser: Browser, url: str) -> None:
    """Play one evening: menu, modal, a shutdown with its approval and end; also on a phone."""
    page = browser.new_page(viewport={"width": 1440, "height": 860}, reduced_motion="reduce")
    page.set_default_timeout(TIMEOUT_MS)
    page.goto(url)
    page.wait_for_timeout(3000)  # until a few people are in meetings
    log = page.locator("#log")
    say(page, "/openvidu")
    log.get_by_text("All of it can be typed, too").wait_for()
    take(log.locator(".message").last, PICTURES / "menu.png")
    log.get_by_role("button", name="More or fewer media nodes…").click()
    modal = page.get_by_role("dialog")
    modal.get_by_label("How many media nodes").select_option("5")
    modal.get_by_label("Why").fill("all-hands at seven")
    modal.get_by_role("button", name="Show the plan").click()
    modal.get_by_role("button", name="Do it").wait_for()
    take(modal, PICTURES / "modal.png")
    modal.get_by_role("button", name="Leave it").click()
    modal.wait_for(state="hidden")

    say(page, SHUTDOWN)
    log.get_by_role("button", name="Approve").wait_for()
    take(log.locator(".message").last, PICTURES / "plan.png")
    page.get_by_role("radio", name="Ben Okafor").click()
    page.get_by_role("button", name="openvidu · Home").click()
    home = page.locator("#home")
    home.get_by_role("button", name="Approve").wait_for()
    page.screenshot(
        path=PICTURES / "home.png", clip={"x": 0, "y": 92, "width": 1120, "height": 620}
    )
    phone(browser, url)
    home.get_by_role("button", name="Approve").click()
    page.get_by_role("button", name="ops", exact=True).click()
    page.locator("#panel").get_by_text("drained", exact=True).first.wait_for()
    page.wait_for_timeout(2500)  # until the message shows it too
    page.screenshot(path=DOCS / "demo.png")
    print_size(DOCS / "demo.png")
    log.get_by_text("acme is shut down").first.wait_for()
    take(log.locator(".message", has_text="acme is shut down").first, PICTURES / "end.png")


def phone(browser: Browser, url: str) -> None:
    """Take the message that waits for approval, as Ben sees it on a phone."""
    page = browser.new_page(
        viewport={"width": 390, "height": 844}, has_touch=True, reduced_motion="reduce"
    )
    page.goto(f"{url}/#as=UBEN&in=COPS")
    page.locator("#log").get_by_role("button", name="Approve").wait_for()
    page.wait_for_timeout(500)
    page.screenshot(path=PICTURES / "phone.png")
    page.close()
    print_size(PICTURES / "phone.png")


def say(page: Page, text: str) -> None:
    page.fill("#text", text)
    page.keyboard.press("Enter")


def take(what: Locator, path: Path) -> None:
    what.page.mouse.move(0, 0)
    what.screenshot(path=path)
    print_size(path)


def print_size(path: Path) -> None:
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KB", flush=True)


if __name__ == "__main__":
    sys.exit(main())
