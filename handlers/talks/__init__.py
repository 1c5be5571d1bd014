"""What is answered at once: questions, and decisions about the bot's own state. A new one is a dataclass and its name in this tuple."""

from handlers.talks.backup import BackupList, BackupShow
from handlers.talks.base import Asked, Talk
from handlers.talks.deciding import Abandon, Cancel, Resume
from handlers.talks.reading import Help, OneRun, Runs, ShowStatus
from handlers.talks.windows import Cost, Forecast, HoldTalk, KeepUpTalk, ListWindows, RemoveWindow, Unhold

TALKS: tuple[type[Talk], ...] = (
    *(Help, ShowStatus, Runs, Cancel, Resume, Abandon, OneRun, BackupList, BackupShow),
    *(ListWindows, Forecast, RemoveWindow, KeepUpTalk, HoldTalk, Unhold, Cost),
)

__all__ = ["TALKS", "Asked", "Talk"]
