"""How SSH fails, against real servers.

Other host keys than expected, files that are no private key, ports of other services.
"""

import asyncio
import base64
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncssh
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.cloud.clients.keyfile import LARGEST, read_key
from services.cloud.clients.ssh import Host, SshClient
from services.cloud.clients.ssh_host_keys import fingerprint_of
from services.common.errors import BotError, Forbidden, Refused, Unreachable

HOST = Host(42, "127.0.0.1")
KINDS = {"ed25519": "ssh-ed25519", "ecdsa": "ecdsa-sha2-nistp256", "rsa": "ssh-rsa"}
KEYS = {kind: asyncssh.generate_private_key(algorithm) for kind, algorithm in KINDS.items()}
LOGIN = asyncssh.generate_private_key("ssh-ed25519")
OPENSSH = LOGIN.export_private_key("openssh")


class MemoryPins:
    """Host keys in memory."""

    def __init__(self, **kept: str) -> None:
        self.kept: dict[int, str] = {42: kept["pinned"]} if kept else {}

    async def get(self, droplet_id: int) -> str | None:
        return self.kept.get(droplet_id)

    async def put(self, droplet_id: int, key: str) -> None:
        self.kept[droplet_id] = key


def line(kind: str) -> str:
    return " ".join(KEYS[kind].export_public_key().decode().split()[:2])


async def _shell(process: "asyncssh.SSHServerProcess[str]") -> None:
    process.stdout.write("out")
    process.exit(0)


