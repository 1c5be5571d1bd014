#!/bin/bash
# What a master does at every boot with secrets.env, after facts/openvidu.md section 3. Usage: boot.sh ROOT
#
# ROOT/bucket/secrets.env is the object, ROOT/config/... the configuration files, ROOT/openvidu says `stopped` or `started`.
# The order is the point: OpenVidu is stopped first, so whatever fails between leaves it stopped.
set -e

root=$1
secrets=$root/secrets.env
cluster=$root/config/cluster/openvidu.env
meet=$root/config/cluster/master_node/meet.env
node=$root/config/node/master_node.env

copy_into_config() {
  local key value home
  # The last line without a newline makes `read` fail, and the loop ends before its body.
  while IFS='=' read -r key value; do
    if [[ -z $value ]]; then continue; fi
    case $key in
      REDIS_PASSWORD) home=$node ;;
      MEET_INITIAL_ADMIN_USER | MEET_INITIAL_ADMIN_PASSWORD | MEET_INITIAL_API_KEY) home=$meet ;;
      *) home=$cluster ;;
    esac
    # A file that is not there, and a key that is no pattern, are "not found" too.
    if grep -q "^$key=" "$home" 2>/dev/null; then
      sed -i "s|^$key=.*|$key=$value|" "$home"
    fi
  done <"$secrets"
}

echo stopped >"$root/openvidu"
cp "$root/bucket/secrets.env" "$secrets"
copy_into_config
echo started >"$root/openvidu"
