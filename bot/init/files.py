"""The text of the two files that `init` writes. Pure."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from bot.init.questions import Answers, Standins

MEANING = {
    "SLACK_BOT_TOKEN": "Slack app's settings, Install App; begins with xoxb-",
    "SLACK_APP_TOKEN": "Slack app's settings, Basic Information, App-Level Tokens; "
    "begins with xapp-",
    "DIGITALOCEAN_TOKEN": "DigitalOcean, API, Tokens; begins with dop_v1_",
    "SPACES_ACCESS_KEY_ID": "DigitalOcean, Spaces, Access Keys",
    "SPACES_SECRET_ACCESS_KEY": "shown once, when that key is created",
    "LIVEKIT_API_KEY": "in secrets.env of the deployment",
    "LIVEKIT_API_SECRET": "in secrets.env of the deployment",
    "REDIS_URL": "optional: redis://HOST:6379/0 for several bots; empty: one file, one bot",
}


HEADER = (
    "# Settings of openvidu-bot, written by `openvidu-bot init`. Contains no secrets: they come "
    "from the environment, or from bot.env",
    "# beside this file. config/example.yaml lists every setting with its default.",
)


def settings_text(answers: Answers, standins: Standins, user: str) -> str:
    """Return the settings file. It holds no secret and says where secrets are."""
    lines = [*HEADER, "", *_cluster(answers, standins)]
    if answers["channel"]:
        lines += [
            "",
            "channels:                  # the default cluster of a channel",
        ]
        lines += [f"  {answers['channel']}: {answers['name']}"]
    if answers["me"]:
        lines += [
            "",
            "terminal:                  # users of this machine and their Slack member ids; "
            "others may only read",
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
        yield f"    channel: {answers['channel']}        # its cards are posted there"
    yield f"    timezone: {_yaml(answers['timezone'])}"
    yield "    roles:"
    people = answers["operators"].split(",")
    yield f"      operators: [{', '.join(people)}]"
    if len(people) == 1:
        yield "    policy:"
        yield (
            "      single_operator: true  # one operator: confirms alone. "
            "Remove this when there is a second one"
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
        yield ("\nstate:\n  path: state.sqlite3  # apart from the state of real clusters")
    if standins.health_port != 8080:
        yield f"\nhealth:\n  port: {standins.health_port}"


def merged_text(settings: Mapping[str, Any]) -> str:
    """Return a settings file with more in it than `init` asks."""
    body = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True, width=100)
    return "\n".join([*HEADER, "", body])


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
        "# Secrets of openvidu-bot: one NAME=VALUE per line, also for Docker (env_file) and "
        "systemd (EnvironmentFile). Mode 600."
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
