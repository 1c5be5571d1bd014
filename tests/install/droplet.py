"""Runs docs/how-to/run.md, "On a small droplet, with systemd", on a booted Debian.

`python -m tests.install.droplet`. The system is made of Debian's packages (SUITE=trixie for another
release than this machine's) and booted in a container with systemd as its first process. Its only
network is this machine's loopback, in a namespace of its own, where the simulated world runs. If
something is missing, it names it, reports that it was skipped, and exits with 0.
"""

import asyncio
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.version import VERSION
from scripts.image import CannotBuild, fetch
from tests.e2e.test_connect import BOT, answers_to, bare, exports_of, first_word, introduced
from tests.install.box import CACHE, ROOT, Missing, Report, alone, base, needs, python_in, run

CONFIG = "/etc/openvidu-bot"
KEY = f"{CONFIG}/openvidu-bot.pem"
report = Report("droplet-test")


def main() -> int:
    """Prepare with the network, then run without it."""
    try:
        needs("mmdebstrap", "unshare", "ip", "nsenter", "systemd-nspawn")
        tar = base("droplet")
        wheels = CACHE / f"wheels-{python_in(tar)}"
        if "OPENVIDU_BOT_TEST_INSIDE" not in os.environ:
            try:
                fetch(wheels, python_in(tar))
            except CannotBuild as error:
                raise Missing(str(error)) from None
    except Missing as missing:
        print(f"droplet-test: skipped: needs {missing}")
        return 0
    return alone("tests.install.droplet", [], lambda: inside(tar, wheels))


class BootedSystem:
    """A booted system."""

    def __init__(self, root: Path, leader: int) -> None:
        self.root = root
        self.leader = leader

    def sh(self, line: str) -> "subprocess.CompletedProcess[str]":
        """A line in its shell, as root."""
        enter = [
            "nsenter",
            "--target",
            str(self.leader),
            "--mount",
            "--uts",
            "--ipc",
            "--pid",
            "--root",
            "--wd",
        ]
        clean = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "TERM": "dumb",
        }
        words = [*enter, "env", "-i", *(f"{k}={v}" for k, v in clean.items()), "sh", "-c", line]
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=3600,
            check=False,
        )

    def show(self, name: str) -> str:
        """A property of the service."""
        return self.sh(f"systemctl show --value --property={name} openvidu-bot").stdout.strip()

    def until(self, name: str, wanted: str) -> str:
        """Return that property once it has the value; else its value after two minutes."""
        for _ in range(240):
            if re.fullmatch(wanted, value := self.show(name)):
                return wanted
            time.sleep(0.5)
        return value


@contextmanager
def booted(tar: Path, wheels: Path, folder: Path) -> Iterator[BootedSystem]:
    root = folder / "root"
    root.mkdir()
    run("tar", "--extract", "--file", str(tar), "--directory", str(root))
    (root / "etc" / "pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    words = [
        "systemd-nspawn",
        "--quiet",
        "--register=no",
        "--keep-unit",
        "--boot",
        "--directory",
        str(root),
        "--console=read-only",
    ]
    binds = [f"--bind-ro={ROOT}:/clone", f"--bind-ro={wheels}:/wheels"]
    # Without this a newer systemd refuses to run on a machine with control groups v1.
    env = {**os.environ, "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE": "1"}
    with (folder / "console.log").open("w") as log:
        nspawn = subprocess.Popen(
            [*words, *binds], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env
        )
    try:
        leader = 0
        for _ in range(300):
            children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children").read_text().split()
            if children and Path(f"/proc/{children[-1]}/root/run/systemd/private").exists():
                leader = int(children[-1])
                break
            if nspawn.poll() is not None:
                raise RuntimeError(
                    f"it does not boot: {(folder / 'console.log').read_text()[-2000:]}"
                )
            time.sleep(0.2)
        yield BootedSystem(root, leader)
    finally:
        nspawn.terminate()
        nspawn.wait(120)


