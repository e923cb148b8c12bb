"""A bit of one rank's weights flips: it is found before it is saved on storage, the rank, its node and
the machine are named, nothing of it is gone on from in memory, and the job ends in the weights of one
that was never disturbed."""
import unittest

import weights
from cluster import Cluster, wait_for
from tiny import prepare_data, tiny_job

RANK = 2
JOB = dict(steps=16, every=4, mesh="{data: 4}")


class Integrity(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=2, slots=2)
        cls.data = prepare_data(cls.cluster)
        cls.ckpt = cls.cluster.dir / "ckpt"

    @classmethod
    def tearDownClass(cls):
        cls.cluster.assert_clean()
        left = cls.cluster.close()
        assert not left, left

    def final_weights(self, view):
        self.assertEqual(view["state"], "succeeded", view["reason"])
        return weights.digests(weights.newest_committed(self.ckpt / view["uid"]))

    def undisturbed(self):
        good = self.cluster.submit(tiny_job("good", self.data, self.ckpt, **JOB))
        return self.final_weights(self.cluster.wait_state(good, "succeeded", "failed"))

    def flip(self, name, step, keys=""):
        """The job whose attempt 1 has a bit flipped after `step`, when it is through."""
        cluster = self.cluster
        cluster.environment["MUSTER_TEST_FAIL"] = f"rank={RANK},step={step},how=flip,attempt=1"
        for node in ("n1", "n2"):  # so that their ranks find it in the environment
            cluster.kill(node)
            cluster.start_worker(node)
        wait_for("workers back", lambda: len(cluster.ready_nodes()) == 2)
        text = tiny_job(name, self.data, self.ckpt, **JOB).replace("keep: 3", "keep: 3" + keys)
        view = cluster.wait_state(cluster.submit(text), "succeeded", "failed")
        self.assertEqual(view["state"], "succeeded", view["reason"])
        self.assertEqual(len(view["attempts"]), 2)
        return view

    def assert_accused(self, view, found_at):
        (seen,) = self.cluster.json("incident", "list", "--job", view["id"])["incidents"]
        incident = self.cluster.json("incident", "show", seen["id"])
        cause = incident["cause"]
        self.assertTrue(cause["has_rank"])
        self.assertEqual(cause.get("rank", 0), RANK)
        self.assertTrue(any(f"step {found_at}: silent data corruption" in line
                            for line in cause["last_lines"]), cause)
        self.assertEqual(incident["blame"], "machine", incident.get("blame_reason"))
        stderr = self.cluster.muster("logs", view["id"], "--attempt", "1", "--stderr").stdout
        self.assertIn(f"rank {RANK} differs from its replicas", stderr)
        # What was saved of attempt 1 is from before the flip, and memory is not believed.
        steps = [int(c["step"]) for c in view["checkpoints"] if int(c["attempt"]) == 1]
        self.assertTrue(all(step < found_at for step in steps), steps)
        went_on = view["attempts"][1]
        self.assertFalse(went_on.get("from_memory", False))
        self.assertIn(int(went_on.get("first_step", 0)), range(0, found_at, JOB["every"]))

    def test_a_flipped_bit_accuses_its_machine_and_is_never_saved(self):
        good = self.undisturbed()
        view = self.flip("flipped", 8)
        self.assert_accused(view, 8)
        weights.assert_equal_bits(good, self.final_weights(view))
        # Between saves, while memory takes every step.
        view = self.flip("between", 6, ", ram_every_steps: 1, compare_every_steps: 3")
        self.assert_accused(view, 6)
        weights.assert_equal_bits(good, self.final_weights(view))


if __name__ == "__main__":
    unittest.main(verbosity=2)
