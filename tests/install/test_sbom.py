"""`make sbom`: everything that is locked is in it, with its hashes and its licence."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bot.version import VERSION
from scripts import sbom

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements.txt").read_text()


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sbom, "DIST", tmp_path)
    assert sbom.main() == 0
    return tmp_path


def test_all_that_is_locked_is_told(made: Path) -> None:
    bom: dict[str, Any] = json.loads((made / "sbom.cdx.json").read_text())
    assert (bom["bomFormat"], bom["specVersion"], bom["metadata"]["component"]["version"]) == (
        "CycloneDX",
        "1.5",
        VERSION,
    )
    assert {(c["name"], c["version"]) for c in bom["components"]} == set(
        re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", LOCK, re.MULTILINE)
    )
    told = {
        h["content"]
        for c in bom["components"]
        for r in c["externalReferences"]
        for h in r["hashes"]
    }
    assert told == set(re.findall(r"--hash=sha256:([0-9a-f]{64})", LOCK))
    assert set(bom["dependencies"][0]["dependsOn"]) == {c["bom-ref"] for c in bom["components"]}
    assert all(c.get("licenses") or c["scope"] == "optional" for c in bom["components"])


def test_licences_come_with_their_texts(made: Path) -> None:
    text = (made / "licences.txt").read_text()
    assert re.search(r"^aiohttp +\S+ +Apache-2.0 AND MIT$", text, re.MULTILINE)
    assert "Permission is hereby granted, free of charge" in text
    assert "Redistribution and use in source and binary forms" in text
