"""Every entry point: commands, buttons, forms, Home, the terminal, HTTP.

Made from the bot's own registries, so that none is missing.

An entry point is something that a user does, with the words they typed. The user has no role for
the cluster `osprey`: what comes back may hold no word of that cluster but the typed ones.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from handlers.app import EVENTS, VIEWS
from handlers.commands.decisions import OF_REQUESTS, REASONED, WHY
from handlers.commands.parser import COMMANDS, parse
from handlers.commands.targets import HandlerContext
from handlers.interactions.button_actions import ACTIONS
from handlers.interactions.buttons import MENU_ACTIONS, OPENING_ACTIONS
from handlers.interactions.command_form import FORM, PLAN, ModalState, command_form, plan_view
from handlers.slack.blocks import modal, section
from handlers.slack.blocks import plain_text as plain_words
from handlers.terminal.follow import TerminalContext
from handlers.terminal.session import TerminalCommand, TerminalSession
from handlers.views.config_file import (
    EDIT,
    TEXT,
    URL,
    WEBHOOK_FORM,
    FormState,
    edit_form,
    webhook_form,
)
from handlers.views.dry_run import plan_card
from handlers.views.links import LINK
from handlers.views.notifications import NOTIFICATIONS, notifications_form
from handlers.views.secret_form import CONFIG, config_form
from handlers.views.window_form import WINDOW, window_form
from services.access.policy import Actor, DecisionKind
from services.common.command import Command, CommandClass
from services.config_files import file_named
from services.memory.notifications import DEFAULT
from services.procedures import Procedure, Startup
from services.store import Store
from services.windows import parse_window
from simulators.slack import payloads
from simulators.slack.elements import interactive, state_of
from simulators.slack.journal import WireLogEntry
from simulators.slack.model import JSON, View
from tests.support.clusters import plan_of, ready
from tests.support.scene import Scene, open_message_tab

SECRET, OTHER = "osprey", "beta"
OWN, GENERAL, ANY = (
    "COSPREY",
    "CGENERAL",
    "CANY",
)  # The cluster's own channel; one where it is the default; one without.
DORA, EVE = "UDORA", "UEVE"  # Without a role anywhere; an operator of the other cluster.
REASONS = ("quetzal", "bittern", "turnstone", "dunlin", "whimbrel")
WINDOW_NAME = "nightjar"
PEOPLE = 37
START = datetime(2026, 11, 25, 19, 0, tzinfo=ZoneInfo("Europe/Madrid")).timestamp()
SEEN = {
    "chat.postMessage",
    "chat.update",
    "chat.postEphemeral",
    "views.open",
    "views.update",
    "views.publish",
    "views.push",
}
SAMPLES: dict[str, str] = {  # Samples for each field of a command.
    "terraform open.patch": "3f2a90c1b7d4",
    "things": "volume:v1",
    "thing": "volume:v1",
    "keep_days": "7",
    "backup schedule.times": "weekly Sun 03:00",
    "backup unschedule.schedule": "weekly",
    "timeline.what": "2027-01-15",
    "timeline.hours": "02:00-04:00",
    "timeline.form": "json",
    "drill.backup": "20270101T020000Z",
    "forecast allow.nodes": "2-5",
    "forecast allow.changes": "6",
    "forecast allow.days": "30",
    "forecast allow.dollars": "20",
    "node": "master-1",
    "service": "caddy",
    "since": "30m",
    "number": "5",
    "media": "4",
    "size": "s-8vcpu-16gb",
    "days": "30d",
    "observed.days": "30",
    "slo.span": "30",
    "name": WINDOW_NAME,
    "length": "1h",
    "window": "late Mon-Fri 21:00-07:00",
    "dates": "2027-12-24",
    "month": "2026-11",
    "key": "DASHBOARD_ADMIN_PASSWORD",
    "version": "v1",
    "file": "livekit.yaml",
    "part": "room",
    "config file set.words": "livekit.yaml room.max_participants 5",
    "module": "observability",
    "webhook add.url": "https://x.example/hook",
    "webhook remove.number": "1",
    "backup": "x",
    "run": f"{SECRET}-2",
    "hold.what": '"why" until tomorrow 08:00',
    "break-glass.what": "shutdown",
    "rehearse.what": "shutdown",
    "later cancel.what": "3f2a99",
    "topic": "shutdown",
    "change": "+1",
    "which": "3f2a99",
}


_LIVEKIT = file_named("livekit.yaml")
Form = tuple[str, JSON, dict[str, JSON]]  # Its name, its view, what was typed into it.


@dataclass(frozen=True)
class EntryPoint:
    """One action of a user. `typed`: every word that they gave."""

    name: str
    typed: str
    walk: Callable[[], Awaitable[object]]


@dataclass
class EntryScene:
    """A cluster that two users have no role for, with everything that can go on in it."""

    scene: Scene
    requests: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    answer: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """Return words that only this cluster has."""
        droplets = [d for d in self.scene.estate.droplets.values() if d.name.startswith(SECRET)]
        names = {str(d.id) for d in droplets} | {
            a for d in droplets for a in (d.public_ip, d.private_ip) if a
        }
        return (
            *REASONS,
            WINDOW_NAME,
            f"{PEOPLE} people",
            OWN,
            "UANA",
            "UBEN",
            "UCARLA",
            *sorted(names),
            *self.requests,
        )


def leaks(text: str, typed: str, words: tuple[str, ...]) -> list[str]:
    """Return words of the cluster in that text which this user did not type."""
    typed_words = set(re.findall(r"[\w.:@-]+", typed))
    named = [t.strip(".:-") for t in re.findall(r"[\w.:@-]+", text) if SECRET in t]
    return [t for t in named if t not in typed_words] + [
        w for w in words if w in text and w not in typed
    ]


@asynccontextmanager
async def place(
    *, closed: bool = False, reach: Callable[[Store], Store] = lambda store: store
) -> AsyncIterator[EntryScene]:
    """Set up everything at once.

    Ended runs, one with a question, requests, a hold, a window, a keep-up, meetings.

    `closed`: the cluster's own channel is archived, which only its people are told.
    """
    scene = Scene(
        media=3,
        stacks=(SECRET, OTHER),
        origin=START,
        reach=reach,
        pydo=False,
        sites={
            SECRET: {"roles": {"operators": ["UANA", "UBEN", "UCARLA"], "viewers": [],
                "break_glass": ["UANA"]}, "channel": OWN,
                     "windows": [f"{WINDOW_NAME} Mon-Fri 23:00-07:30"],
                     "drain": {"deadline_minutes": 5}, "policy": {"approval_minutes": 1440}},
            OTHER: {"roles": {"operators": [EVE], "viewers": [EVE]}, "channel": "CBETA",
                "policy": {"single_operator": True}},
        },
        settings={"channels": {GENERAL: SECRET}, "slack": {"mode": "http"}},
    )  # fmt: skip
    workspace = scene.slack.workspace
    workspace.add_user(EVE, "eve", "Eve")
    everybody = ["UANA", "UBEN", "UCARLA", DORA, EVE]
    workspace.add_channel(OWN, SECRET, everybody[:3])
    workspace.add_channel("CBETA", OTHER, [EVE])
    workspace.add_channel(GENERAL, "general", everybody)
    workspace.add_channel(ANY, "any", everybody)
    open_message_tab(scene.slack)
    scene.slack.webapi.limited = False  # No one uses so many entry points in so little time.
    async with scene:
        lived_in = await _lived_in(scene)
        if closed:
            workspace.archive(OWN)
        yield lived_in


async def _lived_in(scene: Scene) -> EntryScene:
    ana, ben = scene.ana, scene.ben
    await ana.type_text(OWN, f'/openvidu scale 4 --now --cluster {SECRET} --reason "{REASONS[0]}"')
    await scene.run_is(f"{SECRET}-1", "done")
    await ana.type_text(
        OWN, f'/openvidu restart master-2 --cluster {SECRET} --reason "{REASONS[1]}"'
    )
    (waiting,) = await _waiting(scene, 1)
    scene.estate.open_meeting(people=PEOPLE, minutes=900, cluster=SECRET)
    await ana.type_text(OWN, f'/openvidu shutdown --cluster {SECRET} --reason "{REASONS[2]}"')
    waiting_too = next(r for r in await _waiting(scene, 2) if r != waiting)
    await ben.press(await ana.wait_for_message(OWN, f"Shut down {SECRET}", 60), "Approve")
    run = await scene.run_is(f"{SECRET}-2", "asking")
    assert run.question is not None, "it is asking"
    await ana.type_text(
        OWN,
        f'/openvidu backup create --at tomorrow 09:00 --cluster {SECRET} --reason "{REASONS[4]}"',
    )
    await ana.wait_for_message(OWN, "eeds no approval; starts", 60)
    (later,) = await scene.bot.operations.reader.scheduled(SECRET)
    await ana.type_text(
        OWN, f'/openvidu hold "{REASONS[3]}" until tomorrow 08:00 --cluster {SECRET}'
    )
    await ana.wait_for_message(OWN, "is on hold until", 60)
    await ana.type_text(OWN, f"/openvidu keepup 1h --cluster {SECRET}")
    await ana.wait_for_message(OWN, "stays up until", 60)
    answer = f"{run.id}|{run.question.id}|{run.question.choices[-1].id}"
    return EntryScene(
        scene,
        (waiting, waiting_too, later.id),
        (f"{SECRET}-1", f"{SECRET}-2", f"{SECRET}-99"),
        answer,
    )


async def _waiting(scene: Scene, count: int) -> list[str]:
    for _ in range(60):
        ids = [r.id for r in await scene.bot.operations.reader.waiting(SECRET)]
        if len(ids) == count:
            return ids
        await scene.wait(1)
    raise AssertionError("the request did not come")


# --- commands


def sample_command(kind: type[Command]) -> str:
    """Return the command with a value for each of its fields.

    An argument without a sample above is an error.
    """
    words = [kind.command]
    for field in kind.parameters():
        if field.metadata["kind"] == "flag":
            continue
        if field.metadata["kind"] == "option":
            words.append(f"--{field.name.replace('_', '-')}")
        sample = (
            SAMPLES.get(f"{kind.command}.{field.name}")
            or SAMPLES.get(field.name)
            or (field.metadata.get("choices") or [None])[0]
        )
        assert sample is not None, f"nothing is known to say for {field.name} of `{kind.command}`"
        words.append(sample)
    return " ".join(words)


def commands(p: EntryScene, user: str) -> Iterator[EntryPoint]:
    """Return every command.

    In the default channel, with the cluster's name, without any, and in a thread.
    """
    human, direct = p.scene.person(user), p.scene.slack.workspace.direct(user).id
    for kind in COMMANDS:
        text = sample_command(kind)
        assert type(parse(text).command) is kind, f"`{text}` is not understood as {kind.command}"
        forms, plan = list(dict.fromkeys((text, kind.command))), text
        plans = issubclass(kind, Procedure) or getattr(kind, "plans", False)
        if plans:
            plan = f"{text} --dry-run"
            forms.append(plan)
        for words in forms:
            for channel, named in (
                (GENERAL, ""),
                (ANY, f" --cluster {SECRET}"),
                (ANY, ""),
                (direct, f" --cluster {SECRET}"),
            ):
                yield _command(human, channel, words + named)
        yield EntryPoint(f"@bot {text}", text, lambda t=text: human.mention_bot(GENERAL, t))  # type: ignore[misc]
        if plans or CommandClass.LOOK in kind.classes:
            yield _command(human, ANY, f"{plan} --cluster {OTHER}")
    for words in (
        f"status --cluster {SECRET}x",
        "cost --all",
        "nonsense",
        f"run {SECRET}-99",
        "status master-9",
    ):
        yield _command(human, ANY, words)


def _command(human: Any, channel: str, words: str) -> EntryPoint:
    return EntryPoint(
        f"{channel} /openvidu {words}",
        words,
        lambda: human.type_text(channel, f"/openvidu {words}"),
    )


# --- buttons


def values(p: EntryScene) -> tuple[str, ...]:
    """Return the values of the cluster's buttons, and some of no button."""
    edge = f"{WINDOW_NAME}-close@2026-11-25T23:00"
    return (
        *p.requests,
        *p.runs,
        p.answer,
        SECRET,
        f"{SECRET}|{edge}",
        f"{SECRET}|x",
        "nothing",
        "",
    )


