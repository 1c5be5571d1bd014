"""The shell scripts that run on nodes. POSIX sh; contract tests run them in a real shell."""

import re
import shlex
from collections.abc import Iterable

from services.cloud import config_scripts, update_scripts
from services.cloud.condition import CONDITION

# Empty after each boot, as it must be: a new start of the media server may be drained once more.
MARKERS = "/run/openvidu-bot"

LIVEKIT_CONFIG = "/opt/openvidu/config/livekit.yaml"
"""Of a Single Node, where Caddy listens at 7880 and LiveKit at another port (2026-11-30: its number
is not documented). Media nodes have no such file, and LiveKit at 7880."""

LOOK = f"""
LC_ALL=C
export LC_ALL
if names=$(docker ps --all \
--format '{{{{.Names}}}}={{{{.Label "openvidu-agent"}}}}' 2>/dev/null); then
  true
elif ! command -v docker >/dev/null && [ ! -e /run/docker.sock ] \
&& [ ! -e /var/run/docker.sock ]; then
  echo "installed=no"
  names=
else
  echo "refused=docker: $(docker ps 2>&1 >/dev/null | head -n 1 | cut -c1-200)"
  exit 0
fi
start=
for item in $(echo "$names" | grep -E '^(openvidu|ingress|egress)=') \
$(echo "$names" | grep '=true$'); do
  name=${{item%%=*}}
  form='{{{{.State.Status}}}} {{{{.State.Pid}}}} {{{{.RestartCount}}}} {{{{.State.StartedAt}}}}'
  if state=$(docker inspect --format "$form" "$name" 2>/dev/null); then
    echo "container=$item $state"
  else
    echo "refused=docker: $(docker inspect "$name" 2>&1 >/dev/null | head -n 1 | cut -c1-200)"
    exit 0
  fi
  set -- $state
  if [ "$name" = openvidu ]; then start=$4; fi
  if [ "${{item#*=}}" = true ] && [ "$1" = running ]; then
    for pid in $2 $(cat /proc/$2/task/$2/children 2>/dev/null); do
      echo "process=$name $(grep -E '^(Name|SigCgt):' /proc/$pid/status 2>/dev/null \
| cut -f2 | tr '\\n' ' ')"
    done
  fi
  if [ "$name" = egress ] && [ "$1" = running ] && jobs=$(docker top egress 2>/dev/null); then
    echo "recordings=$(echo "$jobs" | grep -c run-handler)"
  fi
done
if [ -d "{MARKERS}/drain-$start" ]; then
  echo "marked=yes"
  cat "{MARKERS}/drain-$start/signals" 2>/dev/null \
| while read -r line; do echo "signal=$line"; done
elif docker logs --since 30s openvidu 2>&1 | grep -q 'waiting for participants to exit'; then
  echo "marked=by-hand"
elif [ ! -w /run ] && [ ! -w {MARKERS} ]; then
  echo "unmarked=/run cannot be written by this user"
fi
port=$(sed -n 's/^port: *\\([0-9][0-9]*\\).*/\\1/p' {LIVEKIT_CONFIG} 2>/dev/null)
echo "livekit=$(curl -s -o /dev/null -m 2 -w '%{{http_code}}' \
http://127.0.0.1:${{port:-7880}}/ 2>/dev/null)"
curl -s -m 2 http://127.0.0.1:6789/metrics 2>/dev/null | grep '^livekit_'
echo "end"
exit 0
"""
"""Prints what runs on a media node, in lines that `node_look.parse_look` reads.

A look without its last line, `end`, has seen nothing. docker lists its containers first: a list
that was answered is the only proof that a container is not there. Nothing is sent to agents; how
they handle SIGQUIT is read from their processes (2026-11-29: the vendor's template for custom
agents ignores it).
"""

_SIGNAL = """
for name in $targets; do
  echo "begin $name" >> "$out"
  if answer=$(docker container kill --signal=SIGQUIT "$name" 2>&1); then
    echo "sent $name" >> "$out"
  else
    echo "refused $name $(echo "$answer" | head -n 1 | cut -c1-200)" >> "$out"
  fi
done
"""
VENDOR = "/usr/local/bin/graceful_shutdown.sh"
_VENDOR = f"""
echo "begin openvidu" >> "$out"
{VENDOR}
code=$?
if [ $code -eq 126 ] || [ $code -eq 127 ]; then
  echo "refused openvidu {VENDOR} cannot be run ($code)" >> "$out"
else
  echo "sent openvidu" >> "$out"
fi
"""

