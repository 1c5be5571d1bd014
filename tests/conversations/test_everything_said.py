"""All other texts of the bot against golden files: answers, notices, refusals, threads.

`OPENVIDU_BOT_UPDATE=1 pytest tests/conversations/test_everything_said.py` writes them anew;
`make gallery` shows them.
"""

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from simulators.slack.blockkit import check_blocks
from simulators.slack.model import Message
from tests.support import virtual
from tests.support.goldens import as_json, check_golden
from tests.support.scene import OFTEN, Scene
from tests.support.terraform import SITES, repository

GOLDEN = Path(__file__).parents[1] / "laws" / "golden" / "said"
QUESTIONS = (
    *("help", "runs", "run acme-1", "status master-2", "status media-1", "status media-9"),
    *(
        "window list",
        "window forecast 3d",
        "cost",
        "backup list",
        "backup show planned",
        "config list",
        "config history",
    ),
    *(
        "shutdwon",
        "scale many",
        "scale 0",
        "scale 2 --frobnicate",
        "resize masters s-1vcpu-1gb",
        "resize media c-999",
        "startup",
    ),
    *(
        "cancel acme-1",
        "resume acme-9",
        "config set REDIS_PASSWORD secret",
        "hold now",
        "keepup",
        "window add nights Mon-Fri 20:00",
    ),
    *(
        "drain master-1",
        "restart media-9",
        "status --cluster other",
        "backup prune --dry-run",
        "backup create --dry-run",
    ),
)


class Notebook:
    """Texts of the bot, by name."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.said: dict[str, Message] = {}

    async def ask(self, text: str, who: str = "UANA", name: str = "") -> Message:
        """Type it and keep the private answer."""
        person = self.scene.person(who)
        before = {m.ts for m in person.visible_messages("COPS")}
        await person.type_text("COPS", f"/openvidu {text}")

        def new() -> Message | None:
            return next(
                (
                    m
                    for m in person.visible_messages("COPS")
                    if m.ts not in before and m.ephemeral_to == who
                ),
                None,
            )

        return self.keep(name or text, await person.wait_for(new, 300.0))

    def keep(self, name: str, message: Message) -> Message:
        """Record a text as it is now."""
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        self.said[slug] = Message(
            **{**message.__dict__, "blocks": json.loads(json.dumps(message.blocks))}
        )
        return message

    def check(self, prefix: str) -> None:
        """Valid for Slack, and as the golden files have it."""
        for slug, message in self.said.items():
            assert check_blocks(message.blocks) == [], slug
            assert message.text.strip(), slug
            text = _settled(as_json({"text": message.text, "blocks": message.blocks}))
            check_golden(GOLDEN / f"{prefix}-{slug}.json", text)
        there = {p.stem for p in GOLDEN.glob(f"{prefix}-*.json")}
        assert there == {f"{prefix}-{slug}" for slug in self.said}, "no golden file is left over"


def _settled(text: str) -> str:
    """Without what is drawn by lot: ids, and who drives a run."""
    text = re.sub(r"\b[0-9a-f]{32}\b", "0" * 32, text)
    text = re.sub(r"[\w.-]+:\d+:[0-9a-f]{6}\b", "worker", text)
    return re.sub(r"\b(?=[0-9a-f]*[0-9])[0-9a-f]{12}\b", "0" * 12, text)


def play(prefix: str, story: Callable[[Scene, Notebook], Awaitable[None]], **scene: Any) -> None:
    async def whole() -> None:
        async with Scene(site=OFTEN, every_round=True, **scene) as made:
            notes = Notebook(made)
            await story(made, notes)
            notes.check(prefix)

    virtual.run(whole())


def test_answers() -> None:
    async def story(scene: Scene, notes: Notebook) -> None:
        scene.estate.open_meeting(people=5, minutes=200, recordings=1)
        await scene.ana.type_text("COPS", "/openvidu scale 4 --now")
        await scene.card("acme has 4 media nodes ·")
        for text in QUESTIONS:
            await notes.ask(text)
        await notes.ask("help", "UDORA", "help for a reader")
        await notes.ask("scale 6", "UDORA", "scale by a reader")
        await notes.ask('hold "exam week" for 2h', name="hold")
        await notes.ask("shutdown", "UBEN", "shutdown while on hold")
        await notes.ask("unhold", "UBEN")

    play("answer", story)


def test_answers_about_terraform() -> None:
    async def story(scene: Scene, notes: Notebook) -> None:
        await notes.ask("terraform patch", name="no repository")
        repository(scene)
        await notes.ask("terraform")
        await scene.ana.type_text("COPS", "/openvidu scale 4 --now")
        await scene.card("acme has 4 media nodes ·")
        await notes.ask("terraform", name="drift")
        patch = await notes.ask("terraform patch")
        await scene.ana.press(patch, "Open pull request")
        notes.keep("opened", await scene.ephemeral("UANA", "Pull request #1 is open"))
        notes.keep("announced", await scene.card("Pull request #1 of"))

    play("terraform", story, sites=SITES)


def test_a_run_and_its_thread() -> None:
    async def story(scene: Scene, notes: Notebook) -> None:
        scene.estate.open_meeting(people=5, minutes=300, recordings=1)
        await scene.ana.type_text("COPS", '/openvidu shutdown --reason "power work"')
        card = await scene.card("Shut down acme")
        await scene.ana.press(card, "Approve")
        notes.keep("own approval", await scene.ephemeral("UANA", "someone else must approve it"))
        await notes.ask("shutdown", "UBEN", "asked for already")
        await scene.ben.press(card, "Approve")
        await scene.run_is("acme-1", "running")
        await scene.wait(30)
        await notes.ask("scale 6", "UCARLA", "busy")
        await notes.ask("run acme-1", name="run under way")
        scene.kill()
        await scene.wait(60)
        await scene.start_bot()
        await scene.run_is("acme-1", "asking")
        await scene.wait(60)
        notes.keep("question", await scene.card("needs a decision:"))
        notes.keep("question on the card", card)
        await scene.ben.press(card, "Stop here")
        await scene.run_is("acme-1", "left", "cancelled", "rolled back")
        await scene.wait(30)
        for number, message in enumerate(
            m for m in scene.ana.visible_messages("COPS") if m.thread_ts and m.ts != m.thread_ts
        ):
            notes.keep(f"thread {number}", message)
        await notes.ask("runs", name="runs afterwards")

    play("run", story)


def test_nobody_answers() -> None:
    async def story(scene: Scene, notes: Notebook) -> None:
        scene.environment.faults.add("digitalocean", "503-before", times=-1)
        await notes.ask("status", name="status")
        await notes.ask("shutdown", name="shutdown")

    play("silent", story)
