"""Bytes to components: content lines put together again, taken apart, and nested as BEGIN and END say.

A line that says nothing about dates, rules or names is passed over when it is broken, and counted. Half a calendar is refused.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.common.errors import Refused
from services.windows.ical.names import harmless

MOST_SKIPPED = 1000  # lines
LARGEST = 1_000_000  # bytes; a country's holidays of a century have a tenth of that
_NAME = re.compile(r"[A-Za-z0-9-]+")
_PARAMETER = re.compile(
    r';\s*([A-Za-z0-9-]+)\s*=\s*((?:"[^"]*"|[^";:,]*)(?:,(?:"[^"]*"|[^";:,]*))*)'
)
_MATTERS = re.compile(
    r"(DTSTART|DTEND|DURATION|RRULE|EXRULE|RDATE|EXDATE|RECURRENCE-ID|SUMMARY)(?![A-Za-z0-9-])",
    re.IGNORECASE,
)
_OF = frozenset({"VEVENT", "STANDARD", "DAYLIGHT"})  # what these lines matter in
_KIND = re.compile(r"[A-Za-z][A-Za-z-]*")
_TIMES = frozenset(
    {"DTSTART", "DTEND", "RDATE", "EXDATE", "RECURRENCE-ID"}
)  # values without a colon, so the last one ends the parameters


@dataclass(frozen=True)
class Line:
    """`NAME;PARAMETER=VALUE:value`, and the number of the line in the file on which it begins."""

    number: int
    name: str
    parameters: dict[str, str]
    value: str


@dataclass(frozen=True)
class Skipped:
    """Something in a calendar that was passed over: the line, and why."""

    line: int
    why: str

    @property
    def words(self) -> str:
        """`line 12: no name and value`."""
        return f"line {self.line}: {self.why}"


@dataclass
class Component:
    """What stands between BEGIN and END, components within it apart."""

    kind: str
    number: int
    lines: list[Line] = field(default_factory=list)
    inside: list["Component"] = field(default_factory=list)

    def all(self, name: str) -> list[Line]:
        """Its own lines of that name."""
        return [line for line in self.lines if line.name == name]

    def first(self, name: str) -> Line | None:
        """The first of them: what is said twice counts once."""
        return next((line for line in self.lines if line.name == name), None)

    def walk(self, kind: str) -> Iterator["Component"]:
        """All components of that kind below it."""
        for component in self.inside:
            if component.kind == kind:
                yield component
            yield from component.walk(kind)


def read_components(ics: bytes) -> tuple[Component, list[Skipped]]:
    """Everything in the file, below one root, and what was passed over. Refused when it is no calendar, or not a whole one."""
    if len(ics) > LARGEST:
        raise Refused(
            f"a calendar (.ics) of at most {LARGEST // 1_000_000} MB is read, and this has {len(ics)} bytes"
        )
    root = Component("", 0)
    stack, skipped = [root], list[Skipped]()
    for number, text in _unfolded(_text(ics)):
        line = _line(number, text)
        if line is None or (line.name in ("BEGIN", "END") and not _KIND.fullmatch(line.value)):
            if stack[-1].kind in _OF and _MATTERS.match(text):
                raise Refused(f"line {number} cannot be read: “{harmless(text)}” has no value")
            _skip(skipped, number, "no name and value")
        elif line.name == "BEGIN":
            _begin(stack, line)
        elif line.name == "END":
            _end(stack, line)
        elif len(stack) > 1:
            stack[-1].lines.append(line)
        else:
            _skip(skipped, number, "outside of the calendar")
    if not any(c.kind == "VCALENDAR" for c in root.inside):
        raise Refused("this is not a calendar (.ics): it has no BEGIN:VCALENDAR")
    if len(stack) > 1:
        raise Refused(
            f"this is not a whole calendar (.ics): {stack[-1].kind} of line {stack[-1].number} has no end"
        )
    return root, skipped


def _skip(skipped: list[Skipped], number: int, why: str) -> None:
    skipped.append(Skipped(number, why))
    if len(skipped) > MOST_SKIPPED:
        raise Refused(
            f"this is not a calendar (.ics): more than {MOST_SKIPPED} of its lines cannot be read"
        )


def _text(ics: bytes) -> str:
    if ics.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ics.decode("utf-16", "replace")
    return ics.decode("utf-8-sig", "replace")


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """Lines with the number of their first; one that begins with a blank goes on with the one before."""
    number, held = 0, list[str]()
    for n, raw in enumerate([*re.split(r"\r\n|\n|\r", text), ""], 1):
        if raw[:1] in (" ", "\t") and held:
            held.append(raw[1:])
            continue
        if line := "".join(held).strip():
            yield number, line
        number, held = n, [raw]


def _line(number: int, text: str) -> Line | None:
    found = _NAME.match(text)
    if found is None:
        return None
    name = found[0].upper()
    if name in _TIMES:
        # Exchange names zones like (UTC+01:00) without quotes: the value is what follows the last colon.
        head, colon, value = text.rpartition(":")
        return (
            Line(number, name, _parameters(head[found.end() :]), value.strip())
            if colon and head
            else None
        )
    at = found.end()
    while (parameter := _PARAMETER.match(text, at)) is not None:
        at = parameter.end()
    if text[at : at + 1] != ":":
        return None
    return Line(number, name, _parameters(text[found.end() : at]), text[at + 1 :].strip())


def _parameters(text: str) -> dict[str, str]:
    if "(" in text and '"' not in text:  # TZID=(UTC+01:00) Amsterdam, Berlin
        name, _, value = text.lstrip(";").partition("=")
        return {name.strip().upper(): value.strip()}
    return {m[1].upper(): m[2].strip('"').strip() for m in _PARAMETER.finditer(text)}


def _begin(stack: list[Component], line: Line) -> None:
    component = Component(line.value.upper(), line.number)
    if len(stack) == 1 and component.kind != "VCALENDAR":
        raise Refused(
            f"this is not a calendar (.ics): line {line.number} begins {harmless(component.kind)} outside of it"
        )
    if len(stack) > 20:
        raise Refused(f"this is not a calendar (.ics): line {line.number} is nested too deeply")
    stack[-1].inside.append(component)
    stack.append(component)


def _end(stack: list[Component], line: Line) -> None:
    if len(stack) == 1 or stack[-1].kind != line.value.upper():
        raise Refused(
            f"this is not a calendar (.ics): END:{harmless(line.value)} of line {line.number} ends nothing"
        )
    stack.pop()
