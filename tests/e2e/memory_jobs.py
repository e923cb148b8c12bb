"""Small jobs of the native trainer that save in their nodes' memory, and where they went on from."""
import os
import re
import signal

from cluster import Cluster, wait_for
import ram_slots
from tiny import prepare_data, tiny_job
import weights


class MemoryTest:
    """One cluster of nodes with two slots each; every job ends in the weights of `reference`."""

    def __init__(self, dice, workers, steps, every):
        self.dice = dice
        self.steps, self.every = steps, every
        self.cluster = Cluster(workers=workers, slots=2, coordinator_flags=["--dead-ms", "3000"],
                               worker_flags=["--orphan-grace-ms", "3000"])
        self.checkpoints = self.cluster.dir / "ckpt"
        self.data = prepare_data(self.cluster)
        self.names = 0
        self.reference = None

    def submit(self, mesh, ram, replaced=()):
        """`ram`: how memory is used, in words of a job file; `replaced`: (old, new) of the file."""
        self.names += 1
        text = tiny_job(f"memory-{self.names}", self.data, self.checkpoints, steps=self.steps,
                        every=self.every, mesh=mesh)
        for old, new in ((f"every_steps: {self.every}, keep",
                          f"every_steps: {self.every}, {ram}, keep"), *replaced):
            assert old in text, old
            text = text.replace(old, new)
        return self.cluster.submit(text)

    def undisturbed(self, job):
        """The weights that a job ends in which nothing is done to."""
        view = self.cluster.wait_state(job, "succeeded", "failed", timeout=300)
        assert view["state"] == "succeeded", view["reason"]
        return self.final_weights(view)

    def final_weights(self, view):
        folder = weights.newest_committed(self.checkpoints / view["uid"])
        assert folder.name.startswith(f"step-{self.steps:010d}."), folder
        return weights.digests(folder)

    def over(self, job):
        return self.cluster.job(job)["state"] in ("succeeded", "failed")

    def finish(self, job, attempts=2):
        view = self.cluster.wait_state(job, "succeeded", "failed", timeout=180)
        assert view["state"] == "succeeded", view["reason"]
        weights.assert_equal_bits(self.reference, self.final_weights(view))
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

    def expect_ram(self, view, held):
        step, ram = self.resumed(view)
        assert ram and step >= held, f"resumed from step {step}, from memory: {ram}; had {held}"
        shown = view["attempts"][-1]
        assert shown.get("from_memory") and int(shown["first_step"]) == step, shown
        (incident,) = self.cluster.json("incident", "list", "--job", view["id"])["incidents"]
        assert f"from step {step} in memory" in incident["text"], incident["text"]
        return step

    def expect_newest(self, view, held):
        """Memory's step, unless storage had got a newer one meanwhile: (step, from memory?)."""
        step, ram = self.resumed(view)
        if ram:
            return self.expect_ram(view, held), True
        assert step > held, f"resumed from step {step} on storage; memory had {held}"
        assert ram_slots.committed(self.checkpoints, view["uid"], step), step
        return step, False

    def wait_commit(self, uid):
        wait_for("a commit", lambda: any((self.checkpoints / uid).glob("step-*/COMMIT")))

    def wait_nodes(self):
        count = sum(name != "coordinator" for name in self.cluster.daemons)
        wait_for("the nodes back", lambda: len(self.cluster.ready_nodes()) == count)

    def kill_rank(self, job):
        ranks = self.cluster.ranks(job)
        rank = self.dice.choice(sorted(ranks))
        os.kill(ranks[rank], signal.SIGKILL)
        return rank
