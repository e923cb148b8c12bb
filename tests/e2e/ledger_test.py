"""The ledger of real jobs: one is killed, one is preempted, and every slot-second of both is somewhere."""
import os
import random
import signal
import unittest
from datetime import datetime, timezone

from cluster import Cluster, wait_for
from tiny import prepare_data, tiny_job

SEED = int(os.environ.get("MUSTER_SEED", random.randrange(1 << 30)))


class Ledger(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"seed {SEED}")
        cls.cluster = Cluster(workers=2, slots=2,
                              coordinator_flags=["--price-per-slot-hour", "3600",
                                                 "--currency", "EUR"])
        cls.data = prepare_data(cls.cluster)

    @classmethod
    def tearDownClass(cls):
        left = cls.cluster.close()
        assert not left, left

    def submit(self, name, **job):
        return self.cluster.submit(tiny_job(name, self.data, self.cluster.dir / "ckpt", **job))

    def ledger(self, *args):
        return self.cluster.json("ledger", *args)

    def kinds(self, ledger, column="wall_seconds"):
        return {entry["kind"]: entry[column] for entry in ledger["entries"]}

    def sums(self, ledger, view):
        """Kinds sum to the wall time and the slot time that the attempts themselves show."""
        begin = view["attempts"][0]["start_unix_ms"]
        self.assertAlmostEqual(ledger["wall_seconds"], (view["end_unix_ms"] - begin) / 1e3, 6)
        self.assertAlmostEqual(sum(self.kinds(ledger).values()), ledger["wall_seconds"], 6)
        held = sum(len(share["slots"]) * (attempt["end_unix_ms"] - attempt["start_unix_ms"]) / 1e3
                   for attempt in view["attempts"] for share in attempt["shares"])
        self.assertAlmostEqual(ledger["slot_seconds"], held, 6)
        self.assertAlmostEqual(sum(self.kinds(ledger, "slot_seconds").values()), held, 6)
        self.assertAlmostEqual(ledger["cost"], held, 6)  # one EUR a slot-second
        self.assertEqual(ledger["currency"], "EUR")

    def test_a_killed_job(self):
        dice = random.Random(SEED)
        job = self.submit("killed", steps=200, every=20)
        self.cluster.wait_step(job, dice.randrange(25, 120))
        live = self.ledger(job)
        self.assertGreater(self.kinds(live)["productive"], 0)
        self.assertAlmostEqual(sum(self.kinds(live).values()), live["wall_seconds"], 6)
        os.kill(self.cluster.ranks(job)[dice.randrange(4)], signal.SIGKILL)
        view = self.cluster.wait_state(job, "succeeded", "failed", timeout=300)
        self.assertEqual(view["state"], "succeeded", view["reason"])
        ledger = self.ledger(job)
        self.sums(ledger, view)
        kinds = self.kinds(ledger)
        self.assertEqual(len(view["attempts"]), 2)
        first, second = view["attempts"]
        lost = first["last_step"] - second["first_step"]
        self.assertEqual(ledger["steps_recomputed"], lost)
        self.assertEqual(kinds["recompute"] > 0, lost > 0)
        for kind in ("productive", "startup", "restart", "checkpoint_load", "checkpoint_stall"):
            self.assertGreater(kinds[kind], 0, kind)
        # A rank's end is known at once: its shim tells.
        self.assertLess(kinds["detect"], 2)
        self.assertLessEqual(first["failed_since_unix_ms"], first["failure_unix_ms"])
        (cause,) = ledger["causes"]
        self.assertEqual((cause["cause"], cause["incidents"]), ("rank killed by SIGKILL", 1))
        self.assertGreater(cause["slot_seconds"], 4 * kinds["restart"] - 1e-6)
        self.assertEqual(view["ledger"], ledger)
        text = self.cluster.muster("ledger", "killed").stdout
        for word in ("productive", "restart", "rank killed by SIGKILL", "EUR"):
            self.assertIn(word, text)

    def test_a_preempted_job(self):
        low = self.submit("gives-way", steps=300, every=0)
        self.cluster.wait_step(low, 5)
        high = self.submit("urgent", steps=20, extra="schedule: {priority: 10}\n")
        views = {job: self.cluster.wait_state(job, "succeeded", "failed", timeout=300)
                 for job in (low, high)}
        self.assertEqual(views[low]["attempts"][0]["outcome"], "preempted")
        for job, view in views.items():
            self.assertEqual(view["state"], "succeeded", view["reason"])
            self.sums(self.ledger(job), view)
        kinds = self.kinds(self.ledger(low))
        other = self.kinds(self.ledger(high))
        # It waited, without slots, for as long as the other held them; nothing failed.
        self.assertGreater(kinds["waiting"], other["productive"])
        self.assertEqual([kinds[k] for k in ("recompute", "restart", "detect", "hang")], [0] * 4)

    def test_parts_add_up_to_the_whole(self):
        job = self.submit("one", steps=20)
        wait_for("its end", lambda: self.cluster.job(job)["state"] == "succeeded", 120)
        wait_for("no live job", lambda: not any(
            j["end_unix_ms"] == 0 for j in self.cluster.json("list")["jobs"]), 300)
        whole = self.ledger()
        user = self.cluster.job(job)["user"]
        jobs = self.cluster.json("list")["jobs"]
        self.assertEqual(whole["jobs"], len(jobs))
        middle = datetime.fromtimestamp(jobs[0]["submit_unix_ms"] // 1000, timezone.utc).isoformat()
        for parts in ([("--node", "n1"), ("--node", "n2")], [("--queue", "default")],
                      [("--user", user)], [(j["id"],) for j in jobs],
                      [("--until", middle), ("--since", middle)]):
            total = sum(self.ledger(*part)["slot_seconds"] for part in parts)
            self.assertAlmostEqual(total, whole["slot_seconds"], 5, parts)

    def test_wrong_questions(self):
        for args, code, words in ((("nobody",), 3, "no job"), (("--node", "n9"), 3, "ever joined"),
                                  (("--queue", "x"), 3, "no queue"), (("--user", "x"), 3, "no job of"),
                                  (("--since", "noon"), 2, "how long ago"),
                                  (("--queue", "default", "--node", "n1"), 2, "give one"),
                                  (("--since", "1h", "--until", "2h"), 2, "not after")):
            result = self.cluster.muster("ledger", *args, check=False)
            self.assertEqual(result.returncode, code, f"{args}: {result.stderr}")
            self.assertIn(words, result.stderr)
            self.assertEqual(result.stdout, "")


if __name__ == "__main__":
    unittest.main(verbosity=2)
