"""Faults of nodes.

docker that does not answer, agents that ignore signals, media servers that crash, refused keys.
"""

from dataclasses import replace

import pytest

from services.cloud import node_scripts as scripts
from simulators.cloud import SimulatedDroplet
from simulators.faults import ANY, WorldFaults
from simulators.livekit import LivekitApi
from simulators.node import KeyRefused, NodeShell, ShellOutput
from tests.contracts.small_world import World

AGENT = "agent-speech-processing"
TARGETS = ("openvidu", "ingress", "egress", AGENT)


class Town:
    """A cloud of two media nodes with faults, and a shell on its first one."""

    def __init__(self) -> None:
        self.world = World(media=2)
        self.estate = self.world.estate
        self.faults = WorldFaults()
        self.shell = NodeShell(self.estate, self.faults)
        self.estate.node_faults = self.faults.lasting_faults
        self.node, self.other = self.estate.media("acme")

    def runs(self, script: str, node: SimulatedDroplet | None = None) -> ShellOutput:
        return self.shell.execute((node or self.node).id, script)

    def drains(
        self, *targets: str, node: SimulatedDroplet | None = None, attempt: int = 0
    ) -> ShellOutput:
        droplet = node or self.node
        start = droplet.node.containers["openvidu"].started_at
        return self.runs(scripts.drain(start, "signal", targets or TARGETS, attempt), droplet)

    def looks(self, key: str, node: SimulatedDroplet | None = None) -> list[str]:
        """What a look prints in the lines that begin with `key`."""
        lines = self.runs(scripts.LOOK, node).stdout.splitlines()
        return [line.removeprefix(key) for line in lines if line.startswith(key)]

    def server(self, node: SimulatedDroplet | None = None) -> str:
        """The state and the restarts of the media server."""
        [line] = self.looks("container=openvidu=", node)
        status, _pid, restarts, _start = line.split()
        return f"{status} {restarts}"

    def livekit(self) -> str:
        return self.looks("livekit=")[0]

    def rooms(self) -> str:
        return self.looks("livekit_room_total")[0].split()[-1]

    def signals_of(self, node: SimulatedDroplet) -> list[int]:
        return [node.node.containers[name].signals for name in TARGETS]


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.mark.parametrize("kind", ["docker-down", "docker-denied", "unprivileged"])
def test_a_docker_that_does_not_answer_shows_nothing_while_its_containers_run(
    town: Town, kind: str
) -> None:
    town.estate.open_meeting(people=4, on=town.node)
    town.faults.make_ill(town.node.name, kind)
    [refused] = town.looks("refused=")
    assert "docker.sock" in refused
    assert "docker.sock" in town.drains().stdout
    assert "docker.sock" in town.runs(scripts.INSPECT).stdout
    assert town.looks("container=") == []
    assert town.signals_of(town.node) == [0] * 4
    assert town.server(town.other) == "running 0"
    town.faults.heal(town.node.name, kind)
    assert town.server() == "running 0"


def test_a_fault_can_be_every_nodes_or_pass_after_some_sessions(town: Town) -> None:
    def refused(*nodes: SimulatedDroplet) -> list[int]:
        return [len(town.looks("refused=", node)) for node in nodes]

    town.faults.make_ill(ANY, "docker-down")
    assert refused(town.node, town.other) == [1, 1]
    town.faults.heal()
    town.faults.add("node", "docker-denied", match=town.node.name, times=2)
    assert refused(town.other, town.node, town.node, town.node) == [0, 1, 1, 0]
    town.faults.rates = {"node": {"docker-down": 0.5}}
    assert {refused(town.node)[0] for _ in range(40)} == {0, 1}
    town.faults.make_ill(town.node.name, "run-full")
    town.faults.clear()
    assert town.faults.lasting_faults(town.node.name) == {}
    with pytest.raises(KeyError):
        town.faults.make_ill(ANY, "gremlins")


def test_a_slow_docker_takes_its_time_and_a_hanging_one_all_of_it(town: Town) -> None:
    town.faults.make_ill(town.node.name, "docker-slow", seconds=3.0)
    look = town.runs(scripts.LOOK)
    # ps, an inspect each of media server, ingress, egress and agent, top, logs
    assert (look.stdout.splitlines()[-1], look.seconds) == ("end", 21.0)
    assert town.runs(scripts.RESTART).seconds == 0.0
    town.faults.make_ill(town.node.name, "docker-hangs")
    for script in (scripts.LOOK, scripts.drain("", "signal", TARGETS)):
        output = town.runs(script)
        assert (output.exit_status, output.stdout) == (None, "")
        assert output.seconds > 3600
    inspected = town.runs(scripts.INSPECT)
    assert (inspected.exit_status, inspected.stdout) == (None, "unit=active\n")
    assert town.signals_of(town.node) == [0] * 4