def buttons(p: EntryScene, user: str) -> Iterator[EntryPoint]:
    """Return every action with every value.

    In a message of a channel, and in Home, where there is none.
    """
    # Slack opens a link by itself; the bot answers its press with nothing.
    for action in (*(a for a in ACTIONS if a != LINK), *OPENING_ACTIONS):
        for value in values(p):
            more = {"keepup": ":3600", "answer": ":force"}.get(action, "")
            for inside in (False, True):
                yield press(p, user, f"{action}{more}", value, inside=inside)
    assert set(MENU_ACTIONS) == {"form", "say", "more", "which"}, (
        "a new kind of button has to be walked through here"
    )
    for kind in COMMANDS:
        name = kind.command.replace(" ", "-")
        for inside in (False, True):
            yield press(p, user, f"form:{name}", SECRET, inside=inside)
            yield press(p, user, f"say:{name}", SECRET, inside=inside)
        yield press(p, user, "more", f"form:{name}|{SECRET}", picked=True)
    yield press(p, user, "which", SECRET, picked=True)
    yield press(p, user, "which", f"{SECRET}x", picked=True)


def press(
    p: EntryScene, user: str, action: str, value: str, *, inside: bool = False, picked: bool = False
) -> EntryPoint:
    """Press a button as Slack delivers it, whoever sees it.

    Messages are forwarded, and stay in channels that users left.
    """

    async def walk() -> None:
        human, workspace = p.scene.person(user), p.scene.slack.workspace
        element: JSON = {
            "type": "static_select" if picked else "button",
            "action_id": action,
            "block_id": "b",
        }
        element |= {"selected_option": {"value": value}} if picked else {"value": value}
        if inside:
            view = workspace.publish_home(
                user, {"type": "home", "callback_id": "home", "blocks": [section("x")]}
            )
            payload = payloads.view_action(workspace, human.user, view, element, {})
        else:
            message = workspace.post(
                workspace.channel(GENERAL), workspace.bot.id, "x", [section("x")]
            )
            payload = payloads.message_action(workspace, human.user, message, element, {})
        await human.delivery.deliver("interactive", payload)

    place = ""
    if inside:
        place = " in Home"
    return EntryPoint(
        f"{action}{place} with {value!r}",
        f"{action} {value} {value.replace('|', ' ')}",
        walk,
    )


