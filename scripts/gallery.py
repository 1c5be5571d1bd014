"""`make gallery`: a local web page with every message and view of the golden files, as in Slack.

`make screenshots` takes pictures of them.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from simulators.clock import ScaledClock
from simulators.slack.server import SlackServer
from simulators.slack.workspace import SlackWorkspace, name_blocks

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "laws" / "golden"
NOW = 1_800_000_000.0  # the time of the golden files
PEOPLE = {"UANA": "ana", "UBEN": "ben", "UCARLA": "carla", "UDORA": "dora"}


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


@asynccontextmanager
async def running_gallery(port: int = 0) -> AsyncIterator[str]:
    """Serve the gallery; the value is its address."""
    workspace = SlackWorkspace(ScaledClock())
    for user, name in PEOPLE.items():
        workspace.add_user(user, name, name.title(), tz="Europe/Madrid")
    workspace.add_channel("COPS", "ops", PEOPLE)
    server = SlackServer(workspace, {}, ScaledClock(), port=port, gallery=exhibits())
    await server.start()
    try:
        yield f"{server.url}/gallery"
    finally:
        await server.stop()


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8766)
    options = parser.parse_args()
    async with running_gallery(options.port) as url:
        print(f"gallery: {url} (Ctrl-C ends it)", flush=True)
        await asyncio.Event().wait()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except KeyboardInterrupt:
        sys.exit(0)
