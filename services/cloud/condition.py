"""What a node reports of its own condition: the script that asks, and how its lines are read.

Names of containers, ports and files are those of the vendor's images and scripts, as far as those
are published. What a node does not answer stays unknown.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from services.cluster.node_condition import (
    ContainerState,
    DiskFill,
    MongoMember,
    NodeCondition,
    RedisState,
)
from services.common.observed import Observed, Unobserved
from services.common.text import strip_invisible

Answer = TypeVar("Answer")
CUT_OFF = "its answer was truncated"
NO_DATABASE_ANSWER = "it did not answer within its time"
NEVER = "0001-"
# More than all of the script's own timeouts together.
SECONDS = 20.0

_MONGO = (
    'db.getSiblingDB("admin").auth(process.env.BOT_USER, process.env.BOT_PASSWORD);'
    " var all = rs.status().members;"
    " var newest = Math.max.apply(null, all.map(function (m) { return +(m.optimeDate || 0) }));"
    " all.forEach(function (m) { print([m.name,"
    ' String(m.stateStr).replace(/[^A-Za-z0-9]/g, ""), m.health,'
    ' Math.round((newest - (m.optimeDate || 0)) / 1000)].join(" ")) })'
)
CONDITION = f"""
LC_ALL=C
export LC_ALL
echo "clock=$(date +%s)"
df -P -k / /opt/openvidu /var/lib/docker 2>/dev/null | tail -n +2 \\
| while read -r device blocks used free percent mount; do
  echo "disk=${{percent%\\%}} $free $mount"
done
echo "routes=$(ip -4 route show table local 2>/dev/null | grep '^local ' \\
| grep -vc 'proto kernel')"
if names=$(docker ps --all --format '{{{{.Names}}}}' 2>/dev/null); then
  true
else
  echo "refused=docker: $(docker ps 2>&1 >/dev/null | head -n 1 | cut -c1-200)"
  echo "end"
  exit 0
fi
form='{{{{.State.Status}}}} {{{{.RestartCount}}}} {{{{.State.ExitCode}}}} {{{{.State.StartedAt}}}}'
for name in $names; do
  echo "container=$name $(docker inspect --format "$form" "$name" 2>/dev/null)"
done
value() {{
  sed -n "s/^$1=//p" "/opt/openvidu/config/$2" 2>/dev/null | tail -n 1
}}
if echo "$names" | grep -qxF redis-server; then
  REDISCLI_AUTH=$(value REDIS_PASSWORD node/master_node.env)
  export REDISCLI_AUTH
  echo "redis=asked"
  timeout 5 docker exec -e REDISCLI_AUTH redis-server redis-cli -p 7000 info replication \\
2>/dev/null | tr -d '\\r' | grep -E '^(role|connected_slaves|master_link_status|slave[0-9]+):' \\
| while read -r line; do
    echo "redis=$line"
  done
  unset REDISCLI_AUTH
fi
if echo "$names" | grep -qxF mongo; then
  BOT_USER=$(value MONGO_ADMIN_USERNAME cluster/openvidu.env)
  BOT_PASSWORD=$(value MONGO_ADMIN_PASSWORD cluster/openvidu.env)
  export BOT_USER BOT_PASSWORD
  echo "mongo=asked"
  timeout 8 docker exec -e BOT_USER -e BOT_PASSWORD mongo mongosh --quiet --port 20000 \\
--eval '{_MONGO}' 2>/dev/null | tr -d '\\r' | grep -E '^[^ ]+ [A-Za-z0-9]+ [01] -?[0-9]+$' \\
| while read -r line; do
    echo "mongo=$line"
  done
fi
if echo "$names" | grep -qxF minio; then
  echo "minio=$(curl -s -o /dev/null -m 3 -w '%{{http_code}}' \\
