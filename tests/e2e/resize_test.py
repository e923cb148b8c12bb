"""The data axis 4 -> 2 -> 4 under kill -9 of workers: the same final weights, bit for bit.

Two nodes hold two data ranks each. At a random moment one worker and its ranks are killed: there is
no spare and no room, so the job goes on with data 2. Then the worker is back, the job saves, stops and
goes on with data 4. `reproducible: layout` makes the sums the same in every layout.

usage: resize_test.py [--moments N] [--seed S]
"""
import argparse
import os
import random
import signal
import sys
import time

from cluster import Cluster, environment_of, processes, wait_for
from tiny import prepare_data, tiny_job
import weights

STEPS = 260
MESH = "{data: {size: 4, min: 2}, tensor: 1}"


def power_off(cluster, node):
    """The worker, its shims and its ranks, as when the machine loses power."""
    cluster.kill(node)
    folder = str(cluster.dir / node) + "/"
    for pid, command in processes(str(cluster.dir)).items():
        mine = environment_of(pid).get("MUSTER_NODE") == node or folder in command
        if mine and "muster-worker" not in command and "muster-coordinator" not in command:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def sizes(view):
    """The data ranks of each attempt."""
    return [sum(s["ranks"] for s in a["shares"]) for a in view["attempts"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=2)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    dice = random.Random(options.seed)
    print(f"resize_test --moments {options.moments} --seed {options.seed}", flush=True)
    cluster = Cluster(workers=2, slots=2, coordinator_flags=["--dead-ms", "3000"],
                      worker_flags=["--orphan-grace-ms", "1500"])
    checkpoints = cluster.dir / "ckpt"
    data = prepare_data(cluster)

    def submit(name):
        text = tiny_job(name, data, checkpoints, steps=STEPS, every=10, mesh=MESH,
                        reproducible="layout")
        return cluster.submit(text.replace("recovery: {", "recovery: {grow_after: 1s, "))

    def final_weights(view):
        folder = weights.newest_committed(checkpoints / view["uid"])
        assert folder.name.startswith(f"step-{STEPS:010d}."), folder
        return weights.digests(folder)

    def run_until(job, what, condition, timeout=60):
        """The view once the condition holds; fails when the job ends before."""
        def look():
            view = cluster.job(job)
            if condition(view):
                return view
            assert view["state"] not in ("failed", "succeeded"), f"{what}: {view['reason']}"
            return None
        return wait_for(what, look, timeout, every=0.05)

    begin = time.monotonic()
    view = cluster.wait_state(submit("undisturbed"), "succeeded", "failed", timeout=120)
    assert view["state"] == "succeeded", view["reason"]
    assert sizes(view) == [4], sizes(view)
    length = time.monotonic() - begin
    reference = final_weights(view)
    print(f"undisturbed: {length:.1f} s, {len(reference)} pieces", flush=True)

    failures = done = tries = 0
    while done < options.moments and tries < 3 * options.moments:
        tries += 1
        job = submit(f"resized-{tries}")
        moment = dice.uniform(0.1, length * 0.6)
        time.sleep(moment)
        if cluster.job(job)["state"] not in ("starting", "running"):
            cluster.wait_state(job, "succeeded", timeout=60)
            continue
        done += 1
        node = dice.choice(["n1", "n2"])
        step = int((cluster.job(job).get("progress") or {}).get("step", 0))
        power_off(cluster, node)
        try:
            shrunk = run_until(job, "the job with data 2",
                               lambda v: len(v["attempts"]) > 1 and v["state"] == "running" and
                               sizes(v)[-1] == 2)
            assert shrunk["attempts"][-1]["rung"] == "shrink", shrunk["attempts"][-1]
            run_until(job, "a step with data 2",
                      lambda v: int((v.get("progress") or {}).get("step", 0)) > 0)
            cluster.start_worker(node)
            view = cluster.wait_state(job, "succeeded", "failed", timeout=120)
            assert view["state"] == "succeeded", view["reason"]
            seen = sizes(view)
            assert seen[0] == 4 and 2 in seen and seen[-1] == 4, seen
            weights.assert_equal_bits(reference, final_weights(view))
            cluster.assert_clean()
            at = [int(a.get("first_step", 0)) for a in view["attempts"]]
            print(f"ok   {node} killed at {moment:5.2f} s (step {step:3}): data "
                  f"{' -> '.join(map(str, seen))} from steps {at}, recomputed "
                  f"{view['ledger']['steps_recomputed']}, weights equal", flush=True)
        except AssertionError as error:
            failures += 1
            print(f"FAIL {node} killed at {moment:5.2f} s (step {step:3}): {error}", flush=True)
            print(cluster.muster("describe", job, check=False).stdout, flush=True)
            break
    left = cluster.close(keep=failures > 0)
    if failures:
        print(f"state kept in {cluster.dir}")
    if left and not failures:
        failures += 1
        print(f"FAIL left running: {left}")
    if done < options.moments:
        failures += 1
        print(f"FAIL only {done} of {options.moments} kills hit a running job")
    print(f"resize: {done} moments, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
