"""Guilty nodes and guilty programs, told apart on a real cluster."""
import pathlib
import stat
import unittest

from cluster import Cluster, wait_for

COOL_DOWN_S = "3"


def program(name, script, ranks=2):
    return f"""
apiVersion: muster/v1
kind: TrainJob
name: {name}
mesh: {{data: {ranks}}}
resources: {{slots_per_rank: 1}}
program: {{command: [sh, -c, '{script}']}}
"""


class Quarantine(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster(workers=3, slots=2, coordinator_flags=[
            "--quarantine-share", "0.05", "--quarantine-cool-down-s", COOL_DOWN_S])

    def tearDown(self):
        self.cluster.assert_clean()
        left = self.cluster.close()
        assert not left, left

    def node(self, name):
        return self.cluster.json("node", "describe", name)

    def state(self, name):
        return self.node(name)["node"]["quarantine"]

    def wait_quarantine(self, name, *states, timeout=60):
        return wait_for(f"{name} in {states}, is {self.state(name)}",
                        lambda: self.state(name) in states, timeout, every=0.1)

    def test_node_that_fails_every_job_is_quarantined_and_the_jobs_move_on(self):
        # Two nodes are full until both jobs have been on the third.
        fillers = [self.cluster.submit(program(f"fill-{i}", "sleep 100")) for i in range(2)]
        for job in fillers:
            self.cluster.wait_state(job, "running")
        used = {node["name"] for node in self.cluster.json("node", "list")["nodes"]
                if int(node.get("slots_used", 0)) > 0}
        lemon = ({"n1", "n2", "n3"} - used).pop()
        script = f'test "$MUSTER_NODE" != {lemon} || exit 1'
        first = self.cluster.submit(program("first", script + "; echo one", ranks=1))
        second = self.cluster.submit(program("second", script + "; echo two", ranks=1))
        self.wait_quarantine(lemon, "cooling", "testing", "probation")
        story = self.node(lemon)
        self.assertIn("2 jobs", [c["reason"] for c in story["quarantine"]
                                 if c["quarantine"] == "cooling"][-1])
        for job in fillers:
            self.cluster.muster("cancel", job)
        for job in (first, second):
            view = self.cluster.wait_state(job, "succeeded", "failed")
            self.assertEqual(view["state"], "succeeded", view["reason"])
        # The cool-down is short here; the node tests itself and is let back in.
        self.wait_quarantine(lemon, "probation", timeout=90)
        story = self.node(lemon)
        self.assertTrue(story["tests"][0]["passed"], story["tests"])
        self.assertIn("GFLOP/s", story["tests"][0]["text"])
        text = self.cluster.muster("node", "describe", lemon).stdout
        self.assertIn("probation", text)
        self.assertIn("exited 1", text)

    def test_program_that_fails_everywhere_quarantines_nobody(self):
        jobs = [self.cluster.submit(program(f"broken-{i}", "exit 3")) for i in range(4)]
        for job in jobs:
            self.assertEqual(self.cluster.wait_state(job, "failed")["state"], "failed")
        for name in ("n1", "n2", "n3"):
            self.assertEqual(self.state(name), "none", self.node(name))

    def test_person_quarantines_tests_and_releases(self):
        answer = self.cluster.muster("node", "quarantine", "n3", "--reason", "odd noise").stdout
        self.assertIn("cooling", answer)
        self.assertIn("odd noise", answer)
        job = self.cluster.submit(program("wide", "exit 0", ranks=6))
        view = wait_for("the job waits and says for what",
                        lambda: (lambda j: j if "quarantined" in j["reason"] else None)(
                            self.cluster.job(job)))
        self.assertIn("n3", view["reason"])
        tested = self.cluster.muster("node", "test", "n3")
        self.assertIn("passed", tested.stdout)
        self.assertEqual(self.state("n3"), "cooling", "only a person ends it")
        self.cluster.muster("node", "release", "n3", "--reason", "it was the fan")
        self.cluster.wait_state(job, "succeeded")
        self.assertIn('muster_nodes_by_quarantine{quarantine="cooling"} 0',
                      self.cluster.muster("cluster", "metrics").stdout)

    def test_failed_test_keeps_the_node_away(self):
        broken = self.cluster.dir / "broken-preflight"
        broken.write_text("#!/bin/sh\necho 'memory: byte 4096 reads 1, not 0'\nexit 1\n")
        broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
        self.cluster.kill("n1")
        self.cluster.worker_flags = ["--preflight", broken]
        self.cluster.start_worker("n1")
        self.cluster.worker_flags = []
        wait_for("n1 is back", lambda: "n1" in self.cluster.ready_nodes())
        result = self.cluster.muster("node", "test", "n1", check=False)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn("byte 4096", result.stdout)
        self.assertEqual(self.state("n1"), "cooling")

    def test_worker_that_restarts_in_its_test_is_tested_again(self):
        slow = self.cluster.dir / "slow-preflight"
        mark = self.cluster.dir / "tests-begun"
        slow.write_text(f"#!/bin/sh\necho begun >> {mark}\n"
                        f"test $(wc -l < {mark}) -gt 1 && echo fine && exit 0\nexec sleep 60\n")
        slow.chmod(slow.stat().st_mode | stat.S_IXUSR)
        self.cluster.kill("n1")
        self.cluster.worker_flags = ["--preflight", slow]
        self.cluster.start_worker("n1")
        wait_for("n1 is back", lambda: "n1" in self.cluster.ready_nodes())
        self.cluster.muster("node", "quarantine", "n1", "--for", "100ms")
        wait_for("the test has begun", mark.exists)
        self.cluster.kill("n1")
        self.cluster.start_worker("n1")
        self.cluster.worker_flags = []
        self.wait_quarantine("n1", "probation")
        self.assertEqual(self.node("n1")["tests"][0]["text"], "fine")
        self.assertEqual(len(pathlib.Path(mark).read_text().split()), 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
