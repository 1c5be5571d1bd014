"""The small interpreter against a real shell: the same scripts, the same answers."""

import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from services.cloud import node_scripts as scripts
from simulators.faults import Faults
from simulators.node import NodeShell
from simulators.node.files import Files
from simulators.node.programs import builtins
from simulators.node.shell import Program, Shell
from simulators.node.streams import Streams
from simulators.node.textutils import TEXT
from tests.contracts.pretend import World

needs_shell = pytest.mark.skipif(
    shutil.which("sh") is None, reason="there is no sh to compare with"
)

START = "2027-01-15T08:00:00.000000084Z"
TARGETS = ("openvidu", "ingress", "egress", "agent-speech-processing")
STATE = "{{.State.Status}} {{.State.Pid}} {{.RestartCount}} {{.State.StartedAt}}"
NO_PID = 4194305  # more than Linux gives out: the same nothing in both
CANNED = {
    "docker": {
        "ps --format {{.Names}}": (0, "openvidu\nregular name\negress\n"),
        "ps -q": (0, ""),
        "inspect --format {{.State.StartedAt}} openvidu": (0, START + "\n"),
        "inspect --format {{.State.Running}} openvidu": (0, "true\n"),
        "inspect --format {{.State.Running}} egress": (0, "false\n"),
        "ps --filter label=openvidu-agent=true --format {{.Names}}": (
            0,
            "agent-speech-processing\n",
        ),
        "top egress": (
            0,
            "UID CMD\nroot egress\nroot egress run-handler --a\nroot egress run-handler --b\n",
        ),
        "container kill --signal=SIGQUIT openvidu": (0, "openvidu\n"),
        "ps -a --format {{.Names}}": (0, "openvidu\ncaddy\n"),
        'ps --all --format {{.Names}}={{.Label "openvidu-agent"}}': (
            0,
            "openvidu=\negress=\ncaddy=\nagent-speech-processing=true\n",
        ),
        f"inspect --format {STATE} openvidu": (0, f"running {NO_PID} 0 {START}\n"),
        f"inspect --format {STATE} egress": (0, f"running {NO_PID} 0 {START}\n"),
        f"inspect --format {STATE} agent-speech-processing": (0, f"running {NO_PID} 0 {START}\n"),
        "inspect --format {{.State.Status}} {{.RestartCount}} openvidu": (0, "running 0\n"),
        "inspect --format {{.State.Status}} {{.RestartCount}} caddy": (0, "restarting 7\n"),
    },
    "systemctl": {
        "is-active openvidu": (3, "inactive\n"),
        "restart openvidu": (0, ""),
        "show --property=InvocationID --value openvidu": (0, "4f1c\n"),
    },
    "journalctl": {
        "-u openvidu -n 20 --no-pager": (
            0,
            "Started openvidu.service - OpenVidu.\n" + "x" * 400 + "\n",
        )
    },
    "curl": {
        "-s -m 2 http://127.0.0.1:6789/metrics": (0, "# HELP x\nlivekit_room_total 2\nother 1\n"),
        "-s -o /dev/null -m 2 -w %{http_code} http://127.0.0.1:7880/": (0, "200"),
    },
}
SCRIPTS = [
    "echo hello world; echo 'single $HOME' \"double $((1 + 2))\"",
    "x=5; y=\"$x apples\"; echo $y \"$y\" ${x}th '${x}' ${z:-none} ${#y}",
    "set -u\necho $missing\necho not reached",
    "set -e; false; echo not reached",
    "set -e; false || true; if false; then :; fi; ! true; echo reached; false && true; echo end",
    "set -e; x=$(false); echo not reached",
    "false; echo $?; true; echo $?; (exit 3); echo $?; sh -c 'exit 4'; echo $?",
    "for name in $(docker ps --format '{{.Names}}'); do echo \"[$name]\"; done",
    "for x in a 'b c' \"d\"; do echo $x; done; for x in; do echo never; done",
    "if [ \"$(docker inspect --format '{{.State.Running}}' openvidu 2>/dev/null)\" = true ]; then echo yes; else echo no; fi",
    "[ -z \"$(docker ps -q)\" ] && echo empty || echo full",
    "docker nonsense || echo status $?",
    "docker nonsense 2>/dev/null; echo $?",
    "systemctl is-active openvidu; echo $?; systemctl restart openvidu && echo restarted",
    "nosuchprogram 2>/dev/null; echo $?",
    "mkdir @D/one && echo made; mkdir @D/one 2>/dev/null || echo exists; mkdir @D/no/two 2>/dev/null || echo no parent",
    "mkdir -p @D/no/two && echo both; mkdir -p @D/a/b; [ -d @D/a ] && echo dir; [ -e @D/a/c ] || echo none",
    "mkdir @D/a; echo text > @D/a/c; [ -f @D/a/c ] && cat @D/a/c; rm -rf @D/a; [ -e @D/a/c ] || echo gone",
    "echo one > @D/f; echo two >> @D/f; cat @D/f; wc -l < @D/f; mv @D/f @D/g; [ -f @D/f ] || cat @D/g | head -n 1; tail -n 1 @D/g",
    "{ echo out; echo err >&2; } > @D/both 2>&1; cat @D/both",
    "echo err >&2 2>/dev/null; { echo hidden >&2; } 2>/dev/null; echo shown",
    "printf '%s\\n' a 'b c' d; printf '%s=%s\\n' k v; printf 'x%%\\n'",
    "docker top egress | grep -c run-handler; docker top egress | grep -q nothing; echo $?; docker ps --format '{{.Names}}' | wc -l",
    "echo a:b:c | cut -d: -f2; echo a:b:c | cut -d : -f 2-; echo abc | cut -c1-2; echo a=b | cut -d= -f1",
    "echo one two | { read x y; echo \"$y $x\"; }; printf 'b\\na\\nb\\n' | sort -u | tr '\\n' ,; echo",
    "set -- one 'two three'; echo $# $1 \"$2\"; for x in \"$@\"; do echo \"<$x>\"; done; sh -c 'echo $1-$2' name p q",
    "x=/a/b/file.tar.gz; echo ${x##*/} ${x%/*} ${x%%.*} ${x#/}",
    "i=0; while [ $i -lt 3 ]; do i=$((i + 1)); echo $i; done; until [ $i -eq 0 ]; do i=$((i - 1)); done; echo $i",
    "if false; then echo a; elif true; then echo b; else echo c; fi # a comment\necho 'not # a comment'",
    "true && false || echo rescued; false && echo no; echo $?",
    "x=outer; (x=inner; echo $x); echo $x; { x=group; }; echo $x; echo $x | { x=pipe; cat; }; echo $x",
    "echo a\\ b \"c\\\"d\" 'e\"f' \"g\\$h\"; echo \"line\none\"",
    "nohup setsid sh -c 'echo detached > @D/mark' >/dev/null 2>&1 &\nwait; sleep 0.2; cat @D/mark",
    "test 3 -gt 2 && [ 2 -le 2 ] && [ a != b ] && [ ! -e @D/none ] && echo all",
    "command -v echo >/dev/null && echo found; command -v nosuchthing || echo missing",
    "exit 7; echo never",
    "echo $(echo nested $(echo deeper)) `echo ticks`; echo \"$(printf 'a\\nb\\n')\"; echo $(printf 'a\\nb\\n')",
    "x=''; [ -n \"$x\" ] || echo empty; echo \"\" | wc -l; echo \"[$x]\" [$x]",
    "cat <<END\n", "if true; then", "echo 'open",
]  # fmt: skip
AWKWARD = ("cat <<END\n", "if true; then", "echo 'open")
"""Not in the subset, or not in the language: the interpreter has to refuse them aloud."""


