"""Unknown is never empty.

With any fact unseen, no plan becomes harmless and nothing that disconnects people is requested.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.access.policy import (
    AccessResult,
    Actor,
    ClusterPolicy,
    PolicyImpact,
    authorize,
    impacts,
)
from services.cloud.node_look import CUT_OFF, parse_look
from services.cluster.model import (
    Agent,
    Cluster,
    Load,
    MediaNode,
    NodeStatus,
    Signal,
    SignalResult,
    SigquitEffect,
)
from services.common.errors import Refused
from services.common.observed import Observed, Unobserved
from services.procedures import Procedure, Shutdown
from services.procedures.plan import Plan, make_plan
from services.steps import (
    Deleted,
    Drain,
    NodesOff,
    PoolTarget,
    PowerOff,
    Revive,
    Step,
    StopService,
    TemplateSize,
)
from tests.support.clusters import (
    DEAF,
    DRAINED_BUT_DEAF,
    DRAINING,
    HELD,
    HELD_BY_AGENT,
    IDLE,
    LOOPING,
    LYING,
    SERVING,
    SILENT,
    STARTING,
    UNTOLD,
    autoscaled,
    clusters,
    fixed,
    law,
    procedures,
    ready,
    steps,
)

RULES = ClusterPolicy(operators=frozenset({"UANA"}), approvers=frozenset({"UBEN"}))
ANA = Actor("UANA")
KINDS: dict[str, Callable[[int], Cluster]] = {
    "pool": ready,
    "fixed": fixed,
    "autoscaler": autoscaled,
}
GONE = Unobserved("no answer", since=1.0)


def _nodes(cluster: Cluster) -> Cluster:
    return replace(cluster, media=tuple(replace(n, look=GONE) for n in cluster.media))


def _metrics(cluster: Cluster) -> Cluster:
    def blind(node: MediaNode) -> MediaNode:
        look = node.look
        return (
            replace(node, look=replace(look, rooms=GONE, people=GONE, recordings=GONE))
            if isinstance(look, NodeStatus)
            else node
        )

    return replace(cluster, media=tuple(blind(n) for n in cluster.media))


def _readiness(cluster: Cluster) -> Cluster:
    def blind(node: MediaNode) -> MediaNode:
        return (
            replace(node, look=replace(node.look, livekit=GONE))
            if isinstance(node.look, NodeStatus)
            else node
        )

    return replace(cluster, media=tuple(blind(n) for n in cluster.media))


def _healths(cluster: Cluster) -> Cluster:
    return replace(cluster, masters=tuple(replace(m, healthy=GONE) for m in cluster.masters))


def _starts(cluster: Cluster) -> Cluster:
    return replace(cluster, masters=tuple(replace(m, start=GONE) for m in cluster.masters))


BLINDNESS: dict[str, Callable[[Cluster], Cluster]] = {
    "load": lambda c: replace(c, load=GONE),
    "nodes": _nodes,
    "metrics": _metrics,
    "readiness": _readiness,
    "health": _healths,
    "front": lambda c: replace(c, front=GONE),
    "starts": _starts,
    "all": lambda c: _healths(_starts(_nodes(replace(c, load=GONE, front=GONE)))),
}


def planned(cluster: Cluster, procedure: Procedure) -> Plan | None:
    try:
        return make_plan(cluster, procedure)
    except Refused:
        return None


def found(plan: Plan) -> set[PolicyImpact]:
    return set(impacts(plan, RULES))


@pytest.mark.parametrize("blind", BLINDNESS)
@pytest.mark.parametrize("kind", KINDS)
@law
@given(procedures())
def test_no_plan_becomes_harmless_because_something_was_not_seen(
    kind: str, blind: str, procedure: Procedure
) -> None:
    cluster = KINDS[kind](3)
    seen, unseen = planned(cluster, procedure), planned(BLINDNESS[blind](cluster), procedure)
    if seen is None or unseen is None:
        return  # refused: nothing is done
    missing = found(seen) - found(unseen)
    assert not missing, f"{procedure} has no {missing} any more"
    if authorize(seen, ANA, RULES).kind is AccessResult.NEEDS_APPROVAL:
        assert authorize(unseen, ANA, RULES).kind is AccessResult.NEEDS_APPROVAL


LOSING = (PoolTarget, TemplateSize, NodesOff, Deleted, PowerOff, StopService, Revive)


@law
@given(clusters(), st.data())
def test_no_first_request_removes_an_unseen_node(cluster: Cluster, data: st.DataObject) -> None:
    step: Step = data.draw(steps(cluster, *LOSING))
    blind = replace(
        cluster,
        media=tuple(replace(n, look=GONE) if n.droplet.active else n for n in cluster.media),
    )
    lit = [n for n in blind.media if n.droplet.active]
    if (
        not lit
        or getattr(step, "harsh", False)
        or isinstance(step, StopService | Deleted)
        or step.is_done(blind)
    ):
        return
    if isinstance(step, PoolTarget):
        going = [n for n in blind.members[step.number :] if n in lit]
        assert not going or step.missing_evidence(blind) or step.blocker(blind)
    if isinstance(step, NodesOff):
        mine = [n for n in lit if n.id in step.ids]
        assert not mine or step.missing_evidence(blind)
    if isinstance(step, TemplateSize):
        assert not [n for n in blind.members if n in lit] or step.missing_evidence(blind)
    if isinstance(step, PowerOff) and not step.media_stays:
        assert step.missing_evidence(blind) or step.blocker(blind)


@law
@given(clusters(), st.data())
def test_a_drain_or_a_restart_is_done_only_with_proof(
    cluster: Cluster, data: st.DataObject
) -> None:
    step = data.draw(steps(cluster, Drain, Revive))
    assert isinstance(step, Drain | Revive)
    blind = replace(cluster, media=tuple(replace(n, look=GONE) for n in cluster.media))
    concerned = [
        n
        for n in blind.media
        if (not step.ids or n.id in step.ids)
        and n.member_status != "deleting"
        and not n.droplet.off
    ]
    if concerned:
        assert not step.is_done(blind)
        assert not step.needs_ask(blind, 0), "what is not seen is neither signalled nor restarted"


# States of a node


def node(look: NodeStatus | Unobserved) -> MediaNode:
    return replace(ready(1).media[0], look=look)


STATES: dict[str, tuple[Observed[NodeStatus], tuple[bool, ...]]] = {
    # look: (in service, drained, draining, held, restartable)
    "serving": (SERVING, (True, False, False, False, False)),
    "draining": (DRAINING, (False, False, True, False, False)),
    "drained": (IDLE, (False, True, False, False, True)),
    "held by a recorder": (HELD, (False, False, False, True, False)),
    "held by an agent that drains": (HELD_BY_AGENT, (False, False, False, True, True)),
    "drained, a deaf agent runs on": (DRAINED_BUT_DEAF, (False, True, False, False, True)),
    "starting": (STARTING, (False, False, False, False, False)),
    "in a crash loop": (LOOPING, (False, False, False, False, False)),
    "told, and docker refused": (UNTOLD, (True, False, False, False, False)),
    "docker and LiveKit contradict each other": (LYING, (False, False, False, False, False)),
    "silent": (SILENT, (False, False, False, False, False)),
}


@pytest.mark.parametrize("name", STATES)
def test_the_states_of_a_node_are_distinguished(name: str) -> None:
    look, expected = STATES[name]
    it = node(look)
    assert (it.serving, it.drained, it.draining, bool(it.busy_with), it.restartable) == expected


def test_metrics_that_count_people_contradict_a_media_server_that_has_ended() -> None:
    assert "count 3 people" in node(replace(IDLE, people=3)).contradiction
    assert node(IDLE).contradiction == ""


def test_livekit_and_the_nodes_contradict_each_other_for_the_whole_cluster() -> None:
    empty = replace(
        ready(2), media=tuple(replace(n, look=IDLE) for n in ready(2).media), load=Load(2, 9, 0)
    )
    assert "LiveKit counts 9 people" in empty.contradiction
    assert "LiveKit counts 9 people" in PoolTarget(0).missing_evidence(empty)
    assert replace(empty, load=GONE).contradiction == ""
    assert ready(2).contradiction == ""


def test_an_unseen_fact_is_neither_true_nor_false() -> None:
    with pytest.raises(TypeError, match="no answer"):
        bool(GONE)


def test_agents_that_do_not_hear_the_signal_are_left_alone_and_named_on_the_plan() -> None:
    agents = (*DEAF, Agent("agent-speech", SigquitEffect.DRAINS))
    looks = replace(
        SERVING, running=(*SERVING.running, "agent-captions", "agent-speech"), agents=agents
    )
    assert looks.containers_to_drain == ("openvidu", "ingress", "egress", "agent-speech")
    cluster = replace(ready(2), media=tuple(replace(n, look=looks) for n in ready(2).media))
    (note,) = [n for n in make_plan(cluster, Shutdown()).notes if "agent" in n]
    assert "`agent-captions` on media-1" in note
    assert "agent-speech" not in note


# Output of the script

START = "2027-01-15T08:00:00.000000000Z"
LINES = (
    f"container=openvidu= running 1200 0 {START}\n"
    f"container=egress= running 1210 0 {START}\n"
    "recordings=2\n"
    f"container=agent-speech=true running 1220 0 {START}\n"
    "process=agent-speech python 0000000000004006\n"
    "marked=yes\n"
    "signal=begin openvidu\nsignal=sent openvidu\nsignal=begin egress\n"
    "signal=refused egress Cannot connect to the Docker daemon at x\n"
    "livekit=200\nlivekit_room_total 2\nlivekit_participant_total 7\n"
)


def test_a_complete_report_is_parsed() -> None:
    look = parse_look(LINES + "end\n")
    assert isinstance(look, NodeStatus)
    assert (look.start, look.running, look.drain_marked, look.livekit) == (
        START,
        ("openvidu", "egress", "agent-speech"),
        True,
        200,
    )
    assert (look.rooms, look.people, look.recordings) == (2, 7, 2)
    assert look.agents == (Agent("agent-speech", SigquitEffect.DRAINS),)
    assert look.signals == (
        Signal("openvidu", SignalResult.SENT),
        Signal("egress", SignalResult.REFUSED, "Cannot connect to the Docker daemon at x"),
    )
    assert look.containers_to_drain == ("egress", "agent-speech")
    assert look.undelivered == ""


@pytest.mark.parametrize("cut", range(0, len(LINES), 7))
def test_a_report_without_its_last_line_shows_nothing(cut: int) -> None:
    assert isinstance(parse_look(LINES[:cut]), str)
    assert parse_look(LINES) == CUT_OFF


@law
@given(st.text())
def test_any_output_is_parsed_or_not_seen(text: str) -> None:
    look = parse_look(text)
    assert isinstance(look, NodeStatus | str)
    if isinstance(look, NodeStatus):
        assert "end" in text.splitlines()


@pytest.mark.parametrize(
    ("message", "delivery"),
    [
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. "
            "Is the docker daemon running?",
            SignalResult.REFUSED,
        ),
        (
            "permission denied while trying to connect to the Docker daemon socket",
            SignalResult.REFUSED,
        ),
        ("Error response from daemon: No such container: egress", SignalResult.REFUSED),
        ("Error response from daemon: cannot kill container: openvidu: EOF", SignalResult.UNSURE),
        ("error during connect: context deadline exceeded", SignalResult.UNSURE),
    ],
)
def test_only_a_signal_that_provably_never_left_may_be_sent_again(
    message: str, delivery: SignalResult
) -> None:
    look = parse_look(
        f"container=openvidu= running 1 0 {START}\nmarked=yes\nsignal=begin openvidu\n"
        f"signal=refused openvidu {message}\nend\n"
    )
    assert isinstance(look, NodeStatus)
    (signal,) = look.signals
    assert signal.delivery is delivery
    assert ("openvidu" in look.containers_to_drain) == (delivery is SignalResult.REFUSED)


@pytest.mark.parametrize(
    ("processes", "quit_"),
    [
        (["python 0000000000004006"], SigquitEffect.DRAINS),
        (["python 0000000000004002"], SigquitEffect.DEAF),
        (["docker-init 0000000000000000", "python 0000000000004002"], SigquitEffect.DIES),
        (["tini 0000000000000000", "python 0000000180014007"], SigquitEffect.DRAINS),
        (["tini 0000000000000000"], SigquitEffect.UNKNOWN),
        ([" "], SigquitEffect.UNKNOWN),
        ([], SigquitEffect.UNKNOWN),
    ],
)
def test_what_an_agent_does_with_the_signal_is_read_from_its_processes(
    processes: list[str], quit_: SigquitEffect
) -> None:
    lines = "".join(f"process=agent-x {p}\n" for p in processes)
    look = parse_look(f"container=agent-x=true running 1 0 {START}\n{lines}end\n")
    assert isinstance(look, NodeStatus)
    assert look.agents == (Agent("agent-x", quit_),)


def test_no_docker_and_no_socket_is_a_node_that_installs_itself() -> None:
    look = parse_look("installed=no\nlivekit=000\nend\n")
    assert isinstance(look, NodeStatus)
    assert (look.start, look.running, look.livekit) == ("", (), 0)
    assert look.is_drained


def test_every_state_of_an_observation_is_in_its_type() -> None:
    for name in ("load", "front"):
        assert Unobserved in get_args(Cluster.__annotations__[name])
    assert Unobserved in get_args(MediaNode.__annotations__["look"])
