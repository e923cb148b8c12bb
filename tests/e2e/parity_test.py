"""Parity between nodes instead of copies: a machine that is lost with its memory costs the steps since
the last save in memory, as with copies; two of one group cost those since the last commit. The job ends
in the same weights each time.
"""
import contextlib
import json
import random
import re
import statistics
import struct
import sys
import time

import cases
from cluster import wait_for
from memory_jobs import MemoryTest
import ram_slots

# Name → mesh, slots of a rank: where its ranks are on nodes of two slots.
LAYOUTS = {
    "one rank a node": ("{data: 3}", 2),
    "two on one node, one on another": ("{data: 3}", 1),
    "two ranks a node": ("{data: 3, tensor: 2}", 1),
}


class Test(MemoryTest):
    def __init__(self, dice):
        super().__init__(dice, workers=4, steps=160, every=50)
        self.seconds = []  # that computing took
        self.references = {}

    def submit(self, layout="one rank a node", ram="ram_parity: 2"):
        mesh, slots = LAYOUTS[layout]
        return super().submit(mesh, f"ram_every_steps: 1, {ram}",
                              (("global: 16, micro: 4", "global: 12, micro: 4"),
                               ("slots_per_rank: 1", f"slots_per_rank: {slots}")))

    def start(self, layout="one rank a node"):
        """An undisturbed run of these ranks is what it is held against."""
        mesh = LAYOUTS[layout][0]
        if mesh not in self.references:
            self.references[mesh] = self.undisturbed(self.submit(layout, "ram_replicas: 0"))
        self.reference = self.references[mesh]
        job = self.submit(layout)
        view = self.cluster.wait_state(job, "running")
        wait_for("parity of some steps", lambda: self.safe_step(job) >= 3 or self.over(job),
                 every=0.01)
        return job, view["uid"], view["attempts"][-1]["shares"]

    def rows(self, uid):
        """node → step → places of whole rows."""
        found = {}
        for path in self.cluster.vaults.glob(f"*/{uid}/p*.?"):
            with open(path, "rb") as file:
                head = file.read(2052)
            if len(head) < 2052 or head[:8] != b"MUSTPRTY":
                continue
            (place,) = struct.unpack_from("<I", head, 12)
            (step,) = struct.unpack_from("<Q", head, 40)
            (state,) = struct.unpack_from("<I", head, 2048)
            if state == 1:
                steps = found.setdefault(path.parent.parent.name, {})
                steps.setdefault(step, set()).add(place)
        return found

    def safe_steps(self, job):
        """Those that outlive any one node: in every slot, and all parity of them there."""
        view = self.cluster.job(job)
        shares = view["attempts"][-1]["shares"]
        rows = self.rows(view["uid"])
        steps = ram_slots.common_steps(self.cluster.vaults, view["uid"],
                                       sum(share["ranks"] for share in shares))
        for share in shares:
            places = max(other["ranks"] for other in shares if other is not share)
            there = rows.get(share["node"], {})
            steps = {s for s in steps if there.get(s, set()) == set(range(places))}
        return steps

    def safe_step(self, job):
        return max(self.safe_steps(job), default=0)

    def computed(self, uid):
        """What all workers said of computing slots of this job."""
        return [(int(slots), float(seconds)) for name in self.cluster.daemons if name != "coordinator"
                for slots, seconds in re.findall(uid + r": (\d+) slots, \d+ MB, computed from parity "
                                                 r"in ([0-9.]+) s", self.cluster.log(name))]

    def ended_meanwhile(self, job):
        """The last steps were done before anybody told that they had begun."""
        incidents = self.cluster.json("incident", "list", "--job", job)["incidents"]
        return any("the job ended meanwhile" in json.dumps(incident) for incident in incidents)

    def back(self, nodes):
        for node in nodes:
            self.cluster.start_worker(node)
        self.wait_nodes()


def lose_one(test, layout):
    """One machine at a random moment; False: the job was over before."""
    job, uid, shares = test.start(layout)
    share = test.dice.choice(shares)
    node = share["node"]
    time.sleep(test.dice.uniform(0, 1.0))
    held = min(test.safe_steps(job), default=0)
    if held == 0 or test.cluster.job(job)["state"] != "running":
        return False
    test.cluster.power_off(node)
    view = test.finish(job)
    if test.ended_meanwhile(job):
        test.back([node])
        return False
    step, ram = test.expect_newest(view, held)
    test.back([node])
    if not ram:
        print(f"ok   {layout}: {node} without power, parity of step {held} whole: went on from step "
              f"{step}, which storage had by then", flush=True)
        return False
    came = test.computed(uid)
    slots = sum(slots for slots, _ in came)
    assert slots >= share["ranks"], f"{slots} slots computed for the {share['ranks']} ranks of {node}"
    test.seconds += [seconds for _, seconds in came]
    print(f"ok   {layout}: {node} without power, parity of step {held} whole: went on from step "
          f"{step} in memory, {slots} slots computed in {max(took for _, took in came):.3f} s", flush=True)
    return True


