"""The words after a command: plain ones, and options with their values. Pure."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from handlers.commands.catalog import OPTIONS
from handlers.commands.typed_words import Word
from handlers.slack.blocks import escape, truncate
from services.common.errors import Refused

WITH_VALUE = tuple(name for name, (value, _) in OPTIONS.items() if value)
TIME = re.compile(r"\d{1,2}:\d{2}|\d{1,2}:\d{2}[ap]m|\d{1,2}\s?[aph]m?|noon|midnight|utc", re.I)
AT = re.compile(r"[\w:,. +-]{1,40}")
# A name, a size, a time: nothing that formats or mentions.
PLAIN = re.compile(r"\$?[\w.,:;@/+=#%-]{1,80}")


@dataclass
class TypedLine:
    """The plain words and the options after a command.

    `tail`: plain words right after the value of `--reason`: it lacked quotes.
    """

    plain: list[str]
    options: dict[str, str] = field(default_factory=dict)
    tail: list[str] = field(default_factory=list)


def read_line(
    words: Sequence[Word], *, all_options: bool, with_value: Collection[str] = ()
) -> TypedLine:
    """Separate plain words from options.

    Unless `all_options`, only those that every command knows are taken out; everything else stays
    as it is. `with_value`: options of the command itself that a value follows.
    """
    line, left = TypedLine([]), _LineReader(words)
    in_reason = False
    for word in left:
        name = _option_name(word)
        if not word.is_option or (not all_options and name not in OPTIONS):
            line.plain.append(word.text)
            if in_reason:
                line.tail.append(word.text)
            continue
        value = _option_value(word, name, left, (*WITH_VALUE, *with_value))
        _add_option(line.options, name, value)
        in_reason = name == "reason"
    return line


class _LineReader(Iterator[Word]):
    """Words, of which an option takes those of its value."""

    def __init__(self, words: Sequence[Word]) -> None:
        self._words = list(words)

    def __next__(self) -> Word:
        if not self._words:
            raise StopIteration
        return self._words.pop(0)

    def value(self, name: str) -> str:
        """Take the value of an option: one word; of `--at` also the time after the day."""
        if not self._words or self._words[0].is_option:
            return ""
        taken = [self._words.pop(0).text]
        while name == "at" and self._words and TIME.fullmatch(self._words[0].text):
            taken.append(self._words.pop(0).text)
        if name != "cluster":
            return " ".join(taken)
        # People put a blank after a comma.
        while self._words and (taken[-1].endswith(",") or self._words[0].text.startswith(",")):
            taken.append(self._words.pop(0).text)
        return "".join(taken)


def _option_name(word: Word) -> str:
    return word.text[2:].partition("=")[0].casefold().replace("_", "-")


def _option_value(word: Word, name: str, left: _LineReader, with_value: Collection[str]) -> str:
    """Return the value of `NAME=VALUE`, or of `NAME` and the words after it."""
    _, equals, value = word.text.partition("=")
    if name not in with_value:
        if equals:
            raise Refused(f"--{echo(name)} takes no value")
        return ""
    if not equals:
        value = left.value(name)
    if not value:
        raise Refused(f"--{name} needs a value after it")
    return _checked(name, value)


def _add_option(options: dict[str, str], name: str, value: str) -> None:
    """Add an option. Refused where it is there already with another value."""
    before = options.setdefault(name, value)
    if before == value:
        return
    if name == "reason":
        raise Refused("`--reason` is given twice; write one reason")
    raise Refused(f"`--{name}` is given twice, as “{before}” and “{value}”; use one of them")


def _checked(name: str, value: str) -> str:
    """Return the value of an option; Refused when its form is wrong."""
    check = CHECKS.get(name)
    if check is None:
        return value
    return check(value)


def _cluster(name: str) -> str:
    if not PLAIN.fullmatch(name):
        raise Refused(f"--cluster takes a cluster's name, not “{echo(name)}”")
    return name


def _label(name: str) -> str:
    if not PLAIN.fullmatch(name) or "," in name:
        raise Refused(f"--label takes one label, not “{echo(name)}”")
    return name.casefold()


def _number(name: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not re.fullmatch(r"[1-9][0-9]{0,2}", text):
            raise Refused(f"--{name} takes a number from 1 on, not “{echo(text)}”")
        return text

    return check


def _moment(text: str) -> str:
    """Check the form of a time. Its meaning depends on the cluster's time zone."""
    if not AT.fullmatch(text):
        raise Refused(f"--at takes a time such as 22:00 or Fri 22:00, not “{echo(text)}”")
    return text


CHECKS: Mapping[str, Callable[[str], str]] = {
    "cluster": _cluster,
    "label": _label,
    "at-once": _number("at-once"),
    "stop-after": _number("stop-after"),
    "at": _moment,
}


def echo(word: str, most: int = 40) -> str:
    """Return user input, truncated and escaped for echoing in Slack.

    What follows `KEY=` is a value, and is never repeated.
    """
    key, equals, _ = word.partition("=")
    if equals:
        word = f"{key}=…"
    return escape(truncate(word, most))
