"""What the settings file may contain, and the message for everything else."""

# ruff: noqa: E501 - a table of lines is read by the line

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args
from zoneinfo import available_timezones

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import SecretStr, ValidationError

from bot.options import own_zone
from config.settings import Settings, SettingsError, check_secrets, load
from config.values import AccountFactsSettings, ImpactName
from handlers.app import SHORTCUTS
from services.access.policy import PolicyImpact
from services.cloud.clients.pace import SHARE
from services.cloud.health import health_page
from services.cluster.account_facts import ANSWERS, SECONDS
from services.cluster.model import Droplet, Timings
from services.common.errors import Refused
from services.windows.time_zones import zone_named
from tests.support.certificates import make_certificate

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "config" / "example.yaml"
HOME = {"HOME": "/home/ana"}
SLACK = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}

GOOD: dict[str, Any] = {
    "clusters": {
        "acme": {"stack": "acme", "region": "ams3", "public_url": "https://meet.example.com"}
    }
}


def read(tmp_path: Path, content: object, env: Mapping[str, str] = HOME) -> Settings:
    path = tmp_path / "settings.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return load(path, env, own_zone)


def problems(tmp_path: Path, content: object, env: Mapping[str, str] = HOME) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        read(tmp_path, content, env)
    assert str(raised.value) == "\n".join(raised.value.problems)
    return raised.value.problems


def acme(**more: object) -> dict[str, Any]:
    return {"clusters": {"acme": {**GOOD["clusters"]["acme"], **more}}}


def test_the_example_is_good_and_shows_every_key() -> None:
    settings = load(EXAMPLE, HOME)
    assert list(settings.clusters) == ["acme"]
    assert settings.channels == {"C0123OPS": "acme"}
    text = EXAMPLE.read_text()
    acme = settings.clusters["acme"]
    for value in (settings, settings.terminal, acme, acme.ssh, acme.roles, acme.policy, acme.drain):
        for name in type(value).model_fields:
            assert f"{name}:" in text, f"{name} is not shown in config/example.yaml"


def test_what_the_example_shows_as_default_is_the_default(tmp_path: Path) -> None:
    """Take the comment signs away: nothing but what needs a file or a choice changes."""
    shown = "\n".join(
        line.replace("# ", "", 1) if line.lstrip().startswith("# ") and ":" in line else line
        for line in EXAMPLE.read_text().splitlines()[8:]
    )
    for line in (
        "key_file",
        "known_hosts",
        "ca_file",
        "digitalocean_token",
        "secrets:",
        "scale_up_without",
        "approvers",
        "channel:",
        "spaces",
        "endpoint",
        "bucket",
        "redis_ca_file",
        "replicas",
        "holidays",
        "freezes",
        "meetings",
        "people_per_node",
        "links:",
        "dashboard:",
        "grafana:",
        "socket",
        "autoscaler",
        "minimum",
        "meeting_messages",
        "occasions",
        "languages",
        "texts",
        "topic",
        "payload",
        "deadline_minutes: 10 ",
        "terraform",
        "repository",
        "path: acme",
        "template:",
        "branch:",
        "api_url: https://api.github",
        "file:",
        "account_facts",
        "zero:",
        "refill_deleted",
        "seen:",
        "power",
        "capacity",
        "configuration",
        "windows",
        "oncall",
        "kind:",
        "url:",
    ):
        shown = "\n".join(text for text in shown.splitlines() if not text.lstrip().startswith(line))
    shown = shown.replace("  path: ~/.local/state", "  path: /home/ana/.local/state")
    assert read(tmp_path, shown) == load(EXAMPLE, HOME)


def test_everything_but_the_cluster_has_a_default(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD)
    cluster = settings.clusters["acme"]
    assert settings.state.path == Path("/home/ana/.local/state/openvidu-bot/state.sqlite3")
    assert settings.slack.mode == "socket"
    assert settings.digitalocean.api_url == "https://api.digitalocean.com"
    assert settings.digitalocean.request_share == SHARE
    assert cluster.roles.operators == ()
    assert cluster.health_url == "http://{address}:7880/health/caddy"
    assert cluster.drain.method == "signal"


def test_timings_are_those_that_the_bot_knows(tmp_path: Path) -> None:
    cluster = read(tmp_path, GOOD).clusters["acme"]
    drain = {
        "drain_deadline": cluster.drain.deadline_minutes * 60,
        "drain_reminder": cluster.drain.reminder_minutes * 60,
    }
    assert {**cluster.timings.model_dump(), **drain} == dataclasses.asdict(Timings())


def test_facts_of_the_account_are_those_that_plans_know() -> None:
    """Each fact with each of its answers, and nothing else."""
    stated = AccountFactsSettings.model_fields.keys() - {"seen"}
    assert stated == ANSWERS.keys()
    for name, allowed in ANSWERS.items():
        for answer in allowed:
            value: object = 60 if answer == SECONDS else answer
            assert getattr(AccountFactsSettings.model_validate({name: value}), name) == value
        with pytest.raises(ValidationError):
            AccountFactsSettings.model_validate({name: "perhaps"})


