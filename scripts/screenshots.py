"""`make screenshots`: pictures of every message and view, and those of README and docs/.

Everything that the bot says is drawn at two widths, light and dark, into `.cache/screenshots`. The
pictures in docs/ are taken while the demo is played: an evening with a shutdown, as one animated
picture too. ARGS="--only request" draws what begins so, ARGS="--part docs" does one part alone.
"""

import argparse
import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, Locator, Page

from scripts.browser import running_browser
from scripts.film import Film
from scripts.gallery import running_gallery

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PICTURES = DOCS / "pictures"
FOLDER = ROOT / ".cache" / "screenshots"
WIDTHS = (1280, 390)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SHUTDOWN = '/openvidu shutdown --reason "power work in ams3"'
TIMEOUT_MS = 60_000
MOST_BYTES = 1_000_000
"""Of the animated picture."""
APPROVE = re.compile("^Approve(?!.*…$)")


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("goldens", "docs"))
    parser.add_argument("--only", default="", help="goldens whose names begin so")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    async with running_browser() as browser:
        if options.part != "docs":
            await goldens(browser, options.folder, options.only)
        if options.part != "goldens":
            PICTURES.mkdir(parents=True, exist_ok=True)
            async with running_demo() as url:
                await story(browser, url)
    return 0


# --- every message and view


async def goldens(browser: Browser, folder: Path, only: str) -> None:
    """Draw the golden files in each width and scheme, all at the same time."""
    began = time.monotonic()
    async with running_gallery() as url:
        each = [(width, scheme) for width in WIDTHS for scheme in SCHEMES]
        done = await asyncio.gather(
            *(_draw(browser, f"{url}?only={only}", folder, width, scheme) for width, scheme in each)
        )
    seconds = time.monotonic() - began
    print(f"{folder}: {sum(done)} pictures in {seconds:.0f} s", flush=True)


async def _draw(
    browser: Browser, url: str, folder: Path, width: int, scheme: Literal["light", "dark"]
) -> int:
    here = folder / f"{width}-{scheme}"
    here.mkdir(parents=True, exist_ok=True)
    for old in here.glob("*.png"):
        old.unlink()
    page = await browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    await page.goto(url)
    await page.wait_for_selector("[data-drawn]")
    exhibits = await page.locator(".exhibit").all()
    for exhibit in exhibits:
        await exhibit.screenshot(path=here / f"{await exhibit.get_attribute('id')}.png")
    await page.close()
    return len(exhibits)


# --- the pictures of the documents


@asynccontextmanager
async def running_demo() -> AsyncIterator[str]:
    """Start a demo; the value is its address."""
    words = ["-m", "bot", "demo", "--port", "0", "--no-browser"]
    demo = await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert demo.stdout is not None, "asked for above"
        line = (await demo.stdout.readline()).decode()
        yield line.split(" open ")[1].split()[0]
    finally:
        demo.terminate()
        await demo.wait()


async def story(browser: Browser, url: str) -> None:
    """Play one evening: menu, form, a shutdown with its approval and end; also on a phone."""
    # Carla's private answers are on no other picture.
    page = await opened(browser, f"{url}/#as=UCARLA", 1440, 860)
    await menu_and_form(page)
    film = Film()
    small = await opened(browser, url, 1120, 720)
    await requests(small, film)
    await take(page.locator("#log .message").last, PICTURES / "plan.png")
    await on_a_phone(browser, url)
    await becomes_ben(page)
    await page.get_by_role("button", name="openvidu · Home").click()
    await page.locator("#home").get_by_role("button", name=APPROVE).first.wait_for()
    await page.wait_for_timeout(4000)  # until the cluster has been looked at
    await page.screenshot(
        path=PICTURES / "home.png", clip={"x": 0, "y": 48, "width": 1120, "height": 700}
    )
    print_size(PICTURES / "home.png")
    await page.get_by_role("button", name="ops", exact=True).click()
    await approves(small, film)
    await watches(page, small, film)
    film.save(PICTURES / "story.gif")
    print_size(PICTURES / "story.gif")
    size = (PICTURES / "story.gif").stat().st_size
    if size > MOST_BYTES:
        sys.exit(f"story.gif has {size} bytes; at most {MOST_BYTES} are fit for a README")


