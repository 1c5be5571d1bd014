"""Roles by class of command: every user tries every command on every cluster.

The expectation comes from the commands and the settings, the answer from the whole bot. A master is
missing, so that no plan can be made, and no user starts anything.
"""

import re
from typing import Any

import pytest

from handlers.commands.parser import COMMANDS, parse
from services.common.command import CHANGING, Command, CommandClass
from services.procedures import Procedure
from tests.support import virtual
from tests.support.entry_points import sample_command
from tests.support.scene import Scene

LOOK, POWER, CAPACITY, CONFIGURATION, SECRETS, WINDOWS, GLASS, WAKES = CommandClass
OF_A_RUN = ("cancel", "resume", "abandon")
DENIED = re.compile(
    r"^(Only operators of this cluster|You have no role|You may not use)",
    re.M,
)
PEOPLE = ("UOPS", "UPOW", "UCAP", "UCON", "USEC", "UWIN", "UVIEW", "UWAKE", "UNONE")
ROLES: dict[str, dict[str, Any]] = {
    # Each class belongs to another user.
    "acme": {
        "operators": ["UOPS"],
        "power": ["UPOW"],
        "capacity": ["UCAP"],
        "configuration": ["UCON"],
        "secrets": ["USEC"],
        "windows": ["UWIN"],
        "wakers": ["UWAKE"],
        "break_glass": ["UPOW"],
        "viewers": ["UVIEW"],
        "approvers": ["UOPS", "UVIEW"],
    },
    # The operators' own but for one; other people than there.
    "beta": {
        "operators": ["UCAP", "UOPS"],
        "power": ["UWIN", "UOPS"],
        "viewers": ["UPOW"],
        "break_glass": ["UCAP"],
    },
}


def classes(user: str, cluster: str) -> set[CommandClass]:
    """Return the classes that the settings open to a user on a cluster."""
    roles = ROLES[cluster]
    mine = {about for about in CHANGING if user in roles.get(about, roles["operators"])}
    if user in roles["break_glass"]:
        mine.add(GLASS)
    if user in roles.get("wakers", ()) or WINDOWS in mine:
        mine.add(WAKES)
    reads = mine or user in (*roles["viewers"], *roles["operators"], *roles.get("approvers", ()))
    return {*mine, LOOK} if reads else set()


def may(user: str, cluster: str, kind: type[Command]) -> bool:
    """Tell whether a user may use a command: all classes of a change, one of anything else."""
    mine = classes(user, cluster)
    if kind.command in OF_A_RUN:
        return CAPACITY in mine  # the run is one of `scale`
    meant = parse(sample_command(kind)).command
    if isinstance(meant, Procedure):
        return bool(mine & {*CHANGING}) and set(meant.required_classes()) <= mine
    if kind.command == "config set":
        return SECRETS in mine  # the key is a secret one
    return bool(mine & {*kind.classes})


async def _answer(scene: Scene, user: str, words: str) -> str:
    """Return what a user reads, in private or in a form."""
    journal = scene.slack.journal
    before = journal.count
    await scene.person(user).type_text("COPS", f"/openvidu {words}")
    while scene.bot.dispatcher.tasks.busy:
        await scene.wait(0.2)
    sent = [e.sent for e in journal.entries if e.number > before and e.kind in ("api", "respond")]
    return "\n".join(str(s.get("text", "a form")) for s in sent if "text" in s or "view" in s)


async def _world(scene: Scene) -> None:
    scene.slack.webapi.limited = False
    workspace = scene.slack.workspace
    for user in PEOPLE:
        workspace.add_user(user, user.lower(), user.title())
        workspace.join("COPS", user)
    for cluster, user in (("acme", "UCAP"), ("beta", "UCAP")):
        await scene.person(user).type_text("COPS", f"/openvidu scale 3 --now --cluster {cluster}")
        await scene.run_is(f"{cluster}-1", "done")
        lost = scene.estate.masters(cluster)[3]
        del scene.estate.droplets[lost.id]


