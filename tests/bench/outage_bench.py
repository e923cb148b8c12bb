"""What an outage costs, phase by phase, on real processes: kill -9 of a rank, a worker, the coordinator.

usage: outage_bench.py [--repeat N] [--ranks 2,4,8] [--kinds rank,worker,coordinator]

One long job of the tiny model per size and kind; each kill waits until the job trains well beyond where
the one before had thrown it. Seconds per phase are those of the job's incidents; up to the first step
they should be the time the job stood still, in all the time until it was where it had stood, both read
off rank 0's log. Beside a rank's kill:
mpirun of the same trainer and document in a shell loop that starts it again from its checkpoints.
"""
import argparse
import os
import pathlib
import random
import re
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
from cluster import BIN, Cluster, processes, wait_for  # noqa: E402
from tiny import prepare_data, tiny_job  # noqa: E402

PHASES = ["detect", "decide", "stop", "replace", "start", "load", "recompute"]
MESH = {2: "{data: 2}", 4: "{data: 2, tensor: 2}", 8: "{data: 4, tensor: 2}"}
SAVE_EVERY = 20  # steps
BUDGET = {"rank": "2 s + program start (restart)", "worker": "5 s + program start (replace)",
          "coordinator": "0 (training goes on)"}


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def row(name, values, note=""):
    print(f"    {name:28} median {statistics.median(values):7.3f}  p99 {quantile(values, 0.99):7.3f}  "
          f"min {min(values):7.3f}  max {max(values):7.3f}   ({len(values)}) {note}", flush=True)


def steps_in(path):
    try:
        return [int(m) for m in re.findall(r"step (\d+)/", path.read_text(errors="replace"))]
    except OSError:
        return []


def step_of(cluster, job):
    return int((cluster.job(job).get("progress") or {}).get("step", 0))


def incidents(cluster, job):
    return cluster.json("incident", "list", "--job", job)["incidents"]


def steps_of(cluster, uid, attempt):
    return [s for p in cluster.dir.glob(f"n*/logs/{uid}/{attempt}/0/stdout.log") for s in steps_in(p)]


class Comeback:
    """When which step of the next attempt was finished, in seconds after `begin`."""

    def __init__(self, cluster, uid, attempt, begin):
        stood = max(steps_of(cluster, uid, attempt))
        self.seen = []  # seconds, newest step

        def there():
            steps = steps_of(cluster, uid, attempt + 1)
            if steps and (not self.seen or steps[-1] > self.seen[-1][1]):
                self.seen.append((time.monotonic() - begin, steps[-1]))
            return steps and steps[-1] >= stood
        wait_for(f"attempt {attempt + 1} in step {stood}", there, timeout=120, every=0.002)

    def first(self):
        return self.seen[0][0]

    def at(self, step):
        return next((seconds for seconds, newest in self.seen if newest >= step), self.seen[-1][0])


def long_job(name, data, checkpoints, ranks, spares):
    text = tiny_job(name, data, checkpoints, steps=10**7, every=SAVE_EVERY, mesh=MESH[ranks])
    if ranks == 8:
        text = text.replace("heads: 4, kv_heads: 4", "heads: 8, kv_heads: 8")
    return text.replace("attempts_without_progress: 3",
                        f"attempts_without_progress: 3, hot_spares: {spares}")


