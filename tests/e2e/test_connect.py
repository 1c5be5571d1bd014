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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import aiohttp
import yaml

from config.settings import check_secrets, load
from tests.support import fork_server
from tests.support.patience import HANG
from tests.support.real_sockets import running_world

BOT = [sys.executable, "-m", "bot"]
CTRL_C = "\x03"


def bare(**more: str) -> dict[str, str]:
    """An environment without any tokens."""
    kept = ("PATH", "HOME", "LANG", "PYTHONPATH", "USER")
    found = {k: v for k, v in os.environ.items() if k in kept}
    return found | {"PYTHONPATH": str(Path(__file__).parents[2]), "TZ": "Europe/Madrid", **more}


def test_from_the_world_to_the_first_word(tmp_path: Path) -> None:
    world = fork_server.Started(["demo", "--world-only", "--port", "0"], bare())
    try:
        told = introduced(world.stdout)
        env = bare(**exports_of(told))
        assert {
            "SLACK_BOT_TOKEN",
            "SLACK_APP_TOKEN",
            "DIGITALOCEAN_TOKEN",
            "LIVEKIT_API_SECRET",
        } <= env.keys()
        settings = Path(env["OPENVIDU_BOT_CONFIG"])
        typed = ["" if said.startswith("Enter") else said for said in answers_to(told).values()]
        made = play(["init"], "\n".join([*typed, ""]), env, tmp_path)
        assert made.returncode == 0, made.stderr
        places = [made.stderr.index(f"\n{asked}\n  ") for asked in answers_to(told)]
        assert places == sorted(places), "the questions, as they are announced"
        assert made.stderr.endswith("Next: openvidu-bot doctor\nThen: openvidu-bot serve\n")
        assert "sim" not in settings.read_text(), "no secret stands in it"
        examined = play(["doctor"], "", env, tmp_path)
        assert examined.returncode == 0, examined.stdout
        assert examined.stdout.endswith("Next: openvidu-bot serve\n")
        assert "certificate (none: plain http on this machine)" in " ".join(examined.stdout.split())
        asyncio.run(serve(told, env, tmp_path))
        assert list(tmp_path.iterdir()) == [], "nothing stays where it was tried"
    finally:
        world.send_signal(signal.SIGINT)
        assert world.wait() == 0
    assert not settings.parent.exists()


def introduced(stdout: IO[str]) -> str:
    told = ""
    while not re.search(r"^openvidu-bot status", told, re.MULTILINE):
        line = stdout.readline()
        assert line, told
        told += line
    return told


def exports_of(told: str) -> dict[str, str]:
    """What the script sets that the introduction names, except the path."""
    script = re.search(r"^    \. (\S+)$", told, re.MULTILINE)
    assert script
    lines = [shlex.split(line) for line in Path(script[1]).read_text().splitlines()]
    assert all(line[0] == "export" and len(line) == 2 for line in lines)
    found = dict(line[1].split("=", 1) for line in lines)
    command = Path(sys.executable).with_name("openvidu-bot")
    if command.exists():  # else these tests run without an installation
        assert found["PATH"] == f"{command.parent}:$PATH"
    return {name: value for name, value in found.items() if name != "PATH"}


def answers_to(told: str) -> dict[str, str]:
    """What the introduction says that each question of `init` is answered with, in order."""
    listed = told.partition("In this world:\n\n")[2].partition("\n\n")[0]
    return dict(re.split(r" {2,}", line.strip(), maxsplit=1) for line in listed.splitlines())


def play(
    words: list[str], typed: str, env: Mapping[str, str], folder: Path
) -> "subprocess.CompletedProcess[str]":
    return fork_server.run(words, env, folder, typed)


