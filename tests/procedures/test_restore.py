"""The printed restore recipe, followed command by command: afterwards the cluster serves again.

The bot restores nothing. A person runs what `backup show` prints, here with a doctl and an aws that
do to the simulated account what the real ones do.
"""

import json
import re
import shlex

import pytest

from services.cluster.backups import NAME
from simulators.cloud.model import Deployment, SimulatedDroplet
from simulators.slack.model import Message
from tests.support import virtual
from tests.support.scene import Scene
from tests.support.stories import request_and_approve

COMMAND = re.compile(r"`((?:doctl|aws|/openvidu) [^`]+)`")


class Person:
    """Someone at a terminal who does what the card says, in its order."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.done: list[str] = []

    async def follow(self, card: Message) -> None:
        """Run every command of the numbered steps."""
        steps = [
            block["text"]["text"]
            for block in card.blocks
            if block["type"] == "section" and re.match(r"\d+\. ", block["text"]["text"])
        ]
        assert steps, card.blocks
        for step in steps:
            for command in COMMAND.findall(step):
                await self.run(command)

    async def run(self, line: str) -> None:
        """Run one line: its parts joined by `&&`, or a command in Slack."""
        self.done.append(line)
        if line == "/openvidu shutdown":
            await request_and_approve(self.scene, "shutdown", "Shut down acme")
            await self.scene.card("acme is shut down")
        elif line == "/openvidu startup":
            await self.scene.ana.type_text("COPS", f"{line} --now")
            await self.scene.card("acme is back in service")
        elif not line.startswith("/openvidu"):
            for part in line.split(" && "):
                await self.shell(shlex.split(part))

    async def shell(self, words: list[str]) -> None:
        match words:
            case ["doctl", "compute", "droplet-action", kind, droplet, *options]:
                await self.action(int(droplet), kind, options)
            case ["aws", "s3", "cp", source, target, "--acl", "private", "--endpoint-url", _]:
                self.copy(source, target)
            case ["doctl", "compute", "droplet", "list", *_]:
                masters = self.scene.estate.masters("acme")
                assert {m.status for m in masters} == {"off"}
            case _:
                raise AssertionError(f"this terminal does not know {words}")

    async def action(self, droplet: int, kind: str, options: list[str]) -> None:
        estate, body = self.scene.estate, {"type": kind}
        if "--image" in options:
            body["image"] = options[options.index("--image") + 1]
        assert options[-1] == "--wait"
        with estate.by_administrator(f"doctl {kind}"):
            action = estate.power.request(droplet, kind, dict(body))
        while action.status == "in-progress":
            await self.scene.wait(5)
            estate.settle()
        assert action.status == "completed"
        await self.scene.wait(10)
        estate.settle()

    def copy(self, source: str, target: str) -> None:
        spaces = self.scene.environment.spaces
        bucket, _, key = source.removeprefix("s3://").partition("/")
        content = spaces.read(bucket, key)
        assert content is not None, source
        bucket, _, key = target.removeprefix("s3://").partition("/")
        spaces.write(bucket, key, content)


def made_of(snapshot: str) -> str:
    """Return the label in a snapshot's name."""
    match = NAME.fullmatch(snapshot)
    assert match is not None
    return match["label"]


def seen(master: SimulatedDroplet) -> tuple[int, str, str]:
    return master.id, master.private_ip, master.public_ip


CASES = [
    ("high availability", True),
    ("high availability", False),
    ("elastic", False),
    ("single node", False),
]


@pytest.mark.parametrize(("deployment", "broken"), CASES)
def test_following_the_recipe_brings_the_cluster_back_as_it_was(
    deployment: Deployment, broken: bool
) -> None:
    """`broken`: no master could boot from the secrets.env that is there; else it only differs."""

    async def story() -> None:
        async with Scene(deployment=deployment) as scene:
            cluster = scene.estate.clusters["acme"]
            await scene.ana.type_text("COPS", "/openvidu backup create --now")
            await scene.card("acme is backed up ·")
            before, masters = dict(cluster.documents), list(map(seen, scene.estate.masters("acme")))
            serving = len(scene.estate.serving("acme"))
            secrets = scene.environment.spaces.read(cluster.bucket, "secrets.env")

            # Someone deletes the rooms, and changes secrets.env.
            cluster.documents["openvidu-meet.rooms"] = 0
            assert secrets is not None
            changed = b"DASHBOARD_ADMIN_PASSWORD=a|b\n" if broken else secrets + b"# changed\n"
            scene.environment.spaces.write(cluster.bucket, "secrets.env", changed)
            (label,) = {made_of(s.name) for s in scene.estate.snapshots.values()}
            await scene.ana.type_text("COPS", f"/openvidu backup show {label}")
            card = await scene.ephemeral("UANA", "How to restore")
            in_bucket = deployment != "single node"  # whose disk holds its own file
            assert in_bucket is (cluster.bucket in json.dumps(card.blocks)), "the real bucket"
            assert not re.search(r"\b(BUCKET|REGION|VPC|KEY)\b", card.text), "no placeholder"

            person = Person(scene)
            await person.follow(card)
            assert len([c for c in person.done if " rebuild " in c]) == len(masters)
            assert cluster.documents == before
            there = scene.environment.spaces.read(cluster.bucket, "secrets.env")
            assert (there == secrets) is in_bucket
            assert list(map(seen, scene.estate.masters("acme"))) == masters
            assert all(scene.estate.healthy(m) for m in scene.estate.masters("acme"))
            assert len(scene.estate.serving("acme")) == serving

    virtual.run(story())
