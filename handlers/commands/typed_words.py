"""Typed text becomes words: blanks, dashes and quotation marks as phones and keyboards write them.

Marks inside quotes stay as they were typed. Pure.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from services.common.errors import Refused

# Drawn as a blank, although Unicode counts them as letters or symbols.
BLANKS = "\u115f\u1160\u180e\u2800\u3164\uffa0"
# Dashes beside those of Unicode's category of dashes.
DASHES = "\u2212\u2043\u02d7"
# Not drawn, although Unicode counts them as marks or as symbols.
NOT_DRAWN = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
SHORT_DASHES = "-\u2010\u2011\ufe63\uff0d"
APOSTROPHES = "'’‘‛＇ʼ"
DOUBLE = '"“”„‟＂〝〞〟❝❞'
# By opening mark: its usual closing marks, then those that it is closed with by mistake.
CLOSING: Mapping[str, tuple[str, ...]] = {
    '"': ('"', "”“"),
    "“": ("”", '"', "“"),
    "”": ("”", '"'),
    "„": ("“”", '"'),
    "‟": ("”", '"'),
    "＂": ("＂", '"'),
    "〝": ("〞〟",),
    "❝": ("❞",),
    "«": ("»",),
    "»": ("«", "»"),
    "「": ("」",),
    "『": ("』",),
    "‹": ("›",),
    "›": ("‹", "›"),
    "'": ("'", "’"),
    "‘": ("’", "'", "‘"),
    "‚": ("‘’",),
    "‛": ("’",),
    "’": ("’", "'"),
    "＇": ("＇",),
    "❛": ("❜",),
}
# Blanks between these and the text are part of how they are written.
ANGLES = "«»‹›"
CODE = re.compile(r"(`+|\*|_|~)(.+)\1", re.DOTALL)
FENCED = re.compile(r"```(.*)```", re.DOTALL)
AGAIN = re.compile(r"(?:/?openvidu|openvidu-bot|@openvidu[\w.-]*)(?=[\s,:;]|$)", re.IGNORECASE)
SPEECH = re.compile(r"^[\s,:;.!]+")
NOT_CLOSED = 'a quote is not closed; write it as in `--reason "power work in ams3"`'


@dataclass(frozen=True)
class Word:
    """One word. `plain`: how many of its first characters were typed outside of quotes."""

    text: str
    plain: int

    @property
    def is_option(self) -> bool:
        """Return whether it begins with `--` outside of quotes."""
        return self.plain >= 2 and self.text.startswith("--") and self.text != "--"


def split_words(text: str) -> list[Word]:
    """Split typed text into words. Refused when a quote is not closed."""
    # Slack sends these three characters escaped.
    typed = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return _Splitter(_without_speech(typed)).words()


def _without_speech(text: str) -> str:
    """Remove what stands around a command: code marks, `/openvidu` again, `@bot:`."""
    before = None
    while text != before:
        before = text
        text = NOT_DRAWN.sub("", text).strip().strip(BLANKS)
        if fenced := FENCED.fullmatch(text):
            text = fenced[1]
        elif (code := CODE.fullmatch(text)) and code[1][0] not in code[2]:
            text = code[2]
        if again := AGAIN.match(text):
            text = text[again.end() :]
        text = SPEECH.sub("", text)
    return text


def is_blank(char: str) -> bool:
    """Return whether a character parts words."""
    return char.isspace() or char in BLANKS


def is_dash(char: str) -> bool:
    """Return whether a character is any kind of hyphen, dash or minus."""
    return char in DASHES or unicodedata.category(char) == "Pd"


def is_hidden(char: str) -> bool:
    """Return whether a character is drawn as nothing at all."""
    return unicodedata.category(char) in ("Cf", "Cc") or bool(NOT_DRAWN.match(char))


class _Splitter:
    """Reads one text from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._words: list[Word] = []
        self._word = ""  # as read so far
        self._plain: int | None = None  # its length before its first quote
        self._begun = False  # a word was begun, if only by an empty quote
        self._after_quote = False

    def words(self) -> list[Word]:
        """Return the words."""
        while self._at < len(self._text):
            self._step(self._text[self._at])
        self._end_word()
        return self._words

    def _step(self, char: str) -> None:
        if is_blank(char):
            self._end_word()
            self._at += 1
        elif is_hidden(char):
            self._at += 1
        elif char in CLOSING and self._may_open(char):
            self._quote(char)
        elif is_dash(char):
            self._dashes()
        elif char == "\\" and self._next() and self._next() in (*CLOSING, "\\"):
            self._add(self._next(), 2)
        else:
            self._add(char, 1)

    def _next(self) -> str:
        return self._text[self._at + 1 : self._at + 2]

    def _add(self, text: str, read: int) -> None:
        self._word += text
        self._at += read
        self._begun, self._after_quote = True, False

    def _end_word(self) -> None:
        if self._begun and self._plain is None:
            word = self._word
            if len(word) > 2 and word[0] == word[-1] == "`":
                word = word.strip("`")
            self._words.append(Word(word, len(word)))
        elif self._begun:
            self._words.append(Word(self._word, self._plain or 0))
        self._word, self._plain = "", None
        self._begun = self._after_quote = False

    # Quotes

    def _may_open(self, mark: str) -> bool:
        """Return whether a mark opens a quote here. A single one inside a word is an apostrophe."""
        at_edge = not self._begun or self._after_quote or self._word.endswith(("=", "`"))
        return at_edge or mark in DOUBLE

    def _quote(self, opening: str) -> None:
        end = self._closing(opening)
        if end < 0:
            raise Refused(NOT_CLOSED)
        inner = self._text[self._at + 1 : end]
        if opening in ANGLES:
            inner = inner.strip()
        if opening == '"':
            inner = re.sub(r'\\(["\\])', r"\1", inner)
        if self._plain is None:
            self._plain = len(self._word)
        self._word += inner
        self._at = end + 1
        self._begun = self._after_quote = True

    def _closing(self, opening: str) -> int:
        """Return where a quote ends: at its usual closing mark, else at one like it; -1 nowhere."""
        for marks in CLOSING[opening]:
            for at in range(self._at + 1, len(self._text)):
                if self._ends(opening, marks, at):
                    return at
        return -1

    def _ends(self, opening: str, marks: str, at: int) -> bool:
        if self._text[at] not in marks:
            return False
        if opening == marks == '"':
            return self._is_not_escaped(at)
        if opening == marks == "'":
            return self._is_no_apostrophe(at)
        return self._ends_word(at)

    def _ends_word(self, at: int) -> bool:
        after = self._text[at + 1 : at + 2]
        return not after or is_blank(after) or after in ",.;:!?"

    def _is_not_escaped(self, at: int) -> bool:
        before = self._text[self._at + 1 : at]
        return (len(before) - len(before.rstrip("\\"))) % 2 == 0

    def _is_no_apostrophe(self, at: int) -> bool:
        return not (self._text[at - 1 : at].isalnum() and self._text[at + 1 : at + 2].isalpha())

    # Dashes

    def _dashes(self) -> None:
        """Read dashes: before a letter two of them, before a number one; alone as they were."""
        end = self._at
        while end < len(self._text) and (is_dash(self._text[end]) or is_hidden(self._text[end])):
            end += 1
        run = "".join(c for c in self._text[self._at : end] if not is_hidden(c))
        after = self._text[end : end + 1]
        self._add(self._meant(run, after), end - self._at)

    def _meant(self, run: str, after: str) -> str:
        if self._begun:
            return "-" * len(run)
        if not after or is_blank(after):
            return run
        if after.isdigit():
            return "-" * len(run)
        if len(run) > 1 or run not in SHORT_DASHES:
            return "-" * max(2, len(run))
        return "-"


def quote_word(text: str) -> str:
    """Return text such that `split_words` reads it as one word, unchanged."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def without_final_stop(words: list[Word]) -> list[Word]:
    """Remove one full stop or question mark that ends the line, as phones write it."""
    if not words or words[-1].plain < len(words[-1].text):
        return words
    stripped = re.sub(r"(?<=[\w])[.!?]$", "", words[-1].text)
    return [*words[:-1], Word(stripped, len(stripped))]