def canned(name: str, calls: list[str]) -> Program:
    def program(_shell: Shell, fields: list[str], streams: Streams) -> int:
        calls.append(" ".join(fields))
        status, out = CANNED[name].get(" ".join(fields[1:]), (1, ""))
        streams.out.append(out)
        return status

    return program


def in_the_interpreter(script: str, directory: Path) -> tuple[int, str, list[str]]:
    calls: list[str] = []
    table = builtins(time.time) | TEXT | {name: canned(name, calls) for name in CANNED}
    streams = Streams()
    status = Shell(Files({f"{directory}/": b""}), table.get).run(script, streams)
    return status, "".join(streams.out), calls


def in_a_real_shell(script: str, directory: Path, programs: Path) -> tuple[int, str, list[str]]:
    log = programs / "calls"
    for name, answers in CANNED.items():
        if (programs / name).exists():
            continue  # what an earlier script left running may be about to start it: a file that is being written does nothing
        cases = "".join(
            f"{shlex.quote(args)}) printf %s {shlex.quote(out)}; exit {status};;\n"
            for args, (status, out) in answers.items()
        )
        (programs / name).write_text(
            f'#!/bin/sh\necho "{name} $*" >>{log}\ncase "$*" in\n{cases}*) exit 1;;\nesac\n'
        )
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": "/root"}
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return done.returncode, done.stdout, log.read_text().splitlines() if log.exists() else []


