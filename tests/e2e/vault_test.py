"""Checkpoints in the nodes' memory: a killed rank costs the steps since the last save there, never
those since the last commit; whatever dies or is damaged, the job ends in the same weights.

usage: vault_test.py [--moments N] [--rounds N] [--seed S] [CASE...]
"""
import argparse
import os
import random
import re
import signal
import struct
import subprocess
import sys
import time

from cluster import Cluster, wait_for
from tiny import prepare_data, tiny_job
import weights

STEPS = 120
EVERY = 40


class Test:
    def __init__(self, dice):
        self.dice = dice
        self.cluster = Cluster(workers=3, slots=2, coordinator_flags=["--dead-ms", "3000"],
                               worker_flags=["--orphan-grace-ms", "3000"])
        self.checkpoints = self.cluster.dir / "ckpt"
        self.data = prepare_data(self.cluster)
        self.names = 0
        view = self.cluster.wait_state(self.submit(), "succeeded", "failed", timeout=300)
        assert view["state"] == "succeeded", view["reason"]
        self.reference = self.final_weights(view)

    def submit(self, steps=STEPS, every=EVERY, fail="", program="{data: 2, tensor: 2}", ram=1):
        self.names += 1
        self.cluster.environment.pop("MUSTER_TEST_FAIL", None)
        text = tiny_job(f"vault-{self.names}", self.data, self.checkpoints, steps=steps,
                        every=every, mesh=program)
        text = text.replace(f"every_steps: {every}, keep",
                            f"every_steps: {every}, ram_every_steps: {ram}, keep")
        return self.cluster.submit(text)

    def final_weights(self, view):
        folder = weights.newest_committed(self.checkpoints / view["uid"])
        assert folder.name.startswith(f"step-{STEPS:010d}."), folder
        return weights.digests(folder)

    def slots(self, uid, without=()):
        """rank → [(attempt, step) sealed, newest first], copies too, but for those of some nodes."""
        found = {}
        for path in self.cluster.vaults.glob(f"*/{uid}/r*.?"):
            if path.parent.parent.name in without:
                continue
            with open(path, "rb") as file:
                head = file.read(528)
            if len(head) < 528 or head[:8] != b"MUSTSLOT":
                continue
            (rank,) = struct.unpack_from("<I", head, 12)
            step, attempt = struct.unpack_from("<QQ", head, 24)
            (state,) = struct.unpack_from("<I", head, 512)
            if state == 2:
                found.setdefault(rank, []).append((attempt, step))
        return {rank: sorted(held, reverse=True) for rank, held in found.items()}

    def common_step(self, uid, ranks=4, without=()):
        held = self.slots(uid, without)
        if len(held) < ranks:
            return 0
        common = set.intersection(*(set(h) for h in held.values()))
        return max((step for _, step in common), default=0)

    def wait_common(self, job, uid, step):
        wait_for(f"every slot of {uid} at step {step}",
                 lambda: self.common_step(uid) >= step or
                 self.cluster.job(job)["state"] in ("succeeded", "failed"), every=0.01)
        assert self.common_step(uid) >= step, f"over before step {step} was in every slot"

    def finish(self, job, attempts=2):
        view = self.cluster.wait_state(job, "succeeded", "failed", timeout=180)
        assert view["state"] == "succeeded", view["reason"]
        weights.assert_equal_bits(self.reference, self.final_weights(view))
        if attempts:
            assert len(view["attempts"]) == attempts, [a.get("cause") for a in view["attempts"]]
        return view

    def resumed(self, view, attempt=-1):
        """(step, from memory?) of an attempt, as its rank 0 said."""
        number = view["attempts"][attempt]["number"]
        for log in self.cluster.dir.glob(f"n*/logs/{view['uid']}/{number}/0/stdout.log"):
            said = re.search(r"resumed from step (\d+) \((RAM|step-\S+, from memory|step)",
                             log.read_text())
            if said:
                return int(said[1]), said[2] != "step"
        return 0, False

    def expect_ram(self, view, beyond):
        step, ram = self.resumed(view)
        assert ram and step >= beyond, f"resumed from step {step}, from memory: {ram}; had {beyond}"
        shown = view["attempts"][-1]
        assert shown.get("from_memory") and int(shown["first_step"]) == step, shown
        (incident,) = self.cluster.json("incident", "list", "--job", view["id"])["incidents"]
        assert f"from step {step} in memory" in incident["text"], incident["text"]
        return step

    def kill_rank(self, job, rank=None):
        ranks = self.cluster.ranks(job)
        rank = self.dice.choice(sorted(ranks)) if rank is None else rank
        os.kill(ranks[rank], signal.SIGKILL)
        return rank

    def start(self, step):
        job = self.submit()
        uid = self.cluster.job(job)["uid"]
        self.wait_common(job, uid, step)
        return job, uid