@contextlib.asynccontextmanager
async def node(*kinds: str, key: asyncssh.SSHKey = LOGIN) -> AsyncIterator[int]:
    """Run an SSH server with host keys of those kinds that accepts that key; yields its port."""
    server = await asyncssh.create_server(
        asyncssh.SSHServer,
        "127.0.0.1",
        0,
        server_host_keys=[KEYS[k] for k in kinds],
        authorized_client_keys=asyncssh.import_authorized_keys(key.export_public_key().decode()),
        process_factory=_shell,
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture
def login(tmp_path: Path) -> str:
    file = tmp_path / "id"
    file.write_bytes(OPENSSH)
    return str(file)


async def _trouble(ssh: SshClient, seconds: float = 5.0) -> BotError:
    with pytest.raises(BotError) as raised:
        await ssh.run(HOST, "true", timeout=seconds)
    await ssh.aclose()
    return raised.value


# Host keys


@pytest.mark.parametrize(
    ("pinned", "offered"),
    [
        ("ed25519", ["ecdsa"]),
        ("ed25519", ["ecdsa", "rsa"]),
        ("ecdsa", ["ed25519"]),
        ("rsa", ["ed25519", "ecdsa"]),
    ],
)
def test_a_pinned_kind_that_is_not_offered_any_more_is_an_alarm_with_both_fingerprints(
    login: str, pinned: str, offered: list[str]
) -> None:
    async def run() -> None:
        async with node(*offered) as port:
            pins = MemoryPins(pinned=line(pinned))
            error = await _trouble(SshClient("root", port, login, None, pins))
            assert isinstance(error, Refused)
            theirs = f"{offered[0]} {KEYS[offered[0]].get_fingerprint()}"
            ours = f"{pinned} {KEYS[pinned].get_fingerprint()}"
            assert (
                str(error)
                == f"host key of droplet 42 (127.0.0.1) changed: pinned {ours}, offers {theirs}"
            )
            assert "which server answers there" in error.remedy
            assert pins.kept == {42: line(pinned)}, "nothing is pinned anew by itself"

    asyncio.run(run())


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_that_was_pinned_is_asked_for_among_others(login: str, kind: str) -> None:
    async def run() -> None:
        async with node(*KINDS) as port:
            ssh = SshClient("root", port, login, None, MemoryPins(pinned=line(kind)))
            assert (await ssh.run(HOST, "true", timeout=5)).stdout == "out"
            await ssh.aclose()

    asyncio.run(run())


def test_every_offered_kind_is_returned_and_nothing_is_pinned(login: str) -> None:
    async def run() -> None:
        for kinds in (["ed25519"], ["ecdsa", "rsa"], list(KINDS)):
            async with node(*kinds) as port:
                pins = MemoryPins()
                ssh = SshClient("root", port, login, None, pins)
                keys = await ssh.host_keys(HOST, timeout=5)
                assert set(keys) == {line(k) for k in kinds}
                assert {fingerprint_of(f) for f in keys} == {
                    f"{k} {KEYS[k].get_fingerprint()}" for k in kinds
                }
                assert pins.kept == {}
        with pytest.raises(Unreachable, match="connection refused"):
            await ssh.host_keys(HOST, timeout=5)

    asyncio.run(run())


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_that_known_hosts_name_is_asked_for_among_others(
    login: str, tmp_path: Path, kind: str
) -> None:
    async def run() -> None:
        async with node(*KINDS) as port:
            known = tmp_path / "known_hosts"
            known.write_text(f"[127.0.0.1]:{port} {line(kind)}\n")
            ssh = SshClient("root", port, login, str(known), MemoryPins())
            assert (await ssh.run(HOST, "true", timeout=5)).stdout == "out"
            await ssh.aclose()

    asyncio.run(run())


def test_known_hosts_with_another_kind_of_key_are_an_alarm_too(login: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with node("ecdsa") as port:
            known = tmp_path / "known_hosts"
            known.write_text(f"[127.0.0.1]:{port} {line('ed25519')}\n")
            error = await _trouble(SshClient("root", port, login, str(known), MemoryPins()))
            assert isinstance(error, Refused)
            assert f"it offers ecdsa {KEYS['ecdsa'].get_fingerprint()}" in str(error)
            assert str(known) in str(error)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no such file"), ("@mine 127.0.0.1 ssh-rsa AAAA\n", "a line of it cannot be read")],
)
def test_a_file_of_known_hosts_that_cannot_be_read(
    login: str, tmp_path: Path, content: str | None, said: str
) -> None:
    known = tmp_path / "known_hosts"
    if content is not None:
        known.write_text(content)
    error = asyncio.run(_trouble(SshClient("root", 1, login, str(known), MemoryPins())))
    assert isinstance(error, Refused)
    assert f"known hosts {known}: {said}" in str(error)


def test_a_pin_that_cannot_be_read_is_reported(login: str) -> None:
    error = asyncio.run(
        _trouble(SshClient("root", 1, login, None, MemoryPins(pinned="ssh-ed25519 nonsense")))
    )
    assert isinstance(error, Refused)
    assert "pinned host key cannot be read" in str(error)


# No answer, and why


def test_a_refused_login_names_key_and_user(
    login: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    async def run() -> None:
        async with node("ed25519", key=asyncssh.generate_private_key("ssh-ed25519")) as port:
            with_key = await _trouble(SshClient("ubuntu", port, login, None, MemoryPins()))
            without = await _trouble(SshClient("ubuntu", port, None, None, MemoryPins()))
            for error in (with_key, without):
                assert isinstance(error, Forbidden)
                assert "<STACK>-ssh-key" in error.remedy
            assert "the ssh key was refused for user ubuntu" in str(with_key)
            assert "none of this user's own SSH keys is taken for user ubuntu" in str(without)

    asyncio.run(run())


def test_another_protocol_is_distinguished_from_no_answer(login: str) -> None:
    async def run() -> None:
        over = asyncio.Event()

        async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(
                b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n" + b"x" * 70_000 + b"\r\n"
            )
            await over.wait()
            writer.close()

        async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await over.wait()
            writer.close()

        async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with contextlib.AsyncExitStack() as servers:
            errors = []
            for each in (web, quiet, closes):
                server = await servers.enter_async_context(
                    await asyncio.start_server(each, "127.0.0.1", 0)
                )
                errors.append(
                    await _trouble(
                        SshClient(
                            "root", server.sockets[0].getsockname()[1], login, None, MemoryPins()
                        ),
                        1.0,
                    )
                )
            over.set()
        causes = [e.cause for e in errors]
        assert causes[0] == "the server there does not speak SSH"
        assert causes[1] == "no answer within 1 s"
        assert causes[2] in {"the connection was lost", "the connection was reset"}
        assert all(isinstance(e, Unreachable) and e.sent is False and e.remedy for e in errors)

    asyncio.run(run())


def test_a_host_without_a_name_or_a_door(login: str) -> None:
    async def run() -> None:
        for address, said in (
            ("no-such-host.invalid", "no such host"),
            ("127.0.0.1", "connection refused"),
        ):
            ssh = SshClient("root", 1, login, None, MemoryPins())
            with pytest.raises(Unreachable, match=said) as raised:
                await ssh.run(Host(42, address), "true", timeout=5)
            assert raised.value.sent is False

    asyncio.run(run())


# Files that are no private key

CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgI=\n-----END CERTIFICATE-----\n"
UNKNOWN = b"-----BEGIN FOO PRIVATE KEY-----\nMAA=\n-----END FOO PRIVATE KEY-----\n"
INDENTED = b"".join(b"    " + part for part in OPENSSH.splitlines(keepends=True))
RSA = KEYS["rsa"]


def locked() -> bytes:
    """Return a key with a passphrase as `ssh-keygen` writes it; only its head is read."""
    parts = (b"aes256-ctr", b"bcrypt", b"\0\0\0\x10" + b"s" * 16 + b"\0\0\0\x18")
    body = (
        b"openssh-key-v1\0"
        + b"".join(len(p).to_bytes(4, "big") + p for p in parts)
        + (1).to_bytes(4, "big")
    )
    body += b"".join(len(p).to_bytes(4, "big") + p for p in (LOGIN.public_data, b"x" * 144))
    return (
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n"
        + base64.encodebytes(body)
        + b"-----END OPENSSH PRIVATE KEY-----\n"
    )


PPK = b"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: x\nPublic-Lines: 2\n"
AUTHORITY = asyncssh.generate_private_key("ssh-ed25519")
SIGNED = AUTHORITY.generate_user_certificate(LOGIN, "ana", principals=["root"]).export_certificate()
BAD: dict[str, tuple[bytes, str, str]] = {
    "a public key": (LOGIN.export_public_key(), "a public key", "without .pub"),
    "a public key in PEM": (RSA.export_public_key("pkcs8-pem"), "a public key", "without .pub"),
    "a public key of RFC 4716": (
        LOGIN.export_public_key("rfc4716"),
        "a public key",
        "without .pub",
    ),
    "a list of known hosts": (
        b"[10.0.0.1]:22 " + LOGIN.export_public_key(),
        "a public key",
        "without .pub",
    ),
    "an SSH certificate": (SIGNED, "an SSH certificate", "without .pub"),
    "a PuTTY key": (PPK, "a PuTTY key (.ppk)", "puttygen"),
    "nothing": (b"", "it is empty", "copy the key again"),
    "blanks": (b" \r\n\t\n", "it is empty", "copy the key again"),
    "zeros": (b"\0" * 400, "it is empty", "copy the key again"),
    "with a passphrase": (locked(), "it has a passphrase", "ssh-keygen -p"),
    "with a passphrase, PKCS#8": (
        RSA.export_private_key("pkcs8-pem", passphrase="hunter2"),
        "it has a passphrase",
        "ssh-keygen -p",
    ),
    "with a passphrase, PKCS#1": (
        RSA.export_private_key("pkcs1-pem", passphrase="hunter2"),
        "it has a passphrase",
        "ssh-keygen -p",
    ),
    "a letter": (b"Dear operator, the key is in the safe.\n", "not an SSH key", "<STACK>-ssh-key"),
    "a TLS certificate": (CERTIFICATE, "a TLS certificate", "SSH private key"),
    "a certificate request": (
        CERTIFICATE.replace(b"CERTIFICATE", b"CERTIFICATE REQUEST"),
        "a certificate request",
        "SSH private key",
    ),
    "a PGP key": (
        b"-----BEGIN PGP PRIVATE KEY BLOCK-----\nx\n-----END PGP PRIVATE KEY BLOCK-----\n",
        "a PGP key",
        "SSH key",
    ),
    "a key of ssh.com": (
        b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nx\n---- END",
        "a key in the format of ssh.com",
        "ssh-keygen -i",
    ),
    "a key of SSH 1": (
        b"SSH PRIVATE KEY FILE FORMAT 1.1\n\0\0",
        "a key of SSH version 1",
        "ssh-keygen -t",
    ),
    "cut off": (OPENSSH[:200], "truncated: its last line is missing", "copy the key again"),
    "damaged": (
        OPENSSH.replace(OPENSSH[100:110], b"AAAAAAAAAA"),
        "a private key that is damaged",
        "copy the key again",
    ),
    "of an unknown kind": (
        UNKNOWN,
        "a private key that is damaged or of an unknown kind",
        "copy the key again",
    ),
    "on one line": (
        OPENSSH.replace(b"\n", b" "),
        "its line breaks are missing",
        "copy the key again",
    ),
    "with \\n": (
        OPENSSH.replace(b"\n", b"\\n"),
        "its line breaks are written out as \\n",
        "copy the key again",
    ),
    "indented": (INDENTED, "its lines begin with blanks", "copy the key again"),
    "with a byte order mark": (
        b"\xef\xbb\xbf" + OPENSSH,
        "it begins with a byte order mark",
        "without BOM",
    ),
    "in UTF-16": (OPENSSH.decode().encode("utf-16"), "it is in UTF-16", "copy the key again"),
    "in base64": (base64.b64encode(OPENSSH), "a key in base64", "base64 -d"),
    "very large": (b"x" * (LARGEST + 1), "too large for a key", "<STACK>-ssh-key"),
}
GOOD = {
    "openssh": OPENSSH,
    "with Windows's line ends": OPENSSH.replace(b"\n", b"\r\n"),
    "with words around": b"# the deployment's key\n" + OPENSSH + b"\n\n",
    "pkcs1": RSA.export_private_key("pkcs1-pem"),
    "pkcs8": KEYS["ecdsa"].export_private_key("pkcs8-pem"),
    "der": RSA.export_private_key("pkcs8-der"),
    "with its public half behind": OPENSSH + LOGIN.export_public_key(),
}


def refusal(file: Path) -> Refused:
    with pytest.raises(Refused) as raised:
        read_key(file)
    assert str(raised.value).startswith(f"ssh key {file}: ")
    assert raised.value.remedy
    return raised.value


@pytest.mark.parametrize("what", BAD)
def test_a_file_that_is_no_private_key_is_named(tmp_path: Path, what: str) -> None:
    content, said, remedy = BAD[what]
    file = tmp_path / "id"
    file.write_bytes(content)
    error = refusal(file)
    assert said in str(error)
    assert remedy in error.remedy
    assert "hunter2" not in str(error)


@pytest.mark.parametrize("what", GOOD)
def test_a_good_one_is_read_however_it_is_written(tmp_path: Path, what: str) -> None:
    file = tmp_path / "id"
    file.write_bytes(GOOD[what])
    assert read_key(file).get_fingerprint() in {
        k.get_fingerprint() for k in (LOGIN, RSA, KEYS["ecdsa"])
    }


def _folder(file: Path) -> None:
    file.mkdir()


def _fifo(file: Path) -> None:
    os.mkfifo(file)


def _socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(file))


def _dangling(file: Path) -> None:
    file.symlink_to("nowhere")


def _loop(file: Path) -> None:
    file.symlink_to(file)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_folder, "a folder"),
        (_fifo, "a pipe, socket or device, not a file"),
        (_socket, "a pipe, socket or device, not a file"),
        (_dangling, "a link to a file that does not exist"),
        (_loop, "a link that leads to itself"),
        (lambda _: None, "there is no such file"),
    ],
)
def test_what_is_no_file_is_named_and_never_waited_for(
    tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    make(tmp_path / "id")
    assert said in str(refusal(tmp_path / "id"))


def test_a_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "id").write_bytes(OPENSSH)
    assert "a path through something that is not a folder" in str(refusal(tmp_path / "id" / "key"))


