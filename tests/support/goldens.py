"""Golden files: what is shown, compared with what was read before and found right."""

import json
import os
from pathlib import Path
from typing import Any

UPDATE = bool(os.environ.get("OPENVIDU_BOT_UPDATE"))


def as_json(made: Any) -> str:
    """Return a card's text and blocks, or a view, as it stands in a golden file."""
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def check_golden(path: Path, text: str) -> None:
    """Compare with the golden file; write it anew where `OPENVIDU_BOT_UPDATE` is set."""
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"{path.name} is missing: run with OPENVIDU_BOT_UPDATE=1"
    assert text == path.read_text(), path.name
