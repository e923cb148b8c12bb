"""Who may commit, and that nothing else does: the coordinator is killed in each phase of a commit,
and an attempt that was given up goes on saving after its job went on elsewhere.
"""
import os
import random
import re
import signal
import subprocess
import sys
import time

import cases
from cluster import BIN, Cluster, processes, wait_for
from tiny import prepare_data, tiny_job
import weights

MESH = "{data: 2, tensor: 2}"
STEPS = 150


class Test:
    def __init__(self, dice, worker_flags=()):
        self.dice = dice
        self.cluster = Cluster(workers=4, slots=2,
                               coordinator_flags=["--heartbeat-ms", "200", "--suspect-ms", "500",
                                                  "--dead-ms", "1000"],
                               worker_flags=["--orphan-grace-ms", "20000", *worker_flags])
        self.checkpoints = self.cluster.dir / "ckpt"
        self.data = prepare_data(self.cluster)
        self.jobs = 0
        self.references = {}

    def submit(self, steps=STEPS, every=4):
        self.jobs += 1
        text = tiny_job(f"commit-{self.jobs}", self.data, self.checkpoints, steps=steps, every=every,
                        mesh=MESH)
        job = self.cluster.submit(text)
        return job, self.cluster.job(job)["uid"]

    def reference(self, steps):
        """The weights of the run that nobody disturbed."""
        if steps not in self.references:
            job, uid = self.submit(steps, 0)
            view = self.cluster.wait_state(job, "succeeded", "failed")
            assert view["state"] == "succeeded", view["reason"]
            self.references[steps] = weights.digests(weights.newest_committed(self.checkpoints / uid))
        return self.references[steps]

    def finish(self, job, uid, steps):
        view = self.cluster.wait_state(job, "succeeded", "failed", timeout=240)
        assert view["state"] == "succeeded", view["reason"]
        folder = weights.newest_committed(self.checkpoints / uid)
        weights.assert_equal_bits(self.reference(steps), weights.digests(folder))
        verified = subprocess.run([BIN / "muster", "ckpt", "verify", self.checkpoints / uid],
                                  capture_output=True, text=True, timeout=120)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        return view

    def folders(self, uid, attempt=None):
        """step → folder of an attempt's saves."""
        found = {}
        try:
            entries = list(os.scandir(self.checkpoints / uid))
        except FileNotFoundError:
            return found
        for entry in entries:
            match = re.fullmatch(r"step-(\d+)\.a(\d+)", entry.name)
            if match and (attempt is None or int(match[2]) == attempt):
                found[int(match[1])] = entry.path
        return found


def shards(folder):
    try:
        return [n for n in os.listdir(folder + "/data") if n.endswith(".safetensors")]
    except FileNotFoundError:
        return []


PHASES = {  # of the newest save, as storage shows it
    "its shards are being written": lambda folder: bool(shards(folder)),
    "every shard is there, a permit is asked for": lambda folder: len(shards(folder)) == 4,
    "permitted, the manifest is there": lambda folder: os.path.exists(folder + "/manifest.json"),
    "committed, not yet told": lambda folder: os.path.exists(folder + "/COMMIT"),
}


def coordinator_killed(test, options):
    steps = 40 * options.moments
    job, uid = test.submit(steps)
    test.cluster.wait_step(job, 1)
    killed = dict.fromkeys(PHASES, 0)
    for moment in range(options.moments):
        phase = list(PHASES)[moment % len(PHASES)]
        seen = test.folders(uid)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            new = {s: f for s, f in test.folders(uid).items() if s not in seen}
            if new and PHASES[phase](new[max(new)]):
                break
        else:
            break  # the job is over
        if test.dice.random() < 0.5:
            time.sleep(test.dice.uniform(0, 0.004))
        test.cluster.kill("coordinator")
        killed[phase] += 1
        time.sleep(test.dice.uniform(0, 0.4))
        test.cluster.start_coordinator()
        wait_for("the workers back", lambda: len(test.cluster.ready_nodes()) == 4)
    view = test.finish(job, uid, steps)
    assert len(view["attempts"]) == 1, [a.get("cause") for a in view["attempts"]]
    refs = [ref for ref in view.get("checkpoints", []) if ref.get("committed")]
    assert refs and int(refs[0]["step"]) == steps, view.get("checkpoints")
    assert sum(killed.values()) >= options.moments * 3 // 4, killed
    for phase, times in killed.items():
        print(f"ok   coordinator killed {times} times: {phase}")
    print("     one attempt, the weights of the undisturbed run, every checkpoint verified")


