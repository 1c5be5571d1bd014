"""`make gallery`: every message and view that tests hold to their golden files, drawn as Slack would draw it, on a page of this machine.

`scripts/gallery.py --shoot FOLDER [--only PREFIX] [--width 390]` takes pictures of them instead.
"""

import argparse
import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from playwright.async_api import async_playwright

from simulators.clock import ScaledClock
from simulators.slack.server import SlackServer
from simulators.slack.workspace import Workspace, name_blocks

ROOT = Path(__file__).resolve().parent.parent

GOLDEN = ROOT / "tests" / "laws" / "golden"
NOW = 1_800_000_000.0  # the moment that golden files are made at
PEOPLE = {"UANA": "ana", "UBEN": "ben", "UCARLA": "carla", "UDORA": "dora"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
)


def exhibits() -> list[dict[str, Any]]:
    """The golden files, as the page takes them."""
    found: list[dict[str, Any]] = []
    for path in sorted(GOLDEN.rglob("*.json")):
        made = json.loads(path.read_text("utf-8"))
        name_blocks(made["view"]["blocks"] if "view" in made else made["blocks"])
        shown = {"body": made["view"]} if "view" in made else made
        found.append(
            {
                "name": str(path.relative_to(GOLDEN).with_suffix("")).replace("/", "-"),
                "now": NOW,
                **shown,
            }
        )
    return found


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8766)
    parser.add_argument("--shoot", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--width", type=int, default=860)
    asked = parser.parse_args()
    place = Workspace(ScaledClock())
    for user, name in PEOPLE.items():
        place.add_user(user, name, name.title(), tz="Europe/Madrid")
    place.add_channel("COPS", "ops", PEOPLE)
    server = SlackServer(
        place, {}, ScaledClock(), port=0 if asked.shoot else asked.port, gallery=exhibits()
    )
    await server.start()
    try:
        if asked.shoot:
            asked.shoot.mkdir(parents=True, exist_ok=True)
            return await shoot(server.url, asked.shoot, asked.only, asked.width)
        print(f"gallery: {server.url}/gallery (Ctrl-C ends it)", flush=True)
        await asyncio.Event().wait()
    finally:
        await server.stop()
    return 0


async def shoot(url: str, folder: Path, only: str, width: int) -> int:
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        sys.stderr.write("no browser is here; install one with: apt-get install chromium\n")
        return 1
    async with async_playwright() as play:
        chromium = await play.chromium.launch(executable_path=browser, args=list(FLAGS))
        page = await chromium.new_page(viewport={"width": width, "height": 900})
        await page.goto(f"{url}/gallery?only={only}")
        await page.wait_for_selector("[data-drawn]")
        for exhibit in await page.locator(".exhibit").all():
            await exhibit.screenshot(path=folder / f"{await exhibit.get_attribute('id')}.png")
        await page.screenshot(path=folder / "all.png", full_page=True)
        await chromium.close()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except KeyboardInterrupt:
        sys.exit(0)
