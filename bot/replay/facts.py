"""What a sequence of exchanges shows: shapes, values, headers, pages, states, durations. Pure.

The same facts are taken from the recorded and from the simulated exchanges, and compared.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bot.record.redaction import MARK, type_of
from bot.record.tables import LIVEKIT, LIVEKIT_ERROR, SLACK, SLACK_OTHER, SPACES, digitalocean

Json = dict[str, Any]
PER_PAGE = 20
# Of an object, what identifies it.
IDENTITIES = ("id", "droplet_id", "history_event_id", "sid", "egress_id", "ingress_id")
FLAGS = frozenset({"locked", "is_enabled", "active_recording"})
MOMENTS = ("started_at", "created_at", "modified")
# What a droplet becomes by an action.
BECOMES = {"power_on": "active", "shutdown": "off", "power_off": "off", "power_cycle": "active"}
ENDED = frozenset({"exited", "dead", "created"})
OTHER = "(another value)"
# Asked for from outside, or on the node itself.
HEALTH_PAGE = "GET health page"


@dataclass
class PathFacts:
    """A field: in how many of the objects that may have it it was, its types and values."""

    objects: int = 0
    present: int = 0
    types: Counter[str] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)
    items: int = 0


class Facts:
    """What was seen. `add` takes the exchanges in order."""

    def __init__(self) -> None:
        self.fields: dict[tuple[str, str], PathFacts] = defaultdict(PathFacts)
        self.headers: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self.answers: Counter[str] = Counter()
        self.pages: dict[tuple[str, str], set[bool]] = defaultdict(set)
        self.orders: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.changes: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
        self.durations: dict[str, dict[object, float]] = defaultdict(dict)
        self._states: dict[tuple[str, object], str] = {}
        self._asked: dict[object, tuple[str, float]] = {}
        self._pools: dict[object, tuple[str, float, int]] = {}
        self._drains: dict[object, float] = {}
        self._powered: float | None = None

    def add(self, line: Json) -> None:
        """Take an exchange that was answered."""
        where = f"{line['ask']} {line.get('status', 0)}"
        self.answers[where] += 1
        for name, value in (line.get("headers") or {}).items():
            self.headers[where, name][_header_type(value)] += 1
        self._note_request(line)
        answer = line.get("answer")
        if line["party"] == "ssh":
            self._node_output(where, line)
        elif line["party"] == "http":
            self._page_seen(line)
        else:
            self._walk(where, node_of(line), answer, "", line)
            if isinstance(answer, dict):
                self._note_page(line, answer)
        if line["party"] == "digitalocean" and isinstance(answer, dict):
            self._note_durations(line, answer)

    # --- shapes and values

    def _walk(self, where: str, node: Any, value: Any, path: str, line: Json) -> None:
        if isinstance(node, str) and node.startswith("$"):
            node = digitalocean().objects.get(node[1:])
        facts = self.fields[where, path]
        facts.types[type_of(value)] += 1
        if isinstance(value, dict):
            for name in node if isinstance(node, dict) else ():
                self.fields[where, _join(path, name)].objects += 1
            for name, item in value.items():
                below = self.fields[where, _join(path, name)]
                if not isinstance(node, dict) or name not in node:
                    below.objects += 1
                below.present += 1
                known = node.get(name) if isinstance(node, dict) else None
                self._walk(where, known, item, _join(path, name), line)
            if isinstance(node, dict):
                self._note_states(node, value, line)
        elif isinstance(value, list):
            facts.items += len(value)
            self._note_order(where, path, value)
            for item in value:
                self._walk(
                    where, node[0] if isinstance(node, list) else None, item, f"{path}[]", line
                )
        elif isinstance(node, str) and (node.startswith("=") or node == "words"):
            facts.values[_shown(value)] += 1

    def _note_states(self, node: Json, value: Json, line: Json) -> None:
        """Note the states of an object that has an id, to see them change."""
        names = [n for n in IDENTITIES if str(node.get(n, "")).startswith("id:")]
        if not names or names[0] not in value:
            return
        kind = str(node[names[0]]).partition(":")[2]
        for name, below in node.items():
            if name in value and (str(below).startswith("=") or name in FLAGS):
                # Members are droplets with states of their own.
                owner = "member" if names[0] == "droplet_id" else kind
                self._note_state(f"{owner}.{name}", value[names[0]], _shown(value[name]), line)

    def _note_state(self, state: str, identity: object, value: str, line: Json) -> None:
        before = self._states.get((state, identity))
        if before is not None and before != value:
            self.changes[state][before, value] += 1
        self._states[state, identity] = value
        if state == "droplet.status" and identity in self._asked:
            kind, since = self._asked[identity]
            if BECOMES.get(kind) == value:
                del self._asked[identity]
                self.durations[f"{kind} until {value}"][identity, since] = line["t"] - since

    def _note_order(self, where: str, path: str, items: list[Any]) -> None:
        for name in MOMENTS:
            moments = [_seconds(i.get(name)) for i in items if isinstance(i, dict)]
            known = [m for m in moments if m is not None]
            if len(set(known)) > 1:
                order = "mixed"
                if known == sorted(known):
                    order = "oldest first"
                elif known == sorted(known, reverse=True):
                    order = "newest first"
                self.orders[where, path].add(order)
                return

    # --- pages

    def _note_page(self, line: Json, answer: Json) -> None:
        meta, links = answer.get("meta"), answer.get("links")
        items = next((v for v in answer.values() if isinstance(v, list)), None)
        if line["party"] != "digitalocean" or items is None or not isinstance(meta, dict):
            return
        total = meta.get("total")
        query = line.get("query") or {}
        size, page = _number(query.get("per_page"), PER_PAGE), _number(query.get("page"), 1)
        if not isinstance(total, int) or size < 1:
            return
        pages = links.get("pages") if isinstance(links, dict) else None
        pages = pages if isinstance(pages, dict) else {}
        ask, more = line["ask"], page * size < total
        said = {
            "no more items than per_page": len(items) <= size,
            "a link to the next page where there is one": ("next" in pages) == more,
            "a link to the previous page where there is one": ("prev" in pages) == (page > 1),
        }
        if more:
            said["a full page before the last one"] = len(items) == size
            said["the next page's number in its link"] = _page_of(pages.get("next")) == page + 1
        if page == 1 and not more:
            said["as many items as meta.total"] = len(items) == total
        for law, holds in said.items():
            self.pages[ask, law].add(holds)

    # --- nodes and pages

    def _node_output(self, where: str, line: Json) -> None:
        answer = line.get("answer") or {}
        droplet = (line.get("params") or {}).get("droplet_id")
        kinds = {str(entry.get("line")) for entry in answer.get("lines") or ()}
        for kind in kinds:
            self.fields[where, f"line {kind}"].present += 1
        self.fields[where, ""].objects += 1
        for entry in answer.get("lines") or ():
            kind = str(entry.get("line"))
            for name, value in entry.items():
                facts = self.fields[where, f"line {kind}.{name}"]
                facts.present += 1
                facts.types[type_of(value)] += 1
                if name in {"state", "result", "by", "agent", "hears SIGQUIT", "running pid"}:
                    facts.values[_shown(value)] += 1
            if kind == "container" and entry.get("state"):
                identity = (droplet, entry.get("name"))
                self._note_state("container.state", identity, _shown(entry["state"]), line)
                if entry.get("name") == "openvidu":
                    self._note_drained(droplet, str(entry["state"]), line)
            if kind == "livekit":
                self._note_state("livekit port", droplet, str(entry.get("number")), line)
            if kind == "health":
                seen = {"ask": HEALTH_PAGE, "t": line["t"], "params": {"host": droplet}}
                self._page_seen(seen | {"status": entry.get("number")})
            if kind == "unit":
                self._note_state("unit.state", droplet, _shown(entry.get("state")), line)

    def _note_drained(self, droplet: object, state: str, line: Json) -> None:
        if state in ENDED and droplet in self._drains:
            since = self._drains.pop(droplet)
            self.durations["drain until ended"][droplet, since] = line["t"] - since

    def _page_seen(self, line: Json) -> None:
        host = (line.get("params") or {}).get("host")
        status = str(line.get("status", "no answer"))
        before = self._states.get((line["ask"], host))
        self._note_state(line["ask"], host, status, line)
        up = status == "200" and before not in (None, "200")
        if up and line["ask"] == HEALTH_PAGE and self._powered is not None:
            self.durations["power_on until healthy"][host, self._powered] = (
                line["t"] - self._powered
            )

    # --- durations

    def _note_request(self, line: Json) -> None:
        sent = line.get("sent")
        if line["ask"] == "drain":
            results = [e.get("result") for e in (line.get("answer") or {}).get("lines") or ()]
            if "begun" in results:
                self._drains[(line.get("params") or {}).get("droplet_id")] = line["t"]
        if line["party"] != "digitalocean" or not isinstance(sent, dict):
            return
        parameters = line.get("params") or {}
        if line["ask"] == "POST /v2/droplets/{droplet_id}/actions" and line.get("status") == 201:
            droplet = _number(parameters.get("droplet_id"), 0)
            self._asked[droplet] = (str(sent.get("type")), line["t"])
            if sent.get("type") == "power_on":
                self._powered = line["t"]
        if line["ask"].startswith("PUT /v2/droplets/autoscale/") and line.get("status") == 200:
            pool = parameters.get("autoscale_pool_id")
            target = (sent.get("config") or {}).get("target_number_instances")
            if isinstance(target, int):
                count = self._counts(line)
                way = "pool grows" if count is None or target > count else "pool shrinks"
                self._pools[pool] = (way, line["t"], target)

    def _counts(self, line: Json) -> int | None:
        pool = (line.get("answer") or {}).get("autoscale_pool")
        count = pool.get("active_resources_count") if isinstance(pool, dict) else None
        return count if isinstance(count, int) else None

    def _note_durations(self, line: Json, answer: Json) -> None:
        for action in _objects(answer, ("action", "actions")):
            began, ended = _seconds(action.get("started_at")), _seconds(action.get("completed_at"))
            if began is not None and ended is not None and action.get("status") == "completed":
                kind = str(action.get("type"))
                if not MARK.fullmatch(kind):
                    self.durations[f"action {kind}"][action.get("id")] = ended - began
        for pool in _objects(answer, ("autoscale_pool", "autoscale_pools")):
            waiting = self._pools.get(pool.get("id"))
            if waiting is not None and pool.get("active_resources_count") == waiting[2]:
                way, since, _ = self._pools.pop(pool.get("id"))
                if line["t"] > since:
                    self.durations[way][pool.get("id"), since] = line["t"] - since


def node_of(line: Json) -> Any:
    """Return the table's node of an answer."""
    status = str(line.get("status"))
    match line["party"]:
        case "digitalocean":
            operation = digitalocean().operation(line["ask"])
            if operation is None:
                return None
            return operation.answers.get(status, operation.answers.get("default"))
        case "livekit":
            return LIVEKIT.get(line["ask"]) if status == "200" else LIVEKIT_ERROR
        case "spaces":
            return SPACES.get(line["ask"])
        case "slack":
            return SLACK.get(line["ask"], SLACK_OTHER)
    return None


def _objects(answer: Json, names: tuple[str, ...]) -> Iterator[Json]:
    for name in names:
        value = answer.get(name)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                yield item


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return OTHER if MARK.fullmatch(text) else text


def _header_type(value: Any) -> str:
    text = str(value)
    if MARK.fullmatch(text):
        return "text"
    if text.isdigit() or text.startswith("T"):
        return "a number"
    return text if "/" in text else "text"


def _seconds(value: Any) -> float | None:
    """Return a moment as seconds from the first exchange."""
    if not isinstance(value, str) or not value.startswith("T"):
        return None
    try:
        return float(value[1:])
    except ValueError:
        return None


def _number(value: Any, otherwise: int) -> int:
    return int(value) if isinstance(value, int) or str(value).isdigit() else otherwise


def _page_of(link: Any) -> int | None:
    for part in str(link).split("&"):
        if part.startswith("page="):
            return _number(part[5:], 0)
    return None
