"""Masks known secrets in text: plain, URL-quoted, escaped for JSON or Slack, and in base64."""

import base64
import html
import json
import urllib.parse
from collections.abc import Callable, Iterable, Iterator

MASK = "•••"
# Shorter secrets are not masked: they match parts of ordinary words.
SHORTEST = 6


class Masker:
    """Masks a set of secrets in any number of texts. Its repr does not contain them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        self._forms = tuple(sorted(form for form in forms if len(form) >= SHORTEST))

    def __repr__(self) -> str:
        return f"Masker({len(self._forms)} forms)"

    def __call__(self, text: str) -> str:
        """Return the text with every secret replaced; overlapping ones as one, without a rest."""
        spans = sorted(span for form in self._forms if form in text for span in _spans(form, text))
        if not spans:
            return text
        pieces: list[str] = []
        end = 0
        for start, stop in spans:
            if start > end or not pieces:
                pieces += [text[end:start], MASK]
            end = max(end, stop)
        return "".join([*pieces, text[end:]])


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return the text with every secret replaced. For several texts create a `Masker`."""
    return Masker(secrets)(text)


def _spans(form: str, text: str) -> Iterator[tuple[int, int]]:
    start = text.find(form)
    while start >= 0:
        yield start, start + len(form)
        start = text.find(form, start + 1)


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield secret.strip()
    yield html.escape(secret, quote=False)  # as Slack wants text
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    raw = secret.encode(errors="surrogateescape")
    for quoted in (
        urllib.parse.quote(raw, safe=""),
        urllib.parse.quote(raw),
        urllib.parse.quote_plus(raw),
    ):
        yield quoted
        yield _lower_case_escapes(quoted)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode()
        yield from _inside_base64(raw, encode)


def _inside_base64(raw: bytes, encode: Callable[[bytes], bytes]) -> Iterator[str]:
    """Yield the base64 of the secret inside of a longer text, such as `user:secret` in a header.

    For each of the three alignments, only the characters that the text around does not change.
    """
    for bytes_before, first_character in enumerate((0, 2, 3)):
        encoded = encode(b"\0" * bytes_before + raw).decode()
        yield encoded[first_character : (bytes_before + len(raw)) * 8 // 6]


def _lower_case_escapes(quoted: str) -> str:
    head, *rest = quoted.split("%")
    return head + "".join(f"%{piece[:2].lower()}{piece[2:]}" for piece in rest)
