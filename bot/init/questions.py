"""The questions of `init`, each with where to find the answer, its default and its check."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, TypeAdapter, ValidationError

from bot.options import own_zone
from config.values import Bucket, ChannelId, ClusterName, SecureUrl, Stack, Text, UserId, WebUrl

Answers = Mapping[str, str]
NONE = "none"


@dataclass(frozen=True)
class InitQuestion:
    """One question. `key` is also the flag: `public_url` is `--public-url`."""

    key: str
    asks: str
    where: str
    type: Any
    default: Callable[[Answers], str] = lambda _: ""
    optional: bool = False
    many: bool = False

    @property
    def flag(self) -> str:
        return f"--{self.key.replace('_', '-')}"

    def check(self, answer: str) -> str:
        """Return the answer as it is stored. ValueError says what is allowed."""
        if answer in ("", NONE):
            if self.optional:
                return ""
            raise ValueError("an answer; this one has no default")
        parts = [answer]
        if self.many:
            parts = re.split(r"[\s,]+", answer.strip(" ,"))
        return ",".join(_valid(self.type, part) for part in parts)


def _valid(kind: Any, answer: str) -> str:
    try:
        return str(TypeAdapter(kind).validate_python(answer))
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        allowed = message.removeprefix("Value error, ").removeprefix("Input should be ")
        raise ValueError(allowed) from None


def _existing_file(path: str) -> str:
    # `~` is kept: the settings expand it.
    if not Path(path).expanduser().is_file():
        raise ValueError("a file that is there")
    return path


File = Annotated[str, AfterValidator(_existing_file)]
Zone = Annotated[str, AfterValidator(own_zone)]


def _name(answers: Answers) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", answers.get("stack", "").lower()).strip("-")[:40]


def _key_file(_answers: Answers) -> str:
    usual = "~/.ssh/openvidu-bot"
    if Path(usual).expanduser().is_file():
        return usual
    return NONE


def system_zone() -> str:
    """Return the name of this machine's time zone."""
    if named := os.environ.get("TZ"):
        return named.lstrip(":")
    link = str(Path("/etc/localtime").resolve())
    return link.partition("/zoneinfo/")[2] or "UTC"


QUESTIONS: tuple[InitQuestion, ...] = (
    InitQuestion(
        "stack",
        "The stack's name",
        "what OpenVidu was deployed as: its masters are the droplets STACK-master-node-1 to 4",
        Stack,
    ),
    InitQuestion(
        "name", "What people call the cluster", "they type it as --cluster NAME", ClusterName, _name
    ),
    InitQuestion("region", "Its region", "as DigitalOcean abbreviates it: ams3", Text),
    InitQuestion(
        "public_url",
        "Its public address",
        "where people open meetings; it must answer before a start-up counts as done",
        WebUrl,
    ),
    InitQuestion(
        "operators",
        "Who may ask for changes and approve those of others (Slack member ids, with commas)",
        "in Slack: profile, then the three dots, then “Copy member ID”; two or more, "
        "as nobody approves their own",
        UserId,
        many=True,
    ),
    InitQuestion(
        "channel",
        "The Slack channel for it",
        "channel details, at the bottom: C0123OPS; `none` for no default channel",
        ChannelId,
        lambda _: NONE,
        optional=True,
    ),
    InitQuestion(
        "timezone",
        "The time zone that its people live in",
        "for windows and times of day",
        Zone,
        lambda _: system_zone(),
    ),
    InitQuestion(
        "key_file",
        "The private SSH key for its nodes",
        "the deployment's own, STACK-ssh-key; `none` for this user's keys and agent",
        File,
        _key_file,
        optional=True,
    ),
    InitQuestion(
        "livekit_url",
        "LiveKit's address, to tell how many people would notice",
        "the public address as a rule; `none`: the bot says “unknown”",
        SecureUrl,
        lambda answers: answers.get("public_url", "").rstrip("/") or NONE,
        optional=True,
    ),
    InitQuestion(
        "bucket",
        "The bucket that holds secrets.env",
        "STACK-space-clusterdata-..., among the Spaces; "
        "`none`: secrets.env cannot be changed from chat",
        Bucket,
        lambda _: NONE,
        optional=True,
    ),
    InitQuestion(
        "me",
        "Your own Slack member id",
        "lets you use `openvidu-bot run` in this shell when Slack is down; `none` to leave it",
        UserId,
        lambda _: NONE,
        optional=True,
    ),
)


@dataclass(frozen=True)
class Standins:
    """Addresses that only differ in a simulated world on this machine."""

    digitalocean_api: str = ""
    slack_api: str = ""
    spaces_endpoint: str = ""
    health_url: str = ""
    ssh_port: int = 22
    health_port: int = 8080
