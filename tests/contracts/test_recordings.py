"""The simulated world against every recording there is, and against its own."""

import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bot.command_line import run
from bot.replay import pretend, story
from bot.replay.command import durations_of, known_of, reason_of, replay, report
from bot.replay.compare import Difference, DifferenceKind, compare
from bot.replay.story import CannotRead, parse, read
from scripts import durations
from scripts.published_examples import TARGET, lines
from services.steps import PowerOn
from services.steps.usual import FILE as STEPS
from services.steps.usual import medians
from simulators.cloud.delays import MEASURED, Delays, learnt, measured, range_of
from tests.contracts.test_digitalocean_face import needs_spec, spec_path
from tests.support.recorded import record_story

RECORDINGS = Path(__file__).resolve().parents[1] / "recordings"
PUBLISHED = RECORDINGS / "digitalocean-published.jsonl"
FILES = sorted(RECORDINGS.glob("*.jsonl"))
STORIES = {
    "pool": ("shutdown", "startup --now"),
    "fixed": ("shutdown", "startup --now"),
    "autoscaler": ("shutdown", "startup --now"),
    "resize": ("resize masters s-8vcpu-16gb",),
    "elastic": ("shutdown", "startup --now"),
    "single node": ("shutdown", "startup --now"),
}
# What a story is played in, where that is not High Availability with the kind of its name.
BUILT = {
    "resize": {"kind": "pool"},
    "elastic": {"deployment": "elastic", "kind": "fixed"},
    "single node": {"deployment": "single node"},
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_recording_shows_no_difference_that_is_not_known(file: Path) -> None:
    result = replay(file, known_of(file))
    assert not result.differences, report([result])
    assert not result.broken
    assert result.played


def test_what_is_known_is_still_different() -> None:
    """A reason without its difference is deleted."""
    keys = [d.key for file in FILES for d in replay(file, {}).differences]
    known = known_of(FILES[0])
    unused = {p for p in known if not any(reason_of(k, {p: "known"}) for k in keys)}
    assert not unused
    assert all(len(reason) > 10 for reason in known.values())


@needs_spec
def test_the_published_examples_are_those_of_today() -> None:
    made = lines(json.loads(spec_path().read_text()))
    assert [json.loads(line) for line in TARGET.read_text().splitlines()] == list(made)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("name", STORIES)
def test_a_bot_at_work_is_replayed_without_a_difference(name: str, tmp_path: Path) -> None:
    """A whole shutdown and start-up: requests, states, drains, pages, durations."""
    built = BUILT.get(name, {"kind": name})
    file = record_story(tmp_path / "story.jsonl", *STORIES[name], media=2, **built)
    result = replay(file, {})
    assert not result.differences, report([result])
    assert not result.unplayed
    actions = {"elastic": 6, "single node": 2}.get(name, 8)
    assert result.played["POST /v2/droplets/{droplet_id}/actions"] >= actions
    seen = durations_of([file])
    assert seen["power_on until healthy"][1] > seen["power_on until active"][1] > 20


def test_another_speed_is_seen() -> None:
    """The recording is of a world in which droplets start ten times as slowly."""
    ask = "GET /v2/droplets/{droplet_id}/actions"
    action = {"id": 1, "type": "power_on", "status": "completed", "started_at": "T+0.0"}
    ours, slow = ({**action, "completed_at": f"T+{s}"} for s in ("25.0", "250.0"))
    rows = [
        {"n": 1, "t": 300.0, "party": "digitalocean", "ask": ask, "status": 200,
         "answer": {"actions": [shown]}}
        for shown in (slow, ours)
    ]  # fmt: skip
    assert [d.kind for d in compare([(rows[0], rows[1])])] == [DifferenceKind.DURATION]
    assert compare([(rows[1], rows[1])]) == []


# --- durations


def test_without_a_recording_todays_durations_hold() -> None:
    seen = durations_of(FILES)
    assert {what: list(times) for what, times in measured().items()} == seen, "make durations"
    assert MEASURED.read_text() == STEPS.read_text()
    assert seen == {}, "no recording of a real account is here yet"
    assert learnt() == Delays()
    assert PowerOn.timing.expected == 35.0
    assert range_of("action power_on") == (25.0, 30.0)
    assert range_of("action resize") is None


def test_what_recordings_show_becomes_the_delays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story = record_story(tmp_path / "x.jsonl", "shutdown", "startup --now", media=2)
    assert run(["replay", str(story), "--durations"]) == 0
    assert "power_on until active: 29 s" in capsys.readouterr().out
    target, other = tmp_path / "durations.json", tmp_path / "other.json"
    durations.write([story], (target, other))
    assert target.read_text() == other.read_text()
    found = learnt(target)
    assert found.power_on == pytest.approx(28, abs=5)
    assert found.master_ready > 90
    assert found.snapshot == Delays().snapshot, "not seen: today's value"
    assert medians(other)["power_on until active"] == pytest.approx(28, abs=5)


# --- the command


def test_the_command_says_what_is_different(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = record_story(tmp_path / "x.jsonl", "shutdown", media=2)
    assert run(["replay", str(honest)]) == 0
    assert capsys.readouterr().out.endswith("No difference, 0 known.\n")
    honest.write_text(honest.read_text().replace('"status": "active"', '"status": "archive"'))
    assert run(["replay", str(honest)]) == 1
    said = capsys.readouterr().out
    assert "droplets[].status = archive: recorded archive, our world active" in said
    keys = [d.key for d in replay(honest, {}).differences]
    known = tmp_path / "known.json"
    known.write_text(json.dumps(dict.fromkeys(keys, "the file was bent")))
    assert run(["replay", str(honest), "--verbose"]) == 0
    assert "(the file was bent)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text", ["", "not JSON\n", '{"n": 1}\n', '{"format": 99}\n', "\x00\n", "[]\n", '"x"\n']
)
def test_what_is_no_recording_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x"
    file.write_text(text)
    with pytest.raises(CannotRead):
        read(file)
    assert run(["replay", str(file)]) == 2
    assert str(file) in capsys.readouterr().err


def test_a_line_that_was_cut_is_counted() -> None:
    header = '{"format": 1, "bot": "x", "kind": "pool"}'
    line = '{"n": 1, "t": 0.0, "party": "slack", "ask": "auth.test", "status": 200}'
    stories = parse([header, line, line[:30], '{"n": 2}', "", header, line], "x")
    assert [(len(story.lines), story.broken) for story in stories] == [(1, 2), (1, 0)]


def test_a_key_is_the_same_in_another_recording() -> None:
    one = Difference(DifferenceKind.TYPE, "GET /x 200", "a.b", "recorded 1", 7)
    other = Difference(DifferenceKind.TYPE, "GET /x 200", "a.b", "recorded 2", 1)
    assert one.key == other.key == "GET /x 200: a.b: other type"


@pytest.mark.parametrize("sends", [True, False])
@pytest.mark.parametrize("part", ["blocks", "metadata", "thread_ts"])
def test_a_message_is_answered_with_what_was_sent(
    part: str, *, sends: bool, tmp_path: Path
) -> None:
    message = {"type": "message", "text": "<string>", "user": "user-1", "ts": "ts-1"}
    shown = {part: {"blocks": "<array>", "metadata": "<object>"}.get(part, "<string>")}
    line: dict[str, Any] = {
        "n": 1, "t": 0.0, "took": 0.0, "party": "slack", "ask": "chat.postMessage", "status": 200,
        "headers": {"content-type": "application/json; charset=utf-8"},
        "answer": {"ok": True, "ts": "ts-1", "message": message | (shown if sends else {})},
    }  # fmt: skip
    header = {"format": 1, "bot": "x", "kind": "pool"}
    file = tmp_path / "night.jsonl"

    def differences(*, sent: bool) -> list[str]:
        line["sent"] = {"text": "<string>", **(shown if sent else {})}
        file.write_text(f"{json.dumps(header)}\n{json.dumps(line)}\n")
        return [d.key for d in replay(file, {}).differences if part in d.where + d.what]

    assert differences(sent=sends) == []
    assert differences(sent=not sends), "what was sent decides"


# What a field may hold in a file from elsewhere.
ODD: tuple[Any, ...] = (
    None, True, -1, 1e308, 10**30, "", "²", "T", "T1e999", [], {}, [[]], [{}], [None],
    {"a": {"b": []}},
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Each place in a JSON value."""
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for key, below in parts:
        yield (*path, key)
        yield from places(below, (*path, key))


def bent(random: Random, lines: list[Any]) -> list[Any]:
    """Return lines of a recording with something odd somewhere."""
    start = random.randrange(1, len(lines) - 2)
    chosen = json.loads(json.dumps([lines[0], *lines[start : start + 2]]))
    *way, last = random.choice([place for place in places(chosen) if len(place) > 1])
    inside = chosen
    for key in way:
        inside = inside[key]
    inside[last] = random.choice(ODD)
    return chosen  # type: ignore[no-any-return]


def test_a_file_with_anything_in_it_gives_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = Random(21)
    file, of_a_bot = tmp_path / "x.jsonl", record_story(tmp_path / "bot", "shutdown", media=1)
    texts = [PUBLISHED.read_text(), of_a_bot.read_text()]
    recordings = [[json.loads(line) for line in text.splitlines()] for text in texts]
    for _ in range(40):
        lines = bent(random, random.choice(recordings))
        file.write_text("\n".join(map(json.dumps, lines)))
        for options in ([], ["--durations"]):
            code = run(["replay", str(file), *options])
            said = capsys.readouterr()
            assert code in (0, 1, 2)
            assert (code == 2) == bool(said.err), (lines, said.err)
            assert said.err.count("\n") == (code == 2)


def test_a_line_that_never_ends_is_not_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "LONGEST_LINE", 1000)
    header = '{"format": 1, "bot": "x", "kind": "pool"}'
    line = '{"n": 1, "t": 0.0, "party": "slack", "ask": "auth.test", "status": 200}'
    file = io.StringIO(f"{header}\n{'x' * 5000}\n{line}\n")
    longest = max(len(text) for text in story._bounded(file))
    assert longest == 1001
    file.seek(0)
    (only,) = story.parse(story._bounded(file), "x")
    assert (len(only.lines), only.broken) == (1, 1)


def test_what_a_file_says_does_not_control_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x"
    header = {"format": 1, "bot": "x", "kind": "pool"}
    for ask in ("\ud800", "\x1b[2J", "\u202e"):
        line = {"n": 1, "t": 0.0, "party": "digitalocean", "ask": f"GET {ask}", "status": 200}
        file.write_text(f"{json.dumps(header)}\n{json.dumps(line)}\n")
        assert run(["replay", str(file)]) == 0
        said = capsys.readouterr().out
        assert "not played: GET \N{REPLACEMENT CHARACTER}" in said
        assert ask not in said


def test_a_node_with_a_million_meetings_is_not_simulated_in_full(tmp_path: Path) -> None:
    file = record_story(tmp_path / "x", "shutdown", media=1)
    look = '"name": "livekit_room_total", "number": '
    text = file.read_text()
    assert look in text
    file.write_text(re.sub(rf"{re.escape(look)}[0-9.]+", f"{look}999999.0", text))
    (only,) = read(file)
    rooms = [rooms for _, _, rooms in pretend._meeting_turns(only)]
    assert max(rooms) == pretend.MOST_ROOMS


@pytest.mark.parametrize("key", ["*", "**: *", "*: other type", ""])
def test_a_reason_for_every_difference_is_refused(key: str, tmp_path: Path) -> None:
    (tmp_path / "known.json").write_text(json.dumps({key: "it is always so"}))
    with pytest.raises(CannotRead, match="stands for every difference"):
        known_of(tmp_path / "x.jsonl")
