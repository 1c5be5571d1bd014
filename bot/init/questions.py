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
UTC_NAMES = ("Etc/UTC", "Etc/UCT", "UCT", "Universal", "Zulu")
REQUIRED = "This value is required."
HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]+)?/?", re.I)
# By the letters that a DigitalOcean region begins with.
ZONES = {
    "ams": "Europe/Amsterdam",
    "atl": "America/New_York",
    "blr": "Asia/Kolkata",
    "fra": "Europe/Berlin",
    "lon": "Europe/London",
    "nyc": "America/New_York",
    "ric": "America/New_York",
    "sfo": "America/Los_Angeles",
    "sgp": "Asia/Singapore",
    "syd": "Australia/Sydney",
    "tor": "America/Toronto",
}


@dataclass(frozen=True)
class InitQuestion:
    """One question. `key` is also the flag: `public_url` is `--public-url`.

    `closed`: an answer that was not found among the offers is confirmed first. `tidy` completes
    what was typed.
    """

    key: str
    asks: str
    where: str
    type: Any
    default: Callable[[Answers], str] = lambda _: ""
    optional: bool = False
    many: bool = False
    closed: bool = False
    tidy: Callable[[str], str] = str.strip

    @property
    def flag(self) -> str:
        return f"--{self.key.replace('_', '-')}"

    def check(self, answer: str) -> str:
        """Return the answer as it is stored. ValueError says what is allowed."""
        if answer in ("", NONE):
            if self.optional:
                return ""
            raise ValueError(REQUIRED)
        parts = [self.tidy(answer)]
        if self.many:
            parts = re.split(r"[\s,]+", answer.strip(" ,"))
        return ",".join(dict.fromkeys(self._valid(part) for part in parts))

    def _valid(self, part: str) -> str:
        try:
            return str(TypeAdapter(self.type).validate_python(part))
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            allowed = message.removeprefix("Value error, ").removeprefix("Input should be ")
            raise ValueError(f"{part} is not valid. Allowed: {allowed}.") from None


def _address(typed: str) -> str:
    """Complete a bare host name: `meet.example.com` is `https://meet.example.com/`."""
    if HOST.fullmatch(typed.strip()):
        return f"https://{typed.strip().rstrip('/')}/"
    return typed.strip()


def _livekit_address(typed: str) -> str:
    return _address(typed).rstrip("/")


def _existing_file(path: str) -> str:
    # `~` is kept: the settings expand it.
    if not Path(path).expanduser().is_file():
        raise ValueError("a file that exists")
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


def zone_of(region: str) -> str:
    """Return the time zone of a DigitalOcean region; "" for an unknown one."""
    return ZONES.get(region[:3], "")


def system_zone() -> str:
    """Return the name of this machine's time zone."""
    if named := os.environ.get("TZ"):
        return named.lstrip(":")
    link = str(Path("/etc/localtime").resolve())
    name = link.partition("/zoneinfo/")[2] or "UTC"
    if name in UTC_NAMES:
        return "UTC"
    return name


QUESTIONS: tuple[InitQuestion, ...] = (
    InitQuestion(
        "stack",
        "Stack name",
        "What OpenVidu was deployed as: droplets STACK-master-node-1 to 4 (High Availability), "
        "STACK-master-node (Elastic), or STACK-vm-ce-pro or STACK-vm-ce (Single Node)",
        Stack,
        closed=True,
    ),
    InitQuestion(
        "name",
        "Name of the cluster",
        "For commands: --cluster NAME",
        ClusterName,
        _name,
    ),
    InitQuestion("region", "Region", "At DigitalOcean, such as ams3", Text, closed=True),
    InitQuestion(
        "public_url",
        "Public address",
        "Where people open meetings, such as https://meet.example.com/",
        WebUrl,
        tidy=_address,
    ),
    InitQuestion(
        "operators",
        "Operators",
        "They request changes, and approve those of others: two people or more. "
        "Slack member ids (profile, ⋮, Copy member ID)",
        UserId,
        many=True,
        closed=True,
    ),
    InitQuestion(
        "channel",
        "Slack channel",
        "The bot posts there; with none, it refuses changes. "
        "Channel id such as C0123OPS (channel details, at the bottom), or none",
        ChannelId,
        lambda _: NONE,
        optional=True,
        closed=True,
    ),
    InitQuestion(
        "timezone",
        "Time zone",
        "For off-hours windows and times of day",
        Zone,
        lambda _: system_zone(),
    ),
    InitQuestion(
        "key_file",
        "Private SSH key of the nodes",
        "The file with the deployment's STACK-ssh-key; none: this user's keys and agent",
        File,
        _key_file,
        optional=True,
    ),
    InitQuestion(
        "livekit_url",
        "LiveKit address",
        "To count running meetings; usually the public address. none: meetings are unknown",
        SecureUrl,
        lambda answers: answers.get("public_url", "").rstrip("/") or NONE,
        optional=True,
        tidy=_livekit_address,
    ),
    InitQuestion(
        "bucket",
        "Bucket with secrets.env",
        "STACK-space-clusterdata-... in Spaces, STACK-space-... of Elastic and Single Node; "
        "none: secrets.env cannot be changed from Slack",
        Bucket,
        lambda _: NONE,
        optional=True,
        closed=True,
    ),
    InitQuestion(
        "me",
        "Your Slack member id",
        "For commands in this terminal, such as openvidu-bot run shutdown; none: read only",
        UserId,
        lambda _: NONE,
        optional=True,
        closed=True,
    ),
)


# The variable in which a simulated world names the addresses below, as JSON.
STANDINS = "OPENVIDU_BOT_STANDINS"


@dataclass(frozen=True)
class Standins:
    """Addresses that only differ in a simulated world on this machine."""

    digitalocean_api: str = ""
    slack_api: str = ""
    spaces_endpoint: str = ""
    health_url: str = ""
    ssh_port: int = 22
    health_port: int = 8080