async def serve(told: str, env: Mapping[str, str], folder: Path) -> None:
    bot = fork_server.start(["serve"], env, [fork_server.NOTHING] * 3, folder)
    try:
        url = re.search(r"Slack's page: (\S+)", told)
        assert url
        await first_word(url[1])
        status = await asyncio.to_thread(play, ["status"], "", env, folder)
        assert (status.returncode, "acme is in service" in status.stdout) == (0, True), (
            status.stderr
        )
        examined = await asyncio.to_thread(play, ["doctor"], "", env, folder)
        assert "a bot is running" in examined.stdout
    finally:
        bot.terminate()
        await asyncio.wait_for(bot.wait(), HANG)


async def first_word(url: str) -> None:
    async with aiohttp.ClientSession(trust_env=False) as http:
        typed = {"as": "UANA", "kind": "say", "channel": "COPS", "text": "/openvidu status"}
        wanted = {"as": "UANA", "channel": "COPS", "text": "Cost now", "timeout": "5"}
        for _ in range(100):
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
    return play(["init", "--no-questions", *words, *more], "", env or bare(), folder)


def test_without_questions(tmp_path: Path) -> None:
    made = init(tmp_path)
    assert made.returncode == 0, made.stderr
    named = re.findall(r"^  ([A-Z_]+) ", made.stderr.partition("Fill in bot.env:")[2], re.MULTILINE)
    assert named == [
        "SLACK_BOT_TOKEN",
        "SLACK_APP_TOKEN",
        "DIGITALOCEAN_TOKEN",
        "LIVEKIT_API_KEY",
        "LIVEKIT_API_SECRET",
    ]
    assert made.stderr.endswith("Next: openvidu-bot doctor\nThen: openvidu-bot serve\n")
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
        "settings.yaml and bot.env: exists already, and was not changed" in again.stderr,
    ) == (1, True)


def test_a_missing_or_wrong_answer_writes_nothing(tmp_path: Path) -> None:
    wrong = init(tmp_path, operators="ana")
    assert (
        wrong.returncode,
        "--operators: ana is not valid. Allowed: a Slack member id" in wrong.stderr,
    ) == (2, True)
    missing = play(["init", "--no-questions"], "", bare(), tmp_path)
    assert (missing.returncode, "--stack: This value is required." in missing.stderr) == (2, True)
    stopped = play(["init"], "acme\n", bare(), tmp_path)
    assert (stopped.returncode, "Stopped. Nothing was written." in stopped.stderr) == (1, True)
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
    assert "From the environment, not written to a file: SLACK_BOT_TOKEN" in made.stderr
    assert (
        "5ec2e7"
        not in (tmp_path / "bot.env").read_text() + (tmp_path / "settings.yaml").read_text()
    )


def test_on_a_terminal_stacks_are_picked_and_secrets_are_not_shown(tmp_path: Path) -> None:
    async def story() -> None:
        async with running_world(tmp_path, 1.0) as world:
            at = world.addresses
            words = ["init", "--config", str(tmp_path / "mine.yaml")]
            words += ["--digitalocean-api", at.digitalocean, "--spaces-endpoint", at.spaces]
            words += ["--slack-api", world.slack.api_url.rstrip("/")]
            shown = await asyncio.to_thread(on_a_terminal, words, [
                ("DIGITALOCEAN_TOKEN", "dop_v1_wrong"),
                ("DigitalOcean refused the token", "dop_v1_sim"),
                ("1  acme  ams3 · High Availability: 4 masters, 3 media droplets", "amce"),
                ("Did you mean acme?", "1"),
                ("Name of the cluster", ""),
                ("Public address", ""),
                ("This value is required.", "meet.example.com"),
                ("SLACK_BOT_TOKEN", "xoxb-wrong"),
                ("Slack answered invalid_auth", "xoxb-sim"),
                ("1  UANA ", "ana, Ben Okafor"),
                ("Okafor was not found", "ana, 2"),
                ("#ops", "#ops"),
                ("2  Europe/Amsterdam  (region ams3)", "madrid"),
                ("did you mean Europe/Madrid?", "2"),
                ("SSH key", "none"),
                ("LiveKit address", "none"),
                ("SPACES_ACCESS_KEY_ID", "sim-spaces-key"),
                ("SPACES_SECRET_ACCESS_KEY", "sim-spaces-secret"),
                (f"1  {world.cluster.bucket}", ""),
                ("Your Slack member id", "2"),
                ("SLACK_APP_TOKEN", ""),
                ("REDIS_URL", ""),
            ])  # fmt: skip
            for typed in ("dop_v1_sim", "dop_v1_wrong", "xoxb-sim", "sim-spaces-secret"):
                assert typed not in shown
            text = (tmp_path / "mine.env").read_text()
            assert "DIGITALOCEAN_TOKEN=dop_v1_sim" in text
            assert "SLACK_BOT_TOKEN=xoxb-sim" in text
            assert (tmp_path / "mine.env").stat().st_mode & 0o777 == 0o600
            cluster = load(tmp_path / "mine.yaml", {"HOME": "/"}).clusters["acme"]
            assert (cluster.stack, cluster.region) == ("acme", "ams3")
            assert cluster.public_url == "https://meet.example.com/"
            assert cluster.roles.operators == ("UANA", "UBEN")
            assert (cluster.channel, cluster.timezone) == ("COPS", "Europe/Amsterdam")
            assert cluster.spaces is not None
            assert cluster.spaces.bucket == world.cluster.bucket

    asyncio.run(story())


