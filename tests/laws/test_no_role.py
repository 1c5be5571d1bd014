"""Someone without a role for a cluster learns nothing about it, through any entry point.

The ways are made from the bot's registries (`tests/support/entry_points.py`).
The last tests take the check away and expect to be caught.
"""

import ast
import asyncio
import importlib
import inspect
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pydantic import SecretStr
from slack_sdk.web.async_client import AsyncWebClient

from bot.serve import Serving
from bot.terminal.arguments import VERBS
from handlers.app import EVENTS, SHORTCUTS, VIEWS
from handlers.interactions.button_actions import ACTIONS
from handlers.interactions.buttons import MENU_ACTIONS, OPENING_ACTIONS
from handlers.terminal.session import SYSTEM_USER
from services.access import clusters as sites
from services.access import policy
from services.access.policy import AccessResult, Actor, Verdict
from services.common.metrics import METRICS
from services.operations.reader import ClusterReader
from services.schedule.visible import VisibleClusters
from tests.campaign.chaos import ShakyStore, Trouble
from tests.support import entry_points, virtual
from tests.support.entry_points import DORA, EVE, SECRET, EntryPoint, EntryScene, place
from tests.support.scene import ROOT, Scene

Family = Callable[[EntryScene, str], Iterator[EntryPoint]]
FAMILIES: dict[str, Family] = {
    "commands": entry_points.commands,
    "buttons": entry_points.buttons,
    "forms": entry_points.forms,
    "events": entry_points.events,
}
AT_A_TERMINAL = (Actor(DORA), Actor(EVE), Actor(f"{SYSTEM_USER}dora"))


def seen_through(family: Family, user: str, *, closed: bool = False) -> list[str]:
    """Return what a user sees who tries all of them."""

    async def story() -> list[str]:
        async with place(closed=closed) as p:
            found = [
                leak for door in family(p, user) for leak in await entry_points.use(p, door, user)
            ]
            p.scene.promises = False  # what is forged breaks Slack's own rules
            return found

    return virtual.run(story())


def seen_at_a_terminal(who: Actor) -> list[str]:
    async def story() -> list[str]:
        async with place() as p:
            found = []
            for verb, words in entry_points.orders(p, VERBS):
                text = await entry_points.typed_at(p, verb, words, who)
                found += [
                    f"{verb} {words}: {leak}" for leak in entry_points.leaks(text, words, p.words)
                ]
            return found

    return virtual.run(story())


def allow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every user see everything."""
    for module in (policy, sites):
        monkeypatch.setattr(
            module, "may_read", lambda *_: Verdict(AccessResult.ALLOWED, "may read")
        )


@pytest.mark.sampled
@pytest.mark.parametrize("user", [DORA, EVE])
@pytest.mark.parametrize("family", FAMILIES)
def test_no_role_no_word_in_slack(family: str, user: str) -> None:
    assert seen_through(FAMILIES[family], user) == []


@pytest.mark.parametrize("family", ["commands", "forms"])
def test_nor_where_the_clusters_channel_is_closed(family: str) -> None:
    """The role is checked before it is said why no card can be shown."""
    assert seen_through(FAMILIES[family], DORA, closed=True) == []


def test_nor_from_what_is_told_after_a_lost_answer() -> None:
    """The state store is down at the press; the later look for its result checks the role too."""

    async def story() -> list[str]:
        trouble = Trouble(random.Random(0))
        found = []
        async with place(reach=lambda store: ShakyStore(store, trouble)) as p:
            for action in ("approve", "cancel", "answer:force"):
                for value in (p.requests[0], p.runs[1], p.answer):
                    trouble.away = True
                    door = entry_points.press(p, DORA, action, value)
                    found += await entry_points.use(
                        p,
                        replace(door, walk=partial(_and_back, door, trouble)),
                        DORA,
                    )
            p.scene.promises = False
            return found

    async def _and_back(door: EntryPoint, trouble: Trouble) -> None:
        await door.walk()
        await asyncio.sleep(8)
        trouble.away = False

    assert virtual.run(story()) == []


@pytest.mark.parametrize("who", AT_A_TERMINAL, ids=lambda a: a.user)
def test_no_role_no_word_at_a_terminal(who: Actor) -> None:
    assert seen_at_a_terminal(who) == []


def test_http_names_no_person_node_run_or_reason() -> None:
    """Clients of the port have no role: they see cluster names, in labels of /metrics alone."""

    async def story() -> dict[str, str]:
        async with place() as p:
            settings = p.scene.settings
            slack = settings.slack.model_copy(update={"signing_secret": SecretStr("x")})
            serving = Serving(
                replace(p.scene.bot, settings=settings.model_copy(update={"slack": slack})),
                AsyncWebClient(),
            )
            health = serving._health
            paths = {}
            for route in [*health.own_routes(), *health._routes]:
                assert isinstance(route, web.RouteDef), "one path each"
                answer = await route.handler(make_mocked_request(route.method, route.path))
                assert isinstance(answer, web.Response), "an answer of one piece"
                paths[route.path] = str(answer.text)
            words = p.words
        for path, text in paths.items():
            bare = (
                re.sub(rf'clusters?="(beta )?{SECRET}"', "", text) if path == "/metrics" else text
            )
            assert entry_points.leaks(bare, "", words) == [], path
        return paths

    METRICS.set("openvidu_bot_ready", 1)
    paths = virtual.run(story())
    assert set(paths) == {"/healthz", "/readyz", "/metrics", "/slack/events"}
    assert f'cluster="{SECRET}"' in paths["/metrics"], "the cluster is measured"


# What the bot reads for itself; answers to people go through `services.schedule.visible`, which
# checks their role.
UNCHECKED = {
    *(f"reader.{name}" for name in vars(ClusterReader) if not name.startswith("_")),
    *("operations.journal", "operations.memory", "operations.anchors", "operations.usage"),
    *("journal.run", "journal.events", "cards.get"),
    *(
        "hours.books",
        "hours.words",
        "hours.schedule",
        "hours.exceptions",
        "hours.terms",
        "hours.usage",
    ),
}
# These post in the cluster's own channel, to people of its runs whose role they check, or about
# no cluster.
OWN_VOICE = {
    "reporter",
    "outdated_copies",
    "request_cards",
    "run_cards",
    "batch_cards",
    "announcements",
    "approval_calls",
    "escalations",
    "direct_copies",
    "deferred",
    "overview",
    "user_groups",
}


def _reads(path: Path) -> set[str]:
    """Return `reader.look` and the like, whatever the reader is an attribute of."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute | ast.Name):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else node.value.id
            found.add(f"{owner.lstrip('_')}.{node.attr}")
    return found & UNCHECKED


