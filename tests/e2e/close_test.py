"""A test that fails, or is killed, leaves nothing of its cluster running."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import unittest

from cluster import processes

HERE = pathlib.Path(__file__).resolve().parent
START = """
import sys, time, unittest
from cluster import Cluster
def start():
    cluster = Cluster(workers=1, slots=2, worker_flags=["--orphan-grace-ms", "1000"])
    job = cluster.submit('''
apiVersion: muster/v1
kind: TrainJob
name: sleeper
mesh: {data: 2}
resources: {slots_per_rank: 1}
program: {command: [sleep, "1000"]}
''')
    cluster.wait_state(job, "running")
    assert len(cluster.ranks(job)) == 2
    print("started", cluster.dir, flush=True)
    return cluster
"""
WAYS = {
    "an assertion before close": "cluster = start()\nassert False, 'planted'",
    "an assertion inside with": "with start() as cluster:\n    assert False, 'planted'",
    "an assertion in setUpClass": """
class Broken(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = start()
        assert False, 'planted'
    def test_nothing(self):
        pass
    @classmethod
    def tearDownClass(cls):
        cls.cluster.close()
unittest.main()""",
    "sys.exit": "cluster = start()\nsys.exit('planted')",
}


class Close(unittest.TestCase):
    def run_test(self, body):
        """Starts a test of its own; (its process, its folder) once its cluster runs."""
        test = subprocess.Popen([sys.executable, "-B", "-c", START + body], cwd=HERE, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(test.communicate)
        for line in test.stdout:
            if found := re.match(r"started (\S+)", line):
                return test, found[1]
        self.fail(f"the test did not start its cluster: {test.communicate()[1]}")

    def assert_gone(self, folder, what, seconds):
        deadline = time.monotonic() + seconds
        while left := processes(folder):
            self.assertLess(time.monotonic(), deadline, f"{what} left {left}")
            time.sleep(0.05)
        subprocess.run(["rm", "-rf", folder], check=True)

    def test_failed_test_leaves_nothing(self):
        for what, body in WAYS.items():
            with self.subTest(what):
                test, folder = self.run_test(body)
                out, err = test.communicate(timeout=60)
                self.assertNotEqual(test.returncode, 0)
                self.assertIn("planted", err)
                self.assertIn("state kept in", out)
                self.assert_gone(folder, what, 0)

    def test_killed_test_leaves_nothing_for_long(self):
        for how in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(how.name):
                test, folder = self.run_test("cluster = start()\ntime.sleep(1000)")
                self.assertGreaterEqual(len(processes(folder)), 5)
                os.kill(test.pid, how)
                test.wait(timeout=60)
                self.assert_gone(folder, how.name, 30)


if __name__ == "__main__":
    unittest.main(verbosity=2)