def on_a_terminal(
    words: list[str], answers: Sequence[tuple[str, str]], code: int = 0, **env: str
) -> str:
    """Types each answer when its question is shown; returns everything that was to be seen."""
    terminal, theirs = pty.openpty()
    command = fork_server.on_terminal(words, bare(TERM="xterm", **env), theirs)
    shown, seen, left = "", 0, list(answers)
    try:
        while chunk := read_some(terminal):
            shown += chunk
            if left and left[0][0] in shown[seen:] and shown.endswith(": "):
                _, answer = left.pop(0)
                seen = len(shown)
                os.write(terminal, f"{answer}\n".removesuffix(f"{CTRL_C}\n").encode())
                if answer == CTRL_C:
                    os.write(terminal, CTRL_C.encode())
    finally:
        os.close(terminal)
        ended = command()
    assert ended == code, shown
    assert not left, f"never asked: {left}\n{shown}"
    return shown


def read_some(terminal: int) -> str:
    try:
        return os.read(terminal, 4096).decode()
    except OSError:  # the program has closed its side
        return ""


# Again, on files that are there


def test_again_every_value_is_a_default_and_nothing_else_is_lost(tmp_path: Path) -> None:
    assert init(tmp_path).returncode == 0
    settings, env = tmp_path / "settings.yaml", tmp_path / "bot.env"
    written = yaml.safe_load(settings.read_text())
    written["clusters"]["acme"] |= {"windows": ["nights daily 20:00-07:30"]}
    written["clusters"]["acme"]["policy"] = {"approvals": 1}
    settings.write_text("# by hand\n" + yaml.safe_dump(written))
    env.write_text("MINE=kept\n" + env.read_text().replace("D_TOKEN=", "D_TOKEN=", 1))
    env.write_text(
        env.read_text().replace("DIGITALOCEAN_TOKEN=", "DIGITALOCEAN_TOKEN=dop_v1_5ec2e7")
    )
    before = settings.read_text()
    again = init(tmp_path, "--overwrite", region="fra1")
    assert again.returncode == 0, again.stderr
    assert "clusters.acme.region: ams3 → fra1" in again.stderr
    cluster = yaml.safe_load(settings.read_text())["clusters"]["acme"]
    assert (cluster["region"], cluster["windows"]) == ("fra1", ["nights daily 20:00-07:30"])
    assert cluster["policy"] == {"approvals": 1}
    assert (tmp_path / "settings.yaml.bak").read_text() == before
    text = env.read_text()
    assert "MINE=kept\n" in text
    assert "DIGITALOCEAN_TOKEN=dop_v1_5ec2e7\n" in text
    assert "5ec2e7" not in again.stderr
    assert stat.S_IMODE(env.stat().st_mode) == 0o600