HEALTH = (
    "curl -s -o /dev/null -m 5 -w '%{http_code}' http://127.0.0.1:7880/health/caddy 2>/dev/null"
    " || true"
)
"""Prints the status of a master's health page, 000 where nothing answers, as its own script
`check_app_ready.sh` asks for it: some deployments' firewalls let no one else reach it."""

SECRETS = "/opt/openvidu/secrets.env"
READ_SECRETS = f"""
if [ -e {SECRETS} ]; then
  echo "$(sha256sum < {SECRETS} | cut -c1-64) $(base64 -w 0 < {SECRETS})"
else
  echo absent
fi
exit 0
"""
"""Prints the digest and the content of a Single Node's own secrets.env, or `absent`."""
WRITE_SECRETS = f"""
LC_ALL=C
export LC_ALL
umask 077
new={SECRETS}.openvidu-bot
read -r before
read -r after
if base64 -d > "$new" 2>/dev/null && [ "$(sha256sum < "$new" | cut -c1-64)" = "$after" ]; then
  now=absent
  if [ -e {SECRETS} ]; then now=$(sha256sum < {SECRETS} | cut -c1-64); fi
  if [ "$before" != any ] && [ "$before" != "$now" ]; then
    echo changed
  elif mv -f "$new" {SECRETS}; then
    echo written
  else
    echo refused
  fi
else
  echo incomplete
fi
rm -f "$new"
exit 0
"""
"""Replaces it as a whole, if it has the digest `before` (`absent`, `any`), by what has the digest
`after`. Both come with the content on standard input, so that no process list shows a value."""

RESTART = "systemctl restart openvidu"
STOP = "systemctl stop openvidu"
START_UNIT = "systemctl start openvidu"
UNIT = "systemctl is-active openvidu"
"""Prints the state of the unit; its exit status is 0 only for `active`."""
START = "systemctl show --property=InvocationID --value openvidu"
"""Prints the id of this start of the unit: systemd makes a new one each time."""
CLOCK = "date +%s"
USER = "id -u"

ERRORS, LOG = "--- nodes_errors.log", "--- journal"
INSPECT = f"""
echo "unit=$(systemctl is-active openvidu 2>/dev/null)"
if names=$(docker ps -a --format '{{{{.Names}}}}' 2>/dev/null); then
  for name in $names; do
    echo "container=$name $(docker inspect \
--format '{{{{.State.Status}}}} {{{{.RestartCount}}}}' $name 2>/dev/null)"
  done
else
  echo "refused=docker: $(docker ps 2>&1 >/dev/null | head -n 1 | cut -c1-200)"
fi
echo "{ERRORS}"
tail -n 20 /var/log/openvidu/nodes_errors.log 2>/dev/null | cut -c1-300
echo "{LOG}"
journalctl -u openvidu -n 20 --no-pager 2>/dev/null | cut -c1-300
exit 0
"""

_EACH = (
    'db.getMongo().getDBNames().filter(n => !["admin", "local", "config"].includes(n)).sort()'
    ".forEach(d => db.getSiblingDB(d).getCollectionNames().sort().forEach(c => "
    'print("count=" + d + "." + c + "=" + db.getSiblingDB(d).getCollection(c).HOW())))'
)
_ESTIMATES = shlex.quote(_EACH.replace("HOW", "estimatedDocumentCount"))
_DOCUMENTS = shlex.quote(_EACH.replace("HOW", "countDocuments"))
_ASK_MONGO = shlex.quote(
    'exec mongosh --quiet --port 20000 --norc -u "$MONGO_INITDB_ROOT_USERNAME" '
    '-p "$MONGO_INITDB_ROOT_PASSWORD" --authenticationDatabase admin '
    f"--eval {_ESTIMATES}"
)
COUNT = f"""
mongo=$(docker ps --format '{{{{.Names}}}}' 2>/dev/null | grep -x mongo)
if [ -z "$mongo" ]; then echo "refused=no container mongo runs here"; exit 0; fi
out=$(docker exec mongo sh -c {_ASK_MONGO} 2>/dev/null)
if [ $? -ne 0 ]; then echo "refused=the database did not answer"; exit 0; fi
echo "$out" | grep '^count=' | head -n 200 | cut -c1-200
echo end
exit 0
"""
"""Prints how many documents each collection of the running database holds: numbers alone.

The port is the vendor's (docs, backup and restore); which variables hold the user in the container
is not published, and a refusal says so.
"""

