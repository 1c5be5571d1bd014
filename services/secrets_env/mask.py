"""Keeps known secrets out of a text: as they are, quoted for a URL, escaped for JSON or Slack, and in base64."""

import base64
import html
import json
import urllib.parse
from collections.abc import Iterable, Iterator

MASK = "•••"
SHORTEST = 6  # shorter ones are found in ordinary words, and a text full of dots helps nobody


class Masker:
    """Made once for a set of secrets, then used for many texts. Its repr does not hold them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        self._forms = tuple(sorted(form for form in forms if len(form) >= SHORTEST))

    def __repr__(self) -> str:
        return f"Masker({len(self._forms)} forms)"

    def __call__(self, text: str) -> str:
        """The text with every secret replaced. Secrets that overlap are replaced as one, so that no end of one is left."""
        spans = sorted(span for form in self._forms if form in text for span in _found(form, text))
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
    """The text with every secret replaced. For more than one text make a `Masker`."""
    return Masker(secrets)(text)


def _found(form: str, text: str) -> Iterator[tuple[int, int]]:
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
        yield _small_escapes(quoted)
    for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
        yield alphabet(raw).decode()
        yield from _inside_base64(raw, alphabet is base64.urlsafe_b64encode)


def _inside_base64(raw: bytes, urlsafe: bool) -> Iterator[str]:
    """The characters that base64 of any text around the secret must have, for its three alignments: `user:secret` in a header, say."""
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    for before in range(3):
        whole = encode(b"\0" * before + raw).decode()
        yield whole[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6]


def _small_escapes(quoted: str) -> str:
    head, *rest = quoted.split("%")
    return head + "".join(f"%{piece[:2].lower()}{piece[2:]}" for piece in rest)
