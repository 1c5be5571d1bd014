"""A new user follows the README: a world to connect to, init, doctor, serve, a first command."""

import asyncio
import os
import pty
import re
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import yaml

from config.settings import check_secrets, load
from tests.support.real_sockets import running_world

BOT = [sys.executable, "-m", "bot"]


def bare(**more: str) -> dict[str, str]:
    """An environment without any tokens."""
    kept = ("PATH", "HOME", "LANG", "PYTHONPATH", "USER")
    found = {k: v for k, v in os.environ.items() if k in kept}
    return found | {"PYTHONPATH": str(Path(__file__).parents[2]), "TZ": "Europe/Madrid", **more}


def test_from_the_world_to_the_first_word(tmp_path: Path) -> None:
    world = subprocess.Popen(
        [*BOT, "demo", "--world-only", "--port", "0"], stdout=subprocess.PIPE, text=True, env=bare()
    )
    try:
        told = introduced(world)
        env = bare(**dict(re.findall(r"export (\w+)=(\S+)", told)))
        assert {
            "SLACK_BOT_TOKEN",
            "SLACK_APP_TOKEN",
            "DIGITALOCEAN_TOKEN",
            "LIVEKIT_API_SECRET",
        } <= env.keys()
        answers = [
            "",
            "",
            *answers_in(told, "public address", "may ask", "the channel"),
            "",
            *answers_in(told, "SSH key"),
            "",
        ]
        made = play(
            command_in(told, "init"),
            "\n".join([*answers, *answers_in(told, "the bucket", "own member id"), ""]),
            env,
            tmp_path,
        )
        assert made.returncode == 0, made.stderr
        assert "sim" not in (tmp_path / "pretend.yaml").read_text(), "no secret stands in it"
        examined = play(command_in(told, "doctor"), "", env, tmp_path)
        assert (examined.returncode, "serve` can be started" in examined.stdout) == (0, True), (
            examined.stdout
        )
        serve(told, env, tmp_path)
    finally:
        world.send_signal(signal.SIGINT)
        assert world.wait(20) == 0


def introduced(world: "subprocess.Popen[str]") -> str:
    assert world.stdout is not None
    told = ""
    while not re.search(r"openvidu-bot status --config", told):
        line = world.stdout.readline()
        assert line, told
        told += line
    return told


def command_in(told: str, name: str) -> list[str]:
    found = re.search(rf"^    openvidu-bot ({name} .*)$", told, re.MULTILINE)
    assert found
    return [*BOT, *shlex.split(found[1])]


def answers_in(told: str, *names: str) -> list[str]:
    """What the introduction says that these questions are answered with."""
    found = [re.search(rf"^    .*{name} {{2,}}(.+)$", told, re.MULTILINE) for name in names]
    return [match[1] for match in found if match]


def play(
    command: list[str], typed: str, env: Mapping[str, str], folder: Path
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        input=typed,
        capture_output=True,
        text=True,
        env=dict(env),
        cwd=folder,
        check=False,
        timeout=90,
    )


def serve(told: str, env: Mapping[str, str], folder: Path) -> None:
    bot = subprocess.Popen(
        command_in(told, "serve"), stderr=subprocess.PIPE, text=True, env=dict(env), cwd=folder
    )
    try:
        url = re.search(r"Slack's page: (\S+)", told)
        assert url
        asyncio.run(first_word(url[1]))
        status = play([*BOT, "status", "--config", "pretend.yaml"], "", env, folder)
        assert (status.returncode, "acme is in service" in status.stdout) == (0, True), (
            status.stderr
        )
        examined = play([*BOT, "doctor", "--config", "pretend.yaml"], "", env, folder)
        assert "a bot is running" in examined.stdout
    finally:
        bot.terminate()
        bot.wait(20)


async def first_word(url: str) -> None:
    async with aiohttp.ClientSession(trust_env=False) as http:
        typed = {"as": "UANA", "kind": "say", "channel": "COPS", "text": "/openvidu status"}
        wanted = {"as": "UANA", "channel": "COPS", "text": "Cost now", "timeout": "5"}
        for _ in range(10):
            await http.post(f"{url}/_control/act", json=typed)
            async with http.get(f"{url}/_control/wait", params=wanted) as seen:
                if seen.status == 200:
                    return
        raise AssertionError("the bot does not answer in Slack")


# init alone

GIVEN = {
    "stack": "acme", "region": "ams3", "public-url": "https://meet.example.com/",
    "operators": "U0000ANA,U0000BEN", "channel": "C0123OPS",
    "timezone": "Europe/Madrid", "me": "U0000ANA",
}  # fmt: skip


def init(
    folder: Path, *more: str, env: Mapping[str, str] | None = None, **flags: str
) -> "subprocess.CompletedProcess[str]":
    words = [
        word
        for key, value in (GIVEN | flags).items()
        for word in (f"--{key.replace('_', '-')}", value)
    ]
    return play([*BOT, "init", "--no-questions", *words, *more], "", env or bare(), folder)


