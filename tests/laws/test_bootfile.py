"""Properties of every plan about `secrets.env`: no unbootable stop, and every doubt is shown."""

from dataclasses import replace

import pytest
from hypothesis import given

from services.cluster.model import Cluster
from services.common.errors import Refused
from services.procedures import Configure, Procedure, Restart, Shutdown, Startup, fleet
from services.procedures.plan import make_plan
from services.procedures.secrets_env_check import Unbootable
from services.secrets_env import (
    Danger,
    Reader,
    SecretsFile,
    SecretsFindings,
    SecretsUnread,
    findings,
)
from services.steps import Arrived, MediaGone, PowerOff, PowerOn, TemplateSize
from tests.support.clusters import clusters, down, law, plan_of, procedures, ready

BOOT = SecretsFindings(findings(SecretsFile(b"DASHBOARD_ADMIN_PASSWORD=a|b\n")))
RUNS = SecretsFindings(findings(SecretsFile(b"UNKNOWN=a|;e reboot #\n")))
NODES = SecretsFindings(tuple(f for f in findings(SecretsFile(b"")) if f.reader is Reader.NODES))
SOUND, SILENT = SecretsFindings(), SecretsUnread("no answer within 10 s")


def seen(cluster: Cluster, lint: SecretsFindings | SecretsUnread) -> Cluster:
    return replace(cluster, has_bucket=True, lint=lint)


@given(clusters(), procedures())
@law
def test_no_plan_boots_a_master_with_a_file_that_runs_or_ends_the_boot(
    cluster: Cluster, procedure: Procedure
) -> None:
    for lint in (BOOT, RUNS):
        plan = plan_of(seen(cluster, lint), procedure)
        if plan is not None and not isinstance(procedure, Configure):
            assert not any(isinstance(s, PowerOff | PowerOn) for s in plan.steps)


@given(clusters(), procedures())
@law
def test_no_plan_leads_to_new_media_nodes_that_would_not_come_up(
    cluster: Cluster, procedure: Procedure
) -> None:
    plan = plan_of(seen(cluster, NODES), procedure)
    if (
        plan is not None
        and fleet.fleet_of(cluster).installs
        and not isinstance(procedure, Configure)
    ):
        assert not any(isinstance(s, MediaGone | Arrived | TemplateSize) for s in plan.steps)
        assert not any(isinstance(s, PowerOff) and not s.media_stays for s in plan.steps)
        assert not plan.effects.adds


@given(clusters(), procedures())
@law
def test_nothing_is_stopped_on_a_guess(cluster: Cluster, procedure: Procedure) -> None:
    plan = plan_of(seen(cluster, SILENT), procedure)
    if plan is not None and not isinstance(procedure, Configure):
        assert not any(isinstance(s, PowerOff) and not s.media_stays for s in plan.steps)
        assert not (
            any(isinstance(s, MediaGone) for s in plan.steps) and fleet.fleet_of(cluster).installs
        )
        if any(isinstance(s, PowerOff | PowerOn) for s in plan.steps):
            assert any("could not be read" in note for note in plan.notes)


@given(clusters(), procedures())
@law
def test_a_sound_file_is_in_nobodys_way_and_says_nothing(
    cluster: Cluster, procedure: Procedure
) -> None:
    with_it, without = (
        plan_of(seen(cluster, SOUND), procedure),
        plan_of(replace(cluster, has_bucket=False, lint=SecretsUnread()), procedure),
    )
    assert (with_it is None) == (without is None)
    if with_it is not None and without is not None and not isinstance(procedure, Configure):
        assert not any("could not be read" in n or "is not checked" in n for n in with_it.notes)
        boots = any(isinstance(s, PowerOff | PowerOn) for s in without.steps)
        assert not boots or any("is not checked" in n for n in without.notes)


@given(clusters(), procedures())
@law
def test_what_reads_nothing_of_it_is_planned_as_ever(
    cluster: Cluster, procedure: Procedure
) -> None:
    plan = plan_of(seen(cluster, SOUND), procedure)
    touches = (PowerOff, PowerOn, MediaGone, Arrived, TemplateSize)
    if (
        plan is not None
        and not any(isinstance(s, touches) for s in plan.steps)
        and not plan.effects.adds
    ):
        for lint in (BOOT, RUNS, NODES, SILENT):
            assert plan_of(seen(cluster, lint), procedure) == plan


def test_a_bucket_that_was_not_looked_at_is_not_a_file_in_order() -> None:
    with pytest.raises(Unbootable, match="not observed"):
        make_plan(replace(ready(3), has_bucket=True), Shutdown())


def test_what_is_said_of_the_file_is_part_of_what_is_approved() -> None:
    restart = Restart("master-2")
    digests = {make_plan(seen(ready(3), lint), restart).digest for lint in (SOUND, SILENT, NODES)}
    assert len(digests) == 3


def test_a_run_under_way_does_not_lose_its_way_because_the_bucket_is_silent() -> None:
    half = replace(
        seen(ready(3), SILENT),
        masters=(replace(ready(3).masters[0], status="off"), *ready(3).masters[1:]),
    )
    steps = make_plan(seen(ready(3), SOUND), Shutdown()).steps
    with pytest.raises(Refused):
        make_plan(half, Shutdown())
    assert make_plan(half, Shutdown(), steps).steps


def test_each_finding_is_refused_with_line_key_and_remedy_and_without_a_value() -> None:
    rest = b"OPENVIDU_VERSION=3.6.1\nALL_SECRETS_GENERATED=true\n"
    file = SecretsFile(b"DASHBOARD_ADMIN_PASSWORD=pL4nted|w x\nREDIS_PASSWORD=pL4nted;x\n" + rest)
    found = SecretsFindings(findings(file))
    assert [(f.danger, f.reader, f.line) for f in found.findings[:2]] == [
        (Danger.RUNS, Reader.MASTERS, 1),
        (Danger.RUNS, Reader.NODES, 2),
    ]
    for procedure, cluster in ((Shutdown(), ready(3)), (Startup(), down(ready(3)))):
        with pytest.raises(Unbootable) as refused:
            make_plan(seen(cluster, found), procedure)
        for words in (
            "line 1, DASHBOARD_ADMIN_PASSWORD",
            "line 2, REDIS_PASSWORD",
            "config rollback",
            "correct line 1, 2",
        ):
            assert words in str(refused.value)
        assert "pL4nted" not in f"{refused.value} {found!r}"