def one_lost(test, options):
    """At random moments: another machine goes on from what parity gives back."""
    done = sum(lose_one(test, "one rank a node") for _ in range(options.moments))
    assert done > 0, "no moment was in time"
    print(f"     computing took {statistics.median(test.seconds):.3f} s, at most "
          f"{max(test.seconds):.3f} s, of {len(test.seconds)}", flush=True)


def unequal_nodes(test, options):
    """Two ranks on one node, one on another: a mirror, whichever is lost."""
    for _ in range(options.rounds):
        lose_one(test, "two on one node, one on another")


def ranks_together(test, options):
    """Nodes with two ranks each."""
    for _ in range(options.rounds):
        lose_one(test, "two ranks a node")


def two_lost(test, options):
    """Two machines of a group: what is left is storage, and a line says so."""
    for _ in range(options.rounds):
        job, uid, shares = test.start()
        test.wait_commit(uid)
        nodes = test.dice.sample([share["node"] for share in shares], 2)
        for node in nodes:
            test.cluster.power_off(node)
        for node in nodes:
            test.cluster.start_worker(node)
        view = test.finish(job)
        step, ram = test.resumed(view)
        assert not ram and step >= test.every, f"resumed from {step}, from memory: {ram}"
        test.wait_nodes()
        said = [line for name in test.cluster.daemons if name != "coordinator"
                for line in test.cluster.log(name).splitlines() if "goes on from storage" in line]
        assert said, "no worker said why"
        print(f"ok   {' and '.join(nodes)} without power: went on from step {step} on storage\n"
              f"     {said[-1].split('] ')[-1]}", flush=True)


def worker_killed(test, options):
    """A worker's process dies and comes back while chunks are on their way; then a rank dies."""
    for _ in range(options.rounds):
        job, uid, shares = test.start()
        node = test.dice.choice(shares)["node"]
        test.cluster.kill(node)
        time.sleep(test.dice.uniform(0, 0.4))
        test.cluster.start_worker(node)
        # A later step than any before is safe again.
        stood = test.safe_step(job)
        wait_for("parity goes on", lambda: test.safe_step(job) > stood + 1 or test.over(job))
        held = ram_slots.kept_step(test.cluster.vaults, uid, 3)
        test.kill_rank(job)
        step, ram = test.expect_newest(test.finish(job), held)
        print(f"ok   worker of {node} killed and back, then a rank killed: went on from {step} "
              f"{'in memory' if ram else 'on storage'}", flush=True)


def memory(test, options):
    """What a node keeps for others, against its own slots: all of it with copies, half with k = 2."""
    share = {}
    for ram, least in ("ram_replicas: 1", 0.9), ("ram_parity: 2", 0.45):
        job = test.submit(ram=ram)
        uid = test.cluster.job(job)["uid"]
        other = {}

        def settled():
            other.clear()
            if len(ram_slots.sealed(test.cluster.vaults, uid)) < 3:
                return False
            for folder in test.cluster.vaults.glob(f"*/{uid}"):
                sizes = {"own": 0, "others'": 0}
                own = {share["first_rank"] if "first_rank" in share else 0
                       for share in test.cluster.job(job)["attempts"][-1]["shares"]
                       if share["node"] == folder.parent.name}
                for path in folder.glob("[rp]*.?"):
                    mine = path.name[0] == "r" and int(path.name[1:6]) in own
                    with contextlib.suppress(FileNotFoundError):
                        sizes["own" if mine else "others'"] += path.stat().st_blocks * 512
                other[folder.parent.name] = sizes
            # A file that is just being made has less than it will have.
            return len(other) == 3 and all(
                sizes["others'"] >= least * sizes["own"] > 0 for sizes in other.values()) and all(
                len(list(f.glob("[rp]*.?"))) == 4 for f in test.cluster.vaults.glob(f"*/{uid}"))

        wait_for("both slots and both of the others'", lambda: settled() or test.over(job), every=0.05)
        own = statistics.mean(sizes["own"] for sizes in other.values())
        kept = statistics.mean(sizes["others'"] for sizes in other.values())
        share[ram] = kept / own
        print(f"ok   {ram}: a node's own slots {own / 2**20:.2f} MB, kept for others "
              f"{kept / 2**20:.2f} MB, {share[ram]:.2f} of them", flush=True)
        view = test.cluster.wait_state(job, "succeeded", "failed", timeout=180)
        assert view["state"] == "succeeded", view["reason"]
    assert 0.45 <= share["ram_parity: 2"] < 0.65, share


CASES = {f.__name__: f for f in (one_lost, two_lost, unequal_nodes, worker_killed, memory,
                                 ranks_together)}
ALWAYS = [name for name in CASES if name != "ranks_together"]  # it takes longer


def main():
    options = cases.parse(__doc__, CASES, moments=(2, "of one machine lost"),
                          rounds=(1, "of the other cases"))
    return cases.run(CASES, options.cases or ALWAYS, Test(random.Random(options.seed)), options)


if __name__ == "__main__":
    sys.exit(main())
