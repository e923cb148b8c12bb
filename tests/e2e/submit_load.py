"""Many clients that submit at once (bin/jobs_load), while the coordinator may be killed."""
import json
import subprocess
import time

from cluster import BIN, wait_for


def run_load(*args):
    """What a load printed: one dict a line. Fails with its message when something was lost."""
    result = subprocess.run([BIN / "jobs_load", *map(str, args)], capture_output=True, text=True)
    assert result.returncode == 0, f"jobs_load {args[0]}: {result.stdout}{result.stderr}"
    return [json.loads(line) for line in result.stdout.splitlines()]


class Load:
    """Submissions under way against the coordinator of `cluster`; `word` must be fresh."""

    def __init__(self, cluster, jobs, clients, word):
        self.cluster = cluster
        self.lines = []
        self.process = subprocess.Popen(
            [BIN / "jobs_load", "submit", cluster.address(), str(jobs), str(clients), word],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_acknowledged(self, jobs):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
            if self.lines[-1].get("acknowledged", 0) >= jobs:
                return
        raise AssertionError("the load ended early: " + self.process.stderr.read())

    def kill_and_start(self):
        """Kills the coordinator where it stands; returns the seconds until it serves again."""
        port = self.cluster.address().rsplit(":", 1)[1]
        begin = time.monotonic()
        self.cluster.kill("coordinator")
        self.cluster.start_coordinator(port)
        return time.monotonic() - begin

    def finish(self):
        """The figures of the whole load; fails when a submission was lost or doubled."""
        out, errors = self.process.communicate(timeout=300)
        assert self.process.returncode == 0, f"jobs_load submit: {out}{errors}"
        self.lines += [json.loads(line) for line in out.splitlines()]
        return {key: value for line in self.lines for key, value in line.items()}
