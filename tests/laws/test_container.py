"""The image and the compose file keep what SECURITY.md says of them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())


def instructions() -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    return [(line.split(None, 1)[0].upper(), line.split(None, 1)[1]) for line in joined.splitlines() if line.strip()]


def test_the_image_runs_as_nobody_in_particular() -> None:
    last_stage = instructions()[max(i for i, (word, _) in enumerate(instructions()) if word == "FROM") :]
    users = [value for word, value in last_stage if word == "USER"]
    assert users in (["bot"], ["10001:10001"])
    (made,) = [value for word, value in last_stage if word == "RUN" and "useradd" in value]
    uid = re.search(r"--uid (\d+)", made)
    assert uid
    assert int(uid[1]) >= 1000
    after = last_stage[[word for word, _ in last_stage].index("USER") :]
    assert not [word for word, _ in after if word in ("RUN", "COPY", "ADD")], "nothing is made after that"


def test_the_image_holds_what_was_locked_and_nothing_fetched_besides() -> None:
    words = instructions()
    installs = [value for word, value in words if word == "RUN" and "pip install" in value]
    assert installs
    assert all("--require-hashes" in value and "requirements.txt" in value for value in installs)
    assert not [value for word, value in words if word == "ADD" or re.search(r"\b(curl|wget|git clone)\b", value)]
    assert not [value for word, value in words if word in ("ENV", "ARG") and re.search(r"TOKEN|SECRET|PASSWORD", value)]


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_a_service_can_write_only_where_it_says(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service
    for volume in service["volumes"]:
        source, _, rest = volume.partition(":")
        assert source in COMPOSE["volumes"] or rest.endswith(":ro"), volume
    assert service.get("user", "bot") not in ("root", "0")


def test_the_redis_beside_it_keeps_what_it_is_told() -> None:
    command = COMPOSE["services"]["redis"]["command"]
    told = dict(zip(command[1::2], command[2::2], strict=True))
    assert told["--appendonly"] == "yes"
    assert told["--appendfsync"] == "always"
    assert told["--maxmemory-policy"] == "noeviction"
    assert "ports" not in COMPOSE["services"]["redis"]
