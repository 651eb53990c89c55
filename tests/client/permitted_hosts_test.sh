#!/bin/bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# Connections from another host: refused before a byte of them is read unless DDICT_ALLOW_HOSTS permits the host, and
# dropped when the host falls silent. Both hosts are network namespaces of this test's own, joined by a link that leads
# nowhere else. Argument: the folder of the programs.
set -euo pipefail
here=198.18.99.1 there=198.18.99.2
# shellcheck source=tests/client/own_network.sh
source "$(dirname "$0")/own_network.sh"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# The other host lives as long as this process.
unshare --net --mount --ipc sh -c 'mount -t sysfs none /sys; mount -t tmpfs tmpfs /dev/shm; exec sleep 1000' &
other=$!
deadline=$((SECONDS + 30))
until [[ $(readlink "/proc/$other/ns/net") != "$(readlink /proc/self/ns/net)" && -e /proc/$other/root/dev/shm ]] &&
    [[ $(cat "/proc/$other/comm") == sleep ]]; do
    ((SECONDS < deadline)) || { echo "FAILED: no other host"; exit 1; }
done
ip link add link0 type veth peer name link1
ip link set link1 netns "$other"
ip addr add $here/24 dev link0
ip link set link0 up
there() { nsenter --target "$other" --net --mount --ipc -- "$@"; }
there ip link set lo up
there ip addr add $there/24 dev link1
there ip link set link1 up
export DDICT_SAME_HOST=0 UCX_NET_DEVICES=lo,link0 here there folder other
export -f there

# What a client of the other host does; its own device has another name.
far() { there env UCX_NET_DEVICES=link1 timeout 60 "$@"; }
# Bytes that would end UCX: its magic number, and a header of an absurd length.
port() { ss --tcp --listening --numeric --processes | awk -v here="$here:" '/ddict-manager/ && index($4, here) == 1 {sub(/.*:/, "", $4); print $4; exit}'; }
abuse() {
    exec 3<>"/dev/tcp/$here/$1" || return 7
    printf '\xfe\xca\xfe\xca\xfe\xca\xfe\xca\x01\xff\xff\xff\x7f' >&3 || true
    cat <&3 || true
}
sessions() { ddict stats --json | grep -o '"sessions": *[0-9]*' | grep -o '[0-9]*$'; }
export -f far port abuse sessions

refused() {
    set -e
    ddict put key value || fail "put on the own host"
    [[ $(ddict get key) == value ]] || fail "get on the own host"
    if far ddict get key >"$folder/far" 2>&1; then fail "a stranger read: $(cat "$folder/far")"; fi
    [[ -n $(port) ]] || fail "the manager listens nowhere"
    there timeout 30 bash -c 'abuse "$1"' - "$(port)" >/dev/null 2>&1 || fail "a stranger's bytes were not sent, or not answered by an end: $?"
    [[ $(ddict get key) == value ]] || fail "the manager did not survive a stranger"
}
export -f refused
ddict-launch --total-mem 16M -- bash -c refused 2>"$folder/log" || { cat "$folder/log"; fail "strangers"; }
grep -q "connections refused, the last from $there.*DDICT_ALLOW_HOSTS" "$folder/log" || { cat "$folder/log"; fail "no word in the log"; }

permitted() {
    set -e
    far ddict put key value || fail "put from a permitted host"
    [[ $(far ddict get key) == value ]] || fail "get from a permitted host"
    # A client that waits, on a host that falls silent while an answer to it is on its way.
    [[ $(sessions) == 1 ]] || fail "sessions at first: $(sessions)"
    far ddict wait later --timeout 50 >/dev/null 2>&1 &
    local deadline=$((SECONDS + 30))
    until [[ $(sessions) == 2 ]]; do ((SECONDS < deadline)) || fail "the client does not wait"; done
    there ip link set link1 down
    ddict put later now
    local cut=$SECONDS
    until [[ $(sessions) == 1 ]]; do ((SECONDS - cut < 45)) || fail "the lost client is still there after 45 s"; done
    echo "the lost client was noticed after $((SECONDS - cut)) s"
}
export -f permitted
DDICT_ALLOW_HOSTS=198.18.99.0/24 ddict-launch --total-mem 16M -- bash -c permitted || fail "permitted hosts"
if out=$(DDICT_ALLOW_HOSTS=300.1.2.3 ddict-launch --total-mem 16M -- true 2>&1); then fail "no host was taken for one"; fi
[[ $out == *"'300.1.2.3' in DDICT_ALLOW_HOSTS"* ]] || fail "the reason: $out"
