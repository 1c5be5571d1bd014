"""The settings file is read again while the bot runs, for one thing: in which Slack channels its clusters are spoken of."""

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
    """Where the settings came from, and how they are read."""

    path: Path
    read: Callable[[], Settings]


class Reread:
    """Looks at the file now and then. Everything but channels takes a restart: what a run rests on does not change under it."""

    def __init__(
        self,
        file: SettingsFile | None,
        settings: Settings,
        meant: dict[str, str],
        channels: dict[str, str],
        channels_of: Callable[[Settings], dict[str, str]],
        clock: Clock,
    ) -> None:
        self._file = file
        self._clusters = frozenset(settings.clusters)
        self._meant, self._channels, self._channels_of = (
            meant,
            channels,
            channels_of,
        )  # changed in place: others hold them too
        self._clock = clock
        self._looked = clock.now()
        self._seen = self._stamp()
        self.problem = ""  # why what stands in the file now is not used

    async def sweep(self) -> None:
        """Take the channels over when the file has changed. What cannot be read changes nothing, and is told once."""
        if self._file is None or self._clock.now() - self._looked < EVERY:
            return
        self._looked = self._clock.now()
        stamp = await asyncio.to_thread(self._stamp)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            settings = await asyncio.to_thread(self._file.read)
        except (SettingsError, ValueError, OSError) as error:
            self.problem = f"{self._file.path} has changed and cannot be read, its channels stay as they were: {error}"
            log.warning("%s", self.problem)
            return
        self.problem = ""
        self._take(settings)

    def _stamp(self) -> tuple[int, int] | None:
        try:
            seen = self._file.path.stat() if self._file is not None else None
        except OSError:
            return None
        return (seen.st_mtime_ns, seen.st_size) if seen is not None else None

    def _take(self, settings: Settings) -> None:
        channels = {n: c for n, c in self._channels_of(settings).items() if n in self._clusters}
        meant = {c: n for c, n in settings.channels.items() if n in self._clusters}
        if (channels, meant) == (self._channels, self._meant):
            return
        for now, then in ((self._channels, channels), (self._meant, meant)):
            now.clear()
            now.update(then)
        log.info(
            "the settings name other channels now: %s",
            ", ".join(f"{n} in {c}" for n, c in sorted(channels.items())),
        )
