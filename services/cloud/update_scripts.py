"""The shell scripts that update OpenVidu on a node. POSIX sh; run as root.

An update is run once per node and version: only the process that makes the marker's directory runs
`update.sh`, detached, so that a lost connection does not interrupt it. Unlike a drain's, its marker
outlives a reboot: a half-run update is seen afterwards, and never repeated.
"""

import shlex

OPENVIDU = "/opt/openvidu"
INFO = f"{OPENVIDU}/deployment-info.yaml"
BACKUPS = f"{OPENVIDU}/backups"
ERRORS = "/var/log/openvidu/nodes_errors.log"
UPDATES = "/var/lib/openvidu-bot"
STORE_SECRET = "/usr/local/bin/store_secret.sh"  # noqa: S105 - a program
# As the vendor's pages give it, without TLS; the script loads its other parts in the same way.
SOURCE = "http://get.openvidu.io/update/{version}/update.sh"

# `update.sh` reads the version of this file in the same way.
_VERSION = f"$(grep '^ *version:' {INFO} 2>/dev/null | head -n 1 | cut -d: -f2 | tr -d ' \"')"
# Backup folders of an update, newest first: those that were not there when it began.
_NEW_BACKUPS = f'$(ls {BACKUPS} 2>/dev/null | grep -vxF -f "$marker/before" 2>/dev/null | sort -r)'

INSTALLED = f"""
LC_ALL=C
export LC_ALL
echo "version={_VERSION}"
echo "unit=$(systemctl is-active openvidu 2>/dev/null)"
echo "free=$(df -Pm {OPENVIDU} 2>/dev/null | tail -n 1 | tr -s ' ' | cut -d' ' -f4)"
for marker in {UPDATES}/update-*; do
  if [ -d "$marker" ]; then
    if [ -e "$marker/result" ]; then
      state=$(head -n 1 "$marker/result")
    elif [ ! -e "$marker/pid" ]; then
      state=unstarted
    elif grep -qxF -f "$marker/boot" /proc/sys/kernel/random/boot_id \
&& kill -0 "$(cat "$marker/pid")" 2>/dev/null; then
      state=running
    else
      state=interrupted
    fi
    echo "update=${{marker##*/update-}} $state"
    echo "backups="{_NEW_BACKUPS}
    if [ -e "$marker/started" ]; then echo "started=yes"; fi
    echo "errors=$(cat "$marker/errors" 2>/dev/null) $(cat {ERRORS} 2>/dev/null | wc -l)"
  fi
done
for script in {UPDATES}/scripts/*.sh; do
  if [ -e "$script" ]; then
    name=${{script##*/}}
    echo "script=${{name%.sh}} $(grep -o 'OPENVIDU_VERSION:-[0-9.]*' "$script" | head -n 1)"
    echo "paths="$(grep -oE '"[0-9.]+"\\) echo "[0-9.]+"' "$script" | tr -d '") ' | tr '\\n' ' ')
  fi
done
echo "end"
exit 0
"""
"""Prints what is installed, in lines that `installation_look.parse_installation` reads."""

_WORK = f"""
cd "$marker" || exit 1
ls {BACKUPS} > before 2>/dev/null
cat {ERRORS} 2>/dev/null | wc -l > errors
cat /proc/sys/kernel/random/boot_id > boot
echo $$ > pid
OPENVIDU_SKIP_DOCKER_VERSION_CHECK=true
OPENVIDU_SKIP_DOCKER_COMPOSE_VERSION_CHECK=true
export OPENVIDU_SKIP_DOCKER_VERSION_CHECK OPENVIDU_SKIP_DOCKER_COMPOSE_VERSION_CHECK
sh "$script" --no-tty > log 2>&1 < /dev/null
echo "ended $?" > result.new
mv result.new result
"""