def zombie(test, options):
    """Every process of the attempt is stopped until the job has committed elsewhere; then they wake,
    the workers last, and save at every step until they are told that they are over. The ranks write
    themselves: with their worker asleep nobody else would."""
    tries = rounds = 0
    steps = 100
    while tries < options.tries and rounds < options.tries:
        rounds += 1
        job, uid = test.submit(steps, every=1)
        test.cluster.wait_step(job, test.dice.randrange(2, 12))
        nodes = [share["node"] for share in test.cluster.job(job)["attempts"][-1]["shares"]]
        stopped = [pid for node in nodes for pid in processes(f"{test.cluster.dir / node}/")]
        workers = [test.cluster.daemons[node].pid for node in nodes]
        for pid in [*workers, *stopped]:
            os.kill(pid, signal.SIGSTOP)
        wait_for("a commit elsewhere", lambda: any(
            os.path.exists(folder + "/COMMIT") for folder in test.folders(uid, 2).values()) or
            test.cluster.job(job)["state"] in ("succeeded", "failed"))
        permitted = {int(ref["step"]) for ref in test.cluster.job(job).get("checkpoints", [])
                     if int(ref["attempt"]) == 1}
        log = test.cluster.dir / nodes[0] / "logs" / uid / "1" / "0" / "stdout.log"
        before = saved_steps(log)
        for pid in stopped:
            if pid not in workers:
                os.kill(pid, signal.SIGCONT)
        time.sleep(test.dice.uniform(1.0, 3.0))
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        wait_for("the old attempt ended",
                 lambda: not [pid for pid in stopped if pid not in workers and alive(pid)])
        tried = saved_steps(log) - before  # written by every rank, and a permit asked for
        tries += len(tried)
        late = [step for step, folder in test.folders(uid, 1).items()
                if step not in permitted and os.path.exists(folder + "/COMMIT")]
        assert not late, f"attempt 1 committed steps {late} after it was given up"
        view = test.finish(job, uid, steps)
        assert [int(ref["step"]) for ref in view.get("checkpoints", [])
                if int(ref["attempt"]) == 1 and int(ref["step"]) in tried - permitted] == []
        wait_for("the nodes back", lambda: len(test.cluster.ready_nodes()) == 4)
        print(f"     round {rounds}: {len(tried)} steps tried", flush=True)
    assert tries >= options.tries, f"{tries} tries in {rounds} rounds"
    print(f"ok   an attempt that was given up tried to commit {tries} steps in {rounds} rounds: 0 commits")


def saved_steps(log):
    return {int(step) for step in re.findall(r"^saved step (\d+)", log.read_text(), re.M)}


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


FLAGS = {"coordinator_killed": [], "zombie": ["--vault-memory", "0"]}
CASES = {f.__name__: f for f in (coordinator_killed, zombie)}


def main():
    options = cases.parse(__doc__, CASES, moments=(8, "of a killed coordinator"),
                          tries=(20, "of an attempt that others took over"))
    dice = random.Random(options.seed)
    failures = 0
    for name in options.cases or CASES:
        test = Test(dice, FLAGS[name])
        wrong = ""
        try:
            CASES[name](test, options)
            test.cluster.assert_clean()
        except AssertionError as error:
            wrong = f"{error}\n{test.cluster.log('coordinator')[-3000:]}"
        left = test.cluster.close(keep=bool(wrong))
        if wrong or left:
            failures += 1
            print(f"FAIL {name}: {wrong}\nleft running: {left}; state in {test.cluster.dir}")
    print(f"commit_test: {len(options.cases or CASES)} cases, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
