"""The manifests of deploy/kubernetes, run: a part of `make image-test`.

kubectl builds them as `kubectl apply --kustomize` does, and each is validated with the schemas that
Kubernetes publishes. podman then runs the pods with their image, arguments, rights and mounts. This
module does what a cluster does: one pod for each replica, files of ConfigMaps and Secrets as a
kubelet writes them, the name of the Service, the probes. All pods share this process's network,
where the simulated world runs; so the second bot listens on another port.
"""

import asyncio
import base64
import copy
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import referencing
import yaml

from bot.demo.world import OPS, DemoWorld
from services.runs.run import State
from tests.e2e.test_replicas import a_shutdown_begins, ended, journal_at
from tests.e2e.test_story import keeps_promises
from tests.install.box import CACHE, ROOT, Report, run
from tests.support.real_people import sees, until_seen
from tests.support.real_sockets import running_world

HERE = "127.0.0.1"
SCHEMAS = (
    "kubernetes-validate==1.37.0",
    "85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9",
)
# From the first that has unhealthyPodEvictionPolicy by default.
VERSIONS = [f"v1.{minor}.0" for minor in range(27, 38)]
REDIS = f"redis://{HERE}:6379/0"
PORT = 8080
# Every image of a registry has it, and docker assumes it.
PATH = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Manifest = dict[str, Any]


def fetch_schemas() -> None:
    """The published schemas, once. Without them that part is left out."""
    folder = CACHE / "schemas"
    if list(folder.glob("*.whl")):
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    wanted = CACHE / "schemas.txt"
    wanted.write_text(f"{SCHEMAS[0]} --hash=sha256:{SCHEMAS[1]}\n")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--require-hashes",
    ]
    run(
        *pip,
        "--no-deps",
        "--only-binary",
        ":all:",
        "--requirement",
        str(wanted),
        "--dest",
        str(folder),
        must=False,
    )


def missing() -> list[str]:
    """Return the programs that this machine lacks."""
    path = f"{os.environ['PATH']}:/usr/libexec/podman"
    programs = ("podman", "catatonit", "runc", "kubectl")
    return [program for program in programs if shutil.which(program, path=path) is None]


# The manifests


def put_together(world: DemoWorld, place: Path) -> list[Manifest]:
    """`kubectl kustomize` with three files beside it, as docs/how-to/run.md tells."""
    shutil.copytree(
        ROOT / "deploy" / "kubernetes",
        place,
        ignore=shutil.ignore_patterns("settings.yaml", "bot.env", "id"),
    )
    settings = yaml.safe_load(world.settings_file.read_text())
    text = yaml.safe_dump(
        settings
        | {"state": {"path": "/state/state.sqlite3"}, "health": {"host": "0.0.0.0", "port": PORT}}
    )
    (place / "settings.yaml").write_text(text.replace(str(world.key_file), "ssh/id"))
    secrets = {
        k: v
        for k, v in world.bot_environment().items()
        if k.startswith(("SLACK_", "DIGITALOCEAN_", "SPACES_", "LIVEKIT_"))
    }
    (place / "bot.env").write_text("".join(f"{k}={v}\n" for k, v in secrets.items()))
    shutil.copy(world.key_file, place / "id")
    return [
        doc for doc in yaml.safe_load_all(run("kubectl", "kustomize", str(place)).stdout) if doc
    ]


def by_schemas(docs: list[Manifest], report: Report) -> None:
    """Each as every supported Kubernetes knows it, and no field that it does not know."""
    wheel = next((CACHE / "schemas").glob("*.whl"), None)
    if wheel is None:
        print(f"  left out: the schemas of Kubernetes (pip cannot fetch {SCHEMAS[0]})")
        return
    with zipfile.ZipFile(wheel) as archive:
        for version in VERSIONS:
            report.check(
                f"Kubernetes {version} knows every field", list(flaws(docs, archive, version)), []
            )
        (bot,) = [doc for doc in docs if doc["kind"] == "Deployment"]
        wrong = copy.deepcopy(bot)
        wrong["spec"]["template"]["spec"]["containers"][0]["readyProbe"] = {}
        report.check(
            "and would not know one that it has not",
            len(list(flaws([wrong], archive, VERSIONS[0]))),
            1,
        )


