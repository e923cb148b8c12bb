"""Giving way costs no step and no bit: a preempted job saves, commits and releases, and its final
weights are those of an undisturbed run."""
import unittest

from cluster import Cluster, wait_for
from tiny import prepare_data, tiny_job
import weights

STEPS = 400


class Preemption(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=2, slots=2)
        cls.data = prepare_data(cls.cluster)
        cls.ckpt = cls.cluster.dir / "ckpt"
        cls.reference = cls.final_weights(cls.ends(cls.submit("undisturbed")))

    @classmethod
    def tearDownClass(cls):
        left = cls.cluster.close()
        assert not left, left

    @classmethod
    def submit(cls, name, schedule="", steps=STEPS):
        # Saved by itself only at the very end: what is there before, preemption has saved.
        extra = f"schedule: {{{schedule}}}\n"
        return cls.cluster.submit(tiny_job(name, cls.data, cls.ckpt, steps=steps, every=0,
                                           extra=extra))

    @classmethod
    def ends(cls, job):
        view = cls.cluster.wait_state(job, "succeeded", "failed", timeout=300)
        assert view["state"] == "succeeded", view["reason"]
        return view

    @classmethod
    def final_weights(cls, view):
        folder = weights.newest_committed(cls.ckpt / view["uid"])
        assert folder.name.startswith(f"step-{STEPS:010d}."), folder
        return weights.digests(folder)

    def gave_way_and_lost_nothing(self, job, other):
        """`job` was stopped for `other`, saved all it had done, and went on after it."""
        theirs, view = self.ends(other), self.ends(job)
        first, second = view["attempts"]
        self.assertEqual(first["outcome"], "preempted", first["reason"])
        self.assertGreater(first["last_step"], 0)
        self.assertLess(first["last_step"], STEPS)
        self.assertEqual(second["first_step"], first["last_step"])
        self.assertEqual(view["ledger"]["steps_recomputed"], 0)
        # Its slots were given back before they were used again.
        self.assertLessEqual(first["end_unix_ms"], theirs["attempts"][0]["start_unix_ms"])
        self.assertEqual(len(theirs["attempts"]), 1)
        weights.assert_equal_bits(self.reference, self.final_weights(view))
        self.cluster.assert_clean()

    def test_a_higher_priority_goes_first_and_the_other_goes_on(self):
        low = self.submit("gives-way")
        self.cluster.wait_step(low, 5)
        high = self.submit("urgent", "priority: 10", steps=20)
        self.cluster.wait_state(high, "starting", "running", "succeeded")
        self.assertEqual(self.cluster.job(low)["state"], "queued")
        self.assertIn("preempt", self.cluster.muster("describe", low).stdout)
        self.gave_way_and_lost_nothing(low, high)

    def test_a_queue_gives_back_what_it_borrowed(self):
        self.cluster.muster("queue", "set", "owner", "--quota", 4)
        # While a queue has a quota, who may not be preempted cannot borrow: not for the next test.
        self.addCleanup(self.cluster.muster, "queue", "set", "owner", "--quota", 0)
        self.cluster.muster("queue", "set", "guest")
        guest = self.submit("borrows", "queue: guest")
        self.cluster.wait_step(guest, 5)
        queues = {q["spec"]["name"]: q for q in self.cluster.json("queue", "list")["queues"]}
        self.assertEqual(queues["guest"]["slots_borrowed"], 4)
        owner = self.submit("owns", "queue: owner", steps=20)
        self.gave_way_and_lost_nothing(guest, owner)

    def went_on_after(self, job, outcome):
        """The stopped attempt's work is all in the next one, and in the weights."""
        view = self.ends(job)
        first, second = view["attempts"]
        self.assertEqual(first["outcome"], outcome, first["reason"])
        self.assertGreater(first["last_step"], 0)
        self.assertEqual(second["first_step"], first["last_step"])
        self.assertEqual(view["ledger"]["steps_recomputed"], 0)
        weights.assert_equal_bits(self.reference, self.final_weights(view))

    def test_a_suspended_job_holds_no_slot_and_goes_on(self):
        job = self.submit("pauses")
        self.cluster.wait_step(job, 5)
        self.cluster.muster("suspend", job, "--reason", "lunch")
        self.cluster.muster("wait", job, "--for", "suspended", "--timeout", "60s")
        self.assertEqual(self.cluster.ranks(job), {})
        self.assertEqual(self.cluster.json("cluster", "status")["slots_used"], 0)
        self.assertIn("lunch", self.cluster.job(job)["reason"])
        self.cluster.muster("resume", job)
        self.went_on_after(job, "suspended")

    def test_a_requeued_job_goes_on(self):
        job = self.submit("again")
        self.cluster.wait_step(job, 5)
        self.cluster.muster("requeue", job)
        self.went_on_after(job, "requeued")

    def test_who_may_not_be_preempted_is_waited_for(self):
        firm = self.submit("firm", "preemptible: false")
        self.cluster.wait_step(firm, 5)
        high = self.submit("patient", "priority: 10", steps=5)
        wait_for("a reason to wait", lambda: self.cluster.job(high)["reason"])
        self.assertEqual(self.cluster.job(high)["state"], "queued")
        view = self.ends(firm)
        self.assertEqual(len(view["attempts"]), 1)
        self.ends(high)
        weights.assert_equal_bits(self.reference, self.final_weights(view))


if __name__ == "__main__":
    unittest.main(verbosity=2)
