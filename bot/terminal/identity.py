"""Maps a user of this machine to a Slack member.

The kernel's answer about the other process counts, never what a process can write about itself.
"""

import os
import pwd
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.values import Settings
from handlers.terminal.session import SYSTEM_USER
from services.access.policy import Actor
from services.common.errors import Refused

ROOT = 0


@dataclass(frozen=True)
class Peer:
    """The process at the other end of the socket.

    `uid` and `pid` come from SO_PEERCRED; `sudo` is the user who called sudo, by its own account.
    """

    uid: int
    pid: int
    sudo: int | None = None

    @staticmethod
    def this_process(env: Mapping[str, str]) -> "Peer":
        """Return this process, for a command that runs without a bot."""
        return Peer(os.getuid(), os.getpid(), sudo_uid(env))


def sudo_uid(env: Mapping[str, str]) -> int | None:
    """Return the user who called sudo, from the environment that sudo sets; None without sudo."""
    text = env.get("SUDO_UID", "")
    if text.isascii() and text.isdecimal() and len(text) < 11:
        return int(text)
    return None


def actor_of(settings: Settings, peer: Peer, homes: frozenset[str] = frozenset()) -> Actor:
    """Return the Slack member that the settings map this user to, else an actor without roles.

    Refused when the user cannot be proved. `homes` are the bot's own workspaces: Slack is not asked
    about the member, so the actor counts as a member of one of them.
    """
    known = settings.terminal.users
    home = min(homes or frozenset(settings.slack.teams), default="")
    names = list(_names(proved(peer)))
    for name in names:
        if name in known:
            return Actor(known[name], home, name=f"{name} at a terminal")
    return Actor(f"{SYSTEM_USER}{names[0]}", home, name=names[0])


def proved(peer: Peer, proc: Path = Path("/proc")) -> int:
    """Return the user for whom the peer acts.

    Refused when the peer is root by sudo and its login session does not name the same user. Only a
    process of root is believed about sudo: any other can put anything into its environment. A login
    that was never set can be set by the process itself, so it decides nothing alone.
    """
    if peer.uid != ROOT or peer.sudo is None:
        return peer.uid
    if _session(proc / str(peer.pid)) == peer.sudo:
        return peer.sudo
    raise Refused(
        f"sudo names the user {_name(peer.sudo)}, but the login session does not confirm it. "
        "Nothing was changed, because it is not proved who you are. "
        "Run openvidu-bot as your own user: membership in the group of the socket's folder is "
        "enough. To use sudo, log in through PAM with pam_loginuid"
    )


def _session(process: Path) -> int | None:
    """Return the login user of a process of root; None if it does not exist or is not root's."""
    try:
        login = int((process / "loginuid").read_text("ascii"))
        owner = process.stat().st_uid
    except (OSError, ValueError):
        return None
    if owner != ROOT:
        return None
    return login


def _names(uid: int) -> Iterator[str]:
    """Yield the forms that the settings may use for a user: its name, its number."""
    yield _name(uid)
    yield str(uid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
