"""The settings as frozen values, with defaults and limits. settings.py reads them."""

import re
from datetime import date
from ipaddress import ip_address
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal
from urllib.parse import urljoin, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    model_validator,
)


def is_loopback(host: str | None) -> bool:
    """Return whether a host is this machine."""
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def _secure(url: str) -> str:
    """Check an address to which credentials are sent."""
    parts = urlsplit(url)
    if parts.scheme in {"https", "wss"} and parts.hostname and not parts.username:
        return url.rstrip("/")
    # Plain http only on this machine: elsewhere a token would cross the network unencrypted.
    if parts.scheme in {"http", "ws"} and is_loopback(parts.hostname):
        return url.rstrip("/")
    raise ValueError(
        "an https:// address (http:// only for this machine: localhost or 127.0.0.0/8), "
        "without a user in it"
    )


def _web(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme in {"http", "https"} and parts.hostname and not parts.username:
        return url
    raise ValueError("an http:// or https:// address, without a user in it")


def _pattern(url: str) -> str:
    names = {name for _, name, _, _ in Formatter().parse(url) if name is not None}
    if not names or not names <= {"address", "private_address"}:
        raise ValueError(
            "an http:// or https:// address with {address} or {private_address} "
            "where the master's own goes"
        )
    return _web(url)


def _zone(name: str, info: ValidationInfo) -> str:
    """Check a zone with the function that windows use too, if `load` was given one."""
    return _checked("zones", name, info)


def _hours(text: str, info: ValidationInfo) -> str:
    """Check hours with the function that windows use too, if `load` was given one."""
    return _checked("hours", text, info)


def _checked(kind: str, text: str, info: ValidationInfo) -> str:
    check = (info.context or {}).get(kind)
    if check is None:
        return text
    return str(check(text))


def _no_bool(what: str) -> BeforeValidator:
    """Refuse `true` and `false`, which Python treats as 1 and 0."""

    def check(value: object) -> object:
        if value is True or value is False:
            raise ValueError(what)
        return value

    return BeforeValidator(check)


def _matching(pattern: str, what: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(what)
        return text

    return AfterValidator(check)


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
SecureUrl = Annotated[str, AfterValidator(_secure)]
WebUrl = Annotated[str, AfterValidator(_web)]
UrlPattern = Annotated[str, AfterValidator(_pattern)]
TimeZone = Annotated[str, AfterValidator(_zone)]
Hours = Annotated[Text, AfterValidator(_hours)]
UserId = Annotated[
    str, _matching(r"[UW][A-Z0-9]{2,}", "a Slack member id such as U012AB3CD (not a name)")
]
MEMBER_OR_GROUP = (
    "the id of a Slack member or user group, such as U012AB3CD or S012AB3CD (not a name)"
)
RoleId = Annotated[str, _matching(r"[UWS][A-Z0-9]{2,}", MEMBER_OR_GROUP)]
WAKER = (
    "the id of a Slack member, user group or channel, such as U012AB3CD or C012AB3CD (not a name)"
)
WakerId = Annotated[str, _matching(r"[UWSCG][A-Z0-9]{2,}", WAKER)]
GroupId = Annotated[
    str, _matching(r"S[A-Z0-9]{2,}", "the id of a Slack user group such as S012AB3CD (not a name)")
]
ChannelId = Annotated[
    str, _matching(r"[CG][A-Z0-9]{2,}", "a Slack channel id such as C012AB3CD (not a name)")
]
TeamId = Annotated[str, _matching(r"[TE][A-Z0-9]{2,}", "a Slack workspace id such as T012AB3CD")]
ClusterName = Annotated[
    str, _matching(r"[a-z0-9][a-z0-9-]{0,39}", "lower-case letters, digits and hyphens")
]
Label = Annotated[
    str,
    _matching(r"[a-z0-9][a-z0-9-]{0,39}", "labels of lower-case letters, digits and hyphens"),
]
Stack = Annotated[
    str,
    _matching(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}", "the stack name that OpenVidu was deployed with"),
]
Bucket = Annotated[
    str, _matching(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "the bucket's name, without an address")
]
Command = Annotated[
    str, _matching(r"/[a-z0-9_-]{1,31}", "a slash and lower-case letters, such as /openvidu")
]
Repository = Annotated[
    str,
    _matching(
        r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+", "owner/name, as in a repository's address"
    ),
]
Branch = Annotated[
    str,
    _matching(
        r"(?!openvidu-bot/)[A-Za-z0-9][A-Za-z0-9._/-]{0,199}",
        "the branch that is applied, and none of the bot's own (openvidu-bot/...)",
    ),
]
SPACES = ".digitaloceanspaces.com"
Whole = Annotated[int, _no_bool("a whole number")]
Number = Annotated[float, _no_bool("a number")]
Port = Annotated[Whole, Field(ge=1, le=65535)]
Seconds = Annotated[Number, Field(gt=0, le=86400)]
Objective = Annotated[Number, Field(gt=0, lt=1)]
Share = Annotated[Number, Field(ge=0.05, le=1)]
FactSeconds = Annotated[Whole, Field(ge=0, le=86400)]


class Value(BaseModel):
    """A frozen value that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class SlackSettings(Value):
    """The Slack workspace. Tokens come from the environment."""

    api_url: SecureUrl = "https://slack.com/api"
    mode: Literal["socket", "http"] = "socket"
    command: Command = "/openvidu"
    teams: tuple[TeamId, ...] = ()
    bot_token: SecretStr | None = None
    app_token: SecretStr | None = None
    signing_secret: SecretStr | None = None


class StateSettings(Value):
    """The state store: Redis if REDIS_URL is set, else one file."""

    path: Path
    redis_url: SecretStr | None = None
    redis_ca_file: Path | None = None
    redis_sentinel_password: SecretStr | None = None
    replicas: Annotated[Whole, Field(ge=0, le=10)] | None = None
    require_durable: bool = False
    prefix: Annotated[
        str, _matching(r"[a-z0-9][a-z0-9-]{0,39}", "lower-case letters, digits and hyphens")
    ] = "openvidu-bot"
    keep_days: Annotated[float, Field(ge=1, le=3660)] = 180
    keep_audit_days: Annotated[float, Field(ge=1, le=36600)] = 1095


class DigitalOceanSettings(Value):
    """DigitalOcean's API."""

    api_url: SecureUrl = "https://api.digitalocean.com"
    request_share: Share = 0.8
    ca_file: Path | None = None


class SshSettings(Value):
    """SSH to the nodes."""

    user: Text = "root"
    port: Port = 22
    key_file: Path | None = None
    known_hosts: Path | None = None
    use_private_address: bool = False


class SpacesSettings(Value):
    """The bucket that holds secrets.env."""

    endpoint: SecureUrl
    bucket: Bucket
    region: Text = "us-east-1"

    @model_validator(mode="after")
    def _bucket_is_not_in_the_endpoint(self) -> "SpacesSettings":
        """Refuse the bucket's own address, which DigitalOcean's pages show, as endpoint."""
        parts = urlsplit(self.endpoint)
        host, path = parts.hostname or "", parts.path.strip("/").split("/")
        at_spaces = host.endswith(SPACES)
        in_host = host.startswith(f"{self.bucket}.")
        if at_spaces:
            in_host = host.count(".") > SPACES.count(".")
        if in_host or self.bucket in path or (at_spaces and any(path)):
            example = "https://s3.example.com"
            if at_spaces:
                match = re.search(rf"([a-z]+[0-9])(\.cdn)?{re.escape(SPACES)}$", host)
                region = match[1] if match else "REGION"
                example = f"https://{region}{SPACES}"
            raise ValueError(
                f"found {self.endpoint} as endpoint; "
                f"allowed: the region's address without the bucket, such as {example}"
            )
        return self


class Roles(Value):
    """Who may do what, by member or user group. Without operators no one may change anything."""

    operators: tuple[RoleId, ...] = ()
    approvers: tuple[RoleId, ...] | None = None
    viewers: Literal["everyone"] | tuple[RoleId, ...] = "everyone"
    power: tuple[RoleId, ...] | None = None
    capacity: tuple[RoleId, ...] | None = None
    configuration: tuple[RoleId, ...] | None = None
    secrets: tuple[RoleId, ...] | None = None
    windows: tuple[RoleId, ...] | None = None
    break_glass: tuple[RoleId, ...] = ()
    wakers: tuple[WakerId, ...] = ()

    @property
    def classes(self) -> dict[str, tuple[RoleId, ...]]:
        """Return who may use each class of commands that is not open to all operators."""
        classes = {name: getattr(self, name) for name in CLASSES}
        return {name: people for name, people in classes.items() if people is not None}

    @property
    def changers(self) -> tuple[RoleId, ...]:
        """Return everyone who may change something, each once."""
        in_classes = (who for people in self.classes.values() for who in people)
        return tuple(dict.fromkeys((*self.operators, *in_classes)))


# Named as in services.common.command.
CLASSES = ("power", "capacity", "configuration", "secrets", "windows")
# Named as in services.access.policy.
ImpactName = Literal[
    "meetings_cut",
    "meetings_blocked",
    "masters_stopped",
    "secrets_edited",
    "windows_added",
    "media_added",
    "irreversible",
]
ReasonFor = Literal["approve", "cancel", "abandon", "take_over"]
Approvals = Annotated[Whole, Field(ge=1, le=10)]


class PolicySettings(Value):
    """What needs approval, by whom, and how long requests stay open."""

    single_operator: bool = False
    approvals: Approvals = 1
    approvals_for: dict[ImpactName, Approvals] = Field(default_factory=dict)
    approvals_from: Annotated[tuple[GroupId, ...], Field(max_length=5)] = ()
    zero_refused: Literal["ask", "keep_one"] = "ask"
    scale_up_without_approval_to: Annotated[Whole, Field(ge=0, le=1000)] | None = None
    approvals_when: tuple[Hours, ...] = ()
    approval_minutes: Annotated[Number, Field(gt=0, le=1440)] = 30
    confirm_windows_days: Annotated[Whole, Field(ge=1, le=3650)] = 365
    growth: Annotated[Number, Field(ge=0, le=10)] = 0.5
    reasons_for: tuple[ReasonFor, ...] = ()
    keep_backups: Annotated[Whole, Field(ge=1, le=100)] = 3
    backup_alarm_days: Annotated[Whole, Field(ge=0, le=365)] = 8


class WakeSettings(Value):
    """Limits for starting a cluster that a window closed, for members of `roles.wakers`.

    `per_person` and `per_cluster` count the last seven days.
    """

    hours: Annotated[Number, Field(gt=0, le=24)] = 2
    per_person: Annotated[Whole, Field(ge=0, le=100)] = 2
    per_cluster: Annotated[Whole, Field(ge=0, le=100)] = 5


class ObjectiveSettings(Value):
    """Service level objectives of a cluster: which share of each kind is to be good.

    `answer_minutes`: an answer within them is in time.
    """

    ready: Objective = 0.99
    unattended: Objective = 0.95
    service: Objective = 0.999
    answers: Objective = 0.95
    answer_minutes: Annotated[Number, Field(gt=0, le=1440)] = 15


class AutoscalerSettings(Value):
    """Terraform's settings of the function that scales media nodes, which no API returns."""

    minimum: Annotated[Whole, Field(ge=0, le=1000)] | None = None


class DrainSettings(Value):
    """How media nodes are drained."""

    method: Literal["signal", "script"] = "signal"
    deadline_minutes: Annotated[Number, Field(gt=0, le=2880)] = 120
    reminder_minutes: Annotated[Number, Field(gt=0, le=1440)] = 60
    min_serving: Annotated[Whole, Field(ge=1, le=1000)] = 1


Texts = dict[Annotated[str, _matching(r"[a-z]{2,3}(-[A-Z]{2})?", "a language such as en")], Text]
# What people in meetings read, by occasion and language.
MEETING_TEXTS: dict[str, dict[str, str]] = {
    "closing": {
        "en": "This server closes for new meetings at {time}. Yours may continue.",
        "es": "Este servidor no admite reuniones nuevas desde las {time}. La suya puede continuar.",
        "de": "Dieser Server nimmt ab {time} keine neuen Besprechungen an. Ihre kann weitergehen.",
        "fr": "Ce serveur n'accepte plus de réunions à {time}. La vôtre peut continuer.",
    },
    "drain": {
        "en": "This server takes no new meetings from now on. Yours may continue.",
        "es": "Este servidor ya no admite reuniones nuevas. La suya puede continuar.",
        "de": "Dieser Server nimmt ab jetzt keine neuen Besprechungen an. Ihre kann weitergehen.",
        "fr": "Ce serveur n'accepte plus de nouvelles réunions. La vôtre peut continuer.",
    },
    "deadline": {
        "en": "This server waits for your meeting. End it by {time} if you can.",
        "es": "Este servidor espera a su reunión. Termine antes de las {time} si puede.",
        "de": "Dieser Server wartet auf Ihre Besprechung. Bitte enden Sie möglichst bis {time}.",
        "fr": "Ce serveur attend la fin de votre réunion. Terminez avant {time} si possible.",
    },
}
OccasionName = Literal["closing", "drain", "deadline"]


class MeetingMessagesSettings(Value):
    """Messages to people in meetings that an operation concerns. `texts` replace the built-in ones.

    A message has a line for each of `languages`. Named as in services.cluster.meeting_messages.
    """

    occasions: Annotated[tuple[OccasionName, ...], Field(min_length=1)] = (
        "closing",
        "drain",
        "deadline",
    )
    languages: Annotated[tuple[Text, ...], Field(min_length=1, max_length=10)] = ("en",)
    texts: dict[OccasionName, Texts] = Field(default_factory=dict)
    topic: Annotated[str, _matching(r"[\w.:/-]{1,100}", "a topic such as chat")] = "chat"
    payload: Annotated[str, Field(max_length=1000)] = '{"message": "{text}"}'
    deadline_minutes: Annotated[Number, Field(gt=0, le=1440)] = 10

    def text(self, occasion: OccasionName) -> str:
        """Return the text of an occasion, one line for each language."""
        texts = MEETING_TEXTS[occasion] | dict(self.texts.get(occasion, {}))
        return "\n".join(texts.get(language, "") for language in self.languages)

    @model_validator(mode="after")
    def _every_text_is_there(self) -> "MeetingMessagesSettings":
        if self.payload.count("{text}") != 1:
            raise ValueError("payload: allowed: a text with {text} once, where the message goes")
        for occasion in self.occasions:
            for language in self.languages:
                texts = MEETING_TEXTS[occasion] | dict(self.texts.get(occasion, {}))
                if language not in texts:
                    raise ValueError(f"texts.{occasion}.{language}: not set; required: a text")
                _only_known_placeholders(texts[language])
        return self


def _only_known_placeholders(text: str) -> None:
    names = set(re.findall(r"\{(\w*)\}", text))
    if not names <= {"time", "cluster"} or len(text) > 500:
        raise ValueError(
            f"found {text[:60]}; allowed: up to 500 characters, with the placeholders "
            "{time} and {cluster}"
        )


class TimingSettings(Value):
    """Seconds until the bot retries, asks, or times out. Named as in services.cluster.model."""

    look: Seconds = 5
    second_look: Seconds = 10
    shutdown_nudge: Seconds = 120
    power_off_deadline: Seconds = 420
    power_on_deadline: Seconds = 300
    masters_nudge: Seconds = 600
    masters_deadline: Seconds = 1200
    front_deadline: Seconds = 300
    pool_deadline: Seconds = 120
    members_gone_deadline: Seconds = 1800
    serving_nudge: Seconds = 900
    serving_deadline: Seconds = 1800
    resize_deadline: Seconds = 3600
    snapshot_deadline: Seconds = 7200


class AccountFactsSettings(Value):
    """What the cluster's DigitalOcean account does where the documents leave it open.

    As `openvidu-bot probe` prints it; it counts before what was probed. Times in seconds. Named as
    in services.cluster.account_facts.
    """

    zero: Literal["accepted", "refused", "ignored"] | None = None
    cooldown: FactSeconds | None = None
    removal: Literal["newest", "oldest", "other"] | None = None
    refill_deleted: Literal["never"] | FactSeconds | None = None
    refill_off: Literal["never"] | FactSeconds | None = None
    pool_scope: Literal["droplet:create", "droplet:update", "more"] | None = None
    resize_on: Literal["refused", "powers_off", "stays_on"] | None = None
    if_match: Literal["honoured", "ignored", "refused"] | None = None
    if_none_match: Literal["honoured", "ignored", "refused"] | None = None
    trigger: Literal["allowed", "denied"] | None = None
    seen: date | None = None


class WasteSettings(Value):
    """When what costs money without use is reported, and where. Local time of the cluster."""

    enabled: bool = False
    day: Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"] = "mon"
    time: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "09:00"
    channel: ChannelId | None = None


class TerraformSettings(Value):
    """Where a cluster's Terraform variables are kept: a file, or a repository at GitHub."""

    file: Path | None = None
    repository: Repository | None = None
    path: Text = "terraform.tfvars"
    template: Text | None = None
    branch: Branch = "main"
    api_url: SecureUrl = "https://api.github.com"

    @model_validator(mode="after")
    def _one_place(self) -> "TerraformSettings":
        if (self.file is None) == (self.repository is None):
            found = "neither" if self.file is None else "both"
            raise ValueError(f"found {found} of file and repository; allowed: one of them")
        return self


class LinksSettings(Value):
    """Pages that cards link to. Left out: those of OpenVidu below the public address."""

    dashboard: WebUrl | Literal["none"] | None = None
    grafana: WebUrl | Literal["none"] | None = None


class Secrets(Value):
    """The secrets of one cluster. The file holds names of environment variables instead."""

    digitalocean_token: SecretStr | None = None
    spaces_access_key_id: SecretStr | None = None
    spaces_secret_access_key: SecretStr | None = None
    livekit_api_key: SecretStr | None = None
    livekit_api_secret: SecretStr | None = None
    github_token: SecretStr | None = None


class ClusterSettings(Value):
    """One OpenVidu High Availability deployment."""

    stack: Stack
    region: Text
    public_url: WebUrl
    health_url: UrlPattern = "http://{address}:7880/health/caddy"
    livekit_url: SecureUrl | None = None
    ca_file: Path | None = None
    ssh: SshSettings = SshSettings()
    spaces: SpacesSettings | None = None
    roles: Roles = Roles()
    policy: PolicySettings = PolicySettings()
    drain: DrainSettings = DrainSettings()
    meeting_messages: MeetingMessagesSettings | None = None
    autoscaler: AutoscalerSettings = AutoscalerSettings()
    terraform: TerraformSettings | None = None
    wake: WakeSettings = WakeSettings()
    objectives: ObjectiveSettings = ObjectiveSettings()
    timings: TimingSettings = TimingSettings()
    account_facts: AccountFactsSettings = AccountFactsSettings()
    channel: ChannelId | None = None
    labels: Annotated[tuple[Label, ...], Field(max_length=20)] = ()
    timezone: TimeZone = "UTC"
    windows: tuple[Text, ...] = ()
    holidays: Path | None = None
    freezes: Path | None = None
    meetings: Path | None = None
    people_per_node: Annotated[int, Field(ge=1, le=100_000)] | None = None
    links: LinksSettings = LinksSettings()
    digest: bool = True
    waste: WasteSettings = WasteSettings()
    secrets: Secrets = Secrets()

    def page(self, name: str) -> str:
        """Return the address of the page `dashboard` or `grafana`; "" where it has none."""
        configured = getattr(self.links, name)
        if configured == "none":
            return ""
        return str(configured or urljoin(self.public_url, f"/{name}/"))

    @property
    def who_approves(self) -> tuple[RoleId, ...]:
        """Return the approvers and the groups of `approvals_from`; without both, the operators."""
        approvers = self.roles.approvers
        if approvers is None and not self.policy.approvals_from:
            return self.roles.operators
        return (*(approvers or ()), *self.policy.approvals_from)

    @model_validator(mode="after")
    def _glass_is_for_operators(self) -> "ClusterSettings":
        operators = self.roles.changers
        strangers = [
            who
            for who in self.roles.break_glass
            if who not in operators and not who.startswith("S")
        ]
        if strangers and not any(who.startswith("S") for who in operators):
            raise ValueError(
                f"found {strangers[0]} in roles.break_glass, who is not an operator; "
                "allowed: people in roles.operators"
            )
        return self

    @model_validator(mode="after")
    def _can_be_approved(self) -> "ClusterSettings":
        approvers, policy = set(self.who_approves), self.policy
        needed = max(
            policy.approvals, len(policy.approvals_from), *policy.approvals_for.values(), 1
        )
        if any(who.startswith("S") for who in (*approvers, *self.roles.changers)):
            return self  # only Slack knows the members of a group
        if policy.single_operator:
            enough = [len(approvers) >= needed for _ in self.roles.changers]
        else:
            enough = [len(approvers - {asker}) >= needed for asker in self.roles.changers]
        if enough and not any(enough):
            people = "approver" if len(approvers) == 1 else "approvers"
            raise ValueError(
                f"found {len(approvers)} {people} where an approval needs {needed} "
                "other than the requester; allowed: more roles.approvers, "
                "fewer policy.approvals, or policy.single_operator: true"
            )
        return self


class BatchesSettings(Value):
    """Changes of several clusters: the most that `--at-once` may let run at a time."""

    most_at_once: Annotated[Whole, Field(ge=1, le=50)] = 5


class HealthSettings(Value):
    """Address of the health pages."""

    host: Text = "127.0.0.1"
    port: Annotated[Whole, Field(ge=0, le=65535)] = 8080


class TerminalSettings(Value):
    """Commands from a shell. `users` maps system users, by name or uid, to Slack members."""

    socket: Path | None = None
    users: dict[Text, UserId] = Field(default_factory=dict)


class OnCallSettings(Value):
    """The on-call service for alerts that no Slack user handles. Its secret is a variable."""

    kind: Literal["pagerduty", "opsgenie", "cloudevent"]
    url: SecureUrl | None = None
    oncall_secret: SecretStr | None = None

    @model_validator(mode="after")
    def _has_an_address(self) -> "OnCallSettings":
        if self.kind == "cloudevent" and self.url is None:
            raise ValueError(
                "found no url for kind cloudevent; "
                "allowed: the https:// address that takes the events"
            )
        return self


class LogSettings(Value):
    """The log: what is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


Mode = Literal["operate", "observe"]


class Settings(Value):
    """All settings. `mode` observe: the bot plans and reports, and changes nothing outside."""

    clusters: dict[ClusterName, ClusterSettings] = Field(min_length=1)
    channels: dict[ChannelId, str] = Field(default_factory=dict)
    slack: SlackSettings = SlackSettings()
    state: StateSettings
    digitalocean: DigitalOceanSettings = DigitalOceanSettings()
    health: HealthSettings = HealthSettings()
    terminal: TerminalSettings = TerminalSettings()
    oncall: OnCallSettings | None = None
    batches: BatchesSettings = BatchesSettings()
    log: LogSettings = LogSettings()
    mode: Mode = "operate"
    observe_report_days: Annotated[Whole, Field(ge=1, le=60)] = 14

    @property
    def observes(self) -> bool:
        """Return whether the bot only observes."""
        return self.mode == "observe"

    @property
    def control_socket(self) -> Path:
        """Return the socket on which a running bot takes terminal commands."""
        return self.terminal.socket or self.state.path.with_name("control.sock")