DRILL_SEALED = f"{MARKERS}/drill-sealed"
DRILL_DOCKER = "containerd.service docker.socket docker.service"
DRILL_UNITS = f"openvidu.service {DRILL_DOCKER} cron.service"
DRILL_PROOF = f"{MARKERS}/drill-proof"
DRILL_LOOK = f"""
if [ -e {DRILL_SEALED} ]; then echo sealed=yes; else echo sealed=no; fi
if [ -d {DRILL_PROOF} ]; then
  echo begun=yes
  head -n 300 {DRILL_PROOF}/report 2>/dev/null | cut -c1-300
else
  for unit in {DRILL_UNITS}; do
    if [ "$(systemctl is-active $unit 2>/dev/null)" = active ]; then echo "started=$unit"; fi
  done
fi
echo end
exit 0
"""
"""Prints whether a drill's copy is sealed, what started there, and how its database opened."""

_PROVE = f"""
say() {{ echo "$1" >> {DRILL_PROOF}/report; }}
fail() {{ say "failed=$1"; say ended=yes; exit 0; }}
data=$(find /opt/openvidu/data -maxdepth 5 -name WiredTiger -type f 2>/dev/null | head -n 1)
if [ -z "$data" ]; then fail "no database files are on the disk"; fi
data=$(dirname "$data")
rm -f "$data/mongod.lock"
mv /var/lib/docker/containers /var/lib/docker/containers.drill 2>/dev/null \
|| fail "the containers of OpenVidu cannot be put aside"
for unit in {DRILL_DOCKER}; do rm -f /run/systemd/system/$unit.d/drill.conf; done
systemctl daemon-reload
systemctl start {DRILL_DOCKER} >/dev/null 2>&1
if [ -n "$(docker ps -q 2>&1)" ]; then
  systemctl stop {DRILL_DOCKER} >/dev/null 2>&1
  fail "Docker does not start, or started containers of OpenVidu"
fi
image=$(docker image ls --format '{{{{.Repository}}}}:{{{{.Tag}}}}' 2>/dev/null \
| grep -E '(^|/)mongo[^/]*:' | head -n 1)
if [ -z "$image" ]; then fail "the image of the database is not on the disk"; fi
owner=$(stat -c %u:%g "$data")
if docker run -d --pull never --name openvidu-bot-drill --network none --user "$owner" \
-v "$data:/drill" --entrypoint mongod "$image" --dbpath /drill --port 27017 \
--bind_ip 127.0.0.1 >/dev/null 2>&1; then
  true
else
  fail "its container does not start"
fi
tries=0
while [ $tries -lt 90 ]; do
  if docker exec openvidu-bot-drill mongosh --quiet --norc --port 27017 \
--eval 'quit(db.runCommand({{ping: 1}}).ok ? 0 : 1)' >/dev/null 2>&1; then break; fi
  if [ "$(docker inspect --format '{{{{.State.Status}}}}' openvidu-bot-drill)" = exited ]; then
    fail "mongod ended: $(docker logs openvidu-bot-drill 2>&1 | grep -o '"s":"F".*' \
| tail -n 1 | grep -o '"msg":"[^"]*"' | cut -c1-120)"
  fi
  tries=$((tries + 1))
  sleep 2
done
if [ $tries -ge 90 ]; then fail "mongod did not answer within 3 min"; fi
docker exec openvidu-bot-drill mongosh --quiet --norc --port 27017 --eval {_DOCUMENTS} 2>/dev/null \
| grep '^count=' | head -n 200 | cut -c1-200 >> {DRILL_PROOF}/report
say ended=yes
"""
_DETACHED = shlex.quote(_PROVE)
DRILL_PROVE = f"""
if [ ! -e {DRILL_SEALED} ]; then echo unsealed; exit 0; fi
if mkdir {DRILL_PROOF} 2>/dev/null; then
  nohup setsid sh -c {_DETACHED} >/dev/null 2>&1 &
  echo begun
elif [ -d {DRILL_PROOF} ]; then
  echo already
else
  echo refused
fi
exit 0
"""
"""Begins to open the database of a drill's copy, once; detached, and without any network.

Docker starts without its containers, which would start OpenVidu; the database runs by itself, as
no replica of anything. Only a sealed copy opens it.
"""

READING = frozenset(
    {LOOK, HEALTH, READ_SECRETS, START, UNIT, CLOCK, USER, INSPECT, CONDITION, COUNT, DRILL_LOOK}
    | {update_scripts.INSTALLED, *config_scripts.READING}
)
"""The scripts without parameters that change nothing on their node."""