def test_values_are_frozen(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD)
    with pytest.raises(ValueError, match="frozen"):
        settings.channels = {}
    with pytest.raises(ValueError, match="frozen"):
        settings.clusters["acme"].stack = "other"


def test_the_environment_sets_the_mode_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(GOOD))
    assert load(file, {}).mode == "operate"
    assert not load(file, {}).observes
    assert load(file, {"OPENVIDU_BOT_MODE": "observe"}).observes
    file.write_text(yaml.safe_dump({**GOOD, "mode": "observe"}))
    assert load(file, {}).observes
    assert not load(file, {"OPENVIDU_BOT_MODE": "operate"}).observes
    with pytest.raises(SettingsError, match="mode: found 'watch'"):
        load(file, {"OPENVIDU_BOT_MODE": "watch"})


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"slak": {}, **GOOD}, "slak: found an unknown key; allowed: clusters, channels, slack, state, digitalocean, health, terminal, oncall, batches, log, mode, observe_report_days (did you mean slack?)"),
        ({}, "clusters: not set; this value is required"),
        ({"clusters": {}}, "clusters: found nothing; allowed: at least one"),
        ({"clusters": ["acme"]}, "clusters: found a list; allowed: keys and values"),
        ({"clusters": {"Acme!": GOOD["clusters"]["acme"]}}, "clusters.Acme!: found 'Acme!'; allowed: lower-case letters, digits and hyphens"),
        ({"clusters": {"acme": {"stack": "acme", "region": "ams3"}}}, "clusters.acme.public_url: not set; this value is required"),
        (acme(regoin="x"), "clusters.acme.regoin: found an unknown key; allowed: stack, region, public_url, health_url, livekit_url, ca_file, ssh, spaces, roles, "
         "policy, drain, meeting_messages, autoscaler, terraform, wake, objectives, timings, account_facts, channel, labels, timezone, windows, holidays, freezes, meetings, people_per_node, links, digest, waste, secrets (did you mean region?)"),
        (acme(region=3), "clusters.acme.region: found 3; allowed: text"),
        (acme(public_url="meet.example.com"), "clusters.acme.public_url: found 'meet.example.com'; allowed: an http:// or https:// address, without a user in it"),
        (acme(health_url="http://x:7880/"), "clusters.acme.health_url: found 'http://x:7880/'; allowed: an http:// or https:// address with {address} or "
         "{private_address} where the master's own goes"),
        (acme(ssh={"port": 99999}), "clusters.acme.ssh.port: found 99999; allowed: less than or equal to 65535"),
        (acme(ssh={"port": "x"}), "clusters.acme.ssh.port: found 'x'; allowed: a whole number"),
        (acme(roles={"operators": ["ana"]}), "clusters.acme.roles.operators.0: found 'ana'; allowed: the id of a Slack member or user group, such as U012AB3CD or S012AB3CD (not a name)"),
        (acme(roles={"viewers": "all"}), "clusters.acme.roles.viewers: found 'all'; allowed: 'everyone' or a list of Slack member ids"),
        (acme(drain={"method": "sginal"}), "clusters.acme.drain.method: found 'sginal'; allowed: 'signal' or 'script' (did you mean signal?)"),
        (acme(policy={"zero_refused": "keep"}), "clusters.acme.policy.zero_refused: found 'keep'; allowed: 'ask' or 'keep_one' (did you mean keep_one?)"),
        (acme(policy={"single_operator": "perhaps"}), "clusters.acme.policy.single_operator: found 'perhaps'; allowed: true or false"),
        (acme(timings={"look": 0}), "clusters.acme.timings.look: found 0; allowed: greater than 0"),
        (acme(timezone="Mars/Olympus"), "clusters.acme.timezone: found 'Mars/Olympus'; allowed: a time zone such as Europe/Madrid or UTC"),
        (acme(timezone="../../etc/passwd"), "clusters.acme.timezone: found '../../etc/passwd'; allowed: a time zone such as Europe/Madrid or UTC"),
        (acme(timezone="localtime"), "clusters.acme.timezone: found 'localtime'; allowed: a time zone such as Europe/Madrid or UTC"),
        (acme(timezone="Madrid"), "clusters.acme.timezone: found 'Madrid'; allowed: a time zone such as Europe/Madrid or UTC (did you mean Europe/Madrid?)"),
        (acme(region=False), "clusters.acme.region: found false; allowed: text"),
        (acme(policy={"approvals": True}), "clusters.acme.policy.approvals: found true; allowed: a whole number"),
        (acme(policy={"approvals_for": {"meetings_cut": True}}), "clusters.acme.policy.approvals_for.meetings_cut: found true; allowed: a whole number"),
        (acme(policy={"growth": False}), "clusters.acme.policy.growth: found false; allowed: a number"),
        (acme(ssh={"port": True}), "clusters.acme.ssh.port: found true; allowed: a whole number"),
        (acme(timings={"look": True}), "clusters.acme.timings.look: found true; allowed: a number"),
        (acme(ca_file="/nowhere.pem"), "clusters.acme.ca_file: found /nowhere.pem, which is not a file; allowed: certificates in PEM form"),
        (acme(channel="#ops"), "clusters.acme.channel: found '#ops'; allowed: a Slack channel id such as C012AB3CD (not a name)"),
        (acme(spaces={"endpoint": "https://ams3.example.com", "bucket": "https://b"}), "clusters.acme.spaces.bucket: found 'https://b'; allowed: the bucket's "
         "name, without an address"),
        ({**GOOD, "channels": {"C0123": "amce"}}, "channels.C0123: found 'amce'; allowed: acme (did you mean acme?)"),
        ({**GOOD, "channels": {"ops": "acme"}}, "channels.ops: found 'ops'; allowed: a Slack channel id such as C012AB3CD (not a name)"),
        ({**GOOD, "slack": {"mode": "sockets"}}, "slack.mode: found 'sockets'; allowed: 'socket' or 'http' (did you mean socket?)"),
        ({**GOOD, "log": []}, "log: found a list; allowed: keys and values"),
        ({**GOOD, "digitalocean": {"ca_file": "/nowhere.pem"}}, "digitalocean.ca_file: found /nowhere.pem, which is not a file; allowed: certificates in PEM form"),
        ({**GOOD, "digitalocean": {"request_share": 80}}, "digitalocean.request_share: found 80; allowed: less than or equal to 1"),
        ({**GOOD, "digitalocean": {"request_share": 0}}, "digitalocean.request_share: found 0; allowed: greater than or equal to 0.05"),
        (acme(people_per_node=0), "clusters.acme.people_per_node: found 0; allowed: greater than or equal to 1"),
        (acme(ssh={"key_file": "/nowhere"}), "clusters.acme.ssh.key_file: found /nowhere, which is not a file; allowed: a file that can be read"),
    ],
)  # fmt: skip
def test_a_wrong_file_says_the_key_what_was_found_and_what_is_allowed(
    tmp_path: Path, content: object, line: str
) -> None:
    assert problems(tmp_path, content) == [line]


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    assert len(problems(tmp_path, {**acme(region=3, ssh={"port": 0}), "slak": {}})) == 3


