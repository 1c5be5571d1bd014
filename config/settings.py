"""Reads the settings: one file without secrets, and secrets from the environment or its files."""

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from config.pem import PEM, wrong_with_pem
from config.values import Secrets, Settings
from config.yaml_file import NotYaml, WordAt, read_yaml

__all__ = ["NO_SETTINGS", "Settings", "SettingsError", "check_secrets", "load"]

NO_SETTINGS = "No settings file. Use --config FILE or set OPENVIDU_BOT_CONFIG."

# Sets `mode` over the file: to observe or operate without editing it.
MODE_VARIABLE = "OPENVIDU_BOT_MODE"

Raw = dict[Any, Any]

# The variable of each secret; NAME_FILE names a file that holds it.
SLACK_SECRETS = {
    "bot_token": "SLACK_BOT_TOKEN",
    "app_token": "SLACK_APP_TOKEN",
    "signing_secret": "SLACK_SIGNING_SECRET",
}
SLACK_PLACES = {
    "bot_token": "in the Slack app's settings, Install App (begins with xoxb-)",
    "app_token": "in the Slack app's settings, Basic Information (begins with xapp-)",
    "signing_secret": "in the Slack app's settings, Basic Information",
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
    r"xox[a-z]-|xapp-|xwfp-|do[po]_v1_[0-9a-f]|gh[pousr]_|github_pat_|"
    r"-----BEGIN|^rediss?(\+sentinel)?://[^/]*@"
)
# Chosen by people, so they may contain any printable character.
PASSWORDS = {"REDIS_URL", "REDIS_SENTINEL_PASSWORD"}
INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}
ENV_NAME = re.compile(r"[A-Z][A-Z0-9_]*")

# Relative paths of files are resolved beside the settings file.
PATHS = (
    ("digitalocean", "ca_file"),
    ("state", "path"),
    ("state", "redis_ca_file"),
    ("terminal", "socket"),
)
CLUSTER_PATHS = (("ssh", "key_file"), ("ssh", "known_hosts"), ("terraform", "file"))
CALENDARS = ("holidays", "freezes", "meetings")


