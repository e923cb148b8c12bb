"""A rank that stands still is found, named and repaired: 4 native ranks on 2 nodes.

Stopped: SIGSTOP to one rank at a random moment, from the start of the job to its end. The incident names
this rank and its node, and the collective in which the others wait for it.
Stuck: one rank does not go on inside a step, and its process looks like any other. Only the rings of
collectives tell who waits for whom.

In both the job is restarted, and ends in the weights of the undisturbed run.

usage: hang_test.py [--rounds N] [--seed S]
"""
import argparse
import os
import pathlib
import random
import re
import signal
import sys
import time

from cluster import Cluster, wait_for
from tiny import prepare_data, tiny_job
import weights

STEPS = 150
HANG_AFTER_S = 2
WAITS = re.compile(r"(\d)(?: of \d)? others? waits? in ([a-z-]+ \d+ of (?:world|data|tensor)) for ")


def incidents_of(cluster, job):
    listed = cluster.json("incident", "list", "--job", job)["incidents"]
    return [cluster.json("incident", "show", i["id"]) for i in listed]


def node_of(view, rank):
    for share in view["attempts"][0]["shares"]:
        if share["first_rank"] <= rank < share["first_rank"] + share["ranks"]:
            return share["node"]
    raise AssertionError(f"rank {rank} is on no node")


def check_named(incident, rank, node):
    """The root is this rank; each of the others is a cascade, most of them with what they wait in."""
    root, others = incident["evidence"][0], incident["evidence"][1:]
    assert root["kind"] == "rank_still" and root["role"] == "root", root
    assert (root["rank"], root["node"]) == (rank, node), (root["text"], rank, node)
    named = sorted([rank] + [e["rank"] for e in others])
    at_its_end = root["phase"] == "idle"  # then those that ended well are not told
    assert named == [0, 1, 2, 3] or at_its_end and len(set(named)) == len(named), incident["evidence"]
    assert all(e["kind"] == "rank_still" and e["role"] == "cascade" for e in others), others
    assert [a["rung"] for j in incident["jobs"] for a in j["actions"]][0] == "restart", incident["jobs"]
    assert incident["state"] == "resumed", incident["state"]
    return root, others


def check_waiting(root, others):
    """The others are inside collectives: the same for those that the root's text counts."""
    inside = [e for e in others if e.get("collective") and not e["collective"].get("done")
              and not e["collective"].get("started")]
    assert inside, f"nobody waits: {[e['text'] for e in others]}"
    said = WAITS.search(root["text"])
    assert said, root["text"]
    count, collective = int(said[1]), said[2]
    same = [e for e in inside if f"waits in {collective} for " in e["text"]]
    assert len(same) == count >= 1, (root["text"], [e["text"] for e in others])
    for evidence in same:
        seen = evidence["collective"]
        assert f"{seen['operation']} {seen['sequence']} of {seen['group']}" == collective, seen
        assert seen["age_seconds"] > 0.5 * HANG_AFTER_S, seen
    return collective


class Hangs:
    def __init__(self, cluster, dice):
        self.cluster, self.dice = cluster, dice
        self.data = prepare_data(cluster)
        self.checkpoints = cluster.dir / "ckpt"
        begin = time.monotonic()
        self.reference = self.final_weights(self.end(self.submit("undisturbed")))
        self.length = time.monotonic() - begin
        print(f"undisturbed: {self.length:.1f} s, {len(self.reference)} pieces", flush=True)

    def submit(self, name):
        text = tiny_job(name, self.data, self.checkpoints, steps=STEPS, every=10)
        return self.cluster.submit(
            text.replace("recovery: {", f"recovery: {{hang_after: {HANG_AFTER_S}s, "))

    def end(self, job):
        view = self.cluster.wait_state(job, "succeeded", "failed", timeout=150)
        assert view["state"] == "succeeded", view["reason"]
        return view

    def final_weights(self, view):
        folder = weights.newest_committed(self.checkpoints / view["uid"])
        assert folder.name.startswith(f"step-{STEPS:010d}."), folder
        return weights.digests(folder)

    def repaired(self, job, rank):
        """The job's end, its one incident and the root's and the others' evidence."""
        view = self.end(job)
        weights.assert_equal_bits(self.reference, self.final_weights(view))
        incidents = incidents_of(self.cluster, job)
        assert len(incidents) == 1 and len(view["attempts"]) == 2, [i["text"] for i in incidents]
        root, others = check_named(incidents[0], rank, node_of(view, rank))
        return incidents[0], root, others

    def stopped(self, number):
        """False when the job was over before the moment came."""
        job = self.submit(f"stopped-{number}")
        moment = self.dice.uniform(0, self.length)
        time.sleep(moment)
        rank = self.dice.randrange(4)
        pid = wait_for(f"rank {rank} or the end",
                       lambda: self.cluster.ranks(job).get(rank) or
                       (-1 if self.cluster.job(job)["state"] == "succeeded" else None))
        try:
            if pid > 0:
                os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            pid = -1
        # It may have ended meanwhile; a stopped process never does.
        if pid < 0 or not pathlib.Path(f"/proc/{pid}").exists():
            self.end(job)
            return False
        incident, root, others = self.repaired(job, rank)
        assert "its process is stopped" in root["text"], root["text"]
        if root["phase"] == "step":
            check_waiting(root, others)
        print(f"ok   stopped at {moment:.2f} s: {incident['text']}", flush=True)
        return True

    def stuck(self):
        rank, step = self.dice.randrange(4), self.dice.randint(15, STEPS - 10)
        self.cluster.environment["MUSTER_TEST_FAIL"] = f"rank={rank},step={step},how=hang,attempt=1"
        self.restart_workers()
        incident, root, others = self.repaired(self.submit(f"stuck-{rank}-{step}"), rank)
        assert int(root["step"]) == step, root
        assert "in no collective" in root["text"], root["text"]
        check_waiting(root, others)
        print(f"ok   stuck in step {step}: {incident['text']}", flush=True)
        del self.cluster.environment["MUSTER_TEST_FAIL"]

    def restart_workers(self):
        for name in ("n1", "n2"):  # so that their ranks find it in the environment
            self.cluster.kill(name)
            self.cluster.start_worker(name)
        wait_for("workers back", lambda: len(self.cluster.ready_nodes()) == 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"hang_test --rounds {options.rounds} --seed {options.seed}", flush=True)
    with Cluster(workers=2, slots=2) as cluster:
        hangs = Hangs(cluster, random.Random(options.seed))
        done = tries = 0
        while done < options.rounds:
            tries += 1
            assert tries <= 3 * options.rounds, f"only {done} of {tries} stops hit a running job"
            done += hangs.stopped(tries)
            cluster.assert_clean()
        for _ in range((options.rounds + 1) // 2):
            hangs.stuck()
            cluster.assert_clean()
    print(f"hang: {done} stopped, {(options.rounds + 1) // 2} stuck, all named and repaired")
    return 0


if __name__ == "__main__":
    sys.exit(main())
