"""A simulated world that lies is found out by the recording of an honest one."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bot.replay.command import replay as replay_file
from bot.replay.command import report
from bot.replay.compare import DifferenceKind as Kind
from simulators import livekit
from simulators.cloud import state
from simulators.cloud.delays import Delays
from simulators.cloud.power import ActionSimulation
from simulators.digitalocean import DigitalOceanApi, routing, views
from simulators.digitalocean.limiter import RateLimitHeaders
from simulators.node.shell import NodeShell
from simulators.object_store import Denied
from simulators.public_http import PublicHttp
from simulators.responses import HttpResponse
from simulators.slack import webapi
from simulators.slack.model import SlackError
from simulators.spaces import SpacesApi
from tests.support.exercise import exercise

Patch = pytest.MonkeyPatch
Change = Callable[[Any], Any]


@dataclass(frozen=True)
class Lie:
    """A lie, by what it is called, and the difference that tells it."""

    name: str
    plant: Callable[[Patch], None]
    kind: Kind
    what: str
    party: str = "cloud"


def shown(name: str, change: Change) -> Callable[[Patch], None]:
    """Change what a view returns."""

    def plant(patch: Patch) -> None:
        honest = getattr(views, name)
        patch.setattr(views, name, lambda *a, **o: change(honest(*a, **o)))
        patch.setattr(views, "_TEXTS", {})

    return plant


def answered(change: Callable[[str, HttpResponse], HttpResponse]) -> Callable[[Patch], None]:
    """Change what DigitalOcean answers, by the request."""

    def plant(patch: Patch) -> None:
        honest = DigitalOceanApi.handle

        def handle(self: DigitalOceanApi, method: str, path: str, *more: Any) -> HttpResponse:
            return change(f"{method} {path}", honest(self, method, path, *more))

        patch.setattr(DigitalOceanApi, "handle", handle)

    return plant


def body(key: str, change: Change) -> Callable[[Patch], None]:
    """Change the body of answers that have this key."""

    def changed(_: str, answer: HttpResponse) -> HttpResponse:
        content = answer.json() if answer.body else {}
        if key not in content:
            return answer
        return replace(answer, body=json.dumps(change(content)).encode())

    return answered(changed)


def delayed(**seconds: float) -> Callable[[Patch], None]:
    """Make things take another time."""
    return lambda patch: patch.setattr(state, "learnt", lambda: Delays(**seconds))


def put(**fields: Any) -> Change:
    """Set fields."""
    return lambda thing: {**thing, **fields}


def without(*names: str) -> Change:
    """Leave fields out."""
    return lambda thing: {k: v for k, v in thing.items() if k not in names}


def renamed(old: str, new: str) -> Change:
    """Call a field by another name."""
    return lambda thing: {new if k == old else k: v for k, v in thing.items()}


def no_header(name: str) -> Callable[[Patch], None]:
    """Leave a header out."""
    return answered(
        lambda _, a: replace(a, headers={k: v for k, v in a.headers.items() if k != name})
    )


def limit_header_is_text(patch: Patch) -> None:
    honest = RateLimitHeaders.headers
    patch.setattr(
        RateLimitHeaders, "headers", lambda self: honest(self) | {"ratelimit-limit": "plenty"}
    )


def pages_of(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Patch], None]:
    """Change links and meta of lists."""

    def plant(patch: Patch) -> None:
        honest = routing._page

        def page(*request: Any) -> Any:
            items, rest = honest(*request)
            return items, change(rest)

        patch.setattr(routing, "_page", page)

    return plant


def small_pages(patch: Patch) -> None:
    patch.setattr(routing, "MOST_PER_PAGE", 3)
    honest = DigitalOceanApi.__init__

    def init(self: DigitalOceanApi, *a: Any, **o: Any) -> None:
        honest(self, *a, **o)
        self.page_limit = 3

    patch.setattr(DigitalOceanApi, "__init__", init)


def oldest_first(patch: Patch) -> None:
    def changed(content: dict[str, Any]) -> dict[str, Any]:
        return content | {"actions": content["actions"][::-1]}

    body("actions", changed)(patch)


def never_locked(patch: Patch) -> None:
    shown("droplet", put(locked=False))(patch)


def off_by_way_of_archive(patch: Patch) -> None:
    """Between active and off there is another state."""
    shown("droplet", lambda d: d | ({"status": "archive"} if d["locked"] else {}))(patch)


def ignores_actions(patch: Patch) -> None:
    patch.setattr(DigitalOceanApi, "_outcome", lambda *_: "ignored")


def accepts_everything(patch: Patch) -> None:
    patch.setattr(ActionSimulation, "_check", lambda *_: None)


def refuses(status: int, name: str) -> Callable[[Patch], None]:
    """Answer what is missing in another way."""

    def plant(patch: Patch) -> None:
        honest = DigitalOceanApi._error

        def error(self: DigitalOceanApi, was: int, code: str, *more: Any, **o: Any) -> Any:
            return honest(
                self, status if was == 404 else was, name if was == 404 else code, *more, **o
            )

        patch.setattr(DigitalOceanApi, "_error", error)

    return plant


def printed(change: Callable[[str], str]) -> Callable[[Patch], None]:
    """Change what scripts print on nodes."""

    def plant(patch: Patch) -> None:
        honest = NodeShell.execute

        def execute(self: NodeShell, *call: Any) -> Any:
            output = honest(self, *call)
            return replace(output, stdout=change(output.stdout))

        patch.setattr(NodeShell, "execute", execute)

    return plant


def always_healthy(patch: Patch) -> None:
    patch.setattr(PublicHttp, "health", lambda *_: 200)


def rooms_of(change: Change) -> Callable[[Patch], None]:
    """Change LiveKit's rooms."""

    def plant(patch: Patch) -> None:
        honest = livekit._room
        patch.setattr(livekit, "_room", lambda meeting: change(honest(meeting)))

    return plant


