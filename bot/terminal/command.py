"""`openvidu-bot status`, `plan`, `run`, `approve` ...: send an order to the bot, show its lines."""

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
from pathlib import Path

from bot import logs
from bot.file_writing import PRIVATE, content_of, write_whole
from bot.options import found_files, read_settings, require_secrets, say_files
from bot.terminal.arguments import take_own_options
from bot.terminal.socket import NoBot, ask
from config.values import Settings
from handlers.terminal.follow import OutputLine
from handlers.terminal.session import TerminalCommand

MAX_WIDTH = 140  # columns
MAX_CONFIRMATIONS = 10
# What a person decides at a terminal, by verb.
DECISIONS = {"run": "Start", "answer": "Answer"}
# What a script adds where no one can be asked.
YES = "Not approved: there is no terminal to confirm on. Add --yes to approve without a question."
WITHOUT_ASKING = {
    "run": "Not started: there is no terminal to confirm on. Add --now to start without a question."
}


def run(options: argparse.Namespace) -> int:
    """Run one order; return the exit code: 0 done, 1 refused or failed, 2 wrong settings."""
    words = take_own_options(options)
    settings = read_settings(options, secrets=False)
    say_files(options)
    order = TerminalCommand(options.verb, shlex.join(words), follow=not options.detach)
    if options.verb != "approve":
        return _run_confirmed(options, settings, order)
    if options.yes and not order.words:
        sys.stderr.write(
            "Name the request that --yes approves: openvidu-bot approve --yes REQUEST\n"
        )
        return 1
    code, shown = asyncio.run(_show(options, settings, TerminalCommand("show", order.words)))
    if code or not _confirmed(options):
        return code or 1
    return _run_confirmed(options, settings, _confirming(order, shown))


def _run_confirmed(options: argparse.Namespace, settings: Settings, order: TerminalCommand) -> int:
    """Run the order; whenever the bot shows something to confirm first, ask the user."""
    for _ in range(MAX_CONFIRMATIONS):
        code, shown = asyncio.run(_show(options, settings, order))
        if not shown or not _confirmed(options):
            return code
        order = _confirming(order, shown)
    return 1


def _confirming(order: TerminalCommand, shown: str) -> TerminalCommand:
    """Return the same order, confirming exactly what was shown."""
    request = shown.partition(":")[0]
    if order.verb == "approve" and request:
        return replace(order, words=request, shown=shown)
    return replace(order, shown=shown)


def _confirmed(options: argparse.Namespace) -> bool:
    if options.yes:
        # It confirms what is shown first, and nothing that comes in its place.
        options.yes = False
        return True
    if not sys.stdin.isatty():
        sys.stderr.write(f"{WITHOUT_ASKING.get(options.verb, YES)}\n")
        return False
    decision = DECISIONS.get(options.verb, "Approve")
    sys.stderr.write(f"{decision} exactly this? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def _show(
    options: argparse.Namespace, settings: Settings, order: TerminalCommand
) -> tuple[int, str]:
    """Show the answer; return the exit code and what has to be confirmed, if anything."""
    screen, code, shown = TerminalScreen(options.output), 1, ""
    task = asyncio.current_task()
    assert task is not None, "inside of asyncio.run"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        async with contextlib.aclosing(_lines(options, settings, order, screen.width)) as lines:
            async for line in lines:
                screen.show(line)
                shown = line.shown
                if line.code is not None:
                    code = line.code
    except asyncio.CancelledError:
        screen.clear()
        sys.stderr.write(
            "Stopped following. The run continues while a bot runs. "
            "To follow it again: openvidu-bot watch\n"
        )
        code = 130
    return code, shown


async def _lines(
    options: argparse.Namespace, settings: Settings, order: TerminalCommand, width: int
) -> AsyncGenerator[OutputLine]:
    """Yield the answer of the bot on this machine; run the order in this process without one."""
    try:
        async with contextlib.aclosing(ask(settings.control_socket, order, width)) as lines:
            async for line in lines:
                yield line
    except NoBot as error:
        if str(error):
            sys.stderr.write(f"{error}\n")
    else:
        return
    # The whole bot, which an order that a running bot answers does not need.
    from bot.terminal.local import run_order  # noqa: PLC0415

    require_secrets(settings, found_files(options), slack=False)
    logs.set_up(settings, quiet=True)
    async with contextlib.aclosing(run_order(settings, options.clock, order, width)) as lines:
        async for line in lines:
            yield line


class TerminalScreen:
    """Prints lines; on a terminal a live line replaces the one before, elsewhere it is left out.

    `output`: where files go instead of the screen.
    """

    def __init__(self, output: Path | None = None) -> None:
        self._output = output
        self.width = min(MAX_WIDTH, shutil.get_terminal_size((100, 24)).columns)
        self._live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._live_rows = 0

    def show(self, line: OutputLine) -> None:
        """Print one line. A file goes to `--output`, where that is given."""
        if line.file and self._output is not None:
            # Only for this user: what looks like no secret may still be one.
            write_whole(self._output, f"{line.text}\n", PRIVATE, content_of(self._output))
            sys.stdout.write(f"{self._output} has it.\n")
            return
        if line.live and not self._live:
            return
        self.clear()
        if line.text or line.code is None:
            sys.stdout.write(f"{line.text}\n")
        if line.live:
            wrapped = sum(len(part) // self.width for part in line.text.splitlines())
            self._live_rows = line.text.count("\n") + 1 + wrapped
        sys.stdout.flush()

    def clear(self) -> None:
        """Remove the live line."""
        if self._live_rows:
            sys.stdout.write(f"\x1b[{self._live_rows}A\x1b[J")
            self._live_rows = 0
