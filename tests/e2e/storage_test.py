"""Storage that is full, read-only, broken or stands still, and memory that is short, in the middle
of training: no attempt ends, one event says so and one that it is over, saving resumes by itself,
and nothing half written stays.

Three jobs at once: what job 1 saves is written by its node's worker (O_DIRECT, from RAM slots), what
job 2 saves by its ranks (its node's memory has no room for slots), and job 3's node has a memory file
system that is full until it is not.

usage: storage_test.py [--moments N] [--seed S] [--stall SECONDS]
"""
import argparse
import errno
import json
import mmap
import os
import pathlib
import random
import struct
import subprocess
import sys
import time

from cluster import BIN, Cluster, wait_for
from tiny import prepare_data, tiny_job

SHIM = BIN.parent / "tests" / "libfault_shim.so"
STALL = 0xffffffff
# tests/crash/fault_page.h
CREATE, WRITE, SYNC, NAME, REMOVE, LOOK = 1, 2, 4, 8, 16, 32
CHANGES = CREATE | WRITE | SYNC | NAME | REMOVE
NEVER = 1_000_000  # steps


class Mount:
    """A small tmpfs; `real` is False where nobody lets us mount one."""

    def __init__(self, path, size):
        self.path = path
        path.mkdir()
        self.real = self.mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs")
        self.ballast = path / "ballast"

    def mount(self, *flags):
        return subprocess.run(["mount", *flags, self.path], capture_output=True).returncode == 0

    def fill(self, leave=0):
        """Whatever is free from now on."""
        chunk = bytes(64 << 10)
        with open(self.ballast, "ab") as file:
            try:
                while os.statvfs(self.path).f_bavail * os.statvfs(self.path).f_bsize > leave:
                    file.write(chunk)
                    file.flush()
            except OSError as error:
                assert error.errno == errno.ENOSPC, error

    def close(self):
        if self.real:
            subprocess.run(["umount", "-l", self.path], capture_output=True)


class Faults:
    """What the shim does to calls below the folder of the checkpoints."""

    def __init__(self, path, folder, environment):
        path.write_bytes(bytes(24))
        with open(path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 24)
        environment.update(LD_PRELOAD=str(SHIM), MUSTER_TEST_FAULT_FOLDER=str(folder),
                           MUSTER_TEST_FAULT_PAGE=str(path))

    def begin(self, error, calls):
        struct.pack_into("<I", self.page, 4, calls)
        struct.pack_into("<I", self.page, 0, error)

    def end(self):
        struct.pack_into("<I", self.page, 0, 0)

    def hits(self):
        """By ranks, by workers."""
        return struct.unpack_from("<QQ", self.page, 8)


class Job:
    def __init__(self, test, name, node, root, mesh="{data: 2}"):
        self.cluster = test.cluster
        self.name = name
        text = tiny_job(name, test.data, root, steps=NEVER, every=20, mesh=mesh)
        text = text.replace("every_steps: 20, keep", "every_steps: 20, ram_every_steps: 5, keep")
        others = ", ".join(n for n in ("n1", "n2", "n3") if n != node)
        self.id = self.cluster.submit(text + f"placement: {{exclude: [{others}]}}\n")
        self.uid = self.cluster.job(self.id)["uid"]
        self.folder = root / self.uid
        self.seen = self.cluster.dir / f"{name}.events"
        with open(self.seen, "w") as out:
            self.watch = subprocess.Popen(
                [BIN / "muster", "--coordinator", self.cluster.address(), "watch", str(self.id),
                 "-o", "json"], stdout=out, stderr=out, env=self.cluster.environment)

    def saving(self):
        """The texts of what a person who watches is told about saving."""
        lines = [json.loads(line) for line in self.seen.read_text().splitlines()
                 if line.startswith("{") and line.endswith("}")]
        return [line["text"] for line in lines if line["kind"] == "saving"]

    def step(self):
        view = self.cluster.job(self.id)
        assert len(view["attempts"]) == 1, [a.get("cause") for a in view["attempts"]]
        assert view["state"] in ("queued", "starting", "running"), view["reason"]
        return int(view["progress"]["step"]) if view.get("progress") else 0

    def committed(self):
        steps = [int(c.parent.name[5:].split(".")[0]) for c in self.folder.glob("step-*/COMMIT")]
        return max(steps, default=0)

    def goes_on(self, steps=30):
        target = self.step() + steps
        wait_for(f"{self.name} at step {target}", lambda: self.step() >= target, every=0.1)

    def saves_again(self):
        """A save that began from now on is committed."""
        now = self.step()
        wait_for(f"{self.name}: a checkpoint beyond step {now}", lambda: self.committed() > now,
                 every=0.1)


