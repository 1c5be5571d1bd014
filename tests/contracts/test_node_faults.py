"""What goes wrong on nodes: docker that does not answer, agents that do not hear, media servers that crash, keys that are refused."""

from dataclasses import replace

import pytest

from simulators.estate import Droplet
from simulators.faults import ANY, Faults
from simulators.livekit import LivekitFace
from simulators.node import KeyRefused, NodeShell, Output
from tests.contracts.pretend import World

READY = "curl -s -o /dev/null -m 2 -w '%{http_code}' http://127.0.0.1:7880/"
METRICS = "curl -s -m 2 http://127.0.0.1:6789/metrics"
STATE = "docker inspect --format '{{.State.Status}} {{.State.Running}} {{.State.Restarting}} {{.RestartCount}}' openvidu"
AGENT = "agent-speech-processing"
KILL = "docker container kill --signal=SIGQUIT"


class Town:
    """An estate of two media nodes with faults, and a shell on its first one."""

    def __init__(self) -> None:
        self.world = World(media=2)
        self.estate = self.world.estate
        self.faults = Faults()
        self.shell = NodeShell(self.estate, self.faults)
        self.estate.ails = self.faults.ails
        self.node, self.other = self.estate.media("acme")

    def says(self, command: str, node: Droplet | None = None) -> Output:
        return self.shell.execute((node or self.node).id, command)

    def shows(self, command: str) -> str:
        return self.says(command).stdout.strip()


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.mark.parametrize("kind", ["docker-down", "docker-denied", "unprivileged"])
def test_a_docker_that_does_not_answer_says_nothing_while_its_containers_go_on(
    town: Town, kind: str
) -> None:
    town.estate.open_meeting(people=4, on=town.node)
    town.faults.ail(town.node.name, kind)
    for command in (
        STATE,
        "docker ps",
        "docker top egress",
        f"{KILL} openvidu",
        "docker info",
        "docker version --format x",
    ):
        said = town.says(command)
        assert (said.exit_status, said.stdout) == (1, "")
        assert "docker.sock" in said.stderr
    assert "livekit_participant_total{" in town.shows(METRICS)
    assert town.node.node.containers["openvidu"].signals == 0
    assert town.says(STATE, town.other).exit_status == 0
    town.faults.heal(town.node.name, kind)
    assert town.shows(STATE) == "running true false 0"


def test_a_fault_can_be_every_nodes_or_pass_after_some_sessions(town: Town) -> None:
    town.faults.ail(ANY, "docker-down")
    assert [town.says("docker ps", d).exit_status for d in (town.node, town.other)] == [1, 1]
    town.faults.heal()
    town.faults.add("node", "docker-denied", match=town.node.name, times=2)
    assert [
        town.says("docker ps", d).exit_status for d in (town.other, town.node, town.node, town.node)
    ] == [0, 1, 1, 0]
    town.faults.rates = {"node": {"docker-down": 0.5}}
    assert {town.says("docker ps").exit_status for _ in range(40)} == {0, 1}
    town.faults.ail(town.node.name, "run-full")
    town.faults.calm()
    assert town.faults.ails(town.node.name) == {}
    with pytest.raises(KeyError):
        town.faults.ail(ANY, "gremlins")


def test_a_slow_docker_takes_its_time_and_a_hanging_one_all_of_it(town: Town) -> None:
    town.faults.ail(town.node.name, "docker-slow", seconds=3.0)
    said = town.says("docker ps -q >/dev/null; docker ps -q >/dev/null; echo end")
    assert (said.stdout, said.seconds) == ("end\n", 6.0)
    said = town.says(
        "timeout 2 docker ps; echo $?; timeout -k 1 5s docker info --format x; echo $?"
    )
    assert said.stdout.split() == ["124", "27.3.1", "0"]
    assert said.seconds == 5.0
    town.faults.ail(town.node.name, "docker-hangs")
    said = town.says("echo begun; docker ps; echo never")
    assert (said.exit_status, said.stdout) == (None, "begun\n")
    assert said.seconds > 3600
    said = town.says(
        f"timeout 5 {KILL} openvidu; echo $?; nohup setsid sh -c '{KILL} openvidu' >/dev/null 2>&1 &\necho left"
    )
    assert (said.stdout, said.seconds) == ("124\nleft\n", 5.0)
    assert town.node.node.containers["openvidu"].signals == 0