class SettingsError(Exception):
    """The settings are wrong. Each problem: the key, what was found, what is allowed."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


Check = Callable[[str], str]


def load(
    path: Path | None,
    env: Mapping[str, str],
    zones: Check | None = None,
    hours: Check | None = None,
) -> Settings:
    """Read the settings from `path` or the file of OPENVIDU_BOT_CONFIG, with the secrets of `env`.

    `zones` checks time zones: it returns the canonical name or raises ValueError with what is
    allowed. `hours` checks the hours of approvals in the same way. Windows use the same checks, so
    that both accept the same text; without a check any text is accepted.
    """
    if path is None:
        path = _configured_file(env)
    raw, word_at = _read(path)
    problems = list(_secrets_in(raw))
    if problems:
        raise SettingsError(problems)
    problems += _fill_in(raw, path.parent, env)
    try:
        settings = Settings.model_validate(raw, context={"zones": zones, "hours": hours})
    except ValidationError as error:
        problems += [_explain(one, raw, word_at) for one in error.errors()]
        # A value of a union type is reported once for each of its types.
        raise SettingsError(list(dict.fromkeys(problems))) from None
    problems += [*_inconsistencies(settings), *_certificates(settings, env)]
    if problems:
        raise SettingsError(problems)
    return settings


def check_secrets(settings: Settings, *, slack: bool = True) -> None:
    """Raise SettingsError if secrets that the settings call for are missing.

    `slack` False: Slack's tokens are not needed.
    """
    problems = list(_missing(settings, slack=slack))
    if problems:
        raise SettingsError(problems)


def secret_variable(env: Mapping[str, str], name: str) -> str | None:
    """Return a secret of NAME or of the file of NAME_FILE; None if neither is set.

    SettingsError if it cannot be read, or is implausible.
    """
    reader = _VariableReader(env)
    value = reader.get(name)
    if reader.problems:
        raise SettingsError(reader.problems)
    return value


# Reading the file


def _configured_file(env: Mapping[str, str]) -> Path:
    name = env.get("OPENVIDU_BOT_CONFIG")
    if not name:
        raise SettingsError([NO_SETTINGS])
    return Path(name)


def _read(path: Path) -> tuple[Raw, WordAt]:
    try:
        raw, word_at = read_yaml(path)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        problem = f"{path}: {reason}; allowed: a file that can be read"
    except NotYaml as error:
        where = str(path)
        if error.line:
            where += f":{error.line}"
        problem = f"{where}: {error}; allowed: YAML as in config/example.yaml"
    else:
        if isinstance(raw, dict):
            return raw, word_at
        keys = ", ".join(Settings.model_fields)
        problem = f"{path}: found {_kind(raw)}; allowed: YAML with the keys {keys}"
    raise SettingsError([problem])


def _secrets_in(raw: object, at: tuple[object, ...] = ()) -> Iterator[str]:
    """Yield a problem for each secret in the file, without its value."""
    if isinstance(raw, list):
        for index, value in enumerate(raw):
            yield from _secrets_in(value, (*at, index))
    elif isinstance(raw, dict):
        for key, value in raw.items():
            # The `secrets` of a cluster hold names of variables, which are checked later.
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
    allowed = variable
    if variable.isupper():
        allowed = f"{variable} or {variable}_FILE in the environment"
    problem = "found a secret in the file (replace it: others may have read it)"
    return f"{_dotted(at)}: {problem}; allowed: {allowed}"


# Adding what comes from the environment


def _fill_in(raw: Raw, beside: Path, env: Mapping[str, str]) -> list[str]:
    reader = _VariableReader(env)
    slack = raw.setdefault("slack", {})
    if isinstance(slack, dict):
        slack |= reader.get_all(SLACK_SECRETS)
    state = raw.setdefault("state", {})
    if isinstance(state, dict):
        state.setdefault("path", str(_state_path(env)))
        state |= reader.get_all(STATE_SECRETS)
    oncall = raw.get("oncall")
    if isinstance(oncall, dict):
        oncall |= reader.get_all(ONCALL_SECRETS)
    if mode := env.get(MODE_VARIABLE, "").strip():
        raw["mode"] = mode
    _beside(raw, PATHS, beside, env)
    clusters = raw.get("clusters")
    if not isinstance(clusters, dict):
        return reader.problems
    for name, cluster in clusters.items():
        if isinstance(cluster, dict):
            _beside(cluster, CLUSTER_PATHS, beside, env)
            _beside(clusters, tuple((name, key) for key in (*CALENDARS, "ca_file")), beside, env)
            cluster["secrets"] = _cluster_secrets(
                f"clusters.{name}.secrets", cluster.get("secrets", {}), reader
            )
    return reader.problems


class _VariableReader:
    """Reads variables, each also as NAME_FILE; collects the problems."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.problems: list[str] = []

    def get_all(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the values of those variables that are set, by the key of the settings."""
        values = {key: self.get(variable) for key, variable in variables.items()}
        return {key: value for key, value in values.items() if value}

    def get(self, name: str) -> str | None:
        """Return the value, or None if it is not set or not usable."""
        file = self.env.get(f"{name}_FILE")
        if not file:
            return self._usable(name, self.env.get(name, ""))
        if self.env.get(name):
            self._report(f"{name}: found {name} and {name}_FILE; allowed: one of them")
            return None
        try:
            text = Path(file).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            self._report(
                f"{name}_FILE: found {file}, which cannot be read; "
                "allowed: a file that holds the secret"
            )
            return None
        return self._usable(f"{name}_FILE", text)

    def _usable(self, name: str, text: str) -> str | None:
        """Return the value stripped of white space; None, with a problem, if implausible."""
        value = text.strip()
        if not value:
            return None
        is_password = name.removesuffix("_FILE") in PASSWORDS
        if flaw := _flaw_of(value, is_password=is_password):
            self._report(f"{name}: found {flaw}; allowed: the value alone")
            return None
        return value

    def _report(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def _flaw_of(value: str, *, is_password: bool) -> str:
    """Return what makes a secret implausible, without naming the value; "" if nothing does."""
    if any(unicodedata.category(c) in INVISIBLE for c in value):
        return "a control character, a line end or a character that cannot be seen"
    if is_password:
        return ""
    if any(c.isspace() for c in value):
        return "a blank"
    if value[0] == value[-1] and value[0] in "\"'`":
        return "quotation marks around it"
    if not value.isascii():
        return "a character that is not ASCII"
    return ""


def _cluster_secrets(at: str, names: object, reader: _VariableReader) -> object:
    if not isinstance(names, dict):
        return names  # the model reports what is wrong with it
    values: Raw = {}
    for key, default in CLUSTER_SECRETS.items():
        name = names.get(key, default)
        if not isinstance(name, str) or not ENV_NAME.fullmatch(name):
            # Not shown: it may be the secret itself.
            reader.problems.append(
                f"{at}.{key}: found something that is not a variable's name; "
                f"allowed: a name such as ACME_{default}"
            )
        elif value := reader.get(name):
            values[key] = value
        elif key in names:
            reader.problems.append(
                f"{at}.{key}: found {name}, which is not set; "
                f"allowed: a variable in the environment, or {name}_FILE"
            )
    return values | {key: value for key, value in names.items() if key not in CLUSTER_SECRETS}


def _state_path(env: Mapping[str, str]) -> Path:
    home = Path(env.get("HOME") or ".")
    base = Path(env.get("XDG_STATE_HOME") or home / ".local" / "state")
    return base / "openvidu-bot" / "state.sqlite3"


def _beside(
    raw: Raw, paths: tuple[tuple[str, str], ...], folder: Path, env: Mapping[str, str]
) -> None:
    for section, key in paths:
        values = raw.get(section)
        if isinstance(values, dict) and isinstance(text := values.get(key), str):
            home = env.get("HOME")
            if home and text.startswith("~/"):
                values[key] = str(Path(home, text[2:]))
            else:
                values[key] = str(folder / text)


# Checks across several values


def _inconsistencies(settings: Settings) -> Iterator[str]:
    names = list(settings.clusters)
    for channel, name in settings.channels.items():
        if name not in settings.clusters:
            allowed = f"{_one_of(names)}{_hint(name, names)}"
            yield f"channels.{channel}: found {name!r}; allowed: {allowed}"
    stacks: dict[str, str] = {}
    for name, cluster in settings.clusters.items():
        if (other := stacks.setdefault(cluster.stack, name)) != name:
            yield (
                f"clusters.{name}.stack: found {cluster.stack!r}, which is {other}'s; "
                "allowed: one cluster for each stack"
            )
        if cluster.meeting_messages is not None and cluster.livekit_url is None:
            yield f"clusters.{name}.livekit_url: not set; required for meeting_messages"
        for key in ("key_file", "known_hosts"):
            file = getattr(cluster.ssh, key)
            if file is not None and not file.is_file():
                yield (
                    f"clusters.{name}.ssh.{key}: found {file}, which is not a file; "
                    "allowed: a file that can be read"
                )


def _certificates(settings: Settings, env: Mapping[str, str]) -> Iterator[str]:
    """Yield the problems of files of certificates.

    Also of the one that OpenSSL's variable names: OpenSSL ignores it silently if it is unreadable.
    """
    files = {
        "digitalocean.ca_file": settings.digitalocean.ca_file,
        "state.redis_ca_file": settings.state.redis_ca_file,
    }
    files |= {
        f"clusters.{name}.ca_file": cluster.ca_file for name, cluster in settings.clusters.items()
    }
    if openssl_file := env.get("SSL_CERT_FILE"):
        files["SSL_CERT_FILE"] = Path(openssl_file)
    for at, file in files.items():
        if file is not None and (wrong := wrong_with_pem(file)):
            yield f"{at}: found {file}, {wrong}; allowed: {PEM}"


def _missing(settings: Settings, *, slack: bool) -> Iterator[str]:
    if slack:
        yield from _missing_slack(settings)
        yield from _swapped(settings)
    if settings.oncall is not None and settings.oncall.oncall_secret is None:
        secrets = {
            "pagerduty": "the integration's routing key",
            "opsgenie": "the integration's API key",
        }
        secret = secrets.get(settings.oncall.kind, "the secret that events are signed with")
        yield f"ONCALL_SECRET: not set; required: {secret}"
    for name, cluster in settings.clusters.items():
        wanted = ["digitalocean_token"]
        if cluster.spaces:
            wanted += ["spaces_access_key_id", "spaces_secret_access_key"]
        if cluster.livekit_url:
            wanted += ["livekit_api_key", "livekit_api_secret"]
        if cluster.terraform and cluster.terraform.repository:
            wanted.append("github_token")
        for key in wanted:
            if getattr(cluster.secrets, key) is None:
                variable = CLUSTER_SECRETS[key]
                other = f"another variable: clusters.{name}.secrets.{key}"
                yield f"{variable}: not set; required for cluster {name} (or {other})"


def _missing_slack(settings: Settings) -> Iterator[str]:
    needed = ["bot_token", "signing_secret"]
    if settings.slack.mode == "socket":
        needed = ["bot_token", "app_token"]
    for key in needed:
        if getattr(settings.slack, key) is None:
            yield (f"{SLACK_SECRETS[key]}: not set; required: {SLACK_PLACES[key]}")


def _swapped(settings: Settings) -> Iterator[str]:
    for key, prefix in (("bot_token", "xoxb-"), ("app_token", "xapp-")):
        token = getattr(settings.slack, key)
        if token is not None and not token.get_secret_value().startswith(prefix):
            yield (
                f"{SLACK_SECRETS[key]}: found another kind of token; "
                f"allowed: one that begins with {prefix}"
            )


# Explaining what is wrong


def _explain(error: Any, raw: Raw, word_at: WordAt) -> str:
    at = tuple(part for part in error["loc"] if part != "[key]")
    kind = error["type"]
    if kind == "extra_forbidden":
        keys = _keys_at(at[:-1])
        allowed = f"{', '.join(keys)}{_hint(str(at[-1]), keys)}"
        return f"{_dotted(at)}: found an unknown key; allowed: {allowed}"
    if kind == "missing":
        return f"{_dotted(at)}: not set; this value is required"
    message = error["msg"].removeprefix("Value error, ")
    if message.startswith("found "):
        return f"{_dotted(at)}: {message}"
    found = _found(raw, at)
    if "[key]" in error["loc"]:
        found = repr(at[-1])
    if found in ("True", "False"):
        return _explain_yes_or_no(error, at, found == "True", word_at(_shown(at)))
    allowed = _allowed(kind, at, message)
    if kind == "literal_error":
        allowed += _hint(found.strip("'"), re.findall(r"'([^']+)'", message))
    return f"{_dotted(_shown(at))}: found {found}; allowed: {allowed}"


def _explain_yes_or_no(error: Any, at: tuple[object, ...], found: bool, written: str) -> str:
    """Explain `no`, `on` and the like: YAML reads them, and the country NO, as true or false."""
    value = str(found).lower()
    shown = value
    if written.lower() not in ("", value):
        shown = f"{written}, which YAML reads as {value}"
    kind, message = error["type"], error["msg"].removeprefix("Value error, ")
    allowed = _allowed(kind, at, message)
    if kind == "string_type" and shown != value:
        allowed += f', in quotes: "{written}"'
    return f"{_dotted(_shown(at))}: found {shown}; allowed: {allowed}"


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
    # pydantic adds the branch of a union that it tried, which is no key.
    return tuple(
        part
        for part in at
        if not (isinstance(part, str) and re.match(r"literal\[|tuple\[|function-", part))
    )


def _found(raw: object, at: tuple[object, ...]) -> str:
    value: Any = raw
    for part in _shown(at):
        try:
            value = value[part]
        except (LookupError, TypeError):
            return "nothing"
    if any(part in SECRET_KEYS for part in at):
        return "something else"
    if isinstance(value, str | int | float | bool):
        return repr(value)
    return _kind(value)


def _kind(raw: object) -> str:
    if raw is None or raw == {}:
        return "nothing"
    if isinstance(raw, list):
        return "a list"
    if isinstance(raw, dict):
        return "keys and values"
    return repr(raw)[:60]


def _keys_at(at: tuple[object, ...]) -> list[str]:
    """Return the keys that are allowed at a path, without those that the environment sets."""
    model: Any = Settings
    for part in at:
        if _is_model(model) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation)
    if model is Secrets:
        return list(model.model_fields)
    return [name for name in model.model_fields if name not in SECRET_KEYS]


def _model_in(annotation: Any) -> Any:
    if _is_model(annotation):
        return annotation
    inner = (_model_in(part) for part in get_args(annotation))
    return next((model for model in inner if model is not None), None)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _hint(word: str, words: list[str]) -> str:
    """Return ` (did you mean X?)` if one of the words is similar."""
    similar = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if not similar:
        return ""
    return f" (did you mean {similar[0]}?)"


def _one_of(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    return f"one of {', '.join(names)}"


def _dotted(at: tuple[object, ...]) -> str:
    return ".".join(str(part) for part in at) or "the file"