def test_again_with_the_same_answers_changes_not_a_byte(tmp_path: Path) -> None:
    assert init(tmp_path).returncode == 0
    settings, env = tmp_path / "settings.yaml", tmp_path / "bot.env"
    settings.write_text(settings.read_text() + "# by hand\n")
    before = settings.read_bytes(), env.read_bytes()
    again = play(["init", "--no-questions", "--overwrite"], "", bare(), tmp_path)
    assert again.returncode == 0, again.stderr
    assert "Unchanged: settings.yaml" in again.stderr
    assert (settings.read_bytes(), env.read_bytes()) == before
    assert not (tmp_path / "settings.yaml.bak").exists()


def test_a_second_operator_ends_approving_alone(tmp_path: Path) -> None:
    assert init(tmp_path, operators="U0000ANA").returncode == 0
    again = init(tmp_path, "--overwrite")
    assert "clusters.acme.policy.single_operator: True → nothing" in again.stderr
    assert (
        not load(tmp_path / "settings.yaml", {"HOME": "/"}).clusters["acme"].policy.single_operator
    )


def test_another_stack_becomes_another_cluster(tmp_path: Path) -> None:
    assert init(tmp_path).returncode == 0
    more = init(tmp_path, "--overwrite", stack="beta", name="beta", channel="C0123DEV")
    assert more.returncode == 0, more.stderr
    settings = load(tmp_path / "settings.yaml", {"HOME": "/"})
    assert list(settings.clusters) == ["acme", "beta"]
    assert settings.channels == {"C0123OPS": "acme", "C0123DEV": "beta"}


def test_it_asks_before_it_overwrites_and_no_means_no(tmp_path: Path) -> None:
    assert init(tmp_path).returncode == 0
    settings = tmp_path / "settings.yaml"
    before = settings.read_text()
    asked = ["fra1" if word == "region" else "" for word in (
        "stack", "name", "region", "url", "operators", "channel", "zone", "key", "livekit",
        "bucket", "me",
    )]  # fmt: skip
    kept = play(["init"], "\n".join([*asked, "n", ""]), bare(), tmp_path)
    assert (kept.returncode, "Stopped. Nothing was written." in kept.stderr) == (1, True)
    assert settings.read_text() == before
    written = play(["init"], "\n".join([*asked, "", ""]), bare(), tmp_path)
    assert written.returncode == 0, written.stderr
    assert load(settings, {"HOME": "/"}).clusters["acme"].region == "fra1"


def test_a_file_that_cannot_be_read_is_named_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("clusters: [\n")
    said = play(["init"], "", bare(), tmp_path)
    assert (said.returncode, "settings.yaml: line 2: " in said.stderr) == (2, True), said.stderr
    assert (tmp_path / "settings.yaml").read_text() == "clusters: [\n"


def test_ctrl_c_leaves_nothing_half_written(tmp_path: Path) -> None:
    words = ["init", "--config", str(tmp_path / "settings.yaml")]
    typed = [("DIGITALOCEAN_TOKEN", ""), ("Stack name", "acme"), ("Name of the cluster", CTRL_C)]
    shown = on_a_terminal(words, typed, code=130)
    assert "Stopped. Nothing was written." in shown
    assert "Traceback" not in shown
    assert list(tmp_path.iterdir()) == []


def test_the_stack_of_an_option_is_looked_up(tmp_path: Path) -> None:
    async def story() -> None:
        folder = tmp_path / "n"
        folder.mkdir()
        async with running_world(tmp_path, 1.0) as world:
            made = await asyncio.to_thread(
                init,
                folder,
                *("--digitalocean-api", world.addresses.digitalocean),
                env=bare(DIGITALOCEAN_TOKEN="dop_v1_sim"),
                stack="amce",
            )
            assert made.returncode == 2
            assert "--stack: amce was not found. Did you mean acme?" in made.stderr
            assert list(folder.iterdir()) == []

    asyncio.run(story())