def recordings_end(patch: Patch) -> None:
    honest = livekit._egress
    patch.setattr(livekit, "_egress", lambda *a: honest(*a) | {"status": "EGRESS_ENDING"})


def bucket_says(code: str, status: int) -> Callable[[Patch], None]:
    """Refuse with another code."""

    def plant(patch: Patch) -> None:
        honest = Denied.__init__

        def init(self: Denied, was: int, name: str, *more: Any, **details: Any) -> None:
            honest(
                self,
                status if name == "NoSuchKey" else was,
                code if name == "NoSuchKey" else name,
                *more,
                **details,
            )

        patch.setattr(Denied, "__init__", init)

    return plant


def no_etag(patch: Patch) -> None:
    honest = SpacesApi.handle

    def handle(self: SpacesApi, *call: Any) -> HttpResponse:
        answer = honest(self, *call)
        kept = {k: v for k, v in answer.headers.items() if k.lower() != "etag"}
        return replace(answer, headers=kept)

    patch.setattr(SpacesApi, "handle", handle)


def writes_blindly(patch: Patch) -> None:
    """A condition that fails is not looked at."""
    patch.setattr(SpacesApi, "_check_conditions", lambda *_: None)


def slack_method(name: str, change: Change) -> Callable[[Patch], None]:
    """Change what a method of Slack answers."""

    def plant(patch: Patch) -> None:
        honest = webapi.METHODS[name]
        lying = replace(honest, run=lambda call: change(honest.run(call)))
        patch.setitem(webapi.METHODS, name, lying)

    return plant


def slack_refuses(patch: Patch) -> None:
    slack_method("users.info", lambda _: (_ for _ in ()).throw(SlackError("user_not_found")))(patch)


def wrong_number(rest: dict[str, Any]) -> dict[str, Any]:
    pages = rest["links"].get("pages", {})
    wrong = {k: v.replace("page=2&", "page=7&") for k, v in pages.items()}
    return rest | {"links": {"pages": wrong} if pages else {}}