def test_without_questions(tmp_path: Path) -> None:
    made = init(tmp_path)
    assert made.returncode == 0, made.stderr
    assert (
        "Fill in: SLACK_BOT_TOKEN, SLACK_APP_TOKEN, DIGITALOCEAN_TOKEN, "
        "LIVEKIT_API_KEY, LIVEKIT_API_SECRET" in made.stderr
    )
    assert stat.S_IMODE((tmp_path / "bot.env").stat().st_mode) == 0o600
    tokens = {
        "SLACK_BOT_TOKEN": "xoxb-1",
        "SLACK_APP_TOKEN": "xapp-1",
        "DIGITALOCEAN_TOKEN": "d",
        "LIVEKIT_API_KEY": "k",
    }
    settings = load(
        tmp_path / "settings.yaml", {**tokens, "LIVEKIT_API_SECRET": "s", "HOME": str(tmp_path)}
    )
    check_secrets(settings)
    assert settings.clusters["acme"].roles.operators == ("U0000ANA", "U0000BEN")
    assert settings.channels == {"C0123OPS": "acme"}
    assert list(settings.terminal.users.values()) == ["U0000ANA"]
    again = init(tmp_path)
    assert (
        again.returncode,
        "settings.yaml is there already and is not overwritten" in again.stderr,
    ) == (1, True)


def test_a_missing_or_wrong_answer_writes_nothing(tmp_path: Path) -> None:
    wrong = init(tmp_path, operators="ana")
    assert (
        wrong.returncode,
        "--operators: found ana; allowed: a Slack member id" in wrong.stderr,
    ) == (2, True)
    missing = play([*BOT, "init", "--no-questions"], "", bare(), tmp_path)
    assert (missing.returncode, "--stack: found nothing; allowed: an answer" in missing.stderr) == (
        2,
        True,
    )
    stopped = play([*BOT, "init"], "acme\n", bare(), tmp_path)
    assert (stopped.returncode, "stopped: nothing was written" in stopped.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_one_person_alone_is_told_so_in_the_file(tmp_path: Path) -> None:
    assert (
        init(
            tmp_path, "--env-file", "-", operators="U0000ANA", channel="none", me="none"
        ).returncode
        == 0
    )
    assert not (tmp_path / "bot.env").exists()
    cluster = yaml.safe_load((tmp_path / "settings.yaml").read_text())["clusters"]["acme"]
    assert cluster["policy"] == {"single_operator": True}
    assert load(tmp_path / "settings.yaml", {"HOME": "/"}).channels == {}


def test_secrets_that_the_environment_has_are_not_written_down(tmp_path: Path) -> None:
    made = init(tmp_path, env=bare(SLACK_BOT_TOKEN="xoxb-5ec2e7"))
    assert "From the environment, and not written down: SLACK_BOT_TOKEN" in made.stderr
    assert (
        "5ec2e7"
        not in (tmp_path / "bot.env").read_text() + (tmp_path / "settings.yaml").read_text()
    )


def test_on_a_terminal_stacks_are_picked_and_secrets_are_not_shown(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            words = [
                "init",
                "--config",
                str(tmp_path / "mine.yaml"),
                "--digitalocean-api",
                world.addresses.digitalocean,
            ]
            shown = await asyncio.to_thread(on_a_terminal, words, {
                "DIGITALOCEAN_TOKEN": "dop_v1_sim",
                "look like OpenVidu": "1",
                "call the cluster": "",
                "public address": "https://meet.example.com",
                "may ask": "U0000ANA U0000BEN",
                "Slack channel": "",
                "time zone": "",
                "SSH key": "none",
                "LiveKit's address": "none",
                "bucket": "",
                "own Slack": "",
                "SLACK_BOT_TOKEN": "xoxb-typed",
                "SLACK_APP_TOKEN": "",
                "REDIS_URL": "",
            })  # fmt: skip
            assert "1  acme · ams3 · 4 masters, 3 media droplets" in shown
            assert "dop_v1_sim" not in shown
            assert "xoxb-typed" not in shown
            text = (tmp_path / "bot.env").read_text()
            assert "DIGITALOCEAN_TOKEN=dop_v1_sim" in text
            assert "SLACK_BOT_TOKEN=xoxb-typed" in text
            assert load(tmp_path / "mine.yaml", {"HOME": "/"}).clusters["acme"].stack == "acme"

    asyncio.run(story())


def on_a_terminal(words: list[str], answers: Mapping[str, str]) -> str:
    """Types each answer when its question is shown; returns everything that was to be seen."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [*BOT, *words], bare(TERM="xterm"))
    shown, left = "", list(answers.items())
    try:
        while chunk := read_some(terminal):
            shown += chunk
            if left and left[0][0] in shown and re.search(r"(\] |: |later\) |  )$", shown):
                _, answer = left.pop(0)
                os.write(terminal, f"{answer}\n".encode())
    finally:
        _, code = os.waitpid(pid, 0)
    assert code == 0, shown
    assert not left, f"never asked: {left}\n{shown}"
    return shown


def read_some(terminal: int) -> str:
    try:
        return os.read(terminal, 4096).decode()
    except OSError:  # the program has closed its side
        return ""