# --- forms


def forms(p: EntryScene, user: str) -> Iterator[EntryPoint]:
    """Return every form of the cluster, as a user has it who lost the role meanwhile."""
    makers: dict[str, Callable[[str], Iterator[Form]]] = {
        CONFIG: _config_forms,
        EDIT: _file_forms,
        WEBHOOK_FORM: _webhook_forms,
        WINDOW: _window_forms,
        FORM: _command_forms,
        PLAN: _plan_forms,
        REASONED: partial(_reason_forms, p),
        NOTIFICATIONS: _notification_forms,
    }
    for callback in VIEWS:
        assert callback in makers, (
            f"nothing is known of the form {callback}: say above how it is filled in"
        )
        for channel in (GENERAL, ANY):
            for name, body, typed in makers[callback](channel):
                assert body["callback_id"] == callback, "the form is the one that is meant"
                yield send(p, user, f"{name} from {channel}", body, typed)


def _config_forms(channel: str) -> Iterator[Form]:
    value = {
        "secret_value": {
            "secret_value": {"type": "plain_text_input", "value": "Long-Enough-Password-1"}
        }
    }
    yield "config set", config_form(SECRET, "DASHBOARD_ADMIN_PASSWORD", channel), value
    yield (
        "config set of a cluster that is none",
        config_form(f"{SECRET}x", "DASHBOARD_ADMIN_PASSWORD", channel),
        value,
    )