def test_a_signal_that_never_left_and_one_whose_answer_was_lost(town: Town) -> None:
    town.faults.ail(town.node.name, "kill-refused", container="egress")
    said = town.says(f"{KILL} openvidu; {KILL} egress")
    assert said.exit_status == 1
    assert "Error response from daemon: cannot kill container: egress" in said.stderr
    assert [town.node.node.containers[n].signals for n in ("openvidu", "egress")] == [1, 0]
    town.faults.ail(town.other.name, "kill-lost")
    said = town.says(f"{KILL} openvidu", town.other)
    assert (said.exit_status, said.stdout) == (1, "")
    assert town.other.node.containers["openvidu"].signals == 1


@pytest.mark.parametrize(
    ("kind", "why"), [("run-denied", "Permission denied"), ("run-full", "No space left on device")]
)
def test_nothing_new_can_be_made_under_run(town: Town, kind: str, why: str) -> None:
    town.says("mkdir /run/there")
    town.faults.ail(town.node.name, kind)
    said = town.says(
        "mkdir -p /run/bot/deep; echo $?; mkdir /run/bot; echo $?; mkdir -p /run/there; echo $?; mkdir /run/there; echo $?"
    )
    assert said.stdout.split() == ["1", "1", "0", "1"]
    assert said.stderr.count(why) == 2
    assert "File exists" in said.stderr
    assert why in town.says("echo x >/run/log").stderr
    assert town.says("mkdir /opt/elsewhere").exit_status == 0
    assert town.says("rmdir /run/there").exit_status == (1 if kind == "run-denied" else 0)


def test_a_user_without_rights_may_look_at_the_unit_only(town: Town) -> None:
    town.faults.ail(ANY, "unprivileged")
    assert town.shows("systemctl is-active openvidu") == "active"
    assert "authentication" in town.says("systemctl restart openvidu").stderr
    assert town.says("sudo -n docker ps").exit_status == 1


def test_a_script_that_is_cut_short_may_look_as_if_it_had_ended_well(town: Town) -> None:
    town.faults.add("ssh", "ended-early", commands=2)
    said = town.says("echo one; echo two; mkdir /run/never")
    assert (said.exit_status, said.stdout) == (0, "one\ntwo\n")
    town.faults.add("ssh", "truncated", share=0.5)
    said = town.says("mkdir /run/done; echo 12345678")
    assert (said.exit_status, said.stdout) == (0, "1234")
    assert "/run/never/" not in town.node.node.files
    assert "/run/done/" in town.node.node.files


def test_a_key_can_be_refused_by_one_node(town: Town) -> None:
    town.faults.ail(town.node.name, "key-refused")
    with pytest.raises(KeyRefused):
        town.says("true")
    assert town.says("true", town.other).exit_status == 0
    assert [d for d, _, _ in town.shell.commands] == [town.other.id]


def test_livekit_says_whether_it_is_ready(town: Town) -> None:
    assert town.shows(READY) == "200"
    assert town.shows("curl -s -m 2 http://127.0.0.1:7880/") == "OK"
    town.faults.ail(town.node.name, "livekit-starting")
    assert town.shows(READY) == "406"
    assert town.estate.serving("acme") == [town.other]
    assert town.shows(STATE) == "running true false 0"
    town.faults.ail(town.node.name, "livekit-silent")
    said = town.says(READY)
    assert (said.exit_status, said.stdout) == (7, "000")
    assert "livekit_room_total" in town.shows(METRICS)
    town.faults.heal()
    town.faults.ail(town.node.name, "metrics-silent")
    said = town.says(METRICS)
    assert (said.exit_status, said.stdout, said.seconds) == (28, "", 2.0)
    assert town.shows(READY) == "200"


def test_a_restarted_media_server_is_ready_only_after_a_while(town: Town) -> None:
    town.estate.delays = replace(town.estate.delays, livekit_ready=8.0)
    town.says("systemctl restart openvidu")
    assert town.shows(READY) == "406"
    assert town.node not in town.estate.serving("acme")
    town.world.wait(8)
    assert town.shows(READY) == "200"