http://127.0.0.1:9100/minio/health/cluster 2>/dev/null)"
fi
echo "end"
exit 0
"""
"""Prints the condition of a node. Passwords go to the databases' own programs by environment, never
as an argument, and are not printed.
"""


def read_condition(
    text: str, droplet_id: int, name: str, *, is_master: bool, asked: float, answered: float
) -> NodeCondition | str:
    """Parse what `CONDITION` prints; return why nothing was seen where it did not come to its end.

    `asked`, `answered`: when, by the bot's clock. Half of the time between them is not certain.
    """
    lines = [line.partition("=")[::2] for line in text.splitlines()]
    if ("end", "") not in lines:
        return CUT_OFF

    def values(key: str) -> list[str]:
        return [value.strip() for found, value in lines if found == key]

    clock = _integer(values("clock"))
    containers: Observed[tuple[ContainerState, ...]]
    refused = [strip_invisible(value) for value in values("refused")]
    if refused:
        containers = Unobserved(refused[0])
    else:
        containers = tuple(
            c for value in values("container") if (c := _container(value, clock)) is not None
        )
    disks = tuple(dict.fromkeys(d for value in values("disk") if (d := _disk(value)) is not None))
    return NodeCondition(
        droplet_id,
        name,
        is_master,
        disks or Unobserved("df printed nothing"),
        containers,
        _offset(clock, asked, answered),
        redis=_asked(values("redis"), _redis),
        mongo=_asked(values("mongo"), _mongo),
        minio=_minio(values("minio")),
        routes=_integer(values("routes")) if is_master else None,
    )


def _integer(values: Sequence[str]) -> int | None:
    return int(values[0]) if values and values[0].isdigit() else None


def _disk(value: str) -> DiskFill | None:
    percent, _, rest = value.partition(" ")
    free, _, mount = rest.partition(" ")
    if not (percent.isdigit() and free.isdigit() and mount):
        return None
    return DiskFill(strip_invisible(mount), int(percent), int(free))


def _container(value: str, clock: int | None) -> ContainerState | None:
    name, state, restarts, code, start = [*value.split(), "", "", "", "", ""][:5]
    if not (restarts.isdigit() and state):
        return None
    exit_code = int(code) if code.lstrip("-").isdigit() else 0
    return ContainerState(name, state, int(restarts), exit_code, _age(start, clock))


def _age(start: str, clock: int | None) -> float | None:
    """Return how many seconds ago a container started, by its node's own clock."""
    if clock is None or start.startswith(NEVER):
        return None
    try:
        moment = datetime.fromisoformat(f"{start[:19]}+00:00")
    except ValueError:
        return None
    return max(0.0, clock - moment.timestamp())


def _offset(clock: int | None, asked: float, answered: float) -> Observed[float]:
    """Return by how much the node's clock is surely wrong: 0 within what cannot be known.

    The node names whole seconds, somewhere between the question and its answer.
    """
    if clock is None:
        return Unobserved("date printed nothing")
    if clock + 1 < asked:
        return clock + 1 - asked
    return max(0.0, clock - answered)


def _asked(
    values: Sequence[str], read: Callable[[Sequence[str]], Answer | None]
) -> Observed[Answer] | None:
    """Return what a database answered; None where there is none, unknown where it is silent."""
    if "asked" not in values:
        return None
    answers = [value for value in values if value != "asked"]
    found = read(answers) if answers else None
    return Unobserved(NO_DATABASE_ANSWER) if found is None else found


def _redis(lines: Sequence[str]) -> RedisState | None:
    fields = dict(line.partition(":")[::2] for line in lines)
    role = fields.get("role", "")
    if role not in ("master", "slave"):
        return None
    replicas = fields.get("connected_slaves", "")
    lags = [
        float(lag)
        for key, value in fields.items()
        if key.startswith("slave") and (lag := value.rpartition("lag=")[2]).isdigit()
    ]
    return RedisState(
        role == "master",
        int(replicas) if replicas.isdigit() else 0,
        tuple(lags),
        link=fields.get("master_link_status", "up") == "up",
    )


def _mongo(lines: Sequence[str]) -> tuple[MongoMember, ...] | None:
    members = []
    for line in lines:
        name, state, health, lag = [*line.split(), "", "", "", ""][:4]
        if health in ("0", "1"):
            seconds = float(lag) if lag.isdigit() else 0.0
            members.append(MongoMember(strip_invisible(name), state, health == "1", seconds))
    return tuple(members) or None


def _minio(values: Sequence[str]) -> Observed[int] | None:
    """Return the status of the health page; unknown where nothing answers at that port."""
    if not values:
        return None
    status = int(values[0]) if values[0].isdigit() else 0
    return status or Unobserved("nothing answers on its port 9100")
