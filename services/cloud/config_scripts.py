"""The shell scripts about configuration files. POSIX sh; contract tests run them in a real shell.

A file is replaced by a rename, so that it is the old or the new one at every moment. The old one is
kept outside of the directory that OpenVidu copies to the other masters, until it is forgotten.
"""

import shlex

from services.config_files import FILES, ConfigFile

ROOT = "/opt/openvidu/config"
KEPT = "/opt/openvidu/openvidu-bot"
ERRORS_LOG = "/var/log/openvidu/nodes_errors.log"
PATHS = tuple(dict.fromkeys(path for f in FILES for path in (f.path, f.single) if path))
END = "end"

_START = "$(systemctl show --property=InvocationID --value openvidu 2>/dev/null)"
LOOK = f"""
LC_ALL=C
export LC_ALL
if [ -d {ROOT}/cluster ]; then
  echo "layout=cluster"
elif [ -d {ROOT} ]; then
  echo "layout=flat"
else
  echo "layout="
fi
for file in {" ".join(PATHS)}; do
  if [ -f "{ROOT}/$file" ]; then
    echo "file=$file $(sha256sum < "{ROOT}/$file" | cut -c1-64)"
  fi
done
for change in $(ls {KEPT} 2>/dev/null); do
  if [ -f "{KEPT}/$change/old" ]; then
    echo "kept=$change $(sha256sum < "{KEPT}/$change/old" | cut -c1-64) \
$(cat "{KEPT}/$change/start" 2>/dev/null)"
  fi
done
echo "start={_START}"
echo "unit=$(systemctl is-active openvidu 2>/dev/null)"
echo "now=$(date -u +%Y-%m-%dT%H:%M:%SZ)"
if names=$(docker ps -a --format '{{{{.Names}}}}' 2>/dev/null); then
  for name in $names; do
    form='{{{{.State.Status}}}} {{{{.RestartCount}}}} {{{{.State.StartedAt}}}}'
    echo "container=$name $(docker inspect --format "$form" "$name" 2>/dev/null)"
  done
else
  echo "refused=docker: $(docker ps 2>&1 >/dev/null | head -n 1 | cut -c1-200)"
  exit 0
fi
began=$(systemctl show --property=ActiveEnterTimestamp --value openvidu 2>/dev/null)
since=$(date -u -d "$began" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null)
echo "since=$since"
tail -n 40 {ERRORS_LOG} 2>/dev/null | cut -c1-300 | while IFS= read -r line; do
  echo "error=$line"
done
echo "{END}"
exit 0
"""
"""Prints a master's configuration, in lines that `config_look.parse_configuration` reads.

A look without its last line has seen nothing.
"""


def read(file: ConfigFile) -> str:
    """Return the script that prints a file, and the names of the keys that it can refer to."""
    return f"""
LC_ALL=C
export LC_ALL
if [ -d {ROOT}/cluster ]; then
  file={shlex.quote(file.path)}
  global={ROOT}/cluster/openvidu.env
else
  file={shlex.quote(file.single)}
  global={ROOT}/openvidu.env
fi
if [ -z "$file" ] || [ ! -f "{ROOT}/$file" ]; then
  echo "absent"
  exit 0
fi
echo "openvidu=$(grep -E '^[A-Za-z_][A-Za-z0-9_]*=' "$global" 2>/dev/null \
| cut -d= -f1 | tr '\\n' ' ')"
echo "master_node=$(grep -E '^[A-Za-z_][A-Za-z0-9_]*=' {ROOT}/node/master_node.env 2>/dev/null \
| cut -d= -f1 | tr '\\n' ' ')"
echo "digest=$(sha256sum < "{ROOT}/$file" | cut -c1-64)"
echo "content"
head -c 70000 "{ROOT}/$file" | base64
exit 0
"""


READING = frozenset({LOOK, *(read(file) for file in FILES)})
"""Those that change nothing."""


def write(change: str, path: str, before: str, after: str) -> str:
    """Return the script that puts the content of its input in the place of a file.

    Only where the file has the digest `before` and the input the digest `after`. Keeps the old
    file, and which start of OpenVidu runs. Prints `written`, `changed` or `failed REASON`.
    """
    return f"""
LC_ALL=C
export LC_ALL
umask 077
file={shlex.quote(f"{ROOT}/{path}")}
kept={shlex.quote(f"{KEPT}/{change}")}
if why=$(mkdir -p "$kept" 2>&1) && why=$(base64 -d 2>&1 > "$kept/new"); then
  true
else
  echo "failed $(echo "$why" | head -n 1 | cut -c1-200)"
  exit 0
fi
digest=$(sha256sum < "$kept/new" | cut -c1-64)
if [ "$digest" != {shlex.quote(after)} ]; then
  rm -f "$kept/new"
  echo "failed the content did not arrive whole"
  exit 0
fi
digest=$(sha256sum < "$file" | cut -c1-64)
if [ "$digest" = {shlex.quote(before)} ]; then
  why=$(cp -p "$file" "$kept/old.part" 2>&1) && why=$(mv "$kept/old.part" "$kept/old" 2>&1) \\
  && echo "{_START}" > "$kept/start" \\
  && why=$(cp -p "$file" "$kept/next" 2>&1) && cat "$kept/new" > "$kept/next" \\
  && rm -f "$kept/new" && sync && why=$(mv "$kept/next" "$file" 2>&1) && sync \\
  && echo "written" || echo "failed $(echo "$why" | head -n 1 | cut -c1-200)"
elif [ "$digest" = {shlex.quote(after)} ] && [ -f "$kept/old" ]; then
  rm -f "$kept/new"
  echo "written"
else
  rm -f "$kept/new"
  echo "changed"
fi
exit 0
"""


def restore(change: str, path: str, before: str, after: str) -> str:
    """Return the script that puts the kept file back, where the file is the change's own.

    Notes which start of OpenVidu runs. Prints `written`, `changed` or `failed REASON`.
    """
    return f"""
LC_ALL=C
export LC_ALL
umask 077
file={shlex.quote(f"{ROOT}/{path}")}
kept={shlex.quote(f"{KEPT}/{change}")}
digest=$(sha256sum < "$file" | cut -c1-64)
if [ "$digest" = {shlex.quote(before)} ]; then
  echo "written"
elif [ "$digest" = {shlex.quote(after)} ] && [ -f "$kept/old" ]; then
  why=$(cp -p "$kept/old" "$kept/next" 2>&1) && echo "{_START}" > "$kept/start" && sync \\
  && why=$(mv "$kept/next" "$file" 2>&1) && sync \\
  && echo "written" || echo "failed $(echo "$why" | head -n 1 | cut -c1-200)"
else
  echo "changed"
fi
exit 0
"""


def forget(change: str) -> str:
    """Return the script that deletes what a change keeps on the node."""
    return f"rm -rf {shlex.quote(f'{KEPT}/{change}')}"
