"""The kill matrix: whatever is killed, at whatever moment, the job ends in the same weights.

usage: kill_test.py [--moments N] [--seed S] [KIND...]
kinds: rank, ranks, worker_back, worker_lost, coordinator, everything
"""
import argparse
import os
import random
import signal
import sys
import time

from cluster import Cluster, wait_for
from tiny import prepare_data, tiny_job
import weights

STEPS = 150


def kill_ranks(cluster, job, how_many, dice):
    ranks = list(cluster.ranks(job).items())
    dice.shuffle(ranks)
    for _, pid in ranks[:how_many]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return f"ranks {sorted(r for r, _ in ranks[:how_many])}"


def rank(cluster, job, dice):
    return kill_ranks(cluster, job, 1, dice)


def ranks(cluster, job, dice):
    return kill_ranks(cluster, job, 99, dice)


def some_worker_of(cluster, job, dice):
    nodes = sorted({s["node"] for s in cluster.job(job)["attempts"][-1]["shares"]})
    return dice.choice(nodes)


def worker_back(cluster, job, dice):
    node = some_worker_of(cluster, job, dice)
    cluster.kill(node)
    pause = dice.uniform(0, 1.0)
    time.sleep(pause)
    cluster.start_worker(node)
    return f"{node}, back after {pause:.2f} s"


def worker_lost(cluster, job, dice):
    node = some_worker_of(cluster, job, dice)
    cluster.kill(node)
    cluster.lost = node
    return f"{node}, never back"


def coordinator(cluster, job, dice):
    cluster.kill("coordinator")
    pause = dice.uniform(0, 2.0)
    time.sleep(pause)
    cluster.start_coordinator()
    return f"back after {pause:.2f} s"


def everything(cluster, job, dice):
    names = list(cluster.daemons)
    dice.shuffle(names)
    for name in names:
        cluster.kill(name)
    time.sleep(dice.uniform(0, 1.0))
    cluster.start_coordinator()
    for name in names:
        if name != "coordinator":
            cluster.start_worker(name)
    return "coordinator and workers, restarted"


KINDS = {f.__name__: f for f in (rank, ranks, worker_back, worker_lost, coordinator, everything)}
SAME_ATTEMPT = {"worker_back", "coordinator", "everything"}  # ranks outlive all of these


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []])
    options = parser.parse_args()
    dice = random.Random(options.seed)
    print(f"kill_test --moments {options.moments} --seed {options.seed}", flush=True)

    cluster = Cluster(workers=3, slots=2, coordinator_flags=["--dead-ms", "3000"],
                      worker_flags=["--orphan-grace-ms", "3000"])
    checkpoints = cluster.dir / "ckpt"
    data = prepare_data(cluster)

    def submit(name):
        return cluster.submit(tiny_job(name, data, checkpoints, steps=STEPS, every=10))

    def final_weights(view):
        folder = weights.newest_committed(checkpoints / view["uid"])
        assert folder.name.startswith(f"step-{STEPS:010d}."), folder
        return weights.digests(folder)

    begin = time.monotonic()
    reference_view = cluster.wait_state(submit("undisturbed"), "succeeded", "failed", timeout=300)
    assert reference_view["state"] == "succeeded", reference_view["reason"]
    length = time.monotonic() - begin
    reference = final_weights(reference_view)
    print(f"undisturbed: {length:.1f} s, {len(reference)} pieces", flush=True)

    failures = 0
    for kind in options.kinds or KINDS:
        done = 0
        tries = 0
        while done < options.moments and tries < 3 * options.moments:
            tries += 1
            job = submit(f"{kind.replace('_', '-')}-{tries}")
            moment = dice.uniform(0.05, length * 0.9)
            time.sleep(moment)
            if cluster.job(job)["state"] not in ("starting", "running"):
                cluster.wait_state(job, "succeeded", "running", timeout=60)
                if cluster.job(job)["state"] == "succeeded":
                    continue  # over before the moment came
            step = int((cluster.job(job).get("progress") or {}).get("step", 0))
            cluster.lost = None
            what = KINDS[kind](cluster, job, dice)
            try:
                view = cluster.wait_state(job, "succeeded", "failed", timeout=180)
                assert view["state"] == "succeeded", view["reason"]
                weights.assert_equal_bits(reference, final_weights(view))
                attempts = len(view["attempts"])
                if kind in SAME_ATTEMPT:
                    assert attempts == 1, f"{attempts} attempts: " + str(
                        [(a.get("cause") or {}).get("text") for a in view["attempts"]])
                if cluster.lost:
                    cluster.start_worker(cluster.lost)
                    wait_for("the lost worker back", lambda: len(cluster.ready_nodes()) == 3)
                cluster.assert_clean()
                recomputed = view["ledger"]["steps_recomputed"]
                print(f"ok   {kind:12} at {moment:5.2f} s (step {step:3}) {what}: attempts "
                      f"{attempts}, recomputed {recomputed}", flush=True)
            except AssertionError as error:
                failures += 1
                print(f"FAIL {kind:12} at {moment:5.2f} s (step {step:3}) {what}: {error}", flush=True)
                print(cluster.log("coordinator")[-3000:], flush=True)
                if cluster.lost:
                    cluster.start_worker(cluster.lost)
                    wait_for("the lost worker back", lambda: len(cluster.ready_nodes()) == 3)
                if failures >= 3:
                    cluster.close(keep=True)
                    print(f"state kept in {cluster.dir}")
                    return 1
            done += 1
        if done < options.moments:
            failures += 1
            print(f"FAIL {kind}: only {done} of {options.moments} kills hit a running job")
    left = cluster.close(keep=failures > 0)
    if left:
        failures += 1
        print(f"FAIL left running: {left}")
    print(f"kill matrix: {len(options.kinds or KINDS)} kinds × {options.moments} moments, "
          f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
