"""Steps: goals that know whether they are reached, what they change, and what to request.

To add one:

1. a frozen dataclass that subclasses `Step` (`services/steps/base.py`). Its fields are stored with
   the run, so that a later release must still read them; class variables are not stored. Required
   are `timing`, `title`, `is_done`, `after`, and `ask` unless it only waits;
2. its name in `STEPS` below: a run of a step that is not listed cannot be read back;
3. example values for new fields in `FIELDS` of `tests/support/clusters.py`. The laws in
   `tests/laws/test_steps.py` then cover it.

A new write operation is a method of `WriteOperations` in `services/steps/base.py`.

The steps, each by the goal it reaches:

- `SaveWindow`: The window is in the cluster's schedule.
- `PromoteSecrets`: The staged file is `secrets.env`.
- `BreakLock`: This `lock.lock` is deleted from the bucket.
- `RestoreSecrets`: `secrets.env` is again the file from before the change.
- `DropStaged`: The staged object is deleted from the bucket.
- `WriteConfigFile`: The staged file is in the place of a configuration file, on one master.
- `RestoreConfigFile`: A configuration file is again the one from before the change.
- `ApplyConfig`: OpenVidu was restarted on one master after its configuration was written.
- `ConfigAccepted`: Every node has read the configuration: on each master, and on the media nodes.
- `ForgetConfig`: What a change of a configuration file keeps on the master is deleted.
- `Drain`: Media nodes are drained: they take no new meetings, and running meetings have ended.
- `PoolTarget`: The pool has this target number. The edit changes one field and keeps all others.
- `MediaGone`: No pool member and no droplet with the media tag is left, seen twice.
- `MediaServing`: At least `number` media nodes are in service.
- `Revive`: Drained nodes are in service again.
- `PowerOff`: Masters are powered off.
- `PowerOn`: One master is powered on.
- `Healthy`: Masters answer their own health page.
- `FrontAnswers`: The public address answers through the load balancer.
- `TemplateSize`: The pool's template has this droplet size. The pool then replaces every member.
- `Shrunk`: The pool has shrunk, and the drained nodes are removed.
- `OldGone`: No pool member of another size is left.
- `StopService`: OpenVidu is stopped on media nodes, whatever runs there. Only people choose this.
- `StopUnit`: OpenVidu is stopped on one node and stays stopped.
- `StartUnit`: OpenVidu is started on one node on which it was stopped.
- `RestartService`: OpenVidu was restarted on one master.
- `PowerOffHost`: A Single Node's droplet is powered off. It stays and is billed.
- `HealthyHost`: A Single Node answers its own health page.
- `RestartHost`: OpenVidu was restarted on a Single Node, where it had ended its meetings before.
- `Autoscaling`: The autoscaler is enabled, or paused so that it adds, drains and replaces no
  node.
- `RunsOver`: No run of the autoscaler is in progress.
- `Left`: Media nodes of the autoscaler have drained and deleted themselves.
- `Uncounted`: The autoscaler counts no leaving node, so that it adds replacements.
- `Deleted`: Media droplets are deleted, whatever runs there. Only people choose this.
- `FleetGone`: No media droplet is left and the autoscaler is still paused, seen twice, a minute
  apart.
- `Arrived`: At least `number` media nodes are in service.
- `NodesOff`: Media droplets are powered off. They stay and are billed.
- `NodesOn`: Media droplets are powered on again.
- `NodesServe`: These media nodes are in service.
- `NodeSize`: A media droplet that is powered off has this size.
- `Resize`: Masters that are powered off have this droplet size. They are resized in parallel.
- `Settled`: No action is in progress on these masters, whatever its result.
- `Snapshots`: Each of these masters has exactly one snapshot under the run's label.
- `KeepSecrets`: A private copy of the current secrets.env is stored with the backup of the run's
  label.
- `DropBackups`: These snapshots, and their copies of secrets.env, are deleted permanently.
- `DeleteLeftovers`: These droplets, volumes and reserved IPs that nothing uses are deleted
  permanently.
- `SaveBackupSchedule`: The schedule of backups is kept.
- `SaveScaling`: The standing permission to scale by the forecast is kept.
- `NoteCounts`: The documents in the database are counted for the backup, as far as they can be.
- `DrillNetwork`: A network of the drill's own exists, with a firewall that lets SSH in and nothing
  out.
- `CopyStarted`: The copy of a master runs, answers by SSH, and is proved to reach nothing.
- `DatabaseOpened`: The copy's database was opened, and holds what the backup noted.
- `RecordDrill`: The result of the drill is kept with the backup.
- `DrillGone`: Nothing that drills of this stack created is left, seen twice.
- `FetchUpdater`: The vendor's `update.sh` of this version is on these masters, and leads there.
- `UpdateMaster`: `update.sh` has updated OpenVidu on one master. OpenVidu stays stopped there.
- `RecordVersion`: `secrets.env` names this version, which new media nodes install.
- `StartServices`: OpenVidu runs on these masters. From then on an update is not rolled back.
- `RestoreMaster`: One master has the files from before the update, from the vendor's backup.
- `VersionsSeen`: Every master and every media node was seen with this version.
"""