def test_a_signal_that_never_left_and_one_whose_answer_was_lost(town: Town) -> None:
    town.faults.make_ill(town.node.name, "kill-refused", container="egress")
    assert town.drains("openvidu", "egress").stdout == "begun\n"
    assert town.signals_of(town.node) == [1, 0, 0, 0]
    cannot = "Error response from daemon: cannot kill container: egress: permission denied: unknown"
    assert town.looks("signal=") == [
        "begin openvidu", "sent openvidu", "begin egress", f"refused egress {cannot}"
    ]  # fmt: skip
    town.faults.make_ill(town.other.name, "kill-lost")
    town.drains("openvidu", node=town.other)
    assert town.signals_of(town.other) == [1, 0, 0, 0]
    assert "deadline exceeded" in town.looks("signal=refused", town.other)[0]


@pytest.mark.parametrize(
    ("kind", "why"), [("run-denied", "Permission denied"), ("run-full", "No space left on device")]
)
def test_nothing_new_can_be_made_under_run(town: Town, kind: str, why: str) -> None:
    town.faults.make_ill(town.node.name, kind)
    cannot = "unmarked mkdir: cannot create directory"
    assert town.drains().stdout == f"{cannot} '{scripts.MARKERS}': {why}\n"
    assert town.looks("unmarked=") == ["/run cannot be written by this user"] * (
        kind == "run-denied"
    )
    assert town.signals_of(town.node) == [0] * 4
    town.faults.heal()
    assert town.drains().stdout == "begun\n"
    town.faults.make_ill(town.node.name, kind)
    assert town.drains().stdout == "already\n"
    assert town.drains(attempt=1).stdout.startswith(cannot)


def test_a_user_without_rights_may_look_at_the_unit_only(town: Town) -> None:
    town.faults.make_ill(ANY, "unprivileged")
    assert town.runs("systemctl is-active openvidu").stdout == "active\n"
    assert town.runs("id -u").stdout == "1000\n"
    for script in (scripts.RESTART, scripts.STOP):
        refused = town.runs(script)
        assert refused.exit_status == 1
        assert "authentication" in refused.stderr


def test_a_script_that_is_cut_short_may_look_as_if_it_had_ended_well(town: Town) -> None:
    town.faults.add("ssh", "ended-early", commands=2)
    ended = town.drains()
    assert (ended.exit_status, ended.stdout) == (0, "")
    assert not [path for path in town.node.node.files if path.startswith("/run/")]
    town.faults.add("ssh", "truncated", share=0.5)
    cut = town.drains()
    assert (cut.exit_status, cut.stdout) == (0, "beg")
    assert town.signals_of(town.node) == [1] * 4


def test_a_key_can_be_refused_by_one_node(town: Town) -> None:
    town.faults.make_ill(town.node.name, "key-refused")
    with pytest.raises(KeyRefused):
        town.runs("id -u")
    assert town.runs("id -u", town.other).exit_status == 0
    assert [d for d, _, _ in town.shell.commands] == [town.other.id]


def test_livekit_reports_whether_it_is_ready(town: Town) -> None:
    assert town.livekit() == "200"
    town.faults.make_ill(town.node.name, "livekit-starting")
    assert town.livekit() == "406"
    assert town.estate.serving("acme") == [town.other]
    assert town.server() == "running 0"
    town.faults.make_ill(town.node.name, "livekit-silent")
    assert town.livekit() == "000"
    assert town.rooms() == "0"
    town.faults.heal()
    town.faults.make_ill(town.node.name, "metrics-silent")
    assert town.looks("livekit_room_total") == []
    assert town.runs(scripts.LOOK).seconds == 2.0
    assert town.livekit() == "200"


def test_a_restarted_media_server_is_ready_only_after_a_while(town: Town) -> None:
    town.estate.delays = replace(town.estate.delays, livekit_ready=8.0)
    town.runs(scripts.RESTART)
    assert town.livekit() == "406"
    assert town.node not in town.estate.serving("acme")
    town.world.wait(8)
    assert town.livekit() == "200"


def test_witnesses_can_contradict_each_other(town: Town) -> None:
    town.estate.open_meeting(people=4, on=town.node)
    town.faults.make_ill(town.node.name, "metrics-empty")
    assert town.rooms() == "0"
    assert town.server() == "running 0"
    town.faults.heal()
    town.faults.make_ill(town.node.name, "docker-empty")
    assert town.looks("container=") == []
    assert town.drains().stdout == "refused docker: Error: No such object: openvidu\n"
    assert town.rooms() == "1"


