#!/usr/bin/env bash
# The real servers that the tests talk to, and the tools they do harm with, from Debian's packages. As root they are
# installed; otherwise one line says which are missing, and the tests that need them skip. With CI=true a missing one is a
# failure.
set -euo pipefail
PATH="$PATH:/usr/sbin:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | paste -sd:)"  # Debian keeps the latter out of it
declare -A package=([mosquitto]=mosquitto [mosquitto_sub]=mosquitto-clients [nats-server]=nats-server [influxd]=influxdb [victoria-metrics]=victoria-metrics [socat]=socat [mbpoll]=mbpoll [nft]=nftables [faketime]=faketime [strace]=strace [postgres]=postgresql)

missing() {
  {
    for command in "${!package[@]}"; do command -v "$command" >/dev/null || echo "${package[$command]}"; done
    command -v cc >/dev/null || printf "gcc\nlibc6-dev\n"  # a server of libmodbus is compiled by the tests
    [[ -e /usr/include/modbus/modbus.h ]] || echo libmodbus-dev
  } | sort -u
}

mapfile -t lacking < <(missing)
if ((${#lacking[@]})) && [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
  echo "installing ${lacking[*]} ..."
  # Debian starts servers it installs; ours are started by the tests alone, on free ports of loopback.
  policy=/usr/sbin/policy-rc.d
  [[ -e $policy ]] || { printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod 755 "$policy"; trap 'rm -f "$policy"' EXIT; }
  export DEBIAN_FRONTEND=noninteractive
  { apt-get -qq update && apt-get -qq install -y --no-install-recommends "${lacking[@]}"; } >/dev/null || true
  mapfile -t lacking < <(missing)
fi
if ((${#lacking[@]})); then
  echo "missing servers: ${lacking[*]}; the tests that need them are skipped (apt install ${lacking[*]})"
  [[ ${CI:-} != true ]] || exit 1
fi
