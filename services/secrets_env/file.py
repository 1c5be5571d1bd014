"""The file `secrets.env`: read without loss, changed line by line."""

from dataclasses import dataclass, field, replace
from functools import cached_property

from services.common.errors import Refused
from services.secrets_env.keys import KEYS, URLS
from services.secrets_env.layout import HIGH_AVAILABILITY, SecretsLayout
from services.secrets_env.lint import lint
from services.secrets_env.problems import Line, Problem, problems


@dataclass(frozen=True, repr=False)
class SecretsFile:
    """The bytes of a `secrets.env`, immutable; its repr and errors never contain a value.

    `layout`: what such a file should have, by its deployment.
    """

    data: bytes = field(repr=False)
    layout: SecretsLayout = HIGH_AVAILABILITY

    def __repr__(self) -> str:
        return f"SecretsFile({len(self.names())} keys)"

    def __bytes__(self) -> bytes:
        return self.data

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Return its lines with their line ends. Only LF ends a line, as for the shell's `read`."""
        raws = self.data.split(b"\n")
        last = raws.pop()
        with_ends = [raw + b"\n" for raw in raws]
        if last:
            with_ends.append(last)
        return tuple(Line(number, raw) for number, raw in enumerate(with_ends, 1))

    def names(self) -> tuple[str, ...]:
        """Return its keys, in the order of their first lines."""
        return self._names

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for line in self.lines if (name := line.name)))

    def value(self, name: str) -> str | None:
        """Return the value in the last line with that key; None if there is none."""
        line = self._last(name)
        if line is None:
            return None
        return line.value

    def set(self, name: str, value: str) -> "SecretsFile":
        """Return the file with this key's line replaced, or added at the end.

        Of several lines with the key the last is replaced, as that is the one that counts.
        Everything else stays byte for byte, except that CR LF becomes LF, and a last line without
        an end gets one. Raises Refused, with the reason, for what `lint` does not allow.
        """
        verdict = lint(name, value)
        if not verdict.ok:
            raise Refused(verdict.reason)
        return self._with(name, value)

    def with_version(self, version: str) -> "SecretsFile":
        """Return the file with OpenVidu's version, which only an upgrade changes."""
        return self._with("OPENVIDU_VERSION", version)

    def with_fresh_urls(self) -> "SecretsFile":
        """Return the file with its derived URLs updated from its domain; the nodes do not do it."""
        domain = self.value("DOMAIN_NAME")
        fresh = self
        for name, form in URLS.items():
            if domain and self.value(name) not in {None, form.format(domain)}:
                fresh = fresh._with(name, form.format(domain))
        return fresh

    def problems(self) -> list[Problem]:
        """Return its problems."""
        return list(problems(self.lines, installs=self.layout.installs))

    def secrets(self) -> frozenset[str]:
        """Return what must be masked: values of secret keys, and all lines of unknown kinds."""
        secrets = set()
        for line in self.lines:
            known = KEYS.get(line.name)
            if known is None and not line.text.lstrip().startswith("#"):
                secrets |= {line.text.strip(), line.value.strip()}
            elif known is not None and known.secret:
                secrets |= {line.value, line.value.strip().strip("\"'")}
        return frozenset(secrets - {""})

    def _last(self, name: str) -> Line | None:
        return next((line for line in reversed(self.lines) if line.name == name), None)

    def _with(self, name: str, value: str) -> "SecretsFile":
        raws = [_ended(line.raw) for line in self.lines]
        new = f"{name}={value}\n".encode()
        if (old := self._last(name)) is None:
            raws.append(new)
        else:
            raws[old.number - 1] = new
        return replace(self, data=b"".join(raws))


def _ended(raw: bytes) -> bytes:
    return raw.removesuffix(b"\n").rstrip(b"\r") + b"\n"