@pytest.mark.parametrize(
    "section", [("digitalocean", "api_url"), ("slack", "api_url"), ("clusters", "livekit_url")]
)
@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://api.example.com", True),
        ("http://127.0.0.1:8080", True),
        ("http://localhost:8080/", True),
        ("http://[::1]:80", True),
        ("http://127.0.0.1.example.com", False),
        ("http://10.0.0.1", False),
        ("http://api.example.com", False),
        ("https://user:pass@api.example.com", False),
        ("ftp://api.example.com", False),
        ("api.example.com", False),
    ],
)
def test_credentials_are_not_sent_in_the_clear(
    tmp_path: Path, section: tuple[str, str], url: str, good: bool
) -> None:
    content = (
        acme(livekit_url=url)
        if section[0] == "clusters"
        else {**GOOD, section[0]: {section[1]: url}}
    )
    if good:
        assert read(tmp_path, content)
    else:
        assert "http:// only for this machine" in problems(tmp_path, content)[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("clusters: [", "settings.yaml:1: expected the node content, but found '<stream end>'"),
        ("log: {}\nlog: {}\n", "settings.yaml:2: the key log occurs twice"),
        ("- a\n", "found a list"),
        ("", "found nothing"),
        ("!!python/object/apply:os.system [id]", "could not determine a constructor"),
    ],
)
def test_a_file_that_is_not_yaml(tmp_path: Path, content: str, words: str) -> None:
    assert words in problems(tmp_path, content)[0]


def test_every_place_that_a_health_address_may_name_is_filled(tmp_path: Path) -> None:
    master = Droplet(
        1, "acme-master-node-1", "active", address="203.0.113.7", private_address="10.0.0.7"
    )
    for pattern, url in (
        ("http://{address}:1/", "http://203.0.113.7:1/"),
        ("http://{private_address}/x", "http://10.0.0.7/x"),
    ):
        taken = read(tmp_path, acme(health_url=pattern)).clusters["acme"].health_url
        assert health_page(taken, master, master.address) == url


# YAML that reads as something else than it says


HEAD = "clusters:\n  acme: {stack: acme, region: ams3, public_url: 'https://meet.example.com'%s}\n"


