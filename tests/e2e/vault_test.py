"""Checkpoints in the nodes' memory: a killed rank costs the steps since the last save there, never
those since the last commit; whatever dies or is damaged, the job ends in the same weights.
"""
import os
import random
import re
import signal
import struct
import subprocess
import sys
import time

import cases
from cluster import Cluster, wait_for
from memory_jobs import MemoryTest
import ram_slots
from tiny import tiny_job


class Test(MemoryTest):
    def __init__(self, dice):
        super().__init__(dice, workers=3, steps=120, every=40)
        self.reference = self.undisturbed(self.submit())

    def submit(self):
        self.cluster.environment.pop("MUSTER_TEST_FAIL", None)
        return super().submit("{data: 2, tensor: 2}", "ram_every_steps: 1")

    def common_step(self, uid, without=()):
        return ram_slots.common_step(self.cluster.vaults, uid, 4, without)

    def kept_step(self, uid, without=()):
        return ram_slots.kept_step(self.cluster.vaults, uid, 4, without)

    def start(self, step):
        job = self.submit()
        uid = self.cluster.job(job)["uid"]
        wait_for(f"every slot of {uid} at step {step}",
                 lambda: self.common_step(uid) >= step or self.over(job), every=0.01)
        assert self.common_step(uid) >= step, f"over before step {step} was in every slot"
        return job, uid


def rank_killed(test, options):
    """At random moments: only the steps since the newest save in memory are lost."""
    from_memory = 0
    for _ in range(options.moments):
        job, uid = test.start(3)
        time.sleep(test.dice.uniform(0, 1.0))
        if test.cluster.job(job)["state"] != "running":
            continue
        held = test.kept_step(uid)
        rank = test.kill_rank(job)
        view = test.finish(job)
        step, ram = test.expect_newest(view, held)
        from_memory += ram
        print(f"ok   rank {rank} killed, every slot at step {held}: went on from {step} "
              f"{'in memory' if ram else 'on storage'}, "
              f"{view['ledger']['steps_recomputed']} steps done again", flush=True)
    assert from_memory > 0, "storage was newer than memory each time"


def killed_in_a_fill(test, options):
    """Half way through the copy, after it, and right after sealing, while its copy is on its way."""
    for at in ("half_copied", "copied", "sealed") * options.rounds:
        rank, step = test.dice.randrange(4), test.dice.randrange(20, 36)
        job = submit_failing(test, f"rank={rank},step={step},how=exit1,attempt=1,at={at}")
        view = test.finish(job)
        said = "".join(log.read_text() for log in
                       test.cluster.dir.glob(f"n*/logs/{view['uid']}/1/{rank}/stderr.log"))
        step = int(re.search(r"fails in step (\d+)", said)[1])
        went_on = test.expect_ram(view, 1)
        assert went_on <= step, f"went on from {went_on}, the save of {step} was not over"
        print(f"ok   rank {rank} dies in the save of step {step} ({at}): went on from {went_on}",
              flush=True)


def submit_failing(test, fail):
    """The test's own variable reaches ranks through their node's worker."""
    for name in [n for n in test.cluster.daemons if n != "coordinator"]:
        test.cluster.kill(name, signal.SIGTERM)
    test.cluster.environment["MUSTER_TEST_FAIL"] = fail
    for name in [n for n in test.cluster.daemons if n != "coordinator"]:
        test.cluster.start_worker(name)
    test.wait_nodes()
    return test.submit()


def worker_killed(test, options):
    """Its ranks live on; when one dies after that, the slots are still there, and so are the copies
    it kept and those it sent. A step whose copy waits for the worker is not counted on; one that was
    committed meanwhile is newer than those that were."""
    for _ in range(options.rounds):
        job, uid = test.start(5)
        time.sleep(test.dice.uniform(0, 0.5))
        node = test.dice.choice(test.cluster.job(job)["attempts"][-1]["shares"])["node"]
        test.cluster.kill(node)
        time.sleep(test.dice.uniform(0, 0.6))
        test.cluster.start_worker(node)
        time.sleep(test.dice.uniform(0, 0.6))
        held = test.kept_step(uid)
        test.kill_rank(job)
        view = test.finish(job)
        step, ram = test.expect_newest(view, held)
        print(f"ok   worker of {node} killed and back with every slot at {held}, then a rank killed: "
              f"went on from {step} {'in memory' if ram else 'on storage'}", flush=True)


def everything_on_a_node_killed(test, options):
    """Worker, shim and ranks: the slots belong to the node."""
    job, uid = test.start(5)
    node = test.cluster.job(job)["attempts"][-1]["shares"][0]["node"]
    test.cluster.kill(node)
    wait_for("nothing left", lambda: not test.cluster.kill_all(str(test.cluster.dir / node)))
    held = test.common_step(uid)
    test.cluster.start_worker(node)
    view = test.finish(job)
    step, ram = test.resumed(view)
    print(f"ok   worker, shim and ranks of {node} killed with every slot at {held}: went on from "
          f"{step}{' in memory' if ram else ''}")


def damage(path):
    """Flips a bit of the shard in a slot."""
    with open(path, "r+b") as file:
        (image,) = struct.unpack("<Q", file.read(64)[56:64])
        file.seek(image + 5000)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 16]))


