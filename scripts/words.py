"""Checks what people read against the word list: `python -m scripts.words [FILE ...]`.

Goldens of cards, views and answers, the reference, and the text literals of the source. Without
files: all of them. In what Slack shows, a sentence has at most 20 words.
"""

import ast
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.word_list import EVERYWHERE, SHOWN

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "laws" / "golden"
REFERENCE = ROOT / "docs" / "reference"
SOURCES = ("bot", "config", "handlers", "services")
MAX_WORDS = 20

WORDS = EVERYWHERE + SHOWN
PATTERN = re.compile("|".join(rf"(?P<w{n}>\b(?:{w})\b)" for n, (w, _) in enumerate(WORDS)), re.I)

# Sentences that are not held to the list, each with the reason.
EXCEPTIONS = (
    (r"\bclaim:", "a key of the state store"),
    (r"^echo |\becho \"", "part of a script on the nodes"),
    (r"^(break-glass |cancel )?asked for$", "stored in audits; people read `action_text`"),
    (r"then serve$", "commands of the terminal"),
    (r"token rotation must be off|watchdog is off", "no droplet is meant"),
    (r"^asked again at ", "stored, and compared at each start; a new text would be an entry"),
)
EXCEPTED = re.compile("|".join(pattern for pattern, _ in EXCEPTIONS))

CODE = re.compile(r"``[^`]*``|`[^`\n]*`|\bopenvidu-bot [a-z]+")
MARK = re.compile(r"<[^<>\s][^<>]*>|\[\[[^\[\]]*\]\]|:[a-z_]+:")
SENTENCE_END = re.compile(r"(?<=[.?!:;])[*_]?\s+|\n|\s[·—▸○✓]\s|\s\|\s|  +")
WORD = re.compile(r"\w[\w'’:,./%$-]*")


@dataclass(frozen=True)
class Problem:
    """What is wrong in a sentence, and what to write instead."""

    place: str
    text: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}\n    {self.sentence}"


@dataclass(frozen=True)
class Literal:
    """A text literal of the source. `{}` stands for each value put into it."""

    place: str
    text: str


def main() -> int:
    """Check the files of the command line, or all; return 1 for problems."""
    files = [Path(name).resolve() for name in sys.argv[1:]] or list(everything())
    found = [problem for file in files for problem in check(file)]
    literals = list(source_literals()) if any(f.suffix != ".py" for f in files) and found else []
    for problem in found:
        print(problem)
        for place in sources_of(problem.sentence, literals):
            print(f"    from {place}")
    print(f"{len(found)} problems")
    return int(bool(found))


def everything() -> Iterator[Path]:
    """Yield every file that is checked."""
    yield from goldens()
    yield from held_sources()


def goldens() -> Iterator[Path]:
    """Yield the goldens and the reference."""
    yield from sorted(p for p in GOLDEN.rglob("*") if p.suffix in (".json", ".txt"))
    yield from sorted(REFERENCE.glob("*.md"))


def held_sources() -> Iterator[Path]:
    """Yield the source files whose texts are held to the list."""
    for folder in SOURCES:
        yield from sorted((ROOT / folder).rglob("*.py"))


def check(file: Path) -> list[Problem]:
    """Return the problems of a golden, a document or a source file."""
    name = str(file.relative_to(ROOT))
    if file.suffix == ".py":
        return [
            problem
            for literal in literals_of(file)
            for problem in words_in(literal.place, literal.text)
        ]
    content = file.read_text("utf-8")
    if file.suffix == ".json":
        texts = dict.fromkeys(texts_of(json.loads(content)))
        found = [p for text in texts for p in (*words_in(name, text), *long_in(name, text))]
    else:
        found = list(words_in(name, re.sub(r"(?<=\S)\n(?=\S)", " ", content)))
    return list({(p.text, p.sentence): p for p in found}.values())


def texts_of(value: object) -> Iterator[str]:
    """Yield every text that Slack shows."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "text" and isinstance(inner, str):
                yield inner
            else:
                yield from texts_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_of(inner)


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text; a mark counts as one word, code as none or one."""
    for part in SENTENCE_END.split(CODE.sub("CODE", MARK.sub("NAME", text))):
        if part and not EXCEPTED.search(part):
            yield part.strip()


def words_in(place: str, text: str) -> Iterator[Problem]:
    """Yield the words of the list in a text."""
    for sentence in sentences(text):
        for match in PATTERN.finditer(sentence):
            instead = WORDS[int(str(match.lastgroup)[1:])][1]
            yield Problem(place, f"“{match[0].strip()}”: write {instead}", sentence)


def long_in(place: str, text: str) -> Iterator[Problem]:
    """Yield the sentences of more than 20 words."""
    for sentence in sentences(text):
        number = len(WORD.findall(sentence))
        if number > MAX_WORDS:
            yield Problem(place, f"{number} words in a sentence; at most {MAX_WORDS}", sentence)


def literals_of(file: Path) -> Iterator[Literal]:
    """Yield the text literals of a source file that may be shown: prose, without docstrings."""
    name = str(file.relative_to(ROOT))
    for node in _strings(ast.parse(file.read_text("utf-8"))):
        text = _text_of(node)
        if " " in text.strip():
            yield Literal(f"{name}:{node.lineno}", text)


def _strings(tree: ast.AST) -> Iterator[ast.Constant | ast.JoinedStr]:
    """Yield the string literals below a node, without docstrings and the parts of f-strings."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Expr(ast.Constant(str())):
                continue
            case ast.Constant(str()):
                yield node
            case ast.JoinedStr():
                yield node
                for part in node.values:
                    if isinstance(part, ast.FormattedValue):
                        yield from _strings(part)
            case _:
                yield from _strings(node)


def _text_of(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values)


def source_literals() -> Iterator[Literal]:
    """Yield the text literals of the whole product."""
    for file in held_sources():
        yield from literals_of(file)


def sources_of(sentence: str, literals: Iterable[Literal], most: int = 3) -> list[str]:
    """Return the places whose literal has a part of at least three words of this sentence."""
    found = []
    plain = sentence.casefold()
    for literal in literals:
        parts = re.split(r"\{\}|[.;:]\s|\n", literal.text)
        matching = [p for p in parts if len(p.split()) >= 3 and p.strip().casefold() in plain]
        if matching:
            found.append((max(len(p) for p in matching), literal.place))
    return [place for _, place in sorted(found, reverse=True)[:most]]


if __name__ == "__main__":
    sys.exit(main())
