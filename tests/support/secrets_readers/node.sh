#!/bin/bash
# How a media node that installs itself starts the installer with what it read from secrets.env. Usage: node.sh FILE
#
# The command is one text, and nothing in it is quoted. Here the installer only prints its arguments.
set -e

password="$(grep '^REDIS_PASSWORD=' "$1" | cut -d'=' -f2)"
version="$(grep '^OPENVIDU_VERSION=' "$1" | cut -d'=' -f2)"
exec bash -c "printf '%s\n' --redis-password=$password --version=$version --no-tty"