LOG_LINES, LOG_BYTES, LOG_LINE = 3000, 200_000, 1000
"""How much of a log is read: its newest lines, bytes of them, and bytes of one line."""
SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
"""The name of a container, as docker allows it."""
PRINTED = "--- printed"
# A log is counted and read for so many seconds at most: it may grow faster than it is read.
_COUNTED, _READ = 8, 15
_BOUNDED = f"cut -c1-{LOG_LINE} | tail -c {LOG_BYTES}"
_CONTAINER_LOG = f"""
LC_ALL=C
export LC_ALL
name=NAME
since=SINCE
if names=$(docker ps --all --format '{{{{.Names}}}}' 2>/dev/null); then
  true
else
  echo "refused=docker: $(docker ps 2>&1 >/dev/null | head -n 1 | cut -c1-200)"
  exit 0
fi
if ! echo "$names" | grep -qxF "$name"; then
  echo "missing=$name"
  for one in $names; do
    echo "exists=$one"
  done
  exit 0
fi
echo "lines=$(timeout {_COUNTED} docker logs --since "${{since}}s" "$name" 2>&1 | wc -l)"
echo "{PRINTED}"
timeout {_READ} docker logs --timestamps --since "${{since}}s" --tail {LOG_LINES} "$name" 2>&1 \
| {_BOUNDED}
exit 0
"""
_UNIT_LOG = f"""
LC_ALL=C
export LC_ALL
since=SINCE
echo "lines=$(timeout {_COUNTED} journalctl -u openvidu --since "-${{since}}s" --no-pager -q \
2>/dev/null | wc -l)"
echo "{PRINTED}"
timeout {_READ} journalctl -u openvidu --since "-${{since}}s" -n {LOG_LINES} --no-pager -q \
-o short-iso 2>&1 | {_BOUNDED}
exit 0
"""
_LOG = re.compile(r"\n(?:name=([\w.-]+)\n)?since=(\d+)\n")


def logs(service: str, seconds: int) -> str:
    """Return the script that prints a container's log of the last so many seconds.

    `service`: the container's name; "" for the journal of OpenVidu's unit. The newest part is
    printed, after the number of lines that there are. `node_logs.read_logs` reads it.
    """
    if not service:
        return _UNIT_LOG.replace("SINCE", str(int(seconds)), 1)
    if not SERVICE.fullmatch(service):
        raise ValueError("the name of a container is letters, digits, points, dashes")
    whole = _CONTAINER_LOG.replace("SINCE", str(int(seconds)), 1)
    return whole.replace("name=NAME", f"name={service}", 1)


def reads_only(script: str) -> bool:
    """Return whether a script changes nothing: all that a bot that only observes may run."""
    if script in READING:
        return True
    parameters = _LOG.search(script)
    return parameters is not None and script == logs(parameters[1] or "", int(parameters[2]))


def drain(start: str, method: str, targets: Iterable[str], attempt: int = 0) -> str:
    """Return the script that drains these containers of this start of the media server, once.

    Only the process that makes the marker's directory sends the signals. `attempt`: how many
    earlier ones provably sent nothing. Prints `begun`, `already`, `other-start`, or, when nothing
    was sent, `unmarked REASON` and `refused REASON`. The signals run detached, so that a lost
    connection cannot interrupt them; the result of each is written beside the marker, where `LOOK`
    reads it.
    """
    marker = f"{MARKERS}/drain-{start}"
    token = f"{marker}/try-{attempt}" if attempt else marker
    work = _VENDOR if method == "script" else _SIGNAL
    out, names = shlex.quote(f"{marker}/signals"), shlex.quote(" ".join(targets))
    settings = f"out={out}\ntargets={names}"
    return f"""
LC_ALL=C
export LC_ALL
want={shlex.quote(start)}
token={shlex.quote(token)}
if now=$(docker inspect --format '{{{{.State.StartedAt}}}}' openvidu 2>/dev/null); then
  if [ "$now" != "$want" ]; then echo other-start; exit 0; fi
else
  echo "refused docker: $(docker inspect openvidu 2>&1 >/dev/null | head -n 1 | cut -c1-200)"
  exit 0
fi
if made=$(mkdir -p {MARKERS} 2>&1) && made=$(mkdir "$token" 2>&1); then
  nohup setsid sh -c {shlex.quote(settings + work)} >/dev/null 2>&1 &
  echo begun
elif [ -d "$token" ]; then
  echo already
else
  echo "unmarked $(echo "$made" | head -n 1 | cut -c1-200)"
fi
exit 0
"""
