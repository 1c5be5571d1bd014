"""Identity at a terminal: only what the kernel proves counts, and no typed value is logged."""

import asyncio
import json
import logging
import os
import shutil
import socket
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import yaml

from bot.terminal import identity as people
from bot.terminal.identity import Peer, actor_of, proved, sudo_uid
from bot.terminal.socket import Control, ask
from config.settings import load
from config.values import Settings
from handlers.commands.parser import parse
from handlers.terminal.follow import OutputLine
from handlers.terminal.session import TerminalCommand
from services.access.policy import Actor
from services.common.errors import Refused

VALUE = "Hunter2-Hunter2"
ANA, NOBODY = 1001, 65534
UNSET = 2**32 - 1


def settings_of(folder: Path, users: dict[str, str]) -> Settings:
    file = folder / "settings.yaml"
    cluster = {
        "stack": "acme",
        "region": "ams3",
        "public_url": "https://meet.example.com",
        "channel": "C0OPS",
    }
    file.write_text(yaml.safe_dump({"clusters": {"acme": cluster}, "terminal": {"users": users}}))
    return load(file, {"HOME": "/"})


def session(folder: Path, pid: int, login: int) -> Path:
    (folder / str(pid)).mkdir()
    (folder / str(pid) / "loginuid").write_text(str(login))
    return folder


@pytest.mark.parametrize("login", [ANA, UNSET])
def test_a_process_that_set_its_own_login_is_still_its_own_user(tmp_path: Path, login: int) -> None:
    assert proved(Peer(NOBODY, 7), session(tmp_path, 7, login)) == NOBODY
    assert proved(Peer(NOBODY, 7, sudo=ANA), tmp_path) == NOBODY, "only root is asked about sudo"


def test_sudo_counts_when_the_login_session_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        people, "ROOT", os.getuid()
    )  # the pretend /proc belongs to whoever runs this
    root = Peer(people.ROOT, 7)
    assert proved(Peer(people.ROOT, 7, sudo=ANA), session(tmp_path, 7, ANA)) == ANA
    assert proved(root, tmp_path) == people.ROOT, "root without sudo is root"
    for pid, login in ((8, UNSET), (9, 1002)):
        with pytest.raises(Refused, match="Run openvidu-bot as your own user"):
            proved(Peer(people.ROOT, pid, sudo=ANA), session(tmp_path, pid, login))
    with pytest.raises(Refused, match="Nothing was changed"):
        proved(Peer(people.ROOT, 10, sudo=ANA), tmp_path)  # gone, or not to be seen
    monkeypatch.setattr(people, "ROOT", os.getuid() + 1)
    with pytest.raises(Refused):
        proved(
            Peer(people.ROOT, 7, sudo=ANA), tmp_path
        )  # the number was reused by a process that is not root's


@pytest.mark.parametrize(
    ("said", "uid"),
    [("1001", 1001), ("", None), ("-1", None), ("ana", None), ("١", None), ("9" * 30, None)],
)
def test_what_sudo_said_is_a_number_or_nothing(said: str, uid: int | None) -> None:
    assert sudo_uid({"SUDO_UID": said}) == uid
    assert sudo_uid({}) is None


def test_a_user_is_mapped_by_name_or_by_number(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, {"4242421": "U0000ANA"})
    assert actor_of(settings, Peer(4242421, 0)).user == "U0000ANA"
    assert actor_of(settings, Peer(4242422, 0)).user == "system:4242422"


CLIENT = """
import json, os, socket, sys
try:
    open("/proc/self/loginuid", "w").write("1")
except OSError:
    pass
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
order = {"verb": "approve", "words": "", "follow": False, "width": 80, "sudo": 1}
peer.sendall(json.dumps(order).encode() + b"\\n")
print(peer.makefile().readline())
"""


PYTHON = shutil.which("python3", path=os.defpath)  # one that any user may start


@pytest.mark.skipif(
    os.getuid() != 0 or PYTHON is None, reason="only root starts a process of another user"
)
def test_a_real_process_that_wrote_another_login_is_refused_that_persons_name(
    tmp_path: Path,
) -> None:
    """Over a real socket; user 1 stands for Ana's login, and the caller is nobody."""

    async def story() -> str:
        settings = settings_of(tmp_path, {"daemon": "U0000ANA", "1": "U0000ANA"})
        folder = Path("/tmp") / f"who-asks-{os.getpid()}"
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
        path = folder / "control"
        control = Control(path, Named(), lambda peer: actor_of(settings, peer))
        await control.start()
        path.chmod(0o666)
        try:
            process = await asyncio.create_subprocess_exec(
                str(PYTHON),
                "-c",
                CLIENT,
                str(path),
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                stdout=-1,
                cwd="/",
            )
            return (await process.communicate())[0].decode()
        finally:
            await control.close()
            folder.rmdir()

    assert json.loads(asyncio.run(story()))["text"] in ("system:nobody", f"system:{NOBODY}")


class Named:
    async def run(
        self, order: TerminalCommand, actor: Actor, width: int = 100
    ) -> AsyncGenerator[OutputLine]:
        yield OutputLine(actor.user, code=0)


# Values

TYPED = (
    f"config set DASHBOARD_ADMIN_PASSWORD {VALUE}",
    f"config set DASHBOARD_ADMIN_PASSWORD={VALUE}",
    f"config list DASHBOARD_ADMIN_PASSWORD {VALUE}",
    f"config rollback DASHBOARD_ADMIN_PASSWORD {VALUE}",
    f"config sett DASHBOARD_ADMIN_PASSWORD {VALUE}",
    f"confg set DASHBOARD_ADMIN_PASSWORD {VALUE}",
    f"set DASHBOARD_ADMIN_PASSWORD {VALUE}",
    f"DASHBOARD_ADMIN_PASSWORD={VALUE}",
)


@pytest.mark.parametrize("words", TYPED)
def test_a_value_that_was_typed_is_never_said_back(words: str) -> None:
    try:
        said = repr(parse(words).command.command)
    except Refused as refused:
        said = str(refused)
    assert VALUE not in said


@pytest.mark.parametrize("words", TYPED)
@pytest.mark.parametrize("verb", ["say", "run", VALUE])
def test_an_order_from_a_terminal_leaves_no_word_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, verb: str, words: str
) -> None:
    async def story() -> None:
        control = Control(tmp_path / "c", Named(), lambda _: Actor("U0000ANA"))
        await control.start()
        try:
            assert [
                line.text async for line in ask(tmp_path / "c", TerminalCommand(verb, words), 80)
            ] == ["U0000ANA"]
        finally:
            await control.close()

    assert hasattr(socket, "SO_PEERCRED")
    with caplog.at_level(logging.DEBUG):
        asyncio.run(story())
    assert "terminal command of U0000ANA" in caplog.text
    assert VALUE not in caplog.text
