"""`make gallery`: a local web page with every message and view of the golden files, as in Slack.

`-m scripts.gallery --shoot FOLDER [--only PREFIX] [--width 390]` takes pictures of them instead.
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
from simulators.slack.workspace import SlackWorkspace, name_blocks

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "laws" / "golden"
NOW = 1_800_000_000.0  # the time of the golden files
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
    """Return the golden files in the form that the page takes."""
    exhibits: list[dict[str, Any]] = []
    for path in sorted(GOLDEN.rglob("*.json")):
        content = json.loads(path.read_text("utf-8"))
        if "view" in content:
            content = {"body": content["view"]}
        name_blocks(content.get("body", content)["blocks"])
        name = str(path.relative_to(GOLDEN).with_suffix("")).replace("/", "-")
        exhibits.append({"name": name, "now": NOW, **content})
    return exhibits


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8766)
    parser.add_argument("--shoot", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--width", type=int, default=860)
    options = parser.parse_args()
    workspace = SlackWorkspace(ScaledClock())
    for user, name in PEOPLE.items():
        workspace.add_user(user, name, name.title(), tz="Europe/Madrid")
    workspace.add_channel("COPS", "ops", PEOPLE)
    port = options.port
    if options.shoot:
        port = 0
    server = SlackServer(workspace, {}, ScaledClock(), port=port, gallery=exhibits())
    await server.start()
    try:
        if options.shoot:
            options.shoot.mkdir(parents=True, exist_ok=True)
            return await shoot(server.url, options.shoot, options.only, options.width)
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
