#!/bin/bash
# Succeeds where the REST port answers. Both servers open it once their first versions are loaded, and neither image
# needs a program of its own for this.
set -eu
exec 3<>"/dev/tcp/127.0.0.1/${REST_API_PORT:-8501}"
printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "${HEALTH_PATH:-/monitoring/prometheus/metrics}" >&3
read -r -t 5 status <&3
[[ $status == "HTTP/1.1 200 "* ]]
