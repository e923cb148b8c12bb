"""Forty simulated workers on a real coordinator: launch, coordinator killed, workers gone silent."""
import re
import signal
import unittest

from cluster import BIN, Cluster, wait_for

NODES = 40
JOB = """
apiVersion: muster/v1
kind: TrainJob
name: wide
mesh: {data: 35, tensor: 8}
resources: {slots_per_rank: 1}
program: {command: [sleep, "1000"]}
"""


class Fleet(unittest.TestCase):
    def test_launch_coordinator_kill_and_silent_death(self):
        cluster = Cluster(workers=0)
        try:
            (cluster.dir / "script").write_text(
                "step 0.2s\nsave every 10 steps\nat 8s kill-rank job=1 rank=0\n"
                "at 14s fail 2 workers silently\n")
            cluster.spawn("fleet", [BIN / "muster-fleet", "--coordinator-file",
                                    cluster.dir / "coordinator" / "address", "--nodes", str(NODES),
                                    "--script", cluster.dir / "script", "--seed", "5"])
            wait_for("all workers", lambda: len(cluster.ready_nodes()) == NODES)
            job = cluster.submit(JOB)
            cluster.wait_state(job, "running", timeout=20)
            cluster.kill("coordinator")
            cluster.start_coordinator()
            wait_for("all workers back", lambda: len(cluster.ready_nodes()) == NODES, timeout=20)
            view = cluster.job(job)
            self.assertEqual((view["state"], len(view["attempts"])), ("running", 1), view["reason"])
            second = wait_for("the attempt after the kill of a rank", lambda: (
                lambda v: v if len(v["attempts"]) >= 2 else None)(cluster.job(job)), timeout=30)
            self.assertIn("rank 0 on", second["attempts"][0]["cause"]["text"])
            self.assertGreaterEqual(int(second["checkpoints"][0]["step"]), 10)
            dead = wait_for("two workers dead", lambda: (
                lambda names: names if len(names) == 2 else None)(
                    {n["name"] for n in cluster.json("node", "list")["nodes"]
                     if n["state"] == "dead"}), timeout=40)
            final = wait_for("the job runs", lambda: (
                lambda v: v if v["state"] == "running" else None)(cluster.job(job)), timeout=30)
            used = {share["node"] for share in final["attempts"][-1]["shares"]}
            self.assertFalse(used & dead)
            self.assertEqual(sum(s["ranks"] for s in final["attempts"][-1]["shares"]), 280)
            cluster.kill("fleet", signal.SIGTERM)
            self.assertTrue(re.search(r"40 workers: 38 welcomed, 2 silent", cluster.log("fleet")),
                            cluster.log("fleet"))
        finally:
            self.assertFalse(cluster.close())


if __name__ == "__main__":
    unittest.main(verbosity=2)
