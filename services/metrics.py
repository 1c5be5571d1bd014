"""Counters and gauges of one process, in Prometheus' text form."""

from collections import defaultdict
from threading import Lock


class Metrics:
    """Numbers by name and labels. Bounded: labels are names of clusters and kinds, never what people typed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._values: dict[str, dict[tuple[tuple[str, str], ...], float]] = defaultdict(dict)

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Count something."""
        key = tuple(sorted(labels.items()))
        with self._lock:
            self._values[name][key] = self._values[name].get(key, 0.0) + amount

    def put(self, name: str, value: float, **labels: str) -> None:
        """What a gauge shows now."""
        with self._lock:
            self._values[name][tuple(sorted(labels.items()))] = value

    def value(self, name: str, **labels: str) -> float:
        """What it says now; 0 when it was never counted."""
        return self._values.get(name, {}).get(tuple(sorted(labels.items())), 0.0)

    def text(self) -> str:
        """The exposition format."""
        lines = []
        for name, rows in sorted(self._values.items()):
            lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
            for labels, value in sorted(rows.items()):
                said = ",".join(f'{k}="{_quoted(v)}"' for k, v in labels)
                lines.append(f"{name}{{{said}}} {value:g}" if said else f"{name} {value:g}")
        return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


METRICS = Metrics()
