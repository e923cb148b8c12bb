"""Clients that submit at once, across a kill -9: each submission is one job, for ever."""
import subprocess
import sys
import time
import unittest

from cluster import BIN, Cluster
from submit_load import Load

JOBS = 500


class ManyClients(unittest.TestCase):
    def test_none_is_lost_and_none_doubled_across_a_kill(self):
        cluster = Cluster(workers=0)
        try:
            load = Load(cluster, JOBS, 8, "storm")
            load.wait_acknowledged(JOBS // 5)
            load.kill_and_start()
            figures = load.finish()
            self.assertGreater(figures["tried_again"], 0, "the kill came after the last answer")
            self.assertEqual(len(cluster.json("list")["jobs"]), JOBS)
        finally:
            left = cluster.close()
        self.assertEqual(left, {})

    def test_a_command_waits_out_a_restart(self):
        cluster = Cluster(workers=0)
        try:
            address = cluster.address()
            cluster.kill("coordinator")
            command = subprocess.Popen([BIN / "muster", "--coordinator", address, "list"],
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            time.sleep(0.5)  # it finds nobody there, more than once
            cluster.start_coordinator(address.rsplit(":", 1)[1])
            said, _ = command.communicate(timeout=60)
            self.assertEqual(command.returncode, 0, said)
        finally:
            left = cluster.close()
        self.assertEqual(left, {})


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
