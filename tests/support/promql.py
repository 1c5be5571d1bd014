"""The part of PromQL that our burn-rate rules use, over the series of a `promtool` test.

`promtool test rules` runs the same file; this reads it where Prometheus is not installed.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Labels = tuple[tuple[str, str], ...]
Vector = dict[Labels, float]
Value = float | Vector
TOKEN = re.compile(
    r"\s*(?P<token>[\d.]+(?![\d.]*[smhd]\])|[a-zA-Z_]\w*(?:\{[^}]*\})?(?:\[\w+\])?|[-+*/()><,])"
)
SERIES = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>[^}]*)\})?(?:\[(?P<span>\w+)\])?")
LABEL = re.compile(r'(\w+)="([^"]*)"')
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
STALE = 300.0


@dataclass(frozen=True)
class Series:
    """A series as samples: time in seconds, value."""

    name: str
    labels: Labels
    samples: tuple[tuple[float, float], ...]


def seconds(text: str) -> float:
    return float(text[:-1]) * UNITS[text[-1]]


def series_of(raw: Sequence[Mapping[str, str]], interval: float) -> list[Series]:
    """Return the series of a test, in promtool's notation: `0+60x600`, `1x20`, `_x3`, `5`."""
    found = []
    for one in raw:
        match = SERIES.fullmatch(one["series"])
        assert match, one
        values: list[float | None] = []
        for word in one["values"].split():
            values += _expanded(word)
        samples = tuple((n * interval, v) for n, v in enumerate(values) if v is not None)
        found.append(Series(match["name"], tuple(LABEL.findall(match["labels"] or "")), samples))
    return found


def _expanded(word: str) -> list[float | None]:
    first, _, times = word.partition("x")
    count = int(times) + 1 if times else 1
    if first == "_":
        return [None] * (count - 1 if times else 1)
    start, _, step = first.partition("+")
    return [float(start) + n * float(step or 0) for n in range(count)]


def evaluate(expression: str, series: Sequence[Series], at: float) -> Vector:
    """Return the vector of an expression at a time."""
    tokens = [m["token"] for m in TOKEN.finditer(expression)]
    assert "".join(tokens) == re.sub(r"\s", "", expression), "every character is understood"
    parser = _Parser(tokens, series, at)
    value = parser.conjunction()
    assert parser.done
    assert isinstance(value, dict)
    return value


class _Parser:
    def __init__(self, tokens: list[str], series: Sequence[Series], at: float) -> None:
        self._tokens, self._series, self._at = tokens, series, at
        self._place = 0

    @property
    def done(self) -> bool:
        return self._place == len(self._tokens)

    def _peek(self) -> str:
        return "" if self.done else self._tokens[self._place]

    def _take(self, *wanted: str) -> str:
        token = self._peek()
        assert not wanted or token in wanted, (token, wanted)
        self._place += 1
        return token

    def conjunction(self) -> Value:
        left = self.comparison()
        while self._peek() == "and":
            self._take()
            right = self.comparison()
            assert isinstance(left, dict)
            assert isinstance(right, dict)
            left = {k: v for k, v in left.items() if k in right}
        return left

    def comparison(self) -> Value:
        left = self.sum()
        if self._peek() != ">":
            return left
        self._take()
        right = self.sum()
        assert isinstance(left, dict)
        return {k: v for k, v in left.items() if (limit := _of(right, k)) is not None and v > limit}

    def sum(self) -> Value:
        left = self.product()
        while self._peek() in ("+", "-"):
            add = self._take() == "+"
            left = _both(left, self.product(), lambda a, b: a + b if add else a - b)  # noqa: B023
        return left

    def product(self) -> Value:
        left = self.atom()
        while self._peek() in ("*", "/"):
            times = self._take() == "*"
            left = _both(left, self.atom(), lambda a, b: a * b if times else _ratio(a, b))  # noqa: B023
        return left

    def atom(self) -> Value:
        token = self._take()
        if token == "(":
            value = self.conjunction()
            self._take(")")
            return value
        if token in ("sum", "max"):
            return self._grouped(sum if token == "sum" else max)
        if token == "increase":
            self._take("(")
            value = self._increase(self._take())
            self._take(")")
            return value
        if token == "clamp_max":
            self._take("(")
            value = self.sum()
            self._take(",")
            most = float(self._take())
            self._take(")")
            assert isinstance(value, dict)
            return {k: min(v, most) for k, v in value.items()}
        if re.fullmatch(r"[\d.]+", token):
            return float(token)
        return self._instant(token)

    def _grouped(self, how: Callable[[list[float]], float]) -> Vector:
        self._take("by")
        self._take("(")
        names = [self._take()]
        while self._take(",", ")") == ",":
            names.append(self._take())
        self._take("(")
        value = self.conjunction()
        self._take(")")
        assert isinstance(value, dict)
        groups: dict[Labels, list[float]] = {}
        for labels, number in value.items():
            groups.setdefault(tuple(x for x in labels if x[0] in names), []).append(number)
        return {labels: how(numbers) for labels, numbers in groups.items()}

    def _instant(self, token: str) -> Vector:
        found: Vector = {}
        for one in self._series:
            if one.name == token:
                newest = [v for t, v in one.samples if self._at - STALE < t <= self._at]
                found |= {one.labels: newest[-1]} if newest else {}
        return found

    def _increase(self, token: str) -> Vector:
        """Without extrapolation to the window's ends: it cancels in the ratios of our rules."""
        match = SERIES.fullmatch(token)
        assert match, token
        assert match["span"], token
        since, found = self._at - seconds(match["span"]), Vector()
        for one in self._series:
            values = [v for t, v in one.samples if since <= t <= self._at]
            if one.name == match["name"] and len(values) > 1:
                found[one.labels] = values[-1] - values[0]
        return found


def _of(value: Value, labels: Labels) -> float | None:
    return value.get(labels) if isinstance(value, dict) else value


def _ratio(a: float, b: float) -> float:
    return a / b if b else float("nan")


def _both(left: Value, right: Value, how: Callable[[float, float], float]) -> Value:
    if not isinstance(left, dict) and not isinstance(right, dict):
        return how(left, right)
    keys = left if isinstance(left, dict) else right
    assert isinstance(keys, dict)
    found: Vector = {}
    for key in keys:
        a, b = _of(left, key), _of(right, key)
        if a is not None and b is not None:
            found[key] = how(a, b)
    return found
