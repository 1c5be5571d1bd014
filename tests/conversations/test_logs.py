"""`logs NODE [SERVICE]`: a private file, masked and bounded, that only operators get."""

import asyncio

import pytest

from handlers.commands.logs import how_far_back
from services.audit.entries import AuditAction
from services.cloud import node_scripts as scripts
from services.cloud.node_logs import masked_lines, read_logs
from services.common.errors import Refused
from simulators.cloud.model import SimulatedDroplet
from simulators.slack.model import File
from tests.support import virtual
from tests.support.scene import Scene

SECRETS = (
    "REDIS_PASSWORD=correct-horse starting",
    "\x1b[31mOPENVIDU_PRO_LICENSE\x1b[0m=\x1b[1mopen-sesame\x1b[0m",
    "mongo://mongoadmin:sesame@10.10.10.2/db",
    "token dop_v1_0123456789abcdef",
)


def prints(scene: Scene, node: SimulatedDroplet, name: str, *lines: str, ago: float = 60) -> None:
    printed = node.node.containers[name].printed
    printed += [(scene.estate.now - ago, line) for line in lines]


def newest_file(scene: Scene) -> File:
    return list(scene.slack.workspace.files.values())[-1]


def text_of(file: File) -> str:
    return (file.data or b"").decode()


def test_an_operator_reads_a_containers_log_and_the_audit_has_it() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            master = scene.estate.masters("acme")[1]
            prints(scene, master, "caddy", "too old", ago=3 * 3600)
            prints(scene, master, "caddy", "certificate obtained", *SECRETS)
            await scene.ana.type_text("COPS", "/openvidu logs master 2 caddy --since 2h")
            shown = await scene.ephemeral("UANA", "caddy on master-2 of acme")
            assert "direct messages" in shown.text
            text = text_of(newest_file(scene))
            assert "certificate obtained" in text
            assert "too old" not in text
            for secret in ("correct-horse", "open-sesame", "sesame", "dop_v1"):
                assert secret not in text
            assert text.count("•••") == 4
            # No one else has the file, and nothing of it is in the channel.
            direct = [
                c
                for c in scene.slack.workspace.channels.values()
                if any(newest_file(scene).id in m.files for m in c.messages.values())
            ]
            assert [c.id for c in direct] != ["COPS"]
            assert len(direct) == 1
            newest = await scene.bot.operations.journal.chain.newest("acme", 9)
            (entry,) = [e for e in newest if e.what == AuditAction.LOGS_READ]
            assert entry.user == "UANA"
            assert (entry.about, entry.after) == ("caddy on master-2", "the last 2 h")

    virtual.run(story())


def test_the_units_journal_without_a_service() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            await scene.ana.type_text("COPS", "/openvidu logs media-1")
            await scene.ephemeral("UANA", "OpenVidu on media-1 of acme")
            assert "Started openvidu.service" in text_of(newest_file(scene))

    virtual.run(story())


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("logs media-9", "acme has no node “media-9”. There are: master-1"),
        ("logs master-1 nginx", "master-1 has no container nginx. There are: caddy, dashboard"),
        ("logs master-1 $(reboot)", "SERVICE is a plain word"),
        ("logs master-1 caddy/x", "letters, digits, points and dashes"),
        ("logs master-1 --since 9d", "reach back 7 days at most"),
        ("logs master-1 --since", "--since needs a value"),
        ("logs master-1 --since soon", "is not a length of time"),
    ],
)
@pytest.mark.sampled(3)
def test_what_is_refused_names_what_there_is(typed: str, answer: str) -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            await scene.ana.type_text("COPS", f"/openvidu {typed}")
            await scene.ephemeral("UANA", answer)
            assert not scene.slack.workspace.files

    virtual.run(story())


def test_who_may_only_look_gets_none_and_no_node_is_asked() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            await scene.dora.type_text("COPS", "/openvidu logs master-1 caddy")
            await scene.ephemeral("UDORA", "operator")
            assert not scene.slack.workspace.files
            assert not [c for _, c, _ in scene.environment.shell.commands if "docker logs" in c]

    virtual.run(story())


