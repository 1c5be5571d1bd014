"""`openvidu-bot status`, `plan`, `run`, `approve` ...: what is typed becomes an order, and lines are shown."""

import argparse
import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import TYPE_CHECKING

from bot.options import add_settings_to, read_settings

if TYPE_CHECKING:
    from config.values import Settings
    from handlers.terminal.follow import Line
    from handlers.terminal.session import Order

VERBS = {
    "status": ("[NODE]", "a cluster as it is now, or one node of it"),
    "plan": ("WORDS", "what would happen: plan shutdown, plan scale 4; nothing is changed"),
    "run": ("WORDS", "ask for it and follow it: run shutdown --reason “power work”"),
    "approve": ("[REQUEST] [--reason WHY]", "look at what waits for approval, and approve it"),
    "reject": (
        "[REQUEST] --reason WHY",
        "close a request without doing anything; who asked for it reads why",
    ),
    "answer": ("RUN CHOICE", "answer a run's question"),
    "cancel": ("RUN", "stop a run at its next safe point"),
    "resume": ("RUN", "go on with a run that has stopped"),
    "abandon": ("RUN", "give up a run that has stopped"),
    "runs": ("[RUN]", "the newest runs, or one in full"),
    "watch": ("[RUN]", "follow a run until it is over"),
    "say": (
        "WORDS",
        "anything else that can be said to the bot in Slack: say hold “audit” until 18:00",
    ),
}
OWN = ("--config", "--env-file", "--clock")
MOST = 140
MOST_ASKED = 10


def add_terminal_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """One command for each verb. Its words are read by the same parser as those in Slack."""
    for verb, (usage, text) in VERBS.items():
        made = commands.add_parser(
            verb,
            help=text,
            usage=f"openvidu-bot {verb} [--config FILE] [--env-file FILE] [--detach] [--yes] {usage} [--cluster NAME]",
        )
        add_settings_to(made)
        made.add_argument("--detach", action="store_true", help="do not stay to follow it")
        made.add_argument("--yes", action="store_true", help="approve without being asked again")
        made.add_argument(
            "words", nargs=argparse.REMAINDER, metavar=usage, help="as after /openvidu in Slack"
        )
        made.set_defaults(run=run, verb=verb)


def run(asked: argparse.Namespace) -> int:
    """Do it; returns the exit code: 0 done, 1 refused or not as wished, 2 the settings are wrong."""
    from handlers.terminal.session import Order  # noqa: PLC0415 - so that --help is quick

    words = own_options(asked)
    settings = read_settings(asked, secrets=False)
    order = Order(asked.verb, shlex.join(words), follow=not asked.detach)
    if asked.verb != "approve":
        return _agreed_to(asked, settings, order)
    if asked.yes and not order.words:
        sys.stderr.write(
            "name the request that --yes approves: openvidu-bot approve --yes REQUEST\n"
        )
        return 1
    code, shown = asyncio.run(_show(asked, settings, Order("show", order.words)))
    if code or not _agreed(asked):
        return code or 1
    return _agreed_to(asked, settings, _anew(order, shown))


def _agreed_to(asked: argparse.Namespace, settings: "Settings", order: "Order") -> int:
    """Do it. Where something else has to be agreed to first, it is shown, and the person is asked."""
    for _ in range(MOST_ASKED):
        code, shown = asyncio.run(_show(asked, settings, order))
        if not shown or not _agreed(asked):
            return code
        order = _anew(order, shown)
    return 1


def _anew(order: "Order", shown: str) -> "Order":
    """The same order, of exactly what was shown."""
    request = shown.partition(":")[0]
    return replace(
        order, words=request if order.verb == "approve" and request else order.words, shown=shown
    )


def own_options(asked: argparse.Namespace) -> list[str]:
    """Options of the program itself may stand behind the words too."""
    words, left = [], iter(asked.words)
    for word in left:
        name, equals, value = word.partition("=")
        if word in ("--detach", "--yes"):
            setattr(asked, word.removeprefix("--"), True)
        elif name in OWN:
            parser = argparse.ArgumentParser(add_help=False)
            add_settings_to(parser)
            parser.parse_args([name, value if equals else next(left, "")], asked)
        else:
            words.append(word)
    return words


def _agreed(asked: argparse.Namespace) -> bool:
    if asked.yes:
        asked.yes = (
            False  # it agrees to what was shown first, and to nothing that comes in its place
        )
        return True
    if not sys.stdin.isatty():
        sys.stderr.write("add --yes to approve where nobody can be asked\n")
        return False
    sys.stderr.write("Agree to exactly this? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def _show(asked: argparse.Namespace, settings: "Settings", order: "Order") -> tuple[int, str]:
    """The exit code, and what has to be agreed to, if anything."""
    screen, code, shown = Screen(), 1, ""
    task = asyncio.current_task()
    assert task is not None, "inside of asyncio.run"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        async with contextlib.aclosing(_lines(asked, settings, order, screen.width)) as lines:
            async for line in lines:
                screen.show(line)
                code, shown = line.code if line.code is not None else code, line.shown
    except asyncio.CancelledError:
        screen.clear()
        sys.stderr.write(
            "left; what is under way goes on while a bot runs, or with `openvidu-bot watch`\n"
        )
        code = 130
    return code, shown


async def _lines(
    asked: argparse.Namespace, settings: "Settings", order: "Order", width: int
) -> AsyncGenerator["Line"]:
    """From the bot that runs on this machine; from this process itself when none does."""
    from bot.terminal.socket import NoBot, ask  # noqa: PLC0415

    try:
        async with contextlib.aclosing(ask(settings.control_socket, order, width)) as lines:
            async for line in lines:
                yield line
    except NoBot as error:
        if str(error):
            sys.stderr.write(f"{error}\n")
    else:
        return
    from bot import logs  # noqa: PLC0415
    from bot.terminal.local import work  # noqa: PLC0415
    from config.settings import check_secrets  # noqa: PLC0415

    check_secrets(settings, slack=False)
    logs.set_up(settings, quiet=True)
    async with contextlib.aclosing(work(settings, asked.clock, order, width)) as mine:
        async for line in mine:
            yield line


class Screen:
    """Lines below each other; on a terminal the live one is replaced, elsewhere it is left out."""

    def __init__(self) -> None:
        self.width = min(MOST, shutil.get_terminal_size((100, 24)).columns)
        self._live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._shown = 0

    def show(self, line: "Line") -> None:
        """One line more."""
        if line.live and not self._live:
            return
        self.clear()
        if line.text or line.code is None:
            sys.stdout.write(f"{line.text}\n")
        self._shown = (
            line.text.count("\n")
            + 1
            + sum(len(part) // self.width for part in line.text.splitlines())
            if line.live
            else 0
        )
        sys.stdout.flush()

    def clear(self) -> None:
        """Take the live line away."""
        if self._shown:
            sys.stdout.write(f"\x1b[{self._shown}A\x1b[J")
            self._shown = 0
