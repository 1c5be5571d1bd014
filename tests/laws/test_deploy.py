"""The deployment files: no rights, writable state only, secrets by reference, consistent."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.command_line import build_parser
from bot.manifest import manifest
from bot.version import VERSION

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = [
    doc
    for name in ("bot.yaml", "redis.yaml")
    for doc in yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text())
]
UNIT = (DEPLOY / "systemd" / "openvidu-bot.service").read_text()


def workloads() -> list[dict[str, Any]]:
    return [doc for doc in KUBERNETES if doc["kind"] in ("Deployment", "StatefulSet")]


@pytest.mark.parametrize("workload", workloads(), ids=lambda w: str(w["metadata"]["name"]))
def test_pods_have_no_rights_and_say_how_they_are(workload: dict[str, Any]) -> None:
    pod = workload["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (
        workload["spec"]["selector"]["matchLabels"].items()
        <= workload["spec"]["template"]["metadata"]["labels"].items()
    )
    claims = workload["spec"].get("volumeClaimTemplates", ())
    mounted = {volume["name"] for volume in pod["volumes"]} | {
        claim["metadata"]["name"] for claim in claims
    }
    for container in pod["containers"]:
        rights = container["securityContext"]
        assert rights == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"livenessProbe", "readinessProbe"} <= container.keys()
        assert "memory" in container["resources"]["limits"]
        assert {mount["name"] for mount in container["volumeMounts"]} <= mounted


def test_manifests_hold_no_secret_but_name_where_they_come_from() -> None:
    assert not [doc for doc in KUBERNETES if doc["kind"] == "Secret"]
    (bot,) = [doc for doc in KUBERNETES if doc["kind"] == "Deployment"]
    (container,) = bot["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "openvidu-bot-env"}}]
    assert [variable["name"] for variable in container["env"]] == ["REDIS_URL"]
    made = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())
    generated = {
        one["name"] for kind in ("configMapGenerator", "secretGenerator") for one in made[kind]
    }
    text = str(KUBERNETES)
    assert generated == {"openvidu-bot-settings", "openvidu-bot-env", "openvidu-bot-ssh-key"}
    assert all(name in text for name in generated)
    assert set(made["resources"]) == {"bot.yaml", "redis.yaml"}


def test_every_redis_keeps_what_it_is_told() -> None:
    (redis,) = [doc for doc in KUBERNETES if doc["kind"] == "StatefulSet"]
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["redis"]
    for words in (redis["spec"]["template"]["spec"]["containers"][0]["args"], compose["command"]):
        said = " ".join(words)
        for setting in (
            "--appendonly yes",
            "--appendfsync always",
            "--maxmemory-policy noeviction",
        ):
            assert setting in said


def test_the_image_and_the_pods_run_as_the_same_user() -> None:
    text = (ROOT / "Dockerfile").read_text()
    user = re.search(r"^USER (\d+):(\d+)$", text, re.MULTILINE)
    assert user
    (bot,) = [doc for doc in KUBERNETES if doc["kind"] == "Deployment"]
    rights = bot["spec"]["template"]["spec"]["securityContext"]
    assert (rights["runAsUser"], rights["runAsGroup"]) == (int(user[1]), int(user[2]))
    assert f"--uid {user[1]} " in text
    assert f"--gid {user[2]} " in text
    assert "compileall" in text, "each start would cost seconds and 300 MB without"


def test_the_service_starts_what_there_is_and_may_write_its_state_only() -> None:
    lines = dict(re.findall(r"^(\w+)=(.*)$", UNIT, re.MULTILINE))
    program, *words = lines["ExecStart"].split()
    assert program.endswith("/openvidu-bot")
    assert build_parser().parse_args(words).entry
    assert lines["ProtectSystem"] == "strict"
    assert lines["NoNewPrivileges"] == "yes"
    assert lines["CapabilityBoundingSet"] == ""
    assert lines["User"] not in ("root", "")
    assert "ReadWritePaths" not in lines
    assert int(lines["TimeoutStopSec"]) > 10, "a bot is given its ten seconds"
    install = (DEPLOY / "droplet" / "install.sh").read_text()
    for path in (lines["EnvironmentFile"].rpartition("/")[0], program.partition("/.venv")[0]):
        assert path in install


def test_the_service_is_supervised() -> None:
    lines = dict(re.findall(r"^(\w+)=(.*)$", UNIT, re.MULTILINE))
    assert (lines["Type"], lines["NotifyAccess"]) == ("notify", "main")
    assert 0 < int(lines["WatchdogSec"]) <= 120
    assert (
        lines["Restart"],
        lines["RestartPreventExitStatus"],
        lines["StartLimitIntervalSec"],
    ) == ("always", "2", "0")
    assert int(lines["RestartSec"]) < int(lines["RestartMaxDelaySec"])
    assert int(lines["RestartSteps"]) > 0


def test_kubernetes_acts_on_health() -> None:
    (bot,) = [doc for doc in KUBERNETES if doc["kind"] == "Deployment"]
    (container,) = bot["spec"]["template"]["spec"]["containers"]
    for probe, path in (
        ("startupProbe", "/healthz"),
        ("livenessProbe", "/healthz"),
        ("readinessProbe", "/readyz"),
    ):
        assert container[probe]["httpGet"] == {"path": path, "port": "health"}
    (redis,) = [doc for doc in KUBERNETES if doc["kind"] == "StatefulSet"]
    (server,) = redis["spec"]["template"]["spec"]["containers"]
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["redis"][
        "healthcheck"
    ]["test"]
    assert server["readinessProbe"]["exec"]["command"] == ["sh", "-c", compose[1]]
    assert server["livenessProbe"]["exec"]["command"] == ["redis-cli", "ping"], (
        "one that loads its file answers with an error, and lives"
    )


def allowed(budget: dict[str, Any], replicas: int, ready: int) -> bool:
    """Whether a pod may be evicted from a drained node, as Kubernetes decides (policy/v1)."""
    wanted = (
        replicas - budget["maxUnavailable"]
        if "maxUnavailable" in budget
        else budget["minAvailable"]
    )
    return ready - wanted >= 1 or (
        ready < replicas and budget.get("unhealthyPodEvictionPolicy") == "AlwaysAllow"
    )


@pytest.mark.parametrize("replicas", [1, 2, 3, 5])
def test_a_node_can_always_be_drained(replicas: int) -> None:
    """Also with one bot, and also while none is ready, because Slack is away."""
    (budget,) = [doc["spec"] for doc in KUBERNETES if doc["kind"] == "PodDisruptionBudget"]
    assert all(allowed(budget, replicas, ready) for ready in range(replicas + 1))
    assert not allowed({"minAvailable": 1}, 1, 1), "what is checked here can tell"


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
def test_the_manifests_come_together(tmp_path: Path) -> None:
    shutil.copytree(
        DEPLOY / "kubernetes",
        tmp_path / "kubernetes",
        ignore=shutil.ignore_patterns("settings.yaml", "bot.env", "id"),
    )
    for name, text in (
        ("settings.yaml", "clusters: {}\n"),
        ("bot.env", "SLACK_BOT_TOKEN=x\n"),
        ("id", "key\n"),
    ):
        (tmp_path / "kubernetes" / name).write_text(text)
    done = subprocess.run(
        ["kubectl", "kustomize", str(tmp_path / "kubernetes")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = [doc for doc in yaml.safe_load_all(done.stdout) if doc]
    (bot,) = [doc for doc in made if doc["kind"] == "Deployment"]
    text = str(bot)
    assert f"openvidu-bot:{VERSION}" in text
    for kind in ("ConfigMap", "Secret"):
        assert all(doc["metadata"]["name"] in text for doc in made if doc["kind"] == kind)


def test_the_service_is_well_formed(tmp_path: Path) -> None:
    """Check with systemd itself, on a copy of the unit whose program exists."""
    if shutil.which("systemd-analyze") is None:
        assert UNIT.count("[Service]") == 1
        return
    unit = tmp_path / "openvidu-bot.service"
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT, flags=re.MULTILINE)
    if systemd_version() < 254:  # as install.sh writes it there
        text = re.sub(r"^Restart(Steps|MaxDelaySec)=.*\n", "", text, flags=re.MULTILINE)
    unit.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


MOST = 20  # of 100: "OK" ends at 49
# What `systemd-analyze security` counts against the service, and why it stays.
EXPOSED = {
    "RootDirectoryOrRootImage": "it runs in the host's own tree, read-only",
    "PrivateMounts": "ProtectSystem gives it mounts of its own; this adds nothing",
    "MemoryDenyWriteExecute": "callbacks of C libraries need such memory on some systems",
    "RestrictAddressFamilies_AF_UNIX": "systemd's socket, the terminal's, and a local Redis",
    "RestrictAddressFamilies_AF_INET_INET6": "it works over the network",
    "ProtectProc": "it reads who is at the other end of the terminal's socket",
    "ProcSubset": "it reads the boot's id below /proc/sys",
    "PrivateNetwork": "it works over the network",
    "PrivateUsers": "it has to know who connects to the terminal's socket",
    "DeviceAllow": "ProtectClock allows to read the clock's device",
    "IPAddressDeny": "the addresses of Slack, DigitalOcean and nodes change",
}


def test_the_service_is_as_closed_as_it_can_be(tmp_path: Path) -> None:
    """Check with systemd itself what the process could reach after a break-in."""
    if shutil.which("systemd-analyze") is None or systemd_version() < 251:  # --offline with --json
        assert "NoNewPrivileges=yes" in UNIT
        return
    unit = tmp_path / "openvidu-bot.service"
    unit.write_text(UNIT)
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--json=short", str(unit)],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    exposed = {line["json_field"] for line in told if not line["set"] and line["exposure"]}
    if systemd_version() < 255:  # a newer one may look at more
        assert exposed == EXPOSED.keys()
    limit = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST}", str(unit)]
    done = subprocess.run(limit, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-200:]


def systemd_version() -> int:
    told = subprocess.run(
        ["systemd-analyze", "--version"], capture_output=True, text=True, check=True
    ).stdout
    return int(told.split()[1])


@pytest.mark.parametrize(
    "script",
    [DEPLOY / "droplet" / "install.sh", ROOT / "scripts" / "base_image.sh"],
    ids=lambda p: p.name,
)
def test_the_script_is_sound_shell(script: Path) -> None:
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
    assert script.read_text().startswith("#!/bin/sh\n")
    assert "set -eu" in script.read_text()


def test_a_manifest_over_http_names_the_address_everywhere_and_opens_no_socket() -> None:
    url = "https://bot.example.com/slack/events"
    made, plain = yaml.safe_load(manifest(url)), yaml.safe_load(manifest())
    settings = made["settings"]
    assert (
        settings["event_subscriptions"]["request_url"]
        == settings["interactivity"]["request_url"]
        == url
    )
    assert [command["url"] for command in made["features"]["slash_commands"]] == [url]
    assert (settings["socket_mode_enabled"], plain["settings"]["socket_mode_enabled"]) == (
        False,
        True,
    )
    assert made["oauth_config"] == plain["oauth_config"]
