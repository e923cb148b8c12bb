"""A C program whose state Muster keeps (configs/examples/heat.c): whatever dies, it ends with the
result of a run that nothing disturbed.
"""
import json
import os
import pathlib
import random
import re
import signal
import time

import cases
from cluster import Cluster, wait_for
import ram_slots

HEAT = pathlib.Path(os.environ.get("MUSTER_BIN", "build/bin")).resolve().parent / "tests/example_heat"
ROWS, COLUMNS, STEPS, EVERY = 203, 300, 120, 40
RANKS = 4


class Test:
    def __init__(self, dice):
        self.dice = dice
        self.cluster = Cluster(workers=3, slots=2, coordinator_flags=["--dead-ms", "3000"],
                               worker_flags=["--orphan-grace-ms", "3000"])
        self.checkpoints = self.cluster.dir / "ckpt"
        self.names = 0
        self.reference = self.result(self.finish(self.submit(rest_us=0), attempts=1, compare=False))

    def submit(self, ranks=RANKS, steps=STEPS, rest_us=15000, ram=1, more=""):
        self.names += 1
        return self.cluster.submit(f"""
apiVersion: muster/v1
kind: TrainJob
name: heat-{self.names}
mesh: {{ranks: {ranks}}}
program:
  command: [{HEAT}, "{ROWS}", "{COLUMNS}", "{steps}", "{rest_us}"]
  collective: mpi
checkpoint: {{path: {self.checkpoints}, every_steps: {EVERY}, ram_every_steps: {ram}, keep: 0{more}}}
""")

    def logs(self, view, attempt, which):
        return [log.read_text() for log in self.cluster.dir.glob(
            f"n*/logs/{view['uid']}/{attempt}/*/{which}.log")]

    def result(self, view, steps=STEPS):
        said = "".join(self.logs(view, view["attempts"][-1]["number"], "stdout"))
        found = re.findall(rf"^heat ([0-9a-f]{{16}}) after {steps} steps$", said, re.M)
        assert len(found) == 1, said
        return found[0]

    def finish(self, job, attempts=2, compare=True):
        view = self.cluster.wait_state(job, "succeeded", "failed", timeout=120)
        assert view["state"] == "succeeded", view["reason"]
        assert len(view["attempts"]) == attempts, [a.get("cause") for a in view["attempts"]]
        if compare:
            assert self.result(view) == self.reference, "it ended with another result"
        return view

    def resumed(self, view, attempt=-1):
        said = "".join(self.logs(view, view["attempts"][attempt]["number"], "stderr"))
        found = re.search(r"muster: resumed from step (\d+) \((.*)\)", said)
        return (int(found[1]), found[2]) if found else (0, "")

    def steps_on_storage(self, job):
        listed = self.cluster.json("ckpt", "list", job)["checkpoints"]
        return sorted(int(c["step"]) for c in listed if c["state"] == "committed")

    def common_step(self, uid, without=()):
        return ram_slots.common_step(self.cluster.vaults, uid, RANKS, without)

    def kept_step(self, uid, without=()):
        return ram_slots.kept_step(self.cluster.vaults, uid, RANKS, without)

    def start(self, step):
        job = self.submit()
        uid = self.cluster.job(job)["uid"]
        wait_for(f"every slot of {uid} at step {step}", lambda: self.common_step(uid) >= step,
                 every=0.01)
        time.sleep(self.dice.uniform(0, 0.8))
        return job, uid

    def expect_newest(self, view, held):
        """Memory's step, unless storage had got a newer one meanwhile."""
        step, where = self.resumed(view)
        shown = view["attempts"][-1]
        assert int(shown["first_step"]) == step, (shown, where)
        if shown.get("from_memory"):
            assert step >= held, f"went on from step {step} ({where}); memory had {held}"
        else:
            assert step > held and ram_slots.committed(self.checkpoints, view["uid"], step), (step, held)
        return step, "in memory" if shown.get("from_memory") else "on storage"


def rank_killed(test, options):
    """At random moments: it goes on from the newest step in memory."""
    from_memory = 0
    for _ in range(options.moments):
        job, uid = test.start(3)
        rank, pid = test.dice.choice(sorted(test.cluster.ranks(job).items()))
        held = test.kept_step(uid)
        os.kill(pid, signal.SIGKILL)
        step, where = test.expect_newest(test.finish(job), held)
        from_memory += where == "in memory"
        print(f"ok   rank {rank} killed, memory at step {held}: went on from {step} {where}", flush=True)
    assert from_memory > 0, "storage was newer than memory each time"


def power_off(test, options):
    """A node is gone with its vault: the copies on its partner are gone on from."""
    from_memory = 0
    for _ in range(max(1, options.moments // 2)):
        job, uid = test.start(3)
        node = test.dice.choice(test.cluster.job(job)["attempts"][-1]["shares"])["node"]
        wait_for("copies", lambda: test.common_step(uid, [node]) > 0, every=0.01)
        held = test.kept_step(uid, [node])
        test.cluster.power_off(node)
        step, where = test.expect_newest(test.finish(job), held)
        from_memory += where == "in memory"
        test.cluster.start_worker(node)
        wait_for("the node back", lambda: len(test.cluster.ready_nodes()) == 3)
        print(f"ok   {node} without power, copies at step {held}: went on from {step} {where}", flush=True)
    assert from_memory > 0, "storage was newer than memory each time"


def on_storage(test, _):
    """What it saved is there for `muster ckpt`."""
    job = test.submit(rest_us=0)
    test.finish(job, attempts=1)
    steps = test.steps_on_storage(job)
    assert steps[-1] == STEPS and set(steps) <= {EVERY, 2 * EVERY, STEPS}, steps
    shown = test.cluster.json("ckpt", "show", f"{job}@{STEPS}", "--tensors")
    assert sorted(t["name"] for t in shown["tensors"]) == ["plate", "table"], shown
    test.cluster.muster("ckpt", "verify", job)
    print(f"ok   steps {steps} are listed, shown and verified", flush=True)


def stopped(test, _):
    """Suspended and resumed: it saves before it goes, and goes on from just there."""
    job = test.submit()
    test.cluster.wait_step(job, 5)
    test.cluster.muster("suspend", job)
    view = test.cluster.wait_state(job, "suspended", timeout=60)
    last = int(view["attempts"][-1]["last_step"])
    assert last in test.steps_on_storage(job), (last, test.steps_on_storage(job))
    test.cluster.muster("resume", job)
    step, where = test.resumed(test.finish(job))
    assert step == last, (step, where, last)
    print(f"ok   stopped at step {last}, went on from just there ({where})", flush=True)


def other_layout(test, _):
    """What 4 ranks saved, 2 load."""
    first = test.cluster.job(test.submit(steps=50, rest_us=0))
    view = test.finish(first["id"], attempts=1, compare=False)
    folder = test.checkpoints / view["uid"] / f"step-{50:010d}.a1"
    job = test.submit(ranks=2, rest_us=0, more=f", init_from: {folder}")
    view = test.finish(job, attempts=1)
    step, where = test.resumed(view)
    assert step == 50, (step, where)
    shown = json.loads((folder / "manifest.json").read_text())
    print(f"ok   step 50 of {shown['run']['layout']} loaded by 2 ranks ({where})", flush=True)


CASES = {f.__name__: f for f in (rank_killed, power_off, on_storage, stopped, other_layout)}


def main():
    options = cases.parse(__doc__, CASES, moments=(3, "of killed ranks; half as many machines are lost"))
    return cases.run(CASES, options.cases or CASES, Test(random.Random(options.seed)), options)


if __name__ == "__main__":
    raise SystemExit(main())
