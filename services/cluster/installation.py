"""OpenVidu as it is installed on a node: its version, and what updates left there. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

# Three numbers, as OpenVidu names its releases: the one way to write each.
_NUMBER = r"(0|[1-9][0-9]{0,3})"
RELEASE = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}")


def release(version: str) -> tuple[int, int, int] | None:
    """Return the numbers of a release, such as (3, 7, 0); None for anything else."""
    match = RELEASE.fullmatch(version)
    if match is None:
        return None
    return int(match[1]), int(match[2]), int(match[3])


class UpdateState(StrEnum):
    """How far an update of one node has come, as its marker on the node shows it."""

    # The marker exists and the script has not begun: it may in the next moment.
    UNSTARTED = "unstarted"
    RUNNING = "running"
    # The script ended, with the status in `UpdateRecord.status`.
    ENDED = "ended"
    # It neither runs nor has ended, as after a reboot in the middle.
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class UpdateRecord:
    """The marker that an update by the bot left on a node.

    `version`: what it updates to. `status`: the script's exit status. `backups`: the vendor's
    backup folders of this update, newest first. `started`: OpenVidu was started since, so a
    rollback is no longer possible. `errors`: new lines in nodes_errors.log since it began.
    """

    version: str
    state: UpdateState
    status: int = 0
    backups: tuple[str, ...] = ()
    started: bool = False
    errors: int = 0

    @property
    def succeeded(self) -> bool:
        return self.state is UpdateState.ENDED and self.status == 0

    @property
    def fault(self) -> str:
        """Return why it is neither under way nor successful; "" otherwise."""
        if self.state is UpdateState.INTERRUPTED:
            return f"the update to {self.version} was interrupted"
        if self.state is UpdateState.ENDED and self.status:
            return f"the update to {self.version} ended with status {self.status}"
        return ""


@dataclass(frozen=True)
class Updater:
    """An `update.sh` that was downloaded to a node.

    `release`: the version that the script itself names. `paths`: from which version it leads to
    which, by its own table.
    """

    version: str
    release: str = ""
    paths: tuple[tuple[str, str], ...] = ()

    def leads_from(self, version: str) -> bool:
        """Return whether its table leads from this version to its own, in one or more steps."""
        table, seen = dict(self.paths), set[str]()
        while version in table and version not in seen:
            seen.add(version)
            version = table[version]
            if version == self.version:
                return True
        return False


@dataclass(frozen=True)
class Installation:
    """OpenVidu on one node, from one complete run of one script.

    `version`: of deployment-info.yaml. `unit`: systemd's state of OpenVidu. `free`: MB left on the
    disk of /opt/openvidu; None where the system did not show it.
    """

    version: str
    unit: str = ""
    free: int | None = None
    updates: tuple[UpdateRecord, ...] = ()
    updaters: tuple[Updater, ...] = ()

    @property
    def runs(self) -> bool:
        """Return whether OpenVidu's unit is active."""
        return self.unit == "active"

    def update_to(self, version: str) -> UpdateRecord | None:
        """Return the record of the update to that version; None if there is none."""
        return next((u for u in self.updates if u.version == version), None)

    def updater_of(self, version: str) -> Updater | None:
        """Return the downloaded script of that version; None if there is none."""
        return next((u for u in self.updaters if u.version == version), None)
