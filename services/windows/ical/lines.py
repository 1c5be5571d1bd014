"""Bytes to components: content lines are unfolded, parsed, and nested by BEGIN and END.

A broken line that matters for no date, rule or name is skipped and counted. Half a calendar is
refused.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.common.errors import Refused
from services.windows.ical.names import sanitize_name

MOST_SKIPPED = 1000  # lines
LARGEST = 1_000_000  # bytes; a century of a country's holidays takes a tenth of that
_NAME = re.compile(r"[A-Za-z0-9-]+")
_PARAMETER = re.compile(
    r';\s*([A-Za-z0-9-]+)\s*=\s*((?:"[^"]*"|[^";:,]*)(?:,(?:"[^"]*"|[^";:,]*))*)'
)
_MATTERS = re.compile(
    r"(DTSTART|DTEND|DURATION|RRULE|EXRULE|RDATE|EXDATE|RECURRENCE-ID|SUMMARY)(?![A-Za-z0-9-])",
    re.IGNORECASE,
)
# The components in which those lines matter.
_OF = frozenset({"VEVENT", "STANDARD", "DAYLIGHT"})
_KIND = re.compile(r"[A-Za-z][A-Za-z-]*")
# Their values hold no colon, so the last colon ends the parameters.
_TIMES = frozenset({"DTSTART", "DTEND", "RDATE", "EXDATE", "RECURRENCE-ID"})


@dataclass(frozen=True)
class ContentLine:
    """`NAME;PARAMETER=VALUE:value`, and the line number in the file at which it begins."""

    number: int
    name: str
    parameters: dict[str, str]
    value: str


@dataclass(frozen=True)
class SkippedLine:
    """A line of a calendar that was skipped, and why."""

    line: int
    why: str

    @property
    def words(self) -> str:
        """`line 12: no name and value`."""
        return f"line {self.line}: {self.why}"


@dataclass
class Component:
    """The lines between BEGIN and END, and the components inside."""

    kind: str
    number: int
    lines: list[ContentLine] = field(default_factory=list)
    inside: list["Component"] = field(default_factory=list)

    def lines_named(self, name: str) -> list[ContentLine]:
        """Return its own lines of that name."""
        return [line for line in self.lines if line.name == name]

    def first_line(self, name: str) -> ContentLine | None:
        """Return the first line of that name: later ones do not count."""
        return next((line for line in self.lines if line.name == name), None)

    def walk(self, kind: str) -> Iterator["Component"]:
        """Yield all components of that kind below it."""
        for component in self.inside:
            if component.kind == kind:
                yield component
            yield from component.walk(kind)


def read_components(ics: bytes) -> tuple[Component, list[SkippedLine]]:
    """Return everything in the file below one root, and the skipped lines.

    Refused when it is no calendar, or an incomplete one.
    """
    if len(ics) > LARGEST:
        raise Refused(
            f"a calendar (.ics) of at most {LARGEST // 1_000_000} MB is read, "
            f"and this has {len(ics)} bytes"
        )
    root = Component("", 0)
    stack, skipped = [root], list[SkippedLine]()
    for number, text in _unfolded(_text(ics)):
        line = _line(number, text)
        if line is None or (line.name in ("BEGIN", "END") and not _KIND.fullmatch(line.value)):
            if stack[-1].kind in _OF and _MATTERS.match(text):
                raise Refused(f"line {number} cannot be read: “{sanitize_name(text)}” has no value")
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
        last = stack[-1]
        raise Refused(
            f"this calendar (.ics) is incomplete: {last.kind} of line {last.number} has no end"
        )
    return root, skipped


def _skip(skipped: list[SkippedLine], number: int, why: str) -> None:
    skipped.append(SkippedLine(number, why))
    if len(skipped) > MOST_SKIPPED:
        raise Refused(
            f"this is not a calendar (.ics): more than {MOST_SKIPPED} of its lines cannot be read"
        )


def _text(ics: bytes) -> str:
    if ics.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ics.decode("utf-16", "replace")
    return ics.decode("utf-8-sig", "replace")


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """Yield unfolded lines with their number.

    A line that begins with a blank continues the one before.
    """
    number, parts = 0, list[str]()
    for n, raw in enumerate([*re.split(r"\r\n|\n|\r", text), ""], 1):
        if raw[:1] in (" ", "\t") and parts:
            parts.append(raw[1:])
            continue
        if line := "".join(parts).strip():
            yield number, line
        number, parts = n, [raw]


def _line(number: int, text: str) -> ContentLine | None:
    match = _NAME.match(text)
    if match is None:
        return None
    name = match[0].upper()
    if name in _TIMES:
        # Exchange writes zones like (UTC+01:00) without quotes: the value follows the last colon.
        head, colon, value = text.rpartition(":")
        if not colon or not head:
            return None
        return ContentLine(number, name, _parameters(head[match.end() :]), value.strip())
    at = match.end()
    while (parameter := _PARAMETER.match(text, at)) is not None:
        at = parameter.end()
    if text[at : at + 1] != ":":
        return None
    return ContentLine(number, name, _parameters(text[match.end() : at]), text[at + 1 :].strip())


def _parameters(text: str) -> dict[str, str]:
    if "(" in text and '"' not in text:  # TZID=(UTC+01:00) Amsterdam, Berlin
        name, _, value = text.lstrip(";").partition("=")
        return {name.strip().upper(): value.strip()}
    return {m[1].upper(): m[2].strip('"').strip() for m in _PARAMETER.finditer(text)}


def _begin(stack: list[Component], line: ContentLine) -> None:
    component = Component(line.value.upper(), line.number)
    if len(stack) == 1 and component.kind != "VCALENDAR":
        raise Refused(
            f"this is not a calendar (.ics): line {line.number} "
            f"begins {sanitize_name(component.kind)} outside of it"
        )
    if len(stack) > 20:
        raise Refused(f"this is not a calendar (.ics): line {line.number} is nested too deeply")
    stack[-1].inside.append(component)
    stack.append(component)


def _end(stack: list[Component], line: ContentLine) -> None:
    if len(stack) == 1 or stack[-1].kind != line.value.upper():
        end = f"END:{sanitize_name(line.value)} of line {line.number}"
        raise Refused(f"this is not a calendar (.ics): {end} has no beginning")
    stack.pop()
