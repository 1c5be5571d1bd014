"""Commands that are answered at once: questions, and changes of the bot's own state.

A new one is a dataclass, named in `INSTANT_COMMANDS`, with a line in `TOPICS` of `catalog.py`.
"""

from handlers.commands.about import VersionCommand, WhoAmI
from handlers.commands.audit import Audit
from handlers.commands.backup import (
    BackupList,
    BackupProtect,
    BackupShow,
    BackupUnprotect,
    BackupUnschedule,
)
from handlers.commands.base import CommandContext, InstantCommand, WhichCluster
from handlers.commands.break_glass import BreakGlass
from handlers.commands.config import ConfigHistory, ConfigList, ConfigRollback, ConfigSet
from handlers.commands.config_files import (
    ConfigFileEdit,
    ConfigFileList,
    ConfigFileSet,
    ConfigFileShow,
)
from handlers.commands.cost import Cost
from handlers.commands.forecast import CapacityForecast, RevokeScaling
from handlers.commands.help import Help
from handlers.commands.holds import HoldCommand, Unhold
from handlers.commands.later import CancelLater, ListLater
from handlers.commands.logs import Logs
from handlers.commands.menu import Menu
from handlers.commands.modules import ModuleList, ModuleOff, ModuleOn
from handlers.commands.observed import Observed
from handlers.commands.rehearse import Rehearse
from handlers.commands.run_control import Abandon, Cancel, HowToCancel, Resume
from handlers.commands.scale_by import ScaleBy
from handlers.commands.slo import Slo
from handlers.commands.status import OneRun, Runs, ShowStatus
from handlers.commands.terraform import TerraformDriftCommand, TerraformOpen
from handlers.commands.timeline import ShowTimeline
from handlers.commands.waiting import HowToApprove, HowToReject
from handlers.commands.wake_up import WakeUpCommand
from handlers.commands.waste import CostKeep, CostWaste
from handlers.commands.webhooks import WebhookAdd, WebhookList, WebhookRemove
from handlers.commands.why import Why
from handlers.commands.windows import Forecast, KeepUpCommand, ListWindows, RemoveWindow, SkipDays
from services.common.command import Command
from services.procedures import PROCEDURES

INSTANT_COMMANDS: tuple[type[InstantCommand], ...] = (
    *(
        Help,
        ShowStatus,
        Runs,
        Cancel,
        Resume,
        Abandon,
        OneRun,
        ShowTimeline,
        BackupList,
        BackupShow,
    ),
    *(CapacityForecast, RevokeScaling),
    *(BackupUnschedule, BackupProtect, BackupUnprotect),
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
        CostWaste,
        CostKeep,
        Slo,
        Observed,
    ),
    *(ConfigList, ConfigSet, ConfigHistory, ConfigRollback),
    *(TerraformDriftCommand, TerraformOpen),
    Logs,
    *(ConfigFileList, ConfigFileShow, ConfigFileEdit, ConfigFileSet),
    *(ModuleList, ModuleOn, ModuleOff, WebhookList, WebhookAdd, WebhookRemove),
    *(BreakGlass, Rehearse, Audit, Menu),
    *(Why, WhoAmI, VersionCommand),
    *(ScaleBy, HowToCancel, HowToApprove, HowToReject),
)
COMMANDS: tuple[type[Command], ...] = (*INSTANT_COMMANDS[:3], *PROCEDURES, *INSTANT_COMMANDS[3:])

__all__ = ["COMMANDS", "INSTANT_COMMANDS", "CommandContext", "InstantCommand", "WhichCluster"]
