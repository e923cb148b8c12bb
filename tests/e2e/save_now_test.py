"""A job that saves only when it is told: `muster save`, whatever dies between the order and the
save."""
import json
import os
import pathlib
import signal
import subprocess
import unittest

from cluster import BIN, Cluster, wait_for
from tiny import prepare_data, tiny_job

HEAT = pathlib.Path(os.environ.get("MUSTER_BIN", "build/bin")).resolve().parent / "tests/example_heat"
WORKERS = ("n1", "n2")


class SaveNow(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=len(WORKERS), slots=2)
        cls.data = prepare_data(cls.cluster)
        cls.ckpt = cls.cluster.dir / "ckpt"
        cls.training = None

    @classmethod
    def tearDownClass(cls):
        left = cls.cluster.close()
        assert not left, left

    def running(self):
        """A training that saves by itself only after a hundred thousand steps; the tests share it."""
        if SaveNow.training is None:
            SaveNow.training = self.cluster.submit(
                tiny_job("told", self.data, self.ckpt, steps=100_000, every=0))
        self.cluster.wait_step(self.training, 3)
        return self.training

    def end(self, job):
        self.cluster.muster("cancel", job)
        self.cluster.wait_state(job, "cancelled", timeout=60)

    def end_training(self):
        if SaveNow.training is not None:
            self.end(SaveNow.training)
            SaveNow.training = None

    def step(self, job):
        return int(self.cluster.job(job)["progress"]["step"])

    def orders(self, job):
        return int(self.cluster.job(job)["attempts"][-1].get("saves_asked", 0))

    def on_storage(self, job):
        if not (self.ckpt / self.cluster.job(job)["uid"]).exists():
            return []
        listed = self.cluster.json("ckpt", "list", job)["checkpoints"]
        return [int(c["step"]) for c in listed if c["state"] == "committed"]

    def save(self, job):
        """The step that `muster save --wait` says is saved; it is on storage then."""
        before = self.step(job)
        saved = int(self.cluster.json("save", job, "--wait", "--timeout", "60s")["step"])
        self.assertGreaterEqual(saved, before)
        self.assertIn(saved, self.on_storage(job))
        return saved

    def begin_save(self, job):
        """`muster save --wait` in the background, once its order is on record."""
        before = self.orders(job)
        waiting = subprocess.Popen(
            [BIN / "muster", "--coordinator", self.cluster.address(), "save", str(job), "--wait",
             "--timeout", "60s", "-o", "json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.cluster.environment)
        self.addCleanup(waiting.kill)
        wait_for("the order", lambda: self.orders(job) > before or waiting.poll() is not None)
        return waiting

    def expect_saved(self, waiting, job, before):
        out, problems = waiting.communicate(timeout=60)
        self.assertEqual(waiting.returncode, 0, problems)
        saved = int(json.loads(out)["step"])
        self.assertGreaterEqual(saved, before)
        self.assertIn(saved, self.on_storage(job))

    def refused(self, code, words, *args):
        result = self.cluster.muster("save", *args, check=False)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertIn(words, result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertEqual(result.stdout, "")

    def test_1_saves_when_it_is_told_and_only_then(self):
        job = self.running()
        self.assertEqual(self.on_storage(job), [])
        said = self.cluster.muster("save", job, "--wait", "--reason", "lunch").stdout
        (first,) = self.on_storage(job)
        self.assertRegex(said, rf"^job {job} \(told\) saved step {first}: [\d.]+ [KM]iB on storage, "
                               r"[\d.]+ s after it was asked\n")
        self.cluster.muster("ckpt", "verify", f"{job}@{first}")
        second = self.save(job)
        third = self.save(job)
        self.assertLess(first, second)
        self.assertLess(second, third)
        self.assertEqual(sorted(self.on_storage(job)), [first, second, third])
        self.assertEqual(self.orders(job), 3)
        self.assertEqual(self.cluster.job(job)["state"], "running")

    def test_2_without_waiting_it_is_an_order(self):
        job = self.running()
        before = self.step(job)
        checked = self.cluster.muster("save", job, "--dry-run").stdout
        self.assertIn("possible", checked)
        orders = self.orders(job)
        said = self.cluster.muster("save", "told").stdout
        self.assertIn(f"muster watch {job}", said)
        self.assertEqual(self.orders(job), orders + 1)
        wait_for("its checkpoint", lambda: max(self.on_storage(job), default=0) >= before)

    def test_3_workers_killed_before_they_can_be_told(self):
        job = self.running()
        for worker in WORKERS:
            self.cluster.kill(worker)
        before = self.step(job)
        waiting = self.begin_save(job)
        for worker in WORKERS:
            self.cluster.start_worker(worker)
        self.expect_saved(waiting, job, before)
        self.assertEqual(len(self.cluster.job(job)["attempts"]), 1)

    def test_4_worker_of_rank_0_killed_once_it_is_told(self):
        job = self.running()
        before = self.step(job)
        waiting = self.begin_save(job)
        self.cluster.kill("n1")
        self.cluster.start_worker("n1")
        self.expect_saved(waiting, job, before)
        self.assertEqual(len(self.cluster.job(job)["attempts"]), 1)

    def test_5_coordinator_killed_right_after_the_answer(self):
        # Nobody but its journal knows of the order: the workers are down as well.
        job = self.running()
        for worker in WORKERS:
            self.cluster.kill(worker)
        before = self.step(job)
        waiting = self.begin_save(job)
        port = self.cluster.address().rsplit(":", 1)[1]
        self.cluster.kill("coordinator")
        self.cluster.start_coordinator(port)
        for worker in WORKERS:
            self.cluster.start_worker(worker)
        self.expect_saved(waiting, job, before)
        view = self.cluster.job(job)
        self.assertEqual((view["state"], len(view["attempts"])), ("running", 1))

    def test_6_interrupted_the_job_goes_on_and_saves(self):
        job = self.running()
        stopped = self.cluster.ranks(job)[3]
        os.kill(stopped, signal.SIGSTOP)
        before = self.step(job)
        waiting = self.begin_save(job)
        waiting.send_signal(signal.SIGINT)
        _, said = waiting.communicate(timeout=30)
        self.assertEqual(waiting.returncode, 130, said)
        self.assertIn("the job goes on", said)
        os.kill(stopped, signal.SIGCONT)
        wait_for("its checkpoint", lambda: max(self.on_storage(job), default=0) >= before)

    def test_7_an_attempt_that_fails_first_is_told(self):
        job = self.running()
        self.cluster.wait_step(job, max(self.on_storage(job), default=0) + 3)
        stopped = self.cluster.ranks(job)[3]
        os.kill(stopped, signal.SIGSTOP)
        waiting = self.begin_save(job)
        os.kill(stopped, signal.SIGKILL)
        _, said = waiting.communicate(timeout=60)
        self.assertEqual(waiting.returncode, 1, said)
        self.assertIn("attempt 1 ended before it had saved: rank 3", said)
        wait_for("the next attempt", lambda: len(self.cluster.job(job)["attempts"]) == 2)
        self.cluster.wait_state(job, "running")
        self.assertEqual(self.orders(job), 0, "the order ended with its attempt")
        self.cluster.wait_step(job, max(self.on_storage(job), default=0) + 3)
        self.save(job)

    def test_8_a_program_saves_as_well(self):
        self.end_training()
        job = self.cluster.submit(f"""
apiVersion: muster/v1
kind: TrainJob
name: heat
mesh: {{ranks: 4}}
program:
  command: [{HEAT}, "203", "300", "100000", "10000"]
  collective: mpi
checkpoint: {{path: {self.ckpt}, keep: 0}}
""")
        self.cluster.wait_step(job, 3)
        self.assertEqual(self.on_storage(job), [])
        first = self.save(job)
        self.assertEqual(self.on_storage(job), [first])
        self.assertLess(first, self.save(job))
        self.cluster.muster("ckpt", "verify", f"{job}@{first}")
        self.end(job)

    def test_9_what_does_not_run_is_refused_in_one_line(self):
        self.end_training()
        self.refused(3, "muster list", "99")
        self.refused(3, "muster list", "nobody")
        short = self.cluster.submit(tiny_job("short", self.data, self.ckpt, steps=5, every=0))
        self.cluster.wait_state(short, "succeeded")
        self.refused(5, f"already ended: SUCCEEDED; `muster ckpt list {short}`", short, "--wait")
        plain = self.cluster.submit("""
apiVersion: muster/v1
kind: TrainJob
name: plain
mesh: {ranks: 1}
program: {command: [sleep, "1000"]}
""")
        self.cluster.wait_state(plain, "running")
        self.refused(5, "keeps no checkpoints", plain)
        self.end(plain)
        self.refused(5, "keeps no checkpoints", plain)
        held = self.cluster.submit(tiny_job("held", self.data, self.ckpt, steps=5, every=0,
                                            extra="schedule: {hold: true}\n"))
        self.refused(5, "no rank of it runs", held)
        self.end(held)
        self.cluster.assert_clean()


if __name__ == "__main__":
    unittest.main(verbosity=2)
