#!/bin/sh
# base_image.sh python|redis|droplet|servers FILE.tar: a root file system made of this machine's Debian packages. It stands in for the image
# that the Dockerfile or compose.yaml names where no image registry can be reached, and for a new droplet (with systemd). Into an engine with:
# docker import FILE.tar NAME:TAG, or podman import FILE.tar NAME:TAG. servers: Redis and Valkey with their libraries, to be run where they
# lie. Needs root and mmdebstrap (apt-get install mmdebstrap); packages come from where apt on this machine has them, for its own release or
# for SUITE, or from SOURCES, a file in apt's format.
set -eu
[ $# = 2 ] || { sed -n 2,6p "$0" >&2; exit 2; }
own=$(. /etc/os-release && echo "$VERSION_CODENAME")
suite=${SUITE:-$own}
sources=${SOURCES:-$(ls /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/ubuntu.sources /etc/apt/sources.list 2>/dev/null | head -1)}
if [ "$suite" != "$own" ] && [ -z "${SOURCES:-}" ]; then
    # The same places, for the other release.
    folder=$(mktemp -d)
    trap 'rm -r "$folder"' EXIT
    sed "s/\b$own\b/$suite/g" "$sources" > "$folder/$(basename "$sources")"
    sources=$folder/$(basename "$sources")
fi
make() {
    packages=$1
    shift
    mmdebstrap --quiet --variant="${variant:-minbase}" --include="$packages" "$@" "$suite" "$tar" "$sources"
}
tar=$2
case "$1" in
python) make python3,python3-venv,ca-certificates,netbase,tzdata --customize-hook='ln -s python3 "$1/usr/bin/python"' ;;
redis) make redis-server,redis-tools \
    --essential-hook='echo redis:x:999: >> "$1/etc/group"; echo "redis:x:999:999::/data:/usr/sbin/nologin" >> "$1/etc/passwd"' \
    --customize-hook='mkdir -p "$1/data" && chroot "$1" chown redis:redis /data' ;;
servers) variant=extract make redis-server,valkey-server ;;
droplet) make systemd,systemd-sysv,dbus,python3,python3-venv,ca-certificates,netbase,tzdata,iproute2 ;;
*) sed -n 2,6p "$0" >&2; exit 2 ;;
esac
