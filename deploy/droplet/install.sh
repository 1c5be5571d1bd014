#!/bin/sh
# openvidu-bot on a small droplet of its own (Debian or Ubuntu, 1 GB), run by systemd. As root, in a clone of this repository; again at
# any time, for a newer version. It makes a user, folders and a service, and starts nothing before there are settings.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
target=/opt/openvidu-bot
config=/etc/openvidu-bot
unit=/etc/systemd/system/openvidu-bot.service
# Before systemd 254 there is no growing pause between restarts: one that is long enough for Slack's and DigitalOcean's limits.
pause=15

if [ "$(id -u)" != 0 ]; then
    echo "run it as root: sudo sh deploy/droplet/install.sh" >&2
    exit 1
fi

# Installed only where it is missing: a droplet may have a Python of its own, or reach no package source now.
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends python3 python3-venv
fi

id openvidu-bot >/dev/null 2>&1 || useradd --system --user-group --home-dir /var/lib/openvidu-bot --shell /usr/sbin/nologin openvidu-bot
install -d -m 755 "$target"
install -d -m 750 -g openvidu-bot "$config"

# The running bot keeps what it has loaded; the new files count from the next start.
for part in bot config handlers services simulators scripts; do
    rm -rf "${target:?}/$part"
    cp -R "$here/$part" "$target/$part"
done
cp "$here/pyproject.toml" "$here/README.md" "$here/LICENSE" "$here"/requirements*.txt "$target/"
chown -R root:root "$target"
(cd "$target" && umask 022 && python3 scripts/env.py run && .venv/bin/python -m compileall -q bot config handlers services simulators)
ln -sf "$target/.venv/bin/openvidu-bot" /usr/local/bin/openvidu-bot
install -m 644 "$here/deploy/systemd/openvidu-bot.service" "$unit"
if [ "$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')" -lt 254 ]; then
    sed -i -e "s/^RestartSec=.*/RestartSec=$pause/" -e '/^RestartSteps=/d' -e '/^RestartMaxDelaySec=/d' "$unit"
fi
systemctl daemon-reload

if [ -f "$config/settings.yaml" ] && [ -f "$config/bot.env" ]; then
    chgrp openvidu-bot "$config/settings.yaml" && chmod 640 "$config/settings.yaml"
    chmod 600 "$config/bot.env"
    systemctl enable --quiet openvidu-bot
    if ! systemctl restart openvidu-bot; then
        echo "openvidu-bot did not start; the reason:" >&2
        journalctl --unit openvidu-bot --lines 5 --output cat --no-pager >&2
        exit 1
    fi
    echo "$(openvidu-bot --version) runs: journalctl -u openvidu-bot; members of the group openvidu-bot may use openvidu-bot status"
else
    echo "next, the settings:  openvidu-bot init --config $config/settings.yaml"
    echo "then, this again:    sh deploy/droplet/install.sh"
fi