class Outages:
    """A cluster with one endless job, to be broken again and again."""

    def __init__(self, ranks, spares, seed):
        self.dice = random.Random(seed)
        self.ranks = ranks
        self.workers = 2 + spares
        self.cluster = Cluster(workers=self.workers, slots=ranks // 2)
        data = prepare_data(self.cluster)
        self.job = self.cluster.submit(
            long_job("outage", data, self.cluster.dir / "ckpt", ranks, spares))
        self.cluster.wait_step(self.job, SAVE_EVERY + 5)
        self.uid = self.cluster.job(self.job)["uid"]

    def settle(self):
        """Until it trains on beyond a new checkpoint, at a random place between two."""
        at = step_of(self.cluster, self.job)
        self.cluster.wait_step(self.job, at + SAVE_EVERY + self.dice.randint(0, SAVE_EVERY))

    def repaired(self, known):
        """The newest incident, once it is resumed."""
        def found():
            news = [i for i in incidents(self.cluster, self.job) if int(i["id"]) not in known]
            return news[0] if news and news[0]["state"] == "resumed" else None
        return wait_for("the incident resumed", found, timeout=120, every=0.05)

    def kill_rank(self):
        attempt = len(self.cluster.job(self.job)["attempts"])
        victim = self.dice.choice(sorted(self.cluster.ranks(self.job).values()))
        begin = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        return Comeback(self.cluster, self.uid, attempt, begin)

    def kill_worker(self):
        attempts = self.cluster.job(self.job)["attempts"]
        node = self.dice.choice(sorted(s["node"] for s in attempts[-1]["shares"]))
        begin = time.monotonic()
        self.cluster.power_off(node)
        comeback = Comeback(self.cluster, self.uid, len(attempts), begin)
        self.cluster.start_worker(node)
        wait_for("the worker back", lambda: len(self.cluster.ready_nodes()) == self.workers)
        return comeback

    def close(self):
        self.cluster.muster("cancel", self.job)
        self.cluster.wait_state(self.job, "cancelled")
        left = self.cluster.close()
        assert not left, f"left running: {left}"


def outages(kind, ranks, repeat, seed):
    spares = 1 if kind == "worker" else 0
    print(f"  {ranks} ranks, kill -9 of a {kind}; budget {BUDGET[kind]}", flush=True)
    world = Outages(ranks, spares, seed)
    gaps, stood, phases, known = [], [], {p: [] for p in PHASES}, set()
    for _ in range(repeat):
        world.settle()
        known |= {int(i["id"]) for i in incidents(world.cluster, world.job)}
        comeback = world.kill_rank() if kind == "rank" else world.kill_worker()
        hit = next(j for j in world.repaired(known)["jobs"] if int(j["job_id"]) == world.job)
        resumed = world.cluster.job(world.job)["attempts"][int(hit["next_attempt"]) - 1]
        gaps.append(comeback.first())
        stood.append(comeback.at(int(resumed.get("first_step", 0)) + int(hit.get("steps_lost", 0))))
        for phase in PHASES:
            phases[phase].append(float(hit.get("seconds", {}).get(phase, 0)))
    row("kill → next finished step", gaps)
    row("  phases up to it", [sum(all_of[:-1]) for all_of in zip(*phases.values())])
    row("kill → where it had stood", stood)
    row("  phases in all", [sum(all_of) for all_of in zip(*phases.values())])
    for phase in PHASES:
        row(phase, phases[phase])
    world.close()
    return gaps


def coordinator_outage(ranks, repeat, seed):
    print(f"  {ranks} ranks, kill -9 of the coordinator; budget {BUDGET['coordinator']}", flush=True)
    world = Outages(ranks, 0, seed)
    cluster = world.cluster
    stdout = wait_for("rank 0's log", lambda: list(
        cluster.dir.glob(f"n*/logs/{world.uid}/1/0/stdout.log")), timeout=10)[0]
    serving, back, longest, calm = [], [], [], []

    def longest_pause(until):
        """The longest time without a new line of rank 0 while until() is not true."""
        seen, at, worst = len(steps_in(stdout)), time.monotonic(), 0.0
        while not until():
            now = len(steps_in(stdout))
            if now != seen:
                worst, seen, at = max(worst, time.monotonic() - at), now, time.monotonic()
            time.sleep(0.002)
        return max(worst, time.monotonic() - at)

    for _ in range(repeat):
        second = time.monotonic() + 1
        calm.append(longest_pause(lambda: time.monotonic() > second))
        begin = time.monotonic()
        cluster.kill("coordinator")
        cluster.start_coordinator()
        serving.append(time.monotonic() - begin)
        longest.append(longest_pause(lambda: len(cluster.ready_nodes()) == world.workers))
        back.append(time.monotonic() - begin)
    row("kill → serving again", serving)
    row("kill → all workers back", back)
    row("longest pause between steps", longest)
    row("  the same, undisturbed", calm)
    view = cluster.job(world.job)
    print(f"    attempts {len(view['attempts'])}, steps recomputed "
          f"{sum(int(j.get('steps_lost', 0)) for i in incidents(cluster, world.job) for j in i['jobs'])}")
    world.close()


def mpirun_loop(ranks, repeat, seed):
    """mpirun in a shell loop, from the same checkpoints: kill -9 of a rank → next finished step."""
    dice = random.Random(seed)
    cluster = Cluster(workers=1, slots=1)
    data = prepare_data(cluster)
    folder = cluster.dir / "mpirun"
    folder.mkdir()
    (folder / "job.yaml").write_text(long_job("loop", data, folder / "ckpt", ranks, 0))
    complete = folder / "complete.json"
    complete.write_text(cluster.muster("validate", folder / "job.yaml", "-o", "json").stdout)
    out = folder / "out"
    command = (f"while ! mpirun --allow-run-as-root --oversubscribe -n {ranks} --mca btl self,vader "
               f"--mca mpi_yield_when_idle 1 {BIN}/muster-train run --config {complete} "
               f"--checkpoints {folder}/ckpt; do :; done")
    gaps = []
    with open(out, "wb") as file:
        loop = subprocess.Popen(["bash", "-c", command], stdout=file, stderr=subprocess.STDOUT,
                                start_new_session=True)
    trainers = lambda: [p for p, c in processes(str(complete)).items()
                        if c.startswith(str(BIN / "muster-train"))]
    try:
        for _ in range(repeat):
            at = len(steps_in(out))
            wait_for("mpirun trains", lambda: len(steps_in(out)) > at + SAVE_EVERY +
                     dice.randint(0, SAVE_EVERY), timeout=120, every=0.01)
            before = len(steps_in(out))
            begin = time.monotonic()
            os.kill(dice.choice(sorted(trainers())), signal.SIGKILL)
            # Lines of the last steps may still be on their way: a step of the new life is one at or
            # below the step before the kill.
            def again():
                new = steps_in(out)[before:]
                return any(b <= a for a, b in zip(new, new[1:])) or \
                    (new and new[0] <= steps_in(out)[before - 1])
            wait_for("mpirun's next step", again, timeout=120, every=0.002)
            gaps.append(time.monotonic() - begin)
    finally:
        loop.kill()  # first the loop, so that mpirun is not started again; mpirun tidies up after itself
        for how in (signal.SIGTERM, signal.SIGKILL):
            for pid in processes(str(complete)):
                try:
                    os.kill(pid, how)
                except ProcessLookupError:
                    pass
            deadline = time.monotonic() + 10
            while processes(str(complete)) and time.monotonic() < deadline:
                time.sleep(0.05)
        loop.wait()
    cluster.close()
    return gaps


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="kills per size and kind")
    parser.add_argument("--ranks", default="2,4,8")
    parser.add_argument("--kinds", default="rank,worker,coordinator")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"outages on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, seed {options.seed}; "
          f"seconds; tiny model, a checkpoint every {SAVE_EVERY} steps")
    for ranks in map(int, options.ranks.split(",")):
        for kind in options.kinds.split(","):
            if kind == "coordinator":
                coordinator_outage(ranks, options.repeat, options.seed)
                continue
            ours = outages(kind, ranks, options.repeat, options.seed)
            if kind == "rank":
                theirs = mpirun_loop(ranks, options.repeat, options.seed)
                row("mpirun in a loop, the same", theirs,
                    f"ratio of medians {statistics.median(ours) / statistics.median(theirs):.2f}")


if __name__ == "__main__":
    main()