def inside(tar: Path, wheels: Path) -> int:
    """The tests."""
    with (
        tempfile.TemporaryDirectory(prefix="droplet-test-") as name,
        booted(tar, wheels, Path(name)) as droplet,
    ):
        state = droplet.sh("systemctl is-system-running --wait").stdout.strip()
        report.check("a system with systemd is booted", state in ("running", "degraded"))
        systemd = droplet.sh("systemctl --version").stdout.splitlines()[0]
        print(f"        {systemd}, {droplet.sh('python3 --version').stdout.strip()}")
        words = [*BOT, "demo", "--world-only", "--port", "0"]
        world = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=bare(), cwd=ROOT)
        try:
            assert world.stdout is not None
            told = introduced(world.stdout)
            installed(droplet)
            configured(droplet, told)
            served(droplet, told)
            watched(droplet, told)
            refused(droplet)
            stopped(droplet)
        finally:
            world.terminate()
            world.wait(60)
    return report.end()


def installed(droplet: BootedSystem) -> None:
    done = droplet.sh("sh /clone/deploy/droplet/install.sh")
    report.check("install.sh, the first time", (done.returncode, done.stderr), (0, ""))
    report.check(
        "says what comes next", f"openvidu-bot init --config {CONFIG}/settings.yaml" in done.stdout
    )
    hostile = (
        "mkdir -p /var/tmp/here && cd /var/tmp/here && "
        "echo 'raise SystemExit(66)' | tee bot.py config.py json.py > /dev/null"
    )
    report.check(
        "the command works from any folder, and runs nothing of it",
        droplet.sh(f"{hostile} && openvidu-bot --version").stdout,
        f"openvidu-bot {VERSION}\n",
    )
    report.check("nothing runs yet", droplet.show("ActiveState"), "inactive")


def configured(droplet: BootedSystem, told: str) -> None:
    """Run init as the script says; flags and answers come from `demo --world-only`."""
    secrets, answers = exports_of(told), answers_to(told)
    key = answers["Private SSH key of the nodes"]
    there = droplet.root / KEY[1:]
    there.write_bytes(Path(key).read_bytes())
    droplet.sh(f"chgrp openvidu-bot {KEY} && chmod 640 {KEY}")
    words = ["env", f"OPENVIDU_BOT_STANDINS={secrets['OPENVIDU_BOT_STANDINS']}", "openvidu-bot"]
    words += [
        "init",
        "--config",
        f"{CONFIG}/settings.yaml",
        "--no-questions",
        "--stack",
        "acme",
        "--region",
        "ams3",
        "--public-url",
        answers["Public address"],
        "--operators",
        answers["Operators"].replace(" ", ""),
    ]
    words += [
        "--channel",
        entered(answers["Slack channel"]),
        "--timezone",
        "Europe/Madrid",
        "--key-file",
        KEY,
        "--bucket",
        entered(answers["Bucket with secrets.env"]),
        "--me",
        answers["Your Slack member id"],
    ]
    done = droplet.sh(shlex.join(words))
    report.check(
        "openvidu-bot init", (done.returncode, "" if done.returncode == 0 else done.stderr), (0, "")
    )
    # In a simulated world init puts the state beside the settings, where a service may not write.
    settings = droplet.root / CONFIG[1:] / "settings.yaml"
    settings.write_text(
        re.sub(r"^state:\n  path: .*\n", "", settings.read_text(), flags=re.MULTILINE)
    )
    env = droplet.root / CONFIG[1:] / "bot.env"
    report.check("bot.env is for root alone", oct(env.stat().st_mode & 0o777), "0o600")
    filled = re.sub(
        r"^(\w+)=$",
        lambda m: f"{m[1]}={secrets.get(m[1], '')}",
        env.read_text(),
        flags=re.MULTILINE,
    )
    env.write_text(filled)
    done = droplet.sh("sh /clone/deploy/droplet/install.sh")
    report.check("install.sh, the second time", (done.returncode, done.stderr), (0, ""))
    report.check("it runs", f"openvidu-bot {VERSION} runs" in done.stdout)


def entered(answer: str) -> str:
    """What `Enter (VALUE)` takes."""
    return answer.removeprefix("Enter (").removesuffix(")")