class Test:
    def __init__(self, options):
        self.options = options
        self.dice = random.Random(options.seed)
        self.cluster = Cluster(workers=0, slots=2)
        self.data = prepare_data(self.cluster)
        self.store = Mount(self.cluster.dir / "store", "96m")
        self.small = Mount(self.cluster.dir / "small", "4m")
        self.faults = Faults(self.cluster.dir / "faults", self.store.path, self.cluster.environment)
        self.cluster.node_flags = {"n2": ["--vault-memory", "1MB"]}
        if self.small.real:
            self.small.fill(leave=512 << 10)
            self.cluster.node_flags["n3"] = ["--vault", self.small.path / "v", "--vault-memory", "1GB"]
        else:
            print("skip no room in memory, and a real full disk: mounting is not allowed here")
        for name in ("n1", "n2", "n3"):
            self.cluster.start_worker(name)
        wait_for("the workers", lambda: len(self.cluster.ready_nodes()) == 3)
        self.drained = Job(self, "drained", "n1", self.store.path)
        self.written = Job(self, "written", "n2", self.store.path)
        self.jobs = [self.drained, self.written]
        # On storage that is well.
        self.cramped = Job(self, "cramped", "n3", self.cluster.dir / "ckpt", mesh="{data: 1}")

    def phase(self, name, begin, end, words, hold=0.0):
        """A fault begins, is told, is ended, and that is told."""
        before = {job: len(job.saving()) for job in self.jobs}
        begin()
        began = time.monotonic()
        for job in self.jobs:
            wait_for(f"{name}: what {job.name} says about it",
                     lambda: len(job.saving()) > before[job])
        for job in self.jobs:
            job.goes_on()
        while time.monotonic() < began + hold:
            job = self.dice.choice(self.jobs)
            job.goes_on(5)
        told = {job: job.saving()[before[job]:] for job in self.jobs}
        described = {job: self.cluster.muster("describe", job.id).stdout for job in self.jobs}
        end()
        for job in self.jobs:
            wait_for(f"{name}: what {job.name} says when it is over",
                     lambda: len(job.saving()) > before[job] + 1)
            job.saves_again()
        for job in self.jobs:
            said = job.saving()[before[job]:]
            assert len(told[job]) == 1 and len(said) == 2, said
            assert any(word in said[0] for word in words), said
            assert "training goes on" in said[0], said
            assert said[1].startswith("saves reach storage again, after "), said
            assert f"Save trouble: {said[0]}" in described[job], described[job]
            print(f"ok   {name}, {job.name}: {said[0]}\n       {said[1]}", flush=True)

    def full(self):
        if not self.store.real:
            return self.phase("full", lambda: self.faults.begin(errno.ENOSPC, CREATE | WRITE),
                              self.faults.end, ["No space left"])
        before = {job: len(job.saving()) for job in self.jobs}
        end = time.monotonic() + 60
        def fill():
            # Clearing away an older checkpoint makes room again.
            while time.monotonic() < end and any(len(job.saving()) == before[job]
                                                 for job in self.jobs):
                self.store.fill()
        self.phase("full", fill, self.store.ballast.unlink, ["No space left"])

    def read_only(self):
        def protect():
            if self.store.real:
                # Refused while a file is open for writing.
                wait_for("the mount read-only", lambda: self.store.mount("-o", "remount,ro"),
                         every=0.001)
            else:
                self.faults.begin(errno.EROFS, CHANGES)
        def open_again():
            if self.store.real:
                assert self.store.mount("-o", "remount,rw")
            self.faults.end()
        self.phase("read-only", protect, open_again, ["Read-only"])

    def broken(self):
        self.phase("EIO", lambda: self.faults.begin(errno.EIO, WRITE | SYNC), self.faults.end,
                   ["Input/output error"])

    def stalled(self):
        before = self.faults.hits()
        self.phase("stalled", lambda: self.faults.begin(STALL, CHANGES | LOOK), self.faults.end,
                   ["does it stand still"], hold=self.options.stall)
        by_ranks, by_workers = (now - then for now, then in zip(self.faults.hits(), before))
        assert by_ranks and by_workers, "the stall met nobody"

    def moments(self):
        """Any calls fail in any way, or stand still, for a while."""
        for _ in range(self.options.moments):
            error = self.dice.choice([errno.EIO, errno.ENOSPC, errno.EROFS, errno.ESTALE, STALL])
            calls = self.dice.randrange(1, 2 * LOOK)
            before = {job: len(job.saving()) for job in self.jobs}
            hits = sum(self.faults.hits())
            self.faults.begin(error, calls)
            seconds = self.dice.uniform(0.2, 3)
            time.sleep(seconds)
            self.faults.end()
            for job in self.jobs:
                job.goes_on(5)
                job.saves_again()
                wait_for(f"{job.name}: the end of its trouble",
                         lambda: (len(job.saving()) - before[job]) % 2 == 0)
                said = job.saving()[before[job]:]
                assert len(said) <= 2, said
            name = "standing still" if error == STALL else os.strerror(error)
            print(f"ok   {name} for {seconds:.1f} s, calls {calls:#x}, met "
                  f"{sum(self.faults.hits()) - hits}", flush=True)

    def check_cramped(self):
        """Slots come when there is room for them; until then one line."""
        job = self.cramped
        if not self.small.real:
            return
        wait_for("slots in memory", lambda: len(job.saving()) > 1)
        assert len(list(self.small.path.glob(f"v/{job.uid}/r00000.?"))) == 2
        said = job.saving()
        assert len(said) == 2 and "no RAM slots" in said[0] and "No space left" in said[0], said
        assert said[1].startswith("RAM slots are there, after "), said
        print(f"ok   no room in memory: {said[0]}\n       {said[1]}", flush=True)

    def check_end(self):
        """Told to stop, each saves once more; then there are whole checkpoints and nothing else."""
        for job in self.jobs:
            self.cluster.muster("suspend", job.id)
        for job in self.jobs:
            view = self.cluster.wait_state(job.id, "suspended", "failed", timeout=60)
            assert view["state"] == "suspended", view["reason"]
            last = int(view["attempts"][-1]["last_step"])
            assert job.committed() == last, f"{job.name}: stopped at {last}, saved {job.committed()}"
            verified = self.cluster.json("ckpt", "verify", job.folder)
            checked = verified.get("checkpoints", [verified])
            assert checked and all(one["verified"] for one in checked), verified
            left = [str(path.relative_to(job.folder)) for path in job.folder.rglob("*")
                    if path.name.startswith((".tmp-", ".trash-"))]
            left += [f.name for f in job.folder.glob("step-*") if not (f / "COMMIT").exists()]
            assert not left, f"{job.name} left {left}"
            self.cluster.muster("cancel", job.id)
            job.watch.wait(timeout=30)
            print(f"ok   {job.name}: {last} steps in one attempt, {len(job.saving())} events about "
                  f"saving, {len(checked)} checkpoints verified, nothing else left", flush=True)

    def run(self):
        for job in self.jobs:
            job.saves_again()
        only = self.written.saving()  # once for all its ranks
        assert len(only) == 1 and "no RAM slots" in only[0] and "--vault-memory" in only[0], only
        assert self.drained.saving() == [], self.drained.saving()
        print(f"ok   too little memory for slots: {only[0]}", flush=True)
        if self.small.real:
            wait_for("the job without room to say so", self.cramped.saving)
            self.small.ballast.unlink()
        self.full()
        self.read_only()
        self.broken()
        self.stalled()
        self.moments()
        self.check_cramped()
        self.jobs.append(self.cramped)
        self.check_end()

    def close(self, keep):
        left = self.cluster.close(keep=True)
        for mount in (self.store, self.small):
            mount.close()
        if not keep:
            subprocess.run(["rm", "-rf", self.cluster.dir], check=True)
        assert not left, f"left running: {left}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=4)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--stall", type=float, default=12)
    options = parser.parse_args()
    print(f"storage_test --moments {options.moments} --seed {options.seed} --stall {options.stall}",
          flush=True)
    test = Test(options)
    failed = None
    try:
        test.run()
        test.cluster.assert_clean()
    except AssertionError as error:
        failed = error
        print(f"FAIL {error}", flush=True)
        print(test.cluster.log("coordinator")[-6000:], flush=True)
        for log in test.cluster.dir.glob("n*/logs/*/*/0/stderr.log"):
            print(f"{log}:\n{log.read_text()[-3000:]}", flush=True)
    test.close(keep=failed is not None)
    if failed:
        print(f"state kept in {test.cluster.dir}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
