"""Users at terminals of the bot's machine: what they read there, and what they agree to."""

import os
import pwd
from pathlib import Path
from typing import Any

from bot.terminal.identity import Peer, actor_of
from bot.terminal.local import terminal_context
from bot.terminal.socket import Control
from handlers.terminal.follow import OutputLine
from handlers.terminal.session import TerminalCommand, TerminalSession
from simulators.slack.model import Press
from tests.campaign.cast import TERMINAL
from tests.campaign.witness import StoryWitness
from tests.support.scene import Scene

USERS = {"UANA": 61001, "UBEN": 61002, "UCARLA": 61003}
"""Users of the machine, as the settings name them."""
UNNAMED = 61099


class Terminals:
    """The newest bot's socket, without a network. Presses are recorded like those in Slack."""

    def __init__(self, scene: Scene, witness: StoryWitness) -> None:
        self._scene, self._witness = scene, witness

    async def says(self, user: str, words: str, verb: str = "say") -> None:
        """Type something and return the answer."""
        await self._hear(user, TerminalCommand(verb, words, follow=False))

    async def reads(self, user: str, verb: str, *, pretends: bool = False) -> OutputLine | None:
        """Look at what waits; None when nothing of it could be read."""
        lines = await self._hear(user, TerminalCommand(verb, "", follow=False), pretends=pretends)
        return next((line for line in reversed(lines) if line.code == 0), None)

    async def agrees(self, user: str, seen: OutputLine, *, pretends: bool = False) -> None:
        """Agree to what was read. From a process that only pretends, it counts for no one."""
        place = self._scene.slack.workspace
        if not pretends:
            channel = self._scene.settings.clusters["acme"].channel or ""
            readers = frozenset({user})
            value = seen.shown.partition(":")[0]
            place.presses.append(
                Press(
                    self._scene.clock.now(),
                    user,
                    channel,
                    TERMINAL,
                    "Approve",
                    value,
                    "",
                    seen.text,
                    readers,
                )
            )
        await self._hear(
            user,
            TerminalCommand("approve", "", follow=False, shown=seen.shown),
            pretends=pretends,
        )

    async def _hear(
        self, user: str, order: TerminalCommand, *, pretends: bool = False
    ) -> list[OutputLine]:
        if self._scene.crash_injectors[-1].is_dead:
            return []
        bot, settings = self._scene.bot, _with_users(self._scene.settings)
        terminal = TerminalSession(
            bot.operations.service,
            bot.operations.sweep,
            bot.scheduler,
            self._scene.clock,
            terminal_context(settings),
            drives=False,
        )
        control = Control(Path(os.devnull), terminal, lambda peer: actor_of(settings, peer))
        peer = (
            Peer(UNNAMED, os.getpid(), USERS[user]) if pretends else Peer(USERS[user], os.getpid())
        )

        async def heard() -> list[OutputLine]:
            return [line async for line in control.run_order(order, peer, 100)]

        lines = await self._scene.by_bot(heard()) or []
        if not pretends:
            self._witness.reads(user, "\n".join(line.text for line in lines))
        return lines


def _with_users(settings: Any) -> Any:
    """Return the settings with users at a terminal that no machine has."""
    for uid in USERS.values():
        assert not any(p.pw_uid == uid for p in pwd.getpwall()), "a real user is not played with"
    users = {str(uid): user for user, uid in USERS.items()}
    return settings.model_copy(
        update={"terminal": settings.terminal.model_copy(update={"users": users})}
    )
