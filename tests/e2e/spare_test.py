"""A node of a job loses power at a random moment: its hot spare takes over.

Three nodes: two hold the job (4 native ranks), the third is its spare. One of the two goes dark. The spare
must be the one in its place, by the rung `replace`; the incident ends resumed, the job in the weights of the
undisturbed run. The node comes back, while the job still runs or after it, and the next job has it as its
spare or as one of its nodes: three nodes are used in every round. (A job that runs gets no new spare before
its next attempt.)

usage: spare_test.py [--moments N] [--seed S]
"""
import argparse
import random
import sys
import time

from cluster import Cluster, wait_for
from tiny import prepare_data, tiny_job
import weights

STEPS = 150
NODES = {"n1", "n2", "n3"}


def used_by(attempt):
    return {s["node"] for s in attempt["shares"]}


class Spares:
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
        return self.cluster.submit(text.replace("recovery: {", "recovery: {hot_spares: 1, "))

    def end(self, job):
        view = self.cluster.wait_state(job, "succeeded", "failed", timeout=150)
        assert view["state"] == "succeeded", view["reason"]
        return view

    def final_weights(self, view):
        folder = weights.newest_committed(self.checkpoints / view["uid"])
        assert folder.name.startswith(f"step-{STEPS:010d}."), folder
        return weights.digests(folder)

    def moment(self, number):
        """False when the job was over before the moment came."""
        job = self.submit(f"spared-{number}")
        moment = self.dice.uniform(0, self.length * 0.9)
        time.sleep(moment)
        view = self.cluster.job(job)
        if view["state"] not in ("starting", "running"):
            self.end(job)
            return False
        first = view["attempts"][0]
        used, spares = used_by(first), set(first["spares"])
        assert len(used) == 2 and spares == NODES - used, (used, spares)
        lost = self.dice.choice(sorted(used))
        step = int((view.get("progress") or {}).get("step", 0))
        self.cluster.power_off(lost)
        view = wait_for("the second attempt, or the end", lambda: self.second(job), timeout=60)
        if len(view["attempts"]) == 1:  # its last step was done when the power went
            self.back(lost)
            self.end(job)
            return False
        second = view["attempts"][1]
        assert second["rung"] == "replace", second
        assert used_by(second) == used - {lost} | spares, (used_by(second), used, lost)
        assert not second.get("spares"), second["spares"]
        back_at_once = self.dice.random() < 0.5
        if back_at_once:
            self.back(lost)
        view = self.end(job)
        weights.assert_equal_bits(self.reference, self.final_weights(view))
        self.check_incident(job, lost, second)
        assert len(view["attempts"]) == 2, [a.get("cause") for a in view["attempts"]]
        if not back_at_once:
            self.back(lost)
        print(f"ok   {lost} off at {moment:.2f} s (step {step}): {spares.pop()} took over from step "
              f"{view['attempts'][1].get('first_step', 0)}, {self.text}", flush=True)
        return True

    def second(self, job):
        view = self.cluster.job(job)
        return view if len(view["attempts"]) > 1 or view["state"] == "succeeded" else None

    def back(self, node):
        self.cluster.start_worker(node)
        wait_for(f"{node} is back", lambda: set(self.cluster.ready_nodes()) == NODES)

    def check_incident(self, job, lost, second):
        listed = self.cluster.json("incident", "list", "--job", job)["incidents"]
        assert len(listed) == 1, [i["text"] for i in listed]
        incident = self.cluster.json("incident", "show", listed[0]["id"])
        assert incident["state"] == "resumed", incident["state"]
        root = incident["evidence"][0]
        assert root["node"] == lost and not root["has_rank"], root
        assert incident["blame"] == "machine", incident["blame"]
        actions = [a for j in incident["jobs"] for a in j["actions"]]
        assert all(a["rung"] == "replace" for a in actions), actions
        assert any(int(a.get("attempt", 0)) == int(second["number"]) for a in actions), actions
        self.text = incident["text"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=3)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"spare_test --moments {options.moments} --seed {options.seed}", flush=True)
    with Cluster(workers=3, slots=2, coordinator_flags=["--dead-ms", "3000"]) as cluster:
        spares = Spares(cluster, random.Random(options.seed))
        done = tries = 0
        while done < options.moments:
            tries += 1
            assert tries <= 3 * options.moments, f"only {done} of {tries} hit a running job"
            done += spares.moment(tries)
            cluster.assert_clean()
    print(f"spares: {done} of {done} nodes lost were replaced by the hot spare")
    return 0


if __name__ == "__main__":
    sys.exit(main())