@pytest.mark.parametrize(
    ("written", "read_as", "value"),
    [("022", "18", "ssh: {port: 022}"), ("0x16", "22", "ssh: {port: 0x16}"), ("0b101", "5", "ssh: {port: 0b101}"), ("1_000", "1000", "ssh: {port: 1_000}"),
     ("20:30", "1230", "region: 20:30"), ("007", "7", "region: 007"), ("+017", "15", "ssh: {port: +017}")],
)  # fmt: skip
def test_a_number_that_is_another_in_yaml_is_refused_with_its_line(
    tmp_path: Path, written: str, read_as: str, value: str
) -> None:
    text = f"log: {{}}\nclusters:\n  acme:\n    stack: acme\n    region: ams3\n    public_url: https://meet.example.com\n    {value}\n"
    if value.startswith("region"):
        text = text.replace("    region: ams3\n", "")
    (said,) = problems(tmp_path, text)
    line = len(text.splitlines())
    assert said.startswith(
        f"{tmp_path / 'settings.yaml'}:{line}: {written} is the number {read_as} in YAML: write it plainly, or in quotes"
    )


@pytest.mark.parametrize("value", ["20:30.5", ".inf", "-.INF", ".nan", "1_0.5"])
def test_a_fraction_of_another_kind_is_refused(tmp_path: Path, value: str) -> None:
    assert (
        "is a number of another kind in YAML"
        in problems(tmp_path, HEAD % f", policy: {{growth: {value}}}")[0]
    )


@pytest.mark.parametrize(
    ("word", "value"),
    [("no", "false"), ("NO", "false"), ("Off", "false"), ("on", "true"), ("Yes", "true")],
)
def test_a_country_is_not_a_refusal(tmp_path: Path, word: str, value: str) -> None:
    (said,) = problems(tmp_path, (HEAD % "").replace("ams3", word))
    assert (
        said
        == f'clusters.acme.region: found {word}, which YAML reads as {value}; allowed: text, in quotes: "{word}"'
    )
    assert read(tmp_path, (HEAD % "").replace("ams3", f"'{word}'")).clusters["acme"].region == word
    (key,) = problems(tmp_path, (HEAD % "").replace("acme:", f"{word}:"))
    assert f"settings.yaml:2: the key {word} is {value} in YAML: write it in quotes" in key


def test_a_date_is_text(tmp_path: Path) -> None:
    assert (
        read(tmp_path, (HEAD % "").replace("ams3", "2026-12-24")).clusters["acme"].region
        == "2026-12-24"
    )


MERGED = """
clusters:
  acme: &acme
    stack: acme
    region: ams3
    public_url: https://meet.example.com
    ssh: &ssh {port: 2222, user: ubuntu}
    policy: {approval_minutes: 10}
  beta:
    <<: *acme
    stack: beta
    policy: {approval_minutes: 20}
  gamma:
    <<: [{region: fra1}, *acme]
    stack: gamma
    ssh: {<<: *ssh, port: 22}
"""


def test_what_is_merged_may_be_said_anew(tmp_path: Path) -> None:
    clusters = read(tmp_path, MERGED).clusters.values()
    assert [c.stack for c in clusters] == ["acme", "beta", "gamma"]
    assert [c.region for c in clusters] == ["ams3", "ams3", "fra1"]
    assert [(c.ssh.port, c.ssh.user) for c in clusters] == [
        (2222, "ubuntu"),
        (2222, "ubuntu"),
        (22, "ubuntu"),
    ]
    assert [c.policy.approval_minutes for c in clusters] == [10, 20, 10]


def test_what_is_shared_by_an_alias_is_each_cluster_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths are beside the file, and not beside it twice."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "id").write_text("")
    monkeypatch.chdir(tmp_path)
    a = GOOD["clusters"]["acme"]
    shared = yaml.safe_dump({"clusters": {"a": a, "b": {**a, "stack": "b"}}}).replace(
        "    stack: acme", "    stack: acme\n    ssh: &ssh {key_file: id}"
    )
    (tmp_path / "conf" / "s.yaml").write_text(
        shared.replace("    stack: b", "    stack: b\n    ssh: *ssh")
    )
    clusters = load(Path("conf/s.yaml"), HOME).clusters
    assert {c.ssh.key_file for c in clusters.values()} == {Path("conf/id")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a [*a]\n", "its aliases refer to each other"),
        ("clusters: &a {acme: *a}\n", "its aliases refer to each other"),
        (
            "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)),
            "make it too large",
        ),
        ("[" * 2000, "nested too deeply"),
        ("clusters: {acme: {<<: *gone}}\n", "undefined alias"),
        ("clusters: {acme: {<<: 3}}\n", "expected keys and values, or a list of those, behind <<"),
        ("clusters: {acme: &a {<<: *a}}\n", "nested too deeply"),
        ("clusters: {acme: {<<: {a: 1}, <<: {b: 2}}}\n", "the key << occurs twice"),
        ("? [a, b]\n: c\n", "unhashable key"),
        ("a: \x07b\n", "special characters are not allowed"),
    ],
)
def test_yaml_that_is_made_to_hurt_is_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    (told,) = problems(tmp_path, text)
    assert said in told or "not YAML" in told


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file or directory"):
        load(tmp_path / "none.yaml", {})
    with pytest.raises(SettingsError, match=r"^No settings file\. Use --config FILE or set "):
        load(None, {})
    assert load(None, {**HOME, "OPENVIDU_BOT_CONFIG": str(EXAMPLE)}) == load(EXAMPLE, HOME)


