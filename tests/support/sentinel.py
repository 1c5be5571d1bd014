"""A primary, its replicas and three Sentinels on free local ports.

With TLS and a temporary authority if wanted.
"""

import contextlib
import datetime as dt
import ipaddress
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from simulators.environment import find_free_port
from tests.support.patience import LOOKS

SERVICE = "bot"
HOST = "127.0.0.1"


class Server:
    """One redis-server process, or one Sentinel."""

    def __init__(
        self, program: str, folder: Path, words: list[str], port: int, tls: dict[str, Any]
    ) -> None:
        self.port, self._words, self._program, self.folder, self.tls = (
            port,
            words,
            program,
            folder,
            tls,
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.launch()
        for _ in range(LOOKS):
            with (
                contextlib.suppress(redis.ConnectionError, redis.BusyLoadingError),
                self.client() as client,
            ):
                client.ping()
                return
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(
                    f"{' '.join(self._words)} ended with {self.process.returncode}"
                )
            time.sleep(0.05)
        raise AssertionError(f"{' '.join(self._words)} did not come up")

    def launch(self) -> None:
        """Start it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [self._program, *self._words],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def client(self) -> "redis.Redis":
        """Return a plain client, for tests."""
        return redis.Redis(
            host=HOST, port=self.port, decode_responses=True, socket_timeout=2.0, **self.tls
        )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process."""
        assert self.process is not None, "started before"
        self.process.send_signal(number)

    def stop(self) -> None:
        """kill -9, and gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@dataclass
class SentinelSetup:
    """The parts of a Sentinel set-up."""

    servers: list[Server] = field(default_factory=list)
    sentinels: list[Server] = field(default_factory=list)
    tls: bool = False

    @property
    def url(self) -> str:
        """Return the value of REDIS_URL."""
        where = ",".join(f"{HOST}:{s.port}" for s in self.sentinels)
        scheme = "redis+sentinel"
        if self.tls:
            scheme = "rediss+sentinel"
        return f"{scheme}://{where}/{SERVICE}"

    def primary(self) -> Server:
        """Return the primary that Sentinel names now."""
        with self.sentinels[0].client() as client:
            address: Any = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return next(s for s in self.servers if s.port == int(address[1]))

    def replicas(self) -> list[Server]:
        """Return the others."""
        primary = self.primary()
        return [s for s in self.servers if s is not primary]

    def whole(self) -> bool:
        """Return whether every replica follows, and the Sentinels know them and each other."""
        with contextlib.suppress(redis.RedisError), self.servers[0].client() as client:
            info: Any = client.info("replication")
            following = sum(
                info[f"slave{n}"]["state"] == "online" for n in range(info["connected_slaves"])
            )
            return following == len(self.servers) - 1 and all(
                self._knows(s) for s in self.sentinels
            )
        return False

    def _knows(self, sentinel: Server) -> bool:
        with sentinel.client() as client:
            answer: Any = client.execute_command("SENTINEL", "MASTER", SERVICE)
        facts = (
            answer
            if isinstance(answer, dict)
            else dict(zip(answer[::2], answer[1::2], strict=True))
        )
        return (
            int(facts["num-slaves"]) == len(self.servers) - 1
            and int(facts["num-other-sentinels"]) == len(self.sentinels) - 1
        )


@contextlib.contextmanager
def sentinel_group(
    program: str, folder: Path, *, replicas: int = 2, authority: "Authority | None" = None
) -> Iterator[SentinelSetup]:
    """Start a group that has found itself; every process has ended at the end."""
    group = SentinelSetup(tls=authority is not None)
    tls = {"ssl": True, "ssl_ca_certs": str(authority.ca)} if authority else {}
    ports = [find_free_port() for _ in range(replicas + 1)]
    try:
        for port in ports:
            words = [
                "--bind",
                HOST,
                *_listening(port, authority),
                "--dir",
                ".",
                "--save",
                "",
                "--appendonly",
                "yes",
            ]
            words += ["--repl-diskless-sync-delay", "0", "--loglevel", "warning"]
            words += [] if port == ports[0] else ["--replicaof", f"{HOST} {ports[0]}"]
            group.servers.append(Server(program, folder / str(port), words, port, tls))
            group.servers[-1].start()
        for number in range(3):
            group.sentinels.append(
                _sentinel(program, folder / f"sentinel{number}", ports[0], authority, tls)
            )
            group.sentinels[-1].start()
        for _ in range(LOOKS):
            if group.whole():
                break
            time.sleep(0.1)
        else:
            raise AssertionError("the group did not come together")
        yield group
    finally:
        for server in (*group.sentinels, *group.servers):
            server.stop()


def _sentinel(
    program: str, folder: Path, primary: int, authority: "Authority | None", tls: dict[str, Any]
) -> Server:
    folder.mkdir(parents=True)
    port = find_free_port()
    lines = [
        f"bind {HOST}",
        "dir .",
        *_lines(_listening(port, authority)),
        f"sentinel monitor {SERVICE} {HOST} {primary} 2",
    ]
    lines += [
        f"sentinel down-after-milliseconds {SERVICE} 1000",
        f"sentinel failover-timeout {SERVICE} 4000",
    ]
    (folder / "sentinel.conf").write_text("\n".join(lines) + "\n")
    return Server(program, folder, ["sentinel.conf", "--sentinel"], port, tls)


def _listening(port: int, authority: "Authority | None") -> list[str]:
    if authority is None:
        return ["--port", str(port)]
    words = [
        "--port",
        "0",
        "--tls-port",
        str(port),
        "--tls-auth-clients",
        "no",
        "--tls-replication",
        "yes",
    ]
    return [
        *words,
        "--tls-cert-file",
        str(authority.cert),
        "--tls-key-file",
        str(authority.key),
        "--tls-ca-cert-file",
        str(authority.ca),
    ]


def _lines(words: list[str]) -> list[str]:
    return [
        f"{name.removeprefix('--')} {value}"
        for name, value in zip(words[::2], words[1::2], strict=True)
    ]


@dataclass(frozen=True)
class Authority:
    """A signing authority for a test, and one certificate: files in PEM form."""

    ca: Path
    cert: Path
    key: Path


def make_authority(folder: Path, host: str = HOST) -> Authority:
    """Make an authority and a certificate for that host or address."""
    folder.mkdir(parents=True, exist_ok=True)
    signer, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority for one test")])
    root = _certificate(
        who, who, signer.public_key(), signer, x509.BasicConstraints(ca=True, path_length=0)
    )
    try:
        names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(host))]
    except ValueError:
        names = [x509.DNSName(host)]
    server = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    cert = _certificate(server, who, key.public_key(), signer, x509.SubjectAlternativeName(names))
    authority = Authority(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    authority.ca.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    authority.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    authority.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return authority


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    more: x509.ExtensionType,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(
        now + dt.timedelta(days=1)
    )
    return builder.add_extension(more, critical=isinstance(more, x509.BasicConstraints)).sign(
        signer, hashes.SHA256()
    )
