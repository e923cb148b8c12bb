"""What saving in memory costs a training step: the same run without it, with a save every step, and
with the adapted cadence, alternating.

usage: vault_bench.py [--steps N] [--rounds R] [--width D]

Prints the median, mean and worst step of each, waits for the copy included. A step of this bench
has 1,024 tokens a rank, so it is short for the bytes it leaves to copy: of a real job's step the copy
is a smaller share.
"""
import argparse
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile
import time

BIN = pathlib.Path(os.environ.get("MUSTER_BIN", "build/bin")).resolve()
TEXT = "/usr/lib/python3.11/email"

JOB = """
apiVersion: muster/v1
kind: TrainJob
name: bench
mesh: {{data: 1}}
train:
  model: {{layers: 4, d_model: {width}, heads: 8, kv_heads: 8, ffn: {ffn}, context: 128}}
  data: {{path: {data}}}
  batch: {{global: 8, micro: 8}}
  optimizer: {{lr: 1.0e-3, warmup_steps: 5, weight_decay: 0.1, clip: 1.0}}
  eval: {{samples: 4}}
  steps: {steps}
checkpoint: {{path: {checkpoints}, every_steps: 0, keep: 1, ram_every_steps: {ram}}}
"""


def run(folder, vault, data, options, ram):
    text = JOB.format(width=options.width, ffn=options.width * 4, data=data, steps=options.steps,
                      checkpoints=folder / "ckpt", ram=ram)
    (folder / "job.yaml").write_text(text)
    whole = subprocess.run([BIN / "muster", "validate", "-o", "yaml", folder / "job.yaml"],
                           capture_output=True, text=True, check=True).stdout
    (folder / "whole.yaml").write_text(whole)
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    if vault:
        shutil.rmtree(vault, ignore_errors=True)
        vault.mkdir(mode=0o700)
        environment.update(MUSTER_VAULT=str(vault), MUSTER_VAULT_BYTES=str(64 << 30))
    shutil.rmtree(folder / "ckpt", ignore_errors=True)
    process = subprocess.Popen([BIN / "muster-train", "run", "--config", folder / "whole.yaml"],
                               stdout=subprocess.PIPE, text=True, env=environment)
    times = []  # when each step's line came: with all that stood in its way
    for line in process.stdout:
        if re.match(r"step \d+/", line):
            times.append(time.monotonic())
    assert process.wait() == 0, "muster-train failed"
    return [after - before for before, after in zip(times[3:-1], times[4:])]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=int, default=256)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-vault-bench-"))
    vault = pathlib.Path("/dev/shm") / folder.name
    try:
        data = folder / "data"
        subprocess.run([BIN / "muster", "data", "prepare", TEXT, "--out", data, "--tokenizer",
                        "byte"], check=True, capture_output=True)
        kinds = {"no saves": (None, 0), "in memory, every step": (vault, 1),
                 "in memory, adapted": (vault, 0)}
        steps = {name: [] for name in kinds}
        for number in range(options.rounds):
            for name, (where, ram) in kinds.items():
                one = run(folder, where, data, options, ram)
                steps[name] += one
                print(f"  round {number + 1}, {name:24} {statistics.median(one) * 1e3:8.1f} ms a step",
                      flush=True)
                if where:
                    slot = max((p.stat().st_size for p in vault.glob("r*")), default=0)
        print(f"one rank, a slot of {slot / 1e6:.0f} MB, {options.rounds} × {options.steps} steps")
        base = statistics.median(steps["no saves"])
        for name, seconds in steps.items():
            median = statistics.median(seconds)
            print(f"  {name:24} {median * 1e3:8.1f} ms median ({(median / base - 1) * 100:+5.1f} %), "
                  f"mean {statistics.mean(seconds) * 1e3:8.1f}, worst {max(seconds) * 1e3:8.1f}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(vault, ignore_errors=True)


if __name__ == "__main__":
    main()
