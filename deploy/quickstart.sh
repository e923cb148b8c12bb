#!/usr/bin/env bash
# Set-up, build, and a language model trained on real text by four ranks on two workers, one of
# which is killed on the way. Leaves nothing running.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TXT'
usage: deploy/quickstart.sh [--no-kill] [--keep] [--job FILE] [--help]

Installs what is missing, builds, starts a cluster of two workers on this machine, trains a
language model on the Python standard library's sources with four ranks, kills one rank with
kill -9 at a random step, and shows how training goes on.

  --no-kill   let the run be
  --keep      keep the state folder (.muster/quickstart) and the cluster's logs
  --job FILE  another job file (default configs/gpt-stdlib.yaml)
TXT
}

kill_rank=1
keep=0
job_file=configs/gpt-stdlib.yaml
while [[ $# -gt 0 ]]; do
  case "$1" in
    --no-kill) kill_rank=0 ;;
    --keep) keep=1 ;;
    --job) shift; job_file=${1:?--job needs a file} ;;
    --help | -h) usage; exit 0 ;;
    *) echo "quickstart: unknown option $1; see --help" >&2; exit 2 ;;
  esac
  shift
done
[[ -f $job_file ]] || { echo "quickstart: job file $job_file is missing; name one with --job" >&2; exit 2; }

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
state=$PWD/.muster/quickstart
export MUSTER_STATE=$state
muster=build/bin/muster
watcher=

finish() {
  local status=$?
  trap - EXIT INT TERM
  [[ -z $watcher ]] || kill "$watcher" 2>/dev/null || true
  if [[ -x $muster && -d $state ]]; then $muster dev down --state "$state" || status=1; fi
  if [[ $keep == 0 && $status == 0 ]]; then rm -rf "$state"; elif [[ -d $state ]]; then
    echo "state and logs are in $state"; fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

say "1. Set-up and build"
tools/setup
tools/dev build >.quickstart-build.log 2>&1 || {
  tail -n 40 .quickstart-build.log >&2
  echo "quickstart: the build failed; the whole log is in .quickstart-build.log" >&2
  exit 1
}
rm -f .quickstart-build.log
echo "built: $(cd build/bin && echo *)"

say "2. Real text: the Python standard library's sources"
$muster data prepare /usr/lib/python3.11 --out data/stdlib --tokenizer bpe --vocab 1024

say "3. A cluster on this machine: one coordinator, two workers of two slots"
rm -rf "$state"
$muster dev up --workers 2 --slots 2 --state "$state"
$muster node list

say "4. One job, four ranks: data 2 × tensor 2"
$muster plan "$job_file"
job=$($muster submit "$job_file" -o json | jq -r .id)
$muster watch "$job" &
watcher=$!

if [[ $kill_rank == 1 ]]; then
  steps=$($muster validate "$job_file" -o json | jq -r .train.steps)
  victim=$((RANDOM % 4))
  at=$((steps / 4 + RANDOM % (steps / 2)))
  $muster wait "$job" --for "step=$at" --timeout 20m
  pid=$($muster describe "$job" -o json | jq -r ".ranks[] | select(.rank == $victim) | .pid")
  printf '\n>>> kill -9 %s (rank %s, at step %s)\n\n' "$pid" "$victim" "$at"
  kill -9 "$pid"
fi
$muster wait "$job" --timeout 60m || { $muster describe "$job"; exit 1; }
wait "$watcher" || true
watcher=

say "5. What happened"
$muster describe "$job"

say "   Where the time went"
$muster ledger "$job"

say "6. The checkpoints, every byte verified"
$muster ckpt list "$job"
$muster ckpt verify "$job"

say "7. What the model writes"
$muster sample "$job" --prompt $'def read(self, ' --tokens 120 --temperature 0.8

say "Summary"
$muster describe "$job" -o json | jq -r '
  def r($d): . * pow(10; $d) | round / pow(10; $d);
  "steps            \(.progress.step) of \(.progress.target_steps)",
  "tokens/s         \(.progress.tokens_per_second | round)",
  "held-out bits/B  \(.progress.first_eval_bits_per_byte | r(3)) before, \(.progress.eval_bits_per_byte | r(3)) after",
  "attempts         \(.attempts | length)",
  "checkpoints      \([.checkpoints[] | select(.committed) | .step] | sort | map(tostring) | join(", ")), verified",
  "steps recomputed \(.ledger.steps_recomputed)",
  "recovery         \(if (.attempts | length) < 2 then "none needed" else
      [range(1; .attempts | length) as $i
        | ((.attempts[$i].first_step_unix_ms - .attempts[$i - 1].failure_unix_ms) / 1000 | r(1)) as $s
        | "\($s) s from \(.attempts[$i - 1].cause.text) to the next finished step"] | join("; ") end)",
  "goodput          \(.ledger.goodput * 100 | r(1)) % of \(.ledger.slot_seconds / 3600 | r(3)) slot-hours",
  (.ledger | ([.entries[].wall_seconds] | add) as $sum | "ledger           kinds sum to \($sum | r(3)) s of \(.wall_seconds | r(3)) s wall")'
echo
echo "Next: docs/architecture.md for the shape, configs/ for more jobs, build/bin/muster --help."
