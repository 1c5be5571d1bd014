"""The webhooks of `livekit.yaml`: listed, added and removed as lines, without touching others."""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from services.common.errors import Refused
from services.config_files.checks import parsed
from services.config_files.masking import shown_url

API_KEY = "${openvidu.LIVEKIT_API_KEY:?mandatory}"
LONGEST_URL = 2000
MOST_WEBHOOKS = 20
BY_HAND = "[[command config file edit livekit.yaml webhook]] edits that section"
_TOP = re.compile(r"[^\s#-]")
_URLS = re.compile(r"(?P<indent> +)urls:\s*(?P<rest>\[\s*\])?\s*(?:#.*)?")
_ITEM = re.compile(r"(?P<indent> *)- +(?P<url>\S.*?)\s*(?:\s#.*)?")
_FORBIDDEN = re.compile(r"[\s\"'`<>{}|\\^\[\]#,]")


@dataclass(frozen=True)
class Webhook:
    """One URL of the list. `shown`: without what may be secret."""

    number: int
    line: int
    url: str = field(repr=False)

    @property
    def shown(self) -> str:
        """The URL without what may be secret."""
        return shown_url(self.url)

    @property
    def is_internal(self) -> bool:
        """Whether a module of OpenVidu listens there."""
        return "${openvidu." in self.url


@dataclass(frozen=True)
class _Section:
    """Where the section is: the lines of `webhook:`, of its end, and of `urls:`; -1: none."""

    top: int
    end: int
    urls: int


def webhooks(text: str) -> tuple[Webhook, ...]:
    """Return the webhooks of a file. Refused where the list is not written line by line."""
    lines = text.split("\n")
    section = _section(lines)
    found = [
        Webhook(number, line, url) for number, (line, url) in enumerate(_items(lines, section), 1)
    ]
    try:
        listed = ((parsed(text) or {}).get("webhook") or {}).get("urls") or []
    except (ValueError, AttributeError):
        raise Refused(f"livekit.yaml is not valid YAML. {BY_HAND}") from None
    if not isinstance(listed, list) or len(listed) != len(found):
        raise Refused(f"its webhooks are not written one per line. {BY_HAND}")
    return tuple(found)


def url_problem(url: str) -> str:
    """Return why a URL cannot be a webhook; "" if it can. Never the URL."""
    if len(url) > LONGEST_URL:
        return f"a URL has at most {LONGEST_URL} characters"
    if not url.isascii() or not url.isprintable() or _FORBIDDEN.search(url):
        return "a URL has no blanks, quotes, brackets, commas or other special characters"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "that is not a URL"
    if parts.scheme not in ("https", "http"):
        return "a webhook begins with https:// or http://"
    if not host or port == 0:
        return "the URL needs a host"
    if not re.fullmatch(r"[A-Za-z0-9.:_-]+", host):
        return "the host has characters that no host has"
    return ""


def added(text: str, url: str) -> str:
    """Return the file with one webhook more, at the end of the list."""
    existing = webhooks(text)
    if any(hook.url == url for hook in existing):
        raise Refused("that webhook is already there. Nothing was changed")
    if len(existing) >= MOST_WEBHOOKS:
        raise Refused(f"there are {len(existing)} webhooks already. Remove one first")
    lines = text.split("\n")
    section = _section(lines)
    if section.top < 0:
        while lines and not lines[-1].strip():
            lines.pop()
        block = ["webhook:", f"    api_key: {API_KEY}", "    urls:", f"        - {url}", ""]
        new = [*lines, *block]
    elif section.urls < 0:
        new = [*lines[: section.end], "    urls:", f"        - {url}", *lines[section.end :]]
        indent = _indent_below(lines, section)
        new[section.end] = f"{indent}urls:"
        new[section.end + 1] = f"{indent}  - {url}"
    else:
        at = existing[-1].line + 1 if existing else section.urls + 1
        head = _URLS.fullmatch(lines[section.urls])
        assert head is not None, "_section() found it with this expression"
        indent = f"{head['indent']}  "
        if existing and (item := _ITEM.fullmatch(lines[existing[-1].line])):
            indent = item["indent"]
        if head["rest"]:
            lines[section.urls] = f"{head['indent']}urls:"
        new = [*lines[:at], f"{indent}- {url}", *lines[at:]]
    return _checked(new, [*(hook.url for hook in existing), url])


def removed(text: str, number: int) -> str:
    """Return the file without that webhook."""
    existing = webhooks(text)
    hook = next((hook for hook in existing if hook.number == number), None)
    if hook is None:
        raise Refused("there is no webhook of that number: [[command webhook list]]")
    lines = text.split("\n")
    del lines[hook.line]
    left = [other.url for other in existing if other is not hook]
    if not left:
        section = _section(lines)
        indent = _indent_below(lines, section)
        lines[section.urls] = f"{indent}urls: []"
    return _checked(lines, left)


def _checked(lines: list[str], urls: list[str]) -> str:
    """Return the new text, if its list is the one that is meant and was read back as such."""
    text = "\n".join(lines)
    if [hook.url for hook in webhooks(text)] != urls:
        raise Refused(f"the list could not be changed line by line. {BY_HAND}")
    return text


def _section(lines: list[str]) -> _Section:
    top = next((n for n, line in enumerate(lines) if re.match(r"webhook:\s*(#.*)?$", line)), -1)
    if top < 0:
        return _Section(-1, -1, -1)
    end = next((n for n in range(top + 1, len(lines)) if _TOP.match(lines[n])), len(lines))
    while end > top + 1 and not lines[end - 1].strip():
        end -= 1
    urls = next((n for n in range(top + 1, end) if _URLS.fullmatch(lines[n])), -1)
    return _Section(top, end, urls)


def _items(lines: list[str], section: _Section) -> list[tuple[int, str]]:
    if section.urls < 0:
        return []
    depth = len(lines[section.urls]) - len(lines[section.urls].lstrip())
    items = []
    for number in range(section.urls + 1, section.end):
        line = lines[number]
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        item = _ITEM.fullmatch(line)
        if item is None or len(item["indent"]) < depth:
            break
        items.append((number, item["url"].strip("\"'")))
    return items


def _indent_below(lines: list[str], section: _Section) -> str:
    for line in lines[section.top + 1 : section.end]:
        if line.strip() and not line.lstrip().startswith("#"):
            return line[: len(line) - len(line.lstrip())]
    return "    "