def test_a_log_that_never_ends_is_bounded_and_says_what_is_missing() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            node = scene.estate.media("acme")[0]
            scene.environment.faults.make_ill(node.name, "logs-endless")
            began = asyncio.get_running_loop().time()
            await scene.ana.type_text("COPS", "/openvidu logs media-1 egress")
            shown = await scene.ephemeral("UANA", "egress on media-1 of acme: 3000 lines")
            assert "At least 17000 older lines did not fit" in shown.text
            assert asyncio.get_running_loop().time() - began < 45
            text = text_of(newest_file(scene))
            assert "attempt 19999" in text, "the newest part is kept"
            assert len(text) < 2 * scripts.LOG_BYTES

    virtual.run(story())


def test_a_silent_docker_is_named() -> None:
    async def story() -> None:
        async with Scene(media=1) as scene:
            node = scene.estate.media("acme")[0]
            scene.environment.faults.make_ill(node.name, "docker-down")
            await scene.ana.type_text("COPS", "/openvidu logs media-1 egress")
            await scene.ephemeral("UANA", "ocker on media-1 does not answer: Cannot connect")

    virtual.run(story())


def test_a_secret_that_was_cut_in_two_is_dropped() -> None:
    """The beginning of the newest 200,000 bytes may be the end of a secret without its name."""
    half = "horse-battery\n" + "x" * 900 + "\n"
    printed = half + "line\n" * 39_900
    log = read_logs(f"lines=50000\n{scripts.PRINTED}\n{printed}")
    assert "horse-battery" not in log.lines
    assert log.left_out == 50_000 - len(log.lines)
    whole = read_logs(f"lines=2\n{scripts.PRINTED}\nhorse\nline\n")
    assert (whole.lines, whole.left_out) == (("horse", "line"), 0)


def test_only_a_line_feed_parts_a_name_from_its_value() -> None:
    log = read_logs(f"lines=1\n{scripts.PRINTED}\nPASSWORD=\u2028sesame\x0bopen\n")
    assert "sesame" not in "".join(asyncio.run(masked_lines(log.lines)))


def test_what_openvidus_own_containers_print_of_keys_is_masked() -> None:
    lines = (
        "keys: APIsGd8a2bQ: sesame",
        '{"keys":{"APIsGd8a2bQ":"sesame"}}',
        "egress to rtmp://a.rtmp.example.com/live2/sesame started",
        '"streamKey":"sesame"',
        "Cookie: theme=dark; session=sesame",
        "initial API key: sesame",
        "pass\u200bword=sesame",
        "GET /file?X-Amz-Signature=sesame",
        "exec: redis-cli -p 7000 --no-auth-warning -a sesame info",
        "curl -sS -u admin:sesame https://acme.example.com/",
        "mongosh -u admin -p 'sesame' --quiet",
        "GET /join?pw=sesame&room=a",
    )
    shown = asyncio.run(masked_lines(lines))
    assert not [text for text in shown if "sesame" in text]
    kept = (
        "certificate obtained",
        "docker run -p 80:80 caddy",
        "egress EG_abc started on rtmp output",
        "GET /live2/x 200",
    )
    assert asyncio.run(masked_lines(kept)) == kept


@pytest.mark.parametrize("service", ["a;reboot", "$(id)", "-f", "a b", "", "`id`", "x" * 80, "a\n"])
def test_no_other_name_reaches_a_shell(service: str) -> None:
    if not service:
        assert "docker" not in scripts.logs(service, 60)
        return
    with pytest.raises(ValueError, match="letters"):
        scripts.logs(service, 60)


def test_a_bot_that_observes_may_read_logs_and_nothing_like_them() -> None:
    script = scripts.logs("caddy", 1800)
    assert scripts.reads_only(script)
    assert scripts.reads_only(scripts.logs("", 60))
    for changed in (
        script + "reboot\n",
        script.replace("docker logs", "docker rm", 1),
        script.replace("name=caddy", "name=caddy;reboot"),
    ):
        assert not scripts.reads_only(changed)


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("2h", 7200), ("3d", 259_200)])
def test_lengths(text: str, seconds: int) -> None:
    assert how_far_back(text) == seconds


def test_a_length_beyond_a_week() -> None:
    with pytest.raises(Refused):
        how_far_back("8d")
