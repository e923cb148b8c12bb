"""The admin scripts on a real cluster: drain a rack, who waits and why, back up and restore."""
import os
import signal
import subprocess
import unittest

from cluster import BIN, ROOT, Cluster, wait_for

SLEEPER = """
apiVersion: muster/v1
kind: TrainJob
name: {name}
mesh: {{data: {ranks}}}
program: {{command: [sleep, '1000']}}
"""


class Admin(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster(workers=0, slots=2)
        self.addCleanup(lambda: self.assertFalse(self.cluster.close()))
        for node, rack in (("n1", "r1"), ("n2", "r1"), ("n3", "r2")):
            self.cluster.worker_flags = ["--rack", rack]
            self.cluster.start_worker(node)
        wait_for("three workers", lambda: len(self.cluster.ready_nodes()) == 3)

    def script(self, name, *args):
        environment = dict(os.environ, MUSTER=f"{BIN}/muster", MUSTER_COORDINATOR=self.cluster.address())
        return subprocess.run([ROOT / "deploy" / "admin" / name, *map(str, args)], timeout=90,
                              capture_output=True, text=True, env=environment)

    def test_drain_rack_moves_the_work_and_waits(self):
        job = self.cluster.submit(SLEEPER.format(name="mover", ranks=2))
        self.cluster.wait_state(job, "running")
        result = self.script("drain-rack", "r1", "power work", 60)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("rack r1 is drained: n1 n2", result.stdout)
        view = self.cluster.wait_state(job, "running")
        self.assertEqual({s["node"] for s in view["attempts"][-1]["shares"]}, {"n3"})
        self.assertEqual(self.script("drain-rack", "r9").returncode, 3)
        self.cluster.muster("cancel", job)
        self.cluster.wait_state(job, "cancelled")

    def test_who_waits_gives_the_scheduler_s_reason(self):
        self.assertIn("nobody waits", self.script("who-waits").stdout)
        first = self.cluster.submit(SLEEPER.format(name="first", ranks=6))
        self.cluster.wait_state(first, "running")
        second = self.cluster.submit(SLEEPER.format(name="second", ranks=1))
        result = self.script("who-waits")
        self.assertEqual(result.returncode, 0, result.stderr)
        line = next(l for l in result.stdout.splitlines() if "second" in l)
        self.assertIn("waiting: 1 rank", line)
        self.assertIn("0 free", line)
        for job in (second, first):
            self.cluster.muster("cancel", job)
            self.cluster.wait_state(job, "cancelled")

    def test_backup_and_restore(self):
        job = self.cluster.submit(SLEEPER.format(name="kept", ranks=1))
        self.cluster.muster("cancel", job)
        self.cluster.wait_state(job, "cancelled")
        backup = self.cluster.dir / "backup.db"
        result = self.script("backup-restore", "backup", backup)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"backed up \d+ records")
        state = self.cluster.dir / "coordinator"
        refused = self.script("backup-restore", "restore", backup, state)
        self.assertEqual(refused.returncode, 5, refused.stderr)
        self.cluster.kill("coordinator", signal.SIGTERM)
        (state / "journal.db").write_bytes(b"lost to a bad disk")
        result = self.script("backup-restore", "restore", backup, state)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.cluster.start_coordinator()
        wait_for("three workers back", lambda: len(self.cluster.ready_nodes()) == 3)
        self.assertEqual(self.cluster.job(job)["state"], "cancelled")


if __name__ == "__main__":
    unittest.main(verbosity=2)