from services.steps.autoscaler import Arrived, Autoscaling, RunsOver
from services.steps.autoscaler_drain import Deleted, FleetGone, Left, Uncounted
from services.steps.backup import DropBackups, KeepSecrets, SaveBackupSchedule, Snapshots
from services.steps.base import Choice, Effects, Question, Step, StepTiming, WriteOperations
from services.steps.configuration import (
    ApplyConfig,
    ConfigAccepted,
    ForgetConfig,
    RestoreConfigFile,
    WriteConfigFile,
)
from services.steps.drain import Drain
from services.steps.drill import (
    CopyStarted,
    DatabaseOpened,
    DrillGone,
    DrillNetwork,
    NoteCounts,
    RecordDrill,
)
from services.steps.fixed_nodes import NodeSize, NodesOff, NodesOn, NodesServe
from services.steps.host import HealthyHost, PowerOffHost, RestartHost
from services.steps.leftovers import DeleteLeftovers
from services.steps.masters import FrontAnswers, Healthy, PowerOff, PowerOn, RestartService
from services.steps.media_nodes import MediaServing, Revive, StopService
from services.steps.node_service import StartUnit, StopUnit
from services.steps.pool import PoolTarget, TemplateSize
from services.steps.removal import MediaGone, OldGone, Shrunk
from services.steps.resize import Resize, Settled
from services.steps.scaling import SaveScaling
from services.steps.secrets import BreakLock, DropStaged, PromoteSecrets, RestoreSecrets
from services.steps.upgrade import (
    FetchUpdater,
    RecordVersion,
    RestoreMaster,
    StartServices,
    UpdateMaster,
    VersionsSeen,
)
from services.steps.windows import SaveWindow

STEPS: tuple[type[Step], ...] = (
    *(SaveWindow, PromoteSecrets, BreakLock, RestoreSecrets, DropStaged),
    *(WriteConfigFile, RestoreConfigFile, ApplyConfig, ConfigAccepted, ForgetConfig),
    *(Drain, PoolTarget, MediaGone, MediaServing, Revive, PowerOff, PowerOn, Healthy, FrontAnswers),
    *(TemplateSize, Shrunk, OldGone, StopService, RestartService),
    *(PowerOffHost, RestartHost, HealthyHost),
    *(Autoscaling, RunsOver, Left, Uncounted, Deleted, FleetGone, Arrived),
    *(StopUnit, StartUnit),
    *(NodesOff, NodesOn, NodesServe, NodeSize),
    *(Resize, Settled, Snapshots, KeepSecrets, DropBackups, DeleteLeftovers),
    *(
        SaveBackupSchedule,
        SaveScaling,
        NoteCounts,
        DrillNetwork,
        CopyStarted,
        DatabaseOpened,
        RecordDrill,
        DrillGone,
    ),
    *(FetchUpdater, UpdateMaster, RecordVersion, StartServices, RestoreMaster, VersionsSeen),
)

__all__ = [
    "STEPS",
    "ApplyConfig",
    "Arrived",
    "Autoscaling",
    "BreakLock",
    "Choice",
    "ConfigAccepted",
    "CopyStarted",
    "DatabaseOpened",
    "DeleteLeftovers",
    "Deleted",
    "Drain",
    "DrillGone",
    "DrillNetwork",
    "DropBackups",
    "DropStaged",
    "Effects",
    "FetchUpdater",
    "FleetGone",
    "ForgetConfig",
    "FrontAnswers",
    "Healthy",
    "HealthyHost",
    "KeepSecrets",
    "Left",
    "MediaGone",
    "MediaServing",
    "NodeSize",
    "NodesOff",
    "NodesOn",
    "NodesServe",
    "NoteCounts",
    "OldGone",
    "PoolTarget",
    "PowerOff",
    "PowerOffHost",
    "PowerOn",
    "PromoteSecrets",
    "Question",
    "RecordDrill",
    "RecordVersion",
    "Resize",
    "RestartHost",
    "RestartService",
    "RestoreConfigFile",
    "RestoreMaster",
    "RestoreSecrets",
    "Revive",
    "RunsOver",
    "SaveBackupSchedule",
    "SaveScaling",
    "SaveWindow",
    "Settled",
    "Shrunk",
    "Snapshots",
    "StartServices",
    "StartUnit",
    "Step",
    "StepTiming",
    "StopService",
    "StopUnit",
    "TemplateSize",
    "Uncounted",
    "UpdateMaster",
    "VersionsSeen",
    "WriteConfigFile",
    "WriteOperations",
]
