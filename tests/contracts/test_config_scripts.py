"""The scripts about configuration files on a pretend master, against a real shell."""

import base64
import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.cloud import config_scripts as scripts
from services.cloud.config_look import parse_configuration, parse_content
from services.cluster.configuration import NodeConfiguration
from services.common.errors import Refused
from services.config_files import file_named
from simulators.cloud.configuration import ERRORS_LOG
from simulators.faults import WorldFaults
from simulators.node import NodeShell
from tests.contracts.small_world import World
from tests.support.patience import HANG

pytestmark = pytest.mark.skipif(
    shutil.which("sh") is None or shutil.which("sha256sum") is None,
    reason="there is no sh or no sha256sum to compare with",
)
TOOLS = ("sh", "cat", "cut", "head", "tail", "ls", "grep", "tr", "base64", "sha256sum", "mkdir")
MOVERS = ("mv", "cp", "rm")
LIVEKIT = "cluster/media_node/livekit.yaml"
NEW = b"port: 7880\nroom:\n  max_participants: 5\n"
Change = Callable[["Master"], object]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Master:
    """A simulated master, and the same one as a directory for a real shell."""

    def __init__(self, path: Path, change: Change) -> None:
        self.world, self.path = World(media=1), path
        self.estate = self.world.estate
        self.shell = NodeShell(self.estate, WorldFaults())
        self.droplet = self.estate.masters("acme")[0]
        self.files = self.droplet.node.files
        change(self)
        self.estate.settle()
        (path / "bin").mkdir()
        for tool in (*TOOLS, *MOVERS):
            (path / "bin" / tool).symlink_to(str(shutil.which(tool)))
        for name, content in self.files.items():
            file = path / name.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            if not name.endswith("/"):
                file.write_bytes(content)
        self._stubs()

    @property
    def old(self) -> bytes:
        return self.files[f"{scripts.ROOT}/{LIVEKIT}"]

    def both(self, script: str, sent: bytes = b"") -> str:
        """Run a script on both; return what both print."""
        stdin = base64.encodebytes(sent).decode()
        simulated = self.shell.execute(self.droplet.id, script, stdin)
        there = re.sub(r"(?<![\w/])/(opt|var/log)(?=[/ \"'\n])", rf"{self.path}/\1", script)
        done = subprocess.run(
            ["sh", "-c", there],
            cwd=self.path,
            env={"PATH": str(self.path / "bin")},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
        )
        out = done.stdout.replace(f"{self.path}/", "/")
        assert (simulated.exit_status, simulated.stdout) == (done.returncode, out), done.stderr
        for name, content in self.files.items():
            if not name.endswith("/"):
                assert (self.path / name.lstrip("/")).read_bytes() == content, name
        kept = self.path / scripts.KEPT.lstrip("/")
        there_are = {f"/{p.relative_to(self.path)}" for p in kept.rglob("*") if p.is_file()}
        assert there_are == {n for n in self.files if n.startswith(scripts.KEPT) and n[-1] != "/"}
        return out

    def _stubs(self) -> None:
        node = self.droplet.node
        began = datetime.fromtimestamp(node.unit_since, UTC).strftime("%a %Y-%m-%d %H:%M:%S UTC")
        now = datetime.fromtimestamp(self.estate.now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        real = shutil.which("date")
        self._stub("date", f'[ "$2" = -d ] && exec {real} "$@"\necho {now}')
        self._stub("sync", "exit 0")
        self._stub(
            "systemctl",
            f'case "$*" in *InvocationID*) echo {node.invocation};; '
            f'is-active*) echo {node.unit};; *) echo "{began}";; esac',
        )
        names = "\\n".join(node.containers)
        inspected = "".join(
            f"*' {c.name}') echo '{c.status} {c.restarts} {c.started_at}';;"
            for c in node.containers.values()
        )
        self._stub("docker", f'case "$*" in ps*) printf "{names}\\n";; {inspected} esac')

    def _stub(self, name: str, text: str) -> None:
        stub = self.path / "bin" / name
        stub.write_text(f"#!/bin/sh\n{text}\n")
        stub.chmod(0o755)


def nothing(_: Master) -> None:
    """Leave the master as it is."""


def with_errors(master: Master) -> None:
    master.files[ERRORS_LOG] = (
        b"[2027-01-15T07:59:29Z] [ERROR] Error in Media Node - 10.5.0.5: Container 'openvidu' "
        b"error:\ncould not parse config\n\n[2027-01-16T05:54:29Z] [ERROR] x password=hunter2\n"
    )


def with_init(master: Master) -> None:
    master.files[f"{scripts.ROOT}/{LIVEKIT}"] = b"a: ${openvidu.NOPE\n"
    master.estate.nodes.restart_unit(master.droplet)


def looked(master: Master) -> NodeConfiguration:
    look = parse_configuration(master.both(scripts.LOOK))
    assert isinstance(look, NodeConfiguration), look
    return look


@pytest.mark.parametrize("change", [nothing, with_errors, with_init])
def test_a_look_is_what_a_real_shell_prints(tmp_path: Path, change: Change) -> None:
    master = Master(tmp_path, change)
    look = looked(master)
    assert look.layout == "cluster"
    assert look.digest(LIVEKIT) == sha(master.old)
    assert look.start == master.droplet.node.invocation
    assert ("openvidu-init" in look.troubled) is (change is with_init)
    texts = [text for _, text in look.errors]
    assert bool(texts) is (change is with_errors)
    assert "hunter2" not in str(texts)
    if texts:
        assert "could not parse config" in texts[0]
        assert look.errors_since("2027-01-15T08:00:00") == tuple(texts[1:])


def test_a_file_is_read_whole_with_the_names_of_keys(tmp_path: Path) -> None:
    master = Master(tmp_path, nothing)
    livekit = file_named("livekit.yaml")
    text = parse_content(livekit, master.both(scripts.read(livekit)))
    assert text.data == master.old
    assert "MEET_INTERNAL_PORT" in text.keys.openvidu
    assert text.keys.master_node == {"REDIS_PASSWORD"}
    app = file_named("app.env")
    with pytest.raises(Refused, match=r"no app\.env"):
        parse_content(app, master.both(scripts.read(app)))


def test_a_file_is_replaced_kept_and_restored(tmp_path: Path) -> None:
    master = Master(tmp_path, nothing)
    old = master.old
    write = scripts.write("c1", LIVEKIT, sha(old), sha(NEW))
    assert master.both(write, NEW[:-1]) == "failed the content did not arrive whole\n"
    assert master.old == old
    assert master.both(write, NEW) == "written\n"
    assert master.old == NEW
    assert master.both(write, NEW) == "written\n"
    (kept,) = looked(master).kept
    assert (kept.change, kept.digest) == ("c1", sha(old))
    assert kept.start == master.droplet.node.invocation
    restore = scripts.restore("c1", LIVEKIT, sha(old), sha(NEW))
    assert master.both(restore) == "written\n"
    assert master.old == old
    assert master.both(restore) == "written\n"
    assert master.both(scripts.forget("c1")) == ""
    assert looked(master).kept == ()


def test_a_file_of_someone_else_is_not_overwritten(tmp_path: Path) -> None:
    master = Master(tmp_path, nothing)
    old = master.old
    write = scripts.write("c1", LIVEKIT, sha(b"another"), sha(NEW))
    assert master.both(write, NEW) == "changed\n"
    assert master.both(scripts.restore("c1", LIVEKIT, sha(b"x"), sha(b"y"))) == "changed\n"
    assert master.old == old