def served(droplet: BootedSystem, told: str) -> None:
    url = re.search(r"Slack's page: (\S+)", told)
    assert url is not None
    report.check(
        "systemd was told that it serves",
        (droplet.show("Type"), droplet.show("ActiveState")),
        ("notify", "active"),
    )
    report.check("and how it is", droplet.show("StatusText"), "serving")
    asyncio.run(first_word(url[1]))
    report.check("it answers in Slack", True)
    pid = droplet.show("MainPID")
    status = droplet.sh(f"cat /proc/{pid}/status").stdout
    report.check(
        "it has no rights",
        "CapEff:\t0000000000000000" in status
        and "NoNewPrivs:\t1" in status
        and "Uid:\t0" not in status,
    )
    report.check(
        "it is enabled", droplet.sh("systemctl is-enabled openvidu-bot").stdout.strip(), "enabled"
    )
    version = int(droplet.sh("systemctl --version").stdout.split()[1])
    if version >= 254:
        report.check(
            "restarts wait longer and longer",
            (droplet.show("RestartSteps"), droplet.show("RestartMaxDelayUSec")),
            ("6", "1min"),
        )
    else:
        report.check(
            "restarts wait, as long as this systemd can", droplet.show("RestartUSec"), "15s"
        )
    again = droplet.sh("cd /var/tmp/here && openvidu-bot doctor")
    report.check(
        "doctor finds the installed settings by itself, and nothing wrong",
        (again.returncode, "a bot is running" in again.stdout),
        (0, True),
    )


def watched(droplet: BootedSystem, told: str) -> None:
    """With shorter timeouts than the unit has, so that the test does not take a minute."""
    url = re.search(r"Slack's page: (\S+)", told)
    assert url is not None
    drop_in = "/etc/systemd/system/openvidu-bot.service.d"
    droplet.sh(
        f"mkdir -p {drop_in} && "
        "printf '[Service]\\nWatchdogSec=4\\nTimeoutAbortSec=2\\nRestartSec=1\\n' "
        f"> {drop_in}/test.conf"
    )
    droplet.sh("systemctl daemon-reload && systemctl restart openvidu-bot")
    before = droplet.show("MainPID")
    droplet.sh("sleep 10")
    report.check(
        "a bot that is well is left alone",
        (droplet.show("MainPID"), droplet.show("NRestarts")),
        (before, "0"),
    )
    droplet.sh(f"kill -STOP {before}")
    report.check("a bot that hangs is replaced", droplet.until("NRestarts", "[1-9]"), "[1-9]")
    report.check("by one that serves", droplet.until("StatusText", "serving"), "serving")
    asyncio.run(first_word(url[1]))
    said = droplet.sh("journalctl --unit openvidu-bot --output cat --no-pager").stdout
    report.check("the journal names the watchdog", "watchdog" in said.lower())


def refused(droplet: BootedSystem) -> None:
    droplet.sh(
        f"cp {CONFIG}/settings.yaml /root/good.yaml && "
        f"sed -i 's/^clusters:/clusterz:/' {CONFIG}/settings.yaml"
    )
    done = droplet.sh("sh /clone/deploy/droplet/install.sh")
    report.check(
        "install.sh tells what is wrong with the settings",
        (done.returncode, "clusterz" in done.stderr),
        (1, True),
    )
    droplet.sh("sleep 8")
    found = (droplet.show("ActiveState"), droplet.show("ExecMainStatus"), droplet.show("NRestarts"))
    report.check("wrong settings are not tried again and again", found, ("failed", "2", "0"))
    droplet.sh(
        f"cp /root/good.yaml {CONFIG}/settings.yaml && "
        f"chgrp openvidu-bot {CONFIG}/settings.yaml && systemctl restart openvidu-bot"
    )
    report.check("right ones are taken", droplet.until("ActiveState", "active"), "active")


def stopped(droplet: BootedSystem) -> None:
    droplet.sh("systemctl stop openvidu-bot")
    found = (droplet.show("ActiveState"), droplet.show("Result"), droplet.show("ExecMainStatus"))
    report.check("systemctl stop ends it in order", found, ("inactive", "success", "0"))


if __name__ == "__main__":
    sys.exit(main())
