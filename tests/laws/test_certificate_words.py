"""The certificate in a status: nothing while it is valid for long enough, else the problem."""

from dataclasses import replace

import pytest

from bot.rehearsal.in_process import InProcessHttp
from handlers import views
from handlers.views.certificates import certificate_days, certificate_problem, longest_closure
from services.cluster.certificates import DAY, Certificate, CertificateSeen, NoCertificate
from services.operations.results import Status
from tests.support import virtual
from tests.support.clusters import NOW, ready
from tests.support.crash_injector import CrashingHttp
from tests.support.scene import ORIGIN, Scene

ENDS = "<!date^{}^{{date_short_pretty}} {{time}}|"


def lasting(days: float, trouble: str = "", remedy: str = "") -> Certificate:
    return Certificate(
        "https://meet.example.com/",
        ("meet.example.com",),
        "an authority",
        NOW - 60 * DAY,
        NOW + days * DAY,
        trouble,
        remedy,
    )


@pytest.mark.parametrize(
    "seen", [None, NoCertificate("connection refused"), lasting(14.1), lasting(61)]
)
def test_nothing_is_said_of_one_that_is_good(seen: CertificateSeen | None) -> None:
    assert certificate_problem(seen, ready(3), NOW) == ""
    card = views.status_card(Status(ready(3), None, None, certificate=seen), NOW)
    assert ":warning:" not in str(card.blocks)
    assert ("*Certificate*" in str(card.blocks)) == bool(certificate_days(seen, NOW))


def test_a_simulated_cluster_needs_none_and_none_is_missed() -> None:
    """Plain http on this machine: nothing about a certificate, and nothing that sounds broken."""
    here = NoCertificate("the address is not https://", needed=False)
    assert (certificate_problem(here, ready(3), NOW), certificate_days(here, NOW)) == ("", "")
    elsewhere = NoCertificate("the address is not https://")
    assert certificate_days(elsewhere, NOW) == "unknown (the address is not https://)"


@pytest.mark.parametrize("days", [0.01, 1, 13.9])
def test_the_end_within_two_weeks_is_said_as_each_reader_s_own_time(days: float) -> None:
    words = certificate_problem(lasting(days), ready(3), NOW)
    assert words.startswith(f"The certificate expires {ENDS.format(int(NOW + days * DAY))}")


def test_one_that_has_expired_since_it_was_looked_at() -> None:
    assert "The certificate expired" in certificate_problem(lasting(-0.01), ready(3), NOW)


def test_one_that_is_refused_says_why_and_what_to_do() -> None:
    trouble, remedy = (
        "certificate not trusted (self-signed certificate)",
        "put its authority's certificate (PEM) into clusters.acme.ca_file",
    )
    card = views.status_card(
        Status(ready(3), None, None, certificate=lasting(61, trouble, remedy)), NOW
    )
    for words in (card.text, str(card.blocks)):
        assert trouble in words
    assert "clusters.acme.ca" in card.text
    hostile = views.status_card(
        Status(ready(3), None, None, certificate=lasting(61, "for <!channel>")), NOW
    )
    assert "<!channel>" not in f"{hostile.text}{hostile.blocks}"


@pytest.mark.parametrize(
    ("windows", "days", "said"),
    [
        (("nights daily 20:00-07:30 Europe/Madrid",), 20, ""),
        (
            ("nights daily 20:00-07:30 Europe/Madrid",),
            0.4,
            "A window keeps acme closed for 11 h 30 min",
        ),
        (
            ("weekend Fri 20:00-24:00 UTC", "rest Sat,Sun 00:00-24:00 UTC"),
            1.5,
            "A window keeps acme closed for 52 h",
        ),
        (("nights daily 20:00-07:30 UTC --media-only",), 0.4, "The certificate expires"),
        (("nonsense",), 0.4, "The certificate expires"),
        ((), 0.4, "The certificate expires"),
    ],
)
def test_a_window_longer_than_what_is_left(
    windows: tuple[str, ...], days: float, said: str
) -> None:
    words = certificate_problem(lasting(days), replace(ready(3), windows=windows), NOW)
    assert (words == "") if not said else (said in words)


def test_a_closed_time_that_is_under_way_counts_by_what_is_left_of_it() -> None:
    cluster = replace(ready(3), windows=("nights daily 20:00-19:00 UTC",))
    day = NOW // DAY * DAY
    assert longest_closure(cluster, day + 12 * 3600) == 23 * 3600


def test_status_shows_it() -> None:
    async def story() -> None:
        async with Scene() as scene:
            http = scene.bot.adapters.http
            assert isinstance(http, CrashingHttp)
            town = http._http
            assert isinstance(town, InProcessHttp)
            await scene.ana.type_text("COPS", "/openvidu status")
            said = await scene.ephemeral("UANA", "acme is in service")
            assert "certificate expires" not in said.text
            town.certificate = replace(lasting(0), ends=ORIGIN + 3 * DAY)
            await scene.dora.type_text("COPS", "/openvidu status")
            said = await scene.ephemeral("UDORA", "acme is in service")
            assert f"The certificate expires {ENDS.format(int(ORIGIN + 3 * DAY))}" in said.text

    virtual.run(story())