def _scene() -> Scene:
    sites = {cluster: {"roles": roles} for cluster, roles in ROLES.items()}
    return Scene(media=2, stacks=("acme", "beta"), sites=sites, pydo=False)


@pytest.mark.parametrize("cluster", ROLES)
def test_everybody_gets_as_far_as_the_settings_say(cluster: str) -> None:
    async def story() -> list[str]:
        wrong = []
        async with _scene() as scene:
            await _world(scene)
            for user in PEOPLE:
                for kind in COMMANDS:
                    words = (
                        sample_command(kind).replace("osprey-2", f"{cluster}-1")
                        + f" --cluster {cluster}"
                    )
                    answer = await _answer(scene, user, words)
                    assert answer or may(user, cluster, kind), f"{user}: {words}: no answer"
                    if (DENIED.search(answer) is None) != may(user, cluster, kind):
                        wrong.append(f"{user}: {words}: {answer[:160]}")
            scene.promises = False  # a master is missing
        return wrong

    assert virtual.run(story()) == []


def test_the_table_tells_people_apart() -> None:
    for cluster in ROLES:
        rows = {user: tuple(may(user, cluster, kind) for kind in COMMANDS) for user in PEOPLE}
        assert len(set(rows.values())) >= 4, "the test would be about nothing"
        assert not any(rows["UNONE"])
    assert all(kind.classes for kind in COMMANDS)


@pytest.mark.parametrize(
    ("user", "shown", "hidden", "line"),
    [
        (
            "UPOW",
            {"shutdown", "restart", "audit"},
            {"scale", "window add", "config set"},
            "capacity commands; ask <@UCAP>",
        ),
        (
            "UWIN",
            {"window add", "hold"},
            {"shutdown", "scale", "break-glass"},
            "power commands; ask <@UPOW>",
        ),
        (
            "USEC",
            {"config set", "config list"},
            {"scale", "unhold"},
            "windows commands; ask <@UWIN>",
        ),
        (
            "UVIEW",
            {"status", "runs"},
            {"shutdown", "cancel", "audit", "config list"},
            "Only operators of this cluster may change it",
        ),
    ],
)
def test_help_shows_what_one_may_say_and_whom_to_ask_for_the_rest(
    user: str, shown: set[str], hidden: set[str], line: str
) -> None:
    async def story() -> None:
        async with _scene() as scene:
            scene.slack.workspace.add_user(user, user.lower(), user.title())
            scene.slack.workspace.join("COPS", user)
            await scene.person(user).type_text("COPS", "/openvidu help --cluster acme")
            card = await scene.ephemeral(user, "You can type")
            text = f"{card.text} {card.blocks}"
            listed = {
                f"{family} {word}" if each.count("/") else each
                for each in re.split("[:;,.] ", card.text)
                for family, _, words in [each.partition(" ")]
                for word in words.split("/")
            }
            assert shown <= listed
            assert not hidden & listed
            assert line.lower() in text.lower()

    virtual.run(story())


def test_a_windows_run_is_stopped_by_whoever_looks_after_windows() -> None:
    """Keeping it up calls a closing back, and takes no role for power."""

    async def story() -> None:
        roles = {"operators": ["UANA", "UBEN"], "windows": ["UDORA"], "approvers": ["UBEN"]}
        site = {
            "timezone": "Europe/Madrid",
            "channel": "COPS",
            "windows": ["nights Mon-Fri 20:00-07:30"],
        }
        async with Scene(
            media=2, origin=1_795_633_080.0, roles=roles, site=site, pydo=False
        ) as scene:  # Wed 25 Nov 2026, 19:58 in Madrid
            scene.estate.open_meeting(people=3, minutes=60)
            run = await scene.run_is("acme-1", "running")
            assert run.requester.is_window
            await scene.dora.type_text("COPS", "/openvidu shutdown")
            await scene.ephemeral("UDORA", "is locked by")
            await scene.dora.type_text("COPS", "/openvidu keepup 2h")
            await scene.run_is("acme-1", "cancelled", "rolled back")

    virtual.run(story())
