"""A goal that is reverted externally is noticed before the run writes anything else.

In every procedure.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from services.access.policy import Actor
from services.cluster.model import (
    Basis,
    Cluster,
    Fact,
    FleetKind,
    MediaNode,
    NodeStatus,
    SecretsState,
)
from services.common.errors import Refused
from services.common.observed import NOT_OBSERVED, Observed
from services.procedures import (
    BackupCreate,
    ChangeConfigFile,
    Configure,
    DrainNodes,
    Park,
    Procedure,
    ResizeMasters,
    ResizeMedia,
    Restart,
    Roll,
    Scale,
    Shutdown,
    Start,
    Startup,
    Stop,
    SwitchModule,
    Unpark,
    Upgrade,
)
from services.procedures.plan import make_plan
from services.runs.run import Event, Opened, Reached, Run, fold
from services.runs.undone import undone_goal
from services.secrets_env import SecretsFindings
from services.steps import PowerOn, Step
from tests.support.clusters import (
    NOW,
    OLD,
    SIZES,
    SOLD,
    autoscaled,
    configured,
    down,
    end_of,
    fixed,
    ready,
    with_stopped,
)

ANA = Actor("UANA", "T0ACME")


def parked(cluster: Cluster) -> Cluster:
    """Return the cluster with its last media node powered off."""
    last = cluster.media[-1]
    return cluster.with_media(
        {last.id: replace(last, droplet=replace(last.droplet, status="off"), look=NOT_OBSERVED)}
    )


def rooted(cluster: Cluster) -> Cluster:
    """Return the cluster with sizes, snapshots and bucket observed too."""
    known = SecretsState("d1", staged=("s1",))
    return replace(
        cluster,
        sizes=SOLD,
        snapshots=(),
        secrets_copies=(),
        has_bucket=True,
        secrets=known,
        lint=SecretsFindings(),
    )


def with_versions(cluster: Cluster) -> Cluster:
    """Return the cluster with OpenVidu's versions observed too."""
    masters = tuple(replace(m, installation=OLD) for m in cluster.masters)
    secrets = SecretsState("d1", version=OLD.version)
    return replace(cluster, masters=masters, secrets=secrets)


def with_configuration(cluster: Cluster) -> Cluster:
    """Return the cluster with its configuration seen on every master."""
    return replace(cluster, configuration=configured(cluster.masters))


STORIES: dict[str, tuple[Procedure, Cluster]] = {
    "shutdown": (Shutdown(), ready(3)),
    "shutdown, harsh": (Shutdown(no_drain=True), ready(3)),
    "shutdown of the media nodes": (Shutdown(media_only=True), ready(3)),
    "shutdown, one kept": (Shutdown(), ready(3, zero_refused=True, zero_policy="keep_one")),
    "shutdown, fixed": (Shutdown(), fixed(3)),
    "shutdown, autoscaler": (Shutdown(), autoscaled(3)),
    "stop": (Stop("media-2"), ready(3)),
    "start": (Start("master-2"), with_stopped(ready(3), 2)),
    "startup": (Startup(), down(ready(3))),
    "startup, fixed": (Startup(), down(fixed(3))),
    "startup, autoscaler": (Startup(), down(autoscaled(3))),
    "scale down": (Scale(1), ready(3)),
    "scale up": (Scale(5), ready(3)),
    "drain": (DrainNodes("all"), ready(3)),
    "resize media": (ResizeMedia(SIZES[1]), rooted(ready(3))),
    "resize media, fixed": (ResizeMedia(SIZES[1]), rooted(fixed(3))),
    "resize masters": (ResizeMasters(SIZES[1], snapshot=True), rooted(ready(3))),
    "resize masters, rolling": (ResizeMasters(SIZES[1], rolling=True), rooted(ready(3))),
    "resize masters, fixed": (ResizeMasters(SIZES[1]), rooted(fixed(3))),
    "backup": (BackupCreate(offline=True), rooted(ready(3))),
    "restart": (Restart("master-2"), ready(3)),
    "restart of a media node": (Restart("media-2"), ready(3)),
    "upgrade": (Upgrade("3.7.0"), with_versions(rooted(ready(3)))),
    "upgrade, autoscaler": (Upgrade("3.7.0"), with_versions(rooted(autoscaled(3)))),
    "park": (Park("1"), fixed(3)),
    "unpark": (Unpark("all"), parked(fixed(3))),
    "roll": (Roll(SIZES[1]), rooted(autoscaled(3))),
    "config": (Configure(("DASHBOARD_ADMIN_PASSWORD",), "s1", "d1", "d2"), rooted(ready(3))),
    "config file": (
        ChangeConfigFile("livekit.yaml", "s1", "d1", "d2", ("- a", "+ b")),
        with_configuration(rooted(ready(3))),
    ),
    "module": (
        SwitchModule(("ENABLED_MODULES",), "s1", "d1", "d2", module="observability", on=False),
        with_configuration(rooted(ready(3))),
    ),
}


