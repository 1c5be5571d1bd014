"""The text of the two files that `init` writes. Pure."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from bot.init.questions import Answers, Standins

MEANING = {
    "SLACK_BOT_TOKEN": "the Slack app's settings, Install App: begins with xoxb-",
    "SLACK_APP_TOKEN": "the Slack app's settings, Basic Information, App-Level Tokens: "
    "begins with xapp-",
    "DIGITALOCEAN_TOKEN": "DigitalOcean, API, Tokens: begins with dop_v1_",
    "SPACES_ACCESS_KEY_ID": "DigitalOcean, Spaces, Access Keys",
    "SPACES_SECRET_ACCESS_KEY": "shown once, together with it",
    "LIVEKIT_API_KEY": "secrets.env of the deployment",
    "LIVEKIT_API_SECRET": "secrets.env of the deployment",
    "REDIS_URL": "redis://HOST:6379/0 for any number of bots; left empty: one SQLite file, one bot",
}


def settings_text(answers: Answers, standins: Standins, user: str) -> str:
    """Return the settings file. It holds no secret and says where secrets are."""
    lines = [
        "# Settings of openvidu-bot, made by `openvidu-bot init`. No secret stands in here: "
        "they come from the environment, or from",
        "# the file that `--env-file` names. Everything that can be set, with its default, "
        "stands in config/example.yaml.",
        "",
        *_cluster(answers, standins),
    ]
    if answers["channel"]:
        lines += [
            "",
            "channels:                  "
            "# the cluster that is meant in a channel when none is named",
        ]
        lines += [f"  {answers['channel']}: {answers['name']}"]
    if answers["me"]:
        lines += [
            "",
            "terminal:                  "
            "# who the users of this system are in Slack: others may only read",
            "  users:",
        ]
        lines += [f"    {_yaml(user)}: {answers['me']}"]
    lines += list(_apis(standins))
    return "\n".join(lines) + "\n"


def _cluster(answers: Answers, standins: Standins) -> Iterator[str]:
    yield "clusters:"
    yield f"  {answers['name']}:"
    for key in ("stack", "region", "public_url"):
        yield f"    {key}: {_yaml(answers[key])}"
    if standins.health_url:
        yield f"    health_url: {_yaml(standins.health_url)}"
    if answers["livekit_url"]:
        yield f"    livekit_url: {_yaml(answers['livekit_url'])}"
    if answers["channel"]:
        yield f"    channel: {answers['channel']}        # where windows and savings are announced"
    yield f"    timezone: {_yaml(answers['timezone'])}"
    yield "    roles:"
    people = answers["operators"].split(",")
    yield f"      operators: [{', '.join(people)}]"
    if len(people) == 1:
        yield "    policy:"
        yield (
            "      single_operator: true  # there is nobody else: whoever asks confirms alone. "
            "Name a second person when there is one"
        )
    if answers["key_file"] or standins.ssh_port != 22:
        yield "    ssh:"
        if answers["key_file"]:
            yield f"      key_file: {_yaml(_absolute(answers['key_file']))}"
        if standins.ssh_port != 22:
            yield f"      port: {standins.ssh_port}"
    if answers["bucket"]:
        yield "    spaces:"
        endpoint = standins.spaces_endpoint or f"https://{answers['region']}.digitaloceanspaces.com"
        yield f"      endpoint: {_yaml(endpoint)}"
        yield f"      bucket: {_yaml(answers['bucket'])}"


def _apis(standins: Standins) -> Iterator[str]:
    for section, url in (
        ("digitalocean", standins.digitalocean_api),
        ("slack", standins.slack_api),
    ):
        if url:
            yield f"\n{section}:\n  api_url: {_yaml(url)}"
    if standins.digitalocean_api:
        yield (
            "\nstate:\n  path: state.sqlite3  # what a bot knows of stand-ins is kept apart "
            "from what it knows of real clusters"
        )
    if standins.health_port != 8080:
        yield f"\nhealth:\n  port: {standins.health_port}"


def secrets_wanted(answers: Answers) -> list[str]:
    """Return the variables that these settings need, and REDIS_URL."""
    wanted = ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "DIGITALOCEAN_TOKEN"]
    if answers["bucket"]:
        wanted += ["SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY"]
    if answers["livekit_url"]:
        wanted += ["LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"]
    return [*wanted, "REDIS_URL"]


def env_text(values: Mapping[str, str]) -> str:
    """Return the file of secrets; empty ones are filled in by hand."""
    lines = [
        "# Secrets of openvidu-bot, for --env-file, Docker's env_file or systemd's "
        "EnvironmentFile. Keep it to yourself (chmod 600)."
    ]
    for name, value in values.items():
        lines += [f"# {MEANING[name]}", f"{name}={value}"]
    return "\n".join(lines) + "\n"


def _absolute(path: str) -> str:
    # A relative path would be resolved beside the settings file, not where `init` was started.
    if path.startswith("~/"):
        return path
    return str(Path(path).absolute())


def _yaml(text: str) -> str:
    document = yaml.safe_dump(text, default_flow_style=True, width=10_000)
    return document.removesuffix("\n").removesuffix("...").strip()