def _file_forms(channel: str) -> Iterator[Form]:
    for name in (SECRET, f"{SECRET}x"):
        state = FormState(name, channel, "livekit.yaml", "room", "d1")
        typed = _typed_text(TEXT, "room:\n  max_participants: 5")
        yield f"config file edit of {name}", edit_form(state, _LIVEKIT, "room:"), typed


def _webhook_forms(channel: str) -> Iterator[Form]:
    state = FormState(SECRET, channel, "livekit.yaml")
    yield "webhook add", webhook_form(state), _typed_text(URL, "https://x.example/hook")


def _typed_text(block: str, value: str) -> dict[str, JSON]:
    return {block: {block: {"type": "plain_text_input", "value": value}}}


def _window_forms(channel: str) -> Iterator[Form]:
    yield (
        "window add",
        window_form(SECRET, channel, parse_window("late Mon-Fri 21:00-07:00", "UTC")),
        {},
    )


def _notification_forms(_channel: str) -> Iterator[Form]:
    body = notifications_form(DEFAULT)
    typed = {
        block["block_id"]: {
            element["action_id"]: {
                "type": "static_select",
                "selected_option": element["options"][-1],
            }
        }
        for block, element in interactive(body["blocks"])
    }
    yield "notifications", body, typed


def _command_forms(channel: str) -> Iterator[Form]:
    for kind in COMMANDS:
        body = command_form(
            kind, replace(ready(3), name=SECRET), ModalState(kind.command, SECRET, channel)
        )
        typed = {}
        for block, element in interactive(body["blocks"]):
            name = block["block_id"]
            if element["type"] == "plain_text_input":
                typed[name] = {
                    element["action_id"]: {
                        "type": "plain_text_input",
                        "value": SAMPLES.get(name, "why not"),
                    }
                }
            elif element["type"] == "static_select":
                typed[name] = {
                    element["action_id"]: {
                        "type": "static_select",
                        "selected_option": element["options"][0],
                    }
                }
        yield f"form of {kind.command}", body, typed


