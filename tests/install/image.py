"""Builds the image as `make image` does; runs it as compose and Kubernetes do, in the simulation.

`python -m tests.install.image`. The base is made of Debian's packages, because an image registry
may not be reachable; Docker runs without BuildKit, in its own network. If they are installed,
Buildah builds the image too, and podman runs it as the pods of deploy/kubernetes. If something is
missing, it names it, reports that it was skipped, and exits with 0.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import yaml

from bot.demo.world import OPS, DemoWorld
from bot.version import VERSION
from scripts.image import CannotBuild, fetch
from tests.install.box import CACHE, ROOT, Missing, Report, alone, base, needs, python_in, run
from tests.install.pods import PATH, fetch_schemas, with_pods
from tests.support.real_people import until_seen
from tests.support.real_sockets import running_world

TAG = f"openvidu-bot:{VERSION}"
REDIS = "stand-in/redis:7"
LOCKED = (
    "--network",
    "host",
    "--read-only",
    "--tmpfs",
    "/tmp",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
)
UID = 10001
report = Report("image-test")


def main() -> int:
    """Prepare with the network, then run without it."""
    try:
        needs("mmdebstrap", "unshare", "ip", "dockerd", "docker")
        tars = {kind: base(kind) for kind in ("python", "redis")}
        wheels = CACHE / f"wheels-{python_in(tars['python'])}"
        if "OPENVIDU_BOT_TEST_INSIDE" not in os.environ:
            try:
                fetch(wheels, python_in(tars["python"]))
            except CannotBuild as error:
                raise Missing(str(error)) from None
            fetch_schemas()
    except Missing as missing:
        print(f"image-test: skipped: needs {missing}")
        return 0
    return alone("tests.install.image", [], lambda: inside(tars, wheels))


def inside(tars: dict[str, Path], wheels: Path) -> int:
    """The tests."""
    # What podman does after the end of a container may still write there for a moment.
    with (
        tempfile.TemporaryDirectory(prefix="image-test-", ignore_cleanup_errors=True) as name,
        docker_of_its_own(Path(name)),
    ):
        folder = Path(name)
        python = f"stand-in/python:{python_in(tars['python'])}-debian"
        run("docker", "import", str(tars["python"]), python)
        run(
            "docker", "import", "--change", "WORKDIR /data", str(tars["redis"]), REDIS
        )  # as the image that it stands in for
        make = [
            "make",
            "--no-print-directory",
            "image",
            f"BASE={python}",
            f"ARGS=--offline {wheels}",
        ]
        built = run(*make, "ENGINE=docker", env={"DOCKER_BUILDKIT": "0"}, seconds=1800)
        report.check(
            "make image builds with docker, without BuildKit",
            f"built {TAG} with docker" in built.stdout,
        )
        looked_at()
        stops_at_any_moment(folder)
        for world in ("world", "again", "with-compose"):
            (folder / world).mkdir()
        asyncio.run(lives(folder))
        asyncio.run(is_started_again(folder))
        asyncio.run(with_compose(folder))
        if with_buildah(tars["python"], folder, make):
            asyncio.run(with_pods(folder, tars["redis"], report))
    return report.end()


@contextlib.contextmanager
def docker_of_its_own(folder: Path) -> Iterator[None]:
    """A Docker daemon of its own, without a bridge; containers share this process's network."""
    socket = folder / "docker.sock"
    words = [
        "dockerd",
        "--host",
        f"unix://{socket}",
        "--data-root",
        str(folder / "data"),
        "--exec-root",
        str(folder / "exec"),
    ]
    words += [
        "--pidfile",
        str(folder / "pid"),
        "--iptables=false",
        "--ip6tables=false",
        "--bridge=none",
    ]
    with (folder / "dockerd.log").open("w") as log:
        daemon = subprocess.Popen(words, stdout=log, stderr=log)
    os.environ["DOCKER_HOST"] = f"unix://{socket}"
    try:
        for _ in range(300):
            if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
                break
            if daemon.poll() is not None:
                raise RuntimeError(f"dockerd ended: {(folder / 'dockerd.log').read_text()[-2000:]}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(0.2)
        yield
    finally:
        with contextlib.suppress(RuntimeError):
            for container in run("docker", "ps", "--all", "--quiet").stdout.split():
                run("docker", "rm", "--force", container, must=False)
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(60)
        run(
            "umount", "--lazy", str(folder / "exec" / "netns" / "default"), must=False
        )  # the daemon leaves it behind


def inspected(what: str) -> Any:
    return json.loads(run("docker", "inspect", what).stdout)[0]


def looked_at() -> None:
    image = inspected(TAG)
    settings = image["Config"]
    report.check("it runs as an ordinary user", settings["User"], f"{UID}:{UID}")
    report.check(
        "its label tells the version",
        settings["Labels"]["org.opencontainers.image.version"],
        VERSION,
    )
    report.check("it has a health check", "/healthz" in str(settings.get("Healthcheck")))
    report.check(
        "--version",
        run("docker", "run", "--rm", *LOCKED, TAG, "--version").stdout,
        f"openvidu-bot {VERSION}\n",
    )
    code = (
        "import importlib.util as u; names = ('pip', 'setuptools', 'wheel', 'pkg_resources'); "
        "print([n for n in names if u.find_spec(n)])"
    )
    there = run(
        "docker", "run", "--rm", "--entrypoint", "/venv/bin/python", TAG, "-I", "-c", code
    ).stdout
    report.check("neither pip nor setuptools is in it", there, "[]\n")
    with tempfile.TemporaryDirectory() as hostile:
        for name in ("bot", "config", "json", "argparse"):
            Path(hostile, f"{name}.py").write_text("import os\nos._exit(66)\n")
        words = [
            "docker",
            "run",
            "--rm",
            *LOCKED,
            "--volume",
            f"{hostile}:/here:ro",
            "--workdir",
            "/here",
            TAG,
            "--version",
        ]
        report.check(
            "no code of the current folder is run", run(*words).stdout, f"openvidu-bot {VERSION}\n"
        )
    code = (
        "import pathlib; compiled = 'lib/*/site-packages/pydo/__pycache__/*.pyc'; "
        "print(next(pathlib.Path('/venv').glob(compiled)).read_bytes()[4])"
    )
    flags = run(
        "docker", "run", "--rm", "--entrypoint", "/venv/bin/python", TAG, "-I", "-c", code
    ).stdout
    report.check("what is compiled counts whatever the time stamps are", flags, "1\n")
    code = (
        "import pathlib; files = pathlib.Path('/venv/lib').rglob('*'); "
        "print(sum(f.stat().st_size for f in files if f.is_file()) <= 80 * 2**20)"
    )
    is_slim = run(
        "docker", "run", "--rm", "--entrypoint", "/venv/bin/python", TAG, "-I", "-c", code
    ).stdout
    report.check("all packages, compiled, take at most 80 MB", is_slim, "True\n")


def stops_at_any_moment(folder: Path) -> None:
    """SIGTERM right after the start ends it (0). Its settings are a pipe without a writer."""
    pipe = folder / "settings.pipe"
    os.mkfifo(pipe, 0o644)
    for _ in range(4):
        mount = ("--volume", f"{pipe}:/config/settings.yaml:ro")
        container = run("docker", "run", "--detach", *LOCKED, *mount, TAG, "serve").stdout.strip()
        run("docker", "kill", "--signal", "TERM", container)
        report.check(
            "SIGTERM in the first second ends it",
            run("docker", "wait", container, seconds=120).stdout.strip(),
            "0",
        )
        run("docker", "rm", container)
    container = run("docker", "run", "--detach", *LOCKED, TAG, "serve").stdout.strip()
    report.check(
        "wrong settings end it with 2",
        run("docker", "wait", container, seconds=60).stdout.strip(),
        "2",
    )
    run("docker", "rm", container)


def prepared(world: DemoWorld, place: Path) -> list[str]:
    """Return the folder for /config and the command; the clock is passed as in the demo."""
    place.mkdir(exist_ok=True)
    settings = yaml.safe_load(world.settings_file.read_text())
    text = yaml.safe_dump(
        settings | {"state": {"path": "/state/state.sqlite3"}, "health": {"port": 8080}}
    )
    (place / "settings.yaml").write_text(
        text.replace(str(world.key_file), "/config/openvidu-bot.pem")
    )
    shutil.copy(world.key_file, place / "openvidu-bot.pem")
    secrets = {
        k: v
        for k, v in world.bot_environment().items()
        if k.startswith(("SLACK_", "DIGITALOCEAN_", "SPACES_", "LIVEKIT_"))
    }
    (place / "bot.env").write_text("".join(f"{k}={v}\n" for k, v in secrets.items()))
    for file in place.iterdir():
        os.chown(file, UID, UID)
        file.chmod(0o400)
    return ["serve", "--clock", world.bot_command()[-1]]


@contextlib.asynccontextmanager
async def bot_in(world: DemoWorld, place: Path, *options: str) -> AsyncIterator[str]:
    """A container that serves that world."""
    words = prepared(world, place)
    mounts = [
        "--volume",
        f"{place}:/config:ro",
        "--volume",
        "/state",
        "--env-file",
        str(place / "bot.env"),
    ]
    container = (
        await asyncio.to_thread(
            run, "docker", "run", "--detach", *LOCKED, *mounts, *options, TAG, *words
        )
    ).stdout.strip()
    try:
        yield container
    except BaseException as error:
        told = await asyncio.to_thread(run, "docker", "logs", container, must=False)
        error.add_note(f"the bot wrote:\n{told.stderr[-3000:]}")
        raise
    finally:
        await asyncio.to_thread(run, "docker", "rm", "--force", container, must=False)


async def lives(folder: Path) -> None:
    """A whole request in the pretend world, from a container without rights."""
    async with (
        running_world(folder / "world", 30.0) as world,
        bot_in(world, folder / "config") as container,
    ):
        await asyncio.wait_for(world.slack.sockets.until(bool), 120)
        host = inspected(container)
        status = await asyncio.to_thread(Path(f"/proc/{host['State']['Pid']}/status").read_text)
        report.check(
            "it has no rights", "CapEff:\t0000000000000000" in status and "NoNewPrivs:\t1" in status
        )
        ana, ben = world.slack.human("UANA"), world.slack.human("UBEN")
        await until_seen(ana, "Cost now", lambda: ana.type_text(OPS, "/openvidu status"))
        await until_seen(
            ana, "Approve", lambda: ana.type_text(OPS, "/openvidu shutdown --media-only")
        )
        card = await ana.wait_for_message(OPS, "Approve")
        await until_seen(ben, "acme-1", lambda: ben.press(card, "Approve"))
        report.check("read-only and without rights, a request is approved and begins", True)
        check = inspected(TAG)["Config"]["Healthcheck"]["Test"][1:]
        done = await asyncio.to_thread(run, "docker", "exec", container, *check, must=False)
        report.check("its health check is content", done.returncode, 0)
        await asyncio.to_thread(run, "docker", "stop", "--time", "20", container)
        report.check("docker stop ends it in order", inspected(container)["State"]["ExitCode"], 0)


async def is_started_again(folder: Path) -> None:
    """A bot that was held up ends itself, and the restart policy of compose.yaml brings it back."""
    options = ("--restart", "unless-stopped", "--env", "OPENVIDU_BOT_WATCHDOG=5")
    async with (
        running_world(folder / "again", 30.0) as world,
        bot_in(world, folder / "config-again", *options) as container,
    ):
        await asyncio.wait_for(world.slack.sockets.until(bool), 120)
        held_up = int(
            inspected(container)["State"]["Pid"]
        )  # not by docker kill: after that, docker starts nothing again
        os.kill(held_up, signal.SIGSTOP)
        await asyncio.sleep(8)
        os.kill(held_up, signal.SIGCONT)
        for _ in range(300):
            if inspected(container)["RestartCount"]:
                break
            await asyncio.sleep(0.2)
        report.check("a bot that hung is started again", inspected(container)["RestartCount"] > 0)
        told = await asyncio.to_thread(run, "docker", "logs", container)
        report.check("and shows where it hung", "Timeout" in told.stderr and "File " in told.stderr)
        ana = world.slack.human("UANA")
        await until_seen(ana, "Cost now", lambda: ana.type_text(OPS, "/openvidu status"))


async def with_compose(folder: Path) -> None:
    """compose.yaml as it stands; only the network is this one, where the pretend world is."""
    compose = shutil.which("docker-compose")
    if compose is None:
        print("  left out: compose (apt-get install docker-compose)")
        return
    place = folder / "composed"
    async with running_world(folder / "with-compose", 30.0) as world:
        words = prepared(world, place)
        text = (ROOT / "compose.yaml").read_text()
        if "version 1." in (await asyncio.to_thread(run, compose, "--version")).stdout:
            # Debian 12 has one that is older than that word, and does so by itself.
            text = text.replace(", bind: {create_host_path: false}", "")
        (place / "compose.yaml").write_text(text)
        own = {"network_mode": "host"}
        bot = own | {"command": words, "environment": {"REDIS_URL": "redis://127.0.0.1:6379/0"}}
        (place / "here.yaml").write_text(yaml.safe_dump({"services": {"bot": bot, "redis": own}}))
        env = {"OPENVIDU_BOT_REDIS": REDIS, "COMPOSE_PROJECT_NAME": "image-test"}
        both = [compose, "--file", str(place / "compose.yaml"), "--file", str(place / "here.yaml")]
        try:
            done = await asyncio.to_thread(
                run, *both, "up", "--detach", "--no-build", env=env, must=False
            )
            report.check(
                "docker-compose up",
                (done.returncode, "" if done.returncode == 0 else done.stderr[-2000:]),
                (0, ""),
            )
            await asyncio.wait_for(world.slack.sockets.until(bool), 120)
            ana = world.slack.human("UANA")
            await until_seen(ana, "Cost now", lambda: ana.type_text(OPS, "/openvidu status"))
            report.check("with compose and a Redis of its own it answers", True)
        finally:
            await asyncio.to_thread(run, *both, "down", "--volumes", env=env, must=False)
        (place / "openvidu-bot.pem").unlink()
        done = await asyncio.to_thread(
            run, *both, "up", "--detach", "--no-build", env=env, must=False
        )
        report.check(
            "a missing key is refused, and no folder is made in its place",
            (done.returncode != 0, (place / "openvidu-bot.pem").exists()),
            (True, False),
        )
        await asyncio.to_thread(run, *both, "down", "--volumes", env=env, must=False)


def with_buildah(tar: Path, folder: Path, make: list[str]) -> bool:
    """The same file with another engine; whether podman has the image now."""
    if shutil.which("buildah") is None or shutil.which("podman") is None:
        print("  left out: buildah, and pods (apt-get install buildah podman)")
        return False
    storage = folder / "storage.conf"
    storage.write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
    )
    env = {"CONTAINERS_STORAGE_CONF": str(storage), "BUILDAH_ISOLATION": "chroot"}
    base_name = make[3].removeprefix("BASE=")
    run("podman", "import", "--change", PATH, str(tar), f"localhost/{base_name}", env=env)
    words = [
        *make[:3],
        f"BASE=localhost/{base_name}",
        *make[4:],
        "ENGINE=buildah",
        f"TAG=localhost/{TAG}",
    ]
    built = run(*words, env=env, seconds=1800)
    report.check(
        "make image builds with buildah", f"built localhost/{TAG} with buildah" in built.stdout
    )
    report.check("on its base by digest", "@sha256:" in built.stdout.splitlines()[-1])
    container = run("buildah", "from", f"localhost/{TAG}", env=env).stdout.strip()
    told = run("buildah", "run", container, "--", "openvidu-bot", "--version", env=env).stdout
    report.check("--version, of that one", told, f"openvidu-bot {VERSION}\n")
    return True


if __name__ == "__main__":
    sys.exit(main())