def flaws(docs: list[Manifest], archive: zipfile.ZipFile, version: str) -> Iterator[str]:
    folder = f"kubernetes_validate/kubernetes-json-schema/{version}-local-strict"
    shared = referencing.Resource.from_contents(
        json.loads(archive.read(f"{folder}/_definitions.json"))
    )
    for doc in docs:
        group, _, number = doc["apiVersion"].rpartition("/")
        name = "-".join(filter(None, (doc["kind"].lower(), group.partition(".")[0], number)))
        own = json.loads(archive.read(f"{folder}/{name}.json"))
        registry: referencing.Registry[Any] = shared @ (
            referencing.Resource.from_contents(own) @ referencing.Registry()
        )
        for error in jsonschema.Draft202012Validator(own, registry=registry).iter_errors(doc):
            at = ".".join(map(str, error.path))
            yield f"{doc['kind']} {doc['metadata']['name']}: {at}: {error.message[:200]}"


# What a cluster makes of them


class Pod:
    """One pod of a workload, in podman."""

    def __init__(
        self,
        workload: Manifest,
        number: int,
        docs: list[Manifest],
        folder: Path,
        env: Mapping[str, str],
    ) -> None:
        self.name = f"{workload['metadata']['name']}-{number}"
        self._env = env
        self._folder = folder / self.name
        self._folder.mkdir()
        self._docs = docs
        self._moved = {PORT: PORT + number}
        template = copy.deepcopy(workload["spec"]["template"])
        self.spec: Manifest = template["spec"]
        (self.box,) = self.spec["containers"]
        self.probes = {
            kind: self.box.pop(kind)
            for kind in ("startupProbe", "livenessProbe", "readinessProbe")
            if kind in self.box
        }
        self.ports = {port["name"]: port["containerPort"] for port in self.box.pop("ports")}
        self.grace = self.spec.get("terminationGracePeriodSeconds", 30)
        self.spec["hostNetwork"] = True
        self._environment()
        self._volumes(workload)
        self.manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**template["metadata"], "name": self.name},
            "spec": self.spec,
        }

    def _of(self, kind: str, name: str) -> dict[str, bytes]:
        (doc,) = [
            doc for doc in self._docs if (doc["kind"], doc["metadata"]["name"]) == (kind, name)
        ]
        return {
            k: base64.b64decode(v) if kind == "Secret" else str(v).encode()
            for k, v in doc["data"].items()
        }

    def _environment(self) -> None:
        for source in self.box.pop("envFrom", ()):
            found = self._of("Secret", source["secretRef"]["name"])
            self.box["env"] += [{"name": k, "value": v.decode()} for k, v in found.items()]

    def _volumes(self, workload: Manifest) -> None:
        claims = [
            claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", ())
        ]
        volumes = [
            {"name": n, "persistentVolumeClaim": {"claimName": f"{n}-{self.name}"}} for n in claims
        ]
        for volume in self.spec["volumes"]:
            (kind,) = volume.keys() - {"name"}
            if kind == "emptyDir":
                empty = self._folder / volume["name"]
                empty.mkdir()
                os.chown(empty, 0, self.spec["securityContext"]["fsGroup"])
                empty.chmod(0o2777)
                volumes.append(
                    {"name": volume["name"], "hostPath": {"path": str(empty), "type": "Directory"}}
                )
                continue
            said = volume[kind]
            files = (
                self._of("ConfigMap", said["name"])
                if kind == "configMap"
                else self._of("Secret", said["secretName"])
            )
            place = self._laid_out(volume["name"], files, said.get("defaultMode", 0o644))
            (mount,) = [m for m in self.box["volumeMounts"] if m["name"] == volume["name"]]
            if part := mount.pop("subPath", None):  # a kubelet mounts the file itself
                place = (place / part).resolve()
            volumes.append(
                {
                    "name": volume["name"],
                    "hostPath": {
                        "path": str(place),
                        "type": "File" if place.is_file() else "Directory",
                    },
                }
            )
        names = [doc["metadata"]["name"] for doc in self._docs if doc["kind"] == "Service"]
        hosts = self._folder / "hosts"
        hosts.write_text("".join(f"{HERE} {name}\n" for name in ("localhost", *names)))
        volumes.append({"name": "hosts", "hostPath": {"path": str(hosts), "type": "File"}})
        self.box["volumeMounts"].append(
            {"name": "hosts", "mountPath": "/etc/hosts", "readOnly": True}
        )
        self.spec["volumes"] = volumes

    def _laid_out(self, name: str, files: dict[str, bytes], mode: int) -> Path:
        """Write it as a kubelet does: owned by root and the pod's group, behind an atomic link."""
        place = self._folder / name
        real = place / "..2026_11_30_00_00_00.1"
        real.mkdir(parents=True)
        group = self.spec["securityContext"]["fsGroup"]
        for file, content in files.items():
            text = content.replace(f"port: {PORT}".encode(), f"port: {self._moved[PORT]}".encode())
            (real / file).write_bytes(text)
            os.chown(real / file, 0, group)
            (real / file).chmod(mode | 0o040)
            (place / file).symlink_to(f"..data/{file}")
        (place / "..data").symlink_to(real.name)
        return place

    # Its life

    @property
    def container(self) -> str:
        return f"{self.name}-{self.box['name']}"

    def play(self) -> None:
        """podman kube play."""
        file = self._folder / "pod.yaml"
        file.write_text(yaml.safe_dump(self.manifest))
        self.podman("play", "kube", "--no-hosts", str(file))

    def podman(self, *words: str, must: bool = True) -> "subprocess.CompletedProcess[str]":
        return run("podman", *words, env=self._env, must=must)

    def inspected(self) -> Any:
        return json.loads(self.podman("container", "inspect", self.container).stdout)[0]

    @property
    def pid(self) -> int:
        return int(self.inspected()["State"]["Pid"])

    def passes(self, kind: str) -> bool:
        """Probed once, as a kubelet does."""
        probe = self.probes[kind]
        if "exec" in probe:
            return (
                self.podman(
                    "exec", self.container, *probe["exec"]["command"], must=False
                ).returncode
                == 0
            )
        get = probe["httpGet"]
        port = self.ports[get["port"]]
        try:
            url = f"http://{HERE}:{self._moved[port]}{get['path']}"
            with urllib.request.urlopen(url, timeout=probe.get("timeoutSeconds", 1)) as answer:
                return bool(200 <= answer.status < 400)
        except (urllib.error.URLError, OSError):
            return False

    def comes_to(self, kind: str, wanted: bool = True, times: int = 0) -> bool:
        """Return whether the probe gets there within its timeout, or within so many attempts."""
        probe = self.probes[kind]
        for _ in range(times or probe.get("failureThreshold", 3)):
            if self.passes(kind) is wanted:
                return True
            time.sleep(probe.get("periodSeconds", 10))
        return False


