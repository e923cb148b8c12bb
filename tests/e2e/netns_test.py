"""Three workers in three network namespaces (three hosts): a job over two of them trains over
MPI/TCP, one host is lost, the third takes its place. Needs root; says so and skips without."""
import os
import pathlib
import subprocess
import sys
import unittest

from cluster import BIN, Cluster, wait_for
from tiny import prepare_data, tiny_job
import weights

PREFIX = f"mus{os.getpid() % 10000}"


def sh(*command):
    subprocess.run(command, check=True, capture_output=True)


class NamespaceCluster(Cluster):
    """The coordinator in the root namespace behind a bridge, each worker in its own namespace."""

    def __init__(self, hosts):
        self.hosts = hosts
        self.bridge = f"{PREFIX}br"
        sh("ip", "link", "add", self.bridge, "type", "bridge")
        sh("ip", "addr", "add", "10.213.77.1/24", "dev", self.bridge)
        sh("ip", "link", "set", self.bridge, "up")
        for index in range(hosts):
            name, veth, peer = self.namespace(index), f"{PREFIX}v{index}", f"{PREFIX}p{index}"
            sh("ip", "netns", "add", name)
            sh("ip", "link", "add", veth, "type", "veth", "peer", "name", peer)
            sh("ip", "link", "set", veth, "master", self.bridge, "up")
            sh("ip", "link", "set", peer, "netns", name)
            sh("ip", "-n", name, "addr", "add", f"10.213.77.{10 + index}/24", "dev", peer)
            sh("ip", "-n", name, "link", "set", peer, "up")
            sh("ip", "-n", name, "link", "set", "lo", "up")
        super().__init__(workers=hosts, slots=2, coordinator_flags=["--dead-ms", "3000"])

    def namespace(self, index):
        return f"{PREFIX}h{index}"

    def start_coordinator(self, port=0):
        state = self.dir / "coordinator"
        self.spawn("coordinator", [BIN / "muster-coordinator", "--listen", "10.213.77.1:0",
                                   "--state", state, *self.coordinator_flags])
        wait_for("the coordinator's address", self.address)

    def start_worker(self, name):
        index = int(name[1:]) - 1
        self.spawn(name, ["ip", "netns", "exec", self.namespace(index), BIN / "muster-worker",
                          "--node", name, "--state", self.dir / name,
                          "--coordinator-file", self.dir / "coordinator" / "address",
                          "--listen", f"10.213.77.{10 + index}:0", "--slots", str(self.slots),
                          *self.worker_flags])

    def cable(self, node, way):
        """Pulls a host's cable ("down") or puts it back ("up")."""
        sh("ip", "link", "set", f"{PREFIX}v{int(node[1:]) - 1}", way)

    def tear_down_network(self):
        for index in range(self.hosts):
            subprocess.run(["ip", "netns", "del", self.namespace(index)], capture_output=True)
            subprocess.run(["ip", "link", "del", f"{PREFIX}v{index}"], capture_output=True)
        subprocess.run(["ip", "link", "del", self.bridge], capture_output=True)


@unittest.skipUnless(os.geteuid() == 0, "needs root for network namespaces")
class ThreeHosts(unittest.TestCase):
    def setUp(self):
        self.cluster = NamespaceCluster(3)
        self.addCleanup(self.end)

    def end(self):
        left = self.cluster.close()
        self.cluster.tear_down_network()
        self.assertFalse(left, left)

    def run_to_end(self, name, disturb=None):
        cluster = self.cluster
        checkpoints = cluster.dir / "ckpt"
        job = cluster.submit(tiny_job(name, cluster.dir / "data", checkpoints, steps=100, every=10))
        if disturb:
            cluster.wait_step(job, 25)
            disturb(job)
        view = cluster.wait_state(job, "succeeded", "failed", timeout=240)
        self.assertEqual(view["state"], "succeeded", view["reason"])
        return view, weights.digests(weights.newest_committed(checkpoints / view["uid"]))

    def test_trains_over_two_hosts_and_survives_the_loss_of_one(self):
        cluster = self.cluster
        prepare_data(cluster)
        view, reference = self.run_to_end("two-hosts")
        self.assertEqual({s["node"] for s in view["attempts"][0]["shares"]}, {"n1", "n2"})
        lost = []

        def lose_host(job):
            node = cluster.job(job)["attempts"][-1]["shares"][-1]["node"]
            lost.append(node)
            cluster.cable(node, "down")

        view, actual = self.run_to_end("lost-host", lose_host)
        weights.assert_equal_bits(reference, actual)
        self.assertGreaterEqual(len(view["attempts"]), 2)
        nodes = {s["node"] for s in view["attempts"][-1]["shares"]}
        self.assertNotIn(lost[0], nodes)
        self.assertIn("n3", nodes)
        print(f"{lost[0]} lost: {view['attempts'][-2]['cause']['text']}; "
              f"went on on {sorted(nodes)}", file=sys.stderr)
        # The lost host still has its ranks, deaf and fenced. Back on the net it must end them.
        cluster.cable(lost[0], "up")
        wait_for("the lost host back", lambda: len(cluster.ready_nodes()) == 3)
        cluster.assert_clean()


if __name__ == "__main__":
    unittest.main(verbosity=2)