def fetch(version: str) -> str:
    """Return the script that downloads `update.sh` of that version, and runs nothing.

    A page that names another version or none is not kept: it would be found in every later run.
    Prints `there`, `fetched`, or `refused REASON`.
    """
    named = shlex.quote("OPENVIDU_VERSION:-" + version + "}")
    return f"""
LC_ALL=C
export LC_ALL
file={shlex.quote(f"{UPDATES}/scripts/{version}.sh")}
named={named}
source={shlex.quote(SOURCE.format(version=version))}
if [ -s "$file" ]; then
  echo there
elif answer=$(mkdir -p {UPDATES}/scripts 2>&1) \
&& answer=$(curl -fsSL -m 60 -o "$file.new" "$source" 2>&1) \
&& answer="$source gave no update.sh of that version" && grep -qF "$named" "$file.new" \
&& answer=$(mv "$file.new" "$file" 2>&1); then
  echo fetched
else
  echo "refused $(echo "$answer" | head -n 1 | cut -c1-200)"
fi
exit 0
"""


def update(was: str, version: str) -> str:
    """Return the script that updates a node from `was` to `version`, once.

    Prints `begun`, `already`, `other-version VERSION`, or `unmarked REASON`. `update.sh` runs
    without a terminal, which its flag `--no-tty` is for, and its warnings about older versions of
    Docker are answered with their default, which is to continue.
    """
    return f"""
LC_ALL=C
export LC_ALL
want={shlex.quote(was)}
marker={shlex.quote(f"{UPDATES}/update-{version}")}
script={shlex.quote(f"{UPDATES}/scripts/{version}.sh")}
export marker script
now={_VERSION}
if [ "$now" != "$want" ]; then
  echo "other-version $now"
elif [ ! -s "$script" ]; then
  echo "unmarked $script is missing"
elif made=$(mkdir "$marker" 2>&1); then
  nohup setsid sh -c {shlex.quote(_WORK)} >/dev/null 2>&1 &
  echo begun
elif [ -d "$marker" ]; then
  echo already
else
  echo "unmarked $(echo "$made" | head -n 1 | cut -c1-200)"
fi
exit 0
"""


def restore(was: str, version: str) -> str:
    """Return the script that puts the files from before an update back, as the vendor does.

    OpenVidu stays stopped. May be run again. Prints `restored`, `nothing`, `running`, `started`
    (the new version has run: no rollback), or `refused REASON`.
    """
    return f"""
LC_ALL=C
export LC_ALL
want={shlex.quote(was)}
marker={shlex.quote(f"{UPDATES}/update-{version}")}
undone={shlex.quote(f"{UPDATES}/undone-{version}")}
if [ ! -d "$marker" ]; then
  echo nothing
  exit 0
fi
if [ ! -e "$marker/result" ] && [ -e "$marker/pid" ] \
&& grep -qxF -f "$marker/boot" /proc/sys/kernel/random/boot_id \
&& kill -0 "$(cat "$marker/pid")" 2>/dev/null; then
  echo running
  exit 0
fi
now={_VERSION}
if [ -e "$marker/started" ] || {{ [ "$now" != "$want" ] && systemctl -q is-active openvidu; }}; then
  echo started
  exit 0
fi
systemctl stop openvidu
if [ -e "$marker/before" ]; then
  for folder in {_NEW_BACKUPS}; do
    if ! answer=$(cp -r "{BACKUPS}/$folder/." {OPENVIDU} 2>&1); then
      echo "refused $(echo "$answer" | head -n 1 | cut -c1-200)"
      exit 0
    fi
  done
fi
now={_VERSION}
if [ "$now" != "$want" ]; then
  echo "refused deployment-info.yaml still names $now"
  exit 0
fi
if [ -x {STORE_SECRET} ]; then {STORE_SECRET} save OPENVIDU_VERSION "$want" >/dev/null 2>&1; fi
if mv "$marker" "$undone-$(date +%s)"; then echo restored; else echo "refused the marker stays"; fi
exit 0
"""


START = f"""
for marker in {UPDATES}/update-*; do
  if [ -d "$marker" ]; then : > "$marker/started"; fi
done
systemctl start openvidu
"""
"""Starts OpenVidu, and notes first that a rollback is no longer possible."""