# Who can approve


def test_a_policy_that_nobody_could_satisfy_is_refused(tmp_path: Path) -> None:
    alone = {"operators": ["U123"]}
    assert (
        "found 1 approver where an approval needs 1 other"
        in problems(tmp_path, acme(roles=alone))[0]
    )
    assert read(tmp_path, acme(roles=alone, policy={"single_operator": True}))
    assert read(tmp_path, acme(roles={**alone, "approvers": ["U456"]})).clusters[
        "acme"
    ].who_approves == ("U456",)
    assert problems(tmp_path, acme(roles={"operators": ["U123", "U456"]}, policy={"approvals": 2}))
    assert read(tmp_path, acme(roles={"operators": ["U123", "U456"]})).clusters[
        "acme"
    ].who_approves == ("U123", "U456")


def test_roles_and_approvals_by_user_group(tmp_path: Path) -> None:
    both = ["S0OPS", "S0SEC"]
    made = read(
        tmp_path,
        acme(
            roles={"operators": ["S0OPS"]},
            policy={"approvals": 3, "approvals_for": {"meetings_cut": 4}},
        ),
    ).clusters["acme"]
    assert made.who_approves == ("S0OPS",), "how many are in a group only Slack knows"
    assert made.policy.approvals_for == {"meetings_cut": 4}
    for roles, who in (({}, both), ({"approvers": ["U456"]}, ["U456", *both])):
        found = read(
            tmp_path, acme(roles={"operators": ["U123"], **roles}, policy={"approvals_from": both})
        ).clusters["acme"]
        assert list(found.who_approves) == who
    assert (
        "allowed: the id of a Slack user group"
        in problems(tmp_path, acme(policy={"approvals_from": ["U123"]}))[0]
    )
    (said,) = problems(tmp_path, acme(policy={"approvals_for": {"meeting_cut": 2}}))
    assert said.startswith(
        "clusters.acme.policy.approvals_for.meeting_cut: found 'meeting_cut'; allowed: 'meetings_cut', 'meetings_blocked'"
    )
    assert "did you mean meetings_cut?" in said
    assert problems(tmp_path, acme(policy={"approvals_for": {"meetings_cut": 11}}))
    named = {"operators": ["U123", "U456"]}
    assert (
        "an approval needs 2 other"
        in problems(tmp_path, acme(roles=named, policy={"approvals_for": {"secrets_edited": 2}}))[0]
    )


def test_the_impacts_of_the_settings_are_those_of_the_policy() -> None:
    assert set(get_args(ImpactName)) == set(PolicyImpact)


def test_the_glass_is_broken_by_operators_only(tmp_path: Path) -> None:
    (said,) = problems(
        tmp_path, acme(roles={"operators": ["U123", "U456"], "break_glass": ["U789"]})
    )
    assert (
        "found U789 in roles.break_glass, who is not an operator; allowed: people in roles.operators"
        in said
    )
    assert read(tmp_path, acme(roles={"operators": ["S0OPS"], "break_glass": ["U789"]}), HOME), (
        "U789 may be in the group"
    )
    assert read(
        tmp_path, acme(roles={"operators": ["U123", "U456"], "break_glass": ["U456"]})
    ).clusters["acme"].roles.break_glass == ("U456",)


def test_two_clusters_cannot_share_a_stack(tmp_path: Path) -> None:
    same = GOOD["clusters"]["acme"]
    assert problems(tmp_path, {"clusters": {"a": same, "b": same}}) == [
        "clusters.b.stack: found 'acme', which is a's; allowed: one cluster for each stack"
    ]


def test_how_redis_is_trusted_is_set(tmp_path: Path) -> None:
    make_certificate(tmp_path, "ca")
    env = {
        **HOME,
        "REDIS_URL": "rediss+sentinel://:pw@a,b/main",
        "REDIS_SENTINEL_PASSWORD": "other",
    }
    state = read(
        tmp_path,
        {**GOOD, "state": {"redis_ca_file": "ca.pem", "require_durable": True, "replicas": 2}},
        env,
    ).state
    assert (state.redis_ca_file, state.replicas, state.require_durable) == (
        tmp_path / "ca.pem",
        2,
        True,
    )
    assert state.redis_sentinel_password is not None
    assert state.redis_sentinel_password.get_secret_value() == "other"
    assert "pw@" not in repr(state)
    assert "other" not in repr(state)
    (said,) = problems(tmp_path, {**GOOD, "state": {"redis_ca_file": "gone.pem"}})
    assert (
        said
        == f"state.redis_ca_file: found {tmp_path / 'gone.pem'}, which is not a file; allowed: certificates in PEM form"
    )
    assert problems(tmp_path, {**GOOD, "state": {"replicas": -1}})


# Certificates