async def opened(browser: Browser, url: str, width: int, height: int) -> Page:
    """Return the page once the bot is connected and people are in meetings."""
    page = await browser.new_page(
        viewport={"width": width, "height": height}, reduced_motion="reduce"
    )
    page.set_default_timeout(TIMEOUT_MS)
    await page.goto(url)
    await page.locator("#starting").wait_for(state="hidden")
    await page.locator("#panel .node-life").first.wait_for()
    return page


async def menu_and_form(page: Page) -> None:
    log = page.locator("#log")
    await say(page, "/openvidu")
    await log.locator(".message .actions").first.wait_for()
    await take(log.locator(".message").last, PICTURES / "menu.png")
    await log.get_by_role("button", name=re.compile("media nodes…|Scale")).first.click()
    modal = page.get_by_role("dialog")
    await modal.get_by_label("How many media nodes").select_option("5")
    await modal.get_by_label("Reason").fill("all-hands at seven")
    await modal.get_by_role("button", name="Show plan").click()
    await modal.get_by_label("How many media nodes").wait_for(state="detached")
    await modal.locator(".modal-body .text").first.wait_for()
    await page.wait_for_timeout(1000)
    await take(modal, PICTURES / "modal.png")
    await page.keyboard.press("Escape")
    await modal.wait_for(state="hidden")


async def requests(page: Page, film: Film) -> None:
    """Ana asks."""
    await film.take(page, 1.2)
    for part in (SHUTDOWN[:10], SHUTDOWN[:18], SHUTDOWN):
        await page.fill("#text", part)
        await page.keyboard.press("Escape")
        await film.take(page, 0.5)
    await page.focus("#text")
    await page.keyboard.press("Enter")
    await page.locator("#log").get_by_role("button", name=APPROVE).first.wait_for()
    await page.wait_for_timeout(300)
    await film.take(page, 3.5)


async def becomes_ben(page: Page) -> None:
    await page.get_by_role("radio", name="Ben Okafor").click()
    await page.mouse.move(0, 0)
    await page.wait_for_timeout(300)


async def approves(page: Page, film: Film) -> None:
    """Ben approves, and confirms if that is asked."""
    await becomes_ben(page)
    await film.take(page, 1.2)
    await page.locator("#log").get_by_role("button", name=APPROVE).first.click()
    confirm = page.locator("#confirm")
    if await confirm.is_visible():
        await film.take(page, 2.0)
        await confirm.locator(".modal-foot button").last.click()
    await page.mouse.move(0, 0)
    await page.locator("#panel").get_by_text("draining", exact=True).first.wait_for()


async def watches(page: Page, small: Page, film: Film) -> None:
    """Film the drain and the shutdown; take the pictures in the middle and at the end."""
    is_half_way = False
    pill = small.locator("#panel .cluster-head .pill")
    for _ in range(300):
        await film.take(small, 0.35)
        await small.wait_for_timeout(1500)
        drained = await page.locator("#panel").get_by_text("drained", exact=True).count()
        if drained and not is_half_way:
            is_half_way = True
            await page.wait_for_timeout(1500)  # until the message shows it too
            await page.screenshot(path=PICTURES / "run.png")
            print_size(PICTURES / "run.png")
        if await pill.inner_text() == "shut down":
            break
    await small.locator("#guide").get_by_text("Start up acme").first.wait_for()
    await small.wait_for_timeout(3000)
    await film.take(small, 4.0)
    await take(page.locator("#log > .message").last, PICTURES / "end.png")


async def on_a_phone(browser: Browser, url: str) -> None:
    """Take the message that waits for approval, as Ben sees it on a phone."""
    page = await browser.new_page(
        viewport={"width": 390, "height": 844}, has_touch=True, reduced_motion="reduce"
    )
    await page.goto(f"{url}/#as=UBEN&in=COPS")
    await page.locator("#log").get_by_role("button", name=APPROVE).first.wait_for()
    await page.wait_for_timeout(500)
    await page.screenshot(path=PICTURES / "phone.png")
    await page.close()
    print_size(PICTURES / "phone.png")


async def say(page: Page, text: str) -> None:
    await page.fill("#text", text)
    await page.keyboard.press("Enter")


async def take(what: Locator, path: Path) -> None:
    await what.page.mouse.move(0, 0)
    await what.screenshot(path=path)
    print_size(path)


def print_size(path: Path) -> None:
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KB", flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
