"""What is answered at once: questions, and decisions about the bot's own state. A new one is a dataclass and its name in this tuple."""

from handlers.talks.audit import Audit
from handlers.talks.backup import BackupList, BackupShow
from handlers.talks.base import Asked, Talk, WhichCluster
from handlers.talks.config import ConfigHistory, ConfigList, ConfigRollback, ConfigSet
from handlers.talks.cost import Cost
from handlers.talks.deciding import Abandon, Cancel, Resume
from handlers.talks.glass import BreakGlass
from handlers.talks.holds import HoldTalk, Unhold
from handlers.talks.later import CancelLater, ListLater
from handlers.talks.menu import Menu
from handlers.talks.reading import Help, OneRun, Runs, ShowStatus
from handlers.talks.wake import Wake
from handlers.talks.windows import Forecast, KeepUpTalk, ListWindows, RemoveWindow, SkipDays

TALKS: tuple[type[Talk], ...] = (
    *(Help, ShowStatus, Runs, Cancel, Resume, Abandon, OneRun, BackupList, BackupShow),
    *(ListLater, CancelLater),
    *(ListWindows, Forecast, RemoveWindow, SkipDays, KeepUpTalk, Wake, HoldTalk, Unhold, Cost),
    *(ConfigList, ConfigSet, ConfigHistory, ConfigRollback),
    *(BreakGlass, Audit, Menu),
)

__all__ = ["TALKS", "Asked", "Talk", "WhichCluster"]
