#!/usr/bin/env bash
# Set-up, build, all tests. From a clean clone on a fresh Debian 12 this is the only command needed.
#
#   tests/run.sh              everything
#   tests/run.sh -L unit      arguments go to ctest
set -euo pipefail
cd "$(dirname "$0")/.."

begin=$SECONDS
tools/setup
echo "set-up: $((SECONDS - begin)) s"
start=$SECONDS
tools/dev build >"${TMPDIR:-/tmp}/muster-build.$$.log" 2>&1 || {
  tail -n 60 "${TMPDIR:-/tmp}/muster-build.$$.log" >&2
  rm -f "${TMPDIR:-/tmp}/muster-build.$$.log"
  echo "tests/run.sh: the build failed; the last 60 lines are above" >&2
  exit 1
}
rm -f "${TMPDIR:-/tmp}/muster-build.$$.log"
echo "build: $((SECONDS - start)) s"
start=$SECONDS
status=0
ctest --test-dir "${MUSTER_BUILD:-build}" --output-on-failure "$@" || status=$?
echo "tests: $((SECONDS - start)) s; set-up, build and tests together: $((SECONDS - begin)) s"
exit "$status"
