"""What the first boot of a drill's droplet runs before anything else: it seals the copy. Pure.

The disk is a master's: it holds a token, the bucket's keys and services that would join the
production cluster. cloud-init runs `bootcmd` before the targets that start cron, Docker and
OpenVidu; a condition keeps those from starting, and the packet filter drops what leaves.
"""

import json

from services.cloud.node_scripts import DRILL_SEALED, DRILL_UNITS, MARKERS

SEAL = f"""
mkdir -p {MARKERS}
for table in iptables ip6tables; do
  $table -P OUTPUT DROP
  $table -A OUTPUT -o lo -j ACCEPT
  $table -A OUTPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
done
iptables -A OUTPUT -d 169.254.169.254 -j ACCEPT
for unit in {DRILL_UNITS}; do
  mkdir -p /run/systemd/system/$unit.d
  printf '[Unit]\\nConditionPathExists=/nowhere\\n' \
> /run/systemd/system/$unit.d/drill.conf
done
systemctl daemon-reload
for unit in {DRILL_UNITS}; do systemctl stop --no-block $unit; done
touch {DRILL_SEALED}
"""


def sealing_user_data() -> str:
    """Return the `user_data` of a drill's droplet. It holds no secret."""
    command = json.dumps(["sh", "-c", SEAL])
    return f"#cloud-config\nbootcmd:\n  - {command}\n"