def test_witnesses_can_contradict_each_other(town: Town) -> None:
    town.estate.open_meeting(people=4, on=town.node)
    town.faults.ail(town.node.name, "metrics-empty")
    assert 'node_type="SERVER"} 0' in town.shows(
        "curl -s http://127.0.0.1:6789/metrics | grep '^livekit_room_total'"
    )
    assert town.shows(STATE) == "running true false 0"
    town.faults.heal()
    town.faults.ail(town.node.name, "docker-empty")
    said = town.says(STATE)
    assert (said.exit_status, said.stdout) == (1, "\n")
    assert "No such object: openvidu" in said.stderr
    assert 'node_type="SERVER"} 1' in town.shows(
        "curl -s http://127.0.0.1:6789/metrics | grep '^livekit_room_total'"
    )


def test_a_crash_loop_is_running_and_restarting_in_turns(town: Town) -> None:
    town.estate.open_meeting(people=4, on=town.node)
    begun = town.shows("docker inspect --format '{{.State.StartedAt}}' openvidu")
    town.estate.crashes.begin(town.node, lives=3, waits=10)
    assert town.shows(STATE) == "restarting true true 0"
    assert (
        town.shows("docker inspect --format '{{.State.Pid}} {{.State.ExitCode}}' openvidu") == "0 1"
    )
    assert [(loss.people, loss.cause.who if loss.cause else "") for loss in town.estate.losses] == [
        (4, "world")
    ]
    assert town.estate.violations == []
    seen = set()
    for _ in range(40):
        town.world.wait(1)
        seen.add((town.shows(STATE), town.shows(READY)))
        assert town.node not in town.estate.serving("acme")
    assert {(s.rsplit(" ", 1)[0], ready) for s, ready in seen} == {
        ("restarting true true", "000"),
        ("running true false", "406"),
    }
    assert {s.rsplit(" ", 1)[1] for s, _ in seen} == {"0", "1", "2", "3"}
    assert town.shows("docker inspect --format '{{.State.StartedAt}}' openvidu") != begun
    town.says("systemctl restart openvidu")
    town.world.wait(3)
    assert town.shows(STATE) == "restarting true true 0"
    town.estate.crashes.end(town.node)
    town.world.wait(10)
    assert (town.shows(STATE), town.shows(READY)) == ("running true false 1", "200")
    town.world.wait(60)
    assert town.shows(STATE) == "running true false 1"


def test_a_container_between_two_lives_is_ended_by_a_signal(town: Town) -> None:
    town.estate.crashes.begin(town.node)
    assert town.says(f"{KILL} openvidu").exit_status == 0
    assert town.shows(STATE) == "exited false false 0"
    town.world.wait(60)
    assert town.shows(STATE) == "exited false false 0"


@pytest.mark.parametrize("status", ["created", "paused", "removing", "dead"])
def test_every_other_status_can_be_shown(town: Town, status: str) -> None:
    container = town.node.node.containers["openvidu"]
    container.shown, container.running = status, status == "paused"
    assert town.shows("docker inspect --format '{{.State.Status}}' openvidu") == status
    assert (
        town.shows(
            f"docker ps -a --filter status={status} --format '{{{{.Names}}}} {{{{.State}}}}'"
        )
        == f"openvidu {status}"
    )
    assert f'"Status": "{status}"' in town.shows(
        "docker inspect --format '{{json .State}}' openvidu"
    )


def test_of_several_containers_only_those_that_exist_are_shown(town: Town) -> None:
    said = town.says("docker inspect --format '{{.Name}}' openvidu nosuch egress")
    assert (said.exit_status, said.stdout) == (1, "/openvidu\n/egress\n")
    assert said.stderr == "Error: No such object: nosuch\n"
    assert (
        town.says("docker container inspect --format '{{.Name}}' nosuch").stderr
        == "Error: No such container: nosuch\n"
    )
    assert (
        town.shows(
            f"docker inspect --format '{{{{index .Config.Labels \"openvidu-agent\"}}}}' {AGENT}"
        )
        == "true"
    )


def caught(town: Town, name: str) -> int:
    pid = town.shows(f"docker inspect --format '{{{{.State.Pid}}}}' {name}")
    here = town.shows(f"grep SigCgt /proc/{pid}/status")
    assert here == town.shows(f"docker exec {name} grep SigCgt /proc/1/status")
    return int(here.split()[1], 16)