def run_of(name: str) -> tuple[Run, list[Cluster]]:
    """Return the opened run, and the cluster before each of its steps and at the end."""
    procedure, cluster = STORIES[name]
    plan = make_plan(cluster, procedure)
    run = fold([Opened(NOW, "acme-1", plan, ANA, (), "")])
    seen = [cluster]
    for step in run.steps:
        seen.append(step.after(seen[-1]))
    return run, seen


def at(run: Run, seen: list[Cluster], position: int) -> Run:
    """Return the run with so many steps reached."""
    events: list[Event] = [Opened(NOW, "acme-1", run.plan, ANA, (), "")]
    for n, step in enumerate(run.steps[:position]):
        basis = (
            replace(
                Basis(), **{name: getattr(seen[n + 1].basis, name) for name in step.changed_facts}
            )
            if step.changed_facts
            else None
        )
        events.append(Reached(NOW + n, n, basis))
    return fold(events)


# External changes


def hands(now: Cluster) -> Iterator[tuple[str, Cluster]]:
    """Yield every external change of a cluster: a droplet's power, number, size, nodes."""
    for master in now.masters:
        other = "off" if master.status == "active" else "active"
        yield (
            f"{master.name} {other}",
            now.with_masters(
                {master.name: replace(master, status=other, healthy=other == "active")}
            ),
        )
        size = next(s for s in SIZES if s != master.size)
        yield f"{master.name} {size}", now.with_masters({master.name: replace(master, size=size)})
    for node in now.media:
        if node.droplet.off:
            yield (
                f"{node.name} on",
                _node(now, node, "active", NodeStatus("t2", ("openvidu",), livekit=200)),
            )
            continue
        if now.kind is FleetKind.FIXED:
            yield f"{node.name} off", _node(now, node, "off", NOT_OBSERVED)
        if node.restartable:
            yield (
                f"{node.name} serves",
                _node(now, node, "active", NodeStatus("t2", ("openvidu",), livekit=200)),
            )
    if now.kind is FleetKind.FIXED and now.media:
        yield f"{now.media[0].name} gone", replace(now, media=now.media[1:])
    if now.pool is not None:
        yield "the pool's number", replace(now, pool=replace(now.pool, target=now.pool.target + 2))
        yield "the pool's template", replace(now, pool=replace(now.pool, template="t-9"))
    if now.autoscaler is not None:
        yield (
            "the autoscaler",
            replace(now, autoscaler=replace(now.autoscaler, enabled=not now.autoscaler.enabled)),
        )


def _node(now: Cluster, node: MediaNode, status: str, look: Observed[NodeStatus]) -> Cluster:
    return now.with_media(
        {node.id: replace(node, droplet=replace(node.droplet, status=status), look=look)}
    )


def looked(cluster: Cluster, step: Step) -> Cluster:
    """Return what the step's observation shows of the cluster."""
    known = step.needs | {Fact.DROPLETS}
    shown = replace(cluster, known=known)
    if Fact.POOL not in known:
        shown = replace(shown, pool=None, autoscaler=None)
    if Fact.NODES not in known:
        shown = replace(shown, media=tuple(replace(n, look=NOT_OBSERVED) for n in shown.media))
    if Fact.HEALTH not in known:
        shown = replace(
            shown, masters=tuple(replace(m, healthy=NOT_OBSERVED) for m in shown.masters)
        )
    if Fact.SNAPSHOTS not in known:
        shown = replace(shown, snapshots=None)
    return shown


def noticed(run: Run, look: Cluster) -> bool:
    step = run.step
    assert step is not None, "it is under way"
    return bool(
        undone_goal(run, look)
        or run.basis.changed(look.basis)
        or (not step.is_done(look) and step.blocker(look))
    )


def touches(goal: Step, before: Cluster, after: Cluster) -> bool:
    """Return whether the external change reverted this goal."""
    return goal.is_done(before) and not goal.is_done(after)


SWITCHED = (
    "PowerOn",
    "PowerOff",
    "NodesOn",
    "NodesOff",
    "Healthy",
    "NodesServe",
    "PoolTarget",
    "TemplateSize",
    "Resize",
    "Autoscaling",
)
"""The goals that are states of things people see and switch in DigitalOcean's panel."""


@pytest.mark.parametrize("name", STORIES)
def test_a_reverted_goal_is_noticed_before_the_next_write(name: str) -> None:
    """Any reverted goal, at any later step, in any procedure."""
    run, seen = run_of(name)
    for position in range(1, len(run.steps)):
        for what, changed in hands(seen[position]):
            lasting = [
                g
                for g in run.steps[:position]
                if type(g).__name__ in SWITCHED and g.is_done(seen[position + 1])
            ]
            goals = [g for g in lasting if touches(g, seen[position], changed)]
            if goals:
                fact = Fact.POOL if what.startswith("the ") else Fact.DROPLETS
                assert _noticed_in_time(run, seen, position, changed, fact), (
                    f"{what} at “{run.steps[position].title()}”: {goals}"
                )


