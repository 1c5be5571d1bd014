"""The image and the compose file keep what SECURITY.md says of them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulators.environment import find_free_port
from tests.support.patience import HANG
from tests.support.tools import redis_server

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())


def instructions() -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    return [
        (line.split(None, 1)[0].upper(), line.split(None, 1)[1])
        for line in joined.splitlines()
        if line.strip()
    ]


def test_the_image_runs_as_nobody_in_particular() -> None:
    last_stage = instructions()[
        max(i for i, (word, _) in enumerate(instructions()) if word == "FROM") :
    ]
    users = [value for word, value in last_stage if word == "USER"]
    assert users in (["bot"], ["10001:10001"])
    (made,) = [value for word, value in last_stage if word == "RUN" and "useradd" in value]
    uid = re.search(r"--uid (\d+)", made)
    assert uid
    assert int(uid[1]) >= 1000
    after = last_stage[[word for word, _ in last_stage].index("USER") :]
    assert not [word for word, _ in after if word in ("RUN", "COPY", "ADD")], (
        "nothing is made after that"
    )


def test_the_image_holds_what_was_locked_and_nothing_fetched_besides() -> None:
    words = instructions()
    installs = [
        value for word, value in words if word == "RUN" and re.search(r"\bpip\b.* install ", value)
    ]
    assert installs
    assert all("--require-hashes" in value and "requirements.txt" in value for value in installs)
    assert not [
        value
        for word, value in words
        if word == "ADD" or re.search(r"\b(curl|wget|git clone)\b", value)
    ]
    assert not [
        value
        for word, value in words
        if word in ("ENV", "ARG") and re.search(r"TOKEN|SECRET|PASSWORD", value)
    ]


def test_the_file_is_for_every_engine() -> None:
    """Only BuildKit knows --mount, --link, here-documents and a syntax line: not used here."""
    assert not re.search(r"^# *syntax=", DOCKERFILE, re.MULTILINE | re.IGNORECASE)
    for word, value in instructions():
        assert not re.match(r"--(mount|link|parents|exclude|security|network|chmod)\b", value), (
            value
        )
        assert "<<" not in value, value
        assert word in (
            "ARG",
            "FROM",
            "ENV",
            "COPY",
            "RUN",
            "WORKDIR",
            "LABEL",
            "USER",
            "VOLUME",
            "HEALTHCHECK",
            "ENTRYPOINT",
            "CMD",
        ), word


def test_both_stages_have_the_base_that_the_build_is_given() -> None:
    assert [value.split()[0] for word, value in instructions() if word == "FROM"] == [
        "${BASE}",
        "${BASE}",
    ]
    assert next(iter(instructions()))[0] == "ARG"


def test_what_installs_packages_is_not_shipped() -> None:
    (install,) = [
        value for word, value in instructions() if word == "RUN" and "--require-hashes" in value
    ]
    assert "venv --without-pip /venv" in install
    assert "/pip/bin/pip --python /venv/bin/python install" in install
    last_stage = instructions()[
        max(i for i, (word, _) in enumerate(instructions()) if word == "FROM") :
    ]
    (made,) = [value for word, value in last_stage if word == "RUN"]
    for part in ("/site-packages/pip*", "/site-packages/setuptools*", "/ensurepip", "/bin/pip*"):
        assert part in made, part


def test_a_container_that_is_not_well_is_started_again() -> None:
    """Docker restarts what ended, not what is unhealthy: the bot ends itself, after /healthz."""
    (variables,) = [
        value
        for word, value in instructions()
        if word == "ENV" and "OPENVIDU_BOT_WATCHDOG" in value
    ]
    seconds = re.search(r"OPENVIDU_BOT_WATCHDOG=(\d+)", variables)
    assert seconds
    assert 0 < int(seconds[1]) <= 120
    assert COMPOSE["services"]["bot"]["restart"] == "unless-stopped"
    assert any(word == "HEALTHCHECK" and "/healthz" in value for word, value in instructions())


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_a_service_can_write_only_where_it_says(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service
    for volume in service["volumes"]:
        if isinstance(volume, dict):
            # A file of the operator; with create_host_path a missing one would become a folder.
            assert (volume["type"], volume["read_only"], volume["bind"]) == (
                "bind",
                True,
                {"create_host_path": False},
            )
        else:
            assert volume.partition(":")[0] in COMPOSE["volumes"], volume
    assert service.get("user", "bot") not in ("root", "0")


def test_the_redis_beside_it_keeps_what_it_is_told() -> None:
    command = COMPOSE["services"]["redis"]["command"]
    told = dict(zip(command[1::2], command[2::2], strict=True))
    assert told["--appendonly"] == "yes"
    assert told["--appendfsync"] == "always"
    assert told["--maxmemory-policy"] == "noeviction"
    assert "ports" not in COMPOSE["services"]["redis"]


def run_as_compose_does(test: list[str], port: int) -> int:
    """The exit code of a health check of compose.yaml, beside a Redis on that port."""
    kind, *words = test
    assert kind == "CMD-SHELL"
    (line,) = words
    line = line.replace("redis-cli", f"redis-cli -p {port}")
    return subprocess.run(
        ["sh", "-c", line], capture_output=True, check=False, timeout=HANG
    ).returncode


@pytest.mark.skipif(
    shutil.which("redis-cli") is None, reason="needs redis-cli: apt-get install redis-tools"
)
@pytest.mark.parametrize(("options", "healthy"), [([], True), (["--requirepass", "5ec2e7"], False)])
def test_redis_is_healthy_when_it_says_so_and_not_when_it_answers_with_an_error(
    tmp_path: Path, options: list[str], healthy: bool
) -> None:
    port = find_free_port()
    words = [
        redis_server(),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        str(tmp_path),
        "--save",
        "",
        *options,
    ]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert any(
            "eady to accept connections" in line for line in iter(server.stdout.readline, "")
        )
        assert (
            run_as_compose_does(COMPOSE["services"]["redis"]["healthcheck"]["test"], port) == 0
        ) is healthy
    finally:
        server.terminate()
        server.communicate(timeout=HANG)
    assert run_as_compose_does(COMPOSE["services"]["redis"]["healthcheck"]["test"], port) != 0
