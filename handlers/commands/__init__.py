"""Commands that are answered at once: questions, and changes of the bot's own state.

A new one is a dataclass, named in `INSTANT_COMMANDS`.
"""

from handlers.commands.audit import Audit
from handlers.commands.backup import BackupList, BackupShow
from handlers.commands.base import CommandContext, InstantCommand, WhichCluster
from handlers.commands.break_glass import BreakGlass
from handlers.commands.config import ConfigHistory, ConfigList, ConfigRollback, ConfigSet
from handlers.commands.cost import Cost
from handlers.commands.holds import HoldCommand, Unhold
from handlers.commands.later import CancelLater, ListLater
from handlers.commands.menu import Menu
from handlers.commands.run_control import Abandon, Cancel, Resume
from handlers.commands.status import Help, OneRun, Runs, ShowStatus
from handlers.commands.wake_up import WakeUpCommand
from handlers.commands.windows import Forecast, KeepUpCommand, ListWindows, RemoveWindow, SkipDays

INSTANT_COMMANDS: tuple[type[InstantCommand], ...] = (
    *(Help, ShowStatus, Runs, Cancel, Resume, Abandon, OneRun, BackupList, BackupShow),
    *(ListLater, CancelLater),
    *(
        ListWindows,
        Forecast,
        RemoveWindow,
        SkipDays,
        KeepUpCommand,
        WakeUpCommand,
        HoldCommand,
        Unhold,
        Cost,
    ),
    *(ConfigList, ConfigSet, ConfigHistory, ConfigRollback),
    *(BreakGlass, Audit, Menu),
)

__all__ = ["INSTANT_COMMANDS", "CommandContext", "InstantCommand", "WhichCluster"]
