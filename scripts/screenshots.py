"""`make screenshots`: plays the demo in a browser and takes docs/demo.png, the picture in the README, while a shutdown is under way."""

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
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


def main() -> int:
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        sys.stderr.write("no browser is here; install one with: apt-get install chromium\n")
        return 1
    words = [sys.executable, "-m", "bot", "demo", "--port", "0", "--no-browser"]
    demo = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert demo.stdout is not None, "asked for above"
        url = demo.stdout.readline().split(" open ")[1].split()[0]
        with sync_playwright() as play:
            chromium = play.chromium.launch(executable_path=browser, args=list(FLAGS))
            page = chromium.new_page(viewport={"width": 1440, "height": 860}, reduced_motion="reduce")
            page.goto(url)
            take(page, ROOT / "docs" / "demo.png")
            chromium.close()
    finally:
        demo.terminate()
        demo.wait()
    return 0


def take(page: Page, path: Path) -> None:
    """Ask for a shutdown, approve it as somebody else, and wait for the first node to be empty."""
    log = page.locator("#log")
    page.wait_for_timeout(3000)  # a few people have to be in meetings
    page.fill("#text", SHUTDOWN)
    page.keyboard.press("Enter")
    log.get_by_role("button", name="Approve").wait_for()
    page.get_by_role("radio", name="Ben Okafor").click()
    log.get_by_role("button", name="Approve").click()
    page.locator("#panel").get_by_text("drained", exact=True).first.wait_for(timeout=90_000)
    page.wait_for_timeout(2500)  # until the card says so too
    path.parent.mkdir(exist_ok=True)
    page.screenshot(path=path)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    sys.exit(main())