def test_files_of_certificates_are_looked_into(tmp_path: Path) -> None:
    good = make_certificate(tmp_path, "good")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.pem").write_text("\n")
    (tmp_path / "words.pem").write_text("see the wiki\n")
    (tmp_path / "request.pem").write_text(
        good.pem.read_text().replace("CERTIFICATE", "CERTIFICATE REQUEST")
    )
    (tmp_path / "cut.pem").write_text(good.pem.read_text()[:200])
    (tmp_path / "der.pem").write_bytes(good.certificate.public_bytes(Encoding.DER))
    (tmp_path / "link.pem").symlink_to("nowhere")
    (tmp_path / "many.pem").write_text(
        f"# two of them\n{good.pem.read_text()}\n{make_certificate(tmp_path, 'second').pem.read_text()}"
    )
    bad = {
        "folder": "which is a folder", "empty.pem": "which is empty", "words.pem": "which holds no certificate", "good.key": "which holds a private key, not certificates",
        "request.pem": "which holds a certificate request, not a certificate", "cut.pem": "whose certificates cannot be read (truncated?)", "link.pem": "which is a link to nothing",
        "der.pem": "which is a certificate in DER form (openssl x509 -inform der -in FILE -out FILE.pem)", "none.pem": "which is not a file",
    }  # fmt: skip
    places: dict[str, Callable[[str], dict[str, Any]]] = {
        "clusters.acme.ca_file": lambda name: acme(ca_file=name),
        "digitalocean.ca_file": lambda name: {**GOOD, "digitalocean": {"ca_file": name}},
        "state.redis_ca_file": lambda name: {**GOOD, "state": {"redis_ca_file": name}},
    }
    for at, content in places.items():
        for name, said in bad.items():
            assert problems(tmp_path, content(name)) == [
                f"{at}: found {tmp_path / name}, {said}; allowed: certificates in PEM form"
            ]
        for name in ("good.pem", "many.pem"):
            assert read(tmp_path, content(name))
    for name, said in bad.items():
        env = {**HOME, "SSL_CERT_FILE": str(tmp_path / name)}
        assert problems(tmp_path, GOOD, env) == [
            f"SSL_CERT_FILE: found {tmp_path / name}, {said}; allowed: certificates in PEM form"
        ]


@pytest.mark.parametrize(
    ("endpoint", "meant"),
    [
        ("https://bucket.ams3.digitaloceanspaces.com", "https://ams3.digitaloceanspaces.com"),
        ("https://bucket.ams3.cdn.digitaloceanspaces.com", "https://ams3.digitaloceanspaces.com"),
        ("https://ams3.cdn.digitaloceanspaces.com", "https://ams3.digitaloceanspaces.com"),
        ("https://ams3.digitaloceanspaces.com/bucket", "https://ams3.digitaloceanspaces.com"),
        ("https://another.fra1.digitaloceanspaces.com/", "https://fra1.digitaloceanspaces.com"),
        ("https://bucket.s3.example.org", "https://s3.example.com"),
        ("https://s3.example.org/bucket", "https://s3.example.com"),
    ],
)
def test_a_bucket_in_the_endpoint_is_refused(tmp_path: Path, endpoint: str, meant: str) -> None:
    (said,) = problems(tmp_path, acme(spaces={"endpoint": endpoint, "bucket": "bucket"}))
    assert said.startswith(
        f"clusters.acme.spaces: found {endpoint.rstrip('/')} as endpoint; allowed: the region's address without the bucket, such as {meant}"
    )


@pytest.mark.parametrize(
    ("endpoint", "bucket"),
    [
        ("https://ams3.digitaloceanspaces.com", "ams3"),
        ("https://s3.example.org/minio", "bucket"),
        ("http://127.0.0.1:9000", "b-1"),
    ],
)
def test_an_endpoint_without_it_is_taken(tmp_path: Path, endpoint: str, bucket: str) -> None:
    assert read(tmp_path, acme(spaces={"endpoint": endpoint, "bucket": bucket}))


@pytest.mark.parametrize(
    "name",
    [
        "Europe/Madrid",
        "europe/madrid",
        "EST5EDT",
        "GMT+2",
        "Factory",
        "posixrules",
        "localtime",
        "",
        " UTC",
        "UTC ",
    ],
)
def test_settings_and_windows_judge_zones_by_the_same_function(tmp_path: Path, name: str) -> None:
    try:
        wanted = zone_named(name).key
    except Refused:
        assert "allowed: a time zone" in problems(tmp_path, acme(timezone=name))[0]
    else:
        assert read(tmp_path, acme(timezone=name)).clusters["acme"].timezone == wanted


def test_no_zone_of_this_machine_is_judged_differently() -> None:
    for name in available_timezones():
        try:
            assert own_zone(name) == zone_named(name).key
        except ValueError:
            with pytest.raises(Refused):
                zone_named(name)


