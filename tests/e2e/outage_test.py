"""Failures that hit more than one process: a rack without power, a bug that fails every attempt.

usage: outage_test.py [--moments N] [--seed S]
"""
import argparse
import random
import sys
import time

from cluster import Cluster, wait_for
from tiny import prepare_data, tiny_job
import weights

STEPS = 150
RACKS = {"n1": "r1", "n2": "r1", "n3": "r2", "n4": "r2", "n5": "r3", "n6": "r3"}


def incidents_of(cluster, job):
    listed = cluster.json("incident", "list", "--job", job)["incidents"]
    return [cluster.json("incident", "show", i["id"]) for i in listed]


def rack_without_power(cluster, moments, dice):
    checkpoints = cluster.dir / "ckpt"
    data = prepare_data(cluster)

    def submit(name):
        return cluster.submit(tiny_job(name, data, checkpoints, steps=STEPS, every=10))

    def final_weights(view):
        return weights.digests(weights.newest_committed(checkpoints / view["uid"]))

    begin = time.monotonic()
    calm = cluster.wait_state(submit("undisturbed"), "succeeded", "failed", timeout=300)
    assert calm["state"] == "succeeded", calm["reason"]
    length = time.monotonic() - begin
    reference = final_weights(calm)
    done = tries = 0
    while done < moments:
        tries += 1
        assert tries <= 3 * moments, f"only {done} of {tries} hit a running job"
        job = submit(f"rack-{tries}")
        # Two racks hold the job; one of these, whole, and only while it runs.
        moment = dice.uniform(0.1, length * 0.6)
        cluster.wait_state(job, "running", timeout=60)
        time.sleep(moment)
        view = cluster.job(job)
        if view["state"] != "running":
            cluster.wait_state(job, "succeeded", timeout=60)
            continue
        used = {s["node"] for s in view["attempts"][-1]["shares"]}
        rack = dice.choice(sorted({RACKS[n] for n in used}))
        gone = sorted(n for n in RACKS if RACKS[n] == rack)
        for node in gone:
            cluster.power_off(node)
        view = cluster.wait_state(job, "succeeded", "failed", timeout=120)
        assert view["state"] == "succeeded", view["reason"]
        weights.assert_equal_bits(reference, final_weights(view))
        seen = incidents_of(cluster, job)
        assert len(seen) == 1, f"{len(seen)} incidents: {[i['text'] for i in seen]}"
        lost = sorted(set(gone) & used)
        assert set(lost) <= set(seen[0]["nodes"]) <= set(gone), (seen[0]["nodes"], lost)
        if len(lost) > 1:
            assert seen[0]["domain"] == f"rack {rack}", seen[0].get("domain")
        assert seen[0]["blame"] == "machine", seen[0]["blame"]
        assert seen[0]["state"] == "resumed", seen[0]["state"]
        assert len(view["attempts"]) == 2, [a.get("cause") for a in view["attempts"]]
        print(f"ok   rack {rack} ({', '.join(gone)}) after {moment:.2f} s: {seen[0]['text']}", flush=True)
        for node in gone:
            cluster.start_worker(node)
        wait_for("the rack back", lambda: len(cluster.ready_nodes()) == len(RACKS))
        cluster.assert_clean()
        done += 1
    print(f"racks: {done} of {done} without power were one incident each", flush=True)


def planted_bug(cluster, dice):
    """One rank of a program fails in one step, every time: a bounded number of attempts, then all is said."""
    step, rank = dice.randint(12, 38), dice.randrange(4)
    cluster.environment["MUSTER_TEST_FAIL"] = f"rank={rank},step={step},how=exit1"
    for name in ("n1", "n2"):  # so that their ranks find it in the environment
        cluster.kill(name)
        cluster.start_worker(name)
    wait_for("workers back", lambda: len(cluster.ready_nodes()) == 2)
    data = prepare_data(cluster)
    job = cluster.submit(tiny_job("planted", data, cluster.dir / "ckpt", steps=60, every=10))
    waited = cluster.muster("wait", job, check=False, timeout=120)
    assert waited.returncode == 1, waited.returncode
    view = cluster.job(job)
    assert view["state"] == "failed", view["state"]
    assert 3 <= len(view["attempts"]) <= 6, len(view["attempts"])
    seen = incidents_of(cluster, job)
    assert seen[0]["state"] == "failed", seen[0]["state"]
    # Whoever waited was told, in a line each.
    assert f"incident {seen[0]['id']}: {seen[0]['text']}\n" in waited.stderr, waited.stderr
    for incident in seen:
        assert f"incident {incident['id']}: rank {rank} on " in waited.stderr, waited.stderr
    for incident in seen:
        cause = incident["cause"]
        assert cause.get("rank", 0) == rank and cause["has_rank"], cause
        assert int(cause["step"]) == step, cause
        assert any(f"rank {rank} fails in step {step}" in line for line in cause["last_lines"]), cause
    assert seen[0]["blame"] == "program", (seen[0]["blame"], seen[0].get("blame_reason"))
    for node in cluster.json("node", "list")["nodes"]:
        assert node["quarantine"] in ("none", "unspecified"), node
    assert f"rank {rank}" in view["reason"] and f"step {step}" in view["reason"], view["reason"]
    print(f"ok   planted bug in rank {rank}, step {step}: {len(view['attempts'])} attempts; {view['reason']}",
          flush=True)
    cluster.assert_clean()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=2)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"outage_test --moments {options.moments} --seed {options.seed}", flush=True)
    dice = random.Random(options.seed)
    with Cluster(workers=2, slots=2) as cluster:
        planted_bug(cluster, dice)
    with Cluster(workers=len(RACKS), slots=1, coordinator_flags=["--dead-ms", "3000"],
                 node_flags={n: ["--rack", r] for n, r in RACKS.items()}) as cluster:
        rack_without_power(cluster, options.moments, dice)
    return 0


if __name__ == "__main__":
    sys.exit(main())