@pytest.mark.parametrize("path", sorted((ROOT / "handlers").rglob("*.py")), ids=lambda p: p.stem)
def test_what_is_answered_to_a_person_is_read_past_no_role(path: Path) -> None:
    found = _reads(path)
    assert not found or path.stem in OWN_VOICE, (
        f"{path.name} reads {', '.join(sorted(found))}: use Sight"
    )


def test_every_method_of_sight_takes_the_person() -> None:
    for name, method in inspect.getmembers(VisibleClusters, inspect.isfunction):
        if not name.startswith("_"):
            assert "actor" in inspect.signature(method).parameters, name


def test_slack_has_no_other_way_in() -> None:
    """Command, buttons, forms and events: Bolt listens to nothing else, which no test would try."""

    async def story() -> int:
        async with Scene(media=1, pydo=False) as scene:
            return len(scene.bot.app._async_listeners)

    assert virtual.run(story()) == 2 + len(SHORTCUTS) + len(VIEWS) + len(EVENTS)


def test_every_button_that_is_drawn_is_known() -> None:
    """Each id of a button or menu that handlers draw is one that a press is recognized by."""
    drawn = {
        action for path in sorted((ROOT / "handlers").rglob("*.py")) for action in _drawn(path)
    }
    announced = (ROOT / "handlers" / "views" / "announcements.py").read_text("utf-8")
    drawn |= {a.partition(":")[0] for a in re.findall(r'"((?:keepup|closenow)[^"]*)"', announced)}
    # Offers, walked through for every command; a link to a page; the choices of a question.
    drawn |= {"say", "form", "link", "answer"}
    assert drawn == {*ACTIONS, *MENU_ACTIONS, *OPENING_ACTIONS}


# Where an action's name comes from outside of the function that draws it: an offer, an
# announcement, a field of a form.
HANDED_ON = {"o.action", "action", "block", "name"}


def _drawn(path: Path) -> Iterator[str]:
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("button", "static_select")
        ):
            action = node.args[1]
            if ast.unparse(action) not in HANDED_ON:
                yield _named(action, module).partition(":")[0]


def _named(action: ast.expr, module: ModuleType) -> str:
    """Return the beginning of the text that such an expression gives."""
    match action:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=[first, *_]):
            return _named(first, module)
        case ast.FormattedValue(value=inner):
            return _named(inner, module)
        case ast.Name(id=name):
            return str(getattr(module, name))
    raise AssertionError(f"a button with an unknown action: {ast.unparse(action)}")


# The law itself


@pytest.mark.sampled(1)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_law_finds_it_when_roles_are_not_checked(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(monkeypatch)
    assert seen_through(FAMILIES[family], DORA)


def test_the_law_finds_it_at_a_terminal_too(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch)
    assert seen_at_a_terminal(Actor(DORA))
