"""Benchmarks on real processes: launch, recovery and the trainer, each beside a peer or a limit.

usage: outside_bench.py launch|recovery|trainer [--repeat N]
"""
import argparse
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
from cluster import BIN, ROOT, Cluster, wait_for  # noqa: E402
from tiny import prepare_data, tiny_job  # noqa: E402


def spread(values):
    return (f"median {statistics.median(values):6.3f} s, min {min(values):.3f}, max {max(values):.3f}"
            f" ({len(values)} runs)")


def small_job(name, data, checkpoints, ranks, steps):
    """data-parallel over `ranks`, one micro-batch of one sample each."""
    text = tiny_job(name, data, checkpoints, steps=steps, every=0, mesh=f"{{data: {ranks}}}")
    text = text.replace("warmup_steps: 5", "warmup_steps: 1")
    return text.replace("global: 16, micro: 4", f"global: {ranks}, micro: 1")


def first_line_with(path, pattern):
    try:
        return re.search(pattern, path.read_text(errors="replace"))
    except OSError:
        return None


def mpirun(cluster, job_text, ranks, folder):
    """mpirun of the same trainer with the same complete document; seconds to its first step."""
    folder.mkdir(parents=True)
    (folder / "job.yaml").write_text(job_text)
    complete = folder / "complete.json"
    complete.write_text(cluster.muster("validate", folder / "job.yaml", "-o", "json").stdout)
    out = folder / "out"
    begin = time.monotonic()
    with open(out, "wb") as file:
        process = subprocess.Popen(
            ["timeout", "120", "mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(ranks),
             "--mca", "btl", "self,vader", "--mca", "mpi_yield_when_idle", "1",
             BIN / "muster-train", "run", "--config", complete, "--checkpoints", folder / "ckpt",
             "--attempt", "1"], stdout=file, stderr=subprocess.STDOUT)
    wait_for("mpirun's first step", lambda: first_line_with(out, r"step 1/") or
             process.poll() is not None, timeout=120, every=0.002)
    seconds = time.monotonic() - begin
    process.wait()
    assert first_line_with(out, r"step 1/"), out.read_text()
    return seconds


def launch(repeat):
    print("from submit to the first finished step, beside mpirun of the same trainer")
    cluster = Cluster(workers=2, slots=16)
    data = prepare_data(cluster)
    for ranks in (2, 8, 32):
        ours, theirs = [], []
        for run in range(repeat):
            text = small_job(f"launch-{ranks}-{run}", data, cluster.dir / "ckpt", ranks, 2)
            begin = time.monotonic()
            job = cluster.submit(text)
            logs = lambda: list(cluster.dir.glob(f"n*/logs/launch-{ranks}-{run}-*/1/0/stdout.log"))
            wait_for("the first step", lambda: logs() and first_line_with(logs()[0], r"step 1/"),
                     timeout=120, every=0.002)
            ours.append(time.monotonic() - begin)
            cluster.wait_state(job, "succeeded")
            theirs.append(mpirun(cluster, text, ranks, cluster.dir / f"mpirun-{ranks}-{run}"))
        ratio = statistics.median(o / t for o, t in zip(ours, theirs))
        print(f"{ranks:3} ranks: muster {spread(ours)}; mpirun {spread(theirs)}; ratio {ratio:.2f}")
    cluster.close()


def recovery(repeat):
    print("from kill -9 of a rank to the next finished step (tiny model, data 2 × tensor 2)")
    cluster = Cluster(workers=2, slots=2)
    data = prepare_data(cluster)
    seconds = []
    for run in range(repeat):
        job = cluster.submit(tiny_job(f"recover-{run}", data, cluster.dir / "ckpt", steps=100000,
                                      every=20))
        cluster.wait_step(job, 30 + 7 * run)
        victim = cluster.ranks(job)[run % 4]
        begin = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        logs = lambda: list(cluster.dir.glob(f"n*/logs/recover-{run}-*/2/0/stdout.log"))
        wait_for("the next step", lambda: logs() and first_line_with(logs()[0], r"step \d+/"),
                 timeout=120, every=0.002)
        seconds.append(time.monotonic() - begin)
        cluster.muster("cancel", job)
        cluster.wait_state(job, "cancelled")
    print(f"  {spread(seconds)}; budget: 2 s + program start")
    cluster.close()


def gemm_floor():
    """tokens/s of one core doing only the model's matrix products (vocabulary 1024)."""
    table = subprocess.run([BIN / "model_bench", "--seconds", "2"], capture_output=True, text=True,
                           check=True, env=dict(os.environ, OMP_NUM_THREADS="1")).stdout
    row = next(line for line in table.splitlines() if line.rstrip().find("V 1024 ") > 0)
    rate, _, _, share = row.split("V 1024")[1].split()[:4]
    return float(rate) / (float(share.rstrip("%")) / 100)


def trainer(repeat):
    floor = gemm_floor()
    print(f"tokens/s of the quickstart's model; floor = its matrix products alone, "
          f"{floor:.0f} tokens/s a core")
    cluster = Cluster(workers=1, slots=4)
    data = cluster.dir / "stdlib"
    cluster.muster("data", "prepare", "/usr/lib/python3.11", "--out", data, "--tokenizer", "bpe",
                   "--vocab", "1024", timeout=300)
    base = (ROOT / "configs" / "gpt-stdlib.yaml").read_text()
    for mesh, ranks in (("{data: 1}", 1), ("{data: 2}", 2), ("{tensor: 2}", 2),
                        ("{data: 2, tensor: 2}", 4)):
        rates = []
        for run in range(repeat):
            text = re.sub(r"(?m)^mesh:.*$", f"mesh: {mesh}", base)
            text = re.sub(r"(?m)^name:.*$", f"name: rate-{ranks}-{len(mesh)}-{run}", text)
            text = re.sub(r"path: data/stdlib", f"path: {data}", text)
            text = re.sub(r"steps: \d+", "steps: 6", text)
            text = re.sub(r"(?m)^checkpoint:.*$",
                          f"checkpoint: {{path: {cluster.dir / 'ckpt'}, every_steps: 0, keep: 1}}", text)
            job = cluster.submit(text)
            view = cluster.wait_state(job, "succeeded", "failed", timeout=300)
            assert view["state"] == "succeeded", view["reason"]
            lines = cluster.muster("logs", job, "--rank", "0").stdout
            found = [float(m) for m in re.findall(r"step \d+/\d+ .* ([\d.]+) tok/s", lines)]
            rates.append(statistics.median(found[1:]))
        print(f"  {mesh:22} {ranks} ranks on {os.cpu_count()} cores: {statistics.median(rates):8.0f} "
              f"tokens/s (min {min(rates):.0f}, max {max(rates):.0f}, {repeat} runs), "
              f"{statistics.median(rates) / (floor * min(ranks, os.cpu_count())):.0%} of the floor")
    cluster.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["launch", "recovery", "trainer"])
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    {"launch": launch, "recovery": recovery, "trainer": trainer}[options.what](options.repeat)


if __name__ == "__main__":
    main()
