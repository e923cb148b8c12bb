"""The control plane at scale: a real coordinator and simulated workers over real gRPC.

usage: fleet_bench.py [--nodes 125,375,1875] [--repeat N] [--churn-minutes M]

Every worker has 8 slots, its own connection and the real worker core (muster-fleet). Nothing timed
is asserted; lost jobs, false deaths and a changed attempt are errors (exit 1).

Floor of a launch on N workers: N start orders (0.2 kB each, whatever N is), N reports that the order
was taken and N reports of 8 ranks (0.4 kB). At 1,875 workers 0.4 MB go out and 1 MB comes in: 3 ms
of protobuf at 0.5 GB/s. What costs is 5,625 messages, each a system call and a wake-up on both
sides: at 10 us, 0.06 s of a core for the coordinator and as much for the fleet beside it.
"""
import argparse
import calendar
import collections
import json
import os
import pathlib
import random
import re
import signal
import statistics
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
from cluster import BIN, Cluster, wait_for  # noqa: E402

SLOTS = 8
HEARTBEAT_MS = 1000
TICKS = os.sysconf("SC_CLK_TCK")
PROGRAM = """
apiVersion: muster/v1
kind: TrainJob
name: {name}
mesh: {{data: {nodes}, tensor: 8}}
resources: {{slots_per_rank: 1}}
program: {{command: [sleep, "1000"]}}
recovery: {{attempts_without_progress: 1}}
"""
SHORT = """
apiVersion: muster/v1
kind: TrainJob
name: {name}
mesh: {{data: {nodes}, tensor: 8}}
resources: {{slots_per_rank: 1}}
train:
  model: {{layers: 2, d_model: 64, heads: 8, kv_heads: 8, ffn: 128, context: 64}}
  data: {{path: /nowhere}}
  batch: {{global: 64, micro: 1}}
  optimizer: {{lr: 3.0e-3, warmup_steps: 1, weight_decay: 0.1, clip: 1.0}}
  steps: 2
checkpoint: {{path: /nowhere, every_steps: 0, keep: 1}}
"""
# Row → unit, digits, budget of DESIGN section 14 ("-": none stated).
ROWS = {
    "all workers joined": ("s", 2, "-"),
    "submit → acknowledged p50": ("ms", 0, "-"),
    "submit → acknowledged p99": ("ms", 0, "-"),
    "submit → acknowledged all": ("ms", 0, "300"),
    "  min of the repetitions": ("ms", 0, ""),
    "  max of the repetitions": ("ms", 0, ""),
    "placed → all ranks RUNNING": ("ms", 0, "300"),
    "  min of the repetitions ": ("ms", 0, ""),
    "  max of the repetitions ": ("ms", 0, ""),
    "coordinator CPU idle": ("% core", 1, "15"),
    "coordinator CPU, job on all": ("% core", 1, "15"),
    "coordinator RSS, job on all": ("MB", 0, "200"),
    "fleet CPU, job on all": ("% core", 1, "-"),
    "kill -9 → serving again": ("s", 2, "-"),
    "kill -9 → all workers back": ("s", 2, "-"),
    "silent → suspected first": ("s", 2, "-"),
    "silent → suspected all": ("s", 2, "2"),
    "silent → dead first": ("s", 2, "-"),
    "silent → dead all": ("s", 2, "5"),
    "dead → all its nodes told": ("ms", 0, "50"),
    "dead → job running again": ("s", 2, "-"),
    "overload: suspected at most": ("nodes", 0, "-"),
    "overload: false deaths": ("nodes", 0, "0"),
    "churn: jobs": ("", 0, "-"),
    "churn: worker reconnections": ("", 0, "-"),
    "churn: RSS at start": ("MB", 1, "-"),
    "churn: RSS after the jobs": ("MB", 1, "-"),
    "churn: RSS at end": ("MB", 1, "as before"),
    "churn: RSS a job kept": ("kB", 1, "-"),
    "churn: descriptors at start": ("", 0, "-"),
    "churn: descriptors at end": ("", 0, "as before"),
    "false deaths in all phases": ("nodes", 0, "0"),
    "load average at end": ("", 1, "-"),
}


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mb(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def log_seconds(line):
    """Unix time at the head of a line of the coordinator's log."""
    whole = calendar.timegm(time.strptime(line[:19], "%Y-%m-%dT%H:%M:%S"))
    return whole + float(line[19:23])


class FleetBench:
    def __init__(self, nodes, repeat, churn_minutes):
        self.nodes, self.repeat, self.churn_minutes = nodes, repeat, churn_minutes
        self.figures = {}
        self.errors = []
        self.expected_deaths = 0
        self.cluster = Cluster(workers=0, coordinator_flags=[
            "--heartbeat-ms", str(HEARTBEAT_MS), "--metrics-listen", "127.0.0.1:0"])
        self.times = self.cluster.dir / "times"
        (self.cluster.dir / "script").write_text("step 0.5s\n")

    # -- what the processes say

    def check(self, good, what):
        if not good:
            self.errors.append(f"{self.nodes} workers: {what}")
            print(f"  ERROR: {what}", flush=True)

    def pid(self, name="coordinator"):
        return self.cluster.daemons[name].pid

    def metrics(self):
        """Unlabelled and node-state samples of the coordinator."""
        where = re.findall(r"metrics on (http://\S+)", self.cluster.log("coordinator"))[-1]
        text = urllib.request.urlopen(where, timeout=20).read().decode()
        found = {name: float(value) for name, value in re.findall(r"(?m)^(\w+) (\S+)$", text)}
        for state, value in re.findall(r'(?m)^muster_nodes\{state="(\w+)"\} (\d+)$', text):
            found[state] = int(value)
        return found

    def deaths(self):
        """Nodes declared dead that were not meant to die, since the journal began."""
        return int(self.metrics()["muster_node_deaths_total"]) - self.expected_deaths

    def log_since(self, offset):
        return self.cluster.log("coordinator")[offset:].splitlines()

    def order(self, rule):
        """Tells the fleet a rule of fleet/script.h; returns when."""
        fleet = self.cluster.daemons["fleet"]
        fleet.stdin.write(rule.encode() + b"\n")
        fleet.stdin.flush()
        return time.time()

    # -- phases

    def start_fleet(self):
        log = open(self.cluster.dir / "fleet.log", "ab")
        begin = time.time()
        self.cluster.daemons["fleet"] = subprocess.Popen(
            [BIN / "muster-fleet", "--coordinator", self.cluster.address(), "--nodes",
             str(self.nodes), "--slots", str(SLOTS), "--times", self.times, "--stdin", "--script",
             self.cluster.dir / "script"],
            stdin=subprocess.PIPE, stdout=log, stderr=log, env=self.cluster.environment)
        log.close()
        self.figures["all workers joined"] = self.wait_connected(0, 120) - begin
        wait_for("all ready", lambda: self.metrics().get("ready") == self.nodes, every=0.2)

    def wait_connected(self, offset, timeout):
        """The time when the last worker's stream opened, by the log from `offset` on."""
        def all_connected():
            seen = {}
            for line in self.log_since(offset):
                found = re.search(r"worker (\S+) connected", line)
                if found:
                    seen.setdefault(found.group(1), log_seconds(line))
            return max(seen.values()) if len(seen) == self.nodes else None
        return wait_for(f"{self.nodes} workers", all_connected, timeout, every=0.2)

    def submit(self, text, name, nodes):
        return self.cluster.submit(text.format(name=name, nodes=nodes))

    def launch_once(self, name, nodes):
        """(job, ms from submit to each acknowledgement sorted, ms from placed to RUNNING)."""
        offset = len(self.cluster.log("coordinator"))
        job = self.submit(PROGRAM, name, nodes)
        running = f"job {job}: running"
        wait_for(f"job {job} to run", lambda: any(running in l for l in self.log_since(offset)), 60)
        view = self.cluster.job(job)
        acknowledged = sorted(
            int(us) / 1e3 - view["submit_unix_ms"] for us in
            re.findall(rf"(?m)^{job} 1 \S+ (\d+)$", self.times.read_text()))
        self.check(len(acknowledged) == nodes, f"{len(acknowledged)} of {nodes} started job {job}")
        attempt = view["attempts"][-1]
        return job, acknowledged, attempt["running_unix_ms"] - attempt["start_unix_ms"]

    def cancel(self, job):
        self.cluster.muster("cancel", job)
        self.cluster.wait_state(job, "cancelled", timeout=60)

    def launch(self):
        p50, p99, everyone, running = [], [], [], []
        for run in range(self.repeat + 1):
            job, times, up = self.launch_once(f"launch-{run}", self.nodes)
            if run > 0:  # the first warms both sides up
                p50.append(statistics.median(times))
                p99.append(times[int(0.99 * (len(times) - 1))])
                everyone.append(times[-1])
                running.append(up)
            if run < self.repeat:
                self.cancel(job)
                time.sleep(1)
        put = self.figures
        put["submit → acknowledged p50"] = statistics.median(p50)
        put["submit → acknowledged p99"] = statistics.median(p99)
        for row, pad, values in (("submit → acknowledged all", "", everyone),
                                 ("placed → all ranks RUNNING", " ", running)):
            put[row] = statistics.median(values)
            put[f"  min of the repetitions{pad}"] = min(values)
            put[f"  max of the repetitions{pad}"] = max(values)
        return job

    def cpu(self, row, fleet_row=None, seconds=10):
        time.sleep(2)
        pids = [self.pid(), self.pid("fleet")]
        before, begin = [cpu_seconds(p) for p in pids], time.monotonic()
        time.sleep(seconds)
        passed = time.monotonic() - begin
        used = [100 * (cpu_seconds(p) - b) / passed for p, b in zip(pids, before)]
        self.figures[row] = used[0]
        if fleet_row:
            self.figures[fleet_row] = used[1]

    def kill(self, job):
        """kill -9 of the coordinator; the job must run on, the queue must be the same."""
        waiting = [self.submit(PROGRAM, f"waits-{i}", 1) for i in range(10)]
        before = self.cluster.job(job)
        port = self.cluster.address().rsplit(":", 1)[1]
        offset = len(self.cluster.log("coordinator"))
        begin = time.time()
        self.cluster.kill("coordinator")
        self.cluster.start_coordinator(port)
        self.figures["kill -9 → serving again"] = time.time() - begin
        self.figures["kill -9 → all workers back"] = self.wait_connected(offset, 60) - begin
        time.sleep(7)  # what is missing is given up after 5 s
        after = self.cluster.job(job)
        self.check(after["state"] == "running" and
                   len(after["attempts"]) == len(before["attempts"]),
                   f"job {job} after the kill: {after['state']}, {after['reason']}, attempt "
                   f"{len(after['attempts'])}")
        states = {j["id"]: j["state"] for j in self.cluster.json("list")["jobs"]}
        self.check(all(states.get(j) == "queued" for j in waiting),
                   f"waiting jobs after the kill: {[states.get(j) for j in waiting]}")
        self.check(self.deaths() == 0, f"{self.deaths()} nodes died with the coordinator")
        for one in waiting:
            self.cancel(one)

    def overload(self, job, seconds=20):
        """Busy loops on every core, twice over; a slow node is not a dead one."""
        before = self.deaths()
        attempts = len(self.cluster.job(job)["attempts"])
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"])
                for _ in range(2 * os.cpu_count())]
        try:
            suspects, end = 0, time.monotonic() + seconds
            while time.monotonic() < end:
                suspects = max(suspects, self.metrics()["suspect"])
                time.sleep(1)
        finally:
            for process in busy:
                process.kill()
                process.wait()
        false = self.deaths() - before
        self.figures["overload: suspected at most"] = suspects
        self.figures["overload: false deaths"] = false
        self.check(false == 0, f"{false} nodes declared dead on an overloaded machine")
        view = self.cluster.job(job)
        self.check(view["state"] == "running" and len(view["attempts"]) == attempts,
                   f"job {job} after the overload: {view['state']}, {view['reason']}")

    def silence(self):
        """1 % of the workers say nothing more; the job leaves 3 % of the nodes free."""
        doomed = -(-self.nodes // 100)
        job, _, _ = self.launch_once("wide", self.nodes * 97 // 100)
        time.sleep(2)
        before = self.metrics()
        offset = len(self.cluster.log("coordinator"))
        self.expected_deaths += doomed
        begin = self.order("fail 1% of workers silently")
        seen = {}
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and "dead all" not in seen:
            now, at = self.metrics(), time.time() - begin
            dead = now["dead"] - before["dead"]
            for row, reached in (("suspected first", now["suspect"] + dead >= 1),
                                 ("suspected all", now["suspect"] + dead >= doomed),
                                 ("dead first", dead >= 1), ("dead all", dead >= doomed)):
                if reached:
                    seen.setdefault(row, at)
            time.sleep(0.05)
        for row, at in seen.items():
            self.figures[f"silent → {row}"] = at
        self.check("dead all" in seen, f"only {seen} of {doomed} silent nodes declared dead")
        again = f"job {job}: running"
        wait_for("the job to run again", lambda: any(again in l for l in self.log_since(offset)), 60)
        lines = self.log_since(offset)
        closed = [log_seconds(l) for l in lines if "is declared dead" in l]
        told = [log_seconds(l) for l in lines if f"job {job}:" in l]
        view = self.cluster.job(job)
        self.figures["dead → all its nodes told"] = 1e3 * (told[0] - closed[0])
        self.figures["dead → job running again"] = (
            view["attempts"][-1]["running_unix_ms"] / 1e3 - closed[0])
        gone = {n["name"] for n in self.cluster.json("node", "list")["nodes"]
                if n["state"] == "dead"}
        used = {share["node"] for share in view["attempts"][-1]["shares"]}
        self.check(len(gone) == doomed and not gone & used, f"{len(gone)} dead, {gone & used} used")
        self.cancel(job)

    def churn(self):
        """Jobs come, go and fail, workers reconnect; in the last quarter, only the latter. The
        coordinator keeps the history of a job, and should keep nothing of a reconnection."""
        draw = random.Random(7)
        live, submitted, moved = collections.deque(), [], 0
        put, begin, length = self.figures, time.monotonic(), 60 * self.churn_minutes
        before, passed = self.deaths(), lambda: (time.monotonic() - begin) / length

        def move_workers():
            crash = draw.random() < 0.3
            self.order("fail 2 workers crashing" if crash else "fail 5 workers disconnecting")
            return 2 if crash else 5

        while passed() < 0.75:
            if len(submitted) == 50:  # past the first allocations
                put["churn: RSS at start"] = rss_mb(self.pid())
                put["churn: descriptors at start"] = descriptors(self.pid())
            short = draw.random() < 0.5
            submitted.append(self.submit(SHORT if short else PROGRAM, f"churn-{len(submitted)}",
                                         draw.choice((1, 2, 4, 8))))
            live.append(submitted[-1])
            if draw.random() < 0.2:
                self.order(f"kill-rank job={draw.choice(list(live)[-4:])} rank=0")
            if len(live) > 40:
                oldest = live.popleft()
                if draw.random() < 0.8:
                    self.cluster.muster("cancel", oldest, check=False)
            if draw.random() < 0.1:
                moved += move_workers()
        for job in self.cluster.json("list")["jobs"]:
            if job["state"] not in ("cancelled", "failed", "succeeded"):
                self.cluster.muster("cancel", job["id"], check=False)

        def ended():
            states = {j["id"]: j["state"] for j in self.cluster.json("list")["jobs"]}
            over = all(s in ("cancelled", "failed", "succeeded") for s in states.values())
            return states if over else None
        states = wait_for("all jobs to end", ended, 60, every=0.5)
        lost = [j for j in submitted if j not in states]
        self.check(not lost, f"lost jobs {lost}")
        jobs_end = rss_mb(self.pid())
        while passed() < 1:
            moved += move_workers()
            time.sleep(0.1)
        time.sleep(3)
        self.check(self.deaths() == before, f"{self.deaths() - before} nodes died of churn")
        put["churn: jobs"], put["churn: worker reconnections"] = len(submitted), moved
        put["churn: RSS after the jobs"] = jobs_end
        put["churn: RSS at end"] = rss_mb(self.pid())
        put["churn: descriptors at end"] = descriptors(self.pid())
        put["churn: RSS a job kept"] = 1024 * (jobs_end - put["churn: RSS at start"]) / max(
            1, len(submitted) - 50)
        ends = collections.Counter(states[j] for j in submitted)
        print(f"  churn: {dict(ends)}", flush=True)

    def run(self):
        phases = ["join", "idle", "launch", "job on all", "kill -9", "overload", "silence", "churn"]
        say = lambda i: print(f"  {self.nodes} workers: {phases[i]} "
                              f"(load {os.getloadavg()[0]:.1f})", flush=True)
        try:
            say(0), self.start_fleet()
            say(1), self.cpu("coordinator CPU idle")
            say(2)
            job = self.launch()
            say(3), self.cpu("coordinator CPU, job on all", "fleet CPU, job on all")
            self.figures["coordinator RSS, job on all"] = rss_mb(self.pid())
            say(4), self.kill(job)
            say(5), self.overload(job)
            self.cancel(job)
            say(6), self.silence()
            say(7), self.churn()
            self.figures["false deaths in all phases"] = self.deaths()
            self.check(self.deaths() == 0, f"{self.deaths()} false deaths")
        finally:
            self.figures["load average at end"] = os.getloadavg()[0]
            left = self.cluster.close()
            self.check(not left, f"processes left: {left}")


def table(benches):
    head = "".join(f"{b.nodes:>10}" for b in benches)
    print(f"\n{'':30}{'':8}{head}{'budget':>11}{'growth':>9}  "
          f"({benches[0].nodes} → {benches[-1].nodes} workers)")
    for row, (unit, digits, budget) in ROWS.items():
        values = [b.figures.get(row) for b in benches]
        cells = "".join(f"{'-' if v is None else format(v, f'.{digits}f'):>10}" for v in values)
        grown = ""
        if len(values) > 1 and values[0] and values[-1] is not None:
            grown = f"{values[-1] / values[0]:.1f} x"
        print(f"{row:30}{unit:8}{cells}{budget:>11}{grown:>9}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", default="125,375,1875")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--churn-minutes", type=float, default=1)
    options = parser.parse_args()
    print(f"muster-fleet against muster-coordinator, {SLOTS} slots a worker, heartbeats each "
          f"{HEARTBEAT_MS} ms, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    benches = []
    for nodes in (int(n) for n in options.nodes.split(",")):
        benches.append(FleetBench(nodes, options.repeat, options.churn_minutes))
        benches[-1].run()
    table(benches)
    errors = [e for b in benches for e in b.errors]
    for error in errors:
        print("ERROR:", error)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
