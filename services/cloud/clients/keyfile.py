"""Reads a private key's file, or explains what is wrong with this file and how to fix it.

People configure the public half, a PuTTY file, a folder, a key with a passphrase. asyncssh raises
one error for all of these; this module tells them apart. No content is repeated.
"""

import errno
import os
import pwd
import re
import stat
from pathlib import Path

import asyncssh
from cryptography.exceptions import UnsupportedAlgorithm

from services.common.causes import Cause
from services.common.errors import Refused

# Bytes; the largest keys have a tenth of that.
LARGEST = 64 * 1024
SAVE_AGAIN = "copy the key again with scp, or with a heredoc in a shell"
PRIVATE = "name the private key: usually the same name without .pub"
BASE64_OF_PEM = b"LS0tLS1CRUdJTi"

# What a file may be instead, by its content; the first match counts.
KINDS: tuple[tuple[re.Pattern[bytes], Cause], ...] = tuple(
    (re.compile(pattern, re.MULTILINE), Cause(said, remedy))
    for pattern, said, remedy in (
        (rb"\A(\xff\xfe|\xfe\xff)", "it is in UTF-16, as PowerShell writes files", SAVE_AGAIN),
        (
            rb"\A\xef\xbb\xbf",
            "it begins with a byte order mark, as Windows editors write it",
            "save it as plain ASCII, without BOM",
        ),
        (
            rb"^PuTTY-User-Key-File-",
            "a PuTTY key (.ppk)",
            "convert it: puttygen FILE -O private-openssh -o NEWFILE",
        ),
        (
            rb"^---- BEGIN SSH2 (ENCRYPTED )?PRIVATE KEY",
            "a key in the format of ssh.com",
            "convert it: ssh-keygen -i -f FILE > NEWFILE",
        ),
        (
            rb"\ASSH PRIVATE KEY FILE FORMAT 1",
            "a key of SSH version 1",
            "make a new one: ssh-keygen -t ed25519",
        ),
        (
            rb"-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----.*\\n",
            "its line breaks are written out as \\n",
            SAVE_AGAIN,
        ),
        (
            rb"-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----[ \t]+\S",
            "its line breaks are missing",
            SAVE_AGAIN,
        ),
        (
            rb"^[ \t]+-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----",
            "its lines begin with blanks",
            SAVE_AGAIN,
        ),
        (
            rb"\A(?!(.|\n)*-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----)"
            rb"(.|\n)*?-cert-v01@openssh\.com AAAA",
            "an SSH certificate",
            PRIVATE,
        ),
        (rb"^-----BEGIN PGP ", "a PGP key", "name an SSH key"),
        (rb"\A" + BASE64_OF_PEM, "a key in base64", "decode it: base64 -d FILE > NEWFILE"),
    )
)
WITHOUT_PRIVATE: tuple[tuple[re.Pattern[bytes], Cause], ...] = tuple(
    (re.compile(pattern, re.MULTILINE), Cause(said, remedy))
    for pattern, said, remedy in (
        (rb"\b(ssh-\w+|ecdsa-sha2-\w+|sk-[\w-]+@openssh\.com) AAAA", "a public key", PRIVATE),
        (
            rb"^-----BEGIN ([A-Z0-9]+ )*PUBLIC KEY-----|^---- BEGIN SSH2 PUBLIC KEY",
            "a public key",
            PRIVATE,
        ),
        (
            rb"^-----BEGIN (TRUSTED )?CERTIFICATE-----",
            "a TLS certificate",
            "name an SSH private key",
        ),
        (
            rb"^-----BEGIN ([A-Z0-9]+ )*CERTIFICATE REQUEST-----",
            "a certificate request",
            "name an SSH private key",
        ),
    )
)
BEGINS = re.compile(rb"^-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----", re.MULTILINE)
ENDS = re.compile(rb"^-----END ([A-Z0-9]+ )*PRIVATE KEY-----", re.MULTILINE)
NO_KEY = Cause("not an SSH key", "name the private key of the deployment (<STACK>-ssh-key)")
PASSPHRASE = Cause(
    "it has a passphrase, which the bot cannot enter",
    "make a copy without: cp FILE COPY; ssh-keygen -p -N '' -f COPY",
)
TOKEN = Cause("a key of a hardware token, which must be touched", "use a key without a token")


def read_key(path: Path) -> asyncssh.SSHKey:
    """Return the private key in that file. Refused with what is wrong with it."""
    content = _content(path)
    key = content if isinstance(content, Cause) else _key_in(content)
    if isinstance(key, Cause):
        raise Refused(
            f"ssh key {path}: {key.text}",
            cause=key.text,
            remedy=key.remedy.replace("FILE", str(path)),
        )
    return key


def _content(path: Path) -> bytes | Cause:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return Cause("a folder", "name the file in it")
        if not stat.S_ISREG(status.st_mode):
            return Cause("a pipe, socket or device, not a file", "name a file")
        if status.st_size > LARGEST:
            return Cause(f"too large for a key ({status.st_size // 1024} kB)", NO_KEY.remedy)
        return path.read_bytes()
    except OSError as error:
        return _unreadable(path, error)


def _unreadable(path: Path, error: OSError) -> Cause:
    if isinstance(error, FileNotFoundError):
        if path.is_symlink():
            return Cause("a link to a file that does not exist", "correct the link")
        return Cause(
            "there is no such file", "correct the path; it is relative to the settings file"
        )
    if error.errno == errno.ELOOP:
        return Cause("a link that leads to itself", "correct the link")
    if error.errno == errno.ENOTDIR:
        return Cause("a path through something that is not a folder", "correct the path")
    if isinstance(error, PermissionError):
        return _permission_denied(path)
    return Cause("it cannot be read from the disk", "check the disk")


def _permission_denied(path: Path) -> Cause:
    me = _user_name(os.geteuid())
    try:
        status = path.stat()
    except OSError:
        return Cause(
            f"user {me} may not enter the folder that it is in",
            f"let {me} enter it (chmod +x on each folder above)",
        )
    owner, mode = _user_name(status.st_uid), stat.S_IMODE(status.st_mode)
    why = f"user {me} may not read it: it belongs to {owner}, mode {mode:o}"
    return Cause(why, f"give it to {me}: chown {me} FILE; chmod 600 FILE")


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _key_in(content: bytes) -> asyncssh.SSHKey | Cause:
    if not content.strip(b" \t\r\n\0"):
        return Cause("it is empty", SAVE_AGAIN)
    other = _other_kind(content)
    if other is not None:
        return other
    try:
        key = asyncssh.import_private_key(content)
    except (ValueError, LookupError, TypeError, ArithmeticError, UnsupportedAlgorithm) as error:
        if "passphrase" in str(error).lower() or isinstance(error, asyncssh.KeyEncryptionError):
            return PASSPHRASE
        if BEGINS.search(content):
            return Cause("a private key that is damaged or of an unknown kind", SAVE_AGAIN)
        return NO_KEY
    return TOKEN if key.algorithm.startswith(b"sk-") else key


def _other_kind(content: bytes) -> Cause | None:
    for pattern, cause in KINDS:
        if pattern.search(content):
            return cause
    if BEGINS.search(content) and ENDS.search(content):
        return None
    if BEGINS.search(content):
        return Cause("truncated: its last line is missing", SAVE_AGAIN)
    return next((cause for pattern, cause in WITHOUT_PRIVATE if pattern.search(content)), None)
