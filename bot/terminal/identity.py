"""Which user of the machine is who in Slack. What the kernel says of the peer counts, never what a process can write about itself."""

import os
import pwd
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.values import Settings
from handlers.terminal.session import NOBODY
from services.access.policy import Actor
from services.common.errors import Refused

ROOT = 0


@dataclass(frozen=True)
class Peer:
    """The process at the other end of the socket: `uid` and `pid` by SO_PEERCRED. `sudo`: the user that it says sudo was called by."""

    uid: int
    pid: int
    sudo: int | None = None

    @staticmethod
    def this_process(env: Mapping[str, str]) -> "Peer":
        """This process itself, where it serves its own user."""
        return Peer(os.getuid(), os.getpid(), sudo_uid(env))


def sudo_uid(env: Mapping[str, str]) -> int | None:
    """The user who called sudo, as sudo itself tells the command that it starts; None outside of sudo."""
    said = env.get("SUDO_UID", "")
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 11 else None


def actor_of(settings: Settings, peer: Peer, homes: frozenset[str] = frozenset()) -> Actor:
    """Who this process acts for, if the settings map that user. Refused when it cannot be proved.

    The settings stand in for what Slack would say of a person, so they are at home here.
    """
    known = settings.terminal.users
    home = min(homes or frozenset(settings.slack.teams), default="")
    names = list(_names(proved(peer)))
    for name in names:
        if name in known:
            return Actor(known[name], home, name=f"{name} at a terminal")
    return Actor(f"{NOBODY}{names[0]}", home, name=names[0])


def proved(peer: Peer, proc: Path = Path("/proc")) -> int:
    """The user whom the peer acts for. Refused when it is root by sudo and its login session does not say the same user.

    Only root is believed to tell who called sudo: any other process may put anything into its environment. And a login that was never
    set can be set by the process itself, so it decides nothing alone.
    """
    if peer.uid != ROOT or peer.sudo is None:
        return peer.uid
    if _session(proc / str(peer.pid)) == peer.sudo:
        return peer.sudo
    raise Refused(
        f"sudo names the user {_name(peer.sudo)}, the login session does not confirm it: nothing proves who asks, and nothing was changed. "
        "Run openvidu-bot as your own user: membership in the group of the socket's folder is enough. "
        "To use sudo, log in through PAM with pam_loginuid"
    )


def _session(process: Path) -> int | None:
    """The login that the kernel holds for a process of root; None when there is no such process or it is not root's."""
    try:
        login = int((process / "loginuid").read_text("ascii"))
        return login if process.stat().st_uid == ROOT else None
    except (OSError, ValueError):
        return None


def _names(uid: int) -> Iterator[str]:
    """What the settings may call that user: by name, or by number."""
    yield _name(uid)
    yield str(uid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