# Secrets


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ({"slack": {"bot_token": "hunter2"}}, "slack.bot_token"),
        ({"slack": {"signing_secret": "hunter2"}}, "slack.signing_secret"),
        ({"state": {"redis_url": "redis://hunter2"}}, "state.redis_url"),
        ({"state": {"redis_sentinel_password": "hunter2"}}, "state.redis_sentinel_password"),
        ({"state": {"path": "redis://:hunter2@host"}}, "state.path"),
        ({"state": {"path": "rediss+sentinel://:hunter2@host/main"}}, "state.path"),
        ({"digitalocean": {"token": "hunter2"}}, "digitalocean.token"),
        ({"digitalocean": {"api_url": "dop_v1_aahunter2"}}, "digitalocean.api_url"),
        ({"log": {"level": ["xoxb-hunter2"]}}, "log.level.0"),
        (
            acme(spaces={"spaces_access_key_id": "hunter2"}),
            "clusters.acme.spaces.spaces_access_key_id",
        ),
        (
            acme(secrets={"digitalocean_token": "dop_v1_aahunter2"}),
            "clusters.acme.secrets.digitalocean_token",
        ),
        (
            acme(secrets={"livekit_api_secret": "hunter2"}),
            "clusters.acme.secrets.livekit_api_secret",
        ),
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(
    tmp_path: Path, content: dict[str, Any], key: str
) -> None:
    told = problems(tmp_path, GOOD | content)
    assert told[0].startswith(f"{key}: found ")
    assert "hunter2" not in str(told)


def test_secrets_come_from_the_environment_or_files_and_are_never_shown(tmp_path: Path) -> None:
    held = tmp_path / "token"
    held.write_text("hunter2-do\n")
    env = {
        "SLACK_BOT_TOKEN": "xoxb-hunter2", "SLACK_APP_TOKEN": "xapp-hunter2", "SLACK_SIGNING_SECRET": "hunter2-sign", "LIVEKIT_API_SECRET": "hunter2-lk",
        "LIVEKIT_API_KEY": "hunter2-key", "SPACES_ACCESS_KEY_ID": "hunter2-id", "SPACES_SECRET_ACCESS_KEY": "hunter2-spaces",
        "DIGITALOCEAN_TOKEN_FILE": str(held), "REDIS_URL": "redis://:hunter2@127.0.0.1:6379/0", **HOME,
    }  # fmt: skip
    settings = read(tmp_path, GOOD, env)
    secrets = settings.clusters["acme"].secrets
    assert secrets.digitalocean_token is not None
    assert secrets.digitalocean_token.get_secret_value() == "hunter2-do"
    assert settings.slack.bot_token is not None
    assert settings.state.redis_url is not None
    for shown in (
        repr(settings),
        str(settings),
        settings.model_dump_json(),
        repr(settings.slack),
        f"{settings.clusters}",
    ):
        assert "hunter2" not in shown
    check_secrets(settings)


def test_a_cluster_may_name_its_own_variables(tmp_path: Path) -> None:
    content = acme(secrets={"digitalocean_token": "ACME_DO"})
    settings = read(
        tmp_path, content, {**HOME, "DIGITALOCEAN_TOKEN": "general", "ACME_DO": "special"}
    )
    token = settings.clusters["acme"].secrets.digitalocean_token
    assert token is not None
    assert token.get_secret_value() == "special"
    assert problems(tmp_path, content, HOME) == [
        "clusters.acme.secrets.digitalocean_token: found ACME_DO, which is not set; allowed: a variable in the environment, or ACME_DO_FILE"
    ]


def test_both_a_variable_and_its_file_is_a_mistake(tmp_path: Path) -> None:
    both = {**HOME, "REDIS_URL": "redis://h", "REDIS_URL_FILE": "/nowhere"}
    assert problems(tmp_path, GOOD, both) == [
        "REDIS_URL: found REDIS_URL and REDIS_URL_FILE; allowed: one of them"
    ]
    lost = {**HOME, "REDIS_URL_FILE": "/nowhere"}
    assert problems(tmp_path, GOOD, lost) == [
        "REDIS_URL_FILE: found /nowhere, which cannot be read; allowed: a file that holds the secret"
    ]


VARIABLES = ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET", "DIGITALOCEAN_TOKEN", "SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY",
             "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "REDIS_URL", "REDIS_SENTINEL_PASSWORD")  # fmt: skip


