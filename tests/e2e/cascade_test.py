"""First failures named on real processes: 4 MPI ranks on 2 of 3 workers, one thing breaks, the others
follow. A stopped rank is found as a hang, and the job ends in the weights of the undisturbed run.

usage: cascade_test.py [--acts N] [--seed S]
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


def with_hang(text):
    return text.replace("recovery: {", "recovery: {hang_after: 3s, ")


def node_of(cluster, job, rank):
    for share in cluster.job(job)["attempts"][-1]["shares"]:
        if share["first_rank"] <= rank < share["first_rank"] + share["ranks"]:
            return share["node"]
    raise AssertionError(f"rank {rank} of job {job} is on no node")


def act(cluster, job, kind, dice):
    """Breaks something. Returns what the incident must name: ("rank", r) or ("node", n)."""
    ranks = cluster.ranks(job)
    first = dice.choice(sorted(ranks))
    if kind == "worker":
        node = node_of(cluster, job, first)
        cluster.kill(node)
        return "node", node
    how = {"kill": signal.SIGKILL, "segv": signal.SIGSEGV, "bus": signal.SIGBUS,
           "stop": signal.SIGSTOP, "pair": signal.SIGSEGV}[kind]
    here = node_of(cluster, job, first)
    others = [r for r in sorted(ranks) if node_of(cluster, job, r) != here]
    os.kill(ranks[first], how)
    if kind == "pair" and others:  # one of another node aborts a moment later, as libraries do
        time.sleep(dice.uniform(0.001, 0.03))
        try:
            os.kill(ranks[dice.choice(others)], signal.SIGABRT)
        except ProcessLookupError:
            pass
    return "rank", first


def named(incident):
    root = incident["evidence"][0]
    if root["has_rank"]:
        return "rank", root["rank"]
    return "node", root["node"]


def incidents_of(cluster, job):
    return [int(i["id"]) for i in cluster.json("incident", "list", "--job", job)["incidents"]]


def name_them(cluster, data, acts, dice):
    job = cluster.submit(with_hang(tiny_job("cascades", data, cluster.dir / "ckpt", steps=1_000_000,
                                            every=10)))
    kinds = ["kill", "segv", "pair", "bus", "kill", "pair", "stop", "segv", "kill", "worker"]
    right = 0
    for number in range(acts):
        kind = kinds[number % len(kinds)]
        known = set(incidents_of(cluster, job))
        step = int(cluster.job(job)["progress"]["step"]) if known else 0
        cluster.wait_step(job, step + 3)
        time.sleep(dice.uniform(0, 0.3))
        truth = act(cluster, job, kind, dice)
        def over():
            new = [i for i in incidents_of(cluster, job) if i not in known]
            shown = cluster.json("incident", "show", new[0]) if new else None
            return shown if shown and shown["state"] == "resumed" else None
        shown = wait_for(f"an incident of {kind} that is over", over, timeout=90, every=0.1)
        said = named(shown)
        right += said == truth
        print(f"{'ok   ' if said == truth else 'WRONG'} {kind:6} {truth[0]} {truth[1]}: "
              f"{shown['text']}", flush=True)
        if truth[0] == "node":
            cluster.start_worker(truth[1])
            wait_for("the worker is back", lambda: len(cluster.ready_nodes()) == 3)
    cluster.muster("cancel", job)
    cluster.wait_state(job, "cancelled")
    print(f"the first failure was named right in {right} of {acts}", flush=True)
    assert right >= 0.95 * acts, f"{right} of {acts}"


def same_weights_after_a_hang(cluster, data, dice):
    def final(name, stop):
        job = cluster.submit(with_hang(tiny_job(name, data, cluster.dir / "ckpt", steps=STEPS,
                                                every=10)))
        victim = None
        if stop:
            cluster.wait_step(job, 20)
            ranks = cluster.ranks(job)
            victim = dice.choice(sorted(ranks))
            os.kill(ranks[victim], signal.SIGSTOP)
        view = cluster.wait_state(job, "succeeded", "failed", timeout=120)
        assert view["state"] == "succeeded", view["reason"]
        if stop:
            shown = cluster.json("incident", "show", incidents_of(cluster, job)[0])
            assert shown["evidence"][0]["kind"] == "rank_still", shown["evidence"][0]
            assert named(shown) == ("rank", victim), shown["text"]
            print(f"hang: {shown['text']}", flush=True)
        return weights.digests(weights.newest_committed(cluster.dir / "ckpt" / view["uid"]))
    weights.assert_equal_bits(final("undisturbed", False), final("stopped", True))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--acts", type=int, default=30)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    dice = random.Random(options.seed)
    print(f"cascade_test --acts {options.acts} --seed {options.seed}", flush=True)
    with Cluster(workers=3, slots=2, coordinator_flags=["--dead-ms", "3000"],
                 worker_flags=["--orphan-grace-ms", "3000"]) as cluster:
        data = prepare_data(cluster)
        same_weights_after_a_hang(cluster, data, dice)
        name_them(cluster, data, options.acts, dice)
        cluster.assert_clean()
    return 0


if __name__ == "__main__":
    sys.exit(main())