def test_a_crash_loop_is_running_and_restarting_in_turns(town: Town) -> None:
    town.estate.open_meeting(people=4, on=town.node)
    server = town.node.node.containers["openvidu"]
    begun = server.started_at
    town.estate.crashes.begin(town.node, lives=3, waits=10)
    assert town.looks("container=openvidu=") == [f" restarting 0 0 {begun}"]
    assert [(loss.people, loss.cause.who if loss.cause else "") for loss in town.estate.losses] == [
        (4, "world")
    ]
    assert town.estate.violations == []
    seen = set()
    for _ in range(40):
        town.world.wait(1)
        seen.add((town.server(), town.livekit()))
        assert town.node not in town.estate.serving("acme")
    assert {(s.split()[0], ready) for s, ready in seen} == {
        ("restarting", "000"),
        ("running", "406"),
    }
    assert {s.split()[1] for s, _ in seen} == {"0", "1", "2", "3"}
    assert server.started_at != begun
    town.runs(scripts.RESTART)
    town.world.wait(3)
    assert town.server() == "restarting 0"
    town.estate.crashes.end(town.node)
    town.world.wait(10)
    assert (town.server(), town.livekit()) == ("running 1", "200")
    town.world.wait(60)
    assert town.server() == "running 1"


def test_a_container_between_two_lives_is_ended_by_a_signal(town: Town) -> None:
    town.estate.crashes.begin(town.node)
    assert town.drains("openvidu").stdout == "begun\n"
    assert town.server() == "exited 0"
    town.world.wait(60)
    assert town.server() == "exited 0"


def caught(town: Town, name: str) -> list[int]:
    """The signals that each process of an agent catches."""
    return [int(line.split()[-1], 16) for line in town.looks(f"process={name} ")]


def test_an_agent_that_does_not_hear_goes_on_for_ever(town: Town) -> None:
    assert caught(town, AGENT)[0] & 0b100
    town.estate.containers.set_agents(town.node, custom="deaf")
    assert not caught(town, "agent-custom")[0] & 0b100
    town.drains("openvidu", "ingress", "egress", "agent-custom")
    town.world.wait(3600)
    assert town.server() == "exited 0"
    assert town.looks("container=agent-custom=true ")[0].startswith("running")
    town.runs(scripts.RESTART)
    assert town.estate.serving("acme")
    assert town.looks("container=agent-custom=true ")[0].startswith("running")


def test_an_agent_that_dies_at_once_cuts_captions_out_of_running_meetings(town: Town) -> None:
    town.estate.containers.usual_agents = {AGENT: "dies"}
    town.runs(scripts.RESTART)
    assert caught(town, AGENT) == [0, 0x4002]
    town.estate.open_meeting(people=4, minutes=5, on=town.node)
    town.drains(AGENT)
    assert [v.kind for v in town.estate.violations] == ["agent-cut"]
    assert "under 4 people" in town.estate.violations[0].text
    assert town.estate.people_disconnected == 0
    town.estate.violations.clear()
    town.world.wait(600)
    town.runs(scripts.RESTART)
    town.drains(AGENT)
    assert town.estate.violations == []  # no one was in it


def test_a_good_agent_leaves_with_its_meeting(town: Town) -> None:
    town.estate.open_meeting(people=4, minutes=5, on=town.node)
    town.drains(AGENT)
    assert town.node.node.running(AGENT)
    town.world.wait(400)
    assert not town.node.node.running(AGENT)
    assert town.estate.violations == []


def test_a_hidden_recorder_holds_a_drain_open_without_participants(town: Town) -> None:
    town.estate.open_meeting(people=0, recordings=0, hidden=1, minutes=30, on=town.node)
    face = LivekitApi(town.estate, town.world.cluster)
    assert [room["num_participants"] for room in face._rooms({})["rooms"]] == [0]
    town.drains("openvidu")
    town.world.wait(600)
    assert town.server() == "running 0"
    assert town.looks("livekit_participant_total")[0].endswith(" 1")
    town.world.wait(1300)
    assert town.server() == "exited 0"


def test_a_recorded_page_belongs_to_no_room(town: Town) -> None:
    town.estate.record_page(recordings=3, on=town.node)
    face = LivekitApi(town.estate, town.world.cluster)
    assert (face._rooms({})["rooms"], len(face._egress({})["items"])) == ([], 3)
    assert town.looks("recordings=") == ["3"]
    town.estate.containers.signal(town.node, "egress", "SIGKILL")
    town.estate.power.request(town.node.id, "power_off")
    town.world.wait(10)
    assert [(loss.people, loss.recordings) for loss in town.estate.losses] == [(0, 3)]


def test_external_changes_are_not_the_bots(town: Town) -> None:
    town.estate.open_meeting(people=4, on=town.node)
    with town.estate.by_administrator("Terraform"):
        town.estate.power.request(town.node.id, "power_off")
        town.estate.power.request(town.estate.masters("acme")[0].id, "power_off")
    town.world.wait(30)
    assert [
        (loss.people, loss.cause.what if loss.cause else "") for loss in town.estate.losses
    ] == [(4, "Terraform")]
    assert town.estate.violations == []
    town.estate.power.request(town.estate.masters("acme")[1].id, "power_off")
    assert town.world.kinds() == ["master-before-media"]
