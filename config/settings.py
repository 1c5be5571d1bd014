"""Reads the settings: one file for what may be seen, the environment (or files it names) for what may not."""

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from config.pem import PEM, wrong_with_pem
from config.values import Cluster, Secrets, Settings
from config.yaml_file import NotYaml, Word, read_yaml

__all__ = ["Cluster", "Settings", "SettingsError", "check_secrets", "load"]

Raw = dict[Any, Any]

# Where each secret comes from; `_FILE` behind the name names a file that holds it.
SLACK_SECRETS = {
    "bot_token": "SLACK_BOT_TOKEN",
    "app_token": "SLACK_APP_TOKEN",
    "signing_secret": "SLACK_SIGNING_SECRET",
}
CLUSTER_SECRETS = {name: name.upper() for name in Secrets.model_fields}
STATE_SECRETS = {"redis_url": "REDIS_URL", "redis_sentinel_password": "REDIS_SENTINEL_PASSWORD"}
ONCALL_SECRETS = {"oncall_secret": "ONCALL_SECRET"}
SECRET_KEYS = {
    **SLACK_SECRETS,
    **CLUSTER_SECRETS,
    **STATE_SECRETS,
    **ONCALL_SECRETS,
    "token": "an environment variable",
}
SECRET_LOOKS = re.compile(
    r"xox[a-z]-|xapp-|xwfp-|do[po]_v1_[0-9a-f]|-----BEGIN|^rediss?(\+sentinel)?://[^/]*@"
)
# Whatever their owners chose; everything else was made by a machine.
PASSWORDS = {"REDIS_URL", "REDIS_SENTINEL_PASSWORD"}
UNSEEN = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}
ENV_NAME = re.compile(r"[A-Z][A-Z0-9_]*")

# Files named in the settings are looked for beside the settings file.
PATHS = (
    ("digitalocean", "ca_file"),
    ("state", "path"),
    ("state", "redis_ca_file"),
    ("terminal", "socket"),
)
CLUSTER_PATHS = (("ssh", "key_file"), ("ssh", "known_hosts"))
CALENDARS = ("holidays", "freezes", "meetings")


