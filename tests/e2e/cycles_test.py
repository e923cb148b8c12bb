"""Save after save, in memory at every step and to storage at every other: the memory, descriptors
and threads of ranks, shim and worker stay what they are, and so does what lies in memory.

Figures are taken at points spread over the run, after a warm-up. Flat means: the median of the last
third is not beyond that of the first by more than the bound printed with it.

usage: cycles_test.py [--cycles N]
"""
import argparse
import contextlib
import os
import pathlib
import statistics
import sys
import time

from cluster import Cluster, processes, wait_for
from tiny import prepare_data, tiny_job

POINTS = 45
WARM_UP = 10  # cycles, or a tenth of them
RANKS = 2
# In KiB: an allocator's arenas and stacks come and go with threads. A rank's shard has about 400, so
# one that stayed of each save would be seen many times over.
ANONYMOUS_KIB_MAX = 2048
SHARED_KIB_MAX = 64


def status(pid):
    """Of a process: anonymous and shared memory in KiB, threads, descriptors."""
    fields = dict(line.split(":", 1) for line in
                  pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return {"anonymous": int(fields["RssAnon"].split()[0]),
            "shared": int(fields["RssShmem"].split()[0]),
            "threads": int(fields["Threads"]),
            "descriptors": len(os.listdir(f"/proc/{pid}/fd"))}


def kib_below(*folders):
    blocks = 0
    for folder in folders:
        for root, _, files in os.walk(folder):
            for name in files:
                with contextlib.suppress(FileNotFoundError):
                    blocks += os.lstat(os.path.join(root, name)).st_blocks
    return blocks // 2


def files_below(folder):
    # Folders may go while it looks.
    return sum(len(files) for _, _, files in os.walk(folder))


class Run:
    def __init__(self, cycles):
        self.cycles = cycles
        self.warm_up = max(WARM_UP, cycles // 10)
        self.cluster = Cluster(workers=1, slots=RANKS)
        data = prepare_data(self.cluster)
        self.steps = 2 * (self.warm_up + cycles) + 20
        text = tiny_job("cycles", data, self.cluster.dir / "ckpt", steps=self.steps, every=2,
                        mesh=f"{{data: {RANKS}}}")
        self.job = self.cluster.submit(
            text.replace("every_steps: 2, keep", "every_steps: 2, ram_every_steps: 1, keep"))
        self.uid = self.cluster.job(self.job)["uid"]
        self.folder = self.cluster.dir / "ckpt" / self.uid
        self.series = {}  # what → figures in order of time

    def shim(self):
        (pid,) = [pid for pid, line in processes(str(self.cluster.dir)).items() if "muster-shim" in line]
        return pid

    def step(self):
        """The newest committed one: cycles are counted by what is on storage."""
        steps = [int(c.parent.name[5:].split(".")[0]) for c in self.folder.glob("step-*/COMMIT")]
        return max(steps, default=0)

    def wait_step(self, step):
        wait_for(f"a checkpoint of step {step}", lambda: self.step() >= step, timeout=120,
                 every=0.02)

    def note(self, what, figure):
        self.series.setdefault(what, []).append(figure)

    def look(self, who):
        for name, pid in who.items():
            for what, figure in status(pid).items():
                self.note(f"{name} {what}", figure)
        self.note("memory of the vault", kib_below(self.cluster.vaults))
        self.note("files in the vault", files_below(self.cluster.vaults))
        self.note("shared memory of the attempt", kib_below(
            *[pathlib.Path("/dev/shm", name) for name in self.cluster.own_shared_memory()]))
        self.note("files of checkpoints", files_below(self.folder))

    def measure(self):
        self.wait_step(2 * self.warm_up)
        who = {f"rank {rank}": pid for rank, pid in self.cluster.ranks(self.job).items()}
        who["worker"] = self.cluster.daemons["n1"].pid
        who["shim"] = self.shim()
        began, first = time.monotonic(), self.step()
        for point in range(POINTS):
            self.wait_step(first + 2 * (self.cycles * (point + 1) // POINTS))
            self.look(who)
        done = (self.step() - first) / 2
        seconds = time.monotonic() - began
        assert done >= self.cycles, f"{done} cycles"
        print(f"{done:.0f} save cycles in {seconds:.1f} s, after {self.warm_up} to warm up", flush=True)

    def judge(self):
        failures = []
        for what, figures in self.series.items():
            third = len(figures) // 3
            begin, end = statistics.median(figures[:third]), statistics.median(figures[-third:])
            bound = 0
            if "anonymous" in what:
                bound = ANONYMOUS_KIB_MAX
            elif "shared" in what or "memory" in what:
                bound = SHARED_KIB_MAX
            elif what == "files of checkpoints":
                bound = 20  # one more checkpoint on its way
            elif "threads" in what or "descriptors" in what:
                bound = 2  # of a save under way
            flat = end - begin <= bound
            if not flat:
                failures.append(what)
            if not flat:
                print(f"     in order of time: {figures}")
            unit = " KiB" if "memory" in what or "anonymous" in what or "shared" in what else ""
            print(f"{'ok  ' if flat else 'FAIL'} {what}: {begin:.0f} → {end:.0f}{unit} "
                  f"(at least {min(figures)}, at most {max(figures)}; may grow by {bound})",
                  flush=True)
        return failures

    def finish(self):
        view = self.cluster.wait_state(self.job, "succeeded", "failed", timeout=120)
        assert view["state"] == "succeeded" and len(view["attempts"]) == 1, view["reason"]
        self.cluster.assert_clean()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=60)
    options = parser.parse_args()
    run = Run(options.cycles)
    failures = ["it ended early"]
    try:
        run.measure()
        failures = run.judge()
        run.finish()
    except AssertionError as error:
        failures.append(str(error))
        print(f"FAIL {error}", flush=True)
        print(run.cluster.log("coordinator")[-3000:], flush=True)
    left = run.cluster.close(keep=bool(failures))
    if failures:
        print(f"state kept in {run.cluster.dir}")
    if left:
        failures.append("processes")
        print(f"FAIL left running: {left}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