def damaged(test, options):
    """Bytes flip while the ranks are dead: no slot of that rank is believed; its copy on the other
    node is, and when that is damaged too, storage."""
    for everywhere in (False, True):
        job, uid = test.start(test.every + 5)
        test.wait_commit(uid)
        shares = test.cluster.job(job)["attempts"][-1]["shares"]
        pids = list(test.cluster.ranks(job).values())
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        victim = test.dice.randrange(4)
        home = next(s["node"] for s in shares
                    if s.get("first_rank", 0) <= victim < s.get("first_rank", 0) + s["ranks"])
        time.sleep(0.3)  # copies under way arrive
        held = test.common_step(uid, without=[home])
        for path in test.cluster.vaults.glob(f"*/{uid}/r{victim:05}.?"):
            if everywhere or path.parent.parent.name == home:
                damage(path)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        view = test.finish(job)
        step, ram = test.resumed(view)
        if everywhere:
            assert not ram and step == test.every, f"resumed from {step}, from memory: {ram}"
            print(f"ok   every slot of rank {victim} damaged: went on from step {step} on storage")
        else:
            assert ram and step >= held > 0, f"resumed from {step}, memory: {ram}, copy of {held}"
            print(f"ok   both slots of rank {victim} damaged: went on from step {step}, from its copy")


def power_off(test, options):
    """A machine is gone with its memory: another goes on from the copies its partner kept."""
    from_memory = 0
    for _ in range(options.moments):
        job, uid = test.start(3)
        shares = test.cluster.job(job)["attempts"][-1]["shares"]
        node = test.dice.choice(shares)["node"]
        wait_for("copies", lambda: test.common_step(uid, without=[node]) > 0, every=0.01)
        time.sleep(test.dice.uniform(0, 1.0))
        if test.cluster.job(job)["state"] != "running":
            continue
        held = test.kept_step(uid, without=[node])
        test.cluster.power_off(node)
        view = test.finish(job)
        step, ram = test.expect_newest(view, held)
        from_memory += ram
        test.cluster.start_worker(node)
        test.wait_nodes()
        print(f"ok   {node} without power, copies at step {held}: went on from step {step} "
              f"{'in memory' if ram else 'on storage'}", flush=True)
    assert from_memory > 0, "storage was newer than memory each time"


def both_off(test, options):
    """A machine and the one that kept its copies: what is left is storage."""
    for _ in range(options.rounds):
        job, uid = test.start(test.every + 5)
        test.wait_commit(uid)
        nodes = [share["node"] for share in test.cluster.job(job)["attempts"][-1]["shares"]]
        for node in nodes:
            test.cluster.power_off(node)
        for node in nodes:
            test.cluster.start_worker(node)
        view = test.finish(job)
        step, ram = test.resumed(view)
        assert not ram and step >= test.every, f"resumed from {step}, from memory: {ram}"
        test.wait_nodes()
        print(f"ok   {' and '.join(nodes)} without power: went on from step {step} on storage")


def no_room(test, options):
    """A budget too small, a memory file system that is full, a folder on a disk."""
    cluster = test.cluster
    small = Cluster(workers=1, slots=4, worker_flags=["--vault-memory", "1MB"])
    full = small.dir / "full"
    full.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", full],
                             capture_output=True).returncode == 0
    try:
        cases = [("--vault-memory 1MB", None, "do not fit")]
        if mounted:
            cases.append(("a full tmpfs", ["--vault", full / "v", "--vault-memory", "1GB"],
                          "No space left"))
        for name, flags, words in cases:
            if flags:
                small.kill("n1", signal.SIGTERM)
                small.worker_flags = flags
                small.start_worker("n1")
                wait_for("n1", small.ready_nodes)
            text = tiny_job(f"small-{len(name)}", test.data, small.dir / "ckpt", steps=30, every=10)
            job = small.submit(text)
            view = small.wait_state(job, "succeeded", "failed", timeout=120)
            assert view["state"] == "succeeded", view["reason"]
            said = [line for log in small.dir.glob(f"n1/logs/{view['uid']}/1/*/stderr.log")
                    for line in log.read_text().splitlines() if "no RAM slots" in line]
            assert said and all(words in line for line in said), said
            assert len(said) <= 4, said
            print(f"ok   {name}: {said[0]}")
        refused = subprocess.run(
            [os.environ.get("MUSTER_BIN", "build/bin") + "/muster-worker", "--state",
             small.dir / "x", "--coordinator", "127.0.0.1:1", "--vault", "/etc/vault"],
            capture_output=True, text=True, timeout=20)
        assert refused.returncode == 1 and "is not memory" in refused.stderr, refused
        print(f"ok   {refused.stderr.strip()}")
    finally:
        if mounted:
            for _ in range(50):
                if subprocess.run(["umount", "-l", full], capture_output=True).returncode == 0:
                    break
        left = small.close()
        assert not left, left
    assert cluster.ready_nodes()


CASES = {f.__name__: f for f in (rank_killed, worker_killed, everything_on_a_node_killed, damaged,
                                 power_off, both_off, no_room, killed_in_a_fill)}


def main():
    options = cases.parse(__doc__, CASES, moments=(3, "of killed ranks and of machines lost"),
                          rounds=(1, "of the cases that take longer"))
    return cases.run(CASES, options.cases or CASES, Test(random.Random(options.seed)), options)


if __name__ == "__main__":
    sys.exit(main())
