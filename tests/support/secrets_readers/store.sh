#!/bin/bash
# How masters put a value into their copy of secrets.env (`save`), after facts/openvidu.md section 3. Usage: store.sh FILE
#
# Reads KEY NUL VALUE NUL ... and saves each. Prints what `save` echoes, which its callers take for the value.
set -e

file=$1

save() {
  if grep -q "^$1=" "$file"; then
    sed -i "s|^$1=.*|$1=$2|" "$file"
  else
    echo "$1=$2" >>"$file"
  fi
  echo "$2"
}

while IFS= read -r -d '' key && IFS= read -r -d '' value; do
  save "$key" "$value"
done
