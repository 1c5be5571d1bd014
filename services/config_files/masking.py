"""Configuration files as they may be shown: values by an allow-list of keys; the rest is kept back.

In a form, what is kept back is `<kept 1>`, `<kept 2>`. `restored` puts it in again, so that a file
can be edited without being seen whole.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from services.common.errors import Refused
from services.config_files import schema
from services.config_files.catalog import LIVEKIT, ConfigFile, Syntax
from services.secrets_env.keys import KEYS

HIDDEN = "(hidden)"
COMMENT = f"# {HIDDEN}"
KEPT = re.compile(r"<kept ([0-9]{1,4})>")
_NAME = r"[A-Za-z_][A-Za-z0-9_-]{0,60}"
_YAML_LINE = re.compile(
    rf"(?P<head>(?P<indent> *)(?P<dash>(?:- +)*)(?:(?P<key>{_NAME}):(?= |$) *)?)(?P<value>.*)"
)
# In capitals, as every key of OpenVidu: the last line of a long value ends with `=` too.
_ENV_LINE = re.compile(r"(?P<head>(?P<key>[A-Z_][A-Z0-9_]{0,60})=)(?P<value>.*)")
# Names alone: what they stand for is in another file. A default value could be a secret.
_REFERENCES = re.compile(
    r"\$\{(?:openvidu|master_node|media_node)\.[A-Z0-9_]+(?::\?[A-Za-z ]{0,40})?\}"
)
_PLAIN = re.compile(r"[\w .,:/\"'\[\]*+@-]{0,200}")
_PROGRAM_WORD = re.compile(r"[a-z][a-z_]{0,39}[0-9]?")
# Parts of URLs that are no secret.
_URL_WORDS_TEXT = """
api app callback callbacks events hook hooks livekit meet notifications notify openvidu
rtmp v1 v2 v3 webhook webhooks whip
"""
_URL_WORDS = frozenset(_URL_WORDS_TEXT.split())
# Keys of the other YAML files whose values are shown, wherever they stand.
_YAML_KEYS_TEXT = """
listen_port http_port https_port grpc_listen_port http_listen_port port prometheus_port
health_port template_port rtmp_port whip_port http_relay_port debug_handler_port level
log_level log_format format enabled disabled json insecure development scrape_interval
scrape_timeout evaluation_interval job_name metrics_path scheme retention_period
retention_enabled max_age interval timeout target_size replication_factor auth_enabled
enable_room_composite enable_web enable_participant room_composite_cpu_cost web_cpu_cost
track_composite_cpu_cost track_cpu_cost participant_cpu_cost rtmp_cpu_cost whip_cpu_cost
max_concurrent_web max_cpu_utilization enable_transcoding processing engine model
load_threshold num_idle_processes
"""
_YAML_KEYS = frozenset(_YAML_KEYS_TEXT.split())
# Keys of the .env files, beside those of secrets.env that are not secret.
_ENV_KEYS_TEXT = """
EXTERNAL_S3_REGION EXTERNAL_S3_PATH_STYLE_ACCESS EXTERNAL_S3_BUCKET_APP_DATA
EXTERNAL_S3_BUCKET_CLUSTER_DATA EXTERNAL_S3_SSE_TYPE MEET_BASE_PATH MEET_INTERNAL_PORT
OPENVIDU_V2COMPAT_INTERNAL_PORT SERVER_PORT SERVER_CORS_ORIGIN SERVER_TRUST_PROXY
MEET_ACCESS_TOKEN_EXPIRATION MEET_REFRESH_TOKEN_EXPIRATION
MEET_ROOM_MEMBER_TOKEN_EXPIRATION MEET_PASSWORD_CHANGE_TOKEN_EXPIRATION
MEET_REFRESH_TOKEN_ROTATION_ENABLED MEET_MODE MEET_BLOB_STORAGE_MODE MEET_S3_BUCKET
MEET_S3_SUBBUCKET MEET_AWS_REGION MEET_S3_WITH_PATH_STYLE_ACCESS MEET_CAPTIONS_ENABLED
MEET_LOG_LEVEL MEET_REDIS_DB V2COMPAT_OPENVIDU_SHIM_PORT V2COMPAT_OPENVIDU_WEBHOOK
V2COMPAT_OPENVIDU_WEBHOOK_EVENTS V2COMPAT_OPENVIDU_PRO_RECORDING_STORAGE
V2COMPAT_OPENVIDU_RECORDING_PATH V2COMPAT_OPENVIDU_RECORDING_ZIP_FILES
V2COMPAT_OPENVIDU_RECORDING_RAW_FILES V2COMPAT_OPENVIDU_PRO_AWS_S3_BUCKET
V2COMPAT_OPENVIDU_PRO_AWS_REGION V2COMPAT_REDIS_DB LOG_LEVEL MODE
"""
_ENV_KEYS = frozenset(_ENV_KEYS_TEXT.split())


@dataclass(frozen=True)
class _Piece:
    """A part of a line: shown as it is, or kept back."""

    text: str = field(repr=False)
    shown: bool
    # What stands for it in a diff.
    instead: str = HIDDEN

    @property
    def tells(self) -> bool:
        """Whether anything of it is shown."""
        return self.shown or self.instead not in (HIDDEN, COMMENT)


@dataclass(frozen=True)
class ShownText:
    """A file as it may be shown, and what is kept back of it."""

    text: str
    kept: tuple[str, ...] = field(repr=False, default=())

    def restored(self, edited: str) -> str:
        """Return an edited text with what is kept back. Refused for an unknown mark."""
        return "".join(text for text, _ in self._parts(edited))

    def surfaced(self, file: ConfigFile, edited: str) -> bool:
        """Return whether an edit would show what is kept back, whole or as a part of a value."""
        parts = [*self._parts(edited)]
        # Of each character whether it is kept back; blanks tell nothing.
        kept = "".join(re.sub(r"\S", "x", t) if k else " " * len(t) for t, k in parts)
        at = 0
        for line in _lines(file, "".join(text for text, _ in parts)):
            for piece in line:
                end = at + len(piece.text)
                # A URL's host is shown: with a part that is kept back, it would be another one.
                as_before = not piece.shown and piece.text in self.kept
                if piece.tells and not as_before and "x" in kept[at:end]:
                    return True
                at = end
            at += 1
        return False

    def _parts(self, edited: str) -> Iterator[tuple[str, bool]]:
        """Yield the parts of an edited text: as typed (False), and as kept back (True)."""
        at = 0
        for mark in KEPT.finditer(edited):
            number = int(mark[1])
            if not 0 < number <= len(self.kept):
                raise Refused(
                    f"{mark[0]} stands for nothing in this text: leave the marks as they are"
                )
            yield edited[at : mark.start()], False
            yield self.kept[number - 1], True
            at = mark.end()
        yield edited[at:], False


def shown_text(file: ConfigFile, text: str) -> ShownText:
    """Return a file for a form: each part that is kept back has a number."""
    kept: list[str] = []
    lines = []
    for pieces in _lines(file, text):
        parts = []
        for piece in pieces:
            if piece.shown:
                parts.append(piece.text)
            else:
                kept.append(piece.text)
                parts.append(f"<kept {len(kept)}>")
        lines.append("".join(parts))
    return ShownText("\n".join(lines), tuple(kept))


def shown_lines(file: ConfigFile, text: str) -> list[str]:
    """Return the lines of a file for a card: what is kept back is named as hidden."""
    return ["".join(p.text if p.shown else p.instead for p in line) for line in _lines(file, text)]


def is_shown(file: ConfigFile, path: str) -> bool:
    """Return whether the value of a key may be shown."""
    if file.syntax is Syntax.ENV:
        known = KEYS.get(path)
        return (known is not None and not known.secret) or path in _ENV_KEYS
    if file.name == LIVEKIT:
        return schema.is_shown(path)
    return path.rpartition(".")[2] in _YAML_KEYS


def shown_url(url: str) -> str:
    """Return a URL without what may be secret: user, query, and unusual parts of its path."""
    plain = _REFERENCES.sub("0", url)
    try:
        parts = urlsplit(plain)
        host = parts.netloc.rpartition("@")[2]
        is_plain = plain == url
    except ValueError:
        return HIDDEN
    if not parts.scheme or not host:
        return HIDDEN
    if not is_plain:
        host = re.sub(r".*?//", "", url, count=1).partition("/")[0].rpartition("@")[2]
    path = "".join(f"/{p if p in _URL_WORDS or not p else '…'}" for p in parts.path.split("/")[1:])
    user = "…@" if "@" in parts.netloc else ""
    return f"{parts.scheme}://{user}{host}{path}{'?…' if parts.query or parts.fragment else ''}"


def is_public_url(url: str) -> bool:
    """Return whether a URL has no part that may be secret."""
    return shown_url(url) == url


def _lines(file: ConfigFile, text: str) -> Iterator[tuple[_Piece, ...]]:
    lines = text.split("\n")
    if file.syntax is Syntax.ENV:
        return (_env_line(file, line) for line in lines)
    return _yaml_lines(file, lines)


def _env_line(file: ConfigFile, line: str) -> tuple[_Piece, ...]:
    if not line.strip():
        return (_Piece(line, shown=True),)
    parts = _ENV_LINE.fullmatch(line)
    if parts is None:
        return (_hidden(line),)
    return (_Piece(parts["head"], shown=True), _value(parts["value"], is_shown(file, parts["key"])))


def _yaml_lines(file: ConfigFile, lines: list[str]) -> Iterator[tuple[_Piece, ...]]:
    """Yield the pieces of each line. What is not one key with one plain value is kept back."""
    path: list[tuple[int, str]] = []
    block: int | None = None  # the indent of the key that a block of text belongs to
    for line in lines:
        indent = len(line) - len(line.lstrip(" "))
        if not line.strip():
            yield (_Piece(line, shown=True),)
            continue
        if block is not None and indent > block:
            yield (_Piece(" " * indent, shown=True), _hidden(line[indent:]))
            continue
        block = None
        parts = _YAML_LINE.fullmatch(line)
        if line.lstrip().startswith("#") or parts is None or KEPT.search(line):
            yield (_Piece(" " * indent, shown=True), _hidden(line[indent:]))
            continue
        column = indent + len(parts["dash"])
        key, value = parts["key"], parts["value"]
        while path and path[-1][0] > (column if key else indent):
            path.pop()
        if key:
            while path and path[-1][0] >= column:
                path.pop()
            path.append((column, key))
        elif not parts["dash"]:
            yield (_Piece(" " * indent, shown=True), _hidden(line[indent:]))
            continue
        where = ".".join(name for _, name in path)
        if value[:1] in ("|", ">"):
            block = indent
        if not _shows_key(file, where):
            # A key itself may be a secret, as LiveKit's API keys are.
            yield (_Piece(" " * indent, shown=True), _hidden(line[indent:]))
            continue
        yield (_Piece(parts["head"], shown=True), *_yaml_value(file, where, value))


def _shows_key(file: ConfigFile, path: str) -> bool:
    """Return whether the name of a key may be shown: a known one, or a word as programs use."""
    if file.name == LIVEKIT:
        return path in schema.TYPES
    return all(_PROGRAM_WORD.fullmatch(name) for name in path.split("."))


def _yaml_value(file: ConfigFile, path: str, value: str) -> Iterator[_Piece]:
    """Yield the pieces of a value: the comment behind it is never shown."""
    comment = re.search(r"\s+#.*$", value)
    behind = ""
    if comment is not None:
        value, behind = value[: comment.start()], value[comment.start() :]
    if file.name == LIVEKIT and schema.is_url(path) and value:
        yield _url(value)
    else:
        yield _value(value, is_shown(file, path))
    if behind:
        yield _hidden(behind)


def _url(value: str) -> _Piece:
    bare = value.strip("\"'")
    if is_public_url(bare):
        return _Piece(value, shown=True)
    return _Piece(value, shown=False, instead=shown_url(bare))


def _value(value: str, allowed: bool) -> _Piece:
    if not value.strip() or _REFERENCES.fullmatch(value.strip().strip("\"'")):
        return _Piece(value, shown=True)
    is_plain = _PLAIN.fullmatch(_REFERENCES.sub("", value)) is not None
    return _Piece(value, shown=allowed and is_plain)


def _hidden(text: str) -> _Piece:
    instead = COMMENT if text.lstrip().startswith("#") else HIDDEN
    return _Piece(text, shown=False, instead=instead)
