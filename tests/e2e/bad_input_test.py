"""Bad input, one case a test: one clear line (what, where, what to do), the right exit code, and
nothing lost."""
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import unittest

from cluster import BIN, Cluster, wait_for
from tiny import prepare_data, tiny_job
import weights


def flip_byte(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x40
    path.write_bytes(bytes(data))


class Case(unittest.TestCase):
    """Checks a command's exit code and that one line of its stderr says it all."""

    def expect(self, result, code, *patterns):
        text = result.stderr + result.stdout
        self.assertEqual(result.returncode, code, text)
        for pattern in patterns:
            self.assertRegex(text, pattern)
        errors = [line for line in result.stderr.splitlines() if line.strip()]
        self.assertLessEqual(len(errors), 4, result.stderr)


class JobFiles(Case):
    """Found without a cluster: muster validate exits 2."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(subprocess.run(["mktemp", "-d", "/tmp/muster-bad-XXXXXX"], check=True,
                                                 capture_output=True, text=True).stdout.strip())

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def validate(self, text):
        path = self.folder / "job.yaml"
        path.write_text(text)
        return subprocess.run([BIN / "muster", "validate", path], capture_output=True, text=True)

    def good(self, **changes):
        return tiny_job("bad", "/nowhere/data", "/nowhere/ckpt", **changes)

    def test_unknown_field_names_line_and_nearest(self):
        text = self.good().replace("optimizer:", "optimzer:")
        line = text.splitlines().index(next(l for l in text.splitlines() if "optimzer" in l)) + 1
        self.expect(self.validate(text), 2, f"job.yaml:{line}", "optimzer", "optimizer")

    def test_wrong_type_says_what_is_wanted(self):
        self.expect(self.validate(self.good().replace("layers: 2", "layers: two")), 2,
                    "layers", "two", "whole number|integer|number")

    def test_heads_not_divisible_by_tensor(self):
        self.expect(self.validate(self.good(mesh="{data: 1, tensor: 3}")), 2, "heads", "tensor")

    def test_global_batch_not_divisible(self):
        self.expect(self.validate(self.good().replace("global: 16", "global: 17")), 2, "global", "micro")

    def schedule(self, text):
        return self.validate(self.good(extra=text))

    def test_schedule_says_line_and_remedy(self):
        for text, *patterns in (
                ("schedule: {time_limit: 90}", "schedule.time_limit", "\"90\"", "1h30m"),
                ("schedule: {priorty: 1}", "priorty", "did you mean \"priority\""),
                ("schedule: {priority: 5000}", "5000", "-1000 to 1000"),
                ("schedule: {queue: My Queue}", "My Queue", "a-z 0-9"),
                ("schedule: {array: {count: 100000}}", "array.count", "1 to 10000"),
                ("schedule: {after: prep}", "schedule.after", r"\[prep, "),
                ("placement: {spread: {axis: dat, across: rack}}", "dat", "did you mean \"data\""),
                ("placement: {spread: {axis: data, across: rak}}", "rak", "did you mean \"rack\""),
                ("placement: {exclude: [\"n[5-1]\"]}", "exclude", "5-1 counts down"),
                ("placement: {select: [zone]}", "placement.select", "{zone: a}")):
            with self.subTest(text):
                line = len(self.good().splitlines()) + 1
                self.expect(self.schedule(text), 2, f"job.yaml:{line}: ", *patterns)

    def test_an_inner_axis_cannot_ask_for_more(self):
        mesh = "{data: {size: 2, within: node}, tensor: {size: 2, within: rack}}"
        self.expect(self.validate(self.good(mesh=mesh)), 2, "mesh.tensor.within", "write node")

    def test_not_yaml_at_all(self):
        self.expect(self.validate("{mesh: [1, "), 2, "job.yaml")

    def test_missing_file(self):
        result = subprocess.run([BIN / "muster", "validate", "/nowhere/job.yaml"], capture_output=True,
                                text=True)
        self.expect(result, 3, "/nowhere/job.yaml", "No such file")

    def test_coordinator_not_there(self):
        result = subprocess.run([BIN / "muster", "--coordinator", "127.0.0.1:1", "list"],
                                capture_output=True, text=True)
        self.expect(result, 6, "127.0.0.1:1")


class OnACluster(Case):
    @classmethod
    def setUpClass(cls):
        # Without a vault: what storage does to a job shall not be hidden by the nodes' memory.
        cls.cluster = Cluster(workers=2, slots=2, worker_flags=("--vault-memory", "0"))
        cls.data = prepare_data(cls.cluster)
        cls.ckpt = cls.cluster.dir / "ckpt"

    @classmethod
    def tearDownClass(cls):
        left = cls.cluster.close()
        assert not left, left

    def submit(self, text):
        path = self.cluster.dir / "bad.yaml"
        path.write_text(text)
        return self.cluster.muster("submit", path, check=False)

    def job(self, name, **changes):
        return tiny_job(name, self.data, self.ckpt, **changes)

    def ends_failed(self, text, *patterns):
        job = self.cluster.submit(text)
        view = self.cluster.wait_state(job, "failed", "succeeded", timeout=90)
        self.assertEqual(view["state"], "failed")
        for pattern in patterns:
            self.assertRegex(view["reason"], pattern)
        self.assertEqual(self.cluster.muster("wait", job, check=False).returncode, 1)
        return view

    def test_more_ranks_than_the_cluster_can_ever_have(self):
        self.expect(self.submit(self.job("big", mesh="{data: 16}").replace("global: 16", "global: 64")),
                    7, "16 slots", "cluster has 4", "lower mesh")

    def test_duplicate_name(self):
        sleeper = """
apiVersion: muster/v1
kind: TrainJob
name: twice
mesh: {data: 1}
program: {command: [sleep, '1000']}
"""
        job = self.cluster.submit(sleeper)
        self.expect(self.submit(sleeper), 5, "twice", f"job {job}")
        self.cluster.muster("cancel", job)
        self.cluster.wait_state(job, "cancelled")

    def test_unknown_job(self):
        self.expect(self.cluster.muster("describe", 4711, check=False), 3, "4711")
        self.expect(self.cluster.muster("logs", "no-such-job", check=False), 3, "no-such-job")

    def test_missing_data(self):
        text = tiny_job("no-data", self.cluster.dir / "nothing", self.ckpt, attempts=2)
        self.ends_failed(text, "nothing", "muster data prepare")

    def test_corrupt_data_shard(self):
        copy = self.cluster.dir / "data-corrupt"
        shutil.copytree(self.data, copy)
        shard = sorted(p for p in copy.rglob("*") if p.is_file() and p.suffix not in (".json", ".model"))[0]
        shard.write_bytes(shard.read_bytes()[:-100])
        self.ends_failed(tiny_job("bad-data", copy, self.ckpt, attempts=2), shard.name,
                         "muster data prepare")

    def test_data_changed_under_a_running_job(self):
        mine = self.cluster.dir / "data-mine"
        shutil.copytree(self.data, mine)
        job = self.cluster.submit(tiny_job("changed", mine, self.ckpt, steps=100000, every=10, attempts=2))
        self.cluster.wait_step(job, 30)
        shutil.rmtree(mine)
        self.cluster.muster("data", "prepare", "/usr/lib/python3.11/json", "--out", mine,
                            "--tokenizer", "byte")
        subprocess.run(["kill", "-9", str(self.cluster.ranks(job)[0])], check=True)
        view = self.cluster.wait_state(job, "failed", timeout=90)
        self.assertRegex(view["reason"], "data")
        self.assertRegex(view["reason"], "changed|digest|differ")

    def test_rank_program_missing(self):
        self.ends_failed("""
apiVersion: muster/v1
kind: TrainJob
name: no-program
mesh: {data: 2}
program: {command: [/nowhere/program]}
recovery: {attempts_without_progress: 2}
""", "/nowhere/program", "No such file")

    def test_rank_crashing_at_start_shows_its_last_line(self):
        view = self.ends_failed("""
apiVersion: muster/v1
kind: TrainJob
name: crasher
mesh: {data: 2}
program: {command: [sh, -c, 'echo "cannot find my marbles" >&2; exit 9']}
recovery: {attempts_without_progress: 2}
""", "exited 9|exit code 9|code 9", "cannot find my marbles")
        self.assertEqual(len(view["attempts"]), 2)

    def test_checkpoint_folder_is_made_when_missing(self):
        root = self.cluster.dir / "deep" / "er"
        job = self.cluster.submit(tiny_job("deep", self.data, root, steps=10))
        self.cluster.wait_state(job, "succeeded")
        weights.newest_committed(next(root.iterdir()))

    @unittest.skipUnless(os.geteuid() == 0, "needs root to mount a small file system")
    def test_checkpoint_folder_full_then_roomy(self):
        """Training goes on over failed saves; when there is room again, saving resumes."""
        full = self.cluster.dir / "full"
        full.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", full], check=True)
        try:
            job = self.cluster.submit(tiny_job("full", self.data, full, steps=100000, every=10))
            self.cluster.wait_step(job, 25)
            log = wait_for("the failed save in the log", lambda: re.search(
                r".*No space left.*", self.cluster.muster("logs", job, "--stderr").stdout))
            self.assertIn("save", log.group(0))
            subprocess.run(["mount", "-o", "remount,size=64m", full], check=True)
            wait_for("a checkpoint after all", lambda: any(
                c["committed"] for c in self.cluster.job(job)["checkpoints"]))
            self.assertEqual(len(self.cluster.job(job)["attempts"]), 1)
            self.cluster.muster("cancel", job)
            self.cluster.wait_state(job, "cancelled")
        finally:
            subprocess.run(["umount", "-l", full], check=False)

    @unittest.skipUnless(os.geteuid() == 0, "needs root to mount a small file system")
    def test_checkpoint_folder_read_only(self):
        locked = self.cluster.dir / "read-only"
        locked.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,ro", "tmpfs", locked], check=True)
        try:
            job = self.cluster.submit(tiny_job("read-only", self.data, locked, steps=100000, every=10))
            self.cluster.wait_step(job, 25)
            wait_for("the failed save in the log", lambda: "Read-only" in
                     self.cluster.muster("logs", job, "--stderr").stdout)
            self.assertEqual(self.cluster.job(job)["state"], "running")
            self.cluster.muster("cancel", job)
            self.cluster.wait_state(job, "cancelled")
        finally:
            subprocess.run(["umount", "-l", locked], check=False)

    def test_damaged_checkpoint_on_every_load_path(self):
        job = self.cluster.submit(self.job("damaged", steps=100000, every=10))
        self.cluster.wait_step(job, 35)
        view = self.cluster.job(job)
        root = self.ckpt / view["uid"]
        self.cluster.muster("cancel", job)
        self.cluster.wait_state(job, "cancelled")
        newest = weights.newest_committed(root)
        shard = sorted((newest / "data").iterdir())[0]
        flip_byte(shard, shard.stat().st_size // 2)
        self.expect(self.cluster.muster("ckpt", "verify", newest, check=False), 1, shard.name)
        self.expect(self.cluster.muster("sample", newest, "--prompt", "x", check=False), 1, shard.name)
        # init_from names the damaged one: the job says so instead of training from garbage.
        text = tiny_job("from-damaged", self.data, self.ckpt, attempts=1).replace(
            "every_steps: 5", f"init_from: {newest}, every_steps: 5")
        self.ends_failed(text, re.escape(shard.name))

    def test_damaged_newest_checkpoint_steps_back_on_resume(self):
        job = self.cluster.submit(self.job("step-back", steps=100000, every=10))
        self.cluster.wait_step(job, 45)
        for pid in self.cluster.ranks(job).values():  # no further save while we look
            subprocess.run(["kill", "-STOP", str(pid)], check=True)
        root = self.ckpt / self.cluster.job(job)["uid"]
        newest = weights.newest_committed(root)
        shard = sorted((newest / "data").iterdir())[0]
        flip_byte(shard, shard.stat().st_size // 2)
        subprocess.run(["kill", "-9", str(self.cluster.ranks(job)[0])], check=True)
        wait_for("attempt 2 running", lambda: len(self.cluster.job(job)["attempts"]) == 2 and
                 self.cluster.job(job)["state"] == "running")
        logs = wait_for("the step back in the log", lambda: re.search(
            r"resumed from step (\d+)", self.cluster.muster("logs", job, "--rank", "0").stdout))
        self.assertLess(int(logs.group(1)), int(newest.name[5:15]))
        self.assertIn(shard.name, self.cluster.muster("logs", job, "--stderr").stdout)
        self.cluster.muster("cancel", job)
        self.cluster.wait_state(job, "cancelled")


class Daemons(Case):
    def setUp(self):
        self.cluster = Cluster(workers=1, slots=2)
        self.addCleanup(lambda: self.assertFalse(self.cluster.close()))

    def coordinator(self, state, *flags):
        return subprocess.run([BIN / "muster-coordinator", "--state", state, *flags],
                              capture_output=True, text=True, timeout=60, env=self.cluster.environment)

    def test_port_in_use(self):
        self.expect(self.coordinator(self.cluster.dir / "other", "--listen", self.cluster.address()), 1,
                    re.escape(self.cluster.address()), "in use")

    def test_second_coordinator_on_one_state_folder(self):
        state = self.cluster.dir / "coordinator"
        self.expect(self.coordinator(state, "--listen", "127.0.0.1:0"), 1, "in use by process",
                    re.escape(str(state)))
        self.assertEqual(self.cluster.ready_nodes(), ["n1"])

    def test_worker_of_another_cluster(self):
        result = subprocess.run(
            [BIN / "muster-worker", "--node", "n9", "--state", self.cluster.dir / "n9", "--coordinator",
             self.cluster.address(), "--cluster-id", "somebody-else", "--slots", "1"],
            capture_output=True, text=True, timeout=60, env=self.cluster.environment)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertRegex(result.stderr, "somebody-else")
        self.assertRegex(result.stderr, "cluster")
        self.assertEqual(self.cluster.ready_nodes(), ["n1"])

    def journal(self, how=signal.SIGTERM):
        for name in ("a", "b", "c"):
            job = self.cluster.submit(f"""
apiVersion: muster/v1
kind: TrainJob
name: {name}
mesh: {{data: 1}}
program: {{command: ['true']}}
""")
            self.cluster.wait_state(job, "succeeded")
        self.cluster.kill("coordinator", how)
        return self.cluster.dir / "coordinator" / "journal.db"

    def damage(self, path, which):
        """Changes one byte of a record's payload, behind the database's back."""
        with sqlite3.connect(path) as database:
            table = database.execute("select name from sqlite_master where type = 'table' and "
                                     "sql like '%payload%'").fetchone()[0]
            rows = [r[0] for r in database.execute(f"select seq from {table} order by seq")]
            seq = rows[which]
            payload = bytearray(database.execute(f"select payload from {table} where seq = ?",
                                                 (seq,)).fetchone()[0])
            payload[len(payload) // 2] ^= 1
            database.execute(f"update {table} set payload = ? where seq = ?", (bytes(payload), seq))
        database.close()
        return seq, len(rows)

    def repaired(self, path, seq, count):
        state = path.parent
        self.expect(self.coordinator(state, "--listen", "127.0.0.1:0"), 1, f"record {seq}", "repair")
        self.cluster.coordinator_flags = ["--repair", "truncate"]
        self.cluster.start_coordinator()
        self.assertRegex(self.cluster.log("coordinator"), f"dropped {count - seq + 1}")
        self.assertTrue(list(state.glob("journal.db?*")), "the damaged journal is kept aside")
        wait_for("the worker back", lambda: self.cluster.ready_nodes() == ["n1"])

    def test_damaged_journal_middle(self):
        path = self.journal()
        self.repaired(path, *self.damage(path, 6))
        self.assertIn("a", [j["spec"]["name"] for j in self.cluster.json("list")["jobs"]])

    def test_damaged_journal_tail(self):
        path = self.journal()
        self.repaired(path, *self.damage(path, -1))
        names = [j["spec"]["name"] for j in self.cluster.json("list")["jobs"]]
        self.assertEqual(sorted(names), ["a", "b", "c"])
        self.cluster.muster("wait", "c", "--timeout", "60s")  # its end was cut off: it runs again

    def test_torn_write_ahead_log_loses_nothing_acknowledged(self):
        path = self.journal(signal.SIGKILL)
        with open(pathlib.Path(f"{path}-wal"), "ab") as log:
            log.write(b"garbage of a torn write" * 40)
        self.cluster.start_coordinator()
        names = [j["spec"]["name"] for j in self.cluster.json("list")["jobs"]]
        self.assertEqual(sorted(names), ["a", "b", "c"])

    def test_journal_that_is_no_database(self):
        path = self.journal()
        path.write_bytes(b"this is not a journal\n" * 100)
        self.expect(self.coordinator(path.parent, "--listen", "127.0.0.1:0"), 1, "journal.db",
                    "restore|backup")


if __name__ == "__main__":
    unittest.main(verbosity=2)