def podman_env(folder: Path) -> dict[str, str]:
    """Storage and limits of its own: a test machine may not allow podman's defaults."""
    (folder / "containers.conf").write_text(
        '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n'
        '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "runc"\n'
    )
    return {
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "CONTAINERS_CONF": str(folder / "containers.conf"),
    }


# The test


async def with_pods(folder: Path, redis: Path, report: Report) -> None:
    """`folder` has podman's storage with the image; `redis` replaces the image of Redis."""
    if lacking := missing():
        print(f"  left out: pods (apt-get install {' '.join(lacking)})")
        return
    env, place = podman_env(folder), folder / "pods"
    (place / "world").mkdir(parents=True)
    async with running_world(place / "world", 30.0, redis_url=REDIS) as world:
        docs = put_together(world, place / "kubernetes")
        by_schemas(docs, report)
        workloads = {
            doc["kind"]: doc for doc in docs if doc["kind"] in ("Deployment", "StatefulSet")
        }
        image = workloads["StatefulSet"]["spec"]["template"]["spec"]["containers"][0]["image"]
        run(
            "podman",
            "import",
            "--change",
            "WORKDIR /data",
            "--change",
            PATH,
            str(redis),
            f"localhost/{image}",
            env=env,
        )
        state = Pod(workloads["StatefulSet"], 0, docs, place, env)
        bots = [
            Pod(workloads["Deployment"], n, docs, place, env)
            for n in range(workloads["Deployment"]["spec"]["replicas"])
        ]
        for bot in bots:
            bot.box["args"] += ["--clock", world.bot_command()[-1]]
        try:
            await asyncio.to_thread(begins, state, bots, report)
            await lives(world, state, bots, report)
            await asyncio.to_thread(ends, state, bots, report)
        except BaseException as error:
            for pod in (state, *bots):
                logs = pod.podman("logs", pod.container, must=False).stderr
                error.add_note(f"{pod.name} wrote:\n{logs[-3000:]}")
            raise
        finally:
            for words in (
                ("pod", "rm", "--force", "--all"),
                ("rm", "--force", "--all"),
                ("volume", "rm", "--force", "--all"),
            ):
                await asyncio.to_thread(run, "podman", *words, env=env, must=False)