def _noticed_in_time(
    run: Run, seen: list[Cluster], position: int, changed: Cluster, fact: Fact
) -> bool:
    """Return whether the run notices in time.

    Before it requests anything that depends on the fact and does not restore the goal, or ends.
    """
    now = changed
    for at_step in range(position, len(run.steps)):
        here, step = at(run, seen, at_step), run.steps[at_step]
        look = looked(now, step)
        if noticed(here, look):
            return True
        rests_on_it = fact is Fact.DROPLETS or fact in step.needs
        if (
            rests_on_it
            and not step.is_done(look)
            and type(step).request is not Step.request
            and step.needs_ask(look, 0)
        ):
            # A write is fine only where it restores what was reverted.
            return all(
                g.is_done(_end(run, at_step, now))
                for g in run.steps[:position]
                if g.is_done(seen[position])
            )
        now = step.after(now)
    return all(g.is_done(now) for g in run.steps[:position] if g.is_done(seen[-1]))


def _end(run: Run, start: int, now: Cluster) -> Cluster:
    for step in run.steps[start:]:
        now = step.after(now)
    return now


@pytest.mark.parametrize("name", STORIES)
def test_an_undisturbed_run_suspects_nothing(name: str) -> None:
    """Before, after and in the middle of each step, whichever part of it is done."""
    run, seen = run_of(name)
    for position, step in enumerate(run.steps):
        here = at(run, seen, position)
        for now in (seen[position], *_halves(seen[position], seen[position + 1])):
            look = looked(now, step)
            assert undone_goal(here, look) == "", f"at “{step.title()}”"
        assert here.basis.changed(looked(seen[position], step).basis) == ""


def _halves(before: Cluster, after: Cluster) -> Iterator[Cluster]:
    """Yield the cluster with a single droplet changed, and with all locked and unseen."""
    for master in after.masters:
        yield before.with_masters({master.name: master})
    for node in after.media:
        if any(n.id == node.id for n in before.media):
            yield before.with_media({node.id: node})
    for cluster in (before, after):
        dark = tuple(replace(n, look=NOT_OBSERVED) for n in cluster.media)
        yield replace(
            cluster,
            media=dark,
            masters=tuple(replace(m, locked=True, healthy=False) for m in cluster.masters),
        )


@pytest.mark.parametrize("name", STORIES)
def test_a_rollback_is_not_taken_for_an_external_change(name: str) -> None:
    """The rollback reverts reached goals on purpose."""
    run, seen = run_of(name)
    for position, step in enumerate(run.steps):
        back = tuple(run.plan.procedure.recover(seen[position], step))
        if not back:
            continue
        now = seen[position]
        way = replace(
            run, steps=run.steps[: position + 1] + back, skipped=(position,), way_from=position + 1
        )
        way = replace(way, reached=tuple(Reached(NOW, n) for n in range(position)))
        for n, going in enumerate(back, position + 1):
            here = replace(
                way,
                position=n,
                reached=(*way.reached, *(Reached(NOW, m) for m in range(position + 1, n))),
            )
            assert undone_goal(here, looked(now, going)) == "", (
                f"on the way back at “{going.title()}”"
            )
            now = going.after(now)


def test_every_goal_that_can_be_reverted_in_the_panel_is_covered() -> None:
    there = {type(s).__name__ for name in STORIES for s in run_of(name)[0].steps}
    assert set(SWITCHED) <= there


def test_a_goal_that_a_new_plan_reaches_again_is_not_noticed_twice() -> None:
    """After the choice to go on, the first start of master 1 stays reverted.

    The second one is being requested.
    """
    run, seen = run_of("startup")
    here = at(run, seen, 3)
    off = seen[3].with_masters({"acme-master-node-1": replace(seen[3].masters[0], status="off")})
    assert undone_goal(here, off) == "master 1 is powered off"
    again = make_plan(off, run.plan.procedure, here.steps[3:])
    going = replace(here, steps=here.steps[:4] + again.steps, skipped=(3,), position=4)
    assert undone_goal(going, off) == ""
    going = replace(going, way_from=4)
    assert again.steps[0].title() == "Power on master 1"
    assert undone_goal(going, off) == ""


@pytest.mark.parametrize("unsure", ["locked", "new", "archive"])
def test_only_what_is_seen_counts(unsure: str) -> None:
    run, seen = run_of("startup")
    first = seen[5].masters[0]
    odd = replace(first, locked=True) if unsure == "locked" else replace(first, status=unsure)
    assert undone_goal(at(run, seen, 5), seen[5].with_masters({first.name: odd})) == ""


@pytest.mark.parametrize("name", STORIES)
def test_a_new_plan_ends_where_the_first_one_was_to_end(name: str) -> None:
    """After any external change: refused with a reason, or planned again.

    A cluster that was to be up at the end is not left half off.
    """
    run, seen = run_of(name)
    starts = any(isinstance(s, PowerOn) for s in run.steps)
    for position in range(len(run.steps)):
        for what, changed in hands(
            replace(seen[position], nodes_before_shutdown=len(seen[0].media) or 3)
        ):
            where = f"{what} at “{run.steps[position].title()}”"
            try:
                plan = make_plan(changed, run.plan.procedure, run.steps[position:])
            except Refused:
                continue
            end = end_of(changed, plan.steps)
            if starts:
                assert end.is_up, where
            if starts and "master" in what:
                assert len(end.serving) >= len(seen[-1].serving), where
