"""The file itself: read without loss, changed in one line."""

from dataclasses import dataclass, field
from functools import cached_property

from services.common.errors import Refused
from services.secrets_env.keys import KEYS, URLS
from services.secrets_env.lint import lint
from services.secrets_env.problems import Line, Problem, problems


@dataclass(frozen=True, repr=False)
class SecretsFile:
    """The bytes of a `secrets.env`. Replaced, never changed; its repr and its errors never hold a value."""

    data: bytes = field(repr=False)

    def __repr__(self) -> str:
        return f"SecretsFile({len(self.names())} keys)"

    def __bytes__(self) -> bytes:
        return self.data

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Its lines, each with what ends it. Only LF ends a line, as for `read`."""
        pieces = self.data.split(b"\n")
        raws = [piece + b"\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])
        return tuple(Line(number, raw) for number, raw in enumerate(raws, 1))

    def names(self) -> tuple[str, ...]:
        """Its keys, in the order in which they first come."""
        return tuple(dict.fromkeys(line.name for line in self.lines if line.name))

    def value(self, name: str) -> str | None:
        """The value, of the last line that has the key; None if there is none."""
        found = self._last(name)
        return None if found is None else found.value

    def set(self, name: str, value: str) -> "SecretsFile":
        """The file with this key's line replaced (the last one, if it has several: that is the one that counts), or added at the end.

        Everything else stays byte for byte, except what `problems` calls mended: CR LF becomes LF, and the last line gets its end.

        Raises:
            Refused: what `lint` does not let through, with its reason.
        """
        verdict = lint(name, value)
        if not verdict.ok:
            raise Refused(verdict.reason)
        return self._with(name, value)

    def with_fresh_urls(self) -> "SecretsFile":
        """The file with those of the five derived URLs that it has made from its domain again, as nothing on the nodes does it."""
        domain = self.value("DOMAIN_NAME")
        fresh = self
        for name, form in URLS.items():
            if domain and self.value(name) not in {None, form.format(domain)}:
                fresh = fresh._with(name, form.format(domain))
        return fresh

    def problems(self) -> list[Problem]:
        """The hazards it has already."""
        return list(problems(self.lines))

    def secrets(self) -> frozenset[str]:
        """What must not be seen: values of secret keys, and all that is not a known key (comments aside)."""
        found = set()
        for line in self.lines:
            known = KEYS.get(line.name)
            if known is None and not line.text.lstrip().startswith("#"):
                found |= {line.text.strip(), line.value.strip()}
            elif known is not None and known.secret:
                found |= {line.value, line.value.strip().strip("\"'")}
        return frozenset(found - {""})

    def _last(self, name: str) -> Line | None:
        return next((line for line in reversed(self.lines) if line.name == name), None)

    def _with(self, name: str, value: str) -> "SecretsFile":
        raws = [_ended(line.raw) for line in self.lines]
        new = f"{name}={value}\n".encode()
        if (old := self._last(name)) is None:
            raws.append(new)
        else:
            raws[old.number - 1] = new
        return SecretsFile(b"".join(raws))


def _ended(raw: bytes) -> bytes:
    return raw.removesuffix(b"\n").rstrip(b"\r") + b"\n"
