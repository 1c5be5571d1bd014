#!/bin/bash
# What programs that set up nodes read out of secrets.env, after facts/openvidu.md section 3. Usage: install.sh FILE [KEY...]
#
# With keys: the value of each as a variable would hold it, ended by NUL. Without: all of them through one pair of grep and cut, line by line.
set -e

file=$1
shift
if [[ $# -eq 0 ]]; then
  grep '^[A-Z][A-Z0-9_]*=' "$file" | cut -d'=' -f2
fi
for key in "$@"; do
  value="$(grep "^$key=" "$file" | cut -d'=' -f2)"
  printf '%s\0' "$value"
done