LIES = [
    Lie("a field is missing", shown("pool", without("status")), Kind.UNKNOWN, "].status"),
    Lie("a field too many", shown("member", put(name="x")), Kind.MISSING, "].name"),
    Lie(
        "a field has another name",
        shown("member", renamed("droplet_id", "id")),
        Kind.UNKNOWN,
        "droplet_id",
    ),
    Lie(
        "an id is text", shown("action", lambda a: a | {"id": str(a["id"])}), Kind.TYPE, "action.id"
    ),
    Lie("a value is null", shown("member", put(created_at=None)), Kind.TYPE, "created_at"),
    Lie("a list is null", body("history", put(history=None)), Kind.TYPE, "history"),
    Lie(
        "a list has another name",
        body("autoscale_pools", renamed("autoscale_pools", "pools")),
        Kind.UNKNOWN,
        "autoscale_pools",
    ),
    Lie("a list is empty", body("sizes", put(sizes=[])), Kind.NOTHING, "sizes"),
    Lie(
        "another value of an enumeration",
        shown(
            "droplet",
            lambda d: d | {"status": "running" if d["status"] == "active" else d["status"]},
        ),
        Kind.VALUE,
        "status = active",
    ),
    Lie(
        "another word for completed",
        shown(
            "action",
            lambda a: a | {"status": "done" if a["status"] == "completed" else a["status"]},
        ),
        Kind.VALUE,
        "status = completed",
    ),
    Lie("a state in between", off_by_way_of_archive, Kind.ORDER_OF_STATES, "active → archive"),
    Lie("a droplet is never locked", never_locked, Kind.ORDER_OF_STATES, "false → true"),
    Lie("an action does nothing", ignores_actions, Kind.ORDER_OF_STATES, "active → off"),
    Lie("powering on takes long", delayed(power_on=300.0), Kind.DURATION, "duration"),
    Lie(
        "shutting down is instant",
        delayed(shutdown=0.0, status_lag=0.0, power_off=0.0, snapshot=0.1),
        Kind.DURATION,
        "duration",
    ),
    Lie("a snapshot is instant", delayed(snapshot=1.0), Kind.DURATION, "duration"),
    Lie("masters are healthy at once", delayed(master_ready=0.0), Kind.DURATION, "duration"),
    Lie("a pool does not grow", delayed(droplet_create=5000.0), Kind.DURATION, "duration"),
    Lie("two actions at a time", accepts_everything, Kind.STATUS, "422 and 201"),
    Lie(
        "another status for what is missing", refuses(410, "not_found"), Kind.STATUS, "404 and 410"
    ),
    Lie("another name for an error", refuses(404, "missing"), Kind.VALUE, "id = not_found"),
    Lie(
        "an error without its request's id",
        body("request_id", without("request_id")),
        Kind.UNKNOWN,
        "request_id",
    ),
    Lie(
        "a header is missing", no_header("ratelimit-remaining"), Kind.HEADER, "ratelimit-remaining"
    ),
    Lie("a header is no number", limit_header_is_text, Kind.TYPE, "ratelimit-limit"),
    Lie(
        "another content type",
        answered(lambda _, a: replace(a, headers=a.headers | {"content-type": "text/html"})),
        Kind.TYPE,
        "content-type",
    ),
    Lie("smaller pages", small_pages, Kind.PAGES, "a full page before the last one"),
    Lie(
        "no link to the next page",
        pages_of(lambda r: r | {"links": {}}),
        Kind.PAGES,
        "a link to the next page",
    ),
    Lie("a wrong page in the link", pages_of(wrong_number), Kind.PAGES, "the next page's number"),
    Lie(
        "a wrong total",
        pages_of(lambda r: r | {"meta": {"total": 1 + r["meta"]["total"]}}),
        Kind.PAGES,
        "meta.total",
    ),
    Lie("oldest actions first", oldest_first, Kind.ORDER, "actions"),
    Lie("a master is healthy when it is not", always_healthy, Kind.NO_ANSWER, "no answer and 200"),
    Lie(
        "a line is missing on a node",
        printed(
            lambda t: (
                "\n".join(line for line in t.splitlines() if not line.startswith("livekit_")) + "\n"
            )
        ),
        Kind.UNKNOWN,
        "line gauge",
    ),
    Lie(
        "another state of a container",
        printed(lambda t: t.replace(" exited ", " dead ")),
        Kind.VALUE,
        "state = exited",
    ),
    Lie(
        "a drain was there already",
        printed(lambda t: t.replace("begun", "already")),
        Kind.VALUE,
        "result = begun",
    ),
    Lie(
        "numbers instead of text",
        rooms_of(lambda r: r | {"creation_time": int(r["creation_time"])}),
        Kind.TYPE,
        "creation_time",
    ),
    Lie("another state of a recording", recordings_end, Kind.VALUE, "EGRESS_ACTIVE"),
    Lie(
        "another code of the bucket",
        bucket_says("NoSuchVersion", 404),
        Kind.VALUE,
        "NoSuchKey",
        "spaces",
    ),
    Lie("an object without its etag", no_etag, Kind.HEADER, "etag", "spaces"),
    Lie(
        "Slack leaves a field out",
        slack_method("auth.test", without("bot_id")),
        Kind.UNKNOWN,
        "bot_id",
        "slack",
    ),
    Lie("Slack refuses", slack_refuses, Kind.UNKNOWN, "user", "slack"),
]


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exercise(tmp_path_factory.mktemp("honest") / "honest.jsonl")


def test_an_honest_world_is_no_different(honest: Path) -> None:
    result = replay_file(honest, {})
    assert not result.differences, report([result])
    assert not result.unplayed
    assert result.played.total() > 100


@pytest.fixture(scope="module")
def parts(honest: Path) -> dict[str, Path]:
    """The recording in three, since to play all of it takes longer."""
    lines: dict[str, list[str]] = {"cloud": [], "spaces": [], "slack": []}
    for text in honest.read_text().splitlines():
        party = json.loads(text).get("party")
        for name, part in lines.items():
            if party is None or name == (party if party in ("spaces", "slack") else "cloud"):
                part.append(text)
    files = {name: honest.with_name(f"{name}.jsonl") for name in lines}
    for name, part in lines.items():
        files[name].write_text("\n".join(part))
    return files


@pytest.mark.sampled(12)
@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.name)
def test_a_lie_is_found(lie: Lie, parts: dict[str, Path], monkeypatch: Patch) -> None:
    lie.plant(monkeypatch)
    found = replay_file(parts[lie.party], {}).differences
    assert any(d.kind is lie.kind and lie.what in d.what for d in found), [d.key for d in found]


def test_there_are_lies_of_many_kinds() -> None:
    assert len({lie.name for lie in LIES}) >= 20
    assert len({lie.kind for lie in LIES}) >= 10