class SettingsError(Exception):
    """The settings are wrong. One line for each problem: the key, what was found, what is allowed."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


Judge = Callable[[str], str]


def load(
    path: Path | None,
    env: Mapping[str, str],
    zones: Judge | None = None,
    hours: Judge | None = None,
) -> Settings:
    """The settings from that file, or from the one that OPENVIDU_BOT_CONFIG names, with the secrets of `env`.

    `zones` judges names of time zones: it returns the zone's own name, or raises ValueError with what is allowed. The settings have no
    judge of their own, so that they and windows cannot disagree; without one any name is taken. `hours` judges those of approvals.
    """
    path = path or (Path(named) if (named := env.get("OPENVIDU_BOT_CONFIG")) else None)
    if path is None:
        raise SettingsError(
            [
                "OPENVIDU_BOT_CONFIG: not set; allowed: a settings file, here or with --config (as config/example.yaml)"
            ]
        )
    raw, word = _read(path)
    problems = list(_secrets_in(raw))
    if problems:
        raise SettingsError(problems)
    problems += _fill_in(raw, path.parent, env)
    try:
        settings = Settings.model_validate(raw, context={"zones": zones, "hours": hours})
    except ValidationError as error:
        # A value that may be one of two things is told of twice.
        raise SettingsError(
            list(dict.fromkeys(problems + [_explain(one, raw, word) for one in error.errors()]))
        ) from None
    problems += [*_crosswise(settings), *_certificates(settings, env)]
    if problems:
        raise SettingsError(problems)
    return settings


def check_secrets(settings: Settings, *, slack: bool = True) -> None:
    """Refuse to go on without the secrets that the settings call for. `slack` False: for commands that do not speak to it."""
    problems = list(_missing(settings, slack=slack))
    if problems:
        raise SettingsError(problems)


# Reading the file


def _read(path: Path) -> tuple[Raw, Word]:
    try:
        raw, word = read_yaml(path)
    except OSError as error:
        problem = f"{path}: {(error.strerror or 'cannot be read').lower()}; allowed: a file that can be read"
    except NotYaml as error:
        where = f"{path}:{error.line}" if error.line else str(path)
        problem = f"{where}: {error}; allowed: YAML as in config/example.yaml"
    else:
        if isinstance(raw, dict):
            return raw, word
        problem = f"{path}: found {_kind(raw)}; allowed: YAML with the keys {', '.join(Settings.model_fields)}"
    raise SettingsError([problem])


def _secrets_in(raw: object, at: tuple[object, ...] = ()) -> Iterator[str]:
    """Secrets written where everybody who may see the file sees them. Their values are not repeated."""
    if isinstance(raw, list):
        for index, value in enumerate(raw):
            yield from _secrets_in(value, (*at, index))
    elif isinstance(raw, dict):
        for key, value in raw.items():
            # In a cluster's `secrets` stand names of variables; whether they are is looked at below.
            named = key in SECRET_KEYS and not (
                len(at) == 3 and at[0] == "clusters" and at[2] == "secrets"
            )
            if named and not isinstance(value, dict | list):
                yield _secret_at((*at, key), SECRET_KEYS[key])
            else:
                yield from _secrets_in(value, (*at, key))
    elif isinstance(raw, str) and SECRET_LOOKS.search(raw):
        yield _secret_at(at, "an environment variable")


def _secret_at(at: tuple[object, ...], variable: str) -> str:
    how = f"{variable} or {variable}_FILE in the environment" if variable.isupper() else variable
    return f"{_dotted(at)}: found a secret in the file (change it, others may have seen it); allowed: {how}"


# Filling in what does not stand in the file


def _fill_in(raw: Raw, beside: Path, env: Mapping[str, str]) -> list[str]:
    reader = _Environment(env)
    slack = raw.setdefault("slack", {})
    if isinstance(slack, dict):
        slack |= {
            name: found
            for name, variable in SLACK_SECRETS.items()
            if (found := reader.get(variable))
        }
    state = raw.setdefault("state", {})
    if isinstance(state, dict):
        state.setdefault("path", str(_state_path(env)))
        state |= {
            name: found
            for name, variable in STATE_SECRETS.items()
            if (found := reader.get(variable))
        }
    oncall = raw.get("oncall")
    if isinstance(oncall, dict):
        oncall |= {
            name: found
            for name, variable in ONCALL_SECRETS.items()
            if (found := reader.get(variable))
        }
    _beside(raw, PATHS, beside, env)
    clusters = raw.get("clusters")
    for name, cluster in (clusters if isinstance(clusters, dict) else {}).items():
        if isinstance(cluster, dict):
            _beside(cluster, CLUSTER_PATHS, beside, env)
            _beside(
                raw["clusters"], tuple((name, key) for key in (*CALENDARS, "ca_file")), beside, env
            )
            cluster["secrets"] = _cluster_secrets(
                f"clusters.{name}.secrets", cluster.get("secrets", {}), reader
            )
    return reader.problems


class _Environment:
    """Variables, each also as NAME_FILE."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.problems: list[str] = []

    def get(self, name: str) -> str | None:
        """The value, or None when nothing is set."""
        file = self.env.get(f"{name}_FILE")
        if not file:
            return self._usable(name, self.env.get(name, ""))
        if self.env.get(name):
            self._say(f"{name}: found {name} and {name}_FILE; allowed: one of them")
            return None
        try:
            text = Path(file).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            self._say(
                f"{name}_FILE: found {file}, which cannot be read; allowed: a file that holds the secret"
            )
            return None
        return self._usable(f"{name}_FILE", text)

    def _usable(self, name: str, text: str) -> str | None:
        """The value without blanks and line ends around it, as they come along with pasting. What cannot be right is not sent anywhere."""
        value = text.strip()
        if value and (odd := _odd_in(value, is_password=name.removesuffix("_FILE") in PASSWORDS)):
            self._say(f"{name}: found {odd}; allowed: the value alone")
            return None
        return value or None

    def _say(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def _odd_in(value: str, *, is_password: bool) -> str:
    """What no secret of that kind has in it; nothing of the value is said."""
    if any(unicodedata.category(c) in UNSEEN for c in value):
        return "a control character, a line end or a character that cannot be seen"
    if is_password:
        return ""
    if any(c.isspace() for c in value):
        return "a blank"
    if value[0] == value[-1] and value[0] in "\"'`":
        return "quotation marks around it"
    return "" if value.isascii() else "a character that is not ASCII"


def _cluster_secrets(at: str, names: object, reader: _Environment) -> object:
    if not isinstance(names, dict):
        return names  # the model says what is wrong with it
    found: Raw = {}
    for key, default in CLUSTER_SECRETS.items():
        name = names.get(key, default)
        if not isinstance(name, str) or not ENV_NAME.fullmatch(name):
            # What stands here instead of a name may well be the secret itself.
            reader.problems.append(
                f"{at}.{key}: found something that is not a variable's name; allowed: a name such as ACME_{default}"
            )
        elif value := reader.get(name):
            found[key] = value
        elif key in names:
            reader.problems.append(
                f"{at}.{key}: found {name}, which is not set; allowed: a variable in the environment, or {name}_FILE"
            )
    return found | {key: value for key, value in names.items() if key not in CLUSTER_SECRETS}


def _state_path(env: Mapping[str, str]) -> Path:
    home = Path(env.get("HOME") or ".")
    base = Path(env["XDG_STATE_HOME"]) if env.get("XDG_STATE_HOME") else home / ".local" / "state"
    return base / "openvidu-bot" / "state.sqlite3"


def _beside(
    raw: Raw, paths: tuple[tuple[str, str], ...], folder: Path, env: Mapping[str, str]
) -> None:
    for section, key in paths:
        values = raw.get(section)
        if isinstance(values, dict) and isinstance(text := values.get(key), str):
            home = env.get("HOME")
            values[key] = str(
                Path(home, text[2:]) if home and text.startswith("~/") else folder / text
            )


# What one value does not tell


def _crosswise(settings: Settings) -> Iterator[str]:
    names = list(settings.clusters)
    for channel, name in settings.channels.items():
        if name not in settings.clusters:
            yield f"channels.{channel}: found {name!r}; allowed: {_one_of(names)}{_near(name, names)}"
    stacks: dict[str, str] = {}
    for name, cluster in settings.clusters.items():
        if (other := stacks.setdefault(cluster.stack, name)) != name:
            yield f"clusters.{name}.stack: found {cluster.stack!r}, which is {other}'s; allowed: one cluster for each stack"
        for key in ("key_file", "known_hosts"):
            file = getattr(cluster.ssh, key)
            if file is not None and not file.is_file():
                yield f"clusters.{name}.ssh.{key}: found {file}, which is not a file; allowed: a file that can be read"


def _certificates(settings: Settings, env: Mapping[str, str]) -> Iterator[str]:
    """Files of certificates; the one of OpenSSL's own variable too, which is passed over in silence where it cannot be read."""
    files = {
        "digitalocean.ca_file": settings.digitalocean.ca_file,
        "state.redis_ca_file": settings.state.redis_ca_file,
    }
    files |= {
        f"clusters.{name}.ca_file": cluster.ca_file for name, cluster in settings.clusters.items()
    }
    files |= {"SSL_CERT_FILE": Path(named) if (named := env.get("SSL_CERT_FILE")) else None}
    for at, file in files.items():
        if file is not None and (wrong := wrong_with_pem(file)):
            yield f"{at}: found {file}, {wrong}; allowed: {PEM}"


def _missing(settings: Settings, *, slack: bool) -> Iterator[str]:
    if slack:
        needed = (
            ("bot_token", "app_token")
            if settings.slack.mode == "socket"
            else ("bot_token", "signing_secret")
        )
        for key in needed:
            if getattr(settings.slack, key) is None:
                yield f"{SLACK_SECRETS[key]}: not set; allowed: the value from the Slack app's settings, here or in a file named by _FILE"
        yield from _swapped(settings)
    if settings.oncall is not None and settings.oncall.oncall_secret is None:
        what = {
            "pagerduty": "the integration's routing key",
            "opsgenie": "the integration's API key",
        }
        allowed = what.get(settings.oncall.kind, "the secret that events are signed with")
        yield f"ONCALL_SECRET: not set, and oncall needs it; allowed: {allowed}, here or in a file named by ONCALL_SECRET_FILE"
    for name, cluster in settings.clusters.items():
        wanted = ["digitalocean_token"]
        if cluster.spaces:
            wanted += ["spaces_access_key_id", "spaces_secret_access_key"]
        if cluster.livekit_url:
            wanted += ["livekit_api_key", "livekit_api_secret"]
        for key in wanted:
            if getattr(cluster.secrets, key) is None:
                variable = CLUSTER_SECRETS[key]
                other = f"clusters.{name}.secrets.{key}"
                yield f"{variable}: not set, and cluster {name} needs it; allowed: the secret, or another variable's name in {other}"


def _swapped(settings: Settings) -> Iterator[str]:
    for key, prefix in (("bot_token", "xoxb-"), ("app_token", "xapp-")):
        token = getattr(settings.slack, key)
        if token is not None and not token.get_secret_value().startswith(prefix):
            yield f"{SLACK_SECRETS[key]}: found something else than a token of that kind; allowed: one that begins with {prefix}"


# Telling what is wrong


def _explain(error: Any, raw: Raw, word: Word) -> str:
    at = tuple(part for part in error["loc"] if part != "[key]")
    kind = error["type"]
    if kind == "extra_forbidden":
        keys = _keys_at(at[:-1])
        return f"{_dotted(at)}: found an unknown key; allowed: {', '.join(keys)}{_near(str(at[-1]), keys)}"
    if kind == "missing":
        return f"{_dotted(at)}: found nothing; allowed: a value, it has no default"
    message = error["msg"].removeprefix("Value error, ")
    if message.startswith("found "):
        return f"{_dotted(at)}: {message}"
    found = repr(at[-1]) if "[key]" in error["loc"] else _found(raw, at)
    if found in ("True", "False"):
        return _explain_yes_or_no(error, at, found == "True", word(_shown(at)))
    choices = re.findall(r"'([^']+)'", message) if kind == "literal_error" else []
    return f"{_dotted(_shown(at))}: found {found}; allowed: {_allowed(kind, at, message)}{_near(found.strip(chr(39)), choices)}"


def _explain_yes_or_no(error: Any, at: tuple[object, ...], found: bool, written: str) -> str:
    """`no`, `on` and the like are not text in YAML: the country NO is false."""
    value = str(found).lower()
    said = value if written.lower() in ("", value) else f"{written}, which YAML reads as {value}"
    kind, message = error["type"], error["msg"].removeprefix("Value error, ")
    quoted = f', in quotes: "{written}"' if kind == "string_type" and said != value else ""
    return f"{_dotted(_shown(at))}: found {said}; allowed: {_allowed(kind, at, message)}{quoted}"


def _allowed(kind: str, at: tuple[object, ...], message: str) -> str:
    if _shown(at) != at:
        return "'everyone' or a list of Slack member ids"
    words = {
        "model_type": "keys and values",
        "dict_type": "keys and values",
        "tuple_type": "a list",
        "string_type": "text",
        "too_short": "at least one",
        "int_parsing": "a whole number",
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "float_parsing": "a number",
        "float_type": "a number",
        "bool_parsing": "true or false",
        "bool_type": "true or false",
    }
    return words.get(kind, message.removeprefix("Input should be "))


def _shown(at: tuple[object, ...]) -> tuple[object, ...]:
    # pydantic adds the branch of a union that it tried.
    return tuple(
        part
        for part in at
        if not (isinstance(part, str) and re.match(r"literal\[|tuple\[|function-", part))
    )


def _found(raw: object, at: tuple[object, ...]) -> str:
    for part in _shown(at):
        try:
            raw = raw[part]  # type: ignore[index]
        except (LookupError, TypeError):
            return "nothing"
    if any(part in SECRET_KEYS for part in at):
        return "something else"
    return repr(raw) if isinstance(raw, str | int | float | bool) else _kind(raw)


def _kind(raw: object) -> str:
    if raw is None or raw == {}:
        return "nothing"
    if isinstance(raw, dict | list):
        return "a list" if isinstance(raw, list) else "keys and values"
    return repr(raw)[:60]


def _keys_at(at: tuple[object, ...]) -> list[str]:
    """The keys that may stand there, but for those that only the environment fills."""
    model: Any = Settings
    for part in at:
        fields = (
            model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else {}
        )
        if part in fields:
            model = _model_in(fields[part].annotation)
    secret = set() if model is Secrets else set(SECRET_KEYS)
    return [name for name in model.model_fields if name not in secret]


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(part) for part in get_args(annotation))
    return next((model for model in inner if model is not None), None)


def _near(word: str, words: list[str]) -> str:
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def _one_of(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"one of {', '.join(names)}"


def _dotted(at: tuple[object, ...]) -> str:
    return ".".join(str(part) for part in at) or "the file"
