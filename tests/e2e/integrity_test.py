"""A bit of one rank's weights flips: it is found before it is saved, the rank, its node and the
machine are named, and the job ends in the weights of one that was never disturbed."""
import unittest

import weights
from cluster import Cluster, wait_for
from tiny import prepare_data, tiny_job

RANK, STEP = 2, 8


class Integrity(unittest.TestCase):
    def test_a_flipped_bit_accuses_its_machine_and_is_never_saved(self):
        cluster = Cluster(workers=2, slots=2)
        data = prepare_data(cluster)
        ckpt = cluster.dir / "ckpt"
        job = dict(steps=16, every=4, mesh="{data: 4}")
        good = cluster.submit(tiny_job("good", data, ckpt, **job))
        good = cluster.wait_state(good, "succeeded", "failed")
        self.assertEqual(good["state"], "succeeded", good["reason"])

        cluster.environment["MUSTER_TEST_FAIL"] = f"rank={RANK},step={STEP},how=flip,attempt=1"
        for name in ("n1", "n2"):  # so that their ranks find it in the environment
            cluster.kill(name)
            cluster.start_worker(name)
        wait_for("workers back", lambda: len(cluster.ready_nodes()) == 2)
        flipped = cluster.submit(tiny_job("flipped", data, ckpt, **job))
        view = cluster.wait_state(flipped, "succeeded", "failed")
        self.assertEqual(view["state"], "succeeded", view["reason"])
        self.assertEqual(len(view["attempts"]), 2)

        (seen,) = cluster.json("incident", "list", "--job", flipped)["incidents"]
        incident = cluster.json("incident", "show", seen["id"])
        cause = incident["cause"]
        self.assertTrue(cause["has_rank"])
        self.assertEqual(cause.get("rank", 0), RANK)
        self.assertTrue(any("silent data corruption" in line for line in cause["last_lines"]), cause)
        self.assertEqual(incident["blame"], "machine", incident.get("blame_reason"))
        stderr = cluster.muster("logs", flipped, "--attempt", "1", "--stderr").stdout
        self.assertIn(f"rank {RANK} differs from its replicas", stderr)
        weights.assert_equal_bits(weights.digests(weights.newest_committed(ckpt / good["uid"])),
                                  weights.digests(weights.newest_committed(ckpt / view["uid"])))
        # What was saved of attempt 1 is from before the flip.
        steps = [int(c["step"]) for c in view["checkpoints"] if int(c["attempt"]) == 1]
        self.assertTrue(all(step < STEP for step in steps), steps)
        cluster.assert_clean()
        left = cluster.close()
        self.assertFalse(left, left)


if __name__ == "__main__":
    unittest.main(verbosity=2)
