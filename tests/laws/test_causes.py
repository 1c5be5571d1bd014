"""Causes of failed calls: for every exception of every client library, without their texts."""

import errno
import inspect
import os
import socket
import ssl
from types import ModuleType

import aiohttp
import asyncssh
import azure.core.exceptions
import botocore.exceptions
import pytest
import redis.exceptions
import slack_sdk.errors
from hypothesis import given
from hypothesis import strategies as st

from services.common.causes import (
    ANSWERS,
    NUMBERS,
    SILENCES,
    VAGUE,
    Cause,
    cause_of,
    is_certificate_error,
)

SECRET = "hunter2hunter2"
LIBRARIES: tuple[ModuleType, ...] = (
    aiohttp.client_exceptions,
    aiohttp.http_exceptions,
    asyncssh.misc,
    azure.core.exceptions,
    botocore.exceptions,
    redis.exceptions,
    slack_sdk.errors,
)
BUILTIN = (
    ConnectionResetError,
    ConnectionAbortedError,
    BrokenPipeError,
    TimeoutError,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    TypeError,
)


def own_exceptions(library: ModuleType) -> set[type[Exception]]:
    top = library.__name__.partition(".")[0]
    found: list[type] = [c for _, c in inspect.getmembers(library, inspect.isclass)]
    return {c for c in found if issubclass(c, Exception) and c.__module__.startswith(top)}


CLASSES: list[type[Exception]] = sorted(
    {*BUILTIN, *(c for m in LIBRARIES for c in own_exceptions(m))}, key=str
)
NETWORKED = [
    c
    for c in CLASSES
    if issubclass(
        c, azure.core.exceptions.AzureError | redis.exceptions.RedisError | aiohttp.ClientError
    )
]
OSERRORS = [n for n in errno.errorcode if n]


def made(kind: type[Exception]) -> Exception:
    """Return an exception of that class, with a text that must not be repeated."""
    error = kind.__new__(kind)
    error.args = (f"cannot reach redis://:{SECRET}@host with {SECRET}",)
    return error


def is_said(cause: Cause, error: BaseException) -> None:
    """Words of the bot's own, and what to do."""
    assert SECRET not in f"{cause.text} {cause.remedy}"
    assert cause.remedy
    assert " " in cause.text, "a word alone says nothing"
    assert cause.text != type(error).__name__
    assert "\n" not in cause.text


@pytest.mark.parametrize("kind", CLASSES, ids=lambda c: f"{c.__module__}.{c.__name__}")
def test_every_exception_has_a_cause_and_a_remedy(kind: type[Exception]) -> None:
    is_said(cause_of(made(kind)), made(kind))


@pytest.mark.parametrize("kind", NETWORKED)
@pytest.mark.parametrize(
    "beneath",
    [
        ConnectionRefusedError(errno.ECONNREFUSED, SECRET),
        socket.gaierror(socket.EAI_NONAME, SECRET),
    ],
)
def test_the_nested_exception_decides_where_there_was_no_answer(
    kind: type[Exception], beneath: OSError
) -> None:
    outer = made(kind)
    outer.__cause__ = beneath
    cause = cause_of(outer)
    is_said(cause, outer)
    answered = any(
        f"{c.__module__.partition('.')[0]}.{c.__name__}" in ANSWERS for c in kind.__mro__
    )
    proxied = "Proxy" in kind.__name__
    wanted = "connection refused" if isinstance(beneath, ConnectionRefusedError) else "no such host"
    assert answered or wanted in cause.text
    assert not proxied or "proxy" in cause.text


@given(st.sampled_from(OSERRORS))
def test_numbers_of_the_system(number: int) -> None:
    error = OSError(number, f"{os.strerror(number)} {SECRET}")
    is_said(cause_of(error), error)
    if number in NUMBERS:
        assert cause_of(error) == NUMBERS[number]


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("WRONG_VERSION_NUMBER", "TLS mismatch: that port answers without TLS"),
        ("RECORD_LAYER_FAILURE", "TLS mismatch: that port answers without TLS"),
        ("UNSUPPORTED_PROTOCOL", "TLS mismatch: no version or cipher in common"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "TLS mismatch: no version or cipher in common"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "TLS mismatch: it requires a client certificate"),
        ("TLSV1_ALERT_INTERNAL_ERROR", "it refused the TLS handshake (internal error)"),
        ("TLSV1_UNRECOGNIZED_NAME", "it refused the TLS handshake (unrecognized name)"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "it refused the TLS handshake (handshake failure)"),
        ("SOMETHING_ELSE", "it refused the TLS handshake"),
        (None, "it refused the TLS handshake"),
    ],
)
def test_what_openssl_says(reason: str | None, said: str) -> None:
    error = ssl.SSLError(1, SECRET)
    error.reason = reason  # type: ignore[assignment]
    assert cause_of(error).text == said


def test_a_certificate_beneath_a_library_s_own_error_is_seen() -> None:
    inner = ssl.SSLCertVerificationError(1, SECRET)
    inner.verify_code, inner.verify_message = 10, "certificate has expired"
    outer = botocore.exceptions.SSLError(endpoint_url="https://x", error=inner)
    assert cause_of(outer).text == "certificate expired"
    assert is_certificate_error(outer)
    assert not is_certificate_error(ConnectionRefusedError())


def test_files() -> None:
    assert cause_of(PermissionError(errno.EACCES, SECRET)).text.startswith("no permission")
    assert cause_of(FileNotFoundError(errno.ENOENT, SECRET)).text.startswith("no such file")


def test_an_error_that_goes_round_in_circles_comes_to_an_end() -> None:
    first, second = RuntimeError(SECRET), RuntimeError(SECRET)
    first.__cause__, second.__cause__ = second, first
    is_said(cause_of(first), first)
    assert "builtins.RuntimeError" in cause_of(first).text


def test_no_class_stands_in_two_tables() -> None:
    assert len({*ANSWERS, *SILENCES, *VAGUE}) == len(ANSWERS) + len(SILENCES) + len(VAGUE)
