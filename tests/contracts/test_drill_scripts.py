"""The scripts of backups and drills in a real shell, beside stand-ins for docker and systemctl."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from services.cloud import node_scripts as scripts
from services.cloud.drill_seal import SEAL, sealing_user_data
from services.cloud.drills import counts_in, report_in
from simulators.cloud.model import DOCUMENTS
from simulators.node import NodeShell
from tests.contracts.small_world import World
from tests.support.patience import HANG

pytestmark = pytest.mark.skipif(shutil.which("sh") is None, reason="there is no sh")
PATHS = re.compile(r"(?<![\w:/])/(run|opt|var/lib)(?=/)")
DOCKER = """#!/bin/sh
echo "docker $*" >> calls
case "$1 $2" in
  "ps --format") echo mongo ;;
  "ps -q") cat started 2>/dev/null ;;
  "image ls") cat images 2>/dev/null ;;
  "run -d") exit "$(cat run-status 2>/dev/null || echo 0)" ;;
  "inspect --format") echo "$(cat state 2>/dev/null || echo running)" ;;
  "logs openvidu-bot-drill") cat log 2>/dev/null ;;
  "exec mongo") cat counts; exit "$(cat exec-status 2>/dev/null || echo 0)" ;;
  "exec openvidu-bot-drill")
    case "$*" in *ping*) [ ! -e silent ] ;; *) cat counts ;; esac ;;
esac
"""
SYSTEMCTL = """#!/bin/sh
echo "systemctl $*" >> calls
if [ "$1" = is-active ]; then grep -qx "$2" active 2>/dev/null && echo active; fi
exit 0
"""
QUIET = '#!/bin/sh\necho "$(basename "$0") $*" >> calls\n'


class Machine:
    """A directory that stands for the copy of a master."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "bin").mkdir()
        texts = {"docker": DOCKER, "systemctl": SYSTEMCTL, "iptables": QUIET, "ip6tables": QUIET}
        texts["sleep"] = QUIET
        for name, text in texts.items():
            file = path / "bin" / name
            file.write_text(text)
            file.chmod(0o755)
        self.put("counts", "".join(f"count={n}={c}\n" for n, c in DOCUMENTS.items()))
        self.put("images", "openvidu/caddy:3.6\nopenvidu/mongo:8.0.9\n")
        self.put("opt/openvidu/data/mongo_data/db/WiredTiger", "")
        self.put("var/lib/docker/containers/abc/config.v2.json", "{}")

    def put(self, name: str, content: str) -> None:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    def run(self, script: str) -> str:
        done = subprocess.run(
            ["sh", "-c", PATHS.sub(rf"{self.path}/\1", script)],
            cwd=self.path,
            env={"PATH": f"{self.path}/bin:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def calls(self) -> str:
        file = self.path / "calls"
        return file.read_text() if file.exists() else ""

    def proved(self) -> str:
        """Seal it, open the database, and return what the look then prints."""
        self.run(SEAL)
        assert self.run(scripts.DRILL_PROVE).strip() == "begun"
        for _ in range(500):
            looked = self.run(scripts.DRILL_LOOK)
            if "ended=yes" in looked:
                return looked
            time.sleep(0.02)
        raise AssertionError("it never ended")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_counts_are_numbers_by_collection_as_on_a_simulated_master(machine: Machine) -> None:
    world = World(media=1)
    master = world.estate.masters("acme")[0]
    shown = counts_in(NodeShell(world.estate).execute(master.id, scripts.COUNT).stdout)
    assert dict(shown) == dict(counts_in(machine.run(scripts.COUNT))) == DOCUMENTS
    machine.put("exec-status", "1")
    assert machine.run(scripts.COUNT).strip() == "refused=the database did not answer"


def test_the_seal_closes_the_way_out_before_it_says_so(machine: Machine) -> None:
    assert report_in(machine.run(scripts.DRILL_LOOK)) is not None
    machine.run(SEAL)
    report = report_in(machine.run(scripts.DRILL_LOOK))
    assert report is not None
    assert not report.not_isolated
    assert "iptables -P OUTPUT DROP" in machine.calls
    assert "ip6tables -P OUTPUT DROP" in machine.calls
    for unit in ("openvidu", "docker", "cron", "containerd"):
        drop_in = machine.path / f"run/systemd/system/{unit}.service.d/drill.conf"
        assert "ConditionPathExists=" in drop_in.read_text()
        assert f"systemctl stop --no-block {unit}.service" in machine.calls
    assert sealing_user_data().startswith("#cloud-config\nbootcmd:")


def test_what_started_by_itself_is_seen(machine: Machine) -> None:
    machine.run(SEAL)
    machine.put("active", "docker.service\n")
    report = report_in(machine.run(scripts.DRILL_LOOK))
    assert report is not None
    assert report.not_isolated == "it started docker.service by itself"


def test_the_database_opens_without_a_network_and_without_openvidu(machine: Machine) -> None:
    report = report_in(machine.proved())
    assert report is not None
    assert dict(report.counts) == DOCUMENTS
    assert not report.failure
    (started,) = [line for line in machine.calls.splitlines() if line.startswith("docker run")]
    assert "--network none" in started
    assert "--pull never" in started
    assert "openvidu/mongo:8.0.9" in started
    assert "replSet" not in started
    assert not (machine.path / "var/lib/docker/containers").exists()
    assert (machine.path / "run/systemd/system/openvidu.service.d/drill.conf").exists()
    assert machine.run(scripts.DRILL_PROVE).strip() == "already"


def test_an_unsealed_copy_opens_nothing(machine: Machine) -> None:
    assert machine.run(scripts.DRILL_PROVE).strip() == "unsealed"
    assert "docker" not in machine.calls


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("opt/openvidu/data/mongo_data/db/WiredTiger", None, "no database files"),
        ("var/lib/docker/containers", None, "cannot be put aside"),
        ("images", "openvidu/caddy:3.6\n", "image of the database"),
        ("started", "abc\n", "started containers of OpenVidu"),
        ("run-status", "125", "does not start"),
        ("silent", "", "did not answer within 3 min"),
    ],
)
def test_each_failure_has_its_reason(
    machine: Machine, file: str, content: str | None, why: str
) -> None:
    target = machine.path / file
    if content is not None:
        machine.put(file, content)
    elif target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
    report = report_in(machine.proved())
    assert report is not None
    assert why in report.failure
    assert report.ended


def test_why_mongod_ended_is_taken_from_its_log(machine: Machine) -> None:
    machine.put("silent", "")
    machine.put("state", "exited")
    machine.put("log", '{"s":"I","msg":"x"}\n{"s":"F","c":"STORAGE","msg":"Fatal assertion"}\n')
    report = report_in(machine.proved())
    assert report is not None
    assert report.failure == 'mongod ended: "msg":"Fatal assertion"'


def test_a_look_that_was_cut_has_seen_nothing(machine: Machine) -> None:
    assert report_in(machine.proved().rpartition("end\n")[0]) is None
