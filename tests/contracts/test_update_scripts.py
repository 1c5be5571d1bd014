"""The scripts of an upgrade in a real shell, and on a simulated master: both show the same."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from services.cloud import update_scripts as scripts
from services.cloud.installation_look import parse_installation
from services.cluster.installation import Installation, Updater, UpdateRecord, UpdateState
from simulators.node import NodeShell
from tests.contracts.small_world import World
from tests.support.patience import HANG

pytestmark = pytest.mark.skipif(
    shutil.which("sh") is None or shutil.which("setsid") is None,
    reason="there is no sh or no setsid to compare with",
)
TOOLS = (
    *("sh", "cat", "grep", "cut", "tr", "head", "tail", "mkdir", "nohup", "setsid", "ls", "wc"),
    *("sort", "mv", "cp", "date"),
)
PATHS = re.compile(r"(?<![\w:/])/(var/lib|opt/openvidu|proc|var/log|usr/local)(?=[/ \"'\n);]|$)")
ENV = "opt/openvidu/config/cluster/openvidu.env"
UPDATE_SH = """
export OPENVIDU_VERSION="${{OPENVIDU_VERSION:-3.7.0}}"
get_next_version() {{
  case "$1" in
    "3.6.0") echo "3.6.1" ;;
    "3.6.1") echo "3.7.0" ;;
  esac
}}
[ "$1" = --no-tty ] || exit 9
[ "$OPENVIDU_SKIP_DOCKER_VERSION_CHECK" = true ] || exit 8
systemctl stop openvidu
cd {box}/opt/openvidu
mkdir -p backups/2027_3.6.1/config/cluster
cp config/cluster/openvidu.env backups/2027_3.6.1/config/cluster/
cp deployment-info.yaml backups/2027_3.6.1/
echo NEW=1 >> config/cluster/openvidu.env
{end}
echo 'version: "3.7.0"' > deployment-info.yaml
echo "a node failed" >> {box}/var/log/openvidu/nodes_errors.log
"""


class Box:
    """A master in a directory, with stubs of the programs that a script calls."""

    def __init__(self, path: Path, end: str = "") -> None:
        self.path = path
        (path / "bin").mkdir()
        for tool in TOOLS:
            (path / "bin" / tool).symlink_to(str(shutil.which(tool)))
        for name, text in {
            "opt/openvidu/deployment-info.yaml": "edition: pro\nversion: 3.6.1\n",
            ENV: "A=1\n",
            "proc/sys/kernel/random/boot_id": "boot-1\n",
            "var/log/openvidu/nodes_errors.log": "old\n",
            "unit": "active\n",
            "update.sh": UPDATE_SH.format(box=path, end=end),
        }.items():
            file = path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (path / "var/lib").mkdir()
        self._program(
            "systemctl",
            f'case "$*" in is-active*) cat {path}/unit;; start*) echo active > {path}/unit;;'
            f" stop*) echo inactive > {path}/unit;;"
            f' "-q is-active openvidu") [ "$(cat {path}/unit)" = active ];; esac',
        )
        self._program("df", "echo 'Filesystem 1M Used Free'; echo 'vda1 160000  67840    92160 5%'")
        self._program("curl", f'[ "$6" = "{scripts.SOURCE.format(version="3.7.0")}" ] || '
                      '{ echo "curl: (22) The requested URL returned error: 404" >&2; exit 22; }\n'
                      f'cp {path}/update.sh "$5"')  # fmt: skip

    def run(self, script: str) -> str:
        done = subprocess.run(
            ["sh", "-c", PATHS.sub(rf"{self.path}/\1", script)],
            cwd=self.path,
            env={"PATH": str(self.path / "bin"), "HOME": "/root"},
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.replace(f"{self.path}/", "/").strip()

    def look(self) -> Installation:
        found = parse_installation(self.run(scripts.INSTALLED))
        assert isinstance(found, Installation), found
        return found

    def update(self) -> None:
        """Run the update and wait until it has ended."""
        assert self.run(scripts.update("3.6.1", "3.7.0")) == "begun"
        result = self.path / "var/lib/openvidu-bot/update-3.7.0/result"
        for _ in range(500):
            if result.exists():
                return
            time.sleep(0.02)
        raise AssertionError("it never ended")

    def read(self, name: str) -> str:
        return (self.path / name).read_text()

    def _program(self, name: str, text: str) -> None:
        file = self.path / "bin" / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)


class Master:
    """A simulated master."""

    def __init__(self) -> None:
        self.world = World(media=0)
        self.droplet = self.world.estate.masters("acme")[0]
        self.shell = NodeShell(self.world.estate)

    def run(self, script: str) -> str:
        output = self.shell.execute(self.droplet.id, script)
        assert output.exit_status == 0, output.stderr
        return output.stdout.strip()

    def look(self) -> Installation:
        found = parse_installation(self.run(scripts.INSTALLED))
        assert isinstance(found, Installation), found
        return found

    def update(self) -> None:
        assert self.run(scripts.update("3.6.1", "3.7.0")) == "begun"
        self.world.wait(900)


PATHS_OF_370 = (("3.6.0", "3.6.1"), ("3.6.1", "3.7.0"))


def test_a_page_that_is_no_update_sh_of_that_version_is_not_kept(tmp_path: Path) -> None:
    box = Box(tmp_path)
    right = (tmp_path / "update.sh").read_text()
    for wrong in ("<html>maintenance</html>\n", right.replace("3.7.0}", "3.7.1}"), ""):
        (tmp_path / "update.sh").write_text(wrong)
        refused = box.run(scripts.fetch("3.7.0"))
        assert refused.startswith("refused ")
        assert "gave no update.sh of that version" in refused
    (tmp_path / "update.sh").write_text(right)
    assert box.run(scripts.fetch("3.7.0")) == "fetched"


@pytest.mark.parametrize("kind", ["shell", "simulated"])
def test_an_update_and_what_each_look_shows(kind: str, tmp_path: Path) -> None:
    node = Box(tmp_path) if kind == "shell" else Master()
    assert node.look() == Installation("3.6.1", "active", 92_160)
    assert node.run(scripts.update("3.6.1", "3.7.0")).startswith("unmarked /var/lib/"), (
        "nothing runs that was not read before"
    )
    assert node.run(scripts.fetch("3.9.9")).startswith("refused curl: (22)")
    assert node.run(scripts.fetch("3.7.0")) == "fetched"
    assert node.run(scripts.fetch("3.7.0")) == "there"
    updater = Updater("3.7.0", "3.7.0", PATHS_OF_370)
    assert node.look().updaters == (updater,)
    assert updater.leads_from("3.6.0")
    assert not updater.leads_from("3.5.0")
    assert node.run(scripts.update("3.6.0", "3.7.0")) == "other-version 3.6.1"
    node.update()
    after = node.look()
    assert (after.version, after.unit) == ("3.7.0", "inactive")
    (record,) = after.updates
    assert (record.state, record.status, record.started) == (UpdateState.ENDED, 0, False)
    assert len(record.backups) == 1
    assert node.run(scripts.update("3.7.0", "3.7.0")) == "already"
    node.run(scripts.START)
    assert node.look().unit == "active"
    assert node.look().updates[0].started
    assert node.run(scripts.restore("3.6.1", "3.7.0")) == "started"


@pytest.mark.parametrize("kind", ["shell", "simulated"])
def test_an_update_is_undone(kind: str, tmp_path: Path) -> None:
    node = Box(tmp_path) if kind == "shell" else Master()
    assert node.run(scripts.restore("3.6.1", "3.7.0")) == "nothing"
    node.run(scripts.fetch("3.7.0"))
    node.update()
    assert node.run(scripts.restore("3.6.1", "3.7.0")) == "restored"
    after = node.look()
    assert (after.version, after.unit, after.updates) == ("3.6.1", "inactive", ())
    assert node.run(scripts.restore("3.6.1", "3.7.0")) == "nothing"
    if isinstance(node, Box):
        assert node.read(ENV) == "A=1\n"


def test_new_lines_in_the_log_of_errors_are_counted(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.run(scripts.fetch("3.7.0"))
    box.update()
    assert box.look().updates[0].errors == 1


def test_an_update_that_fails_between_its_changes_is_undone(tmp_path: Path) -> None:
    box = Box(tmp_path, end="exit 1")
    box.run(scripts.fetch("3.7.0"))
    box.update()
    (record,) = box.look().updates
    assert record.fault == "the update to 3.7.0 ended with status 1"
    assert box.look().version == "3.6.1"
    assert "NEW=1" in box.read(ENV)
    assert box.run(scripts.restore("3.6.1", "3.7.0")) == "restored"
    assert box.read(ENV) == "A=1\n"


def test_a_running_update_is_seen_and_not_undone(tmp_path: Path) -> None:
    box = Box(tmp_path, end=f"while [ ! -e {tmp_path}/go ]; do :; done")
    box.run(scripts.fetch("3.7.0"))
    assert box.run(scripts.update("3.6.1", "3.7.0")) == "begun"
    assert box.run(scripts.update("3.6.1", "3.7.0")) == "already"
    pid = tmp_path / "var/lib/openvidu-bot/update-3.7.0/pid"
    for _ in range(500):
        if pid.exists() and pid.read_text():
            break
        time.sleep(0.02)
    assert box.look().updates[0].state is UpdateState.RUNNING
    assert box.run(scripts.restore("3.6.1", "3.7.0")) == "running"
    (tmp_path / "proc/sys/kernel/random/boot_id").write_text("boot-2\n")
    assert box.look().updates[0].state is UpdateState.INTERRUPTED, "after a reboot"
    (tmp_path / "go").touch()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "its answer was truncated"),
        ("version=3.6.1\n", "its answer was truncated"),
        ("version=\nend\n", "deployment-info.yaml names no version"),
        ("version=3.6.1\nupdate=3.7.0 odd\nend\n", "is not understood: update=3.7.0 odd"),
        ("version=3.6.1\nupdate=\nend\n", "is not understood"),
        ("version=3.6.1\nupdate=3.7.0 ended x\nend\n", "is not understood"),
        ("version=3.6.1\nbackups=a\nend\n", "is not understood: backups=a"),
        ("version=3.6.1\npaths=a\nend\n", "is not understood"),
        ("version=3.6.1\nsudo: a password is required\nend\n", "is not understood: sudo"),
    ],
)
def test_a_look_that_is_not_whole_has_seen_nothing(text: str, expected: str) -> None:
    found = parse_installation(text)
    assert isinstance(found, str)
    assert expected in found


def test_a_disk_that_is_not_shown_is_unknown() -> None:
    assert parse_installation("version=3.6.1\nunit=active\nfree=\nend\n") == Installation(
        "3.6.1", "active", None
    )
    assert UpdateRecord("3.7.0", UpdateState.RUNNING).fault == ""
