#!/bin/bash
# What a master does at every boot with secrets.env, after facts/openvidu.md section 3. Usage: boot.sh ROOT
#
# ROOT/bucket/secrets.env is the object, ROOT/config/... the configuration files, ROOT/openvidu says `stopped` or `started`.
# The order is the point: OpenVidu is stopped first, so whatever fails between leaves it stopped.
set -e

root=$1
secrets=$root/secrets.env
homes=("$root/config/cluster/openvidu.env" "$root/config/cluster/master_node/meet.env" "$root/config/node/master_node.env")

copy_into_config() {
  local key value home
  # The last line without a newline makes `read` fail, and the loop ends before its body.
  while IFS='=' read -r key value; do
    if [[ -z $value ]]; then continue; fi
    for home in "${homes[@]}"; do
      if [[ -f $home ]] && grep -q "^$key=" "$home"; then
        sed -i "s|^$key=.*|$key=$value|" "$home"
        break
      fi
    done
  done <"$secrets"
}

echo stopped >"$root/openvidu"
cp "$root/bucket/secrets.env" "$secrets"
copy_into_config
echo started >"$root/openvidu"