@needs_shell
@pytest.mark.parametrize("script", [s for s in SCRIPTS if s not in AWKWARD])
def test_a_script_does_the_same_in_both(script: str, tmp_path: Path) -> None:
    real, programs = tmp_path / "real", tmp_path / "programs"
    real.mkdir()
    programs.mkdir()
    text = script.replace("@D", str(real))
    expected = in_a_real_shell(text, real, programs)
    assert in_the_interpreter(text, real) == expected


@pytest.mark.parametrize("script", AWKWARD)
def test_what_it_does_not_understand_it_refuses(script: str, tmp_path: Path) -> None:
    assert in_the_interpreter(script, tmp_path)[0] == 2


@needs_shell
def test_the_scripts_of_the_bot_do_the_same_in_both(tmp_path: Path) -> None:
    real, programs = tmp_path / "real", tmp_path / "programs"
    real.mkdir()
    programs.mkdir()
    drain = scripts.drain(START, "signal", TARGETS)
    for script in (scripts.LOOK, scripts.drain("another", "signal", TARGETS), drain, drain):
        text = script.replace(scripts.MARKERS, f"{real}/marks")
        status, out, _ = in_a_real_shell(text, real, programs)
        if script is scripts.LOOK:
            assert (status, out) == in_the_interpreter(text, real)[:2]
            assert "recordings=2" in out
    for _ in range(500):
        kills = [line for line in (programs / "calls").read_text().splitlines() if " kill " in line]
        if len(kills) >= 4:
            break
        time.sleep(0.02)
    drained = in_the_interpreter(
        scripts.drain(START, "signal", TARGETS).replace(scripts.MARKERS, f"{real}/marks"), real
    )
    assert kills == [call for call in drained[2] if " kill " in call]
    assert drained[1] == "begun\n"


@needs_shell
def test_what_is_asked_of_one_node_does_the_same_in_both(tmp_path: Path) -> None:
    real, programs = tmp_path / "real", tmp_path / "programs"
    real.mkdir()
    programs.mkdir()
    (real / "errors").write_text("10.0.0.7: connection refused\n")
    in_a_real_shell(scripts.STOP, real, programs)
    seen = ""
    for log in ("errors", "none"):
        text = scripts.INSPECT.replace("/var/log/openvidu/nodes_errors.log", f"{real}/{log}")
        status, seen, _ = in_a_real_shell(text, real, programs)
        files = Files({f"{real}/": b"", f"{real}/errors": (real / "errors").read_bytes()})
        streams = Streams()
        table = builtins(time.time) | TEXT | {name: canned(name, []) for name in CANNED}
        assert (Shell(files, table.get).run(text, streams), "".join(streams.out)) == (status, seen)
        assert ("refused" in seen) == (log == "errors")
    assert "unit=inactive\ncontainer=openvidu running 0\ncontainer=caddy restarting 7\n" in seen
    assert (
        in_a_real_shell(scripts.START, real, programs)[:2]
        == in_the_interpreter(scripts.START, real)[:2]
        == (0, "4f1c\n")
    )


