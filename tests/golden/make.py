"""`python -m tests.golden.make`: records the state that this version writes, and what it can read.

Run once for each release. Every later version has to read these files; they never change.
"""

import json
import socket
import sys
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from bot.version import own_version
from services.audit import anchors as heads
from services.audit.entries import Entry
from services.cluster.model import FleetKind
from services.memory import schedule as books
from services.memory.home_viewers import Viewer
from services.memory.message_refs import CardPlace
from services.runs.request import RequestState
from services.runs.run import CLASSES, State
from services.store.sqlite import SqliteStore
from tests.golden.stories import STORIES, Story
from tests.support import virtual
from tests.support.scene import Scene

FOLDER = Path(__file__).parent


def taken(story: Story) -> dict[str, Any]:
    """The state at the end of a story: keys with the seconds that they have left, and logs."""

    async def told() -> dict[str, Any]:
        async with Scene(**story.scene) as scene:
            scene.promises = False
            await story.tell(scene)
            scene.kill()
            await scene.wait(1)
            return dump(scene)

    return virtual.run(told())


def dump(scene: Scene) -> dict[str, Any]:
    """Everything that stands in a scene's state."""
    assert isinstance(scene.store, SqliteStore), "scenes keep their state in a file or in memory"
    now, database = scene.clock.now(), scene.store._db
    rows = database.execute(
        "select key, text, until from value where until is null or until > ? order by key", (now,)
    )
    values = {
        key: [text, None if until is None else round(until - now, 3)] for key, text, until in rows
    }
    logs: dict[str, list[str]] = {}
    for log, text in database.execute("select log, text from entry order by log, at"):
        logs.setdefault(log, []).append(text)
    return {"at": now, "values": values, "logs": logs}


def shapes() -> dict[str, Any]:
    """Return what this version reads: classes, fields, which are optional, and choices."""
    kinds = {
        **books.CLASSES,
        **CLASSES,
    }  # `Freeze` is a procedure in runs; a book's stands in a field that 0.1.0 does not know
    needed = {
        name: {f.name: f.default is MISSING and f.default_factory is MISSING for f in fields(k)}
        for name, k in kinds.items()
    }
    exact = {
        "card": [f.name for f in fields(CardPlace) if f.metadata.get("stored", True)],
        "head": [f.name for f in fields(heads._Note)],
        "viewer": [f.name for f in fields(Viewer)],
        "entry": [f.name for f in fields(Entry)],
    }
    words = {"Request.state": list(RequestState), "Ended.how": list(State), "kind": list(FleetKind)}
    return {"classes": needed, "exact": exact, "words": words}


def main() -> None:
    """Write what is not there yet."""
    socket.gethostname = lambda: "bot"  # stands in journals, whose digests are sealed
    folder = FOLDER / own_version()
    folder.mkdir(exist_ok=True)
    (folder / "shapes.json").write_text(json.dumps(shapes(), indent=1, sort_keys=True) + "\n")
    for name, story in STORIES.items():
        if (file := folder / f"{name}.json").exists():
            sys.exit(f"{file} is there: what a released version wrote is never written anew")
        file.write_text(json.dumps(taken(story), indent=1, sort_keys=True) + "\n")
        sys.stdout.write(f"{name} written\n")


if __name__ == "__main__":
    main()
