#!/bin/bash
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
#
# A host of containers or virtual machines, with more network interfaces than UCX can take: in a network namespace of
# its own, whose interfaces lead nowhere. Argument: the folder of the programs.
set -euo pipefail
interfaces=130
# shellcheck source=tests/client/own_network.sh
source "$(dirname "$0")/own_network.sh"
for ((i = 1; i <= interfaces; i++)); do
    echo "link add d$i type veth peer name q$i"
    echo "link set q$i up"
    echo "addr add 10.1.$i.1/24 dev d$i"
    echo "link set d$i up"
done | ip -batch -
usable=$(ip -4 -oneline addr show up | wc -l)
((usable > interfaces)) || { echo "only $usable interfaces have an address: this test proves nothing"; exit 1; }

# Managers and clients choose by themselves, each; within the host none would be needed.
got=$(DDICT_SAME_HOST=0 timeout 100 ddict-launch --total-mem 64M -- sh -c 'ddict put key value && ddict get key') || fail "a launch: $?"
[[ $got == value ]] || fail "a launch: '$got'"
used=$(timeout 100 ddict-manager --probe | grep -o '"transport":"tcp"' | wc -l)
((used >= 2 && used <= 12)) || fail "UCX was given $used interfaces"
# What the user names is what is used, up to what UCX takes.
got=$(UCX_NET_DEVICES=d7 timeout 100 ddict-manager --probe)
[[ $got == *'"device":"d7","transport":"tcp"'* && $got != *'"lo"'* ]] || fail "UCX_NET_DEVICES=d7: $got"
many=$(seq -f d%g -s, 1 70)
if got=$(UCX_NET_DEVICES=d7 DDICT_UCX_NET_DEVICES=$many timeout 100 ddict-manager --probe 2>&1); then fail "70 devices: $got"; fi
[[ $got == *"DDICT_UCX_NET_DEVICES lists 70 devices, UCX takes 64"* ]] || fail "70 devices: $got"
