"""Which user of the machine is who in Slack. What the kernel says counts, never what somebody claims."""

import pwd
from collections.abc import Iterator
from pathlib import Path

from config.values import Settings
from handlers.terminal import NOBODY
from services.policy import Actor

UNSET = 2**32 - 1


def actor_of(settings: Settings, uid: int, pid: int | str, homes: frozenset[str] = frozenset()) -> Actor:
    """Who this process acts for.

    Its own user, if the settings know that one; else whoever logged in, which the kernel remembers through `sudo -u openvidu-bot`. The
    settings stand in for what Slack would say of a person, so they are at home here.
    """
    known = settings.terminal.users
    home = min(homes or frozenset(settings.slack.teams), default="")
    names = list(_names(uid, pid))
    for name in names:
        if name in known:
            return Actor(known[name], home, name=f"{name} at a terminal")
    return Actor(f"{NOBODY}{names[0]}", home, name=names[0])


def _names(uid: int, pid: int | str) -> Iterator[str]:
    yield _name(uid)
    try:
        login = int(Path(f"/proc/{pid}/loginuid").read_text("ascii"))
    except (OSError, ValueError):
        return
    if login not in (UNSET, uid):
        yield _name(login)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
