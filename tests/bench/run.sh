#!/usr/bin/env bash
# Prints the benchmarks: each beside its limit or a peer, in the same run. Nothing is asserted.
#
#   tests/bench/run.sh [journal|jobs|model|placement|pass|checkpoint|load|manifest|slot|replica|vault|launch|recovery|outage|trainer|fleet]...   (default: all)
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${MUSTER_BUILD:-build}
export MUSTER_BIN=$PWD/$build/bin OMP_NUM_THREADS=1
which=("$@")
[[ ${#which[@]} -gt 0 ]] || which=(journal jobs model placement pass checkpoint load manifest slot replica vault launch recovery outage trainer fleet)
for name in "${which[@]}"; do
  printf '\n== %s\n' "$name"
  case $name in
    journal | model | pass | placement | checkpoint | load | manifest | slot | replica) "$build/bin/${name}_bench" ;;
    vault) /usr/bin/python3 -B tests/bench/vault_bench.py ;;
    jobs) /usr/bin/python3 -B tests/bench/jobs_bench.py ;;
    launch | recovery | trainer) /usr/bin/python3 -B tests/bench/outside_bench.py "$name" ;;
    outage) /usr/bin/python3 -B tests/bench/outage_bench.py ;;
    fleet) /usr/bin/python3 -B tests/bench/fleet_bench.py ;;
    *) echo "bench: no benchmark named $name; there are journal, jobs, model, placement, pass, checkpoint, load, manifest, slot, replica, vault, launch, recovery, outage, trainer, fleet" >&2; exit 2 ;;
  esac
done
