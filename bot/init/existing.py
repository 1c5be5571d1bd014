"""What an earlier `init`, or a person, wrote: read as defaults, and kept when files are rewritten.

Pure, except for `read_existing`.
"""

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.file_writing import content_of
from bot.init.questions import Answers
from config.settings import SettingsError
from config.yaml_file import NotYaml, read_yaml

Raw = dict[str, Any]
ASSIGNMENT = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Z][A-Z0-9_]*)\s*=(?P<value>.*)")
# The keys of a cluster that the questions answer; all others are kept as they are.
ANSWERED = (
    ("stack",),
    ("region",),
    ("public_url",),
    ("livekit_url",),
    ("channel",),
    ("timezone",),
    ("roles", "operators"),
    ("ssh", "key_file"),
    ("spaces", "endpoint"),
    ("spaces", "bucket"),
)
# Set if the new settings have them, kept otherwise.
OPERATORS = ("roles", "operators")
ALONE = ("policy", "single_operator")
ADDED = (("health_url",), ("ssh", "port"), ALONE)
NOTHING = "nothing"


@dataclass(frozen=True)
class ExistingFiles:
    """The two files as they are. A text is None if there is no file."""

    settings_text: str | None = None
    settings: Raw = field(default_factory=dict)
    secrets_text: str | None = None

    @property
    def secrets(self) -> dict[str, str]:
        """Return the variables of the file of secrets that have a value."""
        found = {}
        for line in (self.secrets_text or "").splitlines():
            match = ASSIGNMENT.fullmatch(line)
            if match and match["value"].strip():
                found[match["name"]] = _unquoted(match["value"].strip())
        return found

    def answers(self, user: str, stack: str = "") -> dict[str, str]:
        """Return the answers in the settings, for a stack or for the first cluster."""
        clusters = self.settings.get("clusters") or {}
        for name, cluster in clusters.items():
            if stack in ("", cluster.get("stack")):
                return _answers(name, cluster, self.settings, user)
        return {}


def read_existing(settings: Path, secrets: Path | None) -> ExistingFiles:
    """Read the files that may be rewritten. SettingsError if one cannot be read."""
    try:
        text = content_of(settings)
        secrets_text = None if secrets is None else content_of(secrets)
        raw = {} if text is None else read_yaml(settings)[0]
    except NotYaml as error:
        raise SettingsError(
            [f"{settings}: line {error.line}: {error}. Correct it, or move the file away."]
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        name = getattr(error, "filename", None) or settings
        raise SettingsError([f"{name} exists and cannot be read."]) from None
    if raw is not None and not isinstance(raw, dict):
        raise SettingsError([f"{settings} is not a settings file. Move it away."])
    return ExistingFiles(text, raw or {}, secrets_text)


def _answers(name: str, cluster: Raw, settings: Raw, user: str) -> dict[str, str]:
    channels = {c: n for c, n in (settings.get("channels") or {}).items() if n == name}
    answers = {
        "name": name,
        "stack": cluster.get("stack"),
        "region": cluster.get("region"),
        "public_url": cluster.get("public_url"),
        "operators": ",".join((cluster.get("roles") or {}).get("operators") or ()),
        "channel": cluster.get("channel") or next(iter(channels), ""),
        "timezone": cluster.get("timezone"),
        "key_file": (cluster.get("ssh") or {}).get("key_file"),
        "livekit_url": cluster.get("livekit_url"),
        "bucket": (cluster.get("spaces") or {}).get("bucket"),
        "me": ((settings.get("terminal") or {}).get("users") or {}).get(user),
    }
    return {key: str(value) for key, value in answers.items() if value}


def merged(old: Raw, new: Raw, answers: Answers) -> Raw:
    """Return the old settings with the answers of `new`; what `init` does not ask is kept."""
    result = copy.deepcopy(old)
    name = answers["name"]
    clusters = result.setdefault("clusters", {})
    former = (clusters.get(name) or {}).get("channel")
    clusters[name] = _merged_cluster(clusters.get(name) or {}, new["clusters"][name])
    _merge_channels(result, new, name, former)
    users = (new.get("terminal") or {}).get("users") or {}
    if users:
        _into(
            result, ("terminal", "users"), {**(_at(result, ("terminal", "users")) or {}), **users}
        )
    for section in ("digitalocean", "slack", "state", "health"):
        for key, value in (new.get(section) or {}).items():
            _into(result, (section, key), value)
    return result


def _merged_cluster(old: Raw, new: Raw) -> Raw:
    cluster = copy.deepcopy(old)
    if len(_at(old, OPERATORS) or ()) == 1 < len(_at(new, OPERATORS)):
        _out_of(cluster, ALONE)  # there is someone else to approve now
    for path in ANSWERED:
        value = _at(new, path)
        if value is None:
            _out_of(cluster, path)
        else:
            _into(cluster, path, value)
    for path in ADDED:
        value = _at(new, path)
        if value is not None and _at(cluster, path) is None:
            _into(cluster, path, value)
    return cluster


def _merge_channels(result: Raw, new: Raw, name: str, former: str | None) -> None:
    channels = {
        channel: cluster
        for channel, cluster in (result.get("channels") or {}).items()
        if not (channel == former and cluster == name)
    }
    channels |= new.get("channels") or {}
    result.pop("channels", None)
    if channels:
        result["channels"] = channels


def _at(raw: Raw, path: tuple[str, ...]) -> Any:
    value: Any = raw
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _into(raw: Raw, path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        if not isinstance(raw.get(key), dict):
            raw[key] = {}
        raw = raw[key]
    raw[path[-1]] = value


def _out_of(raw: Raw, path: tuple[str, ...]) -> None:
    """Remove a key, and the section that it leaves empty."""
    inner = _at(raw, path[:-1]) if len(path) > 1 else raw
    if not isinstance(inner, dict) or path[-1] not in inner:
        return
    del inner[path[-1]]
    if len(path) > 1 and not inner:
        del raw[path[0]]


def changes(old: Raw, new: Raw) -> list[str]:
    """Return each difference as `clusters.acme.region: ams3 → fra1`."""
    before, after = dict(_flat(old)), dict(_flat(new))
    keys = [*before, *(key for key in after if key not in before)]
    return [
        f"{key}: {before.get(key, NOTHING)} → {after.get(key, NOTHING)}"
        for key in keys
        if before.get(key) != after.get(key)
    ]


def _flat(raw: Any, at: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(raw, Mapping):
        for key, value in raw.items():
            yield from _flat(value, f"{at}.{key}".lstrip("."))
    elif isinstance(raw, list):
        yield at, ", ".join(map(str, raw))
    elif raw is not None:
        yield at, str(raw)


def with_secrets(text: str, values: Mapping[str, str], meaning: Mapping[str, str]) -> str:
    """Return a file of secrets with these values; every other line stays as it is.

    A variable without a value never replaces one that has one.
    """
    lines, left = [], dict(values)
    for line in text.splitlines():
        match = ASSIGNMENT.fullmatch(line)
        if match is None or match["name"] not in left:
            lines.append(line)
            continue
        value = left.pop(match["name"])
        lines.append(f"{match['name']}={value}" if value else line)
    for name, value in left.items():
        lines += [f"# {meaning[name]}", f"{name}={value}"]
    return "\n".join(lines) + "\n"


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
