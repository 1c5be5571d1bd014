"""The journal of probes: a file that knows what was created before it is created.

Whatever a probe creates carries its tag, so the tag is all that has to be known. The file also
keeps answers that could not be stored yet, because a bot has the state.
"""

import asyncio
import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bot.file_writing import PRIVATE, content_of, write_whole
from services.cluster.account_facts import AccountFact
from services.common.errors import Refused
from services.memory.account_facts import keep_facts
from services.store import Store

NAME = "probe.json"
VERSION = 1


@dataclass(frozen=True)
class ProbeSession:
    """One probe that may have left something: its tag, and the cluster whose bucket it used.

    `account`: the owner of the token that created it. `namespace`: whether it may have created a
    functions namespace.
    """

    tag: str
    began: float
    region: str = ""
    bucket: str = ""
    account: str = ""
    namespace: bool = False

    def is_of(self, account: str) -> bool:
        """Return whether what it left is in this account."""
        return self.account in ("", account)


@dataclass(frozen=True)
class ProbeJournal:
    """The content of the file. `answers`: by account, what waits to be stored."""

    sessions: tuple[ProbeSession, ...] = ()
    answers: tuple[tuple[str, tuple[tuple[str, str, float], ...]], ...] = ()


class JournalFile:
    """The file beside the state."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> ProbeJournal:
        """Return the content. A file that cannot be read is refused: it may name leftovers."""
        text = content_of(self.path)
        if text is None:
            return ProbeJournal()
        try:
            raw = json.loads(text)
            sessions = tuple(_session(entry) for entry in raw["sessions"])
            answers = tuple(
                (str(account), tuple((str(n), str(a), float(at)) for n, a, at in facts))
                for account, facts in raw.get("answers", [])
            )
        except (ValueError, KeyError, TypeError):
            raise Refused(
                f"{self.path} cannot be read: it is damaged. Look for droplets, pools and tags "
                "that begin with openvidu-bot-probe- at DigitalOcean, then delete the file"
            ) from None
        return ProbeJournal(sessions, answers)

    def begin(self, session: ProbeSession) -> None:
        """Note a session, before the first thing is created."""
        journal = self.read()
        self._write(replace(journal, sessions=(*journal.sessions, session)))

    def note_namespace(self, tag: str) -> None:
        """Note that a functions namespace is about to be created."""
        journal = self.read()
        noted = tuple(replace(s, namespace=s.namespace or s.tag == tag) for s in journal.sessions)
        self._write(replace(journal, sessions=noted))

    def end(self, tag: str) -> None:
        """Note that nothing of this tag is left."""
        journal = self.read()
        left = tuple(s for s in journal.sessions if s.tag != tag)
        self._write(replace(journal, sessions=left))

    def keep(self, account: str, facts: tuple[tuple[str, str, float], ...]) -> None:
        """Keep answers until they can be stored."""
        journal = self.read()
        self._write(replace(journal, answers=(*journal.answers, (account, facts))))

    def stored(self) -> None:
        """Note that all answers were stored."""
        self._write(replace(self.read(), answers=()))

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Refuse a second probe on this machine, for as long as this one runs."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT, PRIVATE)
        except OSError as error:
            raise Refused(f"{self.path} cannot be written: {error.strerror}") from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Refused("another probe runs on this machine") from None
            yield
        finally:
            os.close(descriptor)

    def _write(self, journal: ProbeJournal) -> None:
        try:
            self._put(journal)
        except OSError as error:
            raise Refused(f"{self.path} cannot be written: {error.strerror}") from None

    def _put(self, journal: ProbeJournal) -> None:
        before = content_of(self.path)
        if not journal.sessions and not journal.answers:
            self.path.unlink(missing_ok=True)
            return
        content: dict[str, Any] = {
            "v": VERSION,
            "sessions": [asdict(session) for session in journal.sessions],
            "answers": journal.answers,
        }
        write_whole(self.path, json.dumps(content), PRIVATE, before)


def _session(entry: Any) -> ProbeSession:
    return ProbeSession(
        str(entry["tag"]),
        float(entry["began"]),
        str(entry.get("region", "")),
        str(entry.get("bucket", "")),
        str(entry.get("account", "")),
        bool(entry.get("namespace")),
    )


async def store_waiting(journal: JournalFile, store: Store) -> bool:
    """Store what an earlier probe could not, as a bot had the state; return whether there was any.

    A journal that cannot be read is left to the next probe, which reports it.
    """
    try:
        waiting = (await asyncio.to_thread(journal.read)).answers
    except (Refused, OSError):
        return False
    for account, facts in waiting:
        await keep_facts(store, account, [AccountFact(*fact) for fact in facts])
    if waiting:
        await asyncio.to_thread(journal.stored)
    return bool(waiting)


def journal_beside(state: Path) -> JournalFile:
    """Return the journal that belongs to a state."""
    return JournalFile(state.with_name(NAME))