def _plan_forms(channel: str) -> Iterator[Form]:
    plan = plan_of(ready(3), Startup(4))
    assert plan is not None, "it can be planned"
    for kind in COMMANDS:
        meant = ModalState(kind.command, SECRET, channel, sample_command(kind))
        yield (
            f"plan of {kind.command}",
            plan_view(plan_card(plan, dry=True), meant, submit="Do it", note="x"),
            {},
        )


def _reason_forms(p: EntryScene, channel: str) -> Iterator[Form]:
    for decision in DecisionKind:
        for name in p.requests if decision in OF_REQUESTS else p.runs:
            meant = json.dumps(
                {"decision": decision, "name": name, "channel": channel, "needed": True}
            )
            body = modal(REASONED, "Why", [section("x")], metadata=meant, submit="x")
            line = {"type": "plain_text_input", "action_id": WHY}
            body["blocks"].append(
                {"type": "input", "block_id": WHY, "label": plain_words("Why", 9), "element": line}
            )
            yield (
                f"{decision} of {name}",
                body,
                {WHY: {WHY: {"type": "plain_text_input", "value": "why not"}}},
            )


def send(p: EntryScene, user: str, name: str, body: JSON, typed: dict[str, JSON]) -> EntryPoint:
    """Submit a form, and show the answer on the screen."""

    async def walk() -> None:
        human, workspace = p.scene.person(user), p.scene.slack.workspace
        view: View = workspace.open_view(user, body)
        view.typed = typed
        state = state_of(view.blocks, view.typed)
        await human.delivery.deliver(
            "interactive", payloads.view_submission(workspace, human.user, view, state), True
        )

    return EntryPoint(name, f"{body} {typed}", walk)


# --- events, the terminal, HTTP


def events(p: EntryScene, user: str) -> Iterator[EntryPoint]:
    """Return every event that the bot listens to."""
    human = p.scene.person(user)
    samples: dict[str, tuple[EntryPoint, ...]] = {
        "app_home_opened": (EntryPoint("Home", "", human.open_home),),
        "app_mention": tuple(
            EntryPoint(f"@bot {t}", t, lambda t=t: human.mention_bot(GENERAL, t))  # type: ignore[misc]
            for t in ("", "status", "menu", "help")
        ),
        "message.im": (
            EntryPoint(
                "in the bot's own conversation",
                "",
                lambda: human.type_text(p.scene.slack.workspace.direct(user).id, "status"),
            ),
        ),
    }
    for event in EVENTS:
        assert event in samples, (
            f"nothing is known of the event {event}: say above how it comes about"
        )
        yield from samples[event]


