"""The files to run it with: no rights, nothing to write but the state, secrets by reference, and the same story in each of them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.__main__ import parser
from bot.manifest import manifest

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = [doc for name in ("bot.yaml", "redis.yaml") for doc in yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text())]
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
    assert workload["spec"]["selector"]["matchLabels"].items() <= workload["spec"]["template"]["metadata"]["labels"].items()
    claims = workload["spec"].get("volumeClaimTemplates", ())
    mounted = {volume["name"] for volume in pod["volumes"]} | {claim["metadata"]["name"] for claim in claims}
    for container in pod["containers"]:
        rights = container["securityContext"]
        assert rights == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
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
    generated = {one["name"] for kind in ("configMapGenerator", "secretGenerator") for one in made[kind]}
    text = str(KUBERNETES)
    assert generated == {"openvidu-bot-settings", "openvidu-bot-env", "openvidu-bot-ssh-key"}
    assert all(name in text for name in generated)
    assert set(made["resources"]) == {"bot.yaml", "redis.yaml"}


def test_every_redis_keeps_what_it_is_told() -> None:
    (redis,) = [doc for doc in KUBERNETES if doc["kind"] == "StatefulSet"]
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["redis"]
    for words in (redis["spec"]["template"]["spec"]["containers"][0]["args"], compose["command"]):
        said = " ".join(words)
        for setting in ("--appendonly yes", "--appendfsync always", "--maxmemory-policy noeviction"):
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
    assert parser().parse_args(words).run
    assert lines["ProtectSystem"] == "strict"
    assert lines["NoNewPrivileges"] == "yes"
    assert lines["CapabilityBoundingSet"] == ""
    assert lines["User"] not in ("root", "")
    assert "ReadWritePaths" not in lines
    assert int(lines["TimeoutStopSec"]) > 10, "a bot is given its ten seconds"
    install = (DEPLOY / "droplet" / "install.sh").read_text()
    for path in (lines["EnvironmentFile"].rpartition("/")[0], program.partition("/.venv")[0]):
        assert path in install


def test_the_service_is_well_formed(tmp_path: Path) -> None:
    """By systemd's own word, where there is a systemd; its program stands elsewhere, so a copy names one that exists."""
    if shutil.which("systemd-analyze") is None:
        assert UNIT.count("[Service]") == 1
        return
    unit = tmp_path / "openvidu-bot.service"
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT, flags=re.MULTILINE))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_script_is_sound_shell() -> None:
    script = DEPLOY / "droplet" / "install.sh"
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
    assert script.read_text().startswith("#!/bin/sh\n")
    assert "set -eu" in script.read_text()


def test_a_manifest_over_http_names_the_address_everywhere_and_opens_no_socket() -> None:
    url = "https://bot.example.com/slack/events"
    made, plain = yaml.safe_load(manifest(url)), yaml.safe_load(manifest())
    settings = made["settings"]
    assert settings["event_subscriptions"]["request_url"] == settings["interactivity"]["request_url"] == url
    assert [command["url"] for command in made["features"]["slash_commands"]] == [url]
    assert (settings["socket_mode_enabled"], plain["settings"]["socket_mode_enabled"]) == (False, True)
    assert made["oauth_config"] == plain["oauth_config"]
