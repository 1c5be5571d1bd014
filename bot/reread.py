"""Reads the settings file again while the bot runs, for the Slack channels of its clusters only."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from config.settings import SettingsError
from config.values import Settings
from services.common.clock import Clock

log = logging.getLogger(__name__)
EVERY = 30.0


@dataclass(frozen=True)
class SettingsFile:
    """The settings file, and the function that reads it."""

    path: Path
    read: Callable[[], Settings]


class Reread:
    """Applies changed channels of the settings file; all other changes take a restart.

    A running run may depend on the other settings. `channels` and `default_clusters` are changed in
    place: other parts of the bot hold the same dictionaries.
    """

    def __init__(
        self,
        file: SettingsFile | None,
        settings: Settings,
        default_clusters: dict[str, str],
        channels: dict[str, str],
        channels_of: Callable[[Settings], dict[str, str]],
        clock: Clock,
    ) -> None:
        self._file = file
        self._clusters = frozenset(settings.clusters)
        self._default_clusters = default_clusters
        self._channels = channels
        self._channels_of = channels_of
        self._clock = clock
        self._checked_at = clock.now()
        self._version = self._read_version()
        self.problem = ""  # why the current content of the file is not used

    async def sweep(self) -> None:
        """Apply the channels of a changed file. An invalid one changes nothing; logged once."""
        if self._file is None or self._clock.now() - self._checked_at < EVERY:
            return
        self._checked_at = self._clock.now()
        version = await asyncio.to_thread(self._read_version)
        if version == self._version:
            return
        self._version = version
        try:
            settings = await asyncio.to_thread(self._file.read)
        except (SettingsError, ValueError, OSError) as error:
            self.problem = (
                f"{self._file.path} has changed and is not valid; "
                f"the channels read before stay in use: {error}"
            )
            log.warning("%s", self.problem)
            return
        self.problem = ""
        self._apply(settings)

    def _read_version(self) -> tuple[int, int] | None:
        """Return modification time (ns) and size of the file; None when there is none."""
        if self._file is None:
            return None
        try:
            status = self._file.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size

    def _apply(self, settings: Settings) -> None:
        channels = {n: c for n, c in self._channels_of(settings).items() if n in self._clusters}
        defaults = {c: n for c, n in settings.channels.items() if n in self._clusters}
        if (channels, defaults) == (self._channels, self._default_clusters):
            return
        for current, new in ((self._channels, channels), (self._default_clusters, defaults)):
            current.clear()
            current.update(new)
        log.info(
            "the settings name other channels: %s",
            ", ".join(f"{n} in {c}" for n, c in sorted(channels.items())),
        )