def modal_of(text: str) -> JSON:
    """Return a modal."""
    return modal("x", "x", [section(text)])


def orders(p: EntryScene, verbs: dict[str, tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Return every verb of the terminal with everything that may follow it."""
    options = {
        "status": ["", "master-1"], "logs": ["master-1", "media-1 egress"],
        "plan": [], "run": [], "rehearse": ["shutdown"],
        "say": [], "runs": ["", *p.runs],
        "watch": ["", *p.runs], "approve": ["", *(r[:8] for r in p.requests), "zzz"], "reject": ["",
        *(r[:8] for r in p.requests), "zzz"], "show": ["", *(r[:8] for r in p.requests), "zzz"],
        "answer": [f"{r} {c}" for r in p.runs for c in ("force", "wait")], "cancel": list(p.runs),
        "resume": list(p.runs), "abandon": list(p.runs),
    }  # fmt: skip
    for verb in (*verbs, "show"):
        assert verb in options, f"nothing is known of the verb {verb}: say above what follows it"
        for words in options[verb]:
            yield verb, words
    for kind in COMMANDS:
        for verb in ("plan", "run") if issubclass(kind, Procedure) else ("say",):
            yield verb, sample_command(kind)
            yield verb, f"{sample_command(kind)} --cluster {SECRET}"
    yield "say", f"status --cluster {SECRET}x"
    yield "status", f"--cluster {SECRET}"
    yield "watch", f"--cluster {SECRET}"


async def typed_at(p: EntryScene, verb: str, words: str, who: Actor) -> str:
    """Return everything that a terminal shows of one order."""
    circle = TerminalContext(
        HandlerContext("/openvidu", {GENERAL: SECRET}),
        {"UANA": "UANA", "UBEN": "UBEN", "UCARLA": "UCARLA"},
    )
    bot, operations = p.scene.bot, p.scene.bot.operations
    service, sweep = operations.service, operations.sweep
    terminal = TerminalSession(service, sweep, bot.scheduler, p.scene.clock, circle, drives=False)
    lines = []
    with contextlib.suppress(TimeoutError):  # Those who may watch go on watching.
        async with asyncio.timeout(30):
            async for line in terminal.run(TerminalCommand(verb, words, follow=True), who):
                lines.append(line.text)  # noqa: PERF401 - a comprehension would lose what came before the time was up
    assert lines, f"{verb} {words}: nothing came back"
    return "\n".join(lines)


# --- using them


async def use(p: EntryScene, door: EntryPoint, user: str) -> list[str]:
    """Use an entry point; return what it showed of the cluster and should not have."""
    journal, bot = p.scene.slack.journal, p.scene.bot
    before = journal.count
    await door.walk()
    for _ in range(600):
        if not (bot.dispatcher.tasks.busy or bot.home.tasks.busy):
            break
        await p.scene.wait(0.2)
    else:
        raise AssertionError(f"{door.name}: no answer")
    shown = [e for e in journal.entries if e.number > before and _is_seen(e, p, user)]
    texts = [_text_of(e) for e in shown]
    assert any(texts), f"{door.name}: nothing came back"
    return [f"{door.name}: {word}" for text in texts for word in leaks(text, door.typed, p.words)]


def _text_of(entry: WireLogEntry) -> str:
    """Return what an entry shows; "" for an empty ack."""
    if entry.kind != "ack":
        return str(entry.sent or "")
    if not entry.answer:
        return ""
    return f"{entry.sent} {entry.answer}"


def _is_seen(entry: WireLogEntry, p: EntryScene, user: str) -> bool:
    """Return whether the stranger sees it: texts where they are, and on their own screen."""
    if entry.kind != "api":
        return entry.kind in ("ack", "respond")
    if entry.name not in SEEN and not entry.name.startswith("files."):
        return False
    if (whom := entry.sent.get("user") or entry.sent.get("user_id")) is not None:
        return bool(whom == user)
    channel = str(entry.sent.get("channel") or user)
    if channel.startswith("U"):
        return channel == user
    return user in p.scene.slack.workspace.channel(channel).members
