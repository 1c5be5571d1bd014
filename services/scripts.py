"""The few lines that run on nodes, by SSH. Plain POSIX sh; contract tests run them in a real shell too."""

import shlex

MARKERS = "/run/openvidu-bot"  # gone at boot, as it must be: a new start of the media server may be drained once more

LOOK = f"""
start=$(docker inspect --format '{{{{.State.StartedAt}}}}' openvidu 2>/dev/null)
echo "start=$start"
for name in openvidu ingress egress; do
  if [ "$(docker inspect --format '{{{{.State.Running}}}}' $name 2>/dev/null)" = "true" ]; then echo "running=$name"; fi
done
for name in $(docker ps --filter label=openvidu-agent=true --format '{{{{.Names}}}}' 2>/dev/null); do echo "running=$name"; done
if [ -d "{MARKERS}/drain-$start" ]; then echo "marked=yes"; fi
echo "recordings=$(docker top egress 2>/dev/null | grep -c run-handler)"
curl -s -m 2 http://127.0.0.1:6789/metrics 2>/dev/null | grep '^livekit_'
exit 0
"""

_SIGNAL = """
for name in openvidu ingress egress; do docker container kill --signal=SIGQUIT $name || true; done
for name in $(docker ps --filter label=openvidu-agent=true --format '{{.Names}}'); do
  docker container kill --signal=SIGQUIT $name || true
done
"""
_VENDOR = "/usr/local/bin/graceful_shutdown.sh"

RESTART = "systemctl restart openvidu"
STOP = "systemctl stop openvidu"
START = "systemctl show --property=InvocationID --value openvidu"
"""Names this start of the unit: systemd makes a new id each time."""

ERRORS, LOG = "--- nodes_errors.log", "--- journal"
INSPECT = f"""
echo "unit=$(systemctl is-active openvidu 2>/dev/null)"
for name in $(docker ps -a --format '{{{{.Names}}}}' 2>/dev/null); do
  echo "container=$name $(docker inspect --format '{{{{.State.Status}}}} {{{{.RestartCount}}}}' $name 2>/dev/null)"
done
echo "{ERRORS}"
tail -n 20 /var/log/openvidu/nodes_errors.log 2>/dev/null | cut -c1-300
echo "{LOG}"
journalctl -u openvidu -n 20 --no-pager 2>/dev/null | cut -c1-300
exit 0
"""


def drain(start: str, method: str) -> str:
    """Signal this start of the media server to finish, once: whoever makes the marker's directory signals, nobody else does.

    Prints `signalled`, `already` or `other-start`. The signal itself runs detached, so that a lost connection cannot cut it in half.
    """
    work = _VENDOR if method == "script" else _SIGNAL
    marker = f"{MARKERS}/drain-{start}"
    return f"""
want={shlex.quote(start)}
now=$(docker inspect --format '{{{{.State.StartedAt}}}}' openvidu 2>/dev/null)
if [ "$now" != "$want" ]; then echo other-start; exit 0; fi
mkdir -p {MARKERS}
if mkdir {shlex.quote(marker)} 2>/dev/null; then
  nohup setsid sh -c {shlex.quote(work)} >{MARKERS}/drain.log 2>&1 &
  echo signalled
else
  echo already
fi
exit 0
"""