def _as_nobody(file: Path) -> str:
    """Print what a user without permissions gets, in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        os.close(reading)
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            read_key(file)
            result = "it was read"
        except Refused as error:
            result = f"{error} | {error.remedy}"
        os.write(writing, result.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as said_by_it:
        text = said_by_it.read().decode()
    os.waitpid(child, 0)
    return text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_file_of_another_user_is_named_with_owner_and_mode(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and "pytest" in str(folder):
            folder.chmod(0o755)
    file = tmp_path / "id"
    file.write_bytes(OPENSSH)
    file.chmod(0o600)
    output = _as_nobody(file)
    assert "may not read it: it belongs to root, mode 600" in output
    assert f"chown nobody {file}; chmod 600 {file}" in output
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "id").write_bytes(OPENSSH)
    assert "may not enter the folder that it is in" in _as_nobody(closed / "id")


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(
        [*GOOD.values(), *(content for content, *_ in BAD.values() if len(content) < LARGEST)]
    ),
    st.data(),
)
def test_whatever_stands_in_a_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, max(len(content) - 1, 0)))
    changed = (
        content[:at]
        + data.draw(st.binary(max_size=8))
        + content[at + data.draw(st.integers(0, 8)) :]
    )
    file = tmp_path_factory.mktemp("key") / "id"
    file.write_bytes(changed)
    with contextlib.suppress(Refused):
        assert read_key(file).get_algorithm()


def test_a_bad_key_file_is_reported_by_ssh_itself(tmp_path: Path) -> None:
    file = tmp_path / "id.pub"
    file.write_bytes(LOGIN.export_public_key())
    error = asyncio.run(_trouble(SshClient("root", 1, str(file), None, MemoryPins())))
    assert str(error) == f"ssh key {file}: a public key"