def begins(state: Pod, bots: list[Pod], report: Report) -> None:
    state.play()
    report.check(
        "the StatefulSet's pod is ready by its probe", state.comes_to("readinessProbe", times=12)
    )
    report.check("and alive", state.passes("livenessProbe"))
    for bot in bots:
        bot.play()
    for bot in bots:
        report.check(f"{bot.name} has started by its probe", bot.comes_to("startupProbe"))
        report.check("is ready", bot.comes_to("readinessProbe", times=6))
        report.check("and alive", bot.passes("livenessProbe"))
    for pod in (state, *bots):
        status = Path(f"/proc/{pod.pid}/status").read_text()
        user = pod.spec["securityContext"]["runAsUser"]
        wanted = (
            f"Uid:\t{user}\t{user}",
            "CapEff:\t0000000000000000",
            "CapBnd:\t0000000000000000",
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
        )
        report.check(
            f"{pod.name} has no rights", [line for line in wanted if line not in status], []
        )
        writes = [
            pod.podman("exec", pod.container, "touch", f"{where}/x", must=False).returncode
            for where in ("", "/usr", "/tmp")
        ]
        report.check(
            "and can write only where a volume is",
            [code == 0 for code in writes],
            [False, False, True],
        )


async def lives(world: DemoWorld, state: Pod, bots: list[Pod], report: Report) -> None:
    ana = world.slack.human("UANA")
    await until_seen(ana, "Cost now", lambda: ana.type_text(OPS, "/openvidu status"))
    report.check("the bots answer in Slack", True)
    async with journal_at(REDIS) as journal:
        world.estate.open_meeting(people=5, minutes=4)
        await a_shutdown_begins(world)
        before = bots[0].pid
        os.kill(before, 9)
        report.check(
            "one of them is killed, and the run is ended all the same",
            (await ended(journal, "acme-1")).state,
            State.DONE,
        )
        await sees(ana, "acme is shut down")
        for _ in range(100):
            if (again := bots[0].pid) not in (0, before):
                break
            await asyncio.sleep(0.2)
        report.check("the killed one is started again", again not in (0, before))
        report.check(
            "and has started by its probe",
            await asyncio.to_thread(bots[0].comes_to, "startupProbe"),
        )
    keeps_promises(world)
    await asyncio.to_thread(state.podman, "stop", state.container)
    for bot in bots:
        report.check(
            f"without Redis {bot.name} is not ready",
            await asyncio.to_thread(bot.comes_to, "readinessProbe", False, 6),
        )
        report.check(
            "and is left alive, because a restart would not help",
            await asyncio.to_thread(bot.passes, "livenessProbe"),
        )
    await asyncio.to_thread(state.podman, "start", state.container)
    for bot in bots:
        report.check(
            f"with Redis {bot.name} is ready again",
            await asyncio.to_thread(bot.comes_to, "readinessProbe", True, 12),
        )
    await until_seen(ana, "acme-1", lambda: ana.type_text(OPS, "/openvidu runs"))
    report.check("and Redis has kept what it was told", True)


def ends(state: Pod, bots: list[Pod], report: Report) -> None:
    for pod in (state, *bots):
        peak = next(
            line
            for line in Path(f"/proc/{pod.pid}/status").read_text().splitlines()
            if line.startswith("VmHWM")
        )
        most = int(pod.box["resources"]["limits"]["memory"].removesuffix("Mi"))
        report.check(
            f"{pod.name} had {int(peak.split()[1]) // 1024} MB, less than its limit",
            int(peak.split()[1]) < most * 1024,
        )
    for pod in bots:
        pod.podman("stop", "--time", str(pod.grace), pod.container)
        report.check(
            f"{pod.name} ends in order, within its grace", pod.inspected()["State"]["ExitCode"], 0
        )