def rank_killed(test, options):
    """At random moments: at most the steps since the newest save in memory are lost."""
    for _ in range(options.moments):
        job, uid = test.start(3)
        time.sleep(test.dice.uniform(0, 1.0))
        if test.cluster.job(job)["state"] != "running":
            continue
        held = test.common_step(uid)
        rank = test.kill_rank(job)
        view = test.finish(job)
        step = test.expect_ram(view, held)
        lost = view["ledger"]["steps_recomputed"]
        assert int(lost) <= 12, f"{lost} steps done again"
        print(f"ok   rank {rank} killed, every slot at step {held}: went on from {step} in memory, "
              f"{lost} steps done again", flush=True)


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
    wait_for("workers back", lambda: len(test.cluster.ready_nodes()) == 3)
    return test.submit()


def worker_killed(test, options):
    """Its ranks live on; when one dies after that, the slots are still there, and so are the copies
    it kept and those it sent."""
    for _ in range(options.rounds):
        job, uid = test.start(5)
        time.sleep(test.dice.uniform(0, 0.5))
        node = test.dice.choice(test.cluster.job(job)["attempts"][-1]["shares"])["node"]
        test.cluster.kill(node)
        time.sleep(test.dice.uniform(0, 0.6))
        test.cluster.start_worker(node)
        time.sleep(test.dice.uniform(0, 0.6))
        held = test.common_step(uid)
        test.kill_rank(job)
        view = test.finish(job)
        step = test.expect_ram(view, held)
        print(f"ok   worker of {node} killed and back, then a rank killed: went on from {step} in memory",
              flush=True)


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
        job, uid = test.start(EVERY + 5)
        wait_for("a commit", lambda: any((test.checkpoints / uid).glob("step-*/COMMIT")))
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
            assert not ram and step == EVERY, f"resumed from {step}, from memory: {ram}"
            print(f"ok   every slot of rank {victim} damaged: went on from step {step} on storage")
        else:
            assert ram and step >= held > 0, f"resumed from {step}, memory: {ram}, copy of {held}"
            print(f"ok   both slots of rank {victim} damaged: went on from step {step}, from its copy")


def power_off(test, options):
    """A machine is gone with its memory: another goes on from the copies its partner kept."""
    for _ in range(options.moments):
        job, uid = test.start(3)
        shares = test.cluster.job(job)["attempts"][-1]["shares"]
        node = test.dice.choice(shares)["node"]
        wait_for("copies", lambda: test.common_step(uid, without=[node]) > 0, every=0.01)
        time.sleep(test.dice.uniform(0, 1.0))
        if test.cluster.job(job)["state"] != "running":
            continue
        held = test.common_step(uid, without=[node])
        test.cluster.power_off(node)
        view = test.finish(job)
        step = test.expect_ram(view, held)
        test.cluster.start_worker(node)
        wait_for("the node back", lambda: len(test.cluster.ready_nodes()) == 3)
        print(f"ok   {node} without power, copies at step {held}: went on from step {step} in memory",
              flush=True)


def both_off(test, options):
    """A machine and the one that kept its copies: what is left is storage."""
    for _ in range(options.rounds):
        job, uid = test.start(EVERY + 5)
        wait_for("a commit", lambda: any((test.checkpoints / uid).glob("step-*/COMMIT")))
        nodes = [share["node"] for share in test.cluster.job(job)["attempts"][-1]["shares"]]
        for node in nodes:
            test.cluster.power_off(node)
        for node in nodes:
            test.cluster.start_worker(node)
        view = test.finish(job)
        step, ram = test.resumed(view)
        assert not ram and step >= EVERY, f"resumed from {step}, from memory: {ram}"
        wait_for("the nodes back", lambda: len(test.cluster.ready_nodes()) == 3)
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1, help="of the cases that take longer")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("cases", nargs="*", choices=[*CASES, []])
    options = parser.parse_args()
    print(f"vault_test --moments {options.moments} --seed {options.seed}", flush=True)
    test = Test(random.Random(options.seed))
    failures = 0
    for name in options.cases or CASES:
        try:
            CASES[name](test, options)
            test.cluster.assert_clean()  # no job's slots are left either
        except AssertionError as error:
            failures += 1
            print(f"FAIL {name}: {error}", flush=True)
            print(test.cluster.log("coordinator")[-3000:], flush=True)
    left = test.cluster.close(keep=failures > 0)
    if failures:
        print(f"state kept in {test.cluster.dir}")
    if left:
        failures += 1
        print(f"FAIL left running: {left}")
    print(f"vault_test: {len(options.cases or CASES)} cases, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