def test_on_a_node_it_reads_and_changes_the_world() -> None:
    world = World(media=1)
    shell, droplet = NodeShell(world.estate), world.estate.media("acme")[0]
    world.estate.open_meeting(people=4, recordings=2)
    assert (
        "livekit_participant_total{"
        in shell.execute(droplet.id, "curl -s http://127.0.0.1:6789/metrics").stdout
    )
    assert shell.execute(droplet.id, "docker top egress | grep -c run-handler").stdout == "2\n"
    assert (
        shell.execute(droplet.id, "cat /proc/sys/kernel/random/boot_id").stdout.strip()
        == droplet.node.boot_id
    )
    assert shell.execute(droplet.id, "cat > /root/x; cat x", b"from stdin").stdout == "from stdin"
    before = droplet.node.containers["openvidu"].started_at
    assert (
        shell.execute(
            droplet.id, "docker inspect --format '{{.State.StartedAt}}' openvidu"
        ).stdout.strip()
        == before
    )
    assert (
        shell.execute(droplet.id, "docker container kill --signal=SIGQUIT openvidu").stdout
        == "openvidu\n"
    )
    assert list(world.estate.signals) == [(droplet.id, before)]
    assert shell.execute(droplet.id, "docker kill -s QUIT nosuch").exit_status == 1


def test_run_is_wiped_by_a_boot() -> None:
    world = World(media=1)
    world.estate.allow_thrown_out = True
    shell, droplet = NodeShell(world.estate), world.estate.media("acme")[0]
    shell.execute(droplet.id, "mkdir /run/mark; echo x > /root/kept")
    boot = droplet.node.boot_id
    world.estate.power.ask(droplet.id, "reboot")
    world.wait(25)
    assert shell.execute(droplet.id, "[ -d /run/mark ]; echo $?; cat /root/kept").stdout == "1\nx\n"
    assert droplet.node.boot_id != boot


def test_a_node_without_power_refuses() -> None:
    world = World(media=0)
    master = world.estate.masters("acme")[0]
    shell = NodeShell(world.estate)
    assert shell.execute(master.id, "systemctl is-active openvidu").stdout == "active\n"
    world.estate.power.ask(master.id, "power_off")
    world.wait(5)
    with pytest.raises(ConnectionRefusedError):
        shell.execute(master.id, "true")


def test_lost_connections() -> None:
    world = World(media=1)
    faults = Faults()
    shell, droplet = NodeShell(world.estate, faults), world.estate.media("acme")[0]
    for kind in ("cut-before", "cut-middle", "cut-after"):
        faults.add("ssh", kind, commands=1)
        assert (
            shell.execute(
                droplet.id, f"echo x > /root/{kind}-1; echo x > /root/{kind}-2"
            ).exit_status
            is None
        )
    written = sorted(path for path in droplet.node.files if "cut" in path)
    assert written == [
        "/root/cut-after-1",
        "/root/cut-after-2",
        "/root/cut-middle-1",
        "/root/cut-middle-2",
    ]
    assert (
        droplet.node.files["/root/cut-middle-2"] == b""
    )  # the shell opens the file before it runs the command
    faults.add("ssh", "refuse")
    with pytest.raises(ConnectionRefusedError):
        shell.execute(droplet.id, "true")


def test_what_is_detached_outlives_the_session() -> None:
    world = World(media=1)
    faults = Faults()
    shell, droplet = NodeShell(world.estate, faults), world.estate.media("acme")[0]
    faults.add("ssh", "cut-middle", commands=0)
    work = (
        "for name in openvidu ingress egress; do docker container kill --signal=SIGQUIT $name; done"
    )
    assert (
        shell.execute(
            droplet.id, f"nohup setsid sh -c '{work}' >/dev/null 2>&1 &\necho never said"
        ).exit_status
        is None
    )
    assert [
        droplet.node.containers[name].draining for name in ("openvidu", "ingress", "egress")
    ] == [True] * 3
