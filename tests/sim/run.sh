#!/usr/bin/env bash
# Divides SEEDS over the cases, the quick ones first. Usage: tests/sim/run.sh MUSTER_SIM SEEDS
set -euo pipefail
cd "$(dirname "$0")/../.."
sim=$1
seeds=$2
# case, its part of 100
while read -r name part; do
  "$sim" run "tests/sim/cases/$name.txt" --seeds $((seeds * part / 100 + 1)) --jobs 2
done <<'TXT'
mixed 20
steps 20
network 20
disk 10
clocks 10
queues 6
spares 4
quarantine 5
lost 5
TXT
