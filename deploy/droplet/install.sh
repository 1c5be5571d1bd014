#!/bin/sh
# openvidu-bot on a small droplet of its own (Debian or Ubuntu, 1 GB), run by systemd. As root, in a clone of this repository; again at
# any time, for a newer version. It makes a user, folders and a service, and starts nothing before there are settings.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
target=/opt/openvidu-bot
config=/etc/openvidu-bot

if [ "$(id -u)" != 0 ]; then
    echo "as root, please: sudo sh deploy/droplet/install.sh" >&2
    exit 1
fi

apt-get update -qq
apt-get install -y -qq --no-install-recommends python3 python3-venv

id openvidu-bot >/dev/null 2>&1 || useradd --system --user-group --home-dir /var/lib/openvidu-bot --shell /usr/sbin/nologin openvidu-bot
install -d -m 755 "$target"
install -d -m 750 -g openvidu-bot "$config"

# The running bot keeps what it has loaded; the new files count from the next start.
for part in bot config handlers services simulators scripts; do
    rm -rf "${target:?}/$part"
    cp -R "$here/$part" "$target/$part"
done
cp "$here/pyproject.toml" "$here/README.md" "$here/LICENSE" "$here"/requirements*.txt "$target/"
(cd "$target" && python3 scripts/env.py run && .venv/bin/python -m compileall -q bot config handlers services simulators)
ln -sf "$target/.venv/bin/openvidu-bot" /usr/local/bin/openvidu-bot
install -m 644 "$here/deploy/systemd/openvidu-bot.service" /etc/systemd/system/openvidu-bot.service
systemctl daemon-reload

if [ -f "$config/settings.yaml" ] && [ -f "$config/bot.env" ]; then
    chgrp openvidu-bot "$config/settings.yaml" && chmod 640 "$config/settings.yaml"
    chmod 600 "$config/bot.env"
    systemctl enable --quiet openvidu-bot
    systemctl restart openvidu-bot
    echo "openvidu-bot runs: journalctl -u openvidu-bot; whoever is in the group openvidu-bot may use openvidu-bot status"
else
    echo "now the settings:  openvidu-bot init --config $config/settings.yaml"
    echo "and then this again: sh deploy/droplet/install.sh"
fi
