"""`muster ckpt` on checkpoints that a real job has written, judged by a reader that shares no code
with it (plain_reader.py)."""
import json
import pathlib
import shutil
import signal
import struct
import subprocess
import time
import unittest

import plain_reader
from cluster import BIN, Cluster
from tiny import prepare_data, tiny_job

STEPS = 12


def floats(data):
    return struct.unpack(f"<{len(data) // 4}f", data)


class Ckpt(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=2, slots=2)
        cls.data = prepare_data(cls.cluster)
        cls.ckpt = cls.cluster.dir / "ckpt"
        cls.jobs = 0
        cls.job_id, cls.root = cls.train("first", keep=0)

    @classmethod
    def tearDownClass(cls):
        left = cls.cluster.close()
        assert not left, left

    @classmethod
    def train(cls, name, keep=3, init_from="", **changes):
        text = tiny_job(name, cls.data, cls.ckpt, **{"steps": STEPS, "every": 4, **changes})
        text = text.replace("keep: 3", f"keep: {keep}" + (f", init_from: {init_from}" if init_from else ""))
        job = cls.cluster.submit(text)
        view = cls.cluster.wait_state(job, "succeeded", "failed", timeout=120)
        assert view["state"] == "succeeded", view["reason"]
        return job, cls.ckpt / view["uid"]

    def muster(self, *args, code=0):
        result = self.cluster.muster(*args, check=False)
        self.assertEqual(result.returncode, code, f"{args}\n{result.stdout}{result.stderr}")
        return result

    def json(self, *args, code=0):
        return json.loads(self.muster(*args, "-o", "json", code=code).stdout)

    def at(self, step):
        (folder,) = [path for path in self.root.iterdir()
                     if path.name.startswith(f"step-{step:010}.")]
        return folder

    def eval_lines(self, job):
        lines = self.cluster.muster("logs", job, "--rank", "0").stdout.splitlines()
        return [line.split("eval step ")[1] for line in lines if "eval step " in line]

    def test_the_plain_reader_sees_what_show_says(self):
        for step in (4, 8, STEPS):
            manifest, tensors = plain_reader.read(self.at(step))
            shown = self.json("ckpt", "show", f"{self.job_id}@{step}", "--tensors")
            self.assertEqual(shown["step"], manifest["step"])
            self.assertEqual({t["name"]: (t["dtype"], t["shape"], t["bytes"]) for t in shown["tensors"]},
                             {t["name"]: (t["dtype"], t["shape"], len(tensors[t["name"]]))
                              for t in manifest["tensors"]})
            self.assertEqual(shown["model"], manifest["run"]["model"])

    def test_the_plain_reader_refuses_what_verify_refuses(self):
        copy = self.cluster.dir / "damaged" / self.at(8).name
        shutil.copytree(self.at(8), copy)
        shard = sorted((copy / "data").iterdir())[1]
        good = shard.read_bytes()
        for at in (9, 5000, len(good) - 1):
            bad = bytearray(good)
            bad[at] ^= 16
            shard.write_bytes(bad)
            with self.assertRaises(ValueError):
                plain_reader.read(copy)
            self.assertIn(shard.name, self.muster("ckpt", "verify", copy, code=1).stdout)
        shard.write_bytes(good)
        self.muster("ckpt", "verify", copy)
        (copy / "data" / "stray.safetensors").write_bytes(good)
        self.muster("ckpt", "verify", copy, code=1)
        with self.assertRaises(ValueError):
            plain_reader.read(copy)

    def test_diff_counts_what_the_plain_reader_counts(self):
        _, before = plain_reader.read(self.at(4))
        _, after = plain_reader.read(self.at(8))
        diff = self.json("ckpt", "diff", f"{self.job_id}@4", f"{self.job_id}@8", "--all", code=1)
        self.assertEqual((diff["only_a"], diff["only_b"]), ([], []))
        self.assertEqual(len(diff["tensors"]), len(before))
        for tensor in diff["tensors"]:
            a, b = floats(before[tensor["name"]]), floats(after[tensor["name"]])
            differing = sum(struct.pack("<f", x) != struct.pack("<f", y) for x, y in zip(a, b))
            self.assertEqual(tensor["differing"], differing, tensor["name"])
            most = max(abs(x - y) for x, y in zip(a, b))
            self.assertAlmostEqual(tensor["max_abs"], most, delta=1e-12)
        same = self.muster("ckpt", "diff", self.at(8), f"{self.root}@8")
        self.assertIn("bit-identical", same.stdout)

    def test_another_layout_ends_in_the_same_tensors_but_for_rounding(self):
        job, _ = self.train("other", mesh="{data: 1}", keep=0)
        diff = self.json("ckpt", "diff", f"{self.job_id}@{STEPS}", f"{job}@{STEPS}", code=1)
        self.assertEqual((diff["only_a"], diff["only_b"]), ([], []))
        self.assertLess(max(t["max_abs"] for t in diff["tensors"]), 5e-2)

    def test_a_pin_holds_against_prune_and_against_the_jobs_own(self):
        job, root = self.train("pinned", keep=0, steps=24)
        self.assertIn("pinned", self.muster("ckpt", "pin", f"{job}@8", "--note", "the best").stdout)
        self.assertEqual(self.json("ckpt", "show", f"{job}@8")["pin_note"], "the best")
        plan = self.json("ckpt", "prune", job, "--keep", 1, "--keep-every", 12, "--dry-run")
        self.assertEqual(len(plan["deleted"]), 3)  # 20, 16, 4; 8 is pinned, 12 a multiple
        self.assertEqual(self.json("ckpt", "prune", root, "--keep", 1, "--keep-every", 12)["deleted"],
                         plan["deleted"])
        left = [c["step"] for c in self.json("ckpt", "list", job)["checkpoints"]]
        self.assertEqual(left, [24, 12, 8])
        self.muster("ckpt", "unpin", f"{job}@8")
        self.assertIn("not pinned", self.muster("ckpt", "unpin", f"{job}@8", code=3).stderr)
        self.muster("ckpt", "prune", job, "--keep", 1)
        self.assertEqual([c["step"] for c in self.json("ckpt", "list", job)["checkpoints"]], [24])

    def test_a_pin_holds_while_the_trainer_prunes(self):
        text = tiny_job("keeps", self.data, self.ckpt, steps=400, every=4).replace("keep: 3", "keep: 1")
        job = self.cluster.submit(text)
        self.cluster.wait_step(job, 9)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            pinned = self.cluster.muster("ckpt", "pin", job, check=False)
            if pinned.returncode == 0:
                break
        self.assertEqual(pinned.returncode, 0, pinned.stderr)
        folder = pathlib.Path(pinned.stdout.split(": pinned")[0])
        view = self.cluster.wait_state(job, "succeeded", "failed", timeout=120)
        self.assertEqual(view["state"], "succeeded", view["reason"])
        self.assertIn("verified", self.muster("ckpt", "verify", folder).stdout)
        self.assertLessEqual(len(self.json("ckpt", "list", job)["checkpoints"]), 3)

    def test_copy_goes_on_after_a_kill_and_is_the_same(self):
        archive = self.cluster.dir / "archive"
        command = [BIN / "muster", "ckpt", "copy", self.at(8), archive]
        killed = 0
        for delay_ms in range(0, 40, 2):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            time.sleep(delay_ms / 1000)
            process.send_signal(signal.SIGKILL)
            killed += process.wait() != 0
            for folder in archive.glob("step-*"):
                plain_reader.read(folder)  # whatever has a checkpoint's name is whole
        self.assertGreater(killed, 0)
        copied = self.json("ckpt", "copy", self.at(8), archive)
        self.assertEqual(plain_reader.read(copied["path"]), plain_reader.read(self.at(8)))
        self.assertTrue(self.json("ckpt", "copy", self.at(8), archive)["was_there"])
        other = self.cluster.dir / "other-archive"
        shutil.copytree(self.at(4), other / self.at(8).name)
        self.assertIn("another", self.muster("ckpt", "copy", self.at(8), other, code=5).stderr)

    def test_an_export_is_the_weights_and_an_import_trains_on_from_the_same_loss(self):
        hf = self.cluster.dir / "hf"
        self.assertIn("exported", self.muster("ckpt", "export", self.job_id, hf).stdout)
        manifest, tensors = plain_reader.read(self.at(STEPS))
        vocab = manifest["run"]["model"]["vocab"]
        data = (hf / "model.safetensors").read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8:8 + length])
        names = {n for n in tensors if not n.startswith("adamw.")}
        self.assertEqual(set(header) - {"__metadata__"}, names)
        for name in names:
            begin, end = (8 + length + o for o in header[name]["data_offsets"])
            shape = header[name]["shape"]
            rows = tensors[name][:vocab * shape[-1] * 4] if shape[0] == vocab else tensors[name]
            self.assertEqual(data[begin:end], rows, name)
        self.assertIn("not empty", self.muster("ckpt", "export", self.job_id, hf, code=5).stderr)

        imported = self.json("ckpt", "import", hf, self.cluster.dir / "imported")
        diff = self.json("ckpt", "diff", self.at(STEPS), imported["path"], code=1)
        self.assertTrue(all(n.startswith("adamw.") for n in diff["only_a"]))
        self.assertEqual(diff["only_b"], [])
        # Only the rows that pad the vocabulary differ: 64 - 257 % 64 of them, zero now.
        self.assertLessEqual({t["name"] for t in diff["tensors"]},
                             {"model.embed_tokens.weight", "lm_head.weight"})
        for tensor in diff["tensors"]:
            self.assertLessEqual(tensor["differing"], (-vocab % 64) * shape_of(manifest, tensor["name"])[1])

        before = float(self.eval_lines(self.job_id)[-1].split()[-1])
        job, _ = self.train("goes-on", init_from=imported["path"], mesh="{data: 2}")
        lines = self.eval_lines(job)
        self.assertEqual(lines[0].split()[0], "0")
        first, last = (float(line.split()[-1]) for line in (lines[0], lines[-1]))
        self.assertAlmostEqual(first, before, delta=0.0015)  # printed with three digits
        self.assertLess(last, first)


def shape_of(manifest, name):
    return next(t["shape"] for t in manifest["tensors"] if t["name"] == name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