def held(settings: Settings, variable: str) -> SecretStr | None:
    cluster = settings.clusters["acme"].secrets
    for part in (settings.slack, settings.state, cluster):
        for name in type(part).model_fields:
            if variable in (name.upper(), f"SLACK_{name.upper()}"):
                return getattr(part, name)  # type: ignore[no-any-return]
    raise AssertionError(variable)


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("around", ["%s\n", " %s", "\t%s\r\n", "\u00a0%s ", "%s"])
def test_blanks_around_a_secret_go_as_they_do_in_a_file(
    tmp_path: Path, variable: str, around: str
) -> None:
    (tmp_path / "held").write_text(around % "hunter2-hunter2")
    for env in (
        {variable: around % "hunter2-hunter2"},
        {f"{variable}_FILE": str(tmp_path / "held")},
    ):
        found = held(read(tmp_path, GOOD, {**HOME, **env}), variable)
        assert found is not None
        assert found.get_secret_value() == "hunter2-hunter2"


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize(
    ("value", "odd"),
    [
        ("hunter2\nhunter2", "a control character"), ("hunter2\x1bhunter2", "a control character"), ("hunter2\u200bhunter2", "a control character"),
        ("\ufeffhunter2", "a control character"), ("hunter2\u2028x", "a control character"), ("hunter2 hunter2", "a blank"), ("hunter2\u00a0x", "a blank"),
        ("“hunter2”", "a character that is not ASCII"), ('"hunter2"', "quotation marks around it"), ("'hunter2'", "quotation marks around it"),
    ],
)  # fmt: skip
def test_a_secret_that_cannot_be_right_is_refused_by_its_variable(
    tmp_path: Path, variable: str, value: str, odd: str
) -> None:
    (tmp_path / "held").write_text(value, "utf-8")
    password = variable.startswith("REDIS") and odd != "a control character"
    for name, env in (
        (variable, {variable: value}),
        (f"{variable}_FILE", {f"{variable}_FILE": str(tmp_path / "held")}),
    ):
        if password:
            assert read(tmp_path, GOOD, {**HOME, **env}), "a password is what its owner chose"
            continue
        (said,) = problems(tmp_path, GOOD, {**HOME, **env})
        assert said.startswith(f"{name}: found {odd}")
        assert said.endswith("; allowed: the value alone")
        assert "hunter2" not in said


def test_a_variable_of_a_cluster_s_own_is_named(tmp_path: Path) -> None:
    content = acme(secrets={"digitalocean_token": "ACME_DO"})
    assert problems(tmp_path, content, {**HOME, "ACME_DO": "hunter2 hunter2"})[0].startswith(
        "ACME_DO: found a blank; allowed"
    )


def missing(settings: Settings, *, slack: bool = True) -> list[str]:
    try:
        check_secrets(settings, slack=slack)
    except SettingsError as error:
        return [problem.split(":")[0] for problem in error.problems]
    return []


def test_what_the_settings_call_for_has_to_be_there(tmp_path: Path) -> None:
    everything = acme(livekit_url="https://l", spaces={"endpoint": "https://s", "bucket": "bucket"})
    assert missing(read(tmp_path, GOOD)) == [
        "SLACK_BOT_TOKEN",
        "SLACK_APP_TOKEN",
        "DIGITALOCEAN_TOKEN",
    ]
    assert missing(read(tmp_path, GOOD), slack=False) == ["DIGITALOCEAN_TOKEN"]
    assert missing(read(tmp_path, everything, {**HOME, **SLACK, "DIGITALOCEAN_TOKEN": "d"})) == [
        "SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET",
    ]  # fmt: skip
    assert missing(read(tmp_path, {**GOOD, "slack": {"mode": "http"}}), slack=True) == [
        "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "DIGITALOCEAN_TOKEN",
    ]  # fmt: skip
    swapped = {
        **HOME,
        "SLACK_BOT_TOKEN": "xapp-1",
        "SLACK_APP_TOKEN": "xoxb-1",
        "DIGITALOCEAN_TOKEN": "d",
    }
    assert missing(read(tmp_path, GOOD, swapped)) == ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"]


def test_paths_are_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("")
    (tmp_path / "spain.ics").write_text("")
    settings = read(
        tmp_path,
        {**acme(ssh={"key_file": "id"}, holidays="spain.ics"), "state": {"path": "~/x.sqlite3"}},
    )
    assert settings.clusters["acme"].ssh.key_file == tmp_path / "id"
    assert settings.clusters["acme"].holidays == tmp_path / "spain.ics"
    assert settings.state.path == Path("/home/ana/x.sqlite3")
    assert read(tmp_path, GOOD, {"XDG_STATE_HOME": "/var/x"}).state.path == Path(
        "/var/x/openvidu-bot/state.sqlite3"
    )


# The Slack manifest


def test_the_manifest_fits_slack() -> None:
    manifest = yaml.safe_load((ROOT / "config" / "slack-manifest.yaml").read_text())
    command = manifest["features"]["slash_commands"][0]
    assert command["command"] == load(EXAMPLE, HOME).slack.command
    assert command["should_escape"] is True
    assert len(command["description"]) <= 2000
    (shortcut,) = manifest["features"]["shortcuts"]
    assert (shortcut["type"], shortcut["callback_id"]) == ("message", *SHORTCUTS)
    assert len(shortcut["name"]) <= 24
    assert len(shortcut["description"]) <= 150
    assert len(manifest["display_information"]["name"]) <= 35
    assert len(manifest["display_information"]["description"]) <= 140
    assert manifest["settings"]["socket_mode_enabled"] is True
