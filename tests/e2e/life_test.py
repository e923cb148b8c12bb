"""A program job and a training job through their whole lives on a real cluster."""
import unittest

from cluster import Cluster, wait_for
from tiny import prepare_data, tiny_job


class Life(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=2, slots=2)
        cls.data = prepare_data(cls.cluster)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.assert_clean()
        left = cls.cluster.close()
        assert not left, left

    def test_program_runs_and_its_output_is_kept_per_rank(self):
        job = self.cluster.submit("""
apiVersion: muster/v1
kind: TrainJob
name: hello
mesh: {data: 3}
resources: {slots_per_rank: 1}
program: {command: [sh, -c, 'echo "rank $MUSTER_RANK of $MUSTER_WORLD_SIZE"']}
""")
        self.cluster.wait_state(job, "succeeded")
        out = self.cluster.muster("logs", job).stdout
        for rank in range(3):
            self.assertIn(f"rank {rank} of 3", out)

    def test_training_lowers_the_loss_and_leaves_verified_checkpoints(self):
        job = self.cluster.submit(tiny_job("life", self.data, self.cluster.dir / "ckpt", steps=30))
        self.cluster.wait_state(job, "succeeded", "failed", timeout=120)
        view = self.cluster.job(job)
        self.assertEqual(view["state"], "succeeded", view["reason"])
        progress = view["progress"]
        self.assertEqual(int(progress["step"]), 30)
        self.assertLess(progress["eval_bits_per_byte"], progress["first_eval_bits_per_byte"])
        self.assertTrue(any(c["committed"] and int(c["step"]) == 30 for c in view["checkpoints"]))
        self.assertIn("verified", self.cluster.muster("ckpt", "verify", job).stdout)

    def test_cancel_ends_every_process(self):
        job = self.cluster.submit("""
apiVersion: muster/v1
kind: TrainJob
name: sleeper
mesh: {data: 2}
resources: {slots_per_rank: 1}
program: {command: [sleep, '1000']}
""")
        self.cluster.wait_state(job, "running")
        self.assertEqual(len(self.cluster.ranks(job)), 2)
        self.cluster.muster("cancel", job)
        self.cluster.wait_state(job, "cancelled")
        wait_for("ranks gone", lambda: not self.cluster.ranks(job))


if __name__ == "__main__":
    unittest.main(verbosity=2)