def test_an_agent_that_does_not_hear_goes_on_for_ever(town: Town) -> None:
    assert caught(town, AGENT) & 0b100
    town.estate.containers.set_agents(town.node, custom="deaf")
    assert (
        town.shows("docker ps --filter label=openvidu-agent=true --format '{{.Names}}'")
        == "agent-custom"
    )
    assert not caught(town, "agent-custom") & 0b100
    for name in ("openvidu", "ingress", "egress", "agent-custom"):
        town.says(f"{KILL} {name}")
    town.world.wait(3600)
    assert (
        town.shows("docker ps --filter label=openvidu-agent=true --format '{{.Names}}'")
        == "agent-custom"
    )
    assert town.shows(STATE) == "exited false false 0"
    assert town.says("docker exec openvidu cat /proc/1/status").exit_status == 1
    town.says("systemctl restart openvidu")
    assert town.estate.serving("acme")
    assert (
        town.shows("docker ps --filter label=openvidu-agent=true --format '{{.Names}}'")
        == "agent-custom"
    )


def test_an_agent_that_dies_at_once_cuts_captions_out_of_running_meetings(town: Town) -> None:
    town.estate.containers.usual_agents = {AGENT: "dies"}
    town.says("systemctl restart openvidu")
    assert not caught(town, AGENT)
    town.estate.open_meeting(people=4, minutes=5, on=town.node)
    town.says(f"{KILL} {AGENT}")
    assert [v.kind for v in town.estate.violations] == ["agent-cut"]
    assert "under 4 people" in town.estate.violations[0].text
    assert town.estate.thrown_out == 0
    town.estate.watch.violations.clear()
    town.world.wait(600)
    town.says("systemctl restart openvidu")
    town.says(f"{KILL} {AGENT}")
    assert town.estate.violations == []  # nobody was there


def test_a_good_agent_leaves_with_its_meeting(town: Town) -> None:
    town.estate.open_meeting(people=4, minutes=5, on=town.node)
    town.says(f"{KILL} {AGENT}")
    assert town.node.node.running(AGENT)
    town.world.wait(400)
    assert not town.node.node.running(AGENT)
    assert town.estate.violations == []


def test_a_hidden_recorder_holds_a_drain_open_though_nobody_is_listed(town: Town) -> None:
    town.estate.open_meeting(people=0, recordings=0, hidden=1, minutes=30, on=town.node)
    face = LivekitFace(town.estate, town.world.cluster)
    assert [room["num_participants"] for room in face._rooms({})["rooms"]] == [0]
    town.says(f"{KILL} openvidu")
    town.world.wait(600)
    assert town.shows(STATE) == "running true false 0"
    assert 'node_type="SERVER"} 1' in town.shows(
        "curl -s http://127.0.0.1:6789/metrics | grep '^livekit_participant_total'"
    )
    town.world.wait(1300)
    assert town.shows(STATE) == "exited false false 0"


def test_a_recorded_page_belongs_to_no_room(town: Town) -> None:
    town.estate.record_page(recordings=3, on=town.node)
    face = LivekitFace(town.estate, town.world.cluster)
    assert (face._rooms({})["rooms"], len(face._egress({})["items"])) == ([], 3)
    assert town.shows("docker top egress | grep -c run-handler") == "3"
    town.says("docker stop egress")
    town.estate.power.ask(town.node.id, "power_off")
    town.world.wait(10)
    assert [(loss.people, loss.recordings) for loss in town.estate.losses] == [(0, 3)]


def test_what_another_hand_does_is_not_the_operators(town: Town) -> None:
    town.estate.open_meeting(people=4, on=town.node)
    with town.estate.by_hand("Terraform"):
        town.estate.power.ask(town.node.id, "power_off")
        town.estate.power.ask(town.estate.masters("acme")[0].id, "power_off")
    town.world.wait(30)
    assert [
        (loss.people, loss.cause.what if loss.cause else "") for loss in town.estate.losses
    ] == [(4, "Terraform")]
    assert town.estate.violations == []
    town.estate.power.ask(town.estate.masters("acme")[1].id, "power_off")
    assert town.world.kinds() == ["master-before-media"]
